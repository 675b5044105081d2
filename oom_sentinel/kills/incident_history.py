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

"""The last ten minutes of memory, pressure and every tracked process, in a bounded ring."""

from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable

ROWS_MAX = 600
EVERY_S = 1.0
# 200 processes in 600 rows of 16 bytes each are 1.9 MB; a robot has some 30.
PROCESSES_MAX = 200
UNKNOWN = -1.0
MACHINE = ('mem_available_bytes', 'mem_total_bytes', 'swap_used_bytes', 'some_avg10_percent',
           'full_avg10_percent')


@dataclass(frozen=True, slots=True)
class Row:
    """
    One moment: wall clock, the machine's numbers, RSS and swap by process.

    `numbers` begins with those that MACHINE names, then holds RSS and swap in bytes of each
    label; UNKNOWN stands for what could not be read.
    """

    wall_s: float
    labels: tuple[str, ...]
    numbers: 'array[float]'


class History:
    """Fed every cycle; keeps at most a row a second."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        self._rows: deque[Row] = deque(maxlen=ROWS_MAX)
        self._taken_s = float('-inf')
        self._labels: tuple[str, ...] = ()

    def take(self, sample: Sample, targets: Iterable[Target]) -> None:
        """Take a row when the last one is EVERY_S old."""
        if sample.monotonic_s - self._taken_s < EVERY_S * 0.95:
            return
        self._taken_s = sample.monotonic_s
        processes = [t.process for t in targets][:PROCESSES_MAX]
        labels = tuple(f'{p.label} (PID {p.pid})' for p in processes)
        if labels != self._labels:
            self._labels = labels  # shared by all rows until somebody comes or goes
        numbers = array('d', machine(sample))
        for process in processes:
            held = process.memory
            numbers.extend((UNKNOWN, UNKNOWN) if held is None
                           else (held.rss_bytes, held.swap_bytes))
        self._rows.append(Row(sample.wall_s, self._labels, numbers))

    def rows(self) -> tuple[Row, ...]:
        """Return the rows, the oldest first."""
        return tuple(self._rows)


def machine(sample: Sample) -> list[float]:
    """Return the numbers that MACHINE names."""
    memory, pressure = sample.meminfo, sample.pressure
    found = [UNKNOWN] * 3 if isinstance(memory, Unavailable) else [
        UNKNOWN if memory.mem_available_bytes is None else memory.mem_available_bytes,
        memory.mem_total_bytes, memory.swap_total_bytes - memory.swap_free_bytes]
    if isinstance(pressure, Unavailable):
        return [*found, UNKNOWN, UNKNOWN]
    return [*found, pressure.some.avg10,
            UNKNOWN if pressure.full is None else pressure.full.avg10]
