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

"""Compose the diagnostics statuses from an assessment; keys and names are stable."""

from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Status
from oom_sentinel.report import cgroups
from oom_sentinel.report import group
from oom_sentinel.report import kills as kills_status
from oom_sentinel.report import memory
from oom_sentinel.report import pressure
from oom_sentinel.report import protection as protection_status
from oom_sentinel.report import risk as risk_status
from oom_sentinel.report.kills import one as kill
from oom_sentinel.risk import Assessment
from oom_sentinel.settings import Settings

__all__ = ['compose', 'kill']


def compose(sample: Sample, assessment: Assessment, protection: Protection,
            settings: Settings, kills: Kills = Kills()) -> tuple[Status, ...]:
    """Return every status in its fixed order."""
    return (
        memory.compose(sample, assessment),
        pressure.compose(sample, assessment),
        cgroups.compose(sample, assessment),
        risk_status.compose(sample, assessment),
        protection_status.compose(assessment, protection, settings, sample.surroundings),
        kills_status.compose(kills, sample, settings),
        *(group.compose(g, sample, assessment, protection)
          for g in settings.protection_groups))
