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
Why the kernel had to kill, from the report's own figures: a reason to follow "because".

Sources: mm/page_alloc.c __alloc_pages_may_oom() and zone_watermark_ok(), mm/oom_kill.c
out_of_memory().  A request may use the zones that its gfp_mask allows, and in each only what is
free above its reserve (min); a free page of another zone or node does not help it.
"""

from oom_sentinel.facts.kill import OomTask
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.scene import Scene
from oom_sentinel.kills.oom_report.scene import Zone

MIB_KB = 1024
# What counts as "much was free elsewhere": a twentieth of the memory, and 16 MiB at least.
MUCH_PARTS, MUCH_LEAST_KB = 20, 16 * MIB_KB
# A holder is named when it has a quarter of the memory.
HOLDER_PARTS = 4
# The low bits of gfp_mask choose the zones; they are the same in every version.
DMA, HIGHMEM, DMA32, MOVABLE = 1, 2, 4, 8


def of(draft: Draft, killed: Killed, page_size: int | None,
       tasks: tuple[OomTask, ...]) -> str | None:
    """Return the reason in words, None where the log does not show it."""
    scene = draft.scene
    if scene.asked_for or scene.order == -1:
        return 'somebody asked for it (SysRq f, order=-1)'
    said = killed.message or (draft.choice.message if draft.choice is not None else b'')
    taken = '; vm.oom_kill_allocating_task took the one that asked' \
        if b'oom_kill_allocating_task' in said else ''
    if scene.memcg:
        group = draft.parsed_summary(killed.printed).oom_memcg or draft.limit or draft.stats
        name = 'a control group' if group is None else (
            f'control group {group.decode("utf-8", "backslashreplace")}')
        return f'{name} reached its memory limit{_limit(scene)}{taken}'
    if scene.constraint == 'CONSTRAINT_CPUSET':
        return f'the memory nodes of its cpuset were used up{taken}'
    if scene.constraint == 'CONSTRAINT_MEMORY_POLICY' or said.startswith(b'No available'):
        return f'the memory nodes of its memory policy were used up{taken}'
    known = scene.constraint == 'CONSTRAINT_NONE' or scene.machine or bool(scene.zones)
    if not known and killed.kernel_format not in ('5.1', '5.4') and draft.choice is None:
        return None
    why = _zones_short(scene) or _fragmented(scene, page_size)
    if why is None:
        why = ('the whole machine ran out of memory' if known else
               'memory ran out: of the whole machine, or of the nodes it may use')
        why += _holder(scene, page_size, tasks)
    return why + taken


def free_bytes(scene: Scene, page_size: int | None) -> int | None:
    """Return what was free on the whole machine, None where the log does not show it."""
    if scene.zones:
        return sum(zone.free_kb for zone in scene.zones) * 1024
    pages = scene.counts.get(b'free')
    return None if pages is None or page_size is None else pages * page_size


def _limit(scene: Scene) -> str:
    memory = scene.usages.get(b'memory')
    if memory is None or memory.limit_kb >= 1 << 52:
        return ''
    return f' of {memory.limit_kb / MIB_KB:.0f} MiB'


def _bits(scene: Scene) -> int | None:
    """Return gfp_mask as a number, None where the log lacks it."""
    return None if scene.request is None else int(scene.request.partition('(')[0], 16)


def _allowed(zone: Zone, bits: int) -> bool:
    """Return whether a request with these bits of gfp_mask may use this zone."""
    if zone.name == 'HighMem':
        return bool(bits & HIGHMEM)
    if zone.name == 'Movable':
        return bits & (HIGHMEM | MOVABLE) == HIGHMEM | MOVABLE
    if bits & DMA:
        return zone.name == 'DMA'
    return zone.name in ('DMA', 'DMA32') if bits & DMA32 else zone.name != 'Device'


def _usable_kb(zone: Zone, bits: int) -> int:
    """Return what the request can use of a zone: free CMA only when it can be moved."""
    cma = 0 if bits & MOVABLE else zone.cma_kb
    return max(0, zone.free_kb - cma - zone.min_kb)


def _zones_short(scene: Scene) -> str | None:
    """Return that only some zones or nodes were short, None when all were or nothing is known."""
    bits = _bits(scene)
    if not scene.zones or bits is None:
        return None
    much = max(MUCH_LEAST_KB, sum(zone.managed_kb for zone in scene.zones) // MUCH_PARTS)
    may = [zone for zone in scene.zones if _allowed(zone, bits)]
    other = [zone for zone in scene.zones if zone not in may]
    free_kb = sum(max(0, zone.free_kb - zone.min_kb) for zone in other)
    usable_kb = sum(_usable_kb(zone, bits) for zone in may)
    if other and free_kb >= much and usable_kb < much:
        low = sum(zone.free_kb for zone in may)
        return (f'only low memory ({_names(may)}) was short, with {low} kB free: '
                f'{sum(zone.free_kb for zone in other)} kB of {_names(other)} were free, '
                'which this request may not use')
    return _node_short(may, bits, much)


def _node_short(zones: list[Zone], bits: int, much: int) -> str | None:
    """Return that one memory node was short while another had room."""
    room: dict[int, int] = {}
    for zone in zones:
        room[zone.node] = room.get(zone.node, 0) + _usable_kb(zone, bits)
    short = [node for node, kb in room.items() if kb < much // max(1, len(room))]
    full = [node for node, kb in room.items() if kb >= much]
    if not short or not full:
        return None
    return (f'only memory node {_numbers(short)} was short: node {_numbers(full)} had '
            f'{sum(room[node] for node in full) // MIB_KB} MiB free')


def _names(zones: list[Zone]) -> str:
    return ', '.join(dict.fromkeys(zone.name for zone in zones)) or 'no zone'


def _numbers(nodes: list[int]) -> str:
    return ', '.join(map(str, sorted(nodes)))


def _fragmented(scene: Scene, page_size: int | None) -> str | None:
    """Return that only a block of adjacent pages was missing, None when pages were too."""
    if not scene.order or scene.order < 1 or not scene.zones:
        return None
    bits = _bits(scene) or 0
    usable_kb = sum(_usable_kb(zone, bits) for zone in scene.zones
                    if _allowed(zone, bits))
    block_kb = (page_size or 4096) // 1024 << min(scene.order, 20)
    if usable_kb < 4 * block_kb:
        return None
    return (f'no {block_kb} kB of adjacent memory were free (order={scene.order}): '
            f'{usable_kb // MIB_KB} MiB were free in smaller pieces')


def _holder(scene: Scene, page_size: int | None, tasks: tuple[OomTask, ...]) -> str:
    """Return what other than processes held a quarter of the memory, or nothing."""
    if page_size is None or scene.ram_pages is None:
        return ''
    total = scene.ram_pages - scene.reserved_pages
    counts = scene.counts
    held = [('unreclaimable kernel memory (slab)', counts.get(b'slab_unreclaimable', 0)),
            ('shared memory (tmpfs, /dev/shm)', counts.get(b'shmem', 0)),
            ('reserved huge pages', scene.huge_kb * 1024 // page_size),
            ('memory of no process (drivers, graphics)', _unowned(scene, total, page_size))]
    name, pages = max(held, key=lambda entry: entry[1])
    if total <= 0 or pages * HOLDER_PARTS < total:
        return ''
    mib = page_size / (1 << 20)
    return f': {name} held {pages * mib:.0f} of {total * mib:.0f} MiB'


def _unowned(scene: Scene, total: int, page_size: int) -> int:
    """Return the pages that Mem-Info accounts to nothing; 0 where it is not whole."""
    counts = scene.counts
    if b'free' not in counts or b'slab_unreclaimable' not in counts \
            or b'inactive_file' not in counts:
        return 0
    known = sum(counts.get(name, 0) for name in (
        b'active_anon', b'inactive_anon', b'isolated_anon', b'active_file', b'inactive_file',
        b'isolated_file', b'unevictable', b'slab_reclaimable', b'slab_unreclaimable',
        b'pagetables', b'sec_pagetables', b'bounce', b'free', b'free_pcp',
        b'kernel_misc_reclaimable'))
    return max(0, total - known - scene.huge_kb * 1024 // page_size)
