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
Kills by earlyoom, nohang and systemd-oomd, read from the journal of their units while they run.

The kernel logs none of these.  Only lines of the units themselves are read: any program may
call itself earlyoom.
"""

from dataclasses import replace

from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kernel import log
from oom_sentinel.kills.oom_report import Parser

UNITS = {'earlyoom': ('earlyoom.service',), 'systemd-oomd': ('systemd-oomd.service',),
         'nohang': ('nohang.service', 'nohang-desktop.service')}
QUIET_S = 2.0  # so long a kill is held back for a line that adds to it
LINES_MAX = 1000  # taken in one cycle


class UserspaceLog:
    """Follows the journal of the programs that kill before the kernel does."""

    def __init__(self) -> None:
        """Follow nothing yet."""
        self._source: log.Source | None = None
        self._units: tuple[str, ...] = ()
        self._parser = Parser('journal')
        self._read_s = float('-inf')

    def read(self, programs: tuple[str, ...], now_s: float, wall_s: float) -> list[OomKill]:
        """
        Return new kills by these programs; a journal that cannot be read shows none.

        :param programs: those that run here.
        """
        units = tuple(unit for name in programs for unit in UNITS.get(name, ()))
        if units != self._units:
            self._open(units)
        if self._source is None:
            return []
        self._source.tend(now_s)
        found: list[OomKill] = []
        lines = self._source.read()[:LINES_MAX]
        for line in lines:
            found += self._parser.feed(line)
        if lines:
            self._read_s = now_s
        elif now_s - self._read_s >= QUIET_S:
            found += self._parser.end()
            self._parser, self._read_s = Parser('journal'), float('inf')
        return [replace(kill, time=wall_s if kill.time is None else kill.time)
                for kill in found if kill.kind is Killer.USERSPACE]

    def _open(self, units: tuple[str, ...]) -> None:
        self.close()
        self._units = units
        if units:
            try:
                self._source = log.open_journal(units)
            except log.Refused:
                self._source = None

    def close(self) -> None:
        """Stop following."""
        if self._source is not None:
            self._source.close()
            self._source = None
