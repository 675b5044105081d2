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

"""A tree of /proc and /sys, live or captured, and the host's own files in it."""

from dataclasses import dataclass
import json
import os
import socket
import time

from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import files
from oom_sentinel.kernel.files import meminfo
from oom_sentinel.kernel.files import pressure
from oom_sentinel.kernel.files import vmstat


READ_BYTES = 1 << 16


class CaptureError(ValueError):
    """A captured tree that lacks its capture.json or has a broken one."""


def reason(error: Exception) -> str:
    """Return why a file could not be read, short and with its name."""
    if isinstance(error, OSError):
        return f'{error.filename or "file"}: {error.strerror or error}'
    return str(error)


@dataclass(frozen=True, slots=True)
class Capture:
    """What capture.json of a captured tree says; wall_s is when it was taken."""

    page_size: int
    wall_s: float
    kernel: str
    hostname: str = 'captured'
    clock_ticks: int = 100
    boot_time: float | None = None


class Root:
    """A /proc and /sys tree: `/`, or a folder that `test/capture.py` made."""

    def __init__(self, path: str = '/') -> None:
        """
        Open the tree.

        :raises CaptureError: when a captured tree has no valid capture.json.
        """
        self.path = path
        self.live = os.path.realpath(path) == '/'
        self.prefix = '' if self.live else path.rstrip('/')
        self.capture = None if self.live else self._read_capture()

    def _read_capture(self) -> Capture:
        file = os.path.join(self.path, 'capture.json')
        try:
            with open(file, encoding='utf-8') as stream:
                said = json.load(stream)
            return Capture(
                int(said['page_size']), float(said['wall_s']), str(said['kernel']),
                str(said.get('hostname', 'captured')), int(said.get('clock_ticks', 100)),
                said.get('boot_time'))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CaptureError(f'{file}: {type(error).__name__}: {error}') from error

    def read(self, path: str, *, whole: bool = False) -> bytes:
        """
        Return the bytes of a file of the tree, its path given as on the live machine.

        :param whole: read to the end; files of many records (maps, mountinfo) come a page at
            a time, the others at once.

        :raises OSError: with the file's name.
        """
        name = self.prefix + path
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            parts = [os.read(descriptor, READ_BYTES)]
            while parts[-1] and (whole or len(parts[-1]) == READ_BYTES):
                parts.append(os.read(descriptor, READ_BYTES))
            return b''.join(parts)
        except OSError as error:
            error.filename = name
            raise
        finally:
            os.close(descriptor)

    def number(self, path: str) -> int | None:
        """Return the number that a file holds, None when absent, unreadable or no number."""
        try:
            return int(self.read(path))
        except (OSError, ValueError):
            return None

    def host(self) -> Host:
        """Return what does not change: name, page size in bytes, kernel release."""
        if self.capture is not None:
            said = self.capture
            return Host(said.hostname, said.page_size, said.kernel, said.clock_ticks)
        boot_id = None
        try:
            boot_id = self.read('/proc/sys/kernel/random/boot_id').decode('ascii').strip()
        except (OSError, UnicodeDecodeError):
            boot_id = None
        return Host(socket.gethostname(), os.sysconf('SC_PAGE_SIZE'), os.uname().release,
                    os.sysconf('SC_CLK_TCK'), boot_id)

    def boottime(self) -> float | None:
        """Return the seconds since boot with those suspended, None for a captured tree."""
        return time.clock_gettime(time.CLOCK_BOOTTIME) if self.live else None

    def meminfo(self) -> MemInfo | Unavailable:
        """Return /proc/meminfo, or why not."""
        try:
            return meminfo.parse(self.read('/proc/meminfo'))
        except (OSError, files.ParseError) as error:
            return Unavailable(reason(error))

    def pressure(self) -> Pressure | Unavailable:
        """Return /proc/pressure/memory, or why not: an old kernel, or psi=1 missing."""
        try:
            return pressure.parse(self.read('/proc/pressure/memory'))
        except FileNotFoundError:
            return Unavailable('this kernel has no pressure stall information; it comes with '
                               'Linux 4.20 and CONFIG_PSI')
        except OSError as error:
            if error.errno == 95:  # EOPNOTSUPP: built in, switched off
                return Unavailable('pressure stall information is off; boot with psi=1')
            return Unavailable(reason(error))
        except files.ParseError as error:
            return Unavailable(reason(error))

    def vmstat(self) -> VmStat | Unavailable:
        """Return the counters of /proc/vmstat, or why not."""
        try:
            return vmstat.parse(self.read('/proc/vmstat'))
        except (OSError, files.ParseError) as error:
            return Unavailable(reason(error))

    def last_pid(self) -> int | None:
        """Return the PID that was given last (fifth field of /proc/loadavg)."""
        try:
            return int(self.read('/proc/loadavg').split()[4])
        except (OSError, ValueError, IndexError):
            return None
