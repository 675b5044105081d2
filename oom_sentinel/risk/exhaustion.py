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
When would memory be exhausted, were it to go on like this: in between what and what.

What is left is kept on three scales: half a minute by the second, ten minutes and two hours by
medians.  A scale speaks when its trend is told from noise, and about no longer than it has seen.
"""

from dataclasses import dataclass
from dataclasses import replace
from statistics import median

from oom_sentinel.risk.trend import LATEST
from oom_sentinel.risk.trend import Points
from oom_sentinel.risk.trend import Trend
from oom_sentinel.risk.trend import trend

SHORT_S, SHORT_EVERY_S = 30.0, 1.0
MEDIUM_S, MEDIUM_EVERY_S = 600.0, 20.0
LONG_S, LONG_EVERY_S = 7200.0, 240.0
POINTS_MAX = 31
# With a long publish_period half a minute holds too few points: then these, however old.
POINTS_KEPT = LATEST
# A node that starts takes its memory within a few seconds, and then rests.
SPAN_MIN_S = 8.0
# The half minute speaks when so much of what was left is gone: a single allocation is no fall.
FALLEN = 0.2
# No ramp of a real program is so even that its end is known better.
WIDTH = 1.15
FOREVER_S = 30 * 86400.0  # later than that is no time to name
AHEAD = 4.0  # times the span that was seen
HORIZON_SHORT_S = 120.0
SWING_KEPT_S = 3600.0
SWING_RESTS_S = 60.0
SWING_MARGIN = 1.3


@dataclass(frozen=True, slots=True)
class Forecast:
    """Seconds until nothing is left: soonest, likeliest, latest; from how many seconds seen."""

    low_s: float
    middle_s: float
    high_s: float
    span_s: float


@dataclass(frozen=True, slots=True)
class Swing:
    """
    How deep what is left fell and came back, which is this robot's habit and no alarm.

    `peak` and `trough` (reached at `trough_s`) are of the fall that goes on; one that makes no
    new trough for SWING_RESTS_S has ended and is kept as `rested_peak` and `rested_trough`, for
    it may come back yet.  `habit` is the deepest fall that came back within the last
    SWING_KEPT_S to twice that, in two blocks of time.
    """

    peak: float = 0.0
    trough: float = 0.0
    trough_s: float = 0.0
    rested_peak: float = 0.0
    rested_trough: float = 0.0
    block_s: float = float('-inf')
    this: float = 0.0
    last: float = 0.0

    @property
    def habit(self) -> float:
        """Return the depth of the deepest fall that came back."""
        return max(self.this, self.last)


@dataclass(frozen=True, slots=True)
class Left:
    """What was left of one place over time: (seconds, bytes) on three scales."""

    short: Points = ()
    medium: Points = ()
    long: Points = ()
    medium_trend: Trend | None = None
    long_trend: Trend | None = None
    swing: Swing = Swing()
    safe: float = 0.0


def extend(left: Left, at_s: float, value: float, safe: float = 0.0,
           starting: bool = False) -> Left:
    """
    Return what was left with a point more, old points dropped; a clock set back starts anew.

    :param safe: what must stay left for a fall that comes back to be a habit.
    :param starting: what falls now is a robot's start, of which nothing follows.
    """
    if left.short and at_s <= left.short[-1][0]:
        return Left(((at_s, value),), swing=_begun(at_s, value), safe=safe)
    if left.short and at_s - left.short[-1][0] < 0.9 * SHORT_EVERY_S:
        return left
    point = (at_s, value)
    short = (*left.short[-POINTS_MAX + 1:], point)
    drop = 0
    while len(short) - drop > POINTS_KEPT and at_s - short[drop][0] > SHORT_S:
        drop += 1
    swing = (_begun(at_s, value) if starting or not left.short
             else _swung(left.swing, at_s, value, safe))
    now = Left(short[drop:], left.medium, left.long, left.medium_trend, left.long_trend, swing,
               safe)
    if left.medium and at_s - left.medium[-1][0] < MEDIUM_EVERY_S:
        return now
    medium = _coarser(left.medium, now.short, MEDIUM_EVERY_S, MEDIUM_S)
    now = replace(now, medium=medium, medium_trend=_slow(medium))
    if left.long and at_s - left.long[-1][0] < LONG_EVERY_S:
        return now
    long = _coarser(left.long, medium, LONG_EVERY_S, LONG_S)
    return replace(now, long=long, long_trend=_slow(long))


def interrupted(left: Left) -> Left:
    """Return what is known after a suspend: the slower scales, of which little is lost."""
    return Left(medium=left.medium[:-1], long=left.long[:-1], swing=left.swing)


def _coarser(series: Points, finer: Points, every_s: float, span_s: float) -> Points:
    at_s = finer[-1][0]
    values = [value for seconds, value in finer if at_s - seconds < every_s]
    kept = tuple(p for p in series[-POINTS_MAX + 1:] if at_s - p[0] <= span_s)
    return (*kept, (at_s, median(values)))


def _slow(points: Points) -> Trend | None:
    return trend(points)


def _begun(at_s: float, value: float) -> Swing:
    return Swing(value, value, at_s, block_s=at_s)


def _swung(swing: Swing, at_s: float, value: float, safe: float) -> Swing:
    peak, trough, trough_s = swing.peak, swing.trough, swing.trough_s
    rested_peak, rested_trough = swing.rested_peak, swing.rested_trough
    block_s, this, last = swing.block_s, swing.this, swing.last
    if at_s - block_s >= SWING_KEPT_S:
        block_s, this, last = at_s, 0.0, this
    if _back(rested_peak, rested_trough, value):
        if rested_trough >= safe:
            this = max(this, rested_peak - rested_trough)
        rested_peak = rested_trough = 0.0
    if _back(peak, trough, value):
        if trough >= safe:
            this = max(this, peak - trough)
        peak, trough, trough_s = value, value, at_s
    elif value > peak or value < trough:
        peak, trough, trough_s = max(peak, value), min(trough, value), at_s
        trough = peak if value == peak else trough
    elif at_s - trough_s >= SWING_RESTS_S:
        if peak > trough:
            rested_peak, rested_trough = peak, trough
        peak, trough, trough_s = value, value, at_s
    return Swing(peak, trough, trough_s, rested_peak, rested_trough, block_s, this, last)


def _back(peak: float, trough: float, value: float) -> bool:
    """Tell whether more than half of a fall is there again."""
    return trough < peak and value > trough + (peak - trough) / 2


def _steepest_fall(series: Points) -> float:
    return max([(a[1] - b[1]) / (b[0] - a[0]) for a, b in zip(series, series[1:])], default=0.0)


def forecast(left: Left, horizon_s: float = HORIZON_SHORT_S) -> Forecast | None:
    """
    Return when nothing is left at the present trend; the soonest of the scales that speak.

    :param horizon_s: what lies farther away is not told by the half minute.
    """
    if not left.short:
        return None
    value = left.short[-1][1]
    found = [_told(left.short, _fast(left, horizon_s), value, horizon_s),
             _told(left.medium, left.medium_trend, value),
             _told(left.long, left.long_trend, value)]
    return min((f for f in found if f is not None), key=lambda f: f.middle_s, default=None)


def _fast(left: Left, horizon_s: float) -> Trend | None:
    """
    Return the trend of the half minute when it is worth telling.

    No pair falls faster than the steepest neighbours, so while those leave enough time the
    quadratic number of pairs is spared: that is the idle machine.
    """
    points, swing = left.short, left.swing
    value = points[-1][1]
    if points[-1][0] - points[0][0] < SPAN_MIN_S:
        return None
    if _steepest_fall(points) * horizon_s <= value:
        return None
    fallen = swing.peak - value
    habit = SWING_MARGIN * swing.habit
    if fallen < FALLEN * swing.peak or (fallen <= habit and value >= left.safe):
        return None
    return trend(points)


def _told(points: Points, found: Trend | None, value: float,
          horizon_s: float | None = None) -> Forecast | None:
    if found is None or found.middle >= 0:
        return None
    span_s = points[-1][0] - points[0][0]
    middle_s = max(0.0, value / -found.middle)
    if middle_s >= (AHEAD * span_s if horizon_s is None else horizon_s):
        return None
    return Forecast(min(value / -found.steep, middle_s / WIDTH),
                    middle_s, max(min(value / -found.shallow, FOREVER_S), middle_s * WIDTH),
                    span_s)
