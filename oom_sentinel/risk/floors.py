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
The least that something held in each stretch of time, and whether that floor rises.

Memory that is allocated and freed in cycles leaves the floor where it is; a leak raises it
without a rest over half an hour, or slowly over two hours, above what was held before.
"""

from dataclasses import dataclass

from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.risk.trend import Points
from oom_sentinel.risk.trend import Trend
from oom_sentinel.risk.trend import trend

POINTS_MAX = 60
RECENT_EVERY_S, LONG_EVERY_S = 30.0, 120.0
TREND_AFTER_S = 120.0
TREND_POINTS = 20  # of a window, thinned: 190 pairs instead of 1770
# A warm-up that slows down looks like a leak while it is young; after 25 minutes it rests.
LEAK_AFTER_S, SLOW_LEAK_AFTER_S = 1500.0, 6000.0
LEAK_BYTES_PER_S, SLOW_LEAK_BYTES_PER_S = 20 * MIB / 3600, 5 * MIB / 3600
STEADY = 0.5  # each quarter grows at least so much of the average


@dataclass(frozen=True, slots=True)
class Grown:
    """
    What one node kept over time: (seconds, bytes) floors of half an hour and of two hours.

    `bytes_per_s` is None while no trend is told, 0 at rest; `leak` is its pace with the range,
    when it leaks, seen over `leak_span_s`.
    """

    identity: Identity
    recent: Points = ()
    long: Points = ()
    bytes_per_s: float | None = None
    leak: Trend | None = None
    leak_span_s: float = 0.0

    @property
    def leaks(self) -> bool:
        """Tell whether it grew all the time and never gave anything back."""
        return self.leak is not None


def extend(last: Grown, now_s: float, value: float) -> Grown:
    """Return the floors with a reading more; a clock set back starts anew."""
    if last.recent and now_s <= last.recent[-1][0]:
        last = Grown(last.identity)
    recent = floor(last.recent, now_s, value, RECENT_EVERY_S)
    long = floor(last.long, now_s, value, LONG_EVERY_S)
    if len(recent) == len(last.recent) and recent[0] == last.recent[0]:
        return Grown(last.identity, recent, long, last.bytes_per_s, last.leak,
                     last.leak_span_s)
    pace, leak, span_s = _judge(recent[:-1], long[:-1])  # the last stretch is not over yet
    return Grown(last.identity, recent, long, pace, leak, span_s)


def floor(points: Points, at_s: float, value: float, every_s: float) -> Points:
    """Return the least value of each stretch of every_s, which begins at its point's time."""
    if points and at_s - points[-1][0] < every_s:
        if value >= points[-1][1]:
            return points
        return (*points[:-1], (points[-1][0], value))
    return (*points[-POINTS_MAX + 1:], (at_s, value))


def _judge(recent: Points, long: Points) -> tuple[float | None, Trend | None, float]:
    """Return the pace, the leak when it is one, and the seconds it was seen."""
    span_s = recent[-1][0] - recent[0][0] if recent else 0.0
    if span_s < TREND_AFTER_S - RECENT_EVERY_S:
        return None, None, 0.0
    values = [value for _, value in recent]
    if max(values) == min(values):
        return 0.0, None, 0.0
    told = trend(thinned(recent))
    pace = None if told is None else told.middle
    long_span_s = long[-1][0] - long[0][0] if long else 0.0
    if span_s >= LEAK_AFTER_S and told is not None and told.shallow > LEAK_BYTES_PER_S \
            and steady(recent) and not _held_before(recent, long):
        return pace, told, span_s
    if long_span_s >= SLOW_LEAK_AFTER_S and steady(long):
        slow = trend(thinned(long))
        if slow is not None and slow.shallow > SLOW_LEAK_BYTES_PER_S:
            return pace, slow, long_span_s
    return pace, None, 0.0


def _held_before(recent: Points, long: Points) -> bool:
    """Tell whether it held as much already before, and gave it back: a long cycle."""
    before = [value for seconds, value in long if seconds < recent[0][0] - LONG_EVERY_S]
    return bool(before) and max(before) >= recent[-1][1]


def thinned(points: Points) -> Points:
    """Return about TREND_POINTS of the points, evenly, the last one among them."""
    step = -(-len(points) // TREND_POINTS)
    return points[::-1][::step][::-1]


def steady(points: Points) -> bool:
    """Tell whether the floor of every quarter lies clearly above that of the one before."""
    quarter = len(points) // 4
    if not quarter:
        return False
    last = points[-4 * quarter:]
    floors = [min(value for _, value in last[i * quarter:(i + 1) * quarter])
              for i in range(4)]
    steps = [b - a for a, b in zip(floors, floors[1:])]
    return min(steps) > STEADY * sum(steps) / 3
