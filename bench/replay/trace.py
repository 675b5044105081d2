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

"""A trace of available memory, and the samples that the sentinel would have read of it."""

from dataclasses import dataclass
import math
import random

from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.sample import Sample

MB = 1e6
HOST = Host('replay', 4096, '6.1.0')
SIZES_MB = (1000, 2000, 4000, 8000, 16000, 32000)
# The model of pressure stall information: tasks wait when less than this share of memory is left
# for the page cache, all of the time when nothing is left; the kernel averages over 10 s.
STALLS_BELOW = 0.08
KEPT = math.exp(-1 / 10)


@dataclass(frozen=True, slots=True)
class Trace:
    """
    One reading a second: `left` in bytes, of `total`.

    `end_s` is when nothing is left, None when that never happens; the fall begins at
    `start_s`.  `born` are the seconds at which a ROS process starts, `slept` the seconds of
    suspend before each reading, `swap` the free swap of each reading with its size first.
    `psi` is the recorded share of the last 10 s that tasks waited; without it a model is used.
    """

    kind: str
    total: float
    left: tuple[float, ...]
    end_s: float | None = None
    start_s: float = 0.0
    born: tuple[float, ...] = ()
    slept: tuple[float, ...] = ()
    swap: tuple[float, ...] = ()
    psi: tuple[float, ...] = ()

    @property
    def some_avg10(self):
        """Return PSI some avg10 in percent of each reading."""
        if self.psi:
            return self.psi
        waited, found = 0.0, []
        for left in self.left:
            short = max(0.0, 1 - left / (STALLS_BELOW * self.total))
            waited = KEPT * waited + (1 - KEPT) * 100 * min(1.0, short)
            found.append(waited)
        return found


def samples(trace):
    """Yield the samples of a trace."""
    asleep, waited = 0.0, trace.some_avg10
    nodes = tuple(Process(10 + i, int(100 * (1000 + at)), 1, 0, Program('node', ros=True))
                  for i, at in enumerate(trace.born))
    for index, left in enumerate(trace.left):
        at = 1000.0 + index
        asleep += trace.slept[index] if trace.slept else 0.0
        size, free = (trace.swap[0], trace.swap[index]) if trace.swap else (0, 0)
        info = MemInfo(int(trace.total), int(left * 0.6), max(0, int(left)),
                       swap_total_bytes=int(size), swap_free_bytes=int(free))
        alive = tuple(n for n in nodes if n.start_time <= 100 * at)
        some = Pressure(PressureLine(waited[index], 0.0, 0.0, 0))
        yield Sample(at, at, HOST, info, some, VmStat(0), processes=alive,
                     processes_monotonic_s=at, boottime_s=at + asleep)


def noise(chance: random.Random, total, count):
    """Return noise of one reading a second: correlated, 0.02 to 0.5 percent of the total."""
    keep = chance.choice((0.0, 0.5, 0.9, 0.97))
    size = total * 10 ** chance.uniform(-3.7, -2.3) * (1 - keep ** 2) ** 0.5
    value, found = 0.0, []
    for _ in range(count):
        value = keep * value + chance.gauss(0, size)
        found.append(value)
    return found
