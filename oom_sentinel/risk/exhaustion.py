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
When would memory be exhausted, were it to go on like this.

The slope is Theil and Sen's (the median of all pairwise slopes): a single jump or a sawtooth
moves it little.
"""

from statistics import median

WINDOW_S = 30.0
POINTS_MAX = 31
POINTS_MIN = 5
# A node that starts takes its memory within a few seconds, and then rests.
SPAN_MIN_S = 8.0


def extend(series: 'tuple[tuple[float, float], ...]', at_s: float,
           value: float) -> 'tuple[tuple[float, float], ...]':
    """Return the series with a point more, old points dropped; a clock set back starts anew."""
    if series and at_s <= series[-1][0]:
        return ((at_s, value),)
    if series and at_s - series[-1][0] < 0.9 * WINDOW_S / (POINTS_MAX - 1):
        return series
    kept = tuple(point for point in series[-POINTS_MAX + 1:] if at_s - point[0] <= WINDOW_S)
    return kept + ((at_s, value),)


def slope(series: 'tuple[tuple[float, float], ...]') -> 'float | None':
    """
    Return the trend in units a second, None when it is not told from noise.

    It is told when three quarters of the pairwise slopes have its sign.
    """
    if len(series) < POINTS_MIN or series[-1][0] - series[0][0] < SPAN_MIN_S:
        return None
    slopes = [(b[1] - a[1]) / (b[0] - a[0])
              for i, a in enumerate(series) for b in series[i + 1:]]
    middle = median(slopes)
    if middle == 0:
        return None
    same = sum(1 for s in slopes if s * middle > 0)
    return middle if same >= 0.75 * len(slopes) else None


def _steepest_fall(series: 'tuple[tuple[float, float], ...]') -> float:
    return max(((a[1] - b[1]) / (b[0] - a[0]) for a, b in zip(series, series[1:])), default=0.0)


def seconds_left(series: 'tuple[tuple[float, float], ...]',
                 horizon_s: float) -> 'float | None':
    """
    Return when the last value reaches 0 at the present trend, None when not within horizon_s.

    No pair falls faster than the steepest neighbours, so while those leave enough time the
    quadratic number of pairs is spared: that is the idle machine.
    """
    if not series or _steepest_fall(series) * horizon_s <= series[-1][1]:
        return None
    trend = slope(series)
    if trend is None or trend >= 0:
        return None
    left_s = max(0.0, series[-1][1] / -trend)
    return left_s if left_s < horizon_s else None
