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
One report while it is read: from "invoked oom-killer" (or wherever the log begins) to the kill.

Bounded: at most MAX_TASKS rows and MAX_LINES raw lines are kept, whatever the log holds.
"""

from dataclasses import dataclass
from dataclasses import field
import re

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import table
from oom_sentinel.kills.oom_report.message import Choice
from oom_sentinel.kills.oom_report.message import Summary
from oom_sentinel.kills.oom_report.record import Record
from oom_sentinel.kills.oom_report.scene import Scene
from oom_sentinel.kills.oom_report.table import Row

MAX_TASKS = 65536
MAX_LINES = 4096
MAX_SUMMARY = 16384
_LIMIT = re.compile(rb'Task in (.{1,4096}) killed as a result of limit of (.{1,4096})')
_LIMIT_BEGIN = re.compile(rb'Task in (.{1,4096}) killed *$')
_LIMIT_REST = re.compile(rb' ?(?:killed )?as a result of limit of (.{1,4096})')
_STATS = re.compile(rb'Memory cgroup stats for (.{1,4096}?): ?')


@dataclass(slots=True)
class Draft:
    """
    What is known so far; `headless` began without "invoked oom-killer".

    `by_pid` are the rows again, `killed` is the first kill of the report, `dead` are the PIDs
    that earlier ones killed: the kernel passes over them.  `last` is the last line that
    mattered, `line` its number in the log.
    """

    headless: bool = True
    trigger: bytes | None = None
    scene: Scene = field(default_factory=Scene)
    columns: tuple[str, ...] | None = None
    rows: list[Row] = field(default_factory=list)
    by_pid: dict[int, Row] = field(default_factory=dict)
    cut: bool = False
    summary: bytes = b''
    choice: Choice | None = None
    limit: bytes | None = None
    limited: bytes | None = None
    stats: bytes | None = None
    group: bytes | None = None
    killed: OomKill | None = None
    victims: set[int] = field(default_factory=set)
    dead: frozenset[int] = frozenset()
    last: Record | None = None
    line: int = 0
    lines: list[bytes] = field(default_factory=list)

    def take(self, record: Record, raw: bytes) -> bool:
        """Take a line of the report's body; return whether it was one that matters."""
        taken = self._take(record)
        if taken:
            self.last = record
        # Without its first line a report begins with the first that matters.
        if taken or self.lines:
            self.keep(raw)
        return taken

    def keep(self, raw: bytes) -> None:
        """Keep a raw line of the report."""
        if len(self.lines) < MAX_LINES:
            self.lines.append(raw[:message.MAX_LINE])

    def _take(self, record: Record) -> bool:
        text = record.text
        first = text[:1]
        if first == b'[':
            return self._take_table(text, record.escaped)
        if first == b',' and self.summary and text.startswith(message.SUMMARY_REST):
            self.summary = (self.summary.rstrip() + text)[:MAX_SUMMARY]
            self._take_summary()
            return True
        if text.startswith(message.SUMMARY):
            self.summary = text[:MAX_SUMMARY]
            self._take_summary()
            return True
        return self.scene.take(text) or self._take_limit(text)

    def _take_summary(self) -> None:
        constraint = message.summary(self.summary).constraint
        if constraint is not None:
            self.scene.constraint = constraint
            self.scene.memcg = constraint == 'CONSTRAINT_MEMCG'
        self.scene.machine = b',global_oom,' in self.summary
        self.scene.take_nodes(self.summary)

    def _take_table(self, text: bytes, escaped: bool) -> bool:
        """Take the head or a row of the table."""
        head = table.TABLE.match(text) if b'pid' in text[:16] else None
        if head is not None:
            columns = message.text(head.group(1)).split()
            self.columns = tuple(columns[:columns.index('name')] if 'name' in columns
                                 else columns)
            self.rows, self.by_pid = [], {}
            return True
        if not table.ROW.match(text):
            return False
        row = table.row(text, None if self.columns is None else len(self.columns), escaped)
        if row is None:
            return False
        if len(self.rows) < MAX_TASKS:
            self.rows.append(row)
            self.by_pid[row.pid] = row
        else:
            self.cut = True
        return True

    def _take_limit(self, text: bytes) -> bool:
        """Take what only the report of a control group has."""
        m = _LIMIT.match(text)
        if m is not None:
            self.limited, self.limit = m.groups()
            return True
        m = _LIMIT_BEGIN.match(text)
        if m is not None:
            self.limited = m.group(1)
            return True
        m = _LIMIT_REST.match(text)
        if m is not None:
            self.limit = m.group(1)
            return True
        m = _STATS.match(text)
        if m is not None:
            # Before 5.0 every group below the one that is short is listed after it.
            self.stats = self.stats or m.group(1)
            return True
        return False

    def parsed_summary(self, comm: bytes | None = None) -> Summary:
        """Return the "oom-kill:" line, empty where the log has none."""
        return message.summary(self.summary, comm)

    def may_kill(self, pid: int, said: bytes | None) -> bool:
        """
        Return whether this PID can be its victim: since 5.1 it is the one in the summary.

        :param said: the message in the "Killed process" line (since 5.1), None where it has
            none: then the choice stood on a line of its own.
        """
        if said is not None and (self.choice is not None or self._contradicts(said)):
            return False
        named = self.parsed_summary().pid
        told = None if named is None else self.by_pid.get(named)
        return (named in (None, pid) or self.choice is not None
                or (told is not None and pid in told.numbers))

    def _contradicts(self, said: bytes) -> bool:
        """Return whether this report is of the machine and the kill of a group, or reverse."""
        of_group = said.startswith(b'Memory cgroup')
        if of_group:
            return self.scene.machine
        return self.scene.memcg or self.limit is not None or b'memory' in self.scene.usages

    def chooses(self, pid: int) -> bool:
        """Return whether the report's choice or summary is this PID."""
        return (self.choice is not None and self.choice.pid == pid) or (
            self.parsed_summary().pid == pid)

    def names(self, pid: int) -> bool:
        """Return whether the report mentions this PID as its victim or in its table."""
        if self.chooses(pid):
            return True
        return self.parsed_summary().pid is None and pid in self.by_pid
