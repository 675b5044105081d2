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

"""What is really left: on the machine, and below each limit of a control group."""


from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk.badness import may_swap

# What zram is taken to compress to until it holds enough to tell: lzo-rle's usual half.
ZRAM_RATIO = 0.5
ZRAM_TELLS_BYTES = 16 << 20


@frozen
class Headroom:
    """
    What a limited control group still has: bytes and percent of its limit.

    `left_bytes` is memory, as MemAvailable is; `until_oom_bytes` counts also the swap that the
    group may use, and `swap_used_percent` is of that swap, None without any.
    """

    group: MemoryCgroup
    left_bytes: int
    percent: float
    until_oom_bytes: int
    swap_used_percent: float | None = None


def reclaimable_bytes(group: MemoryCgroup) -> int:
    """
    Return the page cache and slab that the kernel takes back before it kills.

    Both lists of file pages count, as they do in MemAvailable (si_mem_available()): at the limit
    the active list is aged too, dirty pages are waited for, and only then comes the OOM killer.
    A control group has no watermarks, so nothing is set aside.
    """
    return sum(part or 0 for part in (group.inactive_file_bytes, group.active_file_bytes,
                                      group.slab_reclaimable_bytes))


def headroom(group: MemoryCgroup, meminfo: MemInfo | None = None,
             swappiness: int | None = None) -> Headroom | None:
    """Return limit less usage, with the page cache that can be dropped; None unlimited."""
    if not group.limit_bytes or group.usage_bytes is None:
        return None
    cache = min(reclaimable_bytes(group), group.usage_bytes)
    left = max(0, min(group.limit_bytes - group.usage_bytes + cache, group.limit_bytes))
    total, free = (0, 0)
    if meminfo is not None and may_swap(group, swappiness):
        total, free = meminfo.swap_total_bytes, meminfo.swap_free_bytes
    if group.version == 1:
        allowed = total
        if group.memsw_limit_bytes is not None and group.memsw_usage_bytes is not None:
            both = max(0, group.memsw_limit_bytes - group.memsw_usage_bytes + cache)
            left = min(left, both)
            allowed = min(total, max(0, group.memsw_limit_bytes - group.limit_bytes))
            until_oom = min(left + min(free, allowed), both)
            used = max(0, group.memsw_usage_bytes - group.usage_bytes)
        else:
            until_oom, used = left + free, total - free
    else:
        allowed = total if group.swap_max_bytes is None else min(total, group.swap_max_bytes)
        used = group.swap_usage_bytes or 0
        until_oom = left + min(free, max(0, allowed - used))
    swap_used = 100.0 * min(used, allowed) / allowed if allowed else None
    return Headroom(group, left, 100.0 * left / group.limit_bytes, until_oom, swap_used)


def limits(chains: tuple[CgroupChain, ...] | Unavailable,
           meminfo: MemInfo | Unavailable,
           swappiness: int | None = None) -> tuple[Headroom, ...]:
    """Return every limit, the tightest first; one above the machine's memory is none."""
    if isinstance(chains, Unavailable):
        return ()
    known = None if isinstance(meminfo, Unavailable) else meminfo
    groups = {group.path: group for chain in chains for group in chain.groups}
    found = [room for group in groups.values()
             for room in (headroom(group, known, swappiness),) if room is not None
             and (known is None or (group.limit_bytes or 0) < known.mem_total_bytes)]
    return tuple(sorted(found, key=lambda room: (room.percent, room.left_bytes)))


def machine_bytes(meminfo: MemInfo, swaps: tuple[SwapDevice, ...] = (),
                  min_free_kbytes: int | None = None) -> int | None:
    """
    Return what can still be taken before the machine's OOM: MemAvailable and free swap.

    Swap in zram lies in memory itself: a page sent there frees only what compression saves, and
    mem_limit ends it.  None without MemAvailable (before Linux 3.14).
    """
    if meminfo.mem_available_bytes is None:
        return None
    left = meminfo.mem_available_bytes + meminfo.swap_free_bytes
    left += _above_min(meminfo, min_free_kbytes)
    for swap in swaps:
        free = max(0, swap.size_bytes - swap.used_bytes)
        zram = swap.zram
        if zram is None:
            continue
        ratio = ZRAM_RATIO
        used_bytes, original_bytes = zram.used_bytes or 0, zram.original_bytes or 0
        if original_bytes >= ZRAM_TELLS_BYTES:
            ratio = min(1.0, used_bytes / original_bytes)
        fits = free
        if zram.limit_bytes and ratio > 0:
            fits = int(max(0, zram.limit_bytes - used_bytes) / ratio)
        left -= free - int(min(free, fits) * (1.0 - ratio))
    return max(0, left)


def _above_min(meminfo: MemInfo, min_free_kbytes: int | None) -> int:
    """
    Return what can still be taken below the high watermark, which MemAvailable sets aside.

    Only below the min watermark does an allocation fail: high - min is twice the larger of a
    quarter of min and 0.1 % of memory (__setup_per_zone_wmarks(), watermark_scale_factor 10).
    """
    if min_free_kbytes is None:
        return 0
    least = min_free_kbytes * 1024
    between = 2 * max(least // 4, meminfo.mem_total_bytes // 1000)
    return max(0, min(between, meminfo.mem_free_bytes - least))
