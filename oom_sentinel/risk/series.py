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
What was left of one place over time, how fast it falls, and what usually comes back.

Five scales keep 33 points each: every second, and the least of every 4, 16, 64 and 256 s.
They reach from half a minute back to two hours.

A window is cut into equal blocks.  What is lost in each is one draw of a random walk with drift
and jumps: their mean is the pace, their spread says how well it is known.  A single allocation
is one block of eight, and gives no pace.
"""

from dataclasses import replace
from math import sqrt

from oom_sentinel.facts.frozen import frozen

Points = tuple[tuple[float, float], ...]  # (seconds, bytes), the seconds strictly rising
# Points of the windows, with the blocks each is cut into.
FINEST = ((5, 4), (9, 8), (17, 8), (33, 8))
COARSER = ((17, 8), (33, 8))
STUDENT_95 = {4: 2.35, 8: 1.89}  # one-sided, of so many blocks
# A window that lost less than a twelfth of what is left shows no fall.
FALLEN = 12.0
LEAST = 0.04  # of what a window lost: a smaller step is no progress
# The fall began within a window whose first quarter fell less than this share of an even one;
# its mean says less then.
RESTING, BEGUN_WITHIN = 0.25, 1.5
SLOW_START = 0.08  # of the pace of the other quarters
FASTER = 1.06
SLOWER = 0.58  # the last quarter to the mean of the first two
PAUSE = 1.6  # times the longest pause before: longer means that the fall has ended


@frozen
class Pace:
    """
    What one window says: bytes a second lost, over `span_s`.

    `spread` is the standard deviation of one block's pace.  `gains` is how much faster the
    second half fell than the first, bytes a second a second; 0 when that is not clear.
    `slows` says that the last quarter fell much less than the first half.
    """

    span_s: float
    lost: float
    pace: float
    spread: float
    blocks: int
    gains: float
    slows: bool = False


def paces(points: Points, windows: tuple[tuple[int, int], ...]) -> tuple[Pace, ...]:
    """Return the pace of each window of (points, blocks) in which a fall goes on."""
    value, count, found = points[-1][1], len(points), []
    for size, blocks in windows:
        if size > count:
            break
        if FALLEN * (points[-size][1] - value) > value:
            told = pace(points[-size:], blocks)
            if told is not None:
                found.append(told)
    return tuple(found)


def pace(points: Points, blocks: int) -> Pace | None:
    """Return the pace of a fall, None when it is not clear or the fall has ended."""
    marks = points[::len(points) // blocks]
    drops = [a[1] - b[1] for a, b in zip(marks, marks[1:])]
    lost, span_s = points[0][1] - points[-1][1], points[-1][0] - points[0][0]
    mean = lost / blocks
    spread = sqrt(sum((d - mean) ** 2 for d in drops) / (blocks - 1))
    if mean <= STUDENT_95[blocks] * spread / sqrt(blocks) or ended(points, LEAST * lost):
        return None
    quarter = blocks // 4
    if sum(drops[:quarter]) < RESTING * lost / 4:
        spread *= BEGUN_WITHIN
    block_s = span_s / blocks
    return Pace(span_s, lost, lost / span_s, spread / block_s, blocks, _gains(drops, block_s),
                sum(drops[-quarter:]) < SLOWER * sum(drops[:2 * quarter]) / 2)


def _gains(drops: list[float], block_s: float) -> float:
    """
    Return by how much the pace grows each second, 0 where that is not clear.

    Every quarter must be faster than the one before: a fall that follows a rest is not.
    """
    if len(drops) < 8:
        return 0.0
    first, second, third, fourth = (drops[i] + drops[i + 1] for i in (0, 2, 4, 6))
    if not (first < second and FASTER * second < third and FASTER * third < fourth
            and first > SLOW_START * (second + third + fourth) / 3):
        return 0.0
    middle = (len(drops) - 1) / 2
    slope = sum((i - middle) * d for i, d in enumerate(drops)) / 42  # sum of (i - middle)^2
    return max(0.0, slope) / block_s ** 2


def ended(points: Points, step: float) -> bool:
    """Return whether the fall has paused longer than it did before."""
    anchor_s, anchor = points[0]
    longest_s, every_s = 0.0, points[-1][0] - points[-2][0]
    for at_s, value in points[1:]:
        if value <= anchor - step:
            longest_s = max(longest_s, at_s - anchor_s)
            anchor_s, anchor = at_s, value
    return points[-1][0] - anchor_s > PAUSE * longest_s + every_s


FINER = 4  # points of one scale that make one point of the next
SCALES = 5
POINTS_MAX = 33
EVERY_S = 1.0
HABIT_KEPT_S = 7200.0
HABIT_LEAST = 0.05  # of the peak: shallower falls are noise
HABITS_MAX = 4
BACK = 0.5  # of a fall must come back before it has ended
AS_DEEP = 0.5  # of the deepest fall that came back: so deep must a second one have been


@frozen
class Swing:
    """
    The fall that goes on, from `peak` at `peak_s`, and the falls that came back.

    `habits` are (seconds, depth in bytes) of the deepest falls within the last HABIT_KEPT_S
    which came back without a kill or shedding, and left enough.
    """

    peak: float = 0.0
    trough: float = 0.0
    peak_s: float = 0.0
    habits: tuple[tuple[float, float], ...] = ()

    @property
    def habit(self) -> float:
        """
        Return how deep memory fell and came back: the deepest fall, if a second was like it.

        One job is no habit: without a second at least half as deep it is the second's depth.
        """
        if len(self.habits) < 2:
            return 0.0
        deepest, second = self.habits[0][1], self.habits[1][1]
        return deepest if second >= AS_DEEP * deepest else second


@frozen
class Left:
    """
    The series of one place, the finest scale first, and the paces of the coarser scales.

    `paces` are computed anew only when a scale gets a point.
    """

    scales: tuple[Points, ...] = ((),) * SCALES
    paces: tuple[tuple[Pace, ...], ...] = ((),) * SCALES
    swing: Swing = Swing()

    @property
    def at_s(self) -> float | None:
        """Return when the last point was read, None without any."""
        return self.scales[0][-1][0] if self.scales[0] else None


def value_at(left: Left, at_s: float) -> float | None:
    """Return what was left then, of the finest scale that reaches back so far."""
    for points in left.scales:
        if points and points[0][0] <= at_s:
            return next(value for seconds, value in reversed(points) if seconds <= at_s)
    return None


def last_above(left: Left, value: float) -> float | None:
    """Return when at least so much was left the last time, of the finest scale that shows it."""
    for points in left.scales:
        for at_s, was in reversed(points):
            if was >= value:
                return at_s
    return None


def extend(left: Left, at_s: float, value: float, safe: float = 0.0,
           killed: bool = False) -> Left:
    """
    Return the series with a reading added; a clock that was set back starts it anew.

    :param safe: what a fall that comes back must have left to be a habit.
    :param killed: a process was killed since the last reading, which freed its memory.
    """
    last_s = left.at_s
    if last_s is not None and at_s <= last_s:
        left = Left()
    elif last_s is not None and at_s - last_s < 0.9 * EVERY_S:
        return left
    swing = Swing(value, value, at_s, left.swing.habits)
    if left.scales[0]:
        swing = swung(left.swing, at_s, value, safe, killed)
    scales, found = list(left.scales), list(left.paces)
    scales[0] = (*scales[0][1 - POINTS_MAX:], (at_s, value))
    found[0] = paces(scales[0], FINEST)
    every_s = EVERY_S
    for index in range(1, SCALES):
        every_s *= FINER
        series = scales[index]
        if series and at_s - series[-1][0] < every_s - 0.5 * EVERY_S:
            break
        least = min(v for s, v in scales[index - 1][-FINER:] if at_s - s < every_s)
        scales[index] = (*series[1 - POINTS_MAX:], (at_s, least))
        found[index] = paces(scales[index], COARSER)
    return Left(tuple(scales), tuple(found), swing)


def interrupted(left: Left) -> Left:
    """Return what is still known after a suspend: the habits, and no series."""
    return Left(swing=left.swing)


def relieved(left: Left, since_s: float) -> Left:
    """
    Return the series after a process was ended to free memory: that it came back is no habit.

    :param since_s: what came back later than this did so because of it.
    """
    if not left.scales[0]:
        return left
    at_s, value = left.scales[0][-1]
    return replace(left, swing=Swing(value, value, at_s, tuple(
        h for h in left.swing.habits if h[0] < since_s)))


def rested(left: Left) -> Left:
    """Return the series begun anew from its last point, which a robot's start has reached."""
    at_s, value = left.scales[0][-1]
    return extend(interrupted(left), at_s, value)


def swung(last: Swing, at_s: float, value: float, safe: float, killed: bool) -> Swing:
    """Return the fall that goes on, after this reading."""
    if killed:
        return Swing(value, value, at_s, last.habits)
    peak, trough = last.peak, min(last.trough, value)
    if trough < peak and value > trough + BACK * (peak - trough):
        habits = last.habits
        if trough >= safe and peak - trough >= HABIT_LEAST * peak:
            kept = [h for h in habits if at_s - h[0] < HABIT_KEPT_S]
            kept.append((at_s, peak - trough))
            habits = tuple(sorted(kept, key=lambda h: -h[1])[:HABITS_MAX])
        return Swing(value, value, at_s, habits)
    if value >= peak:
        return replace(last, peak=value, trough=value, peak_s=at_s)
    return replace(last, trough=trough) if trough < last.trough else last
