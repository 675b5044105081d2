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
How wrong this robot's own forecasts were, and how much wider that makes the next range.

A forecast also says when a quarter of what is left will be gone.  When it is gone, the error in
units of the range is one score; the range is scaled by the score that nine of ten stay below
(split conformal prediction), of the robot's own scores and of those of generated falls.
"""

from dataclasses import dataclass
from math import log

from oom_sentinel.risk.exhaustion import Forecast

QUARTER = 0.25
SCORES_MAX = 20
# Scores of generated falls, by bench.replay: nine of ten stay below 1.
PRIOR = (0.02, 0.05, 0.07, 0.09, 0.11, 0.14, 0.17, 0.2, 0.23, 0.26, 0.3, 0.35, 0.4, 0.45, 0.52,
         0.65, 0.8, 1.0, 1.44, 2.2)
COVERED = 0.9
UNIT = 2.6  # so much wider, in units of the range, is the error of a quarter of the way
LEAST, MOST = 0.8, 2.5
OVERDUE = 6.0  # times what was expected: the fall has ended, and says nothing of the range


@dataclass(frozen=True, slots=True)
class Expected:
    """When less than `value` will be left: told at `at_s`, after `seconds`, give or take."""

    at_s: float
    value: float
    seconds: float
    width: float


@dataclass(frozen=True, slots=True)
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
