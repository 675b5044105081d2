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
How much memory each process holds at rest, and how fast it grows.

Pure: processes and the time of their reading go in.  A process rests when the least it held in
one stretch of time is no more than in the stretch before; a leak lifts that floor every time,
what is allocated and freed in turn does not.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import replace
import math

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import TaskMemory

MIB = 1 << 20
# A new process counts as settled when two readings so far apart are the same, or at last.
APART_S = 0.3
SETTLED_AT_LAST_S = 10.0
MOMENT_S = 2.0
YOUNG_S = 60.0
RATE_S = 3.0
# (age in seconds, length of a stretch): a young process may find its rest soon; later only what
# lasts is one, else a slow leak would be taken for it.
STRETCHES_S = ((15.0, 3.0), (60.0, 10.0), (600.0, 60.0), (math.inf, 600.0))
LEAKED_BYTES = 8 * MIB
LEAKY_LABELS_MAX = 64


def tolerance_bytes(held: int) -> int:
    """Return by how many bytes a process at rest may differ: 2 %, 0.5 to 4 MiB."""
    return max(MIB // 2, min(4 * MIB, held // 50))


@frozen
class Size:
    """
    What one process holds in bytes: now, and the least and the most of it at rest.

    `settled` is false while it starts, `settled_s` when that was over.  `bytes_per_s` is its
    pace over the last seconds.  `leaky` says that a process of the same label has leaked before.
    """

    memory: TaskMemory
    first_s: float
    read_s: float
    now: int
    low: int
    high: int
    settled: bool = False
    bytes_per_s: float = 0.0
    leaky: bool = False
    label: str = ''
    settled_s: float = 0.0
    stretch_s: float = 0.0
    stretch_low: int = 0
    stretch_high: int = 0
    before_low: int = 0
    before_high: int = 0

    @property
    def grown(self) -> int:
        """Return by how many bytes it is above the most that it held at rest."""
        return max(0, self.now - self.high)

    @property
    def growing(self) -> bool:
        """Return whether it holds more than at rest, or has not settled yet."""
        return not self.settled or self.leaky or self.now > self.high + tolerance_bytes(
            self.high)


def held_bytes(memory: TaskMemory) -> int:
    """Return what oom_badness() counts: resident, swapped, and page tables."""
    return memory.rss_bytes + memory.swap_bytes + memory.page_table_bytes


@frozen
class Leak:
    """How a process leaked that has ended: the most it held at rest, its pace at the end."""

    rest: int
    bytes_per_s: float


def repeats(last: Size, now_s: float) -> bool:
    """Return whether one more equal reading would change nothing but the time of the last."""
    return last.settled and abs(last.bytes_per_s) < 1 \
        and now_s - last.stretch_s < _stretch_length_s(last)


def first(memory: TaskMemory, now_s: float, *, label: str = '', leak: Leak | None = None
          ) -> Size:
    """
    Return the size of a process that is seen for the first time.

    :param leak: of the process of the same label before it: one that is started again goes on
        with the same leak, so its rest and pace are known.
    """
    held = held_bytes(memory)
    size = Size(memory, now_s, now_s, held, held, held, label=label,
                stretch_s=now_s, stretch_low=held, stretch_high=held, before_low=held,
                before_high=held)
    if leak is None:
        return size
    return replace(size, leaky=True, settled=True, high=leak.rest,
                   bytes_per_s=leak.bytes_per_s)


def extend(last: Size, memory: TaskMemory, now_s: float) -> Size:
    """Return the size with one more reading; one that comes too soon replaces only `now`."""
    held, passed_s = held_bytes(memory), now_s - last.read_s
    if passed_s < 0:
        return replace(first(memory, now_s, label=last.label), leaky=last.leaky)
    if passed_s < APART_S:
        return replace(last, memory=memory, now=held, low=min(last.low, held),
                       high=last.high if last.settled else held)
    weight = -math.expm1(-passed_s / RATE_S)
    pace = (held - last.now) / passed_s
    size = replace(last, memory=memory, read_s=now_s, now=held,
                   bytes_per_s=last.bytes_per_s + weight * (pace - last.bytes_per_s))
    if not last.settled:
        return _settle(size, last.now, now_s)
    # On a busy machine a start may stand still for a moment before it goes on.
    if now_s - last.first_s < SETTLED_AT_LAST_S \
            and now_s - last.settled_s < MOMENT_S \
            and held > last.high + tolerance_bytes(last.high):
        return replace(size, settled=False, high=held)
    return _rest(size, now_s)


def _settle(size: Size, before: int, now_s: float) -> Size:
    """Return a starting process as settled, when two readings are the same or it is old."""
    held = size.now
    same = abs(held - before) <= tolerance_bytes(held)
    settled = same or now_s - size.first_s >= SETTLED_AT_LAST_S
    return replace(size, settled=settled, settled_s=now_s, low=held, high=held, stretch_s=now_s,
                   stretch_low=held, stretch_high=held, before_low=held, before_high=held)


def _rest(size: Size, now_s: float) -> Size:
    """Return a settled process with its stretch extended, and judged when it is over."""
    low, high = min(size.stretch_low, size.now), max(size.stretch_high, size.now)
    size = replace(size, low=min(size.low, size.now), stretch_low=low, stretch_high=high)
    if now_s - size.stretch_s < _stretch_length_s(size):
        return size
    if low - size.before_low <= tolerance_bytes(size.before_low):
        # The stretch before was rest indeed: nothing that it held was kept and added to.
        size = replace(size, low=min(low, size.before_low), high=size.before_high)
    return replace(size, stretch_s=now_s, stretch_low=size.now, stretch_high=size.now,
                   before_low=low, before_high=high)


def _stretch_length_s(size: Size) -> float:
    age_s = size.stretch_s - size.first_s
    return next(length for until, length in STRETCHES_S if age_s < until)


class Sizes:
    """The sizes of a process table, kept from one reading to the next."""

    def __init__(self) -> None:
        """Start with no process known."""
        self._sizes: dict[Identity, Size] = {}
        self._leaks: dict[str, Leak] = {}
        self._repeated_s: dict[Identity, float] = {}  # when the last reading came once more

    @property
    def known(self) -> Mapping[Identity, Size]:
        """Return the size of each process of the last table."""
        return self._sizes

    def read(self, processes: Iterable[Process], now_s: float,
             reread: frozenset[int] = frozenset()) -> None:
        """
        Take the memory of a process table; what was not read anew is left as it was.

        :param reread: the PIDs that were read though they may hold the same as before.
        """
        table = {p.identity: p for p in processes if p.memory is not None}
        for identity in self._sizes.keys() - table.keys():
            self._repeated_s.pop(identity, None)
            self._remember_leak(self._sizes[identity])
        self._sizes = {i: self._size(p, p.memory, now_s, p.pid in reread)
                       for i, p in table.items() if p.memory is not None}

    def add(self, processes: Iterable[Process], now_s: float) -> None:
        """Take the memory of a few processes; the others stay known."""
        self._sizes.update((p.identity, self._size(p, p.memory, now_s, False))
                           for p in processes if p.memory is not None)

    def _size(self, process: Process, memory: TaskMemory, now_s: float, reread: bool) -> Size:
        before = self._sizes.get(process.identity)
        if before is None:
            label = process.label
            return first(memory, now_s, label=label, leak=self._leaks.get(label))
        if before.memory is memory and not reread:
            return before
        if before.memory is memory and repeats(before, now_s):
            self._repeated_s[process.identity] = now_s
            return before
        repeated_s = self._repeated_s.pop(process.identity, None)
        if repeated_s is not None:
            before = extend(before, before.memory, repeated_s)
        return extend(before, memory, now_s)

    def _remember_leak(self, size: Size) -> None:
        """Keep the leak of a process that ended while it grew: its successor may leak too."""
        if size.settled and size.now - size.low > LEAKED_BYTES and size.bytes_per_s > 0:
            self._leaks.pop(size.label, None)
            self._leaks[size.label] = Leak(size.high, size.bytes_per_s)
            if len(self._leaks) > LEAKY_LABELS_MAX:
                del self._leaks[next(iter(self._leaks))]

    def forget(self, identity: Identity) -> None:
        """Forget a process that has ended."""
        self._repeated_s.pop(identity, None)
        gone = self._sizes.pop(identity, None)
        if gone is not None:
            self._remember_leak(gone)

    def unsettled(self) -> frozenset[int]:
        """Return the PIDs of the processes that are still starting."""
        return frozenset(i.pid for i, s in self._sizes.items() if not s.settled)

    def restless(self) -> frozenset[int]:
        """
        Return the PIDs of the young processes that are starting or hold more than at rest.

        Their values are corrected when they rest, so they are worth reading at every scan.
        """
        return frozenset(i.pid for i, s in self._sizes.items() if not s.settled or (
            s.growing and s.read_s - s.first_s < YOUNG_S))
