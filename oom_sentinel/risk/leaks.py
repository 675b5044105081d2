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
Leaks: which programs, and which memory that no process owns, grow without a rest.

Growth is kept by the name of a program, not by its PID: the sum of a family that forks a child
every few minutes grows, and a node that is respawned goes on where the dead one ended.

GPU and driver buffers are in no line of /proc/meminfo, and neither is what a driver leaks.
"""

from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel.facts.due import due
from oom_sentinel.facts.frozen import frozen
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
from oom_sentinel.risk.floors import Floors
from oom_sentinel.risk.floors import Leak
from oom_sentinel.risk.levels import Finding

UNOWNED = 'memory that no process owns (GPU, driver)'
SEGMENTS_WARN = 0.05  # of MemTotal, in segments of dead processes


def unowned_kinds(meminfo: MemInfo, swaps: tuple[SwapDevice, ...]) -> tuple[tuple[str, int], ...]:
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


EVERY_S = 10.0
SMALL_BYTES = 16 * MIB  # a program that holds less matters only when it is a ROS node
PROGRAMS_MAX = 200  # the largest ones
WARM_UP_S = 120.0  # after a respawn: what it takes until then is no growth
LIVED_S = 600.0  # a shorter life is a crash, and the next one starts anew
GONE_S = 120.0  # a program that is absent longer is forgotten
LOADED_S = 180.0  # a node that was loaded so near to the beginning of the growth is named
NAMED_MAX = 3


@frozen
class Program:
    """
    All processes of one name, and how much they kept together.

    `base` is what earlier processes had grown by; `born_s` is when the present ones were first
    seen, `rests_until_s` until when a respawned one warms up, and `nodes` the nodes of a
    container with the time each was first seen.
    """

    name: str
    floors: Floors = Floors()
    identities: frozenset[Identity] = frozenset()
    kept: float = 0.0
    base: float = 0.0
    seen_s: float = 0.0
    born_s: float = 0.0
    rests_until_s: float = float('-inf')
    label: str = ''
    nodes: tuple[tuple[str, float], ...] = ()


@frozen
class Growth:
    """
    The growth of every program and of every kind of unowned memory, as last judged.

    `table` is the process table it was judged by.  `leaking` are the processes of programs that
    leak, `paces` the bytes a second of programs with a trend (of a family the oldest process),
    `suspects` who leaks, in words, and `unowned` the leak of memory that no process owns.
    """

    at_s: float = float('-inf')
    table: tuple[Process, ...] = ()
    programs: tuple[Program, ...] = ()
    kinds: tuple[tuple[str, Floors], ...] = ()
    leaking: frozenset[Identity] = frozenset()
    paces: tuple[tuple[Identity, float], ...] = ()
    suspects: tuple[str, ...] = ()
    unowned: Leak | None = None


def watch(last: Growth, sample: Sample, protection: Protection) -> Growth:
    """Return the growth with this sample added, at most once in EVERY_S."""
    now_s = sample.monotonic_s
    if not due(now_s, last.at_s, EVERY_S):
        return last
    kinds = last.kinds
    if not isinstance(sample.meminfo, Unavailable):
        before = dict(kinds)
        kinds = tuple((name, floors.extend(before.get(name, Floors()), now_s, float(value)))
                      for name, value in unowned_kinds(sample.meminfo, sample.swaps))
    if sample.processes is last.table and now_s > last.at_s:
        programs = tuple(_repeated(p, now_s) for p in last.programs)
    else:
        programs = _programs(last.programs, now_s, sample.processes, protection)
    leaks = [p for p in programs if p.floors.lasting is not None]
    return Growth(
        now_s, sample.processes, programs, kinds,
        frozenset(identity for program in leaks for identity in program.identities),
        tuple((min(p.identities), p.floors.bytes_per_s) for p in programs
              if p.identities and p.floors.bytes_per_s is not None),
        _suspects(programs, kinds), dict(kinds).get(UNOWNED, Floors()).lasting)


def _repeated(last: Program, now_s: float) -> Program:
    """Return a program whose processes were not read again since the last time."""
    if last.rests_until_s > last.seen_s:
        return last
    series = floors.extend(last.floors, now_s, last.base + last.kept)
    return last if series is last.floors else replace(last, floors=series)


def kept_bytes(memory: TaskMemory) -> int:
    """Return what only freeing gives back: file pages come and go with the page cache."""
    return memory.rss_bytes - (memory.file_bytes or 0) + memory.swap_bytes


def program_name(process: Process) -> str:
    """Return the name that stays when a process is respawned or the graph names its nodes."""
    program = process.program
    return program.node_names[0] if program.node_names else program.executable or program.comm


def _programs(last: tuple[Program, ...], now_s: float, processes: Iterable[Process],
              protection: Protection) -> tuple[Program, ...]:
    """Return the programs with what they keep now."""
    tracked = tuple(t.process for t in protection.targets)
    alive: dict[str, list[Process]] = {}
    for process in (*processes, *tracked):
        if process.memory is not None and not process.kernel_thread:
            name = program_name(process)
            if name in alive:
                alive[name].append(process)
            else:
                alive[name] = [process]
    known = {program.name: program for program in last}
    always = {program_name(process) for process in tracked}
    found = [_extended(known.get(name), name, same, now_s) for name, same in alive.items()
             if name in known or name in always or _matters(same)]
    if len(found) > PROGRAMS_MAX:
        found = sorted(found, key=lambda p: -p.kept)[:PROGRAMS_MAX]
    found += [p for p in last if p.name not in alive and 0 <= now_s - p.seen_s < GONE_S]
    return tuple(found)


def _matters(processes: list[Process]) -> bool:
    """Return whether a program holds much memory or is a ROS node."""
    kept = sum(kept_bytes(p.memory) for p in processes if p.memory is not None)
    return kept >= SMALL_BYTES or any(p.program.ros for p in processes)


def _unchanged(last: Program, process: Process) -> bool:
    """Return whether this is the one process of the program, and all of it is as before."""
    names, memory = process.node_names, process.memory
    return (len(names) < 2 and not last.nodes and len(last.identities) == 1
            and process.identity in last.identities and last.rests_until_s <= last.seen_s
            and memory is not None and kept_bytes(memory) == last.kept
            and last.label == (names[0] if names else last.name))


def _extended(last: Program | None, name: str, same: list[Process], now_s: float) -> Program:
    """Return a program with a reading added, and over a respawn without a break."""
    if last is not None and len(same) == 1 and _unchanged(last, same[0]):
        grown = floors.extend(last.floors, now_s, last.base + last.kept)
        # A new stretch begins each half minute: so old is the time when it was last seen.
        return last if grown is last.floors else replace(last, floors=grown, seen_s=now_s)
    members = {process.identity: process for process in same}  # a protected one is there twice
    identities = frozenset(members)
    kept = float(sum([kept_bytes(p.memory) for p in members.values() if p.memory is not None]))
    names = next(iter(members.values())).node_names if len(members) == 1 else ()
    label = names[0] if names else name
    if last is None:
        last = Program(name, born_s=now_s)
    base, born_s, rests_until_s, series = (last.base, last.born_s, last.rests_until_s,
                                           last.floors)
    if identities != last.identities and last.identities - identities \
            and identities - last.identities:
        if now_s - born_s < LIVED_S:
            series, base = Floors(), 0.0
        else:
            rests_until_s, base = now_s + WARM_UP_S, base + last.kept
        born_s = now_s
    elif rests_until_s <= now_s and rests_until_s > last.seen_s:
        base -= kept  # the respawned one has warmed up: it goes on where the dead one ended
    if now_s >= rests_until_s:
        series = floors.extend(series, now_s, base + kept)
    return Program(name, series, identities, kept, base, now_s, born_s, rests_until_s, label,
                   _nodes(last.nodes, names, now_s))


def _nodes(last: tuple[tuple[str, float], ...], names: tuple[str, ...],
           now_s: float) -> tuple[tuple[str, float], ...]:
    """Return the nodes of a container with the time each was first seen."""
    if len(names) < 2:
        return ()
    seen = dict(last)
    return tuple((name, seen.get(name, now_s)) for name in names)


def _suspects(programs: Iterable[Program],
              kinds: Iterable[tuple[str, Floors]]) -> tuple[str, ...]:
    """Return who leaks, in words, the fastest first."""
    found = [(leak.middle, _suspect(f'{p.label} ({_processes(p)}, ', leak)) for p in programs
             for leak in (p.floors.leak if len(p.identities) == 1 else p.floors.lasting,)
             if leak is not None]
    found += [(series.lasting.middle, _suspect(f'{name} (', series.lasting))
              for name, series in kinds if series.lasting is not None]
    return tuple(text for _, text in sorted(found, reverse=True))


def _processes(program: Program) -> str:
    """Return the PID, or how many processes; of a container also its nodes."""
    many = len(program.identities)
    text = f'{many} processes' if many > 1 else f'PID {min(program.identities).pid}'
    if not program.nodes:
        return text
    began_s, first_s = program.floors.began_s, min(s for _, s in program.nodes)
    loaded = [name for name, seen_s in program.nodes
              if seen_s > first_s and abs(seen_s - began_s) <= LOADED_S]
    text += f', {len(program.nodes)} nodes'
    if loaded:
        text += f', {" and ".join(loaded[:NAMED_MAX])} loaded when the growth began'
    return text


def _suspect(name: str, leak: Leak) -> str:
    low, middle, high = (3600 * pace / MIB for pace in (leak.low, leak.middle, leak.high))
    return (f'{name}+{middle:.0f} MiB/h, {low:.0f} to {high:.0f}, confidence '
            f'{leak.confidence}, over {leak.span_s / 60:.0f} min)')
