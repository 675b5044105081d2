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
The memory domains: read for the cycle, for a launch or a plan, and how soon one is used up.

What protects in a control group depends on its limit, so a limit that changes asks for a plan at
once; and where little is left the kernel decides within seconds, so the table is read often.
"""

from collections.abc import Callable
import time

from oom_sentinel import kernel
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.host import swappiness
from oom_sentinel.protection import domains
from oom_sentinel.protection.domains import Domain


# A domain is nearly used up where less than this share is left, of a control group or of the
# machine, or where it is used up within so many seconds at the pace of now.
GROUP_SHARE, MACHINE_SHARE = 0.25, 0.05
SOON_S = 20.0

Reading = tuple[tuple[CgroupChain, ...] | Unavailable, MemInfo | Unavailable,
                tuple[SwapDevice, ...], int | None]


class Limits:
    """Remembers the domains of the last reading, to see what changed."""

    def __init__(self, read: Callable[[tuple[str, ...]], Reading], page_size: int) -> None:
        """
        Read nothing yet.

        :param read: returns the chains of these control groups, the machine's memory and swap,
            and vm.swappiness.
        """
        self._read = read
        self._page_size = page_size
        self._paths: tuple[str, ...] = ()
        self._domains: tuple[Domain, ...] = ()
        self._read_s = NEVER_S

    def of(self, paths: tuple[str, ...]) -> tuple[Domain, ...]:
        """Return the machine and the limited control groups of these paths."""
        self._paths = paths
        return self._now()

    def _now(self) -> tuple[Domain, ...]:
        chains, meminfo, swaps, swappiness = self._read(self._paths)
        return domains.domains(chains, meminfo, self._page_size, swaps, swappiness)

    def look(self, now_s: float) -> tuple[bool, bool]:
        """Return whether a limit has changed since then, and whether one is nearly reached."""
        last, self._domains = self._domains, self._now()
        passed_s, self._read_s = now_s - self._read_s, now_s
        before = {domain.path: domain for domain in last}
        changed = [(d.path, d.totalpages) for d in last] != [
            (d.path, d.totalpages) for d in self._domains]
        nearly = any(nearly_used_up(domain, before.get(domain.path), passed_s)
                     for domain in self._domains)
        return changed, nearly


def nearly_used_up(domain: Domain, before: Domain | None, passed_s: float) -> bool:
    """Return whether little of a domain is left, or it will be used up soon at this pace."""
    left = domain.left_pages
    if left is None:
        return False
    if left < (MACHINE_SHARE if domain.path is None else GROUP_SHARE) * domain.totalpages:
        return True
    if before is None or before.left_pages is None:
        return False
    return left * passed_s < (before.left_pages - left) * SOON_S


class DomainReader:
    """Reads the memory domains for a launch, or for a plan that is only shown."""

    def __init__(self, root: kernel.Root, cgroups: MemoryCgroups, page_size: int) -> None:
        """Read nothing yet."""
        self._root = root
        self._page_size = page_size
        self._chains = kernel.Chains(cgroups)
        self._swaps = kernel.Swaps(root)

    def of(self, paths: tuple[str, ...]) -> tuple[Domain, ...]:
        """Return the machine and the limited control groups of these paths."""
        now_s, meminfo = time.monotonic(), self._root.meminfo()
        return domains.domains(self._chains.read(paths, now_s), meminfo, self._page_size,
                               self._swaps.read(meminfo, now_s), swappiness(self._root))
