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

"""Growth in steps: a memory arena, a map or a log that is allocated anew again and again."""

from dataclasses import dataclass

from oom_sentinel.facts.memory import MIB
from oom_sentinel.risk.trend import Points

STEP_SHARE = 0.12  # of the whole growth: a smaller rise belongs to no step
STEP_BYTES = 8 * MIB
ALL_STEPS = 0.75  # of the growth comes in steps
ALIKE = 0.7  # the smallest step to the largest
REGULAR = 0.4  # the shortest interval to the longest
OVERDUE = 1.2  # times the longest interval: then the steps have ended
OVERDUE_S = 240.0


@dataclass(frozen=True, slots=True)
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
    if min(heights) < ALIKE * max(heights) or min(waits) < REGULAR * max(waits) \
            or points[-1][0] - found[-1].at_s > OVERDUE * max(waits) + OVERDUE_S:
        return ()
    return tuple(found)
