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
When nothing is left, if the fall goes on; as wide a range as past forecasts were wrong.

A forecast also says when a quarter of what is left will be gone.  When it is gone, the error in
units of the range is one score; the range is scaled by the score that nine of ten stay below
(split conformal prediction), of the robot's own scores and of those of generated falls.
"""

from math import inf
from math import log
from math import sqrt

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.risk import series
from oom_sentinel.risk.series import Left
from oom_sentinel.risk.series import Pace
from oom_sentinel.risk.series import STUDENT_95

AHEAD = 4.0  # times the span of a window: farther ahead its pace says nothing
HABIT_MARGIN = 1.3  # a fall this much deeper than what came back before is no habit
# Calibrated by bench.replay, so that the range holds the true end in 85 to 95 % of forecasts.
WIDTH_LEAST = 0.15
WIDTH_SCALE = 1.0
RECENT = 3.0  # times the longest window that falls: an older peak is of another fall
BEFORE = 0.04  # of the peak was lost before the window, so a slower fall went before
SLOWER = 0.7
EVEN = 0.3  # of it at least was lost in each half of the time before the window
SOONER = 1.5  # more to this side: falls become faster more often than slower
LATEST = 8.0  # times the likeliest
# A fall becomes faster for good only when its end is not farther away than so many times what it
# has lasted, and its window is a part of that, no smaller: jobs begin ever faster too.
GAINS_UNTIL, GAINS_WITHIN = 2.0, 6.0
BEGUN = 0.1  # of what a fall lost: when so much was gone, it had begun
PAUSING_S, PAUSING = 6.0, 0.25  # the last seconds brought less than this share of their pace
# A second leak shows first in the shortest window: one that ends so much sooner than each that is
# LONGER times as long, when the half width of both, as a share of the pace, is known so well.
QUICKER, LONGER, KNOWN, KNOWN_LONGER = 1.3, 2.0, 0.4, 0.5


@frozen
class Forecast:
    """
    Seconds until nothing is left: soonest, likeliest, latest; of `span_s` seconds seen.

    `lost_share` is the part of what was left that is gone by now, 0..1.  `gaining` says that
    the fall becomes faster, `slowing` that it becomes slower, `quicker` that it is faster than
    every longer window, `pausing` that hardly anything was lost in the last seconds.
    """

    low_s: float
    middle_s: float
    high_s: float
    span_s: float
    lost_share: float = 1.0
    gaining: bool = False
    slowing: bool = False
    quicker: bool = False
    pausing: bool = False


def forecast(left: Left) -> Forecast | None:
    """Return the forecast of the window that knows its pace best, None without a fall."""
    if not left.scales[0]:
        return None
    value = left.scales[0][-1][1]
    least = HABIT_MARGIN * left.swing.habit
    best: Pace | None = None
    width, lost, span_s = inf, 0.0, 0.0
    for scale in left.paces:
        for pace in scale:
            if pace.lost > least and _middle(pace, value) <= AHEAD * pace.span_s:
                lost, span_s = max(lost, pace.lost), max(span_s, pace.span_s)
                wide = _width(pace, value)
                if wide < width:
                    best, width = pace, wide
    if best is None:
        return None
    quicker = width < KNOWN and _quicker(best, left)
    return _forecast_by(best, value, left, lost, span_s, width, quicker)


def _quicker(best: Pace, left: Left) -> bool:
    """Return whether a pace is faster than that of every longer window that knows its own."""
    value = left.scales[0][-1][1]
    longer = [_middle(pace, value) for scale in left.paces for pace in scale
              if pace.span_s >= LONGER * best.span_s and _width(pace, value) < KNOWN_LONGER]
    return bool(longer) and min(longer) > QUICKER * _middle(best, value)


def _middle(pace: Pace, value: float) -> float:
    """Return the seconds until nothing is left, with the pace growing as it does now."""
    if not pace.gains:
        return value / pace.pace
    now = pace.pace + pace.gains * pace.span_s / 2
    return (sqrt(now * now + 2 * pace.gains * value) - now) / pace.gains


def _width(pace: Pace, value: float) -> float:
    """Return the half width of the range of the mean pace until the end, as a share of it."""
    ahead = max(0.25, _middle(pace, value) / (pace.span_s / pace.blocks))
    return (STUDENT_95[pace.blocks] * pace.spread / pace.pace
            * sqrt(1 / pace.blocks + 1 / ahead))


def _forecast_by(pace: Pace, value: float, left: Left, lost: float,
                 span_s: float, width: float, quicker: bool) -> Forecast:
    """
    Return when nothing is left at this pace.

    :param value: bytes left now.
    :param lost: the most that any falling window lost; `span_s` is the longest of them.
    :param width: the half width of the range, as a share of the pace.
    """
    middle_s, even_s = _middle(pace, value), value / pace.pace
    growth = pace.gains / pace.pace
    since_s = left.scales[0][-1][0] - left.swing.peak_s
    if since_s <= RECENT * span_s:
        fallen = left.swing.peak - value
        lost, growth = max(lost, fallen), max(growth, _growth(pace, left, fallen, since_s))
    scaled = WIDTH_SCALE * max(WIDTH_LEAST, width)
    low_s = middle_s
    if growth > 0:
        low_s = log(1 + growth * value / (pace.pace * (1 + growth * pace.span_s / 2))) / growth
        middle_s = min(middle_s, sqrt(low_s * even_s))
    low_s = min(low_s, middle_s) / (1 + SOONER * scaled)
    high_s = min(LATEST * middle_s, even_s / max(1e-3, 1 - scaled))
    gaining = growth > 0 and _lasts(left, value, middle_s, pace.span_s)
    return Forecast(low_s, middle_s, high_s, pace.span_s, lost / (lost + value), gaining,
                    pace.slows, quicker, _pauses(left, value, middle_s))


def _lasts(left: Left, value: float, middle_s: float, span_s: float) -> bool:
    """Return whether the fall has lasted long enough, and the window no tiny part of it."""
    peak, now_s = left.swing.peak, left.scales[0][-1][0]
    begun_s = series.last_above(left, peak - BEGUN * (peak - value))
    if begun_s is None:
        begun_s = left.swing.peak_s
    lasted_s = (now_s - begun_s) / (1 - BEGUN)
    return middle_s / GAINS_UNTIL <= lasted_s <= GAINS_WITHIN * span_s


def _pauses(left: Left, value: float, middle_s: float) -> bool:
    """Return whether much less was lost in the last seconds than the pace asks for."""
    before = series.value_at(left, left.scales[0][-1][0] - PAUSING_S)
    return before is not None and (before - value) * middle_s < PAUSING * PAUSING_S * value


def _growth(pace: Pace, left: Left, fallen: float, since_s: float) -> float:
    """Return how fast the pace grows, by the slower fall before the window; 0 without one."""
    before, before_s, peak = fallen - pace.lost, since_s - pace.span_s, left.swing.peak
    if before_s <= 0 or before <= BEFORE * peak:
        return 0.0
    slower = before / before_s
    if not pace.pace / 10 < slower < SLOWER * pace.pace:
        return 0.0
    half_way = series.value_at(left, left.swing.peak_s + before_s / 2)
    if half_way is None or not EVEN < (peak - half_way) / before < 1 - EVEN:
        return 0.0
    return 2 * log(pace.pace / slower) / since_s


QUARTER = 0.25
SCORES_MAX = 20
# Scores of generated falls, by bench.replay: nine of ten stay below 1.
PRIOR = (0.02, 0.05, 0.07, 0.09, 0.11, 0.14, 0.17, 0.2, 0.23, 0.26, 0.3, 0.35, 0.4, 0.45, 0.52,
         0.65, 0.8, 1.0, 1.44, 2.2)
COVERED = 0.9
UNIT = 2.6  # so much wider, in units of the range, is the error of a quarter of the way
LEAST, MOST = 0.8, 2.5
OVERDUE = 6.0  # times what was expected: the fall has ended, and says nothing of the range


@frozen
class Expected:
    """When less than `value` will be left: `seconds` after `at_s`, and the range's half width."""

    at_s: float
    value: float
    seconds: float
    width: float


@frozen
class Calibration:
    """The scores of past forecasts, the latest last, and the one that is being checked."""

    scores: tuple[float, ...] = ()
    expected: Expected | None = None

    @property
    def factor(self) -> float:
        """Return by how much a range must be scaled to hold nine of ten errors."""
        if not self.scores:
            return 1.0
        ordered = sorted((*PRIOR, *self.scores))
        found = ordered[min(len(ordered) - 1, int(COVERED * (len(ordered) + 1)) - 1)]
        return min(MOST, max(LEAST, found))


def scaled(told: Forecast, factor: float) -> tuple[float, float]:
    """Return the soonest and the latest end of a range that is so many times as wide."""
    if factor == 1.0 or told.low_s <= 0:
        return told.low_s, told.high_s
    return (told.middle_s * (told.low_s / told.middle_s) ** factor,
            told.middle_s * (told.high_s / told.middle_s) ** factor)


def checked(last: Calibration, told: Forecast | None, now_s: float, value: float) -> Calibration:
    """
    Return the calibration with this reading.

    :param told: the forecast before it was scaled, None without a fall.
    """
    expected = last.expected
    scores = last.scores
    if expected is not None:
        took_s = now_s - expected.at_s
        if value <= expected.value and took_s > 0:
            error = abs(log(took_s / expected.seconds)) / expected.width / UNIT
            scores, expected = (*scores[1 - SCORES_MAX:], error), None
        elif took_s < 0 or took_s > OVERDUE * expected.seconds:
            expected = None
    if expected is None and told is not None and told.low_s > 0:
        expected = Expected(now_s, value * (1 - QUARTER), QUARTER * told.middle_s,
                            log(told.high_s / told.low_s) / 2)
    if expected is last.expected:
        return last
    return Calibration(scores, expected)
