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
What the messages of the kernel mean, one after the other: reports begin, grow and end in kills.

The lines' envelopes are off already; programs that kill are told apart by their speakers.
"""

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import report
from oom_sentinel.kills.oom_report import table
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.open_reports import MAX_AGE_S
from oom_sentinel.kills.oom_report.open_reports import OpenReports
from oom_sentinel.kills.oom_report.open_reports import seconds_between
from oom_sentinel.kills.oom_report.record import Record
from oom_sentinel.kills.oom_report.record import unescape
from oom_sentinel.kills.oom_report.suspicion import KUBELET
from oom_sentinel.kills.oom_report.suspicion import Named
from oom_sentinel.kills.oom_report.suspicion import Suspicion
from oom_sentinel.kills.oom_report.userspace import Userspace

# What a report begins with, or is told by; `stream` skips whole blocks without any of them.  The
# beginning of a log is read without them.
OPENERS = (b'oom', b'Kill', b'SIGTERM to', b'SIGKILL to', KUBELET, b'"MESSAGE":[', b'"MESSAGE": [')
# nohang names its victim in lines before the one that has an opener.
_BEFORE = (b'nohang', b'ictim is', b', badness')


def may_matter(line: bytes) -> bool:
    """Return whether a line has one of the words that a report or a kill begins with."""
    return any(word in line for word in OPENERS) or any(word in line for word in _BEFORE)


class KernelMessages:
    """
    Takes records, returns kills.

    `silence` counts the lines since the last one that mattered to an open report.
    """

    def __init__(self, source: str | None) -> None:
        """Begin a log."""
        self.source = source
        self.suspicion = Suspicion()
        self.reports = OpenReports(source)
        self.silence = 0
        self._userspace = Userspace(source)
        self._named = Named(source)
        self._asked: Record | None = None
        self._boot_s: float | None = None
        self._line = 0

    def see_boot(self, boot_id: bytes | None) -> tuple[OomKill, ...]:
        """Take the journal's name of the boot that the next record is of."""
        before = self.reports.boot_id
        if boot_id is None or boot_id == before:
            return ()
        self.reports.boot_id = boot_id
        return () if before is None else self._begin_boot()

    def _begin_boot(self) -> tuple[OomKill, ...]:
        """Forget what belongs to the boot before, and return what its reports let infer."""
        self.reports.forget_victims()
        self._boot_s = None
        return self.give_up()

    def give_up(self, end: bool = False) -> tuple[OomKill, ...]:
        """Give up the open reports; at the end of the log everything that was held back."""
        self.silence = 0
        found = self.reports.give_up(left=end)
        if end:
            found += self._userspace.flush() + self._named.end()
        self.suspicion.add_reports(self.reports.without_victim)
        self.reports.without_victim = []
        return found

    def take(self, record: Record, raw: bytes, line: int) -> tuple[OomKill, ...]:
        """Take a message of the kernel, or of one of the programs that kill."""
        self._line = line
        told: tuple[OomKill, ...] = ()
        matters = record.text[:1] != b'[' and may_matter(raw)
        if matters:
            told = self._userspace.take(record, line, raw)
            self._named.take(record, line, raw)
        if record.speaker:
            if matters:
                self.suspicion.look(record.text, record.speaker, self._line)
            return told
        if self.reports.quiet and not may_matter(record.text):
            return told
        found = told
        if record.boot_s is not None:
            if self._boot_s is not None and record.boot_s < self._boot_s - MAX_AGE_S:
                found += self._begin_boot()
            self._boot_s = record.boot_s
        if not self.reports.empty:
            found += self.reports.age(record)
        kills = self._take_kernel(record, raw)
        self._named.leave_out(kills)
        return found + kills

    def _take_kernel(self, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        text, reports = record.text, self.reports
        if text[:1] == b'[':
            self._grow(record, raw)  # a row of the table
            return ()
        killed = message.killed(text, record.escaped)
        if killed is not None:
            self.silence = 0
            return reports.kill(killed, record, raw, self._line)
        invoked = text.find(message.INVOKED, 0, 4 * table.TASK_COMM_LEN + 30)
        if invoked >= 0:
            self._begin(record, raw, invoked)
            return ()
        choice = message.choice(text, record.escaped)
        if choice is not None:
            return reports.choose(choice, record, raw, self._line)
        reaped = message.reaped(text, record.escaped)
        if reaped is not None:
            kill = reports.reap(reaped, record, raw, self._line)
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
        draft = Draft(headless=False, trigger=comm, last=record, line=self._line)
        draft.scene.take_request(record.text)
        asked_s = seconds_between(self._asked, record)
        draft.scene.asked_for = self._asked is not None and (
            asked_s is None or 0 <= asked_s <= MAX_AGE_S)
        self._asked = None
        draft.lines = [raw[:message.MAX_LINE]]
        self.silence = 0
        self.reports.put(record.caller, draft)

    def _panic(self, why: bytes, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        """Take the kernel's end for want of memory."""
        draft = self.reports.of_caller(record.caller)
        if draft is None or draft.killed is not None:
            draft = Draft()
        self.reports.drop(record.caller)
        draft.keep(raw)
        draft.line = self._line
        draft.scene.asked_for = draft.scene.asked_for or self._asked is not None
        self._asked = None
        return (report.panicked(draft, why, record, self.source),)

    def _body(self, record: Record, raw: bytes) -> None:
        """Take any other line."""
        group = message.GROUP.match(record.text)
        draft = self.reports.of_caller(record.caller)
        if group is not None:
            if draft is not None:
                draft.group = group.group(1)
        elif (spared := message.NOT_KILLED.match(record.text)) is not None:
            self.reports.drop(record.caller)
            self.reports.put(record.caller, Draft())  # a panic may follow
            if spared.group(2) is not None:
                self.reports.spare(int(spared.group(2)), record)
        elif message.ASKED_FOR.match(record.text):
            self._asked = record
        elif not self._grow(record, raw) and may_matter(record.text):
            self.suspicion.look(record.text, b'', self._line)

    def _grow(self, record: Record, raw: bytes) -> bool:
        """Let the caller's report, or a new one, take a line; return whether it mattered."""
        draft = self.reports.of_caller(record.caller)
        is_open = draft is not None and draft.killed is None
        if draft is None or not is_open:
            draft = Draft(line=self._line)
        if not draft.take(record, raw):
            return False
        draft.line = draft.line or self._line
        self.silence = 0
        if not is_open:
            self.reports.put(record.caller, draft)
        return True
