# Copyright 2026 oom_sentinel maintainers
#
# Licensed under the Apache License, Version 2.0 (the "License");
# you may not use this file except in compliance with the License.
# You may obtain a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS,
# WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
# See the License for the specific language governing permissions and
# limitations under the License.

"""Status Protection: wanted and achieved, what was denied and how to grant it."""

from oom_sentinel.facts.level import Level
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.status import Status
from oom_sentinel.report.text import counted
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment
from oom_sentinel.risk.verdict import Finding
from oom_sentinel.risk.verdict import verdict
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings

GRANT = ('to grant it, start the robot with a floor: OOMScoreAdjust=-500 in its systemd unit, '
         'or docker run --oom-score-adj=-500')


def compose(assessment: Assessment, protection: Protection, settings: Settings) -> Status:
    """Return the status."""
    findings = _findings(assessment, protection, settings)
    found = verdict(findings)
    denied = [o for o in protection.outcomes if o.result == 'denied']
    parts = list(found.reasons) or [_calm(protection, bool(denied))]
    return Status('Protection', found.level, sentence(parts), (
        *((f'group {g.name}', _group(g, protection)) for g in settings.protection_groups),
        ('denied', f'{counted(len(denied))}; {GRANT}' if denied else 'nothing'),
        ('not owned', listed([f'PID {o.adjustment.identity.pid}: {o.why}'
                              for o in protection.outcomes if o.result == 'not_owner'], 3)),
        ('others raised by', str(protection.shift)),
        ('killable headroom (%)', 'nothing is protected'
         if assessment.killable_percent is None else f'{assessment.killable_percent:.0f}'),
        ('drift', listed([f'{d.label} (PID {d.pid}): {d.found} put back to {d.expected}'
                          for d in protection.drifts], 5)),
        ('own oom_score_adj', str(protection.self_value)
         if protection.self_value is not None else 'unavailable (not read yet)'),
        ('neighbours', '; '.join(protection.neighbours) or 'none'),
        ('notes', '; '.join(protection.notes) or 'none')))


def _group(group: Group, protection: Protection) -> str:
    targets = [t for t in protection.targets if t.group == group.name]
    if not targets:
        return f'wanted {group.oom_score_adj}, matches nothing yet'
    present = sorted({_achieved(t, protection) for t in targets})
    return (f'wanted {group.oom_score_adj}, achieved '
            + ', '.join('unknown' if v == 1001 else str(v) for v in present)
            + f' for {counted(len(targets))}')


def _achieved(target: Target, protection: Protection) -> int:
    for outcome in protection.outcomes:
        if outcome.adjustment.identity == target.process.identity:
            return 1001 if outcome.achieved is None else outcome.achieved
    if protection.watching is not None:
        adj = target.process.oom_score_adj
        return 1001 if adj is None else adj
    return target.value


def _findings(assessment: Assessment, protection: Protection,
              settings: Settings) -> 'tuple[Finding, ...]':
    found = [Finding(Level.ERROR, f'memory.oom.group=1 on {path}: scores cannot save single '
                     'nodes here') for path in protection.oom_group_paths]
    warn = [f'{d.label} was set to {d.found} by another program and put back to {d.expected}'
            for d in protection.drifts[-1:]]
    warn += protection.lost_order
    if protection.nodes_without_process:
        warn.append('no process is known for node '
                    + listed(protection.nodes_without_process, 3))
    share = assessment.killable_percent
    if (share is not None and share < settings.protection_killable_warn_percent
            and assessment.memory.level != Level.OK):
        warn.append(f'only {share:.0f} % of used memory may be killed before a protected node')
    leaking = [s for s in assessment.leak_suspects
               if any(s.startswith(t.process.label + ' ') and t.wanted < 0
                      for t in protection.targets)]
    if leaking:
        warn.append(f'a protected node grows: {listed(leaking, 3)}')
    return tuple(found + [Finding(Level.WARN, text) for text in warn])


def _calm(protection: Protection, denied: bool) -> str:
    if protection.watching is not None:
        return f'only watching: {protection.watching}'
    matched = sum(1 for t in protection.targets if t.group is not None)
    if denied and protection.shift:
        return (f'lowering is denied; the wanted order is kept by raising others by '
                f'{protection.shift}')
    if not matched:
        return 'no process matches a group yet'
    return f'{matched} processes have the value that their group wants'
