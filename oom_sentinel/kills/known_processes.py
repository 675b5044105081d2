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

"""A bounded history of known processes, so that a PID means something after its death."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import replace

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target

# A robot starts some hundred processes an hour; 2000 records of 1 kB are 2 MB at most.
DEAD_MAX = 2000
DEAD_TOLD_S = 600.0
MOMENT_S = 5.0
COMM_BYTES = 15  # TASK_COMM_LEN less its end
EATERS = 3

BY_PID = 'by PID'
BY_NAME = 'by name, since the kernel counts PIDs of another PID namespace'
STRANGER = 'unknown: no known process had this PID'
AMBIGUOUS = ('unknown: kernel PIDs belong to another PID namespace and {} processes of this '
             'name are gone')
OUTSIDE = ('unknown: kernel PIDs belong to another PID namespace and no known process of this '
           'name is gone')


@dataclass(frozen=True, slots=True)
class Known:
    """A process as last seen; `gone_s` (monotonic) is None while it lives."""

    process: Process
    target: Target | None
    gone_s: float | None = None


class KnownProcesses:
    """Who is and who was; fed at every scan."""

    def __init__(self, *, foreign_pids: bool = False) -> None:
        """
        Know nobody yet.

        :param foreign_pids: the kernel log counts PIDs of another namespace than ours.
        """
        self.foreign_pids = foreign_pids
        self._alive: dict[int, Process] = {}
        self._targets: dict[Identity, Target] = {}
        self._dead: deque[Known] = deque(maxlen=DEAD_MAX)
        self._updated_s = float('-inf')

    def update(self, processes: Iterable[Process], targets: Iterable[Target],
               now_s: float) -> None:
        """
        Take a scan: who is missing has died.

        So has a zombie, and who has given its memory back but not yet its place in the table;
        kernel threads never have any.
        """
        alive = {p.pid: p for p in processes
                 if p.memory is not None and p.state not in ('Z', 'X')}
        for pid, last in self._alive.items():
            now = alive.get(pid)
            if now is None or now.start_time != last.start_time:
                self._dead.append(Known(last, self._targets.get(last.identity), now_s))
        self._alive, self._updated_s = alive, now_s
        self._targets = {t.process.identity: t for t in targets}
        while self._dead and now_s - (self._dead[0].gone_s or 0.0) > DEAD_TOLD_S:
            self._dead.popleft()

    def _known(self, process: Process) -> Known:
        return Known(process, self._targets.get(process.identity))

    def died_since(self, since_s: float) -> tuple[Known, ...]:
        """Return who was found missing after this time."""
        return tuple(k for k in self._dead if (k.gone_s or 0.0) > since_s)

    def victims_possible_at(self, now_s: float) -> tuple[Known, ...]:
        """Return who lives, and who did until a moment ago: those whom a kill could take."""
        return (*map(self._known, self._alive.values()), *self.died_since(now_s - MOMENT_S))

    def find(self, pid: int | None, comm: str | None,
             cgroup: str | None = None) -> tuple[Known | None, str]:
        """Return the process that the kernel means, and how it was found or why not."""
        if self.foreign_pids:
            return self._by_name(comm, cgroup)
        same = [k for k in reversed(self._dead) if k.process.pid == pid]
        if pid in self._alive:
            same.insert(0, self._known(self._alive[pid]))
        named = [k for k in same if _has_comm(k.process, comm)]
        # A process may have renamed itself since the last scan: the PID alone then decides,
        # as long as only one process had it.
        chosen = named[0] if named else same[0] if len(same) == 1 else None
        return chosen, BY_PID if chosen is not None else STRANGER

    def died_with_name(self, comm: str | None, cgroup: str | None = None) -> tuple[Known, ...]:
        """
        Return who of this name was found missing a moment ago.

        :param cgroup: the victim's as the kernel names it; a container may see its end alone.
        """
        return tuple(k for k in self.died_since(self._updated_s - MOMENT_S)
                     if comm is not None and _has_comm(k.process, comm)
                     and (cgroup is None or cgroup.endswith((k.process.cgroup or '').rstrip('/'))))

    def _by_name(self, comm: str | None,
                 cgroup: str | None) -> tuple[Known | None, str]:
        """Return who is just gone; a living one of the name may be missed by another's kill."""
        lost = self.died_with_name(comm, cgroup)
        if len(lost) == 1:
            return lost[0], BY_NAME
        return None, AMBIGUOUS.format(len(lost)) if lost else OUTSIDE

    def attribute(self, kill: OomKill) -> tuple[OomKill, str]:
        """Return the kill with node names and group, and how its process was found."""
        known, how = self.find(kill.victim_pid, kill.victim_comm, kill.task_memcg)
        return (kill if known is None else with_victim_facts(kill, known)), how

    def largest_processes(self, kill: OomKill, now_s: float) -> tuple[str, ...]:
        """Return the largest tasks of the report's table, else the largest known processes."""
        if kill.tasks and kill.page_size:
            page = kill.page_size
            ordered = sorted(kill.tasks, key=_pages, reverse=True)[:EATERS]
            return tuple(f'{self._label(t)} {_pages(t) * page / MIB:.0f} MiB' for t in ordered)
        if kill.before_start:
            return ()
        # What the kernel says of its victim is newer than the last scan.
        told = sum(b or 0 for b in (kill.anon_rss_bytes, kill.file_rss_bytes,
                                    kill.shmem_rss_bytes))
        victim, _ = self.find(kill.victim_pid, kill.victim_comm, kill.task_memcg)
        held = [(told if told and victim is not None and p is victim.process
                 else p.memory.rss_bytes + p.memory.swap_bytes, p)
                for p in (k.process for k in self.victims_possible_at(now_s))
                if p.memory is not None and inside(p, kill.oom_memcg)]
        held.sort(key=lambda item: item[0], reverse=True)
        return tuple(f'{p.label} (PID {p.pid}) {size / MIB:.0f} MiB'
                     for size, p in held[:EATERS])

    def _label(self, task: OomTask) -> str:
        known, _ = self.find(task.pid, task.name)
        label = task.name if known is None else known.process.label
        return f'{label} (PID {task.pid})'


def with_victim_facts(kill: OomKill, known: Known) -> OomKill:
    """Return the kill with what is known of its victim."""
    target = known.target
    return replace(kill, node_names=known.process.node_names,
                   group=None if target is None else target.group,
                   wanted=None if target is None or target.group is None else target.wanted)


def _pages(task: OomTask) -> int:
    return (task.rss_pages or 0) + (task.swap_entries or 0)


def _has_comm(process: Process, comm: str | None) -> bool:
    """Tell whether the names agree; the kernel cuts them to 15 bytes."""
    return comm is None or process.program.comm[:COMM_BYTES] == comm[:COMM_BYTES]


def inside(process: Process, path: str | None) -> bool:
    """Tell whether a process is in this control group or below it; all are in None."""
    return path is None or within(process.cgroup or '', path)


def within(path: str, ancestor: str) -> bool:
    """Tell whether a control group is this one or below it."""
    return ancestor == '/' or path == ancestor or path.startswith(ancestor + '/')
