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
Reports of several callers (CONFIG_PRINTK_CALLER) may be interleaved.
"""

from collections import deque
from datetime import tzinfo
import re

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import envelope
from oom_sentinel.kills.oom_report import journal
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import report
from oom_sentinel.kills.oom_report.draft import Choice
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.record import Record

# What a report begins with, or is told by; `stream` skips whole blocks without any of them, and
# each word costs a search.  The beginning of a log is read without them.
OPENERS = (b'oom-kill', b'Kill', b'memory.oom.group set', b' total_vm ', b'"MESSAGE":[',
           b'"MESSAGE" : [')
_OPENER = re.compile(b'|'.join(map(re.escape, OPENERS)))
MAX_OPEN = 4
MAX_DEAD = 64
# A report without its kill is given up after so many foreign lines, or seconds.
MAX_SILENCE = 2000
MAX_AGE_S = 60.0
# The members of a group are killed under the same lock, right after the victim.
GROUP_S = 5.0
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
        self._export = journal.Export()
        # The log may begin inside a report: its first lines are looked at one by one.
        self._open: dict[bytes, Draft] = {b'': Draft()}
        self._left: deque[Draft] = deque(maxlen=MAX_OPEN)
        self._dead: deque[tuple[int, float | None]] = deque(maxlen=MAX_DEAD)
        self._boot_id: bytes | None = None
        self._last_s: float | None = None
        self._silence = 0
        self.repeated = 0  # deaths that the kernel told, and counted, a second time

    @property
    def idle(self) -> bool:
        """Tell whether lines without any of OPENERS may be left out."""
        return not self._export.inside and self._quiet

    @property
    def _quiet(self) -> bool:
        return all(draft.killed is not None for draft in self._open.values())

    @property
    def in_binary(self) -> bool:
        """Tell whether raw data of an export entry is being read."""
        return self._export.in_binary

    def feed_binary(self, piece: bytes) -> None:
        """Take the beginning of a line that is too long to hold, `in_binary` only."""
        self._export.feed_binary(piece)

    def feed(self, line: bytes) -> tuple[OomKill, ...]:
        """
        Take a line, with or without its newline; a record of /dev/kmsg is one line.

        Never raises, whatever the bytes are.
        """
        if line[-1:] == b'\n':
            line = line[:-1]
        if self._export.inside or line.startswith(journal.FIRST):
            fields = self._export.feed(line)
            if fields is None:
                return ()
            patient = self._quiet or self._silence <= MAX_SILENCE
            found = () if patient else self._give_up()
            self._silence += 1
            return found + self._entry(fields, fields.get('MESSAGE', b''))
        if self.idle:
            if not _OPENER.search(line):
                return ()
        elif self._silence > MAX_SILENCE:
            return self._give_up() + self.feed(line)
        self._silence += 1
        line = line.lstrip(envelope.PADDING)
        if line.startswith((b'{', b'data: {')):
            entry = journal.json_entry(line) if len(line) <= MAX_ENTRY else None
            return () if entry is None else self._entry(entry, line)
        line = line.rstrip(b'\r')[:message.MAX_LINE]
        record = envelope.read(line, self.clock)
        return () if record is None else self._take(record, line)

    def end(self) -> tuple[OomKill, ...]:
        """Return what only the end of the log decides; the parser may be fed again after."""
        found: list[OomKill] = []
        if self._export.inside and not self.in_binary:
            found.extend(self.feed(b''))
        drafts = [*self._left, *self._open.values()]
        self._open, self._export = {}, journal.Export()
        self._left.clear()
        for draft in drafts:
            found.extend(self._given_up(draft))
        return tuple(found)

    def _entry(self, fields: dict[str, bytes], raw: bytes) -> tuple[OomKill, ...]:
        """Take an entry of the journal."""
        record = journal.record(fields, self.clock)
        if record is None:
            return ()
        boot_id = fields.get('_BOOT_ID')
        found: tuple[OomKill, ...] = ()
        if boot_id is not None and boot_id != self._boot_id:
            if self._boot_id is not None:
                found = self._another_boot()
            self._boot_id = boot_id
        return found + self._take(record, raw)

    def _another_boot(self) -> tuple[OomKill, ...]:
        self._dead.clear()
        self._last_s = None
        return self._give_up()

    def _give_up(self) -> tuple[OomKill, ...]:
        found = tuple(k for draft in self._open.values() for k in self._given_up(draft))
        self._open, self._silence = {}, 0
        return found

    def _take(self, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        """Take a message of the kernel."""
        found: tuple[OomKill, ...] = ()
        if self._quiet and not _OPENER.search(record.text):
            return found
        if record.boot_s is not None:
            if self._last_s is not None and record.boot_s < self._last_s - MAX_AGE_S:
                found = self._another_boot()
            self._last_s = record.boot_s
        if self._open:
            found += self._age(record)
        killed = message.killed(record.text, record.escaped)
        if killed is not None:
            return found + self._kill(killed, record, raw)
        invoked = record.text.find(message.INVOKED, 0, 4 * message.TASK_COMM_LEN + 30)
        if invoked >= 0:
            self._begin(record, raw, invoked)
            return found
        choice = message.KILL.match(record.text)
        if choice is not None:
            return found + self._choose(choice, record, raw)
        self._body(record, raw)
        return found

    def _begin(self, record: Record, raw: bytes, invoked: int) -> None:
        """Open a report at its first line."""
        comm = record.text[:invoked]
        if record.escaped:
            comm = envelope.unescape(comm)
        if len(comm) >= 2 * message.TASK_COMM_LEN:
            return
        draft = Draft(headless=False, trigger=comm, last_s=record.boot_s)
        draft.take(record, raw)  # nodemask= and mems_allowed=
        draft.lines = [raw[:message.MAX_LINE]]
        self._silence = 0
        self._put(record.caller, draft)

    def _put(self, caller: bytes, draft: Draft) -> None:
        before = self._open.pop(caller, None)
        if before is not None and before.killed is None and not before.headless:
            self._left.append(before)
        while len(self._open) >= MAX_OPEN:
            self._open.pop(next(iter(self._open)))
        self._open[caller] = draft

    def _choose(self, choice: re.Match[bytes], record: Record,
                raw: bytes) -> tuple[OomKill, ...]:
        """Take "Kill process N (c) score S or sacrifice child"."""
        draft = self._open.get(record.caller)
        found: tuple[OomKill, ...] = ()
        if draft is None or draft.killed is not None or draft.choice is not None:
            if draft is not None:
                found = self._given_up(draft)
            draft = Draft()
            self._open[record.caller] = draft
        draft.keep(raw)
        draft.last_s = record.boot_s
        said, pid, comm, score = choice.groups()
        draft.choice = Choice(said, int(pid),
                              envelope.unescape(comm) if record.escaped else comm, int(score))
        draft.chosen_in = record
        return found

    def _kill(self, killed: Killed, record: Record, raw: bytes) -> tuple[OomKill, ...]:
        """Finish the report that this kill belongs to."""
        draft = self._of(killed, record)
        if killed.pid in draft.victims:
            self.repeated += 1  # still a member of the group that is killed
            return ()
        draft.victims.add(killed.pid)
        draft.keep(raw)
        self._dead.append((killed.pid, record.boot_s))
        self._silence = 0
        if draft.killed is not None:
            return (report.member(draft, draft.killed, killed, record),)
        draft.dead = self._dying(record) - {killed.pid}
        draft.killed = report.finish(draft, killed, record, self.source)
        self._put(record.caller, draft)
        return (draft.killed,)

    def _dying(self, record: Record) -> frozenset[int]:
        """Return the victims of the last minute; later their PIDs may be others'."""
        return frozenset(pid for pid, then_s in self._dead
                         if then_s is None or record.boot_s is None
                         or record.boot_s - then_s <= MAX_AGE_S)

    def _of(self, killed: Killed, record: Record) -> Draft:
        """Return the draft that a kill finishes: its caller's, or whichever names its PID."""
        own = self._open.get(record.caller)
        if own is not None and own.killed is not None:
            own = own if own.group is not None and self._soon(own, record) else None
            if own is not None:
                return own
        if record.caller or (own is not None and own.names(killed.pid)):
            return own if own is not None and own.may_kill(killed.pid) else Draft()
        named = [draft for draft in (*self._open.values(), *self._left)
                 if draft.killed is None and draft.names(killed.pid)]
        if named:
            self._left = deque((d for d in self._left if d is not named[-1]), MAX_OPEN)
            return named[-1]
        return own if own is not None and own.may_kill(killed.pid) else Draft()

    def _soon(self, draft: Draft, record: Record) -> bool:
        then_s = None if draft.killed is None else draft.killed.boot_time_s
        return then_s is None or record.boot_s is None or record.boot_s - then_s <= GROUP_S

    def _body(self, record: Record, raw: bytes) -> None:
        """Take any other line."""
        group = message.GROUP.match(record.text)
        draft = self._open.get(record.caller)
        if group is not None:
            if draft is not None:
                draft.group = group.group(1)
            return
        if message.NOT_KILLED.match(record.text):
            self._open.pop(record.caller, None)
            return
        if draft is not None and draft.killed is None:
            if draft.take(record, raw):
                self._silence = 0
            return
        opened = Draft()
        if opened.take(record, raw):
            self._silence = 0
            self._put(record.caller, opened)

    def _age(self, record: Record) -> tuple[OomKill, ...]:
        """Give up reports that will not be finished."""
        found: tuple[OomKill, ...] = ()
        for caller, draft in tuple(self._open.items()):
            late = (draft.last_s is not None and record.boot_s is not None
                    and record.boot_s - draft.last_s > MAX_AGE_S)
            if late:
                del self._open[caller]
                found += self._given_up(draft)
        return found

    def _given_up(self, draft: Draft) -> tuple[OomKill, ...]:
        """Return the kill that a choice alone lets infer: of a log that somebody grepped."""
        if draft.killed is not None or not draft.headless or draft.chosen_in is None:
            return ()
        kill = report.only_chosen(draft, draft.chosen_in, self.source)
        return () if kill is None else (kill,)
