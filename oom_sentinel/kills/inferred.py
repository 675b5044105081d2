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

"""
Reports of kills that no log told: the process that each one took, or how many it may have been.

Pure: counted kills and the processes that vanished go in.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.sample import Sample
from oom_sentinel.kills.circumstances import short_group
from oom_sentinel.kills.counters import CountedKill
from oom_sentinel.kills.counters import DEATH_S
from oom_sentinel.kills.counters import infer
from oom_sentinel.kills.known_processes import Known

SOURCE = 'counters'
NOT_SEEN = 'unknown: a counter rose and no known process is missing'
POSSIBLE_MAX = 5


@frozen
class InferredKill:
    """A report for counted kills; `known` is the victim, `possible` who else it may have been."""

    kill: OomKill
    counted: tuple[CountedKill, ...]
    how: str
    known: Known | None = None
    possible: tuple[Known, ...] = ()


def due_reports(
        untold: Iterable[CountedKill], now_s: float, grace_s: float, *,
        missing: Sequence[Known], killed: Callable[[Known], bool | None],
        counted_in: Callable[[Known, str | None], bool],
        unseen: Callable[[str | None, float], int], sample: Sample) -> list[InferredKill]:
    """
    Return the reports that can be made now; the others wait for their victim's death.

    :param untold: the counted kills without a record; only those whose grace has passed are
        told, but victims of the later ones may be dead already.
    :param missing: processes that vanished since the first of them.
    :param killed: returns whether a process died by signal 9, None where it is unknown.
    :param counted_in: returns whether a kill of a process counts in this control group.
    :param unseen: returns how many processes of a group died by signal 9 since a time that
        were never read.
    """
    groups: dict[str | None, list[CountedKill]] = {}
    for counted in untold:
        groups.setdefault(counted.group, []).append(counted)
    found = []
    for group, kills in groups.items():
        due = [c for c in kills if now_s - c.counted_s >= grace_s]
        if not due:
            continue
        candidates = [k for k in missing if counted_in(k, group) and _in_time(k, kills)
                      and killed(k) is not False]
        inference = infer(len(kills), candidates, killed, unseen(group, kills[0].after_s))
        for known in inference.named[:len(due)]:
            found.append(_named(known, due.pop(0), sample))
        late = [c for c in due if inference.possible
                or now_s - c.counted_s >= grace_s + DEATH_S]
        if late:
            found.append(_unnamed(late, inference.possible, inference.by_signal, sample))
    return found


def _in_time(known: Known, kills: Sequence[CountedKill]) -> bool:
    """Return whether a process vanished when one of these kills could have taken it."""
    return any((known.gone_s or 0.0) >= c.after_s and known.alive_s <= c.counted_s + DEATH_S
               for c in kills)


def _named(known: Known, counted: CountedKill, sample: Sample) -> InferredKill:
    how = f'inferred: the counter of {_where(counted.group)} rose and it died by signal 9'
    process = known.process
    kill = replace(
        _kill(counted, process.cgroup, sample), victim_pid=process.pid,
        victim_comm=process.program.comm, victim_uid=process.uid,
        oom_score_adj=process.oom_score_adj,
        page_table_bytes=None if process.memory is None else process.memory.page_table_bytes)
    return InferredKill(with_victim_facts(kill, known), (counted,), how, known)


def _unnamed(kills: Sequence[CountedKill], possible: tuple[Known, ...], by_signal: bool,
             sample: Sample) -> InferredKill:
    how = NOT_SEEN
    if possible:
        labels = [f'{k.process.label} (PID {k.process.pid})' for k in possible]
        more = len(labels) - POSSIBLE_MAX
        how = (f'unknown: {len(kills)} of {len(labels)} '
               f'process{"" if len(labels) == 1 else "es"} that '
               f'{"died by signal 9" if by_signal else "vanished"}: '
               + ', '.join(labels[:POSSIBLE_MAX]) + (f', +{more} more' if more > 0 else ''))
    return InferredKill(_kill(kills[0], kills[0].group, sample), tuple(kills), how,
                        possible=possible)


def _where(group: str | None) -> str:
    if group is None:
        return 'the machine'
    return 'this container' if group == '/' else f'control group {group}'


def _kill(counted: CountedKill, path: str | None, sample: Sample) -> OomKill:
    """Return a kill with what the counters show of its cause."""
    short = short_group(sample, path, counted.machine_short)
    constraint = None
    if short is not None:
        constraint = 'CONSTRAINT_MEMCG'
    elif counted.machine_short:
        constraint = 'CONSTRAINT_NONE'
    return OomKill(time=sample.wall_s, constraint=constraint, oom_memcg=short,
                   task_memcg=path if path is not None else counted.group, source=SOURCE,
                   certainty=INFERRED)


def with_victim_facts(kill: OomKill, known: Known) -> OomKill:
    """Return the kill with the node names and the group of its victim."""
    target = known.target
    return replace(kill, node_names=known.process.node_names,
                   group=None if target is None else target.group,
                   wanted=None if target is None or target.group is None else target.wanted)
