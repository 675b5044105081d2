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
Memory that belongs to no process: swap devices, zram, and shared memory in /dev/shm.

A Fast DDS process holds a lock (flock) on the file NAME_el of each of its segments until it
ends, however it ends; `fastdds shm clean` asks for the same lock.  Only files older than
SETTLED_S are asked, with a shared lock that is released at once: a process that takes its lock
right after it made the file is never disturbed.
"""

from dataclasses import replace
import fcntl
from itertools import islice
import os
import posixpath
import re
import time

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import swaps
from oom_sentinel.kernel.root import reason
from oom_sentinel.kernel.root import Root

SWAPS_PERIOD_S = 5.0
SEGMENTS_PERIOD_S = 30.0
SEGMENT_PERIOD_S = 0.2  # for each segment, where there are more than 150
FOLDER = '/dev/shm'
LOCK = re.compile(r'(?:fastrtps|fastdds)_[0-9a-f]{16}_el\Z')
SETTLED_S = 10.0
SEGMENTS = 4096  # any user may make files there
BLOCK_BYTES = 512  # of st_blocks, whatever the file system (stat(2))


def swap_devices(root: Root) -> tuple[SwapDevice, ...]:
    """Return the devices in use as swap, those in zram with what they hold."""
    try:
        listed = swaps.parse(root.read('/proc/swaps'))
    except (OSError, ParseError):
        return ()  # unreadable in some containers: swap then counts as a plain disk
    return tuple(replace(device, zram=_zram(root, posixpath.basename(device.name)))
                 for device in listed)


def _zram(root: Root, name: str) -> Zram | None:
    """Return the state of a zram device, None for any other device."""
    size = root.number(f'/sys/block/{name}/disksize') if name.startswith('zram') else None
    if not size:
        return None
    path = f'/sys/block/{name}/mm_stat'
    try:
        return swaps.mm_stat(root.read(path), name, size, path)
    except (OSError, ParseError):
        return Zram(name, size)


class Swaps:
    """Reads the swap devices seldom, and not at all on a machine without swap."""

    def __init__(self, root: Root) -> None:
        """Read nothing yet."""
        self.root = root
        self._devices: tuple[SwapDevice, ...] = ()
        self._read_s = NEVER_S

    def read(self, meminfo: object, now_s: float) -> tuple[SwapDevice, ...]:
        """Return the devices, read again every SWAPS_PERIOD_S."""
        if not isinstance(meminfo, MemInfo) or not meminfo.swap_total_bytes:
            return ()
        if due(now_s, self._read_s, SWAPS_PERIOD_S):
            self._read_s = now_s
            self._devices = swap_devices(self.root)
        return self._devices


class SharedMemory:
    """Counts Fast DDS segments every half minute; less often where there are many (25 us each)."""

    def __init__(self, root: Root, folder: str = FOLDER) -> None:
        """Read nothing yet."""
        self.root = root
        self.folder = folder
        self._read_s = NEVER_S
        self._segments = 0
        self._found: DdsSegments | Unavailable = Unavailable('not read yet')

    def read(self, now_s: float) -> DdsSegments | Unavailable:
        """Return the segments, counted again every SEGMENTS_PERIOD_S."""
        if not self.root.live:
            return Unavailable('a captured tree has no locks')
        if due(now_s, self._read_s, max(SEGMENTS_PERIOD_S, SEGMENT_PERIOD_S * self._segments)):
            self._read_s = now_s
            try:
                self._found = self._count()
            except OSError as error:
                self._found = Unavailable(reason(error))
        return self._found

    def _count(self) -> DdsSegments:
        live = dead = dead_bytes = 0
        with os.scandir(self.folder) as entries:
            locks = (entry.name for entry in entries if LOCK.match(entry.name))
            names = list(islice(locks, SEGMENTS))
        self._segments = len(names)
        for name in names:
            path = f'{self.folder}/{name}'
            if in_use(path):
                live += 1
                continue
            dead += 1
            try:
                dead_bytes += BLOCK_BYTES * os.stat(path[:-len('_el')]).st_blocks
            except FileNotFoundError:
                continue  # only the lock was left behind
        return DdsSegments(live, dead, dead_bytes)


def in_use(path: str) -> bool:
    """
    Return whether a process holds this lock.

    A lock that is young, gone or not readable for this user counts as held.
    """
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return True
    try:
        if time.time() - os.fstat(descriptor).st_mtime < SETTLED_S:
            return True
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError:
        return True
    finally:
        os.close(descriptor)
