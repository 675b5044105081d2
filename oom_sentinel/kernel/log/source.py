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
What every source of log lines is, and how lines pass from its thread to the cycle.

The waiting thread only moves bytes and looks for one word: of a chatty kernel log nothing
else wakes the sentinel.
"""

from collections import deque
from collections.abc import Iterator
import threading
from typing import Protocol


class Refused(Exception):
    """A source that cannot be opened; the text says why and what would open it."""


class Source(Protocol):
    """
    One way to the kernel's messages.

    `name` is told in reports; `descriptor` becomes readable when there is something to read,
    None where there is nothing to wait for; `missed` counts messages known to be lost.
    """

    name: str
    descriptor: int | None
    missed: int

    def read(self) -> list[bytes]:
        """Return messages that came since the last call, without waiting; none at the end."""

    def tend(self, now_s: float) -> None:
        """Do what is due at this monotonic time, such as starting a program again."""

    def close(self) -> None:
        """Close every descriptor and end every program."""


class Nothing:
    """No source: kills show in the counters only."""

    name = 'counters'
    descriptor: int | None = None
    missed = 0

    def read(self) -> list[bytes]:
        """Return nothing."""
        return []

    def tend(self, now_s: float) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


# Up to 5.0 "Kill process" stood a line earlier; "Killed process" is in every version.
MARK = b'Killed process'
LINES_MAX = 1 << 16
READS_MAX = 1000


class Feed:
    """A source, and what was read of it and not yet taken; safe between two threads."""

    def __init__(self, source: Source) -> None:
        """Take over the source."""
        self.source = source
        self._lines: deque[bytes] = deque()
        self._dropped = 0
        self._lock = threading.Lock()
        self.trouble: str | None = None

    @property
    def missed(self) -> int:
        """Return how many messages were lost."""
        return self.source.missed + self._dropped

    def drain(self) -> bool:
        """Read the lines that wait; return whether one of them reports a kill."""
        marked = False
        for _ in range(READS_MAX):
            lines = self._read()
            if not lines:
                break
            marked = marked or any(MARK in line for line in lines)
        return marked

    def take(self) -> Iterator[bytes]:
        """
        Read what is there and yield everything not yet taken.

        What one reading returns is gone before the next one: a buffer of the kernel of 16 MiB
        never is in memory as a whole.
        """
        for _ in range(READS_MAX):
            yield from self._taken()
            if not self._read():
                break
        yield from self._taken()

    def _read(self) -> list[bytes]:
        """Return the lines of one reading, which are now kept too."""
        with self._lock:
            if self.source.descriptor is None:
                return []
            try:
                lines = self.source.read()
            except OSError as error:
                self.trouble = f'{self.source.name}: {error.strerror}'
                return []
            self.trouble = None
            self._lines.extend(lines)
            while len(self._lines) > LINES_MAX:
                self._lines.popleft()
                self._dropped += 1
        return lines

    def _taken(self) -> deque[bytes]:
        """Return the lines that are kept, and keep them no longer."""
        with self._lock:
            lines, self._lines = self._lines, deque()
        return lines

    def close(self) -> None:
        """Close the source; a thread that still waits finds nothing to read."""
        with self._lock:
            self.source.close()
