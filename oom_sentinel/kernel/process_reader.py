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

"""Reads one process, if it is there and not denied: identity, program and what it holds."""

from bisect import bisect_right
from collections.abc import Collection
from dataclasses import dataclass
from dataclasses import replace
import errno
from sys import intern

from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.host import INITIAL_PID_NAMESPACE
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.kernel import process_files
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import program
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.files import status
from oom_sentinel.kernel.files.error import signed
from oom_sentinel.kernel.root import CaptureError
from oom_sentinel.kernel.root import Root

# A young process may still change its user, its control group and, by exec, its program.
YOUNG_S = 5.0
# It is looked at again 0.2 s after its start and then at four times its age, three times in all.
YOUNG_LOOK_S, YOUNG_SHARE = 0.15, 3.0
EXE_SHARE = 0.1  # of its age passes between two looks whether it runs another program
# A Python node maps librcl some 0.3 to 2 s after its start; a later look finds slow boards.
MAPS_AFTER_S = (0.5, 2.0, 10.0, 60.0)
# The first release whose oom_badness() counts the exact resident memory (get_mm_rss_sum); asked
# of the kernels themselves by test/vm/probe: 6.19.14 counts the approximate one, 7.0.13 not.
EXACT_BADNESS = (7, 0)
# Errors of this process, not of the one that is read: the table must not seem empty then.
OWN_ERRORS = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM))


@dataclass(slots=True)
class Entry:
    """A known process, with when and how its program was read."""

    inode: int
    process: Process
    since_s: float  # when it began this program, in monotonic seconds
    exe: str | None = None
    read_s: float = NEVER_S  # when it was read or found unchanged last
    maps_reads: int = 0
    maps_librcl: bool = False
    maps_work: int = -1  # page faults and ticks when its maps were read last
    work: int = -1  # page faults and ticks, and pages, when /proc/PID/status was read last
    rss_pages: int = 0
    exe_s: float = NEVER_S  # when its executable was compared last
    resident: int | None = None  # pages by /proc/PID/statm, when that was read last
    just_read: stat.TaskStat | None = None  # with which its memory is read the first time


class ProcessReader:
    """Reads processes of a root into entries; remembers only programs, each once."""

    def __init__(self, root: Root, cgroups: MemoryCgroups, ros_prefixes: tuple[str, ...]) -> None:
        """Read nothing yet."""
        self.root = root
        self.cgroups = cgroups
        self.ros_prefixes = ros_prefixes
        self.malformed = 0  # processes with a bad file
        self.launched: dict[Identity, tuple[str, ...]] = {}  # node names that launches know
        host = root.host()
        self._page_size, self._clock_ticks = host.page_size, host.clock_ticks
        self._exact_badness = host.kernel_version >= EXACT_BADNESS
        self._programs: dict[Program, Program] = {}  # one object for equal programs
        self._cgroups_read: dict[bytes, str | None] = {}  # contents of /proc/PID/cgroup -> path
        self._pid_namespace = root.link('/proc/self/ns/pid')

    @property
    def initial_pid_namespace(self) -> bool:
        """Return whether the PIDs here are those that the kernel prints in its log."""
        return self._pid_namespace in (None, INITIAL_PID_NAMESPACE)

    def begin(self) -> None:
        """Begin a reading of several processes: of equal control groups one is looked up."""
        self._cgroups_read = {}

    def keep_programs(self, entries: Collection[Entry]) -> None:
        """Forget the programs of processes that are gone, now and then."""
        if len(self._programs) > 2 * len(entries) + 64:
            self._programs = {e.process.program: e.process.program for e in entries}

    def _handle(self, error: OSError | ParseError) -> None:
        """Return for a process that is gone or denied, and count a malformed one; else raise."""
        if isinstance(error, ParseError):
            if not self.root.live:
                raise CaptureError(str(error)) from error
            self.malformed += 1
        elif error.errno in OWN_ERRORS:
            raise error

    def _read_stat(self, pid: int) -> stat.TaskStat:
        name = f'/proc/{pid}/stat'
        return stat.parse(self.root.read(name), name)

    def is_same(self, entry: Entry, inode: int) -> bool:
        """Compare the start time of a process whose inode changed, and keep the new number."""
        try:
            found = self._read_stat(entry.process.pid)
        except (OSError, ParseError) as error:
            self._handle(error)
            return False
        entry.inode = inode
        return found.start_time == entry.process.start_time

    def first_read(self, pid: int, inode: int, now_s: float,
                    boottime_s: float | None) -> Entry | None:
        """
        Read the identity of a new process, None when it is gone already or unreadable.

        :param boottime_s: the clock that gives its age; None: it began its program just now.
        """
        try:
            found = self._read_stat(pid)
        except (OSError, ParseError) as error:
            self._handle(error)
            return None
        age_s = 0.0 if boottime_s is None else max(
            0.0, boottime_s - found.start_time / self._clock_ticks)
        same = None
        if not found.kernel_thread and self._pid_namespace is not None:
            namespace = self.root.link(f'/proc/{pid}/ns/pid')
            same = None if namespace is None else namespace == self._pid_namespace
        return Entry(inode, Process(
            pid, found.start_time, found.ppid, 0, Program(found.comm), state=found.state,
            kernel_thread=found.kernel_thread, same_pid_namespace=same,
            initial_init=pid == 1 and self.initial_pid_namespace), now_s - age_s, just_read=found)

    def read_program(self, entry: Entry, now_s: float) -> bool:
        """Read program and control group, False when the process is gone."""
        pid = entry.process.pid
        exe = intern(self.root.link(f'/proc/{pid}/exe') or '') or None
        first, new_exe, librcl = entry.read_s == NEVER_S, exe != entry.exe, entry.maps_librcl
        if new_exe and not first:
            entry.since_s, entry.maps_reads, entry.maps_librcl = now_s, 0, False
        entry.exe, entry.read_s, entry.exe_s = exe, now_s, now_s
        maps_were_due = self.maps_due(entry, now_s)
        try:
            if maps_were_due:
                entry.maps_reads = bisect_right(MAPS_AFTER_S, now_s - entry.since_s)
                entry.maps_librcl = process_files.maps_librcl(self.root, pid)
            if first or new_exe or maps_were_due or now_s - entry.since_s < YOUNG_S:
                entry.work = -1  # its user may be another one too
                words = process_files.command_line(self.root, pid)
                known = entry.process.program
                comm = known.comm  # it was read a moment ago with its identity
                if not first:
                    now = self._read_stat(pid)
                    comm = now.comm
                    entry.maps_work = now.work if maps_were_due else entry.maps_work
                if first or new_exe or librcl != entry.maps_librcl \
                        or (known.ros and known.ros_domain_id is None) \
                        or (comm, *words) != (known.comm, *known.cmdline):
                    entry.process = replace(
                        entry.process, program=self.classify(entry, comm, words))
        except (OSError, ParseError) as error:
            self._handle(error)
            return False
        self.read_cgroup(entry)
        return True

    def runs_another(self, entry: Entry, now_s: float) -> bool:
        """Return whether a young process runs another program, which one link says (4 us)."""
        if now_s - entry.exe_s < EXE_SHARE * (entry.exe_s - entry.since_s) \
                and not program.runs_others(entry.exe):
            return False
        entry.exe_s = now_s
        return self.root.link(f'/proc/{entry.process.pid}/exe') != entry.exe

    def young(self, entry: Entry, now_s: float) -> bool:
        """Return whether user, control group or program are to be read again soon or now."""
        return not entry.process.kernel_thread and (
            now_s - entry.since_s < YOUNG_S or self._maps_pending(entry))

    def due_again(self, entry: Entry, now_s: float) -> bool:
        """Return whether user, control group, program or maps are to be read again now."""
        if now_s - entry.since_s >= YOUNG_S:
            return self.maps_due(entry, now_s)
        return now_s - entry.read_s >= max(
            YOUNG_LOOK_S, YOUNG_SHARE * (entry.read_s - entry.since_s))

    def has_not_run(self, entry: Entry, now_s: float) -> bool:
        """
        Return whether a process has not run since it was read: its program and maps are the same.

        Its user, which takes no time to change, and its control group are read.
        """
        known = entry.process
        try:
            found = self._read_stat(known.pid)
            if (found.start_time, found.work, found.rss_pages, found.comm) != (
                    known.start_time, entry.work, entry.rss_pages, known.program.comm):
                return False
            maps_are_due = self.maps_due(entry, now_s)
            if process_files.user(self.root, known.pid) != known.uid:
                return False
            if maps_are_due and found.work != entry.maps_work \
                    and process_files.maps_librcl(self.root, known.pid):
                return False
        except (OSError, ParseError) as error:
            self._handle(error)
            return False
        if maps_are_due:
            entry.maps_reads = bisect_right(MAPS_AFTER_S, now_s - entry.since_s)
        entry.read_s, entry.maps_work = now_s, found.work if maps_are_due else entry.maps_work
        self.read_cgroup(entry)
        return True

    def _maps_pending(self, entry: Entry) -> bool:
        """Return whether librcl may still be mapped later."""
        return (self.root.live and entry.exe is not None and not entry.process.program.ros
                and entry.maps_reads < len(MAPS_AFTER_S))

    def read_cgroup(self, entry: Entry) -> None:
        """Read the control group; where it cannot be read, the known one stays."""
        path = self.cgroups.path_of(entry.process.pid, self._cgroups_read)
        if path is not None and path != entry.process.cgroup:
            entry.process = replace(entry.process, cgroup=intern(path))

    def maps_due(self, entry: Entry, now_s: float) -> bool:
        """Return whether to look for librcl in the maps of the process (40 us and more)."""
        return (self._maps_pending(entry)
                and now_s - entry.since_s >= MAPS_AFTER_S[entry.maps_reads])

    def with_launched_names(self, identity: Identity, found: Program) -> Program:
        """Return the program with the node names that a launch knows; they come first."""
        names = self.launched.get(identity, ())
        if all(name in found.node_names for name in names):
            return found
        return replace(found, node_names=tuple(dict.fromkeys(names + found.node_names)))

    def classify(self, entry: Entry, comm: str, words: list[str]) -> Program:
        """Return the program, the same object for equal ones."""
        found = self.with_launched_names(entry.process.identity, program.classify(
            comm, words, entry.exe, maps_librcl=entry.maps_librcl, ros_prefixes=self.ros_prefixes))
        if found.ros:
            found = replace(found, ros_domain_id=process_files.domain_id(
                self.root, entry.process.pid))
        return self._programs.setdefault(found, found)

    def read_memory(self, entry: Entry, score: bool) -> bool:
        """Read user, memory and values, False when the process is gone."""
        known = entry.process
        base = f'/proc/{known.pid}/'
        try:
            now, entry.just_read = entry.just_read or self._read_stat(known.pid), None
            if now.start_time != known.start_time:
                return False  # the PID belongs to another process now
            uid, memory = self._user_and_memory(entry, now, anew=score)
            adj = signed(base + 'oom_score_adj', self.root.read(base + 'oom_score_adj'),
                         -1000, 1000)
            points = signed(base + 'oom_score', self.root.read(base + 'oom_score'),
                            0, 1 << 31) if score else None
        except (OSError, ParseError) as error:
            self._handle(error)
            return False
        if (uid, now.ppid, now.state, memory, adj, points) != (
                known.uid, known.ppid, known.state, known.memory, known.oom_score_adj,
                known.oom_score):
            entry.process = replace(
                known, uid=uid, ppid=now.ppid, state=now.state, memory=memory,
                oom_score_adj=adj, oom_score=points)
        return True

    def _user_and_memory(self, entry: Entry, now: stat.TaskStat, *,
                         anew: bool) -> tuple[int, TaskMemory | None]:
        """Return uid and memory: those known, when it has not run and `anew` is false."""
        known = entry.process
        if not anew and (now.work, now.rss_pages, now.state) == (
                entry.work, entry.rss_pages, known.state):
            return known.uid, known.memory
        name = f'/proc/{known.pid}/status'  # costs more than the other files: 24 of 45 us
        found = status.parse(self.root.read(name), name)
        entry.work, entry.rss_pages = now.work, now.rss_pages
        if not found.has_memory:
            return found.uid, None
        rss = found.rss_bytes if self._exact_badness else now.rss_pages * self._page_size
        return found.uid, TaskMemory(
            rss, found.swap_bytes, found.page_table_bytes, found.file_bytes)
