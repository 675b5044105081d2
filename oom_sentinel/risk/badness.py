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
The kernel's own arithmetic of the OOM killer, in its units and its rounding.

Source: mm/oom_kill.c oom_badness() and constrained_alloc(), fs/proc/base.c proc_oom_score().
Knows facts only; never reads a file.
"""

from collections.abc import Iterable

from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.process import Process

OOM_SCORE_ADJ_MIN = -1000


def _c_div(a: int, b: int) -> int:
    """Divide as C does: truncate toward zero."""
    quotient = abs(a) // abs(b)
    return quotient if (a >= 0) == (b >= 0) else -quotient


def points(rss_pages: int, swap_pages: int, page_table_bytes: int, oom_score_adj: int, *,
           totalpages: int, page_size: int) -> int | None:
    """
    Return the badness in pages, or None for a task that is never chosen.

    :param oom_score_adj: -1000..1000; -1000 makes the task unkillable.
    :param totalpages: pages of the domain that is short: machine or memory cgroup.
    Source: oom_badness(), mm/oom_kill.c.  Before 5.9 the result was clamped to at least 1.
    """
    if oom_score_adj == OOM_SCORE_ADJ_MIN:
        return None
    held = rss_pages + swap_pages + page_table_bytes // page_size
    return held + oom_score_adj * (totalpages // 1000)


def of(process: Process, *, totalpages: int, page_size: int) -> int | None:
    """Return the badness of a process, None when unkillable or its memory is unknown."""
    if process.memory is None or process.oom_score_adj is None:
        return None
    if process.initial_init or process.kernel_thread:
        return None
    memory = process.memory
    return points(memory.rss_bytes // page_size, memory.swap_bytes // page_size,
                  memory.page_table_bytes, process.oom_score_adj,
                  totalpages=totalpages, page_size=page_size)


def oom_score(badness: int | None, *, totalpages: int,
              kernel_version: tuple[int, int] = (6, 12)) -> int:
    """
    Return what /proc/PID/oom_score prints for this badness.

    The file always uses the machine's totalpages.  Since 5.9 an idle task shows about 666;
    before, badness * 1000 / totalpages of a badness clamped to at least 1.
    """
    if badness is None:
        return 0
    if kernel_version >= (5, 9):
        return max(0, _c_div((1000 + _c_div(badness * 1000, totalpages)) * 2, 3))
    return max(badness, 1) * 1000 // totalpages


def machine_totalpages(meminfo: MemInfo, page_size: int) -> int:
    """Return totalpages of a global OOM: RAM and swap (constrained_alloc())."""
    return (meminfo.mem_total_bytes + meminfo.swap_total_bytes) // page_size or 1


def may_swap(group: MemoryCgroup, swappiness: int | None = None) -> bool:
    """
    Return whether the kernel swaps pages of this group (mem_cgroup_swappiness()).

    :param swappiness: vm.swappiness, which holds for every group of cgroup v2.
    """
    return (group.swappiness if group.version == 1 else swappiness) != 0


def cgroup_totalpages(group: MemoryCgroup, meminfo: MemInfo, page_size: int,
                      swappiness: int | None = None) -> int:
    """
    Return totalpages of an OOM inside this memory cgroup (mem_cgroup_get_max()).

    With swap when the group may swap: v1 the memsw limit, v2 memory.max plus what
    memory.swap.max allows of the machine's swap.  Never more than the machine has.
    """
    machine = machine_totalpages(meminfo, page_size)
    if group.limit_bytes is None:
        return machine
    limit = group.limit_bytes
    if not may_swap(group, swappiness):
        return min(limit // page_size, machine) or 1
    if group.version == 1:
        if group.memsw_limit_bytes is not None:
            extra = min(max(0, group.memsw_limit_bytes - limit), meminfo.swap_total_bytes)
            limit += extra
        else:
            limit += meminfo.swap_total_bytes
    else:
        swap = meminfo.swap_total_bytes
        limit += swap if group.swap_max_bytes is None else min(group.swap_max_bytes, swap)
    return min(limit // page_size, machine) or 1


@frozen
class Candidate:
    """A place in the kill order; rank 1 dies first, None never; badness in pages."""

    rank: int | None
    process: Process
    badness: int | None


def kill_order(processes: Iterable[Process], *, totalpages: int,
               page_size: int) -> tuple[Candidate, ...]:
    """
    Return the processes in the order in which the kernel would kill them now.

    Among equals the later task in the list wins (select_bad_process()), that is the younger.
    Unkillable processes come last with rank None; kernel threads are left out.
    """
    scored = [(of(p, totalpages=totalpages, page_size=page_size), p)
              for p in processes if not p.kernel_thread and p.memory is not None]
    killable = sorted(((b, p) for b, p in scored if b is not None),
                      key=lambda item: (item[0], item[1].start_time, item[1].pid), reverse=True)
    spared = sorted((p for b, p in scored if b is None), key=lambda p: p.pid)
    return (tuple(Candidate(rank, p, b) for rank, (b, p) in enumerate(killable, 1))
            + tuple(Candidate(None, p, None) for p in spared))
