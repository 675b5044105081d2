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

"""How tracked processes grow, and which of them leak."""

from dataclasses import dataclass
from statistics import median

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.risk import exhaustion

# 40 points of 10 s: 55 MB/h, a leak reported of Nav2, are 6 MB in that time.
EVERY_S = 10.0
POINTS_MAX = 40
TREND_POINTS_MIN = 12
LEAK_POINTS_MIN = 30
LEAK_BYTES_PER_S = 20 * (1 << 20) / 3600


@dataclass(frozen=True, slots=True)
class Grown:
    """
    The memory of one tracked process over time: (seconds, bytes) points.

    `bytes_per_s` is None while no trend is told, `leaks` says that it grew all the time.
    """

    identity: Identity
    points: 'tuple[tuple[float, float], ...]' = ()
    bytes_per_s: 'float | None' = None
    leaks: bool = False


@dataclass(frozen=True, slots=True)
class Growth:
    """Every tracked process, as last looked at; trends are made only then."""

    at_s: float = float('-inf')
    processes: 'tuple[Grown, ...]' = ()


def watch(last: Growth, now_s: float, protection: Protection) -> Growth:
    """Return the growth with a point more, the last one as it stands when none is due."""
    if 0 <= now_s - last.at_s < EVERY_S:
        return last
    known = {grown.identity: grown for grown in last.processes}
    return Growth(now_s, tuple(
        _grown(target, known.get(target.process.identity), now_s)
        for target in protection.targets if target.process.memory is not None))


def _grown(target: Target, last: 'Grown | None', now_s: float) -> Grown:
    memory = target.process.memory
    assert memory is not None
    points = last.points if last is not None and last.points[-1][0] < now_s else ()
    points = points[1 - POINTS_MAX:] + ((now_s, float(memory.rss_bytes + memory.swap_bytes)),)
    values = {value for _, value in points}
    told = len(points) >= TREND_POINTS_MIN
    if told and len(values) == 1:
        return Grown(target.process.identity, points, 0.0)
    trend = exhaustion.slope(points) if told else None
    leaks = trend is not None and trend > LEAK_BYTES_PER_S and _steady(points)
    return Grown(target.process.identity, points, trend, leaks)


def _steady(points: 'tuple[tuple[float, float], ...]') -> bool:
    """Tell whether every quarter grew; a node that warms up grows and then rests."""
    if len(points) < LEAK_POINTS_MIN:
        return False
    quarter = len(points) // 4
    last = points[-4 * quarter:]
    levels = [median(value for _, value in last[i * quarter:(i + 1) * quarter])
              for i in range(4)]
    steps = [b - a for a, b in zip(levels, levels[1:])]
    return min(steps) > 0.25 * sum(steps) / 3
