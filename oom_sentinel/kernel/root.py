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

import errno
import json
import os
import socket
import stat
import time

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import files
from oom_sentinel.kernel.files import meminfo
from oom_sentinel.kernel.files import pressure
from oom_sentinel.kernel.files import vmstat

# A file of /proc or /sys that is read at once is shorter; more is not read.
READ_BYTES = 1 << 16
# A file of many records (mountinfo, children) is read up to here.
WHOLE_BYTES = 1 << 20
DIGITS = 20  # of the largest number of 64 bits
PAGE_SIZES = tuple(1 << bits for bits in range(12, 19))
LATEST_S = 1e11  # the largest time of a capture, in seconds since 1970: the year 5138
WORD_CHARACTERS = 256


class CaptureError(ValueError):
    """A captured tree that cannot be used; the text names the file and what is wrong with it."""


def reason(error: Exception) -> str:
    """Return why a file could not be read, short and with its name."""
    if isinstance(error, OSError):
        return f'{error.filename or "file"}: {error.strerror or error}'
    return str(error)


@frozen
class Capture:
    """The contents of a captured tree's capture.json; `wall_s` is when it was taken."""

    page_size: int
    wall_s: float
    kernel: str
    hostname: str = 'captured'
    clock_ticks: int = 100
    boot_time: float | None = None


def _seconds(value: object) -> float:
    """Return a time in seconds since 1970, or raise ValueError."""
    if not isinstance(value, int | float) or not 0 <= value <= LATEST_S:
        raise ValueError(f'{str(value)[:40]} is no time')
    return float(value)


def parse_capture(data: bytes) -> Capture:
    """
    Return the contents of a capture.json.

    :raises ValueError: when it is no JSON object or a value is missing or out of range.
    """
    try:
        found = json.loads(data)
    except RecursionError as error:
        raise ValueError('nested too deeply') from error
    if not isinstance(found, dict):
        raise ValueError('no JSON object')
    missing = [key for key in ('page_size', 'wall_s', 'kernel') if key not in found]
    if missing:
        raise ValueError(f'{missing[0]} is missing')
    page_size, clock_ticks = found['page_size'], found.get('clock_ticks', 100)
    if page_size not in PAGE_SIZES:
        raise ValueError(f'page_size {str(page_size)[:40]} is none of a kernel')
    if not isinstance(clock_ticks, int) or not 1 <= clock_ticks <= 10000:
        raise ValueError(f'clock_ticks {str(clock_ticks)[:40]} is none of a kernel')
    boot_time = found.get('boot_time')
    return Capture(
        int(page_size), _seconds(found['wall_s']), str(found['kernel'])[:WORD_CHARACTERS],
        str(found.get('hostname', 'captured'))[:WORD_CHARACTERS], clock_ticks,
        None if boot_time is None else _seconds(boot_time))


class Root:
    """A /proc and /sys tree: `/`, or a folder that `test/capture.py` made."""

    def __init__(self, path: str = '/') -> None:
        """
        Open the tree.

        :raises CaptureError: when a captured tree has no valid capture.json.
        """
        self.path = path
        self._real = os.path.realpath(path)
        self.live = self._real == '/'
        self.prefix = '' if self.live else path.rstrip('/')
        self.capture = None if self.live else self._read_capture()

    def _read_capture(self) -> Capture:
        try:
            return parse_capture(self.read('/capture.json'))
        except (OSError, ValueError) as error:
            if isinstance(error, CaptureError):
                raise
            raise CaptureError(f'{self.path}/capture.json: {reason(error)}') from error

    def place(self, path: str) -> str:
        """
        Return where a file of the tree is, its path given as on the live machine.

        :raises OSError: EINVAL for a path that no file can have.
        :raises CaptureError: when a link of a captured tree leads out of it.
        """
        name = self.prefix + path
        if '\0' in name:
            raise OSError(errno.EINVAL, 'a null byte in a path', name)
        if not self.live:
            real = os.path.realpath(name)
            if real != self._real and not real.startswith(self._real + '/'):
                raise CaptureError(f'{name}: a link leads out of the captured tree')
        return name

    def read(self, path: str, *, whole: bool = False, limit: int | None = None) -> bytes:
        """
        Return the bytes of a file of the tree, its path given as on the live machine.

        :param whole: read on to the end; files of many records (mountinfo, children) come a
            page at a time, the others come with the first read.
        :param limit: bytes after which nothing more is read.

        :raises OSError: with the file's name.
        :raises CaptureError: when the file of a captured tree is no regular file of it.
        """
        name = self.prefix + path if self.live else self.place(path)
        most = limit or (WHOLE_BYTES if whole else READ_BYTES)
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            if not self.live:
                mode = os.fstat(descriptor).st_mode
                if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # of a folder: EISDIR
                    raise CaptureError(f'{name}: not a regular file')
            data = os.read(descriptor, min(most, READ_BYTES))
            if not whole or not data:
                return data
            parts, size = [data], len(data)
            while data and size < most:
                data = os.read(descriptor, min(most - size, READ_BYTES))
                parts.append(data)
                size += len(data)
            return b''.join(parts)
        except OSError as error:
            error.filename = name
            raise
        finally:
            os.close(descriptor)

    def number(self, path: str) -> int | None:
        """Return the number that a file holds, None when absent, unreadable or no number."""
        try:
            text = self.read(path, limit=64).strip()
        except OSError:
            return None
        digits = text.removeprefix(b'-')
        return int(text) if digits.isdigit() and len(digits) <= DIGITS else None

    def link(self, path: str) -> str | None:
        """
        Return where a link of /proc leads, None when it is gone or may not be read.

        A captured tree holds the words of the link in a plain file.
        """
        try:
            return os.readlink(self.prefix + path)
        except OSError as error:
            if self.live or error.errno != errno.EINVAL:
                return None
        try:
            return self.read(path, limit=4096).decode('utf-8', 'backslashreplace')
        except OSError:
            return None

    def exists(self, path: str) -> bool:
        """Return whether there is a file or folder at this path."""
        return os.path.exists(self.place(path))

    def is_folder(self, path: str) -> bool:
        """Return whether there is a folder at this path."""
        return os.path.isdir(self.place(path))

    def names(self, path: str) -> list[str]:
        """
        Return the names in a folder.

        :raises OSError: when it is absent or unreadable.
        """
        return os.listdir(self.place(path))

    def host(self) -> Host:
        """Return the facts that do not change: name, page size in bytes, kernel release."""
        if self.capture is not None:
            found = self.capture
            return Host(found.hostname, found.page_size, found.kernel, found.clock_ticks)
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
        """Return /proc/meminfo, or why it cannot be read."""
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
            if error.errno == errno.EOPNOTSUPP:  # built in, switched off
                return Unavailable('pressure stall information is off; boot with psi=1')
            return Unavailable(reason(error))
        except files.ParseError as error:
            return Unavailable(reason(error))

    def vmstat(self) -> VmStat | Unavailable:
        """Return the counters of /proc/vmstat, or why they cannot be read."""
        try:
            return vmstat.parse(self.read('/proc/vmstat'))
        except (OSError, files.ParseError) as error:
            return Unavailable(reason(error))

    def last_pid(self) -> int | None:
        """Return the PID that was given last (fifth field of /proc/loadavg), None if unknown."""
        try:
            word = self.read('/proc/loadavg').split()[4]
        except (OSError, IndexError):
            return None
        return int(word) if word.isdigit() and len(word) <= DIGITS else None
