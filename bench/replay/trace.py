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
import random

from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable

MB = 1e6
HOST = Host('replay', 4096, '6.1.0')
NO_PSI = Unavailable('not in a trace')
SIZES_MB = (1000, 2000, 4000, 8000, 16000, 32000)


@dataclass(frozen=True, slots=True)
class Trace:
    """
    One reading a second: `left` in bytes, of `total`.

    `end_s` is when nothing is left, None when that never happens; the fall begins at
    `start_s`.  `born` are the seconds at which a ROS process starts, `slept` the seconds of
    suspend before each reading, `swap` the free swap of each reading with its size first.
    """

    kind: str
    total: float
    left: tuple[float, ...]
    end_s: float | None = None
    start_s: float = 0.0
    born: tuple[float, ...] = ()
    slept: tuple[float, ...] = ()
    swap: tuple[float, ...] = ()


def samples(trace):
    """Yield the samples of a trace."""
    asleep = 0.0
    nodes = tuple(Process(10 + i, int(100 * (1000 + at)), 1, 0, Program('node', ros=True))
                  for i, at in enumerate(trace.born))
    for index, left in enumerate(trace.left):
        at = 1000.0 + index
        asleep += trace.slept[index] if trace.slept else 0.0
        size, free = (trace.swap[0], trace.swap[index]) if trace.swap else (0, 0)
        info = MemInfo(int(trace.total), int(left * 0.6), max(0, int(left)),
                       swap_total_bytes=int(size), swap_free_bytes=int(free))
        alive = tuple(n for n in nodes if n.start_time <= 100 * at)
        yield Sample(at, at, HOST, info, NO_PSI, VmStat(0), processes=alive,
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
