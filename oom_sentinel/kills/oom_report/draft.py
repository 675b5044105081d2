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

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report.message import Row
from oom_sentinel.kills.oom_report.message import Summary
from oom_sentinel.kills.oom_report.predict import Scene
from oom_sentinel.kills.oom_report.predict import Usage
from oom_sentinel.kills.oom_report.record import Record

MAX_TASKS = 65536
MAX_LINES = 4096
MAX_SUMMARY = 16384


@dataclass(frozen=True, slots=True)
class Choice:
    """The "Kill process N (c) score S or sacrifice child" line, before 5.1."""

    message: bytes
    pid: int
    comm: bytes
    score: int


@dataclass(slots=True)
class Draft:
    """
    What is known so far; `headless` began without "invoked oom-killer".

    `by_pid` are the rows again, `killed` is the first kill of the report, `dead` are the PIDs
    that earlier ones killed: the kernel passes over them.
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
    chosen_in: Record | None = None
    limit: bytes | None = None
    limited: bytes | None = None
    stats: bytes | None = None
    group: bytes | None = None
    killed: OomKill | None = None
    victims: set[int] = field(default_factory=set)
    dead: frozenset[int] = frozenset()
    last_s: float | None = None
    lines: list[bytes] = field(default_factory=list)

    def take(self, record: Record, raw: bytes) -> bool:
        """Take a line of the report's body; tell whether it was one that matters."""
        taken = self._take(record)
        if taken:
            self.last_s = record.boot_s
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
            return self._table(text, record.escaped)
        if first == b',' and self.summary and text.startswith(message.SUMMARY_REST):
            self.summary = (self.summary.rstrip() + text)[:MAX_SUMMARY]
            return True
        if text.startswith(message.SUMMARY):
            self.summary = text[:MAX_SUMMARY]
            constraint = message.summary(text).constraint
            if constraint is not None:
                self.scene.constraint = constraint
                self.scene.memcg = constraint == 'CONSTRAINT_MEMCG'
            self._nodes(text)
            return True
        return self._scene(text) or self._memcg(text)

    def _table(self, text: bytes, escaped: bool) -> bool:
        """Take the head or a row of the table."""
        head = message.TABLE.match(text)
        if head is not None:
            columns = message.text(head.group(1)).split()
            self.columns = tuple(columns[:columns.index('name')] if 'name' in columns
                                 else columns)
            self.rows, self.by_pid = [], {}
            return True
        if not message.ROW.match(text):
            return False
        row = message.row(text, None if self.columns is None else len(self.columns), escaped)
        if row is None:
            return False
        if len(self.rows) < MAX_TASKS:
            self.rows.append(row)
            self.by_pid[row.pid] = row
        else:
            self.cut = True
        return True

    def _scene(self, text: bytes) -> bool:
        """Take Mem-Info, the kernel's version, and the nodes."""
        scene = self.scene
        m = message.RAM.match(text)
        if m is not None:
            if b'RAM' in m.group():
                scene.ram_pages = int(m.group(1))
            else:
                scene.reserved_pages = int(m.group(1))
            return True
        m = message.SWAP.match(text)
        if m is not None:
            scene.swap_kb = int(m.group(1))
            return True
        if message.PAGECACHE.match(text):
            scene.swap_kb = scene.swap_kb or 0
            return True
        m = message.PRESENT.match(text)
        if m is not None and len(scene.present_kb) < 4096:
            node = int(m.group(1) or 0)
            scene.present_kb[node] = scene.present_kb.get(node, 0) + int(m.group(2))
            return True
        m = message.VERSION.match(text)
        if m is not None:
            scene.kernel = (int(m.group(1)), int(m.group(2)))
            return True
        if b' mems_allowed=' in text[:400]:
            self._nodes(text)
            return True
        return text.startswith(b'Mem-Info:')

    def _nodes(self, text: bytes) -> None:
        """Keep the nodes of the mempolicy, or those of the cpuset: whichever is narrower."""
        for mask in message.NODES.findall(text[:1000]):
            found = message.nodes(mask)
            if found and (not self.scene.nodes or len(found) < len(self.scene.nodes)):
                self.scene.nodes = found

    def _memcg(self, text: bytes) -> bool:
        """Take what only the report of a control group has."""
        m = message.USAGE.match(text)
        if m is not None:
            self.scene.usages[m.group(1)] = Usage(int(m.group(2)), int(m.group(3)))
            return True
        m = message.LIMIT.match(text)
        if m is not None:
            self.limited, self.limit = m.groups()
            return True
        m = message.LIMIT_BEGIN.match(text)
        if m is not None:
            self.limited = m.group(1)
            return True
        m = message.LIMIT_REST.match(text)
        if m is not None:
            self.limit = m.group(1)
            return True
        m = message.STATS.match(text)
        if m is not None:
            # Before 5.0 every group below the one that is short is listed after it.
            self.stats = self.stats or m.group(1)
            return True
        return False

    def parsed_summary(self, comm: bytes | None = None) -> Summary:
        """Return the "oom-kill:" line, empty where the log has none."""
        return message.summary(self.summary, comm)

    def may_kill(self, pid: int) -> bool:
        """Tell whether this PID can be its victim: since 5.1 it is the one that is told."""
        said = self.parsed_summary().pid
        told = None if said is None else self.by_pid.get(said)
        return (said in (None, pid) or self.choice is not None
                or (told is not None and pid in told.numbers))

    def names(self, pid: int) -> bool:
        """Tell whether the report mentions this PID as its victim or in its table."""
        if self.choice is not None and self.choice.pid == pid:
            return True
        said = self.parsed_summary().pid
        if said is not None:
            return said == pid
        return pid in self.by_pid
