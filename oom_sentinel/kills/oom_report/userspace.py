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
Kills by programs: systemd-oomd, earlyoom, nohang, Android's lmkd, each in its own words.

Sources: systemd's oomd-manager.c and unit.c, earlyoom's kill.c, nohang's main script, AOSP's
lmkd.cpp and the lowmemorykiller driver.  The kernel logs none of these.
"""

from dataclasses import dataclass
from dataclasses import replace
import re

from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import THE_KILLER_SAID_SO
from oom_sentinel.kills.oom_report.message import text as decoded
from oom_sentinel.kills.oom_report.record import Record
from oom_sentinel.kills.oom_report.record import unescape

# Two lines tell of one kill when no more than this lies between them: oomd and the unit's
# manager, or earlyoom's SIGTERM and the SIGKILL that follows it.
SAME_S = 30.0
_OOMD = re.compile(rb'(?:systemd-oomd(?:\[\d{1,10}\])?: )?(?:Killed|Marked) (/?[^\s]{1,1000}) '
                   rb'(?:for killing )?due to (.{1,400})')
_UNIT = re.compile(rb'(?:systemd(?:\[\d{1,10}\])?: )?(\S{1,400}): systemd-oomd killed '
                   rb'(?:(\d{1,7})|some) process')
_TAG = rb'(?:earlyoom(?:\[\d{1,10}\])?: )?'
# One for each wording: since 1.3, 1.2, 1.1 (and before 1.3 was released), and 1.0.
_EARLYOOM = tuple(re.compile(_TAG + wording) for wording in (
    rb'sending (?P<signal>SIG[A-Z]{3,4}) to process (?P<pid>\d{1,10}) '
    rb'(?:uid (?P<uid>\d{1,10}) )?"(?P<name>.{0,64}?)": (?P<rest>.{0,400})',
    rb'killing process (?P<pid>\d{1,10}) "(?P<name>.{0,64}?)" with (?P<signal>signal \d{1,2}): '
    rb'(?P<rest>badness.{0,200})',
    rb"Killing process '(?P<name>.{1,64}?)' with (?P<signal>signal \d{1,2}), "
    rb'pid: (?P<pid>\d{1,10}), (?P<rest>badness.{0,200})',
    rb'Killing process: ?(?P<name>.{1,64}?), pid: (?P<pid>\d{1,10}), (?P<rest>badness.{0,200})'))
_FIRST_EARLYOOM = re.compile(rb'Killing process (?P<pid>\d{1,10}) (?P<name>[^"\'].{0,63})$')
_ADJ = re.compile(rb'oom_score_adj (-?\d{1,4})')
_NOHANG_VICTIM = re.compile(
    rb'\s*(?:PID: {1,8}(?P<pid>\d{1,10})(?:, [Nn]ame: (?P<name>.{1,40}?), badness.{0,40})?$|'
    rb'New victim is cached victim (?P<cached>\d{1,10}) \((?P<its>.{1,40})\)|'
    rb'Victim is (?P<first>.{1,40}?), pid: (?P<number>\d{1,10}), badness)')
_NOHANG = re.compile(rb'\s*(?:Implement(?:ing)? a corrective action: {0,4})?'
                     rb'Send(?:ing)? (SIG[A-Z]{3,4}) to the victim')
_NOHANG_NAME = re.compile(rb'\s*Name: {1,8}(.{1,40})$')
_LMKD = re.compile(rb"(?:lowmemorykiller: )?Kill(?:ing)? '(.{1,200}?)' \((\d{1,10})\)"
                   rb'(?: \(tgid \d{1,10}\))?,(?: uid (\d{1,10}),)? '
                   rb'(?:oom_)?(?:score_)?adj (-?\d{1,4})(.{0,400})')
_SPEAKERS = {b'systemd-oomd': 'systemd-oomd', b'systemd': 'systemd-oomd', b'earlyoom': 'earlyoom',
             b'nohang': 'nohang', b'nohang-desktop': 'nohang', b'lmkd': 'lmkd',
             b'lowmemorykiller': 'lmkd'}


@dataclass(slots=True)
class Userspace:
    """Puts the lines of these programs together; a kill is returned once no line can add."""

    source: str | None = None
    _held: OomKill | None = None
    _nohang_pid: int | None = None
    _nohang_name: bytes | None = None

    def take(self, record: Record, line: int, raw: bytes) -> tuple[OomKill, ...]:
        """Take a message of any program; return kills that are told to the end."""
        kill = self._read(record)
        if kill is None:
            return ()
        kill = replace(kill, kind=Killer.USERSPACE, certainty=THE_KILLER_SAID_SO, line=line,
                       time=record.wall_s, source=self.source,
                       lines=(raw.decode('utf-8', 'backslashreplace'),))
        held, self._held = self._held, kill
        if held is None:
            return ()
        both = _merged(held, kill)
        if both is None:
            return (held,)
        self._held = both
        return ()

    def flush(self) -> tuple[OomKill, ...]:
        """Return what was held back for a line that did not come."""
        held, self._held = self._held, None
        return () if held is None else (held,)

    def _read(self, record: Record) -> OomKill | None:
        program = _SPEAKERS.get(record.speaker)
        if record.speaker and program is None:
            return None
        return _oomd(record.text) or _earlyoom(record.text, program) or (
            self._nohang(record.text) if program in (None, 'nohang') else None) or (
            _lmkd(record.text))

    def _nohang(self, text: bytes) -> OomKill | None:
        """Take nohang's lines: the victim is named before the signal."""
        m = _NOHANG.match(text)
        if m is not None:
            pid, name = self._nohang_pid, self._nohang_name
            return OomKill(program='nohang', victim_pid=pid,
                           victim_comm=None if name is None else decoded(name), processes=1,
                           cause=f'nohang sent {decoded(m.group(1))} to it')
        m = _NOHANG_VICTIM.match(text)
        if m is not None:
            self._nohang_pid = int(m['pid'] or m['cached'] or m['number'])
            self._nohang_name = m['name'] or m['its'] or m['first'] or self._nohang_name
        elif (m := _NOHANG_NAME.match(text)) is not None:
            self._nohang_name = m.group(1).strip()
        return None


def _oomd(text: bytes) -> OomKill | None:
    m = _OOMD.match(text)
    if m is not None:
        return OomKill(program='systemd-oomd', task_memcg=decoded(m.group(1)),
                       cause=f'systemd-oomd killed it due to {decoded(m.group(2))}')
    m = _UNIT.match(text)
    if m is None:
        return None
    return OomKill(program='systemd-oomd', task_memcg=decoded(m.group(1)),
                   processes=int(m.group(2)) if m.group(2) else None,
                   cause='systemd-oomd killed it')


def _earlyoom(text: bytes, program: str | None) -> OomKill | None:
    m = next((m for wording in _EARLYOOM if (m := wording.match(text)) is not None), None)
    if m is None:
        # Other programs say this too.
        m = _FIRST_EARLYOOM.match(text) if program == 'earlyoom' else None
        return None if m is None else OomKill(
            program='earlyoom', victim_pid=int(m['pid']), victim_comm=decoded(m['name']),
            processes=1, cause='earlyoom killed it')
    said = m.groupdict()
    signal, uid, adj = said.get('signal'), said.get('uid'), _ADJ.search(m['rest'])
    sent = 'killed it' if signal is None else f'sent {decoded(signal)} to it'
    return OomKill(program='earlyoom', victim_pid=int(m['pid']), victim_comm=decoded(m['name']),
                   victim_uid=int(uid) if uid else None, processes=1,
                   cause=f'earlyoom {sent} ({decoded(m["rest"]).strip()})',
                   oom_score_adj=int(adj.group(1)) if adj else None)


def _lmkd(text: bytes) -> OomKill | None:
    m = _LMKD.match(text)
    if m is None:
        return None
    name, pid, uid, adj, rest = m.groups()
    rest = unescape(rest).partition(b'\n')[0].rstrip(b', ')
    return OomKill(program='lmkd', victim_pid=int(pid), victim_comm=decoded(name),
                   victim_uid=int(uid) if uid else None, oom_score_adj=int(adj), processes=1,
                   cause=f'the low memory killer killed it{decoded(rest)}')


def _merged(one: OomKill, other: OomKill) -> OomKill | None:
    """Return both lines as one kill, None when they are about two."""
    if one.program != other.program or (
            one.time is not None and other.time is not None
            and abs(one.time - other.time) > SAME_S):
        return None
    if one.program == 'systemd-oomd':
        mine, yours = one.task_memcg or '', other.task_memcg or ''
        if mine.rpartition('/')[2] != yours.rpartition('/')[2] or mine == yours:
            return None
        full, short = (one, other) if mine.startswith('/') else (other, one)
        return replace(full, processes=full.processes or short.processes,
                       lines=one.lines + other.lines)
    if one.victim_pid is None or one.victim_pid != other.victim_pid:
        return None
    return replace(one, cause=other.cause, lines=one.lines + other.lines)
