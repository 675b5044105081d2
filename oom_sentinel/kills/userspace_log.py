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
Kills by earlyoom, nohang and systemd-oomd, read where they write while they run.

The kernel logs none of these.  In the journal only lines of their own units are read: any
program may call itself earlyoom.  Where the journal says nothing, a syslog file is followed.
"""

from collections import deque
import contextlib
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace

from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kernel import log
from oom_sentinel.kills.oom_report import Parser

UNITS = {'earlyoom': ('earlyoom.service',), 'systemd-oomd': ('systemd-oomd.service',),
         'nohang': ('nohang.service', 'nohang-desktop.service')}
FILES = ('/var/log/syslog', '/var/log/messages', '/var/log/daemon.log')
OWN_FILES = {'nohang': '/var/log/nohang/nohang.log'}
QUIET_S = 2.0  # so long a kill is held back for a line that adds to it
LINES_MAX, WAITING_MAX = 1000, 8000  # taken in one cycle, kept for the next ones
SAME_S, SAME_MAX = 30.0, 64  # the same kill in two logs


@dataclass(slots=True)
class _Followed:
    """A log that is followed, and when it said something last."""

    source: log.Source
    parser: Parser
    read_s: float = float('inf')
    waiting: deque[bytes] = field(default_factory=lambda: deque(maxlen=WAITING_MAX))

    def read(self, now_s: float) -> tuple[list[OomKill], bool]:
        """Return new kills by programs, and whether the log said anything."""
        self.source.tend(now_s)
        with contextlib.suppress(OSError):  # it shows none, and is read again
            self.waiting.extend(self.source.read())
        found: list[OomKill] = []
        lines = [self.waiting.popleft() for _ in range(min(LINES_MAX, len(self.waiting)))]
        for line in lines:
            found += self.parser.feed(line)
        if lines:
            self.read_s = now_s
        elif now_s - self.read_s >= QUIET_S:
            found += self.parser.end()
            self.parser, self.read_s = Parser(self.source.name), float('inf')
        return [kill for kill in found if kill.kind is Killer.USERSPACE], bool(lines)


@dataclass(slots=True)
class UserspaceLog:
    """Follows the logs of the programs that kill before the kernel does."""

    _programs: tuple[str, ...] = ()
    _journal: _Followed | None = None
    _files: list[_Followed] = field(default_factory=list)
    _journal_has_lines: bool = False
    _told: deque[tuple[str | None, int | None, float]] = field(
        default_factory=lambda: deque(maxlen=SAME_MAX))

    def read(self, programs: tuple[str, ...], now_s: float, wall_s: float) -> list[OomKill]:
        """
        Return new kills by these programs; a log that cannot be read shows none.

        :param programs: those that run here.
        """
        programs = tuple(name for name in programs if name in UNITS)
        if programs != self._programs:
            self._open(programs)
        found: list[OomKill] = []
        if self._journal is not None:
            found, has_lines = self._journal.read(now_s)
            self._journal_has_lines = self._journal_has_lines or has_lines
        for file in self._files:
            kills, _ = file.read(now_s)
            if not self._journal_has_lines:
                found += [kill for kill in kills if kill.program in programs]
        return [replace(kill, time=wall_s if kill.time is None else kill.time)
                for kill in found if not self._is_told(kill, now_s)]

    def _is_told(self, kill: OomKill, now_s: float) -> bool:
        """Return whether another log told this kill a moment ago, else remember it."""
        if kill.victim_pid is not None and any(
                (program, pid) == (kill.program, kill.victim_pid) and now_s - at_s < SAME_S
                for program, pid, at_s in self._told):
            return True
        self._told.append((kill.program, kill.victim_pid, now_s))
        return False

    def _open(self, programs: tuple[str, ...]) -> None:
        self.close()
        self._programs = programs
        if not programs:
            return
        try:
            self._journal = _Followed(
                log.open_journal(tuple(unit for name in programs for unit in UNITS[name])),
                Parser('journal'))
        except log.Refused:
            self._journal = None  # no systemd here, or journalctl cannot be started
        own = tuple(OWN_FILES[name] for name in programs if name in OWN_FILES)
        for paths in (FILES, own):
            for path in paths:
                try:
                    self._files.append(_Followed(log.LogFile(path), Parser(path)))
                except log.Refused:
                    continue  # there is none, or it is not ours to read
                break

    def close(self) -> None:
        """Stop following."""
        for followed in (*self._files, *(() if self._journal is None else (self._journal,))):
            followed.source.close()
        self._journal, self._files, self._journal_has_lines = None, [], False
