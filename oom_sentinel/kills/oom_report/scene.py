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
What a report says of the memory that was short: Mem-Info, zones, limits, the request.

Sources: lib/show_mem.c and mm/page_alloc.c show_free_areas(), mm/memcontrol.c
mem_cgroup_print_oom_context(), mm/oom_kill.c dump_header(), lib/dump_stack.c.
"""

from dataclasses import dataclass
from dataclasses import field
import re

from oom_sentinel.facts.frozen import frozen

MAX_ZONES = 4096
# ARM's own show_mem() of 3.10 said "pages of RAM" and "reserved pages".
_RAM = re.compile(rb'(\d{1,20}) (?:pages (?:of )?(?:RAM|reserved)|reserved pages)\b')
# It ends the list of areas; without CONFIG_SWAP no line about swap follows.
_PAGECACHE = re.compile(rb'\d{1,20} total pagecache pages')
_SWAP = re.compile(rb'(Total|Free) swap +[=:] *(\d{1,20})kB')
_ZONE = re.compile(rb'(?:Node (\d{1,5}) )?([A-Za-z0-9]{1,16}) free:(\d{1,20})kB (.{0,900})')
_PRESENT = re.compile(rb'(?:Node (\d{1,5}) )?[A-Za-z0-9]{1,16} free:\d.{0,900}?'
                      rb' present:(\d{1,20})kB')
_NODES = re.compile(rb'(?:nodemask|mems_allowed)=([\d,-]{1,400})')
_VERSION = re.compile(rb'(?:CPU|Pid): ?\d.{0,200}?(?:Not tainted|Tainted: .{0,120}?) '
                      rb'((\d{1,2})\.(\d{1,3})(?:[.\-+ ][^\s#]{0,80}|$))')
_USAGE = re.compile(rb'(memory|memory\+swap|swap): usage (\d{1,20})kB, limit (\d{1,20})kB')
_REQUEST = re.compile(rb' invoked oom-killer: gfp_mask=(0x[0-9a-f]{1,16}(?:\([^()]{0,400}\))?)')
_ORDER = re.compile(rb'\border=(-?\d{1,3})\b')
_COUNTS = re.compile(rb' ?(?:active_anon|active_file|unevictable|slab_reclaimable|mapped|'
                     rb'kernel_misc_reclaimable|free):\d')
_COUNT = re.compile(rb'([a-z_]{1,30}):(\d{1,20})(?![\dk])')
_KILOBYTES = re.compile(rb'([a-z_]{1,30}):(\d{1,20})kB')
_HUGE = re.compile(rb'(?:Node (\d{1,5}) )?hugepages_total=(\d{1,12}) .{0,80}'
                   rb'hugepages_size=(\d{1,10})kB')


@frozen
class Usage:
    """A counter of a control group, in kB."""

    usage_kb: int
    limit_kb: int


@frozen
class Zone:
    """A zone of a memory node, in kB; `min_kb` is the kernel's reserve, `cma_kb` free CMA."""

    node: int
    name: str
    free_kb: int
    min_kb: int
    high_kb: int
    managed_kb: int
    cma_kb: int


@dataclass(slots=True)
class Scene:
    """
    Filled while a report is read.

    `counts` are Mem-Info's sums in pages, `request` is gfp_mask as printed, `asked_for` tells
    that SysRq f came before.
    """

    kernel: tuple[int, int] | None = None
    release: str | None = None
    memcg: bool = False
    machine: bool = False
    constraint: str | None = None
    usages: dict[bytes, Usage] = field(default_factory=dict)
    ram_pages: int | None = None
    reserved_pages: int = 0
    swap_kb: int | None = None
    free_swap_kb: int | None = None
    present_kb: dict[int, int] = field(default_factory=dict)
    zones: list[Zone] = field(default_factory=list)
    counts: dict[bytes, int] = field(default_factory=dict)
    huge_kb: int = 0
    nodes: frozenset[int] = frozenset()
    request: str | None = None
    order: int | None = None
    asked_for: bool = False

    def take(self, text: bytes) -> bool:
        """Take a line; return whether it is one of Mem-Info, of limits, or of the kernel."""
        return self._take_sums(text) or self._take_zone(text) or self._take_rest(text)

    def take_request(self, text: bytes) -> None:
        """Take the report's first line: what was asked for."""
        m = _REQUEST.search(text[:700])
        if m is not None:
            self.request = m.group(1).decode('ascii', 'replace')
        m = _ORDER.search(text[:900])
        if m is not None:
            self.order = int(m.group(1))
        self.take_nodes(text)

    def take_nodes(self, text: bytes) -> None:
        """Keep the nodes of the mempolicy, or those of the cpuset: the narrower of the two."""
        for mask in _NODES.findall(text[:1000]):
            found = nodes(mask)
            if found and (not self.nodes or len(found) < len(self.nodes)):
                self.nodes = found

    def _take_sums(self, text: bytes) -> bool:
        m = _RAM.match(text)
        if m is not None:
            if b'RAM' in m.group():
                self.ram_pages = int(m.group(1))
            else:
                self.reserved_pages = int(m.group(1))
            return True
        m = _SWAP.match(text)
        if m is not None:
            if m.group(1) == b'Total':
                self.swap_kb = int(m.group(2))
            else:
                self.free_swap_kb = int(m.group(2))
            return True
        if _PAGECACHE.match(text):
            self.swap_kb = self.swap_kb or 0
            return True
        if _COUNTS.match(text):
            for name, pages in _COUNT.findall(text[:2000]):
                self.counts.setdefault(name, int(pages))
            return True
        return False

    def _take_zone(self, text: bytes) -> bool:
        m = _PRESENT.match(text)
        if m is not None and len(self.present_kb) < MAX_ZONES:
            node = int(m.group(1) or 0)
            self.present_kb[node] = self.present_kb.get(node, 0) + int(m.group(2))
        zone = _ZONE.match(text)
        if zone is not None and len(self.zones) < MAX_ZONES:
            facts = {name: int(kb) for name, kb in _KILOBYTES.findall(zone.group(4))}
            if b'min' in facts:
                self.zones.append(Zone(
                    int(zone.group(1) or 0), zone.group(2).decode(), int(zone.group(3)),
                    facts[b'min'], facts.get(b'high', facts[b'min']),
                    facts.get(b'managed', facts.get(b'present', 0)),
                    facts.get(b'free_cma', 0)))
        if m is None and zone is None:
            huge = _HUGE.match(text)
            if huge is None:
                return False
            self.huge_kb += int(huge.group(2)) * int(huge.group(3))
        return True

    def _take_rest(self, text: bytes) -> bool:
        m = _VERSION.match(text)
        if m is not None:
            self.kernel = (int(m.group(2)), int(m.group(3)))
            self.release = m.group(1).strip().decode('utf-8', 'backslashreplace')
            return True
        m = _USAGE.match(text)
        if m is not None:
            self.usages[m.group(1)] = Usage(int(m.group(2)), int(m.group(3)))
            return True
        if b' mems_allowed=' in text[:400]:
            self.take_nodes(text)
            return True
        if b'moom_callback' in text[:400]:  # before 4.2 SysRq f has order=0
            self.asked_for = True
            return True
        return text.startswith(b'Mem-Info:')


def nodes(mask: bytes) -> frozenset[int]:
    """Return the node numbers of a list such as 0-1,3; at most 4096."""
    found: set[int] = set()
    for part in mask.split(b','):
        first, _, last = part.partition(b'-')
        if not (first.isdigit() and len(first) <= 5 and len(last) <= 5):
            continue
        end = int(last) if last.isdigit() else int(first)
        found.update(range(int(first), min(end, 4096) + 1))
    return frozenset(found)
