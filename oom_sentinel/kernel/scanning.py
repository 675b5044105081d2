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
When the process table is worth reading, and how much of it.

While memory is plentiful the whole table is read seldom: new processes are met all the same.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import replace
from operator import is_

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.table import period_for
from oom_sentinel.kernel.table import Table

# While memory is plentiful the whole table's memory is read this seldom, in seconds: it only
# feeds the kill order shown; new processes are met at every scan all the same.
PLENTIFUL_SWEEP_S = 60.0
WHOLE_SWEEPS = 8  # every so many sweeps reads also what rests
LISTING_S = 10.0  # a listing comes this often when something was forked, else with the sweep
DUE_SHARE = 0.95  # of the period: a cycle a little early still scans
# While a process starts, or memory is nearly used up, the table is read this often.
SOON_S = 0.4
EARLY_S = 0.05  # a look that comes so much too early still counts
WOKEN_PERIODS = 2.0  # what woke the node is reported first, but it delays a scan only once

NamesByPid = Mapping[int, tuple[str, ...]]
NO_NAMES: NamesByPid = {}


class Scanner:
    """Reads the table when that is due; `processes` is the result of the last reading."""

    def __init__(self, table: Table) -> None:
        """Read nothing yet."""
        self.table = table
        self.processes: tuple[Process, ...] = ()
        self.plentiful = False  # whether memory is so plentiful that a sweep may wait
        self.starting = False  # whether a process whose size matters is starting
        self.nearly_used_up = False  # whether so little memory is left that all is read often
        self.reports_execs = False  # whether every new program is reported by the kernel
        self.swept_s = self.listed_s = NEVER_S
        self._scanned_s = NEVER_S
        self._sweeps = 0
        self._last_pid: int | None = None
        self._taken: tuple[Process, ...] = ()  # as the table returned them
        self._reread: frozenset[int] = frozenset()
        self._names_changed = False
        self._graph: dict[int, tuple[str, ...]] = {}
        self._listed: dict[int, tuple[str, ...]] = {}

    def due(self, now_s: float, period_s: float, woken: bool) -> bool:
        """Return whether a reading is due."""
        return due(now_s, self._scanned_s, period_s * (WOKEN_PERIODS if woken else DUE_SHARE))

    @property
    def next_look_s(self) -> float | None:
        """Return when to read again before the next cycle, None when that need not be."""
        return self._scanned_s + SOON_S if self.nearly_used_up or self.starting else None

    def due_soon(self, now_s: float) -> bool:
        """Return whether a reading is due that cannot wait for the next cycle."""
        soon_s = self.next_look_s
        return soon_s is not None and now_s >= soon_s - EARLY_S

    def hasten(self, *, everything: bool = False) -> None:
        """Make a reading due at once; of the whole table when everything is asked for."""
        self._scanned_s = self.listed_s = NEVER_S
        if everything:
            self.swept_s = NEVER_S

    def set_graph_names(self, names: NamesByPid, listed: NamesByPid) -> bool:
        """
        Set the node names by PID that the ROS graph knows; return whether they changed.

        :param listed: those that component containers list themselves.
        """
        if dict(names) == self._graph and dict(listed) == self._listed:
            return False
        self._graph, self._listed = dict(names), dict(listed)
        self._names_changed = True
        self.hasten()
        return True

    def set_launched_names(self, names: Mapping[Identity, tuple[str, ...]]) -> None:
        """Set the node names that launches know."""
        self.table.set_launched_names(names)
        self.listed_s = NEVER_S

    def forked(self) -> bool:
        """Return, within microseconds, whether there may be a new process."""
        return self.table.root.last_pid() != self._last_pid

    def read(self, now_s: float, tracked: frozenset[int], *, new: bool = False,
             only: frozenset[int] | None = None) -> bool:
        """
        Read the table; return whether `processes` may be others than before.

        :param tracked: PIDs whose memory and values are read every time.
        :param new: the table has read new processes just now: take them over without reading
            the others, so that a new process gets its value at once however many there are;
            not before the first listing, when the table holds only the new ones.
        :param only: read of the known processes these PIDs alone, and which have ended.
        """
        self._reread = frozenset()
        if new and self.listed_s != NEVER_S:
            self._take(self.table.processes)
            return True
        if only is not None:
            return self._look(now_s, only)
        self._scanned_s = now_s
        if self._nothing_new(now_s, tracked):
            return False
        last_pid = self.table.root.last_pid()
        self.table.exec_events = self.reports_execs
        everything = not self.plentiful or self.nearly_used_up or self._sweep_due(now_s)
        asked_for = self.listed_s == NEVER_S
        plentiful = self.plentiful and not self.nearly_used_up and self.swept_s != NEVER_S
        processes = self.table.read(now_s, everything=everything, tracked=tracked,
                                    moved=plentiful and self._sweeps % WHOLE_SWEEPS != 0)
        changed = self._take(processes)
        self._last_pid, self.listed_s = last_pid, now_s
        self._reread = frozenset(p.pid for p in processes) if everything else tracked
        if everything:
            self.swept_s = now_s
            self._sweeps += 1
        return changed or asked_for or everything or self.starting

    def _look(self, now_s: float, pids: frozenset[int]) -> bool:
        """Read which processes began and ended, and these; a reading that was due stays due."""
        self._last_pid = self.table.root.last_pid()
        changed = self._take(self.table.read(now_s, everything=False, also=pids))
        self.listed_s, self._reread = now_s, pids
        return changed

    def take_reread(self) -> frozenset[int]:
        """
        Return, once, the PIDs whose memory the last reading read, also where it is unchanged.

        A process that holds the same as before is the same object, as one that was not read.
        """
        reread, self._reread = self._reread, frozenset()
        return reread

    def meet(self, fresh: Iterable[Process]) -> None:
        """Take over what the table has read, where one of these may soon be in the graph."""
        if self.listed_s != NEVER_S and any(process.program.ros for process in fresh):
            self._take(self.table.processes)

    def _sweep_due(self, now_s: float) -> bool:
        """Return whether all processes are to be read again although memory is plentiful."""
        return due(now_s, self.swept_s, period_for(len(self.processes), PLENTIFUL_SWEEP_S))

    def _take(self, processes: tuple[Process, ...]) -> bool:
        """Keep the processes with the node names of the graph; return if one is another."""
        same = len(processes) == len(self._taken) and all(map(is_, processes, self._taken))
        if same and not self._names_changed:
            return False
        self._taken, self._names_changed = processes, False
        self.processes = tuple(
            replace(p, graph_node_names=self._graph.get(p.pid, ()),
                    listed_node_names=self._listed.get(p.pid, ()))
            if p.pid in self._graph or p.pid in self._listed else p
            for p in processes)
        return True

    def _nothing_new(self, now_s: float, tracked: frozenset[int]) -> bool:
        """
        Return, while memory is plentiful, whether a listing would show nothing new.

        Without a fork there is no new process, and where execs are reported it was met then;
        the tracked ones are read all the same, so that a drift or a death is noticed within
        scan_period.
        """
        if not self.plentiful or self.starting or self.nearly_used_up or self._sweep_due(now_s):
            return False
        late = self.reports_execs and not due(now_s, self.listed_s, LISTING_S)
        if self.listed_s == NEVER_S or self.table.read_young_again(now_s) \
                or (self.forked() and not late):
            return False
        return not self.table.refresh(tracked)
