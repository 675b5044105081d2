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
The parts of a cycle: each runs under its own guard, so that one that fails stops no other.

A part that raises is logged once, shown in its statuses as `unavailable (why)`, and run again
the next time.  Knows nothing of what the parts do.
"""

from collections.abc import Callable
from typing import TypeVar

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import LogLine
from oom_sentinel.facts.status import Unavailable

T = TypeVar('T')
# A part that fails on and off is logged again only after it was well for this long.
QUIET_S = 60.0
LINES_MAX = 100  # that wait to be logged
WHY_MAX = 200  # characters


@frozen
class Part:
    """
    One part of a cycle.

    `statuses` are the names of the statuses that show its failure; with `replaces` nothing else
    of them is shown, because nothing else is left of them.
    """

    name: str
    statuses: tuple[str, ...] = ()
    replaces: bool = False


GROUPS = 'Group '  # stands for the statuses of all groups
MEMORY = Part('memory', ('Memory',))
PRESSURE = Part('memory pressure', ('Memory pressure',))
COUNTERS = Part('memory counters', ('OOM kills',))
SETTINGS_OF_KERNEL = Part('kernel settings', ('Memory',))
OWN_CGROUP = Part('own control group', ('Control groups',))
CGROUPS = Part('control groups', ('Control groups',))
MEMBERS = Part('members of control groups', ('Control groups',))
SWAP = Part('swap devices', ('Memory',))
SHARED_MEMORY = Part('shared memory of DDS', ('Memory',))
PROCESSES = Part('process table', ('OOM risk', 'Protection', GROUPS))
NEW_PROGRAMS = Part('new programs', ('Protection',))
LAUNCHES = Part('records of launches', ('Protection',))
PROTECTION = Part('protection', ('Protection',))
LIMITS = Part('limits of memory', ('Protection',))
LOCK = Part('lock of the sentinel', ('Protection',))
OUTCOMES = Part('outcomes of protection', ('Protection',))
RISK = Part('risk assessment', ('OOM risk', 'Memory', 'Memory pressure', 'Control groups'))
SHEDDING = Part('shedding', ('OOM risk',))
ACTIONS = Part('record of shedding', ('OOM risk',))
KERNEL_LOG = Part('kernel log', ('OOM kills',))
KNOWN_PROCESSES = Part('memory of ended processes', ('OOM kills',))
KILLS = Part('kills', ('OOM kills',))
GRAPH = Part('ROS graph', ('Protection',))
CONTAINERS = Part('component containers', ('Protection',))
WAKES = Part('wakes by memory', ('Memory pressure',))
PUBLISHING = Part('publishing')
LAST_REPORT = Part('report for other programs')
METRICS = Part('metrics')
REQUESTS = Part('memory of requests')


def status_part(name: str) -> Part:
    """Return the part that makes the status of this name."""
    return Part(f'status {name}', (name,), replaces=True)


class Parts:
    """Runs parts and keeps which of them fail now."""

    def __init__(self) -> None:
        """Start with no failed part."""
        self.now_s = 0.0  # monotonic seconds; the cycle sets it
        self.troubles: dict[Part, str] = {}
        self._failed_s: dict[str, float] = {}
        self._lines: list[LogLine] = []

    def run(self, part: Part, work: Callable[[], T], otherwise: T) -> T:
        """Return what the work returns, or `otherwise` when it raises."""
        try:
            found = work()
        except Exception as error:  # noqa: B902 - whatever it is, the other parts go on
            self._fail(part, error)
            return otherwise
        if part in self.troubles:
            del self.troubles[part]
        return found

    def read(self, part: Part, work: Callable[[], T | Unavailable]) -> T | Unavailable:
        """Return what the work returns, or why it is unavailable."""
        found = self.run(part, work, None)
        return Unavailable(self.troubles[part]) if found is None else found

    def log_lines(self) -> tuple[LogLine, ...]:
        """Return what is to be logged since the last call."""
        lines, self._lines = tuple(self._lines), []
        return lines

    def say(self, line: LogLine) -> None:
        """Add a line to what is to be logged; the oldest go when nobody logs them."""
        self._lines = [*self._lines[1 - LINES_MAX:], line]

    def _fail(self, part: Part, error: Exception) -> None:
        why = self.troubles[part] = reason(error)
        if due(self.now_s, self._failed_s.get(part.name, NEVER_S), QUIET_S):
            self.say(LogLine(Level.ERROR, f'{part.name} failed and is tried again: {why} '
                             f'({error_place(error)})'))
        self._failed_s[part.name] = self.now_s


def reason(error: Exception) -> str:
    """Return why something failed, in one short line."""
    if isinstance(error, OSError) and error.strerror:
        text = f'{error.filename}: {error.strerror}' if error.filename else error.strerror
    else:
        text = str(error) or type(error).__name__
    return ' '.join(text.split())[:WHY_MAX]


def error_place(error: Exception) -> str:
    """Return the kind of an error, and file and line where it was raised."""
    at = error.__traceback__
    if at is None:
        return type(error).__name__
    while at.tb_next is not None:
        at = at.tb_next
    file = at.tb_frame.f_code.co_filename.rpartition('/')[2]
    return f'{type(error).__name__} at {file}:{at.tb_lineno}'
