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
The least that something held in each stretch of time: does it rise, in steps or evenly.

Memory that is allocated and freed in cycles leaves the floor where it is; a leak raises it
without a rest over half an hour, slowly over two hours, or in equal steps.
"""


from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MIB
from oom_sentinel.risk.trend import Points
from oom_sentinel.risk.trend import Trend
from oom_sentinel.risk.trend import trend

STEP_SHARE = 0.12  # of the whole growth: a smaller rise belongs to no step
STEP_BYTES = 8 * MIB
ALL_STEPS = 0.75  # of the growth comes in steps
ALIKE = 0.7  # the smallest step to the largest
ALIKE_OF_TWO = 0.9  # the same of only two steps, which two maps of about one size are too
REGULAR = 0.4  # the shortest interval to the longest
OVERDUE = 1.2  # times the longest interval: then the steps have ended
OVERDUE_S = 240.0


@frozen
class Step:
    """One rise: when it was complete, and by how many bytes."""

    at_s: float
    height: float


def steps(points: Points) -> tuple[Step, ...]:
    """Return the equal, regular steps in which this series grows; none when it does not."""
    grown = points[-1][1] - points[0][1]
    least = max(STEP_BYTES, STEP_SHARE * grown)
    found: list[Step] = []
    rising = 0.0
    for before, after in zip(points, points[1:]):
        rise = after[1] - before[1]
        if rise > least / 4:
            rising += rise
            continue
        if rise < -least / 2:
            return ()
        if rising >= least:
            found.append(Step(before[0], rising))
        rising = 0.0
    grown -= rising  # a step that is not complete yet
    if len(found) < 2 or sum(s.height for s in found) < ALL_STEPS * grown:
        return ()
    heights = [s.height for s in found]
    waits = [b.at_s - a.at_s for a, b in zip(found, found[1:])]
    alike = ALIKE if len(found) > 2 else ALIKE_OF_TWO
    longest_s = OVERDUE * max(waits) + OVERDUE_S  # a step earlier or later should have come
    if min(heights) < alike * max(heights) or min(waits) < REGULAR * max(waits) \
            or found[0].at_s - points[0][0] > longest_s \
            or points[-1][0] - found[-1].at_s > longest_s:
        return ()
    return tuple(found)


POINTS_MAX = 60
RECENT_EVERY_S, LONG_EVERY_S = 30.0, 120.0
TREND_AFTER_S = 120.0
RESTS_BYTES = MIB  # what moves less within half an hour rests; nearly everything does
TREND_POINTS = 20  # of a window, thinned: 190 pairs instead of 1770
LEAK_AFTER_S, SLOW_LEAK_AFTER_S, STAIRS_AFTER_S = 1500.0, 6000.0, 4800.0
LEAK_BYTES_PER_S, SLOW_LEAK_BYTES_PER_S = 20 * MIB / 3600, 5 * MIB / 3600
STEADY = 0.65  # each quarter grows at least so much of the average
# Confidence is high after an hour and a half in which the second half grew like the first: a
# map that loads takes 40 minutes, a ring buffer an hour, and what warms up slows down.
SURE_AFTER_S = 5400.0
SURE_PACE = 0.88
WARM_UP_POINTS, SLOWER = 20, 0.75
SURE_RANGE = 0.5  # of the pace, from the shallowest to the steepest
PROGRESS = 0.04  # of the growth of a window: a smaller rise is none
PAUSE = 1.6  # times the longest pause before: longer means that the growth has ended
# One heap of another thread is ARENA_BYTES (HEAP_MAX_SIZE of glibc, malloc/arena.c): a step of
# that size, by what rested so long, is told for so long.
ARENA_BYTES, ARENA_ALIKE, ARENA_RESTED_S, ARENA_TOLD_S = 64 * MIB, 0.1, 1080.0, 480.0


@frozen
class Leak:
    """
    Bytes a second that something grows, with the range, seen over `span_s`.

    `arena` says that it is one step of the size of an arena, which may have no second one.
    """

    low: float
    middle: float
    high: float
    span_s: float
    sure: bool = False
    arena: bool = False

    @property
    def confidence(self) -> str:
        """Return 'low' for a single step, 'high' after an hour and a half at one pace."""
        return 'low' if self.arena else 'high' if self.sure else 'medium'


@frozen
class Floors:
    """
    What one thing kept over time: (seconds, bytes), of half an hour and of two hours.

    `bytes_per_s` is None while there is no trend, 0 at rest.
    """

    recent: Points = ()
    long: Points = ()
    bytes_per_s: float | None = None
    leak: Leak | None = None

    @property
    def lasting(self) -> Leak | None:
        """Return the leak, None when it is a single step, which a child or a map may be too."""
        return None if self.leak is None or self.leak.arena else self.leak

    @property
    def began_s(self) -> float:
        """Return when the growth began: the last time the floor was where it started."""
        points = self.long if len(self.long) > len(self.recent) // 4 else self.recent
        first, last = points[0][1], points[-1][1]
        return max(s for s, v in points if v <= first + 0.05 * (last - first))


def extend(last: Floors, now_s: float, value: float) -> Floors:
    """Return the floors with a reading added; a clock that was set back starts them anew."""
    if last.recent and now_s <= last.recent[-1][0]:
        last = Floors()
    recent = floor(last.recent, now_s, value, RECENT_EVERY_S)
    long = floor(last.long, now_s, value, LONG_EVERY_S)
    if recent is last.recent and long is last.long:
        return last
    if len(recent) == len(last.recent) and recent[0] == last.recent[0]:
        return Floors(recent, long, last.bytes_per_s, last.leak)
    if last.bytes_per_s == 0.0 and recent[-2][1] == recent[-3][1] and long[-1] == last.long[-1]:
        return Floors(recent, long, 0.0, last.leak)  # at rest, and goes on to rest
    pace, leak = _judge(recent[:-1], long[:-1])  # the last stretch is not over yet
    return Floors(recent, long, pace, leak)


def floor(points: Points, at_s: float, value: float, every_s: float) -> Points:
    """Return the least value of each stretch of every_s, which begins at its point's time."""
    if points and at_s - points[-1][0] < every_s:
        if value >= points[-1][1]:
            return points
        return (*points[:-1], (points[-1][0], value))
    return (*points[-POINTS_MAX + 1:], (at_s, value))


def _span_s(points: Points) -> float:
    return points[-1][0] - points[0][0] if points else 0.0


def _judge(recent: Points, long: Points) -> tuple[float | None, Leak | None]:
    """Return the pace, and the leak if it is one."""
    if _span_s(recent) < TREND_AFTER_S - RECENT_EVERY_S:
        return None, None
    values = [value for _, value in recent]
    level = max(values) - min(values) < RESTS_BYTES
    told = None if level else trend(thinned(recent))
    pace = 0.0 if level else None if told is None else told.middle
    if slows(long):
        return pace, None
    if told is not None and told.shallow > LEAK_BYTES_PER_S \
            and _span_s(recent) >= LEAK_AFTER_S and _grows(recent) \
            and not _held_before(recent, long):
        regular = _stairs(steps(recent), recent)
        return pace, _leak(told, recent, long) if regular is None else regular
    if _span_s(long) >= SLOW_LEAK_AFTER_S and _grows(long) and not _rests(recent, long):
        slow = trend(thinned(long))
        if slow is not None and slow.shallow > SLOW_LEAK_BYTES_PER_S:
            return pace, _leak(slow, long, long)
    regular = _stairs(steps(long), long) if _span_s(long) >= STAIRS_AFTER_S else None
    return pace, _arena(recent, long) if regular is None and not level else regular


def _leak(told: Trend, points: Points, long: Points) -> Leak:
    span_s = _span_s(points)
    if _span_s(long) < SURE_AFTER_S or not _grows(long):
        return Leak(told.shallow, told.middle, told.steep, span_s)
    half = len(long) // 2
    first, second = long[half][1] - long[0][1], long[-1][1] - long[-1 - half][1]
    even = second >= SURE_PACE * first and told.steep - told.shallow < SURE_RANGE * told.middle
    return Leak(told.shallow, told.middle, told.steep, _span_s(long) if even else span_s, even)


def _stairs(found: tuple[Step, ...], long: Points) -> Leak | None:
    """Return the leak of equal steps, from the first of them to the last."""
    if not found:
        return None
    paces = [b.height / (b.at_s - a.at_s) for a, b in zip(found, found[1:])]
    middle = sum(s.height for s in found[1:]) / (found[-1].at_s - found[0].at_s)
    if middle <= LEAK_BYTES_PER_S:
        return None
    return Leak(min(paces) / 1.3, middle, max(paces) * 1.3, _span_s(long))


def _arena(recent: Points, long: Points) -> Leak | None:
    """Return the leak that a single step of an arena may be, after a rest and before the next."""
    after = _resting(recent)
    if len(after) == len(recent) or _span_s(after) > ARENA_TOLD_S \
            or _span_s(after) < TREND_AFTER_S:
        return None
    rest = recent[:-len(after)]
    before, step_s = _resting(rest), after[0][0]
    if step_s - before[0][0] < ARENA_RESTED_S:
        return None
    height = after[-1][1] - before[-1][1]
    if abs(height - ARENA_BYTES) > ARENA_ALIKE * ARENA_BYTES:
        return None
    earlier = _resting(tuple(p for p in long if p[0] < before[-1][0]))
    span_s = step_s - min(before[0][0], earlier[0][0])
    return Leak(0.0, height / span_s, height / span_s, span_s, arena=True)


def _resting(points: Points) -> Points:
    """Return the last of these points that lie within RESTS_BYTES of the last one."""
    first = len(points)
    while first and abs(points[first - 1][1] - points[-1][1]) < RESTS_BYTES:
        first -= 1
    return points[first:]


def _held_before(recent: Points, long: Points) -> bool:
    """Return whether it held as much already before, and gave it back: a long cycle."""
    before = [value for seconds, value in long if seconds < recent[0][0] - LONG_EVERY_S]
    return bool(before) and max(before) >= recent[-1][1]


def thinned(points: Points) -> Points:
    """Return about TREND_POINTS of the points, evenly, the last one among them."""
    step = -(-len(points) // TREND_POINTS)
    return points[::-1][::step][::-1]


def _grows(points: Points) -> bool:
    return steady(points) and not rested(points)


def _rests(recent: Points, long: Points) -> bool:
    """Return whether the last ten minutes brought less than a third of what the pace asks for."""
    since = [value for seconds, value in recent if seconds > recent[-1][0] - 600.0]
    asked = (long[-1][1] - long[0][1]) / _span_s(long) * 600.0
    return since[-1] - since[0] < asked / 3


def steady(points: Points) -> bool:
    """Return whether the floor of every quarter lies clearly above that of the one before."""
    rises = _rises(points)
    return bool(rises) and min(rises) > STEADY * sum(rises) / 3


def slows(points: Points) -> bool:
    """Return whether each quarter grew clearly less than the one before: it warms up."""
    if len(points) < WARM_UP_POINTS:
        return False
    first, second, third = _rises(points)
    return 0 <= third < SLOWER * second and second < SLOWER * first


def _rises(points: Points) -> list[float]:
    """Return by how much the floor of each quarter lies above that of the one before."""
    quarter = len(points) // 4
    if not quarter:
        return []
    last = points[-4 * quarter:]
    floors = [min(value for _, value in last[i * quarter:(i + 1) * quarter])
              for i in range(4)]
    return [b - a for a, b in zip(floors, floors[1:])]


def rested(points: Points) -> bool:
    """Return whether the growth has paused longer than it did before."""
    step = PROGRESS * (points[-1][1] - points[0][1])
    (anchor_s, anchor), longest_s = points[0], 0.0
    for at_s, value in points[1:]:
        if value >= anchor + step:
            longest_s = max(longest_s, at_s - anchor_s)
            anchor_s, anchor = at_s, value
    return points[-1][0] - anchor_s > PAUSE * longest_s + points[1][0] - points[0][0]
