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
Which process a kill hit: by the kernel's PID or name, or by counters and exit codes.

Holds the processes known, how they ended and which counters rose.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
import math
import os

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.kill import SignalDeath
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.kernel.pidfds import ExitCodes
from oom_sentinel.kills import circumstances
from oom_sentinel.kills import inferred
from oom_sentinel.kills.circumstances import is_open_to_all
from oom_sentinel.kills.counter_reader import CounterReader
from oom_sentinel.kills.counter_reader import counters_of
from oom_sentinel.kills.counters import CountedKill
from oom_sentinel.kills.counters import Counters
from oom_sentinel.kills.counters import nearest
from oom_sentinel.kills.known_processes import COMM_BYTES
from oom_sentinel.kills.known_processes import Known
from oom_sentinel.kills.known_processes import KnownProcesses
from oom_sentinel.kills.known_processes import OUTSIDE

VICTIMS_MAX = 256
CLOCK_S = 0.1


class Attribution:
    """Names the victims of kills."""

    def __init__(self, *, foreign_pids: bool, reader: CounterReader | None,
                 exits: ExitCodes | None) -> None:
        """
        Start without processes.

        :param reader: reads the counters; None: a sample's own are used.
        :param exits: says how processes ended, where no exit events come.
        """
        self.known = KnownProcesses(foreign_pids=foreign_pids)
        self._reader = reader
        self._exits = exits
        # Set by the node where the kernel reports how processes end; None: it is not known.
        self.signal_deaths: Callable[[float], tuple[SignalDeath, ...] | None] = lambda since: None
        self.counters = Counters()
        self._victims: deque[Identity] = deque(maxlen=VICTIMS_MAX)
        self._number = 0

    @property
    def counts_machine(self) -> bool:
        """Return whether the machine's counter says anything about the processes here."""
        return self._reader is None or self._reader.machine_counts

    def read_counters(self, sample: Sample, again: bool) -> Counters:
        """Read the counters of the groups of all known processes; `again`: every one of them."""
        read = counters_of if self._reader is None else self._reader.read
        self.counters = read(sample, self.known.control_groups, again)
        return self.counters

    def remember_processes(self, processes: Iterable[Process],
                           targets: Iterable[Target], now_s: float) -> None:
        """Remember the processes of a scan, so that a victim has a name after its death."""
        targets = tuple(targets)
        self.known.update(processes, targets, now_s)
        if self._exits is not None and self.signal_deaths(now_s) is None:
            # The protected first, then the largest: the kernel takes those.
            grouped = {t.process.pid for t in targets if t.group is not None}
            self._exits.follow([p.identity for p in sorted(
                self.known.alive, key=lambda p: (
                    p.pid not in grouped, 0 if p.memory is None else -p.memory.rss_bytes))])

    def may_be(self, counted: CountedKill | None, at_s: float) -> Callable[[Known], bool]:
        """
        Return what must hold of a process that died to be the victim of a record.

        :param counted: the kill that a counter counted for the record; its victim lived when the
            counter was read before.
        :param at_s: when the record was read or later than that by its own time; a node that is
            late itself may have missed the victim before.
        """
        def fits(known: Known) -> bool:
            return (known.process.identity not in self._victims
                    and (known.gone_s is None or known.gone_s >= at_s
                         or (counted is not None and known.gone_s > counted.after_s))
                    and self._died_by_signal_9(known) is not False
                    and (not self.counters.groups or (
                        counted is not None and self._counted_in(known, counted.group))))
        return fits

    def has_died(self, kill: OomKill, counted: CountedKill | None, at_s: float) -> bool:
        """Return whether a process that may be this record's victim is gone."""
        return bool(self.known.died_like(kill, self.may_be(counted, at_s)))

    def fit(self, kill: OomKill) -> float:
        """Return how well a record fits what is known of the process it names; more is better."""
        if self.known.foreign_pids:
            return max((2.0 - _doublings(kill, k) for k in self.known.died_like(kill)),
                       default=-9.0)
        known = self.known.with_pid(kill.victim_pid, kill.victim_comm)
        if known is None:
            return -2.0
        ended = {True: 2.0, False: -8.0, None: 0.0}[self._died_by_signal_9(known)]
        return (sum((known.gone_s is not None,
                     kill.victim_comm == known.process.program.comm[:COMM_BYTES],
                     kill.victim_uid in (None, known.process.uid),
                     self.known.has_adj(known, kill.oom_score_adj)))
                + ended - min(1.0, _doublings(kill, known)))

    def _counted_in(self, known: Known, group: str | None) -> bool:
        """Return whether a kill of this process would count in this group, None: no group."""
        path, groups = known.process.cgroup, self.counters.groups
        if not groups:
            return group is None
        if path is None:
            return False
        if self.counters.hierarchical:
            return nearest(path, groups) == group
        if path in groups:  # v1 counts in the victim's own group alone
            return path == group
        return group is None and self._died_by_signal_9(known) is True  # its group is removed

    def _died_by_signal_9(self, known: Known) -> bool | None:
        """Return whether a process that is gone died by signal 9, None where it is unknown."""
        deaths = self.signal_deaths(known.alive_s - CLOCK_S)
        if deaths is not None:
            return any(d.pid == known.process.pid for d in deaths)
        signal = None if self._exits is None else self._exits.signal(known.process.identity)
        return None if signal is None else signal == 9

    def attributed(self, kill: OomKill, counted: CountedKill | None, at_s: float,
                   sample: Sample, now_s: float) -> SeenKill:
        """
        Return the kill with its names; of one from before the start no process is known.

        :param counted: the kill that a counter counted for this record.
        :param at_s: when the kernel killed, monotonic; somewhat earlier does no harm.
        """
        self._number += 1
        if kill.before_start:
            return SeenKill(kill, now_s, 'not known: before the sentinel started',
                            circumstances.largest_processes(self.known, kill, now_s),
                            self._number)
        known, how = self.known.find(kill, self.may_be(counted, at_s))
        if known is not None:
            self._victims.append(known.process.identity)
            kill = inferred.with_victim_facts(kill, known)
        elif how == OUTSIDE and counted is not None:
            known, how = circumstances.family_of(
                self.known, kill, counted.group, at_s) or (None, how)
            kill = kill if known is None else inferred.with_victim_facts(kill, known)
        elsewhere = circumstances.is_elsewhere(
            kill, None if known is None else known.process,
            tuple(self.known.alive), os.geteuid(),
            namespaced=not self.counts_machine, counted=counted is not None)
        return self._seen_kill(kill, known, how, sample, now_s, elsewhere)

    def unconfirmed(self, kill: OomKill, now_s: float) -> SeenKill:
        """Return a kill that only a text file reports; no process is taken for its victim."""
        self._number += 1
        return SeenKill(kill, now_s, 'not looked for: nothing confirms this kill',
                        number=self._number)

    def ended_by_program(self, kill: OomKill, sample: Sample, now_s: float) -> SeenKill:
        """Return a kill by another program with the names of its victim."""
        self._number += 1
        known = self.known.with_pid(kill.victim_pid, kill.victim_comm)
        how = 'unknown: the program names no known process' if known is None else 'by PID'
        if known is not None:
            kill = inferred.with_victim_facts(kill, known)
        if is_open_to_all(kill.source) and (known is None or known.gone_s is None):
            # Any program may write there, and nobody who is known has ended.
            kill = replace(kill, certainty=UNCONFIRMED)
        return self._seen_kill(kill, known, how, sample, now_s, elsewhere=False)

    def _seen_kill(self, kill: OomKill, known: Known | None, how: str, sample: Sample,
                   now_s: float, elsewhere: bool) -> SeenKill:
        process = None if known is None else known.process
        parents = () if process is None else self.known.parents(process)
        return SeenKill(
            kill, now_s, how, circumstances.largest_processes(self.known, kill, now_s),
            self._number,
            elsewhere=elsewhere, build=circumstances.is_build(kill, process, parents),
            limit_bytes=self._limit(kill.oom_memcg))

    def _limit(self, path: str | None) -> int | None:
        if path is None or self._reader is None or not self._reader.cgroups.exists(path):
            return None
        group = self._reader.cgroups.group(path)
        return group.limit_bytes if group.limit_bytes is not None else group.memsw_limit_bytes

    def infer(self, untold: tuple[CountedKill, ...], grace_s: float, sample: Sample,
              now_s: float) -> list[SeenKill]:
        """
        Return reports of kills that only a counter shows; they are marked as told.

        :param untold: counted kills without a record.
        :param grace_s: how long a log may take to show a kill.
        """
        found = []
        for told in inferred.due_reports(
                untold, now_s, grace_s, missing=self._missing(untold),
                killed=self._died_by_signal_9, counted_in=self._counted_in,
                unseen=self._unseen_deaths, sample=sample):
            self._number += 1
            for counted in told.counted:
                counted.told_as = self._number
            if told.known is not None:
                self._victims.append(told.known.process.identity)
            elsewhere = (told.known is None and not told.possible
                         and told.kill.task_memcg is None and bool(self.counters.groups))
            seen = self._seen_kill(told.kill, told.known, told.how, sample, now_s, elsewhere)
            found.append(replace(seen, count=len(told.counted)))
        return found

    def may_be_missing(self, untold: tuple[CountedKill, ...]) -> frozenset[int]:
        """Return the PIDs of the living processes that these kills may have taken."""
        groups = {counted.group for counted in untold}
        return frozenset(k.process.pid for k in self.known.living
                         if any(self._counted_in(k, group) for group in groups))

    def _missing(self, untold: tuple[CountedKill, ...]) -> list[Known]:
        since_s = min(c.after_s for c in untold) - CLOCK_S
        return [k for k in self.known.died_since(since_s)
                if k.process.identity not in self._victims]

    def _unseen_deaths(self, group: str | None, since_s: float) -> int:
        """
        Return how many processes of a group died by signal 9 since then that were never read.

        A process is in the group of its parent, as far as that is known.
        """
        unseen = [d for d in self.signal_deaths(since_s) or ()
                  if not self.known.was_known(d.pid)]
        parents = [self.known.with_pid(d.parent_pid, None) for d in unseen]
        return sum(1 for p in parents if p is not None and self._counted_in(p, group))

    @property
    def why_blind(self) -> str | None:
        """Return why no kill can be seen without a kernel log, None when counters show them."""
        if self.counters.machine is not None or self.counters.groups:
            return None
        return 'no kernel log is readable and no visible counter counts kills'

    @property
    def counted_here(self) -> int | None:
        """Return how many kills the visible groups count, None on a whole machine."""
        if self.counts_machine:
            return None
        groups = self.counters.groups
        if self.counters.hierarchical and '/' in groups:
            return groups['/'].oom_kill
        if not self.counters.hierarchical:
            return sum(g.oom_kill for g in groups.values())
        return sum(g.oom_kill for path, g in groups.items()
                   if nearest(path, groups.keys() - {path}) is None)

    def close(self) -> None:
        """Forget how processes end."""
        if self._exits is not None:
            self._exits.close()


def _doublings(kill: OomKill, known: Known) -> float:
    """Return how often the printed size must be doubled or halved to be the one read last."""
    printed, memory = kill.printed_rss_bytes, known.process.memory
    if not printed or memory is None or not memory.rss_bytes:
        return 0.0
    return abs(math.log2(printed / memory.rss_bytes))
