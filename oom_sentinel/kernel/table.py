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

A listing of /proc carries each entry's inode number, and the inode lives as long as the
process: an unchanged number is the same process for no extra read (measured: 44 us for a
listing of 63, against 7 us for one stat file).  What a process runs is read once and again
only after an exec, which shows in /proc/PID/exe (2.7 us), or while it is young.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
import os

from oom_sentinel.facts.host import INITIAL_PID_NAMESPACE
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.kernel import running
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import program
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.files import status
from oom_sentinel.kernel.root import Root

YOUNG_S = 5.0
# A shell wrapper execs its node soon; after this age an exec is looked for only every
# SETTLED_EVERY_S, which spares a readlink per process and scan.
SETTLED_S = 30.0
SETTLED_EVERY_S = 10.0
# A Python node maps librcl some 0.3 to 2 s after its start; a later look catches slow boards.
MAPS_AFTER_S = (0.5, 2.0, 10.0, 60.0)


@dataclass(slots=True)
class _Entry:
    inode: int
    process: Process
    exe: str | None
    first_seen_s: float
    looked_s: float = float('-inf')
    maps_looks: int = 0
    maps_librcl: bool = False


class Table:
    """The processes of a root; keeps no descriptor, remembers who was there."""

    def __init__(self, root: Root, *, ros_prefixes: tuple[str, ...] = (),
                 cgroups: MemoryCgroups | None = None) -> None:
        """Start with nobody known."""
        self.root = root
        self.ros_prefixes = ros_prefixes
        self.cgroups = cgroups or MemoryCgroups(root)
        self._entries: dict[int, _Entry] = {}
        self._launched: dict[Identity, tuple[str, ...]] = {}
        self._pid_namespace = running.link(root, 'self', 'ns/pid')

    @property
    def initial_pid_namespace(self) -> bool:
        """Tell whether the PIDs here are those that the kernel prints in its log."""
        return self._pid_namespace in (None, INITIAL_PID_NAMESPACE)

    def _listing(self) -> list[tuple[int, int]]:
        with os.scandir(self.root.prefix + '/proc') as entries:
            return [(int(e.name), e.inode()) for e in entries if e.name.isdigit()]

    def young(self, now_s: float) -> bool:
        """Tell whether a process is so young that what it runs may still change."""
        return any(now_s - e.first_seen_s < 1.5 or self._maps_due(e, now_s - e.first_seen_s)
                   for e in self._entries.values() if not e.process.kernel_thread)

    def read(self, now_s: float = 0.0, *, everything: bool = True,
             tracked: frozenset[int] = frozenset(),
             scores: bool = False) -> tuple[Process, ...]:
        """
        Return the processes now.

        :param now_s: monotonic seconds, by which youth is told.
        :param everything: read each process's memory and oom_score_adj; else only those of
            `tracked` PIDs and of new ones, the others keep what was read last.
        :param scores: read /proc/PID/oom_score of all, else only of `tracked` PIDs.

        A process that vanishes between two reads is left out.
        """
        seen: dict[int, _Entry] = {}
        for pid, inode in self._listing():
            entry = self._entries.get(pid)
            fresh = entry is None or entry.inode != inode
            if fresh:
                entry = self._meet(pid, inode, now_s)
            if entry is None:
                continue
            if not entry.process.kernel_thread:
                if not self._look_again(entry, now_s, fresh):
                    continue
                wanted = everything or fresh or pid in tracked
                if wanted and not self._measure(entry, full=scores or pid in tracked):
                    continue
            seen[pid] = entry
        self._entries = seen
        return tuple(entry.process for entry in seen.values())

    def one(self, pid: int, cmdline: Sequence[str] = ()) -> Process | None:
        """
        Return a single process, None when it is gone; it is not remembered.

        :param cmdline: what it will run, when it is known better than from /proc: between
            fork and the last exec a process still runs its wrapper.
        """
        entry = self._meet(pid, 0, 0.0)
        if entry is None or not self._look_again(entry, 0.0, True) \
                or not self._measure(entry, full=False):
            return None
        if cmdline:
            entry.exe = None
            entry.process = replace(entry.process, program=self._program(
                entry, entry.process.program.comm, list(cmdline)))
        return entry.process

    def descendants(self, pid: int) -> tuple[int, ...]:
        """Return the children's PIDs, their children's and so on, the nearest first."""
        return running.descendants(self.root, pid)

    def learn(self, names: Mapping[Identity, tuple[str, ...]]) -> None:
        """Take the node names that launches know; they come before the command line's."""
        self._launched = dict(names)
        for entry in self._entries.values():
            if entry.process.identity in self._launched:
                entry.process = replace(entry.process, program=self._named(
                    entry.process.identity, entry.process.program))

    def _named(self, identity: Identity, found: Program) -> Program:
        names = self._launched.get(identity, ())
        if all(name in found.node_names for name in names):
            return found
        return replace(found, node_names=tuple(dict.fromkeys(names + found.node_names)))

    def meet(self, pids: Iterable[int], now_s: float) -> tuple[Process, ...]:
        """
        Read who these are that began a program, and return those that still live.

        Whoever was known under the PID is forgotten: exec makes another of it.
        """
        met = []
        for pid in pids:
            self._entries.pop(pid, None)
            inode = running.inode(self.root, pid)
            entry = None if inode is None else self._meet(pid, inode, now_s)
            if entry is not None and not entry.process.kernel_thread \
                    and self._look_again(entry, now_s, True) and self._measure(entry, False):
                self._entries[pid] = entry
                met.append(entry.process)
        return tuple(met)

    def strangers(self, now_s: float) -> tuple[int, ...]:
        """Return the PIDs not met yet, and those that run another program since."""
        found = []
        for pid, inode in self._listing():
            entry = self._entries.get(pid)
            if entry is None or entry.inode != inode or (
                    now_s - entry.first_seen_s < YOUNG_S and not entry.process.kernel_thread
                    and running.link(self.root, pid, 'exe') != entry.exe):
                found.append(pid)
        return tuple(found)

    def examine(self, low_bits: frozenset[int]) -> bool:
        """
        Look for librcl in processes with these low 16 bits that do not look like ROS.

        :returns: whether one of them does now; the next `read` returns it so.
        """
        return self._look_for_librcl([
            entry for pid, entry in self._entries.items()
            if pid & 0xFFFF in low_bits and not entry.process.program.ros
            and not entry.process.kernel_thread])

    def ripen(self, now_s: float) -> bool:
        """Look for librcl where that is due; tell whether one turned out to be ROS."""
        return self._look_for_librcl([
            entry for entry in self._entries.values() if not entry.process.kernel_thread
            and self._maps_due(entry, now_s - entry.first_seen_s)])

    def _look_for_librcl(self, entries: list[_Entry]) -> bool:
        for entry in entries:
            entry.maps_looks += 1
            entry.maps_librcl = running.maps_librcl(self.root, entry.process.pid)
            if entry.maps_librcl:
                known = entry.process.program
                entry.process = replace(entry.process, program=self._program(
                    entry, known.comm, list(known.cmdline)))
        return any(entry.maps_librcl for entry in entries)

    def refresh(self, pids: Iterable[int]) -> bool:
        """Read these processes' memory and values anew; tell whether a value or a life ended."""
        changed = False
        for pid in pids:
            entry = self._entries.get(pid)
            if entry is None:
                changed = True
                continue
            before = entry.process
            if not self._measure(entry, full=True) or (
                    entry.process.oom_score_adj, entry.process.state) != (
                    before.oom_score_adj, before.state):
                changed = True
        return changed

    def _meet(self, pid: int, inode: int, now_s: float) -> _Entry | None:
        """Read who a new process is, None when it is gone already or unreadable."""
        try:
            found = stat.parse(self.root.read(f'/proc/{pid}/stat'), f'/proc/{pid}/stat')
        except (OSError, ParseError):
            return None
        process = Process(pid, found.start_time, found.ppid, 0, Program(found.comm),
                          state=found.state, kernel_thread=found.kernel_thread)
        if found.kernel_thread:
            return _Entry(inode, process, None, now_s)
        namespace = running.link(self.root, pid, 'ns/pid')
        same = None if namespace is None or self._pid_namespace is None else (
            namespace == self._pid_namespace)
        process = replace(process, same_pid_namespace=same)
        return _Entry(inode, process, None, now_s)

    def _look_again(self, entry: _Entry, now_s: float, fresh: bool) -> bool:
        """Classify a process when it is new, young, or runs another program than before."""
        age = now_s - entry.first_seen_s
        if age > SETTLED_S and now_s - entry.looked_s < SETTLED_EVERY_S and not fresh:
            return True
        entry.looked_s = now_s
        pid = entry.process.pid
        exe = running.link(self.root, pid, 'exe')
        if not fresh and exe == entry.exe and age >= YOUNG_S and not self._maps_due(entry, age):
            return True
        if exe != entry.exe:
            entry.maps_looks, entry.maps_librcl = 0, False
        entry.exe = exe
        try:
            raw = self.root.read(f'/proc/{pid}/cmdline')
            comm = stat.text(self.root.read(f'/proc/{pid}/comm').rstrip(b'\n'))
        except OSError:
            return False
        words = [stat.text(word) for word in raw.rstrip(b'\0').split(b'\0')] if raw else []
        if self._maps_due(entry, age):
            entry.maps_looks += 1
            entry.maps_librcl = running.maps_librcl(self.root, pid)
        entry.process = replace(
            entry.process, program=self._program(entry, comm, words),
            cgroup=self.cgroups.path_of(pid) or entry.process.cgroup)
        return True

    def _program(self, entry: _Entry, comm: str, words: list[str]) -> Program:
        found = program.classify(comm, words, entry.exe, maps_librcl=entry.maps_librcl,
                                 ros_prefixes=self.ros_prefixes)
        found = self._named(entry.process.identity, found)
        return replace(found, ros_domain_id=running.domain_id(
            self.root, entry.process.pid)) if found.ros else found

    def _maps_due(self, entry: _Entry, age: float) -> bool:
        """Tell whether to look for librcl in what the process maps (40 us and more)."""
        if (entry.process.program.ros and not entry.maps_librcl) or entry.maps_librcl:
            return False
        if not self.root.live or entry.exe is None:
            return False
        looks = entry.maps_looks
        return looks < len(MAPS_AFTER_S) and age >= MAPS_AFTER_S[looks]

    def _measure(self, entry: _Entry, full: bool) -> bool:
        """Read what a process holds and its values, False when it is gone."""
        pid = entry.process.pid
        base = f'/proc/{pid}/'
        try:
            now = status.parse(self.root.read(base + 'status'), base + 'status')
            adj = int(self.root.read(base + 'oom_score_adj'))
            score = int(self.root.read(base + 'oom_score')) if full else None
        except (OSError, ParseError, ValueError):
            return False
        entry.process = replace(
            entry.process, uid=now.uid, ppid=now.ppid, state=now.state, memory=now.memory,
            oom_score_adj=adj, oom_score=score)
        return True
