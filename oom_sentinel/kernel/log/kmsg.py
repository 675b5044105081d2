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

"""/dev/kmsg: `prio,seq,usec,flags;text`, a record a read (Documentation/ABI/testing/dev-kmsg)."""

from collections.abc import Iterator
import os
import re

from oom_sentinel.kernel.log.source import Refused

# A record may be longer than the text: CONSOLE_EXT_LOG_MAX is 8192 and read() of a smaller
# buffer is EINVAL.
RECORD_BYTES = 8192
READS_MAX = 256  # records at a time
TIMES_MAX = 10_000  # a writer that is faster than the reader is not followed for ever
GRANT = 'sysctl kernel.dmesg_restrict=0 or CAP_SYSLOG (sudo) gives the right'
_STAMP = re.compile(rb'(?:^|\n)(?:<\d{1,4}>)?\[ *\d{1,10}\.\d{1,9}\]|(?:^|\n)\d{1,4},\d{1,20},\d')


class Kmsg:
    """The kernel's own buffer, from its oldest record on."""

    def __init__(self, path: str = '/dev/kmsg') -> None:
        """
        Open it.

        :raises Refused: with what would give the permission.
        """
        self.name = 'kmsg'
        self.missed = 0
        self._sequence: int | None = None
        try:
            self.descriptor: int | None = os.open(
                path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            # With kernel.dmesg_restrict the open already asks for CAP_SYSLOG.
        except PermissionError as error:
            raise Refused(f'{path}: {error.strerror}; {GRANT}') from error
        except OSError as error:
            raise Refused(f'{path}: {error.strerror}') from error

    def read(self) -> list[bytes]:
        """Return the next records; of a record the lines after the first are left out."""
        assert self.descriptor is not None
        found: list[bytes] = []
        while len(found) < READS_MAX:
            try:
                record = os.read(self.descriptor, RECORD_BYTES)
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # overrun: the next read goes on behind the gap, which `seq` shows
            if not record:
                break
            self._follow(record)
            found.append(record.partition(b'\n')[0])
        return found

    def rest(self) -> Iterator[bytes]:
        """Yield the records up to the end of the buffer, read some at a time."""
        for _ in range(TIMES_MAX):
            records = self.read()
            if not records:
                return
            yield from records

    def _follow(self, record: bytes) -> None:
        words = record[:64].split(b',', 2)
        if len(words) < 3 or not words[1].isdigit():
            return
        sequence = int(words[1])
        if self._sequence is not None and sequence > self._sequence + 1:
            self.missed += sequence - self._sequence - 1
        self._sequence = sequence

    def tend(self, now_s: float) -> None:
        """Do nothing: the buffer needs no care."""

    def close(self) -> None:
        """Close the descriptor."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def looks_like_dmesg(block: bytes) -> bool:
    """Return whether a block holds lines with the kernel's own stamps."""
    return _STAMP.search(block[:1 << 16]) is not None
