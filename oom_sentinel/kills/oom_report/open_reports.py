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
The reports that are being read, and which kill belongs to which of them.

Reports of several callers (CONFIG_PRINTK_CALLER) may be interleaved.  A report explains one
kill, or one control group's; one that is older than MAX_AGE_S explains none.
"""

from collections import deque

from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import report
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Choice
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.message import Reaped
from oom_sentinel.kills.oom_report.record import Record

MAX_OPEN = 4
MAX_DEAD = 64
MAX_REPLAYS = 4096
MAX_AGE_S = 60.0
# The members of a group are killed under the same lock, right after the victim.
GROUP_S = 5.0


def seconds_between(earlier: Record | None, later: Record) -> float | None:
    """Return the seconds from one record to the other by the clock that both have, or None."""
    if earlier is None:
        return None
    if earlier.boot_s is not None and later.boot_s is not None:
        return later.boot_s - earlier.boot_s
    if earlier.wall_s is not None and later.wall_s is not None:
        return later.wall_s - earlier.wall_s
    return None


class OpenReports:
    """Holds drafts by caller, those that newer ones displaced, and the last victims."""

    def __init__(self, source: str | None) -> None:
        """Begin a log, which may begin inside a report."""
        self._source = source
        self._open: dict[bytes, Draft] = {b'': Draft()}
        self._left: deque[Draft] = deque(maxlen=MAX_OPEN)
        self._dead: deque[tuple[Killed, Record]] = deque(maxlen=MAX_DEAD)
        self._replays: dict[tuple[object, ...], None] = {}
        self.boot_id: bytes | None = None
        self.repeated = 0  # deaths that the kernel told, and counted, a second time
        self.without_victim: list[int] = []  # lines of reports that came to nothing

    @property
    def quiet(self) -> bool:
        """Return whether no report waits for lines."""
        # Asked several times a line: a list is faster here than all().
        return not [1 for draft in self._open.values() if draft.killed is None]

    @property
    def empty(self) -> bool:
        """Return whether no report is open at all."""
        return not self._open

    def of_caller(self, caller: bytes) -> Draft | None:
        """Return the open report of a caller."""
        return self._open.get(caller)

    def drop(self, caller: bytes) -> None:
        """Forget a report whose end says that nobody was killed."""
        self._open.pop(caller, None)

    def forget_victims(self) -> None:
        """Forget the victims of another boot: their PIDs mean nothing now."""
        self._dead.clear()

    def put(self, caller: bytes, draft: Draft) -> None:
        """Open a report; that of the same caller before it may still be finished."""
        before = self._open.pop(caller, None)
        if before is not None and before.killed is None and (
                not before.headless or before.choice is not None or before.summary):
            if len(self._left) == MAX_OPEN:
                self._left.popleft()
            self._left.append(before)
        while len(self._open) >= MAX_OPEN:
            self._open.pop(next(iter(self._open)))
        self._open[caller] = draft

    def choose(self, choice: Choice, record: Record, raw: bytes,
               line: int) -> tuple[OomKill, ...]:
        """Take "Kill process N (c) score S or sacrifice child"."""
        draft = self._open.get(record.caller)
        found: tuple[OomKill, ...] = ()
        if draft is None or draft.killed is not None or draft.choice is not None:
            if draft is not None:
                found = self._given_up(draft)
            draft = Draft()
            self._open[record.caller] = draft
        draft.keep(raw)
        draft.last, draft.line = record, line
        draft.choice = choice
        return found

    def kill(self, killed: Killed, record: Record, raw: bytes,
             line: int) -> tuple[OomKill, ...]:
        """Finish the report that this kill belongs to."""
        if self._is_replay(killed, record):
            return ()
        if self._is_repeated(killed, record):
            self.repeated += 1  # still a member of the group that is killed
            return ()
        draft = self._of(killed, record)
        if killed.pid in draft.victims:
            self.repeated += 1
            return ()
        draft.victims.add(killed.pid)
        draft.keep(raw)
        draft.line = line
        dying = self._dying(record)
        self._dead.append((killed, record))
        if draft.killed is not None:
            return (report.member(draft, draft.killed, killed, record),)
        draft.dead = dying - {killed.pid}
        draft.killed = report.finish(draft, killed, record, self._source)
        self.put(record.caller, draft)
        return (draft.killed,)

    def _is_replay(self, killed: Killed, record: Record) -> bool:
        """Return whether this very record was read before: WSL2 logs its buffer again."""
        if record.boot_s is None:
            return False
        key = (self.boot_id, record.boot_s, killed.pid, killed.comm, killed.total_vm_bytes)
        if key in self._replays:
            return True
        if len(self._replays) >= MAX_REPLAYS:
            del self._replays[next(iter(self._replays))]
        self._replays[key] = None
        return False

    def _is_repeated(self, killed: Killed, record: Record) -> bool:
        """
        Return whether the kernel reports a death again, as it does in memory.oom.group.

        Where there is no time, the same sizes decide.
        """
        for known, then in self._dead:
            if (known.pid, known.comm) != (killed.pid, killed.comm):
                continue
            past_s = seconds_between(then, record)
            if past_s is None:
                if killed.total_vm_bytes is not None and known.sizes == killed.sizes \
                        and known.total_vm_bytes == killed.total_vm_bytes:
                    return True
            elif 0 <= past_s <= GROUP_S:
                return True
        return False

    def _dying(self, record: Record) -> frozenset[int]:
        """Return the victims of the last minute; later their PIDs may be others'."""
        return frozenset(
            known.pid for known, then in self._dead
            if (past_s := seconds_between(then, record)) is None or past_s <= MAX_AGE_S)

    def reap(self, reaped: Reaped, record: Record, raw: bytes, line: int) -> OomKill | None:
        """Return the kill that only its "oom_reaper:" line shows, None when it is known."""
        if reaped.pid in self._dying(record) or any(
                draft.chooses(reaped.pid) for draft in (*self._open.values(), *self._left)):
            return None
        self.spare(reaped.pid, record)
        return report.only_reaped(reaped, record, self._source, line, raw)

    def spare(self, pid: int, record: Record) -> None:
        """Remember a process that dies without a further kill: its reaper's line is none."""
        self._dead.append((Killed(None, pid, None, None, None, None, {}, None, None), record))

    def _of(self, killed: Killed, record: Record) -> Draft:
        """Return the draft that a kill finishes: its caller's, or the one that names its PID."""
        own = self._open.get(record.caller)
        if own is not None and own.killed is not None:
            own = own if own.group is not None and self._soon(own, record) else None
            if own is not None:
                return own
        fits = own is not None and own.may_kill(killed.pid, killed.message)
        if own is not None and (record.caller or own.names(killed.pid)):
            return own if fits else Draft()
        named = [draft for draft in (*self._open.values(), *self._left)
                 if draft.killed is None and draft.names(killed.pid)
                 and draft.may_kill(killed.pid, killed.message)]
        if named:
            self._left = deque((d for d in self._left if d is not named[-1]), MAX_OPEN)
            return named[-1]
        return own if own is not None and fits and not record.caller else Draft()

    def _soon(self, draft: Draft, record: Record) -> bool:
        past_s = seconds_between(draft.last, record)
        return past_s is None or past_s <= GROUP_S

    def age(self, record: Record) -> tuple[OomKill, ...]:
        """Give up reports that will not be finished."""
        found: tuple[OomKill, ...] = ()
        for caller, draft in tuple(self._open.items()):
            past_s = seconds_between(draft.last, record)
            if past_s is not None and past_s > MAX_AGE_S:
                del self._open[caller]
                found += self._given_up(draft)
        return found

    def give_up(self, left: bool = False) -> tuple[OomKill, ...]:
        """Give up all open reports, at the end of the log those `left` too."""
        drafts = [*(self._left if left else ()), *self._open.values()]
        self._open = {}
        if left:
            self._left.clear()
        return tuple(kill for draft in drafts for kill in self._given_up(draft))

    def _given_up(self, draft: Draft) -> tuple[OomKill, ...]:
        """Return the kill that the choice or the summary alone lets infer."""
        if draft.killed is not None:
            return ()
        kill = None if draft.last is None else report.inferred(draft, draft.last, self._source)
        if kill is not None:
            return (kill,)
        if not draft.headless or draft.summary:
            self.without_victim.append(draft.line)
        return ()
