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

"""Diagnostics levels and statuses as /diagnostics carries them (REP-107), free of ROS."""

from enum import IntEnum

from oom_sentinel.facts.frozen import frozen


class Level(IntEnum):
    """A diagnostics level as diagnostic_msgs/DiagnosticStatus numbers it."""

    OK = 0
    WARN = 1
    ERROR = 2


@frozen
class Unavailable:
    """A fact that could not be read, and why, in words for an operator."""

    why: str

    def __str__(self) -> str:
        return f'unavailable ({self.why})'


@frozen
class Status:
    """One DiagnosticStatus: `name` without the node's name, values in a stable order."""

    name: str
    level: Level
    message: str
    values: tuple[tuple[str, str], ...] = ()


@frozen
class LogLine:
    """A line for the log of the node; OK means information."""

    level: Level
    text: str


@frozen
class GroupMemory:
    """What a protection group holds, in MiB, and its growth in MiB a minute; None: unknown."""

    name: str
    rss_mib: float | None = None
    growth_mib_per_min: float | None = None


@frozen
class Report:
    """
    The result of one cycle; percentages 0..100, `oom_risk` 0..1, None unavailable.

    `kills` has one status for each OOM kill that this cycle brought; `stalled` says that tasks
    waited for memory as long as the trigger asks, by the counter.  `time_to_exhaustion_s` is
    None while nothing is foreseen.  `log` is what the node's log says of this cycle, `actions`
    has one status for each step of shedding that is over.
    """

    statuses: tuple[Status, ...] = ()
    memory_available_percent: float | None = None
    memory_pressure_some_avg10: float | None = None
    oom_risk: float = 0.0
    level_changed: bool = False
    kills: tuple[Status, ...] = ()
    stalled: bool = False
    time_to_exhaustion_s: float | None = None
    groups: tuple[GroupMemory, ...] = ()
    log: tuple[LogLine, ...] = ()
    actions: tuple[Status, ...] = ()

    @property
    def urgent(self) -> bool:
        """Return whether this must not wait for publish_period."""
        return self.level_changed or self.stalled or bool(self.kills or self.actions)
