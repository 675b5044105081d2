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
The process table, read cheaply again and again.

A listing of /proc carries each entry's inode number.  An unchanged number is the same process
for no extra read (measured: 44 us for a listing of 63, against 7 us for one stat file); a
changed one is only a hint, because reclaim changes it too: then the start times are compared.
The program of a process is read once and again after an exec, which shows in /proc/PID/exe
(2.7 us), and while it is young: its user, control group and libraries may change then.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace
import os
from typing import TypeGuard

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel import process_files
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.process_reader import Entry
from oom_sentinel.kernel.process_reader import ProcessReader
from oom_sentinel.kernel.root import Root

# Control group and program of an older process are read again this often, which costs 25 us a
# process; less often where the kernel reports every exec, and where there are many processes.
SETTLED_PERIOD_S = 10.0
SETTLED_PERIOD_A_PROCESS_S = 0.08
SETTLED_PERIOD_WITH_EXEC_EVENTS_S = 120.0
PERIOD_A_PROCESS_S = 0.02


def period_for(processes: int, least_s: float) -> float:
    """Return how often to read so many processes: at least `least_s`, 100 s for 5000."""
    return max(least_s, PERIOD_A_PROCESS_S * processes)


class Table:
    """Reads the processes of a root and remembers them; keeps no descriptor open."""

    def __init__(self, root: Root, *, ros_prefixes: tuple[str, ...] = (),
                 cgroups: MemoryCgroups | None = None) -> None:
        """Read nothing yet."""
        self.root = root
        self.cgroups = cgroups or MemoryCgroups(root)
        self.exec_events = False  # whether `read_started` is called after every exec
        self._reader = ProcessReader(root, self.cgroups, ros_prefixes)
        self._entries: dict[int, Entry] = {}
        self._young: set[int] = set()  # PIDs whose program may still change without an exec

    @property
    def initial_pid_namespace(self) -> bool:
        """Return whether the PIDs here are those that the kernel prints in its log."""
        return self._reader.initial_pid_namespace

    @property
    def malformed(self) -> int:
        """Return how many processes the last reading left out because of a bad file."""
        return self._reader.malformed

    @property
    def processes(self) -> tuple[Process, ...]:
        """Return the processes as last read."""
        return tuple(entry.process for entry in self._entries.values())

    def _listing(self) -> list[tuple[int, int]]:
        """Return PID and inode number of every process."""
        with os.scandir(self.root.prefix + '/proc') as entries:
            return [(int(e.name), e.inode()) for e in entries if e.name.isdecimal()]

    def read(self, now_s: float = 0.0, *, everything: bool = True,
             tracked: frozenset[int] = frozenset(), scores: bool = False,
             moved: bool = False, also: frozenset[int] = frozenset()) -> tuple[Process, ...]:
        """
        Return the processes now.

        :param now_s: monotonic seconds, by which youth is judged.
        :param everything: read each process's memory and oom_score_adj; else only those of
            `tracked` PIDs and of young ones, the others keep what was read last.
        :param scores: read /proc/PID/oom_score of all, else only of `tracked` PIDs.
        :param moved: of everything leave out what holds as many pages as before; its parent and
            its oom_score_adj may be others.
        :param also: PIDs whose memory and oom_score_adj are read though not everything is.

        A process that vanishes between two reads is left out.
        :raises OSError: when this process cannot open files (EMFILE).
        :raises CaptureError: when a file of a captured tree is malformed.
        """
        self._reader.begin()
        self._reader.malformed = 0
        seen: dict[int, Entry] = {}
        boottime_s = self.root.boottime()
        for pid, inode in self._listing():
            entry = self._entries.get(pid)
            if not self._is_known(entry, inode):
                entry = self._reader.first_read(pid, inode, now_s, boottime_s)
            if entry is not None and self._read_again(
                    entry, now_s, pid in tracked, everything or pid in also, scores, moved):
                seen[pid] = entry
        self._entries = seen
        self._forget_gone()
        return self.processes

    def _is_known(self, entry: Entry | None, inode: int) -> TypeGuard[Entry]:
        """Return whether a listed process is the known one; a new inode is compared."""
        return entry is not None and (
            entry.inode == inode or self._reader.is_same(entry, inode))

    def _forget_gone(self) -> None:
        """Drop what is remembered of processes that are gone."""
        self._young &= self._entries.keys()
        self._reader.keep_programs(self._entries.values())

    def _read_again(self, entry: Entry, now_s: float, tracked: bool, everything: bool,
                    scores: bool, moved: bool) -> bool:
        """Read what may have changed of a known process, False when it is gone."""
        if entry.process.kernel_thread:
            return True
        again = entry.read_s == NEVER_S or tracked or (
            entry.process.pid in self._young and self._reader.due_again(entry, now_s))
        if (again or due(now_s, entry.read_s, self._settled_period_s)) \
                and not self._read_program(entry, now_s):
            return False
        if not again and not everything:
            return True
        if again or not moved:
            entry.resident = None
        elif self._holds_the_same(entry):
            return True
        return self._reader.read_memory(entry, scores or tracked)

    def _holds_the_same(self, entry: Entry) -> bool:
        """Return whether its pages are as many as before: 6 us, reading its memory takes 18."""
        before = entry.resident
        entry.resident = process_files.resident_pages(self.root, entry.process.pid)
        return entry.resident is not None and entry.resident == before

    def _read_program(self, entry: Entry, now_s: float) -> bool:
        """Read program and control group, False when the process is gone."""
        if not self._reader.read_program(entry, now_s):
            return False
        if self._reader.young(entry, now_s):
            self._young.add(entry.process.pid)
        else:
            self._young.discard(entry.process.pid)
        return True

    @property
    def _settled_period_s(self) -> float:
        """Return how often the program of an older process is read again."""
        if self.exec_events:
            return period_for(len(self._entries), SETTLED_PERIOD_WITH_EXEC_EVENTS_S)
        return min(SETTLED_PERIOD_WITH_EXEC_EVENTS_S,
                   max(SETTLED_PERIOD_S, SETTLED_PERIOD_A_PROCESS_S * len(self._entries)))

    def one(self, pid: int, cmdline: Sequence[str] = ()) -> Process | None:
        """
        Return a single process, None when it is gone; it is not remembered.

        :param cmdline: the command line that it will run, when it is known better than from
            /proc: between fork and the last exec a process still runs its wrapper.
        """
        entry = self._reader.first_read(pid, 0, 0.0, None)
        if entry is None or not self._reader.read_program(entry, 0.0) \
                or not self._reader.read_memory(entry, False):
            return None
        if cmdline:
            entry.exe = None
            entry.process = replace(entry.process, program=self._reader.classify(
                entry, entry.process.program.comm, list(cmdline)))
        return entry.process

    def descendants(self, pid: int) -> tuple[int, ...]:
        """Return the children's PIDs, their children's and so on, the nearest first."""
        return process_files.descendants(self.root, pid)

    def set_launched_names(self, names: Mapping[Identity, tuple[str, ...]]) -> None:
        """Use the node names that launches know; they come before those of command lines."""
        self._reader.launched = dict(names)
        for entry in self._entries.values():
            if entry.process.identity in self._reader.launched:
                entry.process = replace(entry.process, program=self._reader.with_launched_names(
                    entry.process.identity, entry.process.program))

    def read_started(self, pids: Iterable[int], now_s: float) -> tuple[Process, ...]:
        """
        Read processes that began a program, and return those that still live.

        What was known of such a PID is forgotten: its program is another one after an exec.
        """
        started = []
        self._reader.begin()
        for pid in pids:
            self._entries.pop(pid, None)
            self._young.discard(pid)
            # The next listing brings the inode.
            entry = self._reader.first_read(pid, 0, now_s, None)
            if entry is None or entry.process.kernel_thread:
                continue
            if self._read_program(entry, now_s) and self._reader.read_memory(entry, False):
                self._entries[pid] = entry
                started.append(entry.process)
        return tuple(started)

    def new_pids(self, now_s: float) -> tuple[int, ...]:
        """Return the PIDs that came since the last reading or run another program since."""
        found = []
        for pid, inode in self._listing():
            entry = self._entries.get(pid)
            if not self._is_known(entry, inode) or (
                    pid in self._young and self._reader.runs_another(entry, now_s)):
                found.append(pid)
        return tuple(found)

    def read_young_again(self, now_s: float) -> bool:
        """
        Read user, control group, program and maps of young processes where that is due.

        :returns: whether one of them changed; `processes` returns it as it is now.
        """
        changed = False
        self._reader.begin()
        for pid in tuple(self._young):
            entry = self._entries.get(pid)
            if entry is None:
                self._young.discard(pid)
                continue
            before = entry.process
            if not self._reader.due_again(entry, now_s):
                continue
            if self._reader.has_not_run(entry, now_s):
                changed = changed or entry.process.cgroup != before.cgroup
                if not self._reader.young(entry, now_s):
                    self._young.discard(pid)
                continue
            if not (self._read_program(entry, now_s) and self._reader.read_memory(entry, False)):
                self._entries.pop(pid)  # it has ended
                self._young.discard(pid)
            elif (before.uid, before.cgroup, before.program) != (
                    entry.process.uid, entry.process.cgroup, entry.process.program):
                changed = True
        return changed

    def look_for_librcl(self, low_bits: frozenset[int]) -> bool:
        """
        Look for librcl in processes with these low 16 bits that do not look like ROS.

        :returns: whether one of them does now; the next `read` returns it so.
        """
        found = False
        for pid, entry in self._entries.items():
            known = entry.process
            if pid & 0xFFFF in low_bits and not known.program.ros and not known.kernel_thread:
                entry.maps_librcl = process_files.maps_librcl(self.root, pid)
                if entry.maps_librcl:
                    found = True
                    entry.process = replace(known, program=self._reader.classify(
                        entry, known.program.comm, list(known.program.cmdline)))
        return found

    def refresh(self, pids: Iterable[int]) -> bool:
        """Read these processes' memory, values and control groups; return if one changed."""
        changed = False
        self._reader.begin()
        for pid in pids:
            entry = self._entries.get(pid)
            if entry is None:
                changed = True
                continue
            before = entry.process
            if not self._reader.read_memory(entry, True):
                changed = True
                continue
            self._reader.read_cgroup(entry)
            now = entry.process
            if (now.oom_score_adj, now.state, now.uid, now.cgroup) != (
                    before.oom_score_adj, before.state, before.uid, before.cgroup):
                changed = True
        return changed
