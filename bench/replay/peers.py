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

"""What others would say of the same traces: (level, seconds left or None) of each reading."""

from bench.replay.trace import samples
from oom_sentinel import risk
from oom_sentinel import settings

SETTINGS = settings.build({})


def ours(trace, chosen=SETTINGS):
    """Return (level, (low, middle, high) or None) of each reading."""
    history, found = risk.History(), []
    for taken in samples(trace):
        assessment, history = risk.assess(taken, history, chosen)
        told = assessment.exhaustion
        found.append((int(assessment.risk.level),
                      None if told is None else (told.low_s, told.middle_s, told.high_s)))
    return found


def fixed(trace, warn=15.0, error=5.0):
    """Return the levels of thresholds in percent of the total."""
    return [((left < warn * trace.total / 100) + (left < error * trace.total / 100), None)
            for left in trace.left]


def earlyoom(trace):
    """Return the levels of earlyoom's defaults: SIGTERM at 10 percent, SIGKILL at 5."""
    return fixed(trace, 10.0, 5.0)


def psi(trace, warn=10.0):
    """Return WARN where tasks waited for memory more than this share of the last 10 s."""
    return [(int(waited > warn), None) for waited in trace.some_avg10]


def regression(trace, window=60, warn=180.0, error=45.0):
    """Return the levels of a straight line through the last minute."""
    found, left = [], trace.left
    for i in range(len(left)):
        values = left[max(0, i - window + 1):i + 1]
        count = len(values)
        if count < window / 2:
            found.append((0, None))
            continue
        mean_t = (count - 1) / 2
        slope = (sum((t - mean_t) * v for t, v in enumerate(values))
                 / (count * (count * count - 1) / 12))
        ends_s = -values[-1] / slope if slope < 0 else None
        level = 0 if ends_s is None or ends_s >= warn else 1 + (ends_s < error)
        found.append((level, None if ends_s is None else (ends_s, ends_s, ends_s)))
    return found
