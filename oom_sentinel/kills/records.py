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
The kernel's records of kills, from the log until they are confirmed and can be told.

Any program may write to a plain syslog file (logger -t kernel), so a line there may be forged.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace

from oom_sentinel import kernel
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.kernel.process_files import started_s
from oom_sentinel.kills.attribution import Attribution
from oom_sentinel.kills.circumstances import is_open_to_all
from oom_sentinel.kills.counters import CountedKill
from oom_sentinel.kills.counters import DEATH_S
from oom_sentinel.kills.counters import UnexplainedKills
from oom_sentinel.kills.told import ToldKills

Rescan = Callable[[frozenset[int] | None], None]  # of these PIDs, or None: of all
STAMP_S = 1.0  # syslog's stamps are whole seconds


def confirmed(kill: OomKill, *, victim_lives: bool, counted: bool | None) -> OomKill:
    """
    Return a kill of a text file, unconfirmed where something speaks against it.

    :param victim_lives: the process with the victim's PID lives and started before the kill.
    :param counted: whether the kernel's counters counted a kill; None: there are none.
    """
    if victim_lives or counted is False:
        return replace(kill, certainty=UNCONFIRMED)
    return kill


def victim_lives(root: kernel.Root, kill: OomKill, now_s: float) -> bool:
    """
    Return whether the process with the victim's PID lives and started before the kill.

    :param now_s: the wall clock, as in the kill's time.
    """
    since_boot_s = root.boottime()
    if kill.victim_pid is None or kill.time is None or since_boot_s is None:
        return False
    started = started_s(root, kill.victim_pid)
    return started is not None and now_s - since_boot_s + started < kill.time - STAMP_S


# How much later than the kill its record is read: what was missing before that was no victim.
READ_S, READ_OTHER_S = 0.2, 2.0
# How long a large process may take to end after it was killed.
ENDING_S = 5.0
# How long records wait for a better one: where any program may write, where no group is named.
FORGED_S, NO_GROUP_S = 1.0, 0.3
# How far from the time of its counting a record's time may be, where any program may write.
LATE_S = 10.0


@frozen
class Record:
    """
    A kill that the log told, what counted it, and when it was read (monotonic).

    It happened at `killed_s` by the record's own time, at `at_s` or later in any case.
    """

    kill: OomKill
    counted: CountedKill | None
    at_s: float
    read_s: float
    killed_s: float

    @property
    def doubtful(self) -> bool:
        """Return whether any program could have written this record."""
        return not self.kill.before_start and is_open_to_all(self.kill.source)


def _concerns(record: Record, at_stake: frozenset[str]) -> bool:
    """Return whether a kill happened in one of these control groups, or where is unknown."""
    path = record.kill.task_memcg if record.counted is None else record.counted.group
    return path is None or path in at_stake or record.kill.oom_memcg in at_stake


class Records:
    """Matches the records of the log with the counted kills, and holds those that wait."""

    def __init__(self, attribution: Attribution, unexplained: UnexplainedKills, told: ToldKills,
                 lives: Callable[[OomKill], bool]) -> None:
        """
        Start without records.

        :param lives: returns whether the victim of a kill still lives.
        """
        self._attribution = attribution
        self._unexplained = unexplained
        self._told = told
        self._lives = lives
        self._waiting: list[Record] = []

    def add(self, kills: Iterable[OomKill], source: str, now_s: float, wall_s: float) -> None:
        """Match each new record with the counted kill that it is about."""
        for kill in kills:
            counted, at_s = None, now_s
            if not kill.before_start:
                at_s = now_s if kill.time is None else now_s - (wall_s - kill.time)
                if self._hold_s(kill) == 0.0:
                    counted = self._explained(kill, at_s)
            if not self._told.is_repeated(kill, [r.kill for r in self._waiting]):
                slack_s = READ_S if source == 'kmsg' else READ_OTHER_S
                self._waiting.append(Record(kill, counted, at_s - slack_s, now_s, at_s))

    def _hold_s(self, kill: OomKill) -> float:
        """Return how long a record waits for one that fits a counted kill better than it does."""
        if kill.before_start:
            return 0.0
        if is_open_to_all(kill.source):
            return FORGED_S
        # It may be another container's: the kernel leaves lines out when many are killed.
        without_group = (self._attribution.known.foreign_pids and kill.task_memcg is None
                         and bool(self._attribution.counters.groups))
        return NO_GROUP_S if without_group else 0.0

    def _explained(self, kill: OomKill, at_s: float,
                   late_s: float = float('inf')) -> CountedKill | None:
        return self._unexplained.explain(
            kill.task_memcg, at_s, namespaced=not self._attribution.counts_machine, late_s=late_s)

    def _claim(self, waiting: list[Record], now_s: float) -> list[Record]:
        """
        Match the records that were held with the counted kills, the best fit first.

        Nothing is matched until one of the records has waited its time; then all are compared.
        """
        held = [index for index, record in enumerate(waiting)
                if record.counted is None and self._hold_s(record.kill)]
        if not any(now_s - waiting[i].read_s >= self._hold_s(waiting[i].kill) for i in held):
            return waiting
        held.sort(key=lambda i: -self._attribution.fit(waiting[i].kill))
        for index in held:
            record = waiting[index]
            if not self._victim_lives(record.kill) and not self._has_no_victim(record, now_s):
                late_s = LATE_S if record.doubtful else float('inf')
                waiting[index] = replace(record, counted=self._explained(
                    record.kill, record.killed_s, late_s))
        return waiting

    def _has_no_victim(self, record: Record, now_s: float) -> bool:
        """
        Return whether nobody has died yet whom a record without a control group may mean.

        Else another container's would take the counter of a kill whose own record comes later.
        """
        return (not record.doubtful and now_s - record.read_s < DEATH_S
                and not self._attribution.known.died_like(record.kill))

    def _victim_lives(self, kill: OomKill) -> bool:
        """Return whether the victim of a doubtful record lives; foreign PIDs say nothing."""
        return (is_open_to_all(kill.source)
                and not self._attribution.known.foreign_pids and self._lives(kill))

    def ready(self, now_s: float, rescan: Rescan, at_stake: frozenset[str]) -> Iterator[Record]:
        """
        Yield the records that can be told now, one after the other.

        In a PID namespace the death shows which process of the name was meant, if one of ours.
        A record that any program could have written waits for the victim's end and for others.

        :param at_stake: the control groups of our own processes and those above them.
        """
        waiting, self._waiting = self._waiting, []
        self._look_for_deaths(waiting, now_s, rescan, at_stake)
        for record in self._claim(waiting, now_s):
            if self._must_wait(record, now_s):
                self._waiting.append(record)
            elif record.doubtful:
                yield self._checked(record)
            else:
                yield record

    def _look_for_deaths(self, waiting: list[Record], now_s: float, rescan: Rescan,
                         at_stake: frozenset[str]) -> None:
        """
        Read the processes that the records may mean, where their end decides.

        Of a kill in a group at stake the whole table is read, once.
        """
        open_ = [record for record in waiting
                 if self._hold_s(record.kill) or self._may_be_ours(record)]
        if any(record.read_s == now_s and _concerns(record, at_stake) for record in open_):
            rescan(None)
        elif open_:
            rescan(frozenset(pid for record in open_
                             for pid in self._attribution.known.living_like(record.kill)))

    def _may_be_ours(self, record: Record) -> bool:
        """
        Return whether the end of one of our processes shows that a record means it.

        The kernel counts a kill before it prints it, so one that no group here has counted is
        another container's.
        """
        return self._attribution.known.foreign_pids and not record.kill.before_start and (
            record.counted is not None or not self._attribution.counters.groups
            or self._hold_s(record.kill) > 0.0)

    def _must_wait(self, record: Record, now_s: float) -> bool:
        waited_s = now_s - record.read_s
        if waited_s < self._hold_s(record.kill):
            return True
        if record.doubtful and waited_s < ENDING_S and self._victim_lives(record.kill):
            return True
        return (self._may_be_ours(record) and waited_s < DEATH_S
                and not self._attribution.has_died(record.kill, record.counted, record.at_s))

    def _checked(self, record: Record) -> Record:
        """Return a record that any program could have written, unconfirmed where it is so."""
        lives, counted = self._victim_lives(record.kill), record.counted
        counters = self._attribution.counters
        counting = counters.machine is not None or bool(counters.groups)
        kill = confirmed(
            record.kill, victim_lives=lives, counted=counted is not None if counting else None)
        return replace(record, kill=kill, counted=counted)
