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
How fast a series falls, and how much that pace varies.

A window is cut into equal blocks.  What is lost in each is one draw of a random walk with drift
and jumps: their mean is the pace, their spread says how well it is known.  A single allocation
is one block of eight, and gives no pace.
"""

from dataclasses import dataclass
from math import sqrt

Points = tuple[tuple[float, float], ...]

# Points of the windows, with the blocks each is cut into.
FINEST = ((5, 4), (9, 8), (17, 8), (33, 8))
COARSER = ((17, 8), (33, 8))
STUDENT_95 = {4: 2.35, 8: 1.89}  # one-sided, of so many blocks
# A window that lost less than a twelfth of what is left tells of no fall.
FALLEN = 12.0
LEAST = 0.04  # of what a window lost: a smaller step is no progress
# The fall began within a window whose first quarter fell less than this share of an even one;
# its mean says less then.
RESTING, BEGUN_WITHIN = 0.25, 1.5
SLOW_START = 0.08  # of the pace of the other quarters
FASTER = 1.06
PAUSE = 1.6  # times the longest pause before: longer means that the fall has ended


@dataclass(frozen=True, slots=True)
class Pace:
    """
    What one window says: bytes a second lost, over `span_s`.

    `spread` is the standard deviation of one block's pace.  `gains` is how much faster the
    second half fell than the first, bytes a second a second; 0 when that is not clear.
    """

    span_s: float
    lost: float
    pace: float
    spread: float
    blocks: int
    gains: float


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
    marks = points[::(len(points) - 1) // blocks]
    drops = [a[1] - b[1] for a, b in zip(marks, marks[1:])]
    lost, span_s = points[0][1] - points[-1][1], points[-1][0] - points[0][0]
    mean = lost / blocks
    spread = sqrt(sum((d - mean) ** 2 for d in drops) / (blocks - 1))
    if mean <= STUDENT_95[blocks] * spread / sqrt(blocks) or ended(points, LEAST * lost):
        return None
    if sum(drops[:blocks // 4]) < RESTING * lost / 4:
        spread *= BEGUN_WITHIN
    block_s = span_s / blocks
    return Pace(span_s, lost, lost / span_s, spread / block_s, blocks,
                _gains(drops, block_s))


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
