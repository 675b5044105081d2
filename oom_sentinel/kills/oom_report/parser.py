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
From the lines of a log to OOM kills, one after the other, in bounded memory.

A kill is returned at its "Killed process" line; nothing waits for what the kernel prints later.
"""

from datetime import tzinfo
import re

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import foreign_json
from oom_sentinel.kills.oom_report import journal
from oom_sentinel.kills.oom_report import locate
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import report
from oom_sentinel.kills.oom_report import table
from oom_sentinel.kills.oom_report import wrapping
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.open_reports import MAX_AGE_S
from oom_sentinel.kills.oom_report.open_reports import OpenReports
from oom_sentinel.kills.oom_report.open_reports import seconds_between
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.record import Record
from oom_sentinel.kills.oom_report.record import unescape
from oom_sentinel.kills.oom_report.suspicion import Suspicion
from oom_sentinel.kills.oom_report.userspace import Userspace

# What a report begins with, or is told by; `stream` skips whole blocks without any of them, and
# each word costs a search.  The beginning of a log is read without them.
OPENERS = (b'oom', b'Kill', b'of memory', b'kill process', b' total_vm ', b'Kernel panic',
           b'Manual OOM', b'nohang', b'"MESSAGE":[', b'"MESSAGE" : [')
_OPENER = re.compile(b'|'.join(map(re.escape, OPENERS)))
# A report without its kill is given up after so many foreign lines.
MAX_SILENCE = 2000
# A JSON entry of a kernel message is far shorter: its text is at most 1 kB.
MAX_ENTRY = 1 << 16


class Parser:
    """
    Takes lines, returns kills.

    :param source: where the lines come from, for `OomKill.source`.
    :param boot_wall_s: the wall clock at boot, for records that carry only boot time.
    :param now_s: the wall clock now, for dates without a year.
    :param zone: that of dates without an offset; None: this machine's.
    """

    def __init__(self, source: str | None = None, boot_wall_s: float | None = None, *,
                 now_s: float | None = None, zone: tzinfo | None = None) -> None:
        """Begin a log."""
        self.source = source
        self.clock = Clock(boot_wall_s, now_s, zone)
        self.suspicion = Suspicion()
        self.line = 0
        self._export = journal.Export()
        # The log may begin inside a report: its first lines are looked at one by one.
        self._reports = OpenReports(source)
        self._userspace = Userspace(source)
        self._wrapped: bytes | None = None
        self._asked: Record | None = None
        self._boot_s: float | None = None
        self._silence = 0

    @property
    def idle(self) -> bool:
        """Return whether lines without any of OPENERS may be left out."""
        return not self._export.inside and self._quiet and self._wrapped is None

    @property
    def _quiet(self) -> bool:
        return self._reports.quiet

    @property
    def repeated(self) -> int:
        """Return how many deaths the kernel told, and counted, a second time."""
        return self._reports.repeated

    @property
    def in_binary(self) -> bool:
        """Return whether raw data of an export entry is being read."""
        return self._export.in_binary

    def feed_binary(self, piece: bytes) -> None:
        """Take the beginning of a line that is too long to hold, `in_binary` only."""
        self._export.feed_binary(piece)

    def feed(self, line: bytes) -> tuple[OomKill, ...]:
        """
        Take a line, with or without its newline; a record of /dev/kmsg is one line.

        Never raises, whatever the bytes are.
        """
        self.line += 1
        if line[-1:] == b'\n':
            line = line[:-1]
        if self._export.inside or line.startswith(journal.FIRST):
            return self._unwrap() + self._feed_export(line)
        if self.idle:
            if not _OPENER.search(line):
                return ()
        elif self._silence > MAX_SILENCE:
            self.line -= 1
            return self._unwrap() + self._give_up() + self.feed(line)
        self._silence += 1
        line = locate.cleaned(line)
        if line.startswith((b'{', b'[{', b'data: {')) and len(line) <= MAX_ENTRY:
            found = self._feed_json(line)
            if found is not None:
                return found
        return self._feed_text(line[:message.MAX_LINE])

    def _feed_export(self, line: bytes) -> tuple[OomKill, ...]:
        """Take a line of an entry of the export format."""
        fields = self._export.feed(line)
        if fields is None:
            return ()
        patient = self._quiet or self._silence <= MAX_SILENCE
        found = () if patient else self._give_up()
        self._silence += 1
        return found + self._take_entry(fields, fields.get('MESSAGE', b''))

    def _feed_json(self, line: bytes) -> tuple[OomKill, ...] | None:
        """Take a line of JSON, None when it is none."""
        document = foreign_json.parsed(line)
        if document is None:
            return None
        found = self._unwrap()
        entry = journal.json_entry(document)
        if entry is not None:
            return found + self._take_entry(entry, line)
        for text, wall_s in foreign_json.texts(document):
            for part in text.splitlines():
                if not (self._quiet and _OPENER.search(part) is None):
                    part = locate.cleaned(part)[:message.MAX_LINE]
                    found += self._take_line(part, part, wall_s)
        return found

    def _feed_text(self, line: bytes) -> tuple[OomKill, ...]:
        """Take a line of text: put together what a terminal or a mail has wrapped."""
        held, self._wrapped = self._wrapped, None
        found: tuple[OomKill, ...] = ()
        if held is not None:
            joined = wrapping.joined(held, line, self.clock)
            if joined is None:
                found = self._take_line(held, held)
            else:
                line = joined
        if wrapping.is_cut(line):
            self._wrapped = line
            return found
        for part in line.split(b'\\n') if b'\\n' in line else (line,):
            found += self._take_line(part, part)
        return found

    def _unwrap(self) -> tuple[OomKill, ...]:
        """Take the line that was held for its continuation."""
        held, self._wrapped = self._wrapped, None
        return () if held is None else self._take_line(held, held)

    def _take_line(self, line: bytes, raw: bytes,
                   wall_s: float | None = None) -> tuple[OomKill, ...]:
        """Take a line with its envelope; `wall_s` where only the wrapping tells the time."""
        record = locate.read(line, self.clock)
        if record.wall_s is None and wall_s is not None:
            record = Record(record.text, wall_s, record.boot_s, record.caller, record.escaped,
                            record.speaker)
        return self._take(record, raw)

    def end(self) -> tuple[OomKill, ...]:
        """Return what only the end of the log decides; the parser may be fed again after."""
        found = list(self._unwrap())
        if self._export.inside and not self.in_binary:
            self.line -= 1
            found.extend(self.feed(b''))
        self._export = journal.Export()
        found.extend(self._reports.give_up(left=True))
        found.extend(self._userspace.flush())
        self._count_without_victim()
        return tuple(found)

    def _take_entry(self, fields: dict[str, bytes], raw: bytes) -> tuple[OomKill, ...]:
        """Take an entry of the journal."""
        record = journal.record(fields, self.clock)
        if record is None:
            return ()
        boot_id = fields.get('_BOOT_ID')
        found: tuple[OomKill, ...] = ()
        if boot_id is not None and boot_id != self._reports.boot_id and not record.speaker:
            if self._reports.boot_id is not None:
                found = self._another_boot()
            self._reports.boot_id = boot_id
        return found + self._take(record, raw)

    def _another_boot(self) -> tuple[OomKill, ...]:
        self._reports.forget_victims()
        self._boot_s = None
        return self._give_up()

    def _give_up(self) -> tuple[OomKill, ...]:
        self._silence = 0
        found = self._reports.give_up()
        self._count_without_victim()
        return found

    def _count_without_victim(self) -> None:
        self.suspicion.add_reports(self._reports.without_victim)
        self._reports.without_victim = []

    def _take(self, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        """Take a message of the kernel, or of one of the programs that kill."""
        told = self._userspace.take(record, self.line, raw) if _OPENER.search(raw) else ()
        if record.speaker:
            self.suspicion.look(record.text, record.speaker, self.line)
            return told
        if self._quiet and not _OPENER.search(record.text):
            return told
        found = told
        if record.boot_s is not None:
            if self._boot_s is not None and record.boot_s < self._boot_s - MAX_AGE_S:
                found += self._another_boot()
            self._boot_s = record.boot_s
        if not self._reports.empty:
            found += self._reports.age(record)
        return found + self._take_kernel(record, raw)

    def _take_kernel(self, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        text, reports = record.text, self._reports
        killed = message.killed(text, record.escaped)
        if killed is not None:
            self._silence = 0
            return reports.kill(killed, record, raw, self.line)
        invoked = text.find(message.INVOKED, 0, 4 * table.TASK_COMM_LEN + 30)
        if invoked >= 0:
            self._begin(record, raw, invoked)
            return ()
        choice = message.choice(text, record.escaped)
        if choice is not None:
            return reports.choose(choice, record, raw, self.line)
        reaped = message.reaped(text, record.escaped)
        if reaped is not None:
            kill = reports.reap(reaped, record, raw, self.line)
            if kill is not None:
                return (kill,)
        why = message.panic(text)
        if why is not None:
            return self._panic(why, record, raw)
        self._body(record, raw)
        return ()

    def _begin(self, record: Record, raw: bytes, invoked: int) -> None:
        """Open a report at its first line."""
        comm = record.text[:invoked]
        if record.escaped:
            comm = unescape(comm)
        if len(comm) >= 2 * table.TASK_COMM_LEN:
            return
        draft = Draft(headless=False, trigger=comm, last=record, line=self.line)
        draft.scene.take_request(record.text)
        asked_s = seconds_between(self._asked, record)
        draft.scene.asked_for = self._asked is not None and (
            asked_s is None or 0 <= asked_s <= MAX_AGE_S)
        self._asked = None
        draft.lines = [raw[:message.MAX_LINE]]
        self._silence = 0
        self._reports.put(record.caller, draft)

    def _panic(self, why: bytes, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        """Take the kernel's end for want of memory."""
        draft = self._reports.of_caller(record.caller)
        if draft is None or draft.killed is not None:
            draft = Draft()
        self._reports.drop(record.caller)
        draft.keep(raw)
        draft.line = self.line
        draft.scene.asked_for = draft.scene.asked_for or self._asked is not None
        self._asked = None
        return (report.panicked(draft, why, record, self.source),)

    def _body(self, record: Record, raw: bytes) -> None:
        """Take any other line."""
        group = message.GROUP.match(record.text)
        draft = self._reports.of_caller(record.caller)
        if group is not None:
            if draft is not None:
                draft.group = group.group(1)
        elif (spared := message.NOT_KILLED.match(record.text)) is not None:
            self._reports.drop(record.caller)
            if spared.group(2) is not None:
                self._reports.spare(int(spared.group(2)), record)
        elif message.ASKED_FOR.match(record.text):
            self._asked = record
        elif draft is not None and draft.killed is None:
            if draft.take(record, raw):
                draft.line = draft.line or self.line
                self._silence = 0
            else:
                self.suspicion.look(record.text, b'', self.line)
        else:
            opened = Draft(line=self.line)
            if opened.take(record, raw):
                self._silence = 0
                self._reports.put(record.caller, opened)
            else:
                self.suspicion.look(record.text, b'', self.line)
