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
Respawns of one launch: later while memory is short, so that shedding does not fight launch.

launch reads the delay of a process when it ends and has no public way to change it.
"""

from collections.abc import Callable
from typing import Any

# Of launch.actions.ExecuteLocal, Humble to Rolling.
RESPAWN = '_ExecuteLocal__respawn'
DELAY = '_ExecuteLocal__respawn_delay'
FIRST_S, MOST_S = 10.0, 60.0


class Respawns:
    """Lengthens the respawn delay of actions whose processes may be shed."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """
        Know no action yet.

        :param say: logs a line.
        """
        self._say = say
        self._usual: dict[Any, float | None] = {}
        self._delays: dict[Any, float] = {}
        self._held = False

    def started(self, action: Any, name: str) -> None:
        """Remember the action of a process that may be shed; its next respawn waits longer."""
        if not getattr(action, RESPAWN, False) or not hasattr(action, DELAY):
            return
        self._usual.setdefault(action, getattr(action, DELAY))
        if self._held:
            self._lengthen(action, name)

    def look(self, held: bool) -> None:
        """Follow whether memory is short."""
        if held == self._held:
            return
        self._held = held
        for action, usual_s in self._usual.items():
            if held:
                self._lengthen(action, str(getattr(action, 'name', None) or 'a process'))
            else:
                setattr(action, DELAY, usual_s)
        if not held:
            self._delays.clear()

    def _lengthen(self, action: Any, name: str) -> None:
        """Double the delay, up to MOST_S, and say so; a longer one of its own stays."""
        last_s = self._delays.get(action)
        delay_s = FIRST_S if last_s is None else min(MOST_S, 2 * last_s)
        self._delays[action] = delay_s
        if (self._usual[action] or 0.0) < delay_s:
            setattr(action, DELAY, delay_s)
            self._say(f'memory is short: {name} would be respawned after {delay_s:.0f} s')
