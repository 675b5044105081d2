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
"""When a report is published: once a period, and at once what cannot wait.  Pure."""

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S

EARLY_S = 0.05  # a cycle that comes so much too early still publishes


class Pace:
    """Keeps the period of the diagnostics, whatever is published in between."""

    def __init__(self) -> None:
        """Let the first report be due."""
        self._last_s = NEVER_S

    def publishes(self, now_s: float, period_s: float, *, at_once: bool) -> bool:
        """
        Return whether the report of this moment is published.

        What goes out at once does not put off the next regular report: the gap would be nearly
        two periods.
        """
        regular = due(now_s, self._last_s, period_s - EARLY_S)
        if regular:
            self._last_s = now_s
        return regular or at_once
