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

"""One number for plots: how near an OOM is, 0..1; more pressure never lowers it."""

from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.settings import Settings


def score(sample: Sample, room: Headroom | None, soonest: Forecast | None,
          settings: Settings) -> float:
    """Return the worst of memory, control group, pressure and time left."""
    parts = [0.0]
    meminfo = sample.meminfo
    if not isinstance(meminfo, Unavailable) and meminfo.mem_available_bytes is not None:
        share = 100.0 * meminfo.mem_available_bytes / meminfo.mem_total_bytes
        parts.append(_closeness(share, settings))
        limit, committed = meminfo.commit_limit_bytes, meminfo.committed_as_bytes
        if sample.policy.overcommit_memory == 2 and limit and committed is not None:
            parts.append(_closeness(100.0 * (limit - committed) / limit, settings))
    if room is not None:
        parts.append(_closeness(room.percent, settings))
    if not isinstance(sample.pressure, Unavailable):
        full = sample.pressure.full.avg10 if sample.pressure.full else 0.0
        parts.append(min(1.0, sample.pressure.some.avg10 / 200 + full / 100))
    if soonest is not None and settings.exhaustion_warn_s > 0:
        parts.append(max(0.0, 1.0 - soonest.middle_s / (2 * settings.exhaustion_warn_s)))
    return round(max(parts), 3)


def _closeness(percent: float, settings: Settings) -> float:
    """Return 0.5 at the warn threshold, rising to 1 at nothing left, 0 at twice the former."""
    warn = settings.memory_available_warn_percent or 1.0
    return max(0.0, min(1.0, 1.0 - percent / (2 * warn)))
