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

"""The swap devices, and what zram makes of them."""

from dataclasses import replace
import posixpath

from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import swaps
from oom_sentinel.kernel.root import Root

REREAD_S = 5.0


class Swaps:
    """Reads /proc/swaps seldom, and not at all on a machine without swap."""

    def __init__(self, root: Root) -> None:
        """Start with nothing read."""
        self.root = root
        self._devices: tuple[SwapDevice, ...] = ()
        self._read_s = float('-inf')

    def read(self, meminfo: object, now_s: float) -> tuple[SwapDevice, ...]:
        """Return the devices; one that cannot be read is left out, and counts as plain swap."""
        if not isinstance(meminfo, MemInfo) or not meminfo.swap_total_bytes:
            return ()
        if not 0 <= now_s - self._read_s < REREAD_S:
            self._read_s = now_s
            try:
                listed = swaps.parse(self.root.read('/proc/swaps'))
            except (OSError, ParseError):
                listed = ()
            self._devices = tuple(self._with_zram(device) for device in listed)
        return self._devices

    def _with_zram(self, device: SwapDevice) -> SwapDevice:
        name = posixpath.basename(device.name)
        if not name.startswith('zram'):
            return device
        path = f'/sys/block/{name}/mm_stat'
        try:
            return replace(device, zram=swaps.mm_stat(self.root.read(path), path))
        except (OSError, ParseError):
            return device
