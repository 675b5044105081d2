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

"""Kills by earlyoom and its like are told live, in their own words."""

import json

from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.kernel import log
from oom_sentinel.kills import userspace_log
from oom_sentinel.kills.userspace_log import UserspaceLog
from oom_sentinel.report import kills as report
import pytest

TERMED = ('sending SIGTERM to process 4711 uid 1000 "recorder": badness 812, VmRSS 2000 MiB')
OPENED = []


class Journal:
    """A journal that the test writes."""

    def __init__(self, units=()):
        """Note which units are followed."""
        self.name = 'journal'
        self.units, self.lines, self.closed = units, [], False
        OPENED.append(self)

    def write(self, message, name='earlyoom', unit='earlyoom.service'):
        """Write an entry as journald does."""
        self.lines.append(json.dumps({
            'MESSAGE': message, 'SYSLOG_IDENTIFIER': name, '_SYSTEMD_UNIT': unit,
            '_TRANSPORT': 'stdout', '__REALTIME_TIMESTAMP': '5000000'}).encode())

    def read(self):
        """Return what was written."""
        lines, self.lines = self.lines, []
        return lines

    def tend(self, now_s):
        """Do nothing."""

    def close(self):
        """Note the end."""
        self.closed = True


@pytest.fixture
def journal(monkeypatch):
    """Return the journals that were opened."""
    OPENED.clear()
    monkeypatch.setattr(userspace_log.log, 'open_journal', Journal)
    monkeypatch.setattr(userspace_log, 'FILES', ())
    monkeypatch.setattr(userspace_log, 'OWN_FILES', {})
    return OPENED


def test_a_kill_by_earlyoom_is_told_with_its_victim(journal):
    """Once no further line can add to it."""
    followed = UserspaceLog()
    assert followed.read(('earlyoom',), 0.0, 9.0) == []
    assert journal[0].units == ('earlyoom.service',)
    journal[0].write(TERMED)
    found = followed.read(('earlyoom',), 1.0, 9.0) + followed.read(('earlyoom',), 4.0, 9.0)
    (kill,) = found
    assert (kill.program, kill.victim_pid, kill.victim_comm) == ('earlyoom', 4711, 'recorder')
    said = report.one(SeenKill(kill, 0.0)).message
    assert said.startswith('recorder ended by earlyoom: earlyoom sent SIGTERM')
    assert followed.read(('earlyoom',), 9.0, 9.0) == []


def test_a_line_of_another_unit_is_no_kill(journal):
    """Any program may call itself earlyoom."""
    followed = UserspaceLog()
    followed.read(('earlyoom',), 0.0, 9.0)
    journal[0].write(TERMED, unit='evil.service')
    assert followed.read(('earlyoom',), 1.0, 9.0) + followed.read(('earlyoom',), 9.0, 9.0) == []


def test_a_log_that_cannot_be_read_shows_none(journal, monkeypatch):
    """The kernel's kills of the same cycle are told all the same, and it is read again."""
    followed = UserspaceLog()
    followed.read(('earlyoom',), 0.0, 9.0)

    def fail():
        raise OSError(5, 'Input/output error')
    with monkeypatch.context() as broken:
        broken.setattr(journal[0], 'read', fail)
        assert followed.read(('earlyoom',), 1.0, 9.0) == []
    journal[0].write(TERMED)
    assert followed.read(('earlyoom',), 2.0, 9.0) + followed.read(('earlyoom',), 5.0, 9.0)


def test_a_burst_of_lines_is_read_on_in_the_next_cycles(journal):
    """So that a kill behind a thousand other lines is told too."""
    followed = UserspaceLog()
    followed.read(('earlyoom',), 0.0, 9.0)
    for _ in range(2 * userspace_log.LINES_MAX):
        journal[0].write('mem avail: 900 of 2000 MiB')
    journal[0].write(TERMED)
    found = [kill for at in range(1, 9) for kill in followed.read(('earlyoom',), float(at), 9.0)]
    assert [kill.victim_pid for kill in found] == [4711]


def test_nothing_is_followed_while_none_of_them_runs(journal, monkeypatch):
    """And what was followed is closed; a journal that cannot be read shows nothing."""
    followed = UserspaceLog()
    followed.read((), 0.0, 9.0)
    assert journal == []
    followed.read(('nohang',), 1.0, 9.0)
    followed.read((), 2.0, 9.0)
    assert journal[0].closed

    def refuse(units):
        raise log.Refused('no')
    monkeypatch.setattr(userspace_log.log, 'open_journal', refuse)
    assert followed.read(('earlyoom',), 3.0, 9.0) == []


@pytest.mark.parametrize('line, program', [
    (f'Nov 26 08:30:48 robot earlyoom[9]: {TERMED}', 'earlyoom'),
    ('Nov 26 08:30:48 robot nohang[9]:   PID: 4711, Name: recorder, badness: 800\n'
     'Nov 26 08:30:48 robot nohang[9]:   Sending SIGTERM to the victim', 'nohang')])
def test_without_a_journal_a_file_is_followed(journal, monkeypatch, tmp_path, line, program):
    """Also their own log file; a kill that stands in two logs is told once."""
    syslog, own = tmp_path / 'syslog', tmp_path / 'nohang.log'
    syslog.write_text('old\n')
    own.write_text('')
    monkeypatch.setattr(userspace_log, 'FILES', (str(tmp_path / 'none'), str(syslog)))
    monkeypatch.setattr(userspace_log, 'OWN_FILES', {'nohang': str(own)})
    followed = UserspaceLog()
    followed.read((program,), 0.0, 9.0)
    with syslog.open('a') as log, own.open('a') as its:
        log.write(f'{line}\n')
        its.write(f'{line}\n')
    (kill,) = followed.read((program,), 1.0, 9.0) + followed.read((program,), 4.0, 9.0)
    assert (kill.program, kill.victim_pid, kill.source) == (program, 4711, str(syslog))
    followed.close()


def test_where_the_journal_speaks_no_file_is_believed(journal, monkeypatch, tmp_path):
    """And never a program that does not run."""
    syslog = tmp_path / 'syslog'
    syslog.write_text('')
    monkeypatch.setattr(userspace_log, 'FILES', (str(syslog),))
    for said, programs in ('mem avail: 9 of 9', ('earlyoom',)), (None, ('nohang',)):
        followed = UserspaceLog()
        followed.read(programs, 0.0, 9.0)
        if said is not None:
            OPENED[-1].write(said)
        with syslog.open('a') as log:
            log.write(f'Nov 26 08:30:48 robot earlyoom[9]: {TERMED}\n')
        assert followed.read(programs, 1.0, 9.0) + followed.read(programs, 9.0, 9.0) == []
        followed.close()
