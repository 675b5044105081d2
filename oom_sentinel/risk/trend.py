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
A trend that stands out from the noise, with the range that the noise leaves.

The slope is Theil and Sen's (the median of all pairwise slopes): a single jump or a sawtooth
moves it little.  Its range are the ranks that Kendall's test leaves (Sen 1968).  It is taken
from the latest points, and from as many more as agree with them (Lepski's rule): a fall that
has just begun is not diluted by the rest before it, and one that ended is no trend any more.
"""

from math import ceil
from math import sqrt

from oom_sentinel.facts.frozen import frozen

Points = tuple[tuple[float, float], ...]

NORMAL_99 = 2.576  # two-sided 99 %
LATEST = 9  # fewer points leave no range at all
LONGER = 1.25  # times as many points are tried next
AGREE = 0.5  # of the range: what more points may say and still agree with fewer


@frozen
class Trend:
    """Units a second: the middle, and the range from the shallowest to the steepest."""

    shallow: float
    middle: float
    steep: float


def slopes(points: Points) -> list[float]:
    """Return all pairwise slopes in ascending order."""
    return sorted([(b[1] - a[1]) / (b[0] - a[0])
                   for i, a in enumerate(points) for b in points[i + 1:]])


def _median(ordered: list[float]) -> float:
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _interval(points: Points) -> tuple[float, float, float]:
    """Return the median slope between the lowest and the highest of LATEST points or more."""
    count, ordered = len(points), slopes(points)
    spread = NORMAL_99 * sqrt(count * (count - 1) * (2 * count + 5) / 18)
    first, last = int((len(ordered) - spread) / 2), ceil((len(ordered) + spread) / 2)
    return ordered[first], _median(ordered), ordered[last]


def _toward(middle: float, end: float) -> float:
    """Return the slope that lies AGREE of the way from the middle to an end of the range."""
    return middle + AGREE * (end - middle)


def trend(points: Points) -> Trend | None:
    """
    Return the trend, None when it does not stand out from noise or has come to rest.

    :param points: (seconds, value), the seconds strictly rising.
    """
    if len(points) < LATEST:
        return None
    count = LATEST
    low, middle, high = _interval(points[-count:])
    least, most = _toward(middle, low), _toward(middle, high)
    while count < len(points):
        count = min(len(points), int(LONGER * count))
        longer = _interval(points[-count:])
        if not least <= longer[1] <= most:
            break
        low, middle, high = longer
        least, most = max(least, _toward(middle, low)), min(most, _toward(middle, high))
    if low * high <= 0:
        return None
    return Trend(low, middle, high) if middle > 0 else Trend(high, middle, low)
