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

"""Status OOM kills: who was killed last, why, what ate the memory, and how sure that is."""

from datetime import datetime
from datetime import timezone

from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import sentence
from oom_sentinel.settings import Settings

NAME = 'OOM kills'
NONE = 'none'
UNTOLD = 'unavailable (the report does not say)'
WHY = {
    'CONSTRAINT_NONE': 'the whole machine ran out of memory',
    'CONSTRAINT_CPUSET': 'the memory nodes of its cpuset were used up',
    'CONSTRAINT_MEMORY_POLICY': 'the memory nodes of its memory policy were used up',
}


def level(kill: OomKill) -> Level:
    """Return ERROR for a victim of a negative group, WARN for others, OK from before."""
    if kill.before_start:
        return Level.OK
    return Level.ERROR if kill.wanted is not None and kill.wanted < 0 else Level.WARN


def compose(kills: Kills, sample: Sample, settings: Settings) -> Status:
    """Return the status; a kill keeps it raised for kills.hold_s."""
    held = [s for s in kills.seen if not s.kill.before_start
            and sample.monotonic_s - s.seen_s < settings.kills_hold_s]
    raised = max((level(s.kill) for s in held), default=Level.OK)
    worst = [s for s in held if level(s.kill) == raised]
    last = worst[-1] if worst else kills.seen[-1] if kills.seen else None
    return Status(NAME, raised, _message(kills, worst, held), (
        ('since boot', _since_boot(sample)), ('since start', str(kills.since_start)),
        *_facts(last),
        ('kernel log', kills.source),
        ('a better source', '; '.join(kills.better) or 'not needed'),
        ('missed messages', str(kills.missed)),
        ('incident folder', kills.incident),
        ('incident trouble', kills.trouble or NONE)))


def one(seen: SeenKill) -> Status:
    """Return the status that tells one kill on ~/oom_kills and in the log."""
    parts = [told(seen.kill)]
    if seen.eaters:
        parts.append(f'most memory had {listed(seen.eaters)}')
    return Status(NAME, level(seen.kill), sentence(parts),
                  (*_facts(seen), ('before start', str(seen.kill.before_start).lower())))


def _message(kills: Kills, worst: list[SeenKill], held: list[SeenKill]) -> str:
    if worst:
        more = len(held) - 1
        parts = [told(worst[-1].kill), *([f'{more} more a moment ago'] if more > 0 else ())]
    elif kills.since_start:
        parts = [f'no recent OOM kill, {kills.since_start} since the sentinel started']
    else:
        parts = ['no OOM kill since the sentinel started']
    if kills.missed:
        parts.append(f'{kills.missed} kernel messages were missed')
    return sentence(parts)


def told(kill: OomKill) -> str:
    """Return one kill in words."""
    at = '' if kill.time is None else f' at {_clock(kill.time)}'
    start = 'the kernel killed' if kill.certainty != INFERRED else (
        'a counter shows an OOM kill, probably of')
    protected = protection(kill)
    return f'{start} {victim(kill)}{at} because {why(kill)}; {protected[0]}'


def victim(kill: OomKill) -> str:
    """Return the victim as an operator knows it: nodes, program, PID."""
    if kill.victim_pid is None and kill.victim_comm is None:
        return 'a process that is not known'
    program = kill.victim_comm or 'a program without a name'
    inside = f'PID {kill.victim_pid}' if kill.victim_pid is not None else 'PID unknown'
    if kill.node_names:
        return f'{listed(kill.node_names, 3)} ({program}, {inside})'
    return f'{program} ({inside})'


def why(kill: OomKill) -> str:
    """Return why the kernel killed."""
    if kill.constraint == 'CONSTRAINT_MEMCG' or kill.oom_memcg is not None:
        group = 'a control group' if kill.oom_memcg is None else (
            f'control group {kill.oom_memcg}')
        return f'{group} reached its memory limit'
    return WHY.get(kill.constraint or '', 'of a reason that is not told')


def protection(kill: OomKill) -> tuple[str, str]:
    """Return whether the victim was protected: for the message, and for the value."""
    adj = '' if kill.oom_score_adj is None else f'oom_score_adj {kill.oom_score_adj}'
    if kill.before_start:
        return 'that was before the sentinel started', adj or UNTOLD
    if kill.wanted is None or kill.group is None:
        words = 'no group protects it'
    elif kill.wanted >= 0:
        words = f'it is expendable in group {kill.group}'
    elif kill.oom_score_adj is not None and kill.oom_score_adj > kill.wanted:
        words = f'group {kill.group} wants {kill.wanted} for it, which it did not have'
    else:
        words = f'group {kill.group} protected it'
    return words, words + (f' ({adj})' if adj else '')


def _facts(seen: SeenKill | None) -> tuple[tuple[str, str], ...]:
    if seen is None:
        return tuple((key, NONE) for key in (
            'when', 'victim', 'nodes', 'group', 'why', 'control group', 'asked for memory',
            'victim held (MiB)', 'what ate the memory', 'protected', 'how sure', 'node found',
            'source'))
    kill = seen.kill
    held = [b for b in (kill.anon_rss_bytes, kill.file_rss_bytes, kill.shmem_rss_bytes)
            if b is not None]
    return (
        ('when', UNTOLD if kill.time is None else _clock(kill.time, True)),
        ('victim', victim(kill)), ('nodes', listed(kill.node_names)),
        ('group', kill.group or NONE), ('why', sentence((why(kill),))),
        ('control group', kill.task_memcg or UNTOLD),
        ('asked for memory', kill.trigger_comm or UNTOLD),
        ('victim held (MiB)', f'{sum(held) / MIB:.0f}' if held else UNTOLD),
        ('what ate the memory', listed(seen.eaters) if seen.eaters else UNTOLD),
        ('protected', protection(kill)[1]),
        ('how sure', kill.certainty), ('node found', seen.matched or NONE),
        ('source', kill.source or UNTOLD))


def _clock(wall_s: float, date: bool = False) -> str:
    """Return a time in UTC, which robots and their logs agree on."""
    at = datetime.fromtimestamp(wall_s, timezone.utc)
    return at.strftime('%Y-%m-%d %H:%M:%S UTC' if date else '%H:%M:%S UTC')


def _since_boot(sample: Sample) -> str:
    if isinstance(sample.vmstat, Unavailable):
        return str(sample.vmstat)
    count = sample.vmstat.oom_kill
    return 'unavailable (counted since Linux 4.13)' if count is None else str(count)
