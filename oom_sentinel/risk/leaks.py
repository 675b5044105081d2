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
Leaks: which nodes, and which memory that no process owns, grow without a rest.

Unowned memory is in no line of /proc/meminfo: GPU and driver buffers, and what a driver leaks.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import floors
from oom_sentinel.risk.floors import Grown
from oom_sentinel.risk.levels import Finding
from oom_sentinel.risk.trend import Trend

EVERY_S = 10.0
NO_PROCESS = Identity(0, 0)
SEGMENTS_WARN = 0.05  # of MemTotal, in segments of dead processes
SURE = 0.5  # confidence is high when the range is narrower than this share of the pace
UNOWNED = 'memory that no process owns (GPU, driver)'
SHARED = 'shared memory (tmpfs, /dev/shm)'


@dataclass(frozen=True, slots=True)
class Growth:
    """The growth of every tracked process, of unowned and of shared memory, as last judged."""

    at_s: float = float('-inf')
    processes: tuple[Grown, ...] = ()
    unowned: Grown = Grown(NO_PROCESS)
    shared: Grown = Grown(NO_PROCESS)


def watch(last: Growth, sample: Sample, protection: Protection) -> Growth:
    """Return the growth with this sample added, at most once in EVERY_S."""
    now_s = sample.monotonic_s
    if 0 <= now_s - last.at_s < EVERY_S:
        return last
    unowned, shared = last.unowned, last.shared
    if not isinstance(sample.meminfo, Unavailable):
        unowned = _extended(unowned, now_s, unowned_bytes(sample.meminfo, sample.swaps))
        shared = _extended(shared, now_s, sample.meminfo.shmem_bytes)
    return Growth(now_s, _processes(last.processes, now_s, sample.processes, protection),
                  unowned, shared)


def _extended(last: Grown, now_s: float, value: int | None) -> Grown:
    return last if value is None else floors.extend(last, now_s, float(value))


def _processes(last: tuple[Grown, ...], now_s: float, processes: Iterable[Process],
               protection: Protection) -> tuple[Grown, ...]:
    """Return the growth of ROS processes and of those that protection looks after."""
    known = {grown.identity: grown for grown in last}
    tracked = {p.identity: p.memory for p in processes if p.program.ros}
    tracked.update((t.process.identity, t.process.memory) for t in protection.targets)
    return tuple(
        floors.extend(known.get(identity, Grown(identity)), now_s, float(kept_bytes(memory)))
        for identity, memory in tracked.items() if memory is not None)


def kept_bytes(memory: TaskMemory) -> int:
    """Return what only freeing gives back: file pages come and go with the page cache."""
    return memory.rss_bytes - (memory.file_bytes or 0) + memory.swap_bytes


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


def suspects(growth: Growth, sample: Sample, protection: Protection) -> tuple[str, ...]:
    """Return who leaks, in words, the fastest first."""
    leaks = [(g, g.leak) for g in growth.processes if g.leak is not None]
    found = []
    if leaks:
        labels = _labels(sample, protection)
        found = [(leak.middle, _suspect(f'{labels[g.identity]} (PID {g.identity.pid}, ', g, leak))
                 for g, leak in leaks if g.identity in labels]
    for name, grown in ((UNOWNED, growth.unowned), (SHARED, growth.shared)):
        if grown.leak is not None:
            found.append((grown.leak.middle, _suspect(f'{name} (', grown, grown.leak)))
    return tuple(text for _, text in sorted(found, reverse=True))


def _labels(sample: Sample, protection: Protection) -> dict[Identity, str]:
    labels = {t.process.identity: t.process.label for t in protection.targets}
    labels.update((p.identity, p.label) for p in sample.processes)
    return labels


def _suspect(name: str, grown: Grown, leak: Trend) -> str:
    low, middle, high = (3600 * pace / MIB for pace in (leak.shallow, leak.middle, leak.steep))
    sure = 'high' if high - low < SURE * middle else 'medium'
    return (f'{name}+{middle:.0f} MiB/h, {low:.0f} to {high:.0f}, confidence {sure}, over '
            f'{grown.leak_span_s / 60:.0f} min)')
