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
Whether what grows is a process that cannot be raised.

With lowering denied the other ROS processes are raised in place of it.  That helps against a
leak in one of them; against a leak outside ROS it would put every one of them before the
leaker, and several innocents would die where without the sentinel only the leaker had.  Pure.
"""

from collections.abc import Collection
from collections.abc import Iterable
from dataclasses import dataclass
import math

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process

# A leak of R bytes a second stands R * MEAN_S above its own running mean.
MEAN_S = 30.0
GROWN_BYTES = 16 << 20  # half a MiB a second; a browser tab or a compiler run passes in between
STILL_BYTES = GROWN_BYTES // 2


@dataclass(frozen=True, slots=True)
class Mean:
    """What a process holds, and the running mean of that over MEAN_S, in bytes."""

    held: float
    mean: float

    @property
    def grown(self) -> float:
        """Return by how many bytes it stands above its mean."""
        return self.held - self.mean


@dataclass(frozen=True, slots=True)
class Grown:
    """By how many bytes the outsider that grew most stands above its mean."""

    by: float
    process: Process | None = None


@dataclass(frozen=True, slots=True)
class Means:
    """The means of a process table, and the outsider that was found growing last."""

    at_s: float = float('-inf')
    means: tuple[tuple[Identity, Mean], ...] = ()
    growing: Identity | None = None
    label: str | None = None


def _held(process: Process) -> float | None:
    memory = process.memory
    return None if memory is None else float(memory.rss_bytes + memory.swap_bytes)


def watch(last: Means, processes: Iterable[Process], raisable: Collection[Identity],
          now_s: float) -> Means:
    """
    Return the means after this table, and which outsider grows more than whoever is raised.

    :param raisable: whom raising reaches; everybody else is an outsider.
    :param now_s: monotonic seconds; a clock set back starts anew.
    """
    passed_s = now_s - last.at_s
    weight = -math.expm1(-passed_s / MEAN_S) if passed_s >= 0 else 1.0
    known = dict(last.means)
    means = []
    inside, outside = 0.0, Grown(0.0)
    for process in processes:
        held = _held(process)
        if held is None:
            continue
        identity = process.identity
        before = known.get(identity)
        # Of a new process the mean is what it holds now: its start is no leak.
        mean = Mean(held, held) if before is None else Mean(
            held, before.mean + weight * (held - before.mean))
        means.append((identity, mean))
        if identity in raisable:
            inside = max(inside, mean.grown)
        elif mean.grown > outside.by or (identity == last.growing and mean.grown >= STILL_BYTES):
            outside = Grown(mean.grown, process)
    if outside.process is None:
        return Means(now_s, tuple(means))
    identity = outside.process.identity
    least = STILL_BYTES if identity == last.growing else GROWN_BYTES
    if outside.by < max(least, inside):
        return Means(now_s, tuple(means))
    return Means(now_s, tuple(means), identity, f'{outside.process.label} (PID {identity.pid})')
