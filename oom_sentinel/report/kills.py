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

from collections.abc import Sequence
import re

from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.text import clock
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import sentence
from oom_sentinel.settings import Settings
from oom_sentinel.settings.outside import printable

NAME = 'OOM kills'
NONE = 'none'
NOT_PRINTED = 'unavailable (the report does not say)'
LISTED = 5
LABEL_MAX = 40  # a tree view cuts a message after some 60 characters
TEXT_MAX = 400
JUST_STARTED_S = 2.0
WHY = {
    'CONSTRAINT_NONE': 'the whole machine ran out of memory',
    'CONSTRAINT_CPUSET': 'the memory nodes of its cpuset were used up',
    'CONSTRAINT_MEMORY_POLICY': 'the memory nodes of its memory policy were used up',
}
CONTAINER = re.compile(r'/\Z|docker|libpod|podman|containerd|crio|kubepods|lxc|/machine\.slice')
BUILD = ('it was a job of a parallel build: build with MAKEFLAGS=-j1 and --executor sequential, '
         'or add swap')


def level(seen: SeenKill) -> Level:
    """
    Return ERROR for a victim of a negative group, WARN for others of this user, else OK.

    OK too where nothing confirms the kill: any program may write such a line to a log file.
    """
    if seen.kill.before_start or seen.elsewhere or seen.kill.certainty == UNCONFIRMED:
        return Level.OK
    wanted = seen.kill.wanted
    return Level.ERROR if wanted is not None and wanted < 0 else Level.WARN


def compose(kills: Kills, sample: Sample, settings: Settings) -> Status:
    """Return the status; a kill keeps it raised for kills.hold_s."""
    held = [s for s in kills.seen if not s.kill.before_start
            and sample.monotonic_s - s.seen_s < settings.kills_hold_s]
    raised = max(map(level, held), default=Level.OK)
    stalled = kills.stalled is not None and (
        kills.watched_s is None or kills.watched_s < settings.kills_hold_s)
    main = _most_important(held) or (kills.seen[-1] if kills.seen else None)
    return Status(NAME, max(raised, Level.WARN) if stalled else raised,
                  _joined(_message(kills, held, stalled)), (
        ('since boot', _since_boot(kills, sample)), ('since start', _since_start(kills)),
        *_facts(main), *_last(kills.seen),
        ('kernel log', kills.source),
        ('a better source', _better_source(kills, sample)),
        ('missed messages', str(kills.missed)),
        ('incident folder', kills.incident),
        ('incident trouble', kills.trouble or NONE),
        ('stall before the last start', kills.stalled or NONE)))


def _better_source(kills: Kills, sample: Sample) -> str:
    """Return why no better source is open, with what opens one: in a container only the host."""
    if kills.better and sample.surroundings.container is not None:
        whys = [why.partition(';')[0] for why in kills.better]
        return '; '.join((*whys, 'in a container the log of the kernel is read on the host'))
    return '; '.join(kills.better) or 'not needed'


def one(seen: SeenKill) -> Status:
    """Return the status that describes one kill on ~/oom_kills and in the log."""
    parts = [*_told(seen)]
    if seen.eaters:
        parts.append(f'most memory was used by {listed(list(map(printable, seen.eaters)))}')
    return Status(NAME, level(seen), _joined(parts),
                  (*_facts(seen), ('before start', str(seen.kill.before_start).lower())))


def _most_important(held: Sequence[SeenKill]) -> SeenKill | None:
    """Return the worst of the kills; of equal ones a node's before others, then the newest."""
    return max(held, default=None, key=lambda s: (
        level(s), not s.elsewhere, s.kill.certainty != UNCONFIRMED, bool(s.kill.node_names),
        s.number, s.seen_s))


def _joined(parts: Sequence[str]) -> str:
    """Return the parts as one sentence; the name of a victim keeps its spelling."""
    named = ' killed by the kernel' in parts[0] or ' ended by ' in parts[0]
    return '; '.join(parts) + '.' if named else sentence(parts)


def _message(kills: Kills, held: Sequence[SeenKill], stalled: bool) -> list[str]:
    parts: list[str] = []
    main = _most_important(held)
    elsewhere = [s for s in held if s.elsewhere]
    doubtful = [s for s in held if s.kill.certainty == UNCONFIRMED]
    if main is not None and main not in elsewhere and main not in doubtful:
        parts += _told(main)
        more = sum(s.count for s in held if s not in doubtful and not s.elsewhere) - main.count
        if more > 0:
            parts.append(f'{more} more recently')
    elif elsewhere:
        parts.append(f"no OOM kill of this user's processes; {len(elsewhere)} in other control "
                     f'groups, the last: {victim(elsewhere[-1].kill)}')
    elif kills.since_start:
        parts.append(f'no recent OOM kill, {kills.since_start} since the sentinel started')
    else:
        parts.append(_no_kill(kills))
    if doubtful:
        parts.append(_told(doubtful[-1])[0])
    if stalled and kills.stalled is not None:
        parts.append(kills.stalled)
    if kills.missed:
        parts.append(f'{kills.missed} kernel messages were missed')
    return parts


def _no_kill(kills: Kills) -> str:
    """Return what may be said without a kill: nothing where nobody watched."""
    if kills.counted_here:
        return (f'{kills.counted_here} OOM kill{"s" if kills.counted_here > 1 else ""} in this '
                'container before the sentinel started')
    if kills.watched_s is None:
        return 'one look cannot see new OOM kills: oom_sentinel kills lists those of the past'
    if kills.blind is not None:
        return f'OOM kills cannot be seen here: {kills.blind}'
    if kills.watched_s < JUST_STARTED_S:
        return ('the sentinel has just begun to watch for OOM kills'
                + ('; oom_sentinel kills lists those of before' if kills.seen else ''))
    return 'no OOM kill since the sentinel started'


def _told(seen: SeenKill) -> list[str]:
    """Return one kill in words, who and why within the first 60 characters."""
    kill = seen.kill
    at = '' if kill.time is None else f' at {clock(kill.time)}'
    if kill.kind is Killer.USERSPACE:
        named = label(kill) if kill.victim_comm else printable(kill.task_memcg or 'a process')
        parts = [f'{named} ended by {kill.program or "a program"}: {cause(seen)}',
                 f'{victim(kill)}{at}']
    elif kill.certainty == UNCONFIRMED:
        return [f'{printable(kill.source or "a log", TEXT_MAX)} says that {label(kill)} was '
                'killed, and nothing confirms it',
                f'{victim(kill)}{at}', 'any program may write such a line to that file']
    elif kill.certainty != INFERRED:
        parts = [f'{label(kill)} killed by the kernel: {cause(seen)}', f'{victim(kill)}{at}']
    elif kill.victim_pid is not None:
        parts = [f'{label(kill)} probably killed by the kernel: {cause(seen)}',
                 f'{victim(kill)}{at}', 'a counter shows the kill, no log names the victim']
    else:
        kills = '1 OOM kill' if seen.count == 1 else f'at least {seen.count} OOM kills'
        parts = [f'{kills} by the kernel: {cause(seen)}{at}',
                 f'a counter shows it, the victim is {seen.matched or "unknown"}']
    if kill.victim_pid is not None or kill.victim_comm is not None:
        parts.append(protection(kill)[0])
    if seen.build:
        parts.append(BUILD)
    if seen.elsewhere:
        parts.append("its control group holds none of this user's processes")
    return [printable(part, TEXT_MAX) for part in parts]


def label(kill: OomKill) -> str:
    """Return the victim's short name: its first node without the slash, else the program."""
    if kill.node_names:
        more = len(kill.node_names) - 1
        return printable(kill.node_names[0].lstrip('/'), LABEL_MAX) + (
            f' (+{more} nodes)' if more else '')
    return printable(kill.victim_comm or 'a process', LABEL_MAX)


def victim(kill: OomKill) -> str:
    """Return the victim as an operator knows it: nodes, program, PID."""
    if kill.victim_pid is None and kill.victim_comm is None:
        return 'an unknown process'
    program = printable(kill.victim_comm or 'a program without a name')
    inside = f'PID {kill.victim_pid}' if kill.victim_pid is not None else 'PID unknown'
    if kill.node_names:
        return f'{listed(list(map(printable, kill.node_names)), 3)} ({program}, {inside})'
    return f'{program} ({inside})'


def cause(seen: SeenKill) -> str:
    """Return why the kernel killed, with the limit that was reached."""
    kill = seen.kill
    if kill.oom_memcg is None or seen.limit_bytes is None:
        return printable(why(kill), TEXT_MAX)
    limit = f'{seen.limit_bytes / MIB:.0f} MiB'
    if CONTAINER.search(kill.oom_memcg):
        return f'container limit {limit} reached'
    return printable(why(kill), TEXT_MAX) + ('' if kill.cause is not None else f' of {limit}')


def why(kill: OomKill) -> str:
    """Return why the kernel killed: the report's own cause, else what the constraint says."""
    if kill.cause is not None:
        return kill.cause
    if kill.constraint == 'CONSTRAINT_MEMCG' or kill.oom_memcg is not None:
        group = 'a control group' if kill.oom_memcg is None else (
            f'control group {printable(kill.oom_memcg)}')
        return f'{group} reached its memory limit'
    if kill.certainty == INFERRED and kill.task_memcg is not None and kill.constraint is None:
        return f'a process in control group {printable(kill.task_memcg)}, cause unknown'
    return WHY.get(kill.constraint or '', 'cause unknown')


def protection(kill: OomKill) -> tuple[str, str]:
    """Return whether the victim was protected: for the message, and for the value."""
    adj = '' if kill.oom_score_adj is None else f'oom_score_adj {kill.oom_score_adj}'
    if kill.before_start:
        return 'that was before the sentinel started', adj or NOT_PRINTED
    if kill.wanted is None or kill.group is None:
        words = 'no group protects it'
    elif kill.wanted >= 0:
        words = f'it is expendable in group {kill.group}'
    elif kill.oom_score_adj is not None and kill.oom_score_adj > kill.wanted:
        words = f'group {kill.group} wants {kill.wanted} for it, but it did not have that value'
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
    facts = (
        ('when', NOT_PRINTED if kill.time is None else clock(kill.time, True)),
        ('victim', victim(kill)), ('nodes', listed(kill.node_names)),
        ('group', kill.group or NONE), ('why', sentence((cause(seen),))),
        ('control group', kill.task_memcg or NOT_PRINTED),
        ('asked for memory', kill.trigger_comm or NOT_PRINTED),
        ('victim held (MiB)', f'{sum(held) / MIB:.0f}' if held else NOT_PRINTED),
        ('what ate the memory', listed(seen.eaters) if seen.eaters else NOT_PRINTED),
        ('protected', protection(kill)[1]),
        ('how sure', kill.certainty), ('node found', seen.matched or NONE),
        ('source', kill.source or NOT_PRINTED))
    return tuple((key, printable(value, TEXT_MAX)) for key, value in facts)


def _last(seen: Sequence[SeenKill]) -> tuple[tuple[str, str], ...]:
    """Return the last five kills, the newest first."""
    newest = [f'{"" if s.kill.time is None else clock(s.kill.time, True) + ": "}'
              f'{victim(s.kill)}: {cause(s)}' for s in reversed(seen[-LISTED:])]
    newest += [NONE] * (LISTED - len(newest))
    return tuple((f'kill {number}' + (' (newest)' if number == 1 else ''),
                  printable(text, TEXT_MAX)) for number, text in enumerate(newest, 1))


def _since_start(kills: Kills) -> str:
    if kills.watched_s is None:
        return 'unavailable (not watched)'
    return f'unavailable ({kills.blind})' if kills.blind else str(kills.since_start)


def _since_boot(kills: Kills, sample: Sample) -> str:
    if kills.counted_here is not None:
        return f'{kills.counted_here} in the control groups of this container'
    if isinstance(sample.vmstat, Unavailable):
        return str(sample.vmstat)
    count = sample.vmstat.oom_kill
    return 'unavailable (counted since Linux 4.13)' if count is None else str(count)
