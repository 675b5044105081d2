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
What surrounded a kill: whose processes it concerns, the limit reached, the largest processes.

Pure: what was read of processes and control groups goes in.
"""

from collections.abc import Sequence

from oom_sentinel.facts.cgroup import within
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.known_processes import Known
from oom_sentinel.kills.known_processes import KnownProcesses
from oom_sentinel.settings.programs import BUILD_TOOLS
from oom_sentinel.settings.programs import COMPILERS

LARGEST = 3
COMM_BYTES = 15  # TASK_COMM_LEN less its end
PLENTIFUL_PERCENT = 10.0  # of MemTotal: then it was a control group's limit


def is_open_to_all(source: str | None) -> bool:
    """Return whether a source of log lines is a text file, so that any program may write there."""
    return source is not None and source.startswith('/')


def is_ours(process: Process, uid: int) -> bool:
    """Return whether a process is this user's and in this PID namespace."""
    return process.uid == uid and process.same_pid_namespace is not False


def is_elsewhere(kill: OomKill, victim: Process | None, living: Sequence[Process], uid: int, *,
                 namespaced: bool, counted: bool) -> bool:
    """
    Return whether a control group was short that holds none of this user's processes.

    :param victim: the victim where it was known.
    :param namespaced: the kernel's paths and PIDs are not those that are seen here.
    :param counted: whether a counter that is visible here counted the kill.
    """
    if kill.constraint not in (None, 'CONSTRAINT_MEMCG') or kill.oom_memcg is None:
        return False  # the machine was short, or nobody knows
    if victim is not None and is_ours(victim, uid):
        return False
    if namespaced:
        return not counted
    if any(is_ours(p, uid) and within(p.cgroup, kill.oom_memcg) for p in living):
        return False
    # A victim that started and died between two scans may be this user's.
    return victim is not None or kill.victim_uid not in (None, uid)


def is_build(kill: OomKill, victim: Process | None, parents: Sequence[Process]) -> bool:
    """
    Return whether a job of a build was killed: a compiler, a linker, what colcon started.

    A ROS process is none, also when it was started by make (`make run`).
    """
    names = {kill.victim_comm or ''}
    if victim is not None:
        names.add(victim.program.executable)
    if any(name[:COMM_BYTES] in COMPILERS for name in names):
        return True
    if victim is not None and victim.program.ros:
        return False
    return any(p.program.executable in BUILD_TOOLS for p in parents)


def short_group(sample: Sample, path: str | None, machine_short: bool) -> str | None:
    """
    Return the control group whose limit was reached, as far as the counters show it.

    :param path: the victim's group.
    :param machine_short: the counters say that no limit was reached.
    """
    if path is None or machine_short or isinstance(sample.chains, Unavailable):
        return None
    if (sample.mem_available_percent or 0.0) < PLENTIFUL_PERCENT:
        return None
    limited = {g.path for chain in sample.chains for g in chain.groups
               if g.limit_bytes is not None or g.memsw_limit_bytes is not None}
    return max((g for g in limited if within(path, g)), key=len, default=None)


def largest_processes(processes: KnownProcesses, kill: OomKill, now_s: float) -> tuple[str, ...]:
    """Return the largest tasks of the report's table, else the largest known processes."""
    if kill.tasks and kill.page_size:
        page = kill.page_size
        ordered = sorted(kill.tasks, key=_pages, reverse=True)[:LARGEST]
        return tuple(f'{_label(processes, t)} {_pages(t) * page / MIB:.0f} MiB' for t in ordered)
    if kill.before_start:
        return ()
    # What the kernel prints of its victim is newer than the last scan.
    printed = kill.printed_rss_bytes
    victim, _ = processes.find(kill)
    sizes = [(printed if printed and victim is not None and p is victim.process
              else p.memory.rss_bytes + p.memory.swap_bytes, p)
             for p in (k.process for k in processes.possible_victims(now_s, kill.oom_memcg))
             if p.memory is not None]
    sizes.sort(key=lambda item: item[0], reverse=True)
    return tuple(f'{p.label} (PID {p.pid}) {size / MIB:.0f} MiB' for size, p in sizes[:LARGEST])


def family_of(processes: KnownProcesses, kill: OomKill, group: str | None,
              now_s: float) -> tuple[Known, str] | None:
    """
    Return the first of a victim's fork family, and how it was found, None where none is certain.

    For a victim that was never read, or whose record another one of its family took.  All
    processes of its name, user, oom_score_adj and control group that live or died a moment ago
    run one program, and one of them has forked another.

    :param group: the control group that counted the kill.
    """
    path, name = kill.task_memcg or group, kill.victim_comm
    if path is None or name is None:
        return None
    alike = [k for k in processes.possible_victims(now_s)
             if k.process.program.comm[:COMM_BYTES] == name[:COMM_BYTES]
             and kill.victim_uid in (None, k.process.uid)
             and k.process.cgroup is not None and path.endswith(k.process.cgroup.rstrip('/'))
             and processes.has_adj(k, kill.oom_score_adj)]
    pids = {k.process.pid for k in alike}
    if len({k.process.program for k in alike}) != 1 \
            or not any(k.process.ppid in pids for k in alike):
        return None
    first = min(alike, key=lambda k: k.process.start_time)
    return first, f'by name, user, oom_score_adj and control group: {first.process.label} (PID ' \
                  f'{first.process.pid}) or what it forked; which of them is unknown'


def _label(processes: KnownProcesses, task: OomTask) -> str:
    known = None if processes.foreign_pids else processes.with_pid(task.pid, task.name)
    return f'{task.name if known is None else known.process.label} (PID {task.pid})'


def _pages(task: OomTask) -> int:
    return (task.rss_pages or 0) + (task.swap_entries or 0)
