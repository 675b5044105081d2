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

"""Whether memory is so plentiful that the process table may be read seldom."""

from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.risk.assess import Assessment
from oom_sentinel.settings import Settings

SHARE = 2.0  # times memory.available_warn_percent


def is_plentiful(sample: Sample, assessment: Assessment, settings: Settings) -> bool:
    """Return whether much more is available, here and in every limit, than warns."""
    percent, room = sample.mem_available_percent, assessment.tightest
    share = SHARE * settings.memory_available_warn_percent
    return (assessment.risk.level == Level.OK and percent is not None and percent > share
            and (room is None or room.percent > share))
