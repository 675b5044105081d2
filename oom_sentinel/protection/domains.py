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
The memory domains: the machine, and each limited control group that holds a protected process.

Pure.  An oom_score_adj weighs a thousandth of the totalpages of the domain that runs short, so
the same value means much on the machine and little in a small control group.
"""

from collections.abc import Iterable

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import badness
from oom_sentinel.risk import headroom

HEAD_START = 20  # a twentieth of the domain: 5 %


@frozen
class Domain:
    """
    Where memory can run out; `path` is None for the machine.

    `left_pages` is what can still be taken before the OOM killer comes, None when unknown.
    """

    path: str | None
    totalpages: int
    left_pages: int | None = None

    @property
    def point(self) -> int:
        """Return the pages that one point of oom_score_adj weighs (oom_badness())."""
        return max(1, self.totalpages // 1000)

    @property
    def head_start_pages(self) -> int:
        """Return the pages by which a protected process may grow above its size at rest."""
        return self.totalpages // HEAD_START

    @property
    def label(self) -> str:
        """Return how an operator knows it."""
        if self.path is None:
            return 'this machine'
        return 'this container' if self.path == '/' else f'control group {self.path}'

    def holds(self, process: Process) -> bool:
        """Return whether this process's memory is counted here."""
        if self.path is None or self.path == '/':
            return True
        cgroup = process.cgroup
        return cgroup is not None and (
            cgroup == self.path or cgroup.startswith(self.path + '/'))


def domains(chains: Iterable[CgroupChain] | Unavailable, meminfo: MemInfo | Unavailable,
            page_size: int, swaps: tuple[SwapDevice, ...] = (),
            swappiness: int | None = None) -> tuple[Domain, ...]:
    """
    Return the machine and every limited control group of these chains, the machine first.

    A limit that is not below the machine's memory bounds nothing.

    :param swappiness: vm.swappiness; 0 keeps the groups of cgroup v2 from swapping.
    """
    if isinstance(meminfo, Unavailable):
        return ()
    left = headroom.machine_bytes(meminfo, swaps)
    found = [Domain(None, badness.machine_totalpages(meminfo, page_size),
                    None if left is None else left // page_size)]
    if isinstance(chains, Unavailable):
        return tuple(found)
    groups = {group.path: group for chain in chains for group in chain.groups}
    for path, group in groups.items():
        if group.limit_bytes is None or group.limit_bytes >= meminfo.mem_total_bytes:
            continue
        room = headroom.headroom(group, meminfo, swappiness)
        found.append(Domain(
            path, badness.cgroup_totalpages(group, meminfo, page_size, swappiness),
            None if room is None else room.until_oom_bytes // page_size))
    return tuple(found)
