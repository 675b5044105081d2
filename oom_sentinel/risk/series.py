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
What was left of one place over time, and what this robot usually gives back.

Five scales keep 33 points each: every second, and the least of every 4, 16, 64 and 256 s.
They reach from half a minute back to two hours.
"""

from dataclasses import dataclass
from dataclasses import replace

from oom_sentinel.risk.pace import COARSER
from oom_sentinel.risk.pace import FINEST
from oom_sentinel.risk.pace import Pace
from oom_sentinel.risk.pace import paces

Points = tuple[tuple[float, float], ...]  # (seconds, bytes), the seconds strictly rising

FINER = 4  # points of one scale that make one point of the next
SCALES = 5
POINTS_MAX = 33
EVERY_S = 1.0
HABIT_KEPT_S = 7200.0
HABIT_LEAST = 0.05  # of the peak: shallower falls are noise
HABITS_MAX = 4
BACK = 0.5  # of a fall must come back before it has ended


@dataclass(frozen=True, slots=True)
class Swing:
    """
    The fall that goes on, from `peak` at `peak_s`, and the falls that came back.

    `habits` are (seconds, depth in bytes) of the deepest falls within the last HABIT_KEPT_S
    which came back without a kill, and left enough.
    """

    peak: float = 0.0
    trough: float = 0.0
    peak_s: float = 0.0
    habits: tuple[tuple[float, float], ...] = ()

    @property
    def habit(self) -> float:
        """Return the depth that memory fell and came back at least twice; one job is none."""
        return self.habits[1][1] if len(self.habits) > 1 else 0.0


@dataclass(frozen=True, slots=True)
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
    swing = Swing(value, value, at_s)
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


def rested(left: Left) -> Left:
    """Return the series begun anew from its last point, which a robot's start has reached."""
    at_s, value = left.scales[0][-1]
    return extend(Left(swing=Swing(value, value, at_s, left.swing.habits)), at_s, value)


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
