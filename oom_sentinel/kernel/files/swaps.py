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

"""/proc/swaps (mm/swapfile.c swap_show()) and zram's mm_stat (zram_drv.c mm_stat_show())."""

from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import Zram
from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError
from oom_sentinel.kernel.files.stat import text


def parse(data: bytes, path: str = '/proc/swaps') -> tuple[SwapDevice, ...]:
    """
    Return the swap devices; sizes are printed in KiB.

    :raises ParseError: on a line without name, type, size and used.
    """
    found = []
    for line in data.split(b'\n')[1:]:
        if not line.strip():
            continue
        words = line.rsplit(None, 4)  # a file's name may hold blanks
        if len(words) != 5:
            raise ParseError(path, line, 'expected name, type, size, used and priority')
        found.append(SwapDevice(text(words[0]), integer(path, line, words[2]) * 1024,
                                integer(path, line, words[3]) * 1024))
    return tuple(found)


def mm_stat(data: bytes, name: str, disksize_bytes: int, path: str = 'mm_stat') -> Zram:
    """
    Return the state of a zram device; all numbers in mm_stat are bytes.

    :raises ParseError: with fewer than four numbers (kernels before 4.7 have other files).
    """
    words = data.split(None, 4)
    if len(words) < 4:
        raise ParseError(path, data, 'expected at least four numbers')
    original, _, used, limit = (integer(path, data, word) for word in words[:4])
    return Zram(name, disksize_bytes, original, used, limit or None)
