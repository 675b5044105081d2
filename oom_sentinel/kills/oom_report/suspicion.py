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
Lines that are about a kill but not the kernel's report of it: they are counted and reported.

Some look like an OOM kill and are none that is understood; some are the kubelet's, which names
the victims that it read in the kernel's log.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
import re

from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report.message import text as decoded
from oom_sentinel.kills.oom_report.record import Record

_LIKE_A_KILL = re.compile(
    rb'(?i)\bkilled process\b.{0,12}\d|\bout of memory.{0,60}\bkill|'
    rb'\bkill(?:ed|ing)\b.{0,60}\bout of memory|\boom[-_ ]?kill(?:er|ed)? (?:has )?kill|'
    rb'\boom-kill:')
# Lines of mm/oom_kill.c and others that tell of no further kill.
_HARMLESS = re.compile(rb'(?:Kill|Killed) process \d{1,10} \(.{0,80}\)? sharing same memory|'
                       rb'.{0,80}OOM victim \d|.{0,40}no killable process|oom_reaper')
# What systemd, Docker and the first line of a report say; told only where no kill is found.
_ECHO = re.compile(rb"killed by the OOM killer|[Rr]esult '?oom-kill|code=oom-kill|OOMKilled|"
                   rb'\bcontainer oom\b|\binvoked oom-killer')
# pkg/kubelet/oom/oom_watcher_linux.go: the event, and the line of its log.
KUBELET = b'victim process: '
_KUBELET = re.compile(rb'System OOM encountered, victim process: (?P<name>.{1,64}?), '
                      rb'pid: (?P<pid>\d{1,10})|Got sys oom event.{0,60}?&\{(?:Pid:)?'
                      rb'(?P<number>\d{1,10}) (?:ProcessName:)?(?P<its>.{1,64}?) '
                      rb'(?:TimeOfDeath:)?\d{4}-\d\d-')
MAX_NAMED = 256


class Named:
    """The victims that the kubelet names, without those that the kernel's own lines name."""

    def __init__(self, source: str | None) -> None:
        """Begin a log."""
        self._source = source
        self._named: dict[int, OomKill] = {}
        self._told: deque[int | None] = deque(maxlen=MAX_NAMED)

    def take(self, record: Record, line: int, raw: bytes) -> None:
        """Take a line of any program."""
        m = _KUBELET.search(record.text)
        if m is None or len(self._named) >= MAX_NAMED:
            return
        pid = int(m['pid'] or m['number'])
        self._named[pid] = OomKill(
            victim_pid=pid, victim_comm=decoded(m['name'] or m['its']), time=record.wall_s,
            source=self._source, certainty=INFERRED, line=line,
            disagreement='the log holds only what the kubelet says of it',
            lines=(raw.decode('utf-8', 'backslashreplace'),))

    def leave_out(self, kills: Iterable[OomKill]) -> None:
        """Remember the kills of the kernel's own lines."""
        self._told.extend(kill.victim_pid for kill in kills)

    def end(self) -> tuple[OomKill, ...]:
        """Return the kills that only the kubelet named."""
        named, self._named = self._named, {}
        return tuple(kill for pid, kill in named.items() if pid not in self._told)


@dataclass(slots=True)
class Suspicion:
    """
    Counts of such lines and the first of each kind, from 1 on; 0 where there is none.

    `unknown` look like a kill, `others` are the kernel's words from another program,
    `reports` began and named no victim, `echoes` say that the kernel killed somebody.
    """

    unknown: int = 0
    first_unknown: int = 0
    others: int = 0
    first_other: int = 0
    speaker: str = ''
    reports: int = 0
    first_report: int = 0
    echoes: int = 0
    first_echo: int = 0

    def look(self, text: bytes, speaker: bytes, line: int) -> None:
        """Look at a line that no kill came of; `speaker` is the program that said it."""
        if _ECHO.search(text):
            self.echoes += 1
            self.first_echo = self.first_echo or line
        elif not _LIKE_A_KILL.search(text) or _HARMLESS.match(text):
            return
        elif speaker:
            self.others += 1
            self.first_other = self.first_other or line
            self.speaker = self.speaker or speaker.decode('utf-8', 'backslashreplace')
        else:
            self.unknown += 1
            self.first_unknown = self.first_unknown or line

    def add_reports(self, lines: list[int]) -> None:
        """Add reports that named no victim, by the lines they began at."""
        if lines:
            self.reports += len(lines)
            self.first_report = self.first_report or lines[0]

    def sentences(self, kills: int) -> tuple[str, ...]:
        """Return what to say of lines that were not understood, beside so many kills."""
        said = []
        if self.unknown:
            said.append(_counted(self.unknown, 'line looks', 'lines look')
                        + f' like an OOM kill in an unknown form, first at line '
                        f'{self.first_unknown}')
        if self.reports:
            said.append(_counted(self.reports, 'report', 'reports')
                        + f' of the OOM killer without a victim, first at line '
                        f'{self.first_report}')
        if self.others:
            said.append(_counted(self.others, 'line has', 'lines have')
                        + ' the words of an OOM kill from another program '
                        f'({"unknown" if self.speaker == "?" else self.speaker}), first at '
                        f'line {self.first_other}')
        if self.echoes and not kills:
            said.append(_counted(self.echoes, 'line says', 'lines say')
                        + ' that the OOM killer killed, without its own report, first at line '
                        f'{self.first_echo}')
        return tuple(said)


def _counted(count: int, one: str, more: str) -> str:
    return f'{count} {one if count == 1 else more}'
