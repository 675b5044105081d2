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

"""Reads the memory domains: the machine and the limited control groups of some processes."""

import time

from oom_sentinel import kernel
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.host import swappiness
from oom_sentinel.protection import domains
from oom_sentinel.protection.domains import Domain


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
