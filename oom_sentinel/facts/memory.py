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

"""Facts from /proc/meminfo, /proc/swaps, /proc/pressure, /proc/vmstat and /proc/sys/vm."""

from oom_sentinel.facts.frozen import frozen


MIB = 1 << 20


@frozen
class MemInfo:
    """
    /proc/meminfo in bytes (Documentation/filesystems/proc.rst).

    A field that this kernel does not print is None, except the totals every kernel has.
    """

    mem_total_bytes: int
    mem_free_bytes: int
    mem_available_bytes: int | None = None
    buffers_bytes: int | None = None
    cached_bytes: int | None = None
    swap_total_bytes: int = 0
    swap_free_bytes: int = 0
    shmem_bytes: int | None = None
    slab_bytes: int | None = None
    s_reclaimable_bytes: int | None = None
    kernel_stack_bytes: int | None = None
    page_tables_bytes: int | None = None
    anon_pages_bytes: int | None = None
    commit_limit_bytes: int | None = None
    committed_as_bytes: int | None = None
    swap_cached_bytes: int | None = None
    k_reclaimable_bytes: int | None = None
    sec_page_tables_bytes: int | None = None
    percpu_bytes: int | None = None
    vmalloc_used_bytes: int | None = None
    hugetlb_bytes: int | None = None
    zswap_bytes: int | None = None
    balloon_bytes: int | None = None
    cma_total_bytes: int | None = None
    cma_free_bytes: int | None = None
    nv_map_mem_used_bytes: int | None = None


@frozen
class Zram:
    """
    One zram device (Documentation/admin-guide/blockdev/zram.rst), sizes in bytes.

    `disksize_bytes` is the size of the swap device, `original_bytes` is stored in it and takes
    `used_bytes` of memory; both are None where mm_stat is unreadable.  `limit_bytes` of None
    means that no mem_limit is set.
    """

    name: str
    disksize_bytes: int
    original_bytes: int | None = None
    used_bytes: int | None = None
    limit_bytes: int | None = None


@frozen
class SwapDevice:
    """One line of /proc/swaps; `zram` is set when it lies in compressed memory."""

    name: str
    size_bytes: int
    used_bytes: int
    zram: Zram | None = None


@frozen
class DdsSegments:
    """
    Fast DDS's shared memory segments in /dev/shm.

    Of the `dead` ones no process holds the lock any more: their maker was killed, and
    their `dead_bytes` stay until someone removes them.
    """

    live: int
    dead: int
    dead_bytes: int


@frozen
class PressureLine:
    """One line of a PSI file: shares in percent (0..100), total stall in microseconds."""

    avg10: float
    avg60: float
    avg300: float
    total_us: int


@frozen
class Pressure:
    """Pressure stall information (Documentation/accounting/psi.rst)."""

    some: PressureLine
    full: PressureLine | None = None


@frozen
class VmStat:
    """
    Counters of /proc/vmstat; oom_kill is there since Linux 4.13.

    `refaults` counts pages that were read again soon after the kernel had taken them back,
    `scanned` those at which it looked to get memory for the whole machine.
    """

    oom_kill: int | None = None
    refaults: int | None = None
    scanned: int | None = None


@frozen
class VmPolicy:
    """
    Kernel settings that matter for an OOM (Documentation/admin-guide/sysctl/vm.rst, kernel.rst).

    `overcommit_kbytes` of 0 leaves CommitLimit to `overcommit_ratio` (percent of memory).
    `panic_timeout_s` is kernel.panic: 0 hangs for ever after a panic, a negative value reboots
    at once.  `zram` are the devices in use as swap.  `dmesg_restrict` of 1 keeps the kernel log
    from users without CAP_SYSLOG.  `zswap_enabled` and `lru_gen_enabled` are None where the
    kernel has no such thing.
    """

    overcommit_memory: int | None = None
    oom_kill_allocating_task: int | None = None
    panic_on_oom: int | None = None
    panic_timeout_s: int | None = None
    overcommit_ratio: int | None = None
    overcommit_kbytes: int | None = None
    min_free_kbytes: int | None = None
    swappiness: int | None = None
    dmesg_restrict: int | None = None
    zram: tuple[Zram, ...] = ()
    zswap_enabled: bool | None = None
    zswap_max_pool_percent: int | None = None
    lru_gen_enabled: bool | None = None
    lru_gen_min_ttl_ms: int | None = None
