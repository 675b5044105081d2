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

from dataclasses import replace
from datetime import tzinfo

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.kills.oom_report import foreign_json
from oom_sentinel.kills.oom_report import journal
from oom_sentinel.kills.oom_report import locate
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import printed
from oom_sentinel.kills.oom_report import wrapping
from oom_sentinel.kills.oom_report.kernel_messages import KernelMessages
from oom_sentinel.kills.oom_report.kernel_messages import may_matter
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.suspicion import Suspicion

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
        self.line = 0
        self._export = journal.Export()
        # The log may begin inside a report: its first lines are looked at one by one.
        self._messages = KernelMessages(source)
        self._wrapped: bytes | None = None
        self._printed = printed.Printed()

    @property
    def suspicion(self) -> Suspicion:
        """Return what looked like a kill and was none that is understood."""
        return self._messages.suspicion

    @property
    def idle(self) -> bool:
        """Return whether lines without any of OPENERS may be left out."""
        return (not self._export.inside and self._messages.reports.quiet
                and self._wrapped is None and not self._printed.inside)

    @property
    def repeated(self) -> int:
        """Return how many deaths the kernel told, and counted, a second time."""
        return self._messages.reports.repeated

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
        if self._printed.inside or printed.begins(line):
            return self._unwrap() + self._feed_printed(line)
        if self.idle:
            if not may_matter(line):
                return ()
        elif self._messages.silence > MAX_SILENCE:
            self.line -= 1
            return self._unwrap() + self._messages.give_up() + self.feed(line)
        self._messages.silence += 1
        return self._feed_cleaned(line if len(line) <= MAX_ENTRY else line[:message.MAX_LINE])

    def _feed_cleaned(self, line: bytes) -> tuple[OomKill, ...]:
        """Take a line that may matter: JSON, or text in any envelope."""
        line = locate.cleaned(line)
        if len(line) <= MAX_ENTRY and (
                line.startswith((b'{', b'[{', b'data: {')) or locate.is_json_behind_date(line)):
            found = self._feed_json(line)
            if found is not None:
                return found
        return self._feed_text(line[:message.MAX_LINE])

    def _feed_printed(self, line: bytes) -> tuple[OomKill, ...]:
        """Take a line of an entry of the journal that is printed over several lines."""
        held, taken = self._printed.feed(line)
        found = self._take_printed(held)
        if taken:
            return found
        self.line -= 1
        return found + self.feed(line)

    def _take_printed(self, held: list[bytes]) -> tuple[OomKill, ...]:
        """Take the lines of such an entry; what is none of the journal is read as text."""
        if not held:
            return ()
        self._messages.silence += len(held)
        fields = printed.entry(held, self.clock)
        if fields is not None:
            return self._take_entry(fields, fields.get('MESSAGE', b''))
        found: tuple[OomKill, ...] = ()
        for line in held:
            if not self._messages.reports.quiet or may_matter(line):
                found += self._feed_cleaned(line)
        return found

    def _feed_export(self, line: bytes) -> tuple[OomKill, ...]:
        """Take a line of an entry of the export format."""
        fields = self._export.feed(line)
        if fields is None:
            return ()
        patient = self._messages.reports.quiet or self._messages.silence <= MAX_SILENCE
        found = () if patient else self._messages.give_up()
        self._messages.silence += 1
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
            for piece in text.splitlines():
                if not (self._messages.reports.quiet and not may_matter(piece)):
                    part = locate.cleaned(piece)[:message.MAX_LINE]
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
        """Take a line with its envelope; `wall_s` is the time of what wraps it."""
        record = locate.read(line, self.clock)
        if record.wall_s is None and wall_s is not None:
            record = replace(record, wall_s=wall_s)
        found = self._messages.take(record, raw, self.line)
        if found and printed.is_member(line):  # its other lines would tell who wrote it
            found = tuple(replace(kill, certainty=UNCONFIRMED) for kill in found)
        return found

    def end(self) -> tuple[OomKill, ...]:
        """Return what only the end of the log decides; the parser may be fed again after."""
        found = list(self._unwrap() + self._take_printed(self._printed.end()))
        if self._export.inside and not self.in_binary:
            self.line -= 1
            found.extend(self.feed(b''))
        self._export = journal.Export()
        found.extend(self._messages.give_up(end=True))
        return tuple(found)

    def _take_entry(self, fields: dict[str, bytes], raw: bytes) -> tuple[OomKill, ...]:
        """Take an entry of the journal."""
        record = journal.record(fields, self.clock)
        if record is None:
            return ()
        found: tuple[OomKill, ...] = ()
        if not record.speaker:
            found = self._messages.see_boot(fields.get('_BOOT_ID'))
        return found + self._messages.take(record, raw, self.line)
