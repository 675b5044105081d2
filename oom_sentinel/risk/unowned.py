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
Memory that no process owns: what /proc/meminfo does not name, and segments left behind.

GPU and driver buffers are in no line of /proc/meminfo, and neither is what a driver leaks.
"""

from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk.levels import Finding

UNOWNED = 'memory that no process owns (GPU, driver)'
SEGMENTS_WARN = 0.05  # of MemTotal, in segments of dead processes


def kinds(meminfo: MemInfo, swaps: tuple[SwapDevice, ...]) -> tuple[tuple[str, int], ...]:
    """Return (name, bytes) of each kind of memory that can grow without any process growing."""
    slab, reclaimable = meminfo.slab_bytes, meminfo.s_reclaimable_bytes
    found = (
        (UNOWNED, unowned_bytes(meminfo, swaps)),
        ('shared memory (tmpfs, /dev/shm)', meminfo.shmem_bytes),
        ('unreclaimable slab of the kernel',
         None if slab is None or reclaimable is None else slab - reclaimable),
        ('page tables', meminfo.page_tables_bytes),
        ('kernel stacks', meminfo.kernel_stack_bytes))
    return tuple((name, value) for name, value in found if value is not None)


def unowned_bytes(meminfo: MemInfo, swaps: tuple[SwapDevice, ...] = ()) -> int | None:
    """
    Return MemTotal less everything that /proc/meminfo names, None on kernels that name less.

    Kernel stacks lie in vmalloc memory since 4.9 (VMAP_STACK), so the larger of the two counts;
    zram's memory is in no line of meminfo.  0 when the parts overlap.
    """
    named = (meminfo.buffers_bytes, meminfo.cached_bytes, meminfo.anon_pages_bytes,
             meminfo.slab_bytes, meminfo.page_tables_bytes)
    if any(part is None for part in named):
        return None
    known = meminfo.mem_free_bytes + sum(part or 0 for part in named)
    known += max(meminfo.kernel_stack_bytes or 0, meminfo.vmalloc_used_bytes or 0)
    known += max(0, (meminfo.k_reclaimable_bytes or 0) - (meminfo.s_reclaimable_bytes or 0))
    known += sum(part or 0 for part in (
        meminfo.swap_cached_bytes, meminfo.sec_page_tables_bytes, meminfo.percpu_bytes,
        meminfo.hugetlb_bytes, meminfo.zswap_bytes, meminfo.balloon_bytes))
    known += sum(swap.zram.used_bytes or 0 for swap in swaps if swap.zram is not None)
    return max(0, meminfo.mem_total_bytes - known)


def segments(found: DdsSegments | Unavailable,
             meminfo: MemInfo | Unavailable) -> tuple[Finding, ...]:
    """Return a finding when segments of dead processes hold much memory, with the remedy."""
    if isinstance(found, Unavailable) or isinstance(meminfo, Unavailable):
        return ()
    if found.dead_bytes < SEGMENTS_WARN * meminfo.mem_total_bytes:
        return ()
    return (Finding(Level.WARN, f'{found.dead} Fast DDS segments of dead processes hold '
                    f'{found.dead_bytes / MIB:.0f} MiB in /dev/shm: run fastdds shm clean'),)
