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

from collections.abc import Sequence

from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.report.place import neighbours
from oom_sentinel.report.text import counted
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment
from oom_sentinel.risk.levels import Finding
from oom_sentinel.risk.levels import verdict
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings


def outcome(target: Target, protection: Protection) -> Outcome | None:
    """Return the latest outcome that keeps this process from what it shall have."""
    return next((o for o in protection.outcomes
                 if o.adjustment.identity == target.process.identity
                 and o.result != Result.WRITTEN), None)


def achieved(target: Target, protection: Protection) -> int | None:
    """Return the oom_score_adj that a process has after this cycle, None when unknown."""
    found = outcome(target, protection)
    if protection.watching is not None or (found is not None and found.result != Result.DENIED):
        return target.process.oom_score_adj
    if found is not None and target.value != target.wanted:
        return found.achieved
    return target.value


def denied(target: Target, protection: Protection) -> bool:
    """Return whether this process stays above what is wanted because lowering is denied."""
    if protection.watching is None and target.wanted < 0 and target.value > target.wanted:
        return True
    found = outcome(target, protection)
    return found is not None and found.result == Result.DENIED and (
        found.achieved is None or found.achieved > target.wanted)


def out_of_reach(protection: Protection) -> tuple[tuple[Target, str], ...]:
    """Return the processes that a write does not reach, and why; a zombie is none of them."""
    found = [(t, outcome(t, protection)) for t in (*protection.targets, *protection.raised)]
    return tuple((t, o.why or o.result.value) for t, o in found
                 if o is not None and o.result in (Result.NOT_OWNER, Result.FAILED))


def raised(protection: Protection) -> tuple[Target, ...]:
    """Return the processes that are raised so that the order is kept, the largest first."""
    found = [t for t in (*protection.targets, *protection.raised)
             if t.wanted >= 0 and t.value > t.wanted and outcome(t, protection) is None]
    return tuple(sorted(found, key=held_bytes, reverse=True))


def held_bytes(target: Target) -> int:
    """Return what a target's process holds, resident and swapped; 0 when that is unknown."""
    memory = target.process.memory
    return 0 if memory is None else memory.rss_bytes + memory.swap_bytes


GRANT = ('to grant it, start the robot with a floor: OOMScoreAdjust=-500 in its systemd unit, '
         'or docker run --oom-score-adj=-500')
ADVISED_MIN = -600
NAMED_MAX = 5


def compose(assessment: Assessment, protection: Protection, settings: Settings,
            surroundings: Surroundings = Surroundings(), malformed: int = 0) -> Status:
    """
    Return the status; an alarm comes first, then how far protection came.

    :param malformed: how many processes were left out because a file of theirs is malformed.
    """
    found = verdict(_findings(assessment, protection, settings))
    refused = [t for t in protection.targets if denied(t, protection)]
    lifted = () if protection.watching else raised(protection)
    parts = (*found.reasons, _calm(protection, len(refused), len(lifted)), *_too_low(settings))
    return Status('Protection', found.level, sentence(parts), (
        *((f'group {g.name}', _group(g, protection)) for g in settings.protection_groups),
        ('denied', f'{counted(len(refused))}: {_named(refused)}; {GRANT}'
         if refused else 'nothing'),
        ('not owned', listed([f'{t.process.label} (PID {t.process.pid}): {why}'
                              for t, why in out_of_reach(protection)], 3)),
        ('others raised by', _by(lifted)),
        ('raised', _named(lifted)),
        ('raised as victim', listed([_label(p) for p in protection.outgrown], 5)),
        ('killable headroom (%)', 'nothing is protected'
         if assessment.killable_percent is None else f'{assessment.killable_percent:.0f}'),
        ('drift', listed([f'{d.label} (PID {d.pid}): {d.found} put back to {d.expected}'
                          for d in protection.drifts], 5)),
        ('own oom_score_adj', str(protection.self_value)
         if protection.self_value is not None else 'unavailable (not read yet)'),
        ('neighbours', '; '.join(neighbours(surroundings)) or 'none'),
        ('malformed processes', str(malformed)),
        ('notes', '; '.join(protection.notes) or 'none')))


def _group(group: Group, protection: Protection) -> str:
    targets = [t for t in protection.targets if t.group == group.name]
    if not targets:
        return f'wanted {group.oom_score_adj}, matches nothing yet'
    present = {achieved(t, protection) for t in targets}
    known = [str(value) for value in sorted(v for v in present if v is not None)]
    return (f'wanted {group.oom_score_adj}, achieved '
            + ', '.join(known + ['unknown'] * (None in present))
            + f' for {counted(len(targets))}')


def _label(process: Process) -> str:
    return f'{process.label} (PID {process.pid})'


def _named(targets: Sequence[Target]) -> str:
    """Return the largest few of these processes with their values."""
    return listed([f'{_label(t.process)} at {t.value}' for t in targets], NAMED_MAX)


def _by(lifted: Sequence[Target]) -> str:
    """Return the range of points by which processes are raised."""
    points = [t.value - t.wanted for t in lifted]
    if not points:
        return '0'
    low, high = min(points), max(points)
    return f'{low}' if low == high else f'{low} to {high}'


def applied(protection: Protection) -> str:
    """Return in one line what `~/apply` did and what was refused."""
    matched = [t for t in protection.targets if t.group is not None]
    refused = [t for t in matched if denied(t, protection)]
    missed = out_of_reach(protection)
    right = [t for t in matched if t not in refused and t not in [m for m, _ in missed]]
    parts = [f'{counted(len(right))} {"has" if len(right) == 1 else "have"} the value that '
             'protection wants']
    if refused:
        parts.append(f'lowering was denied for {counted(len(refused))}')
    lifted = raised(protection)
    if lifted:
        parts.append(f'{counted(len(lifted))} raised by {_by(lifted)} instead')
    if missed:
        target, why = missed[0]
        parts.append(f'{counted(len(missed))} not reached, for example '
                     f'{_label(target.process)}: {why}')
    return sentence(parts)


def _findings(assessment: Assessment, protection: Protection,
              settings: Settings) -> tuple[Finding, ...]:
    found = [Finding(Level.ERROR, f'memory.oom.group=1 on {path}: scores cannot save single '
                     'nodes here') for path in protection.oom_group_paths]
    warn = [f'another program set {d.label} to {d.found}, which was put back to {d.expected}'
            for d in protection.drifts[-1:]]
    warn += protection.lost_order
    warn += [f'protection does not reach {t.process.label} (PID {t.process.pid}): {why}'
             for t, why in out_of_reach(protection) if t.wanted < 0][:3]
    if protection.outgrown:
        names = listed([_label(p) for p in protection.outgrown], 3)
        warn.append(f'{names} outgrew its head start and will be killed before the others')
    if protection.nodes_without_process:
        warn.append('no process is known for node '
                    + listed(protection.nodes_without_process, 3))
    share = assessment.killable_percent
    if (share is not None and share < settings.protection_killable_warn_percent
            and assessment.memory.level != Level.OK):
        warn.append(f'only {share:.0f} % of used memory may be killed before a protected node')
    leaking = [t.process.label for t in protection.targets if t.group is not None
               and t.wanted < 0 and t.process.identity in assessment.leaking]
    if leaking:
        warn.append(f'the memory of a protected node keeps growing: {listed(leaking, 3)}')
    return tuple(found + [Finding(Level.WARN, text) for text in warn])


def _calm(protection: Protection, refused: int, lifted: int) -> str:
    if protection.watching is not None:
        return f'only watching: {protection.watching}'
    matched = [t for t in protection.targets if t.group is not None]
    if refused and lifted:
        return (f'lowering is denied; the wanted order is kept by raising '
                f'{counted(lifted)} instead')
    if refused:
        return f'lowering is denied for {counted(refused)}; no other process had to be raised'
    if not matched:
        return 'no process matches a group yet'
    right = sum(1 for t in matched if achieved(t, protection) == t.value == t.wanted)
    of = '' if right == len(matched) else f' of {len(matched)}'
    plural = right != 1 or bool(of)
    said = (f'{right}{of} {"processes have" if plural else "process has"} the value that '
            f'{"their" if plural else "its"} group wants')
    return f'{said}; {counted(lifted)} raised so that a leak is killed first' if lifted else said


def _too_low(settings: Settings) -> tuple[str, ...]:
    low = [g.name for g in settings.protection_groups if g.oom_score_adj < ADVISED_MIN]
    if not low:
        return ()
    return (f'below {ADVISED_MIN} a leak in group {listed(low)} takes every other node first',)
