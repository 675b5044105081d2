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

"""Scores of what was said of traces: false alarms, lead times, coverage of the range."""

from dataclasses import dataclass
from statistics import median

NEEDED_S = 60.0  # before the end; of short falls half of the fall


@dataclass(frozen=True, slots=True)
class Fell:
    """Of one fall: seconds from WARN to the end, seconds needed, forecasts inside the range."""

    lead_s: float | None
    needed_s: float
    inside: int
    told: int
    half_error: float | None
    wide: float | None

    @property
    def late(self):
        """Tell whether WARN came too late."""
        return self.lead_s is None or self.lead_s < self.needed_s


def episodes(said, level):
    """Return how often the level was reached from below."""
    return sum(1 for i, (now, _) in enumerate(said)
               if now >= level and (i == 0 or said[i - 1][0] < level))


def fell(trace, said):
    """Return the scores of a fall."""
    start, end = int(trace.start_s), trace.end_s
    first = next((i for i in range(start, len(said)) if said[i][0] >= 1
                  and (i == start or said[i - 1][0] < 1)), None)
    inside = told = 0
    widths = []
    for i in range(start, len(said) - 1):
        ranged = said[i][1]
        if ranged is not None:
            told += 1
            inside += ranged[0] <= end - i <= ranged[2]
            widths.append(ranged[2] / max(ranged[0], 1e-9))
    half = (start + int(end)) // 2
    middle = said[half][1] if half < len(said) else None
    wrong = None if middle is None else abs(middle[1] - (end - half)) / (end - half)
    return Fell(None if first is None else end - first,
                min(NEEDED_S, (end - trace.start_s) / 2), inside, told, wrong,
                median(widths) if widths else None)
