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

"""What every source is, and the one that has nothing to read."""

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
        """Return the messages that came since the last call, without waiting."""

    def tend(self, now_s: float) -> None:
        """Do what is due at this monotonic time, such as starting a program again."""

    def close(self) -> None:
        """Give everything back."""


class Nothing:
    """No source at all: only the counters tell."""

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
