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
Processes remembered beyond their death, so that the kernel's PID or name means a node.

Pure: it is given scans of the process table, and times.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain

from oom_sentinel.facts.cgroup import within
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target

# A robot starts some hundred processes an hour; 2000 records of 1 kB are 2 MB at most.  Of small
# programs, as scripts start them all the time, fewer are kept: the kernel kills large ones.
DEAD_MAX, SMALL_DEAD_MAX = 2000, 300
SMALL_BYTES = 4 * MIB
DEAD_KEPT_S = 600.0
MOMENT_S = 5.0
# A log may be that late.  Longer ago the PID may belong to a process that was never seen.
PID_KEPT_S = 60.0
COMM_BYTES = 15  # TASK_COMM_LEN less its end
# Of two victims of one name the sizes tell which is meant when the better one is within a
# tenth and the other is three times as far away, at least 8 MiB.
NEAR, FARTHER, FARTHER_BYTES = 0.1, 3, 8 * MIB

BY_PID = 'by PID'
BY_NAME = 'by name, since the kernel counts PIDs of another PID namespace'
BY_PLACE = 'by its place in the task table, since the kernel counts PIDs of another PID namespace'
BY_SIZE = 'by name and size, since the kernel counts PIDs of another PID namespace'
NOT_KNOWN = 'unknown: no known process had this PID'
AMBIGUOUS = ('unknown: kernel PIDs belong to another PID namespace and {} processes of this '
             'name are gone')
OF_PROGRAM = ('by name: one of {} processes of this program that are gone, since the kernel '
              'counts PIDs of another PID namespace')
OUTSIDE = ('unknown: kernel PIDs belong to another PID namespace and no known process of this '
           'name is gone')


@frozen
class Known:
    """
    A process as last read.

    It was alive at `alive_s` and missing at `gone_s` (monotonic), which is None while it lives.
    """

    process: Process
    target: Target | None
    gone_s: float | None = None
    alive_s: float = 0.0


class KnownProcesses:
    """The living processes and those that died in the last ten minutes."""

    def __init__(self, *, foreign_pids: bool = False) -> None:
        """
        Start without processes.

        :param foreign_pids: the kernel log counts PIDs of another namespace than ours.
        """
        self.foreign_pids = foreign_pids
        self._alive: dict[int, Process] = {}
        self._targets: dict[Identity, Target] = {}
        self._dead: deque[Known] = deque(maxlen=DEAD_MAX)
        self._small_dead: deque[Known] = deque(maxlen=SMALL_DEAD_MAX)
        self._updated_s = float('-inf')
        self._groups: dict[str, float] = {}  # control group -> when a process was there last
        # Set by the sentinel: the last values that it wrote to a process, newer than those read.
        self.written: Callable[[Identity], tuple[int, ...]] = lambda identity: ()

    def update(self, processes: Iterable[Process], targets: Iterable[Target],
               now_s: float) -> None:
        """
        Take a scan; a process that is missing in it has died.

        A zombie counts as dead, and so does a process that has given its memory back and is
        still listed.  Kernel threads have no memory and are left out.
        """
        alive = {p.pid: p for p in processes
                 if p.memory is not None and p.state not in ('Z', 'X')}
        for pid, last in self._alive.items():
            now = alive.get(pid)
            if now is None or now.start_time != last.start_time:
                self._bury(last, now_s)
        self._alive, self._updated_s = alive, now_s
        self._groups.update((p.cgroup, now_s) for p in alive.values() if p.cgroup is not None)
        self._groups = {path: at_s for path, at_s in self._groups.items()
                        if at_s > now_s - PID_KEPT_S}
        self._targets = {t.process.identity: t for t in targets}
        for dead in (self._dead, self._small_dead):
            while dead and now_s - (dead[0].gone_s or 0.0) > DEAD_KEPT_S:
                dead.popleft()

    def _bury(self, process: Process, now_s: float) -> None:
        """Keep a process that is found missing."""
        known = replace(self._living(process), gone_s=now_s)
        if process.cgroup is not None:
            self._groups[process.cgroup] = now_s
        memory = process.memory
        small = memory is not None and memory.rss_bytes + memory.swap_bytes < SMALL_BYTES \
            and known.target is None and not process.node_names
        (self._small_dead if small else self._dead).append(known)

    def add(self, met: Iterable[Process], now_s: float) -> None:
        """
        Take processes that began between two scans: they may not live until the next one.

        Of one that is dying, without memory and control group, what was read before is kept.
        """
        for process in met:
            last = self._alive.get(process.pid)
            if last is not None and last.start_time != process.start_time:
                self._bury(last, now_s)
            elif last is not None and process.memory is None:
                continue
            self._alive[process.pid] = process
            if process.cgroup is not None:
                self._groups[process.cgroup] = now_s

    def _living(self, process: Process) -> Known:
        return Known(process, self._targets.get(process.identity), alive_s=self._updated_s)

    @property
    def alive(self) -> Iterable[Process]:
        """Return the processes of the last scan as read then."""
        return self._alive.values()

    @property
    def living(self) -> tuple[Known, ...]:
        """Return the processes of the last scan."""
        return tuple(map(self._living, self._alive.values()))

    @property
    def control_groups(self) -> frozenset[str]:
        """Return the control groups of the living processes and of those that died lately."""
        return frozenset(self._groups)

    def was_known(self, pid: int) -> bool:
        """Return whether a process with this PID was ever read and is not forgotten."""
        return pid in self._alive or any(
            k.process.pid == pid for k in chain(self._dead, self._small_dead))

    def died_since(self, since_s: float) -> tuple[Known, ...]:
        """Return the processes that were found missing after this time."""
        return tuple(k for k in chain(self._dead, self._small_dead)
                     if (k.gone_s or 0.0) > since_s)

    def possible_victims(self, now_s: float, group: str | None = None) -> tuple[Known, ...]:
        """Return who lives or died a moment before this time, in this control group if given."""
        dead = self.died_since(now_s - MOMENT_S)
        if group is None:
            return (*self.living, *dead)
        return (*(self._living(p) for p in self._alive.values() if within(p.cgroup, group)),
                *(k for k in dead if within(k.process.cgroup, group)))

    def parents(self, process: Process) -> tuple[Process, ...]:
        """Return the parent of a process, its parent and so on, as far as they live."""
        found: list[Process] = []
        parent = self._alive.get(process.ppid)
        while parent is not None and parent not in found and parent.pid != process.pid:
            found.append(parent)
            parent = self._alive.get(parent.ppid)
        return tuple(found)

    def with_pid(self, pid: int | None, comm: str | None) -> Known | None:
        """Return the process that had this PID and name last, None when none is certain."""
        same = [k for k in self.died_since(self._updated_s - PID_KEPT_S) if k.process.pid == pid]
        same.sort(key=lambda k: k.gone_s or 0.0, reverse=True)
        if pid in self._alive:
            same.insert(0, self._living(self._alive[pid]))
        named = [k for k in same if _has_comm(k.process, comm)]
        if named:
            return named[0]
        # It may have renamed itself since the last scan: the PID alone then decides, as long as
        # only one process had it and that one lives or died a moment ago.
        if len(same) == 1 and (same[0].gone_s is None
                               or self._updated_s - same[0].gone_s < MOMENT_S):
            return same[0]
        return None

    def died_like(self, kill: OomKill,
                  may_be: Callable[[Known], bool] = lambda known: True) -> tuple[Known, ...]:
        """
        Return the processes that died a moment ago and may be this record's victim.

        Name, control group and oom_score_adj agree; the group is compared from its end, since
        a container sees only the end of what the kernel prints.

        :param may_be: what else must hold.
        """
        comm, path, adj = kill.victim_comm, kill.task_memcg, kill.oom_score_adj
        return tuple(
            k for k in self.died_since(self._updated_s - MOMENT_S)
            if comm is not None and _has_comm(k.process, comm)
            and (path is None or (k.process.cgroup is not None and path.endswith(
                k.process.cgroup.rstrip('/'))))
            and self.has_adj(k, adj) and may_be(k))

    def living_like(self, kill: OomKill) -> tuple[int, ...]:
        """Return the PIDs of the living processes that a record may mean."""
        return tuple(pid for pid, process in self._alive.items() if pid == kill.victim_pid or (
            kill.victim_comm is not None and _has_comm(process, kill.victim_comm)))

    def find(self, kill: OomKill,
             may_be: Callable[[Known], bool] = lambda known: True) -> tuple[Known | None, str]:
        """
        Return the process that the kernel killed, and how it was found or why not.

        :param may_be: in a PID namespace, what must hold of a process that died to be it.
        """
        if not self.foreign_pids:
            known = self.with_pid(kill.victim_pid, kill.victim_comm)
            return known, BY_PID if known is not None else NOT_KNOWN
        like = self.died_like(kill, may_be)
        if len(like) == 1:
            return like[0], BY_NAME
        if not like:
            return None, OUTSIDE
        placed, complete = self._by_place(kill, like, may_be)
        if placed is not None:
            return placed, BY_PLACE
        sized = _by_size(kill, like)
        if sized is not None:
            return sized, BY_SIZE
        if not complete and len({(k.process.program, k.target and k.target.group)
                                 for k in like}) == 1:
            return like[0], OF_PROGRAM.format(len(like))  # all of one name, a fork family
        return None, AMBIGUOUS.format(len(like))

    def _by_place(self, kill: OomKill, like: tuple[Known, ...],
                  may_be: Callable[[Known], bool]) -> tuple[Known | None, bool]:
        """
        Return the process whose place among those of its name is the victim's in the table.

        PIDs of both namespaces are given in the same order, so the tasks of a name sorted by
        PID are our processes of that name sorted by start.  It holds only when both are equally
        many, which comes back too, and agree in every oom_score_adj.
        """
        tasks = sorted((t for t in kill.tasks if t.name == kill.victim_comm),
                       key=lambda t: t.pid)
        ours = sorted((k for k in self.possible_victims(self._updated_s)
                       if _has_comm(k.process, kill.victim_comm)
                       and (k.gone_s is None or may_be(k))
                       and (kill.oom_memcg is None or k in like
                            or k.process.cgroup == like[0].process.cgroup)),
                      key=lambda k: (k.process.start_time, k.process.pid))
        complete = len(tasks) == len(ours)
        if complete and all(self.has_adj(k, t.oom_score_adj) for t, k in zip(tasks, ours)):
            for task, known in zip(tasks, ours):
                if task.pid == kill.victim_pid and known in like:
                    return known, True
        return None, complete

    def has_adj(self, known: Known, adj: int | None) -> bool:
        """Return whether a process may have this oom_score_adj: as read, or as we wrote it."""
        own = known.process.oom_score_adj
        return adj is None or own is None or adj == own or (
            known.target is not None and adj == known.target.value
        ) or adj in self.written(known.process.identity)


def _by_size(kill: OomKill, like: tuple[Known, ...]) -> Known | None:
    """Return the process whose size is by far the nearest to the printed one."""
    printed = kill.printed_rss_bytes
    if not printed or any(k.process.memory is None for k in like):
        return None
    off = sorted(((abs(printed - k.process.memory.rss_bytes), index)
                  for index, k in enumerate(like) if k.process.memory is not None))
    best, second = off[0], off[1]
    if best[0] <= NEAR * printed and second[0] >= max(FARTHER * best[0], FARTHER_BYTES):
        return like[best[1]]
    return None


def _has_comm(process: Process, comm: str | None) -> bool:
    """Return whether the names agree; the kernel cuts them to 15 bytes."""
    return comm is None or process.program.comm[:COMM_BYTES] == comm[:COMM_BYTES]
