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

"""Reading the kernel's messages live: /dev/kmsg, a journal, a file that rotates."""

import os
import select
import shutil
import threading
import time

from conftest import wait_for
from oom_sentinel.kernel import log
from oom_sentinel.kernel.log import Feed
from oom_sentinel.kernel.log import Kmsg
from oom_sentinel.kernel.log import LogFile
from oom_sentinel.kernel.log import Nothing
from oom_sentinel.kernel.log import Refused
from oom_sentinel.kernel.log.journal import Journal
import pytest

KILLED = b'Out of memory: Killed process 7 (x)'
JOURNALCTL = """#!/bin/sh
# Stands in for journalctl: one kernel message when asked, then what comes down the pipe.
echo "$@" >> {folder}/calls
[ -e {folder}/denied ] && exit 1
case "$*" in *-f*) echo $$ >> {folder}/pids; exec cat {folder}/pipe ;;
esac
echo '{{"MESSAGE": "Linux version"}}'
"""


@pytest.fixture
def journalctl(tmp_path):
    """Return the folder of a stand-in for journalctl."""
    program = tmp_path / 'journalctl'
    program.write_text(JOURNALCTL.format(folder=tmp_path))
    program.chmod(0o755)
    os.mkfifo(tmp_path / 'pipe')
    yield tmp_path


def readable(source):
    """Tell whether the source's descriptor has something to read."""
    return bool(select.select([source.descriptor], [], [], 0)[0])


def lines_of(source, count):
    """Return this many lines, waiting for them."""
    found = []
    wait_for(lambda: found.extend(source.read()) or len(found) >= count, f'{count} lines')
    return found


def test_kmsg_gives_the_past_and_then_what_is_written():
    """From the oldest record on, one line a record, without waiting."""
    try:
        source = Kmsg()
        writer = os.open('/dev/kmsg', os.O_WRONLY)
    except (Refused, OSError) as error:
        pytest.skip(f'/dev/kmsg is not ours: {error}')
    past = source.read()
    assert past and all(b'\n' not in line for line in past)
    mark = f'oom_sentinel test {time.monotonic_ns()}'.encode()
    try:
        os.write(writer, mark + b'\n')  # without its end a record is not yet readable
        wait_for(lambda: any(mark in line for line in source.read()), 'our own message')
    finally:
        os.close(writer)
        source.close()


def test_kmsg_counts_what_was_overwritten(tmp_path):
    """A gap in the sequence numbers is a number of missed messages."""
    path = tmp_path / 'kmsg'
    os.mkfifo(path)
    source = Kmsg(str(path))
    writer = os.open(path, os.O_WRONLY)
    try:
        for record in (b'6,10,1,-;first\n SUBSYSTEM=x\n', b'6,11,2,-;next\n',
                       b'6,20,3,-;after a gap\n'):
            os.write(writer, record)
            assert source.read() == [record.partition(b'\n')[0]]
    finally:
        os.close(writer)
        source.close()
    assert source.missed == 8


def test_a_kmsg_that_is_denied_says_what_opens_it(tmp_path):
    """CAP_SYSLOG, or the sysctl."""
    path = tmp_path / 'kmsg'
    path.touch(0o000)
    if os.geteuid() == 0:
        with pytest.raises(Refused, match='No such file'):
            Kmsg(str(tmp_path / 'none'))
        return
    with pytest.raises(Refused, match='dmesg_restrict=0 or CAP_SYSLOG'):
        Kmsg(str(path))


def test_the_journal_is_followed_and_journalctl_started_again(journalctl):
    """On the same descriptor; a line that a dead one left half written harms nobody."""
    source = Journal(str(journalctl / 'journalctl'))
    try:
        descriptor = source.descriptor
        with open(journalctl / 'pipe', 'wb', buffering=0) as pipe:
            pipe.write(b'{"a": 1}\n{"b": 2}\n{"half')
            assert lines_of(source, 2) == [b'{"a": 1}', b'{"b": 2}']
        wait_for(lambda: source._child.poll() is not None, 'the first one ends')
        source.tend(100.0)
        with open(journalctl / 'pipe', 'wb', buffering=0) as pipe:
            pipe.write(b'{"c": 3}\n')
            assert lines_of(source, 2) == [b'{"half', b'{"c": 3}']
        assert source.descriptor == descriptor
        wait_for(lambda: source._child.poll() is not None, 'the second one ends')
        source.tend(101.0)
        assert source._child.poll() is not None, 'not sooner than AGAIN_S'
    finally:
        source.close()
    assert b'-n 2000' in (journalctl / 'calls').read_bytes()
    assert b'-n 0' in (journalctl / 'calls').read_bytes()


def test_a_journalctl_that_died_with_a_full_pipe_is_started_again_when_it_is_read(journalctl):
    """To end its half line would wait for room for ever: no status would come any more."""
    source = Journal(str(journalctl / 'journalctl'))
    try:
        with open(journalctl / 'pipe', 'wb', buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            wait_for(lambda: pipe.write(b'{"a": 1}\n' * 1000) is None and full(source),
                     'journalctl waits for room')
            source._child.kill()
            source._child.wait()
        source.tend(100.0)
        assert len((journalctl / 'pids').read_bytes().split()) == 1, 'not before it is read'
        assert len(source.read()) > 1000
        source.tend(100.1)
        wait_for(lambda: len((journalctl / 'pids').read_bytes().split()) == 2, 'the next one')
    finally:
        source.close()


def full(source):
    """Return whether nobody can write into the source's pipe without waiting."""
    return not select.select([], [source._writer], [], 0)[1]


def test_journalctl_is_ended_with_the_source(journalctl):
    """No program of ours stays behind."""
    source = Journal(str(journalctl / 'journalctl'))
    child = source._child
    assert child.poll() is None
    source.close()
    assert child.poll() is not None


def test_a_journal_without_kernel_messages_names_the_group(journalctl):
    """It is refused before anything is followed."""
    (journalctl / 'denied').touch()
    with pytest.raises(Refused, match='systemd-journal or adm'):
        Journal(str(journalctl / 'journalctl'))


@pytest.mark.parametrize('how', ['rename', 'truncate'])
def test_a_log_file_is_followed_through_rotation(tmp_path, how):
    """Lines of before, between and after come once each; the past of the file does not."""
    path = tmp_path / 'kern.log'
    path.write_bytes(b'long ago\n')
    source = LogFile(str(path))
    try:
        assert not readable(source) and source.read() == []
        with open(path, 'ab') as file:
            file.write(b'one\ntw')
        wait_for(lambda: readable(source), 'inotify tells')
        assert source.read() == [b'one']
        with open(path, 'ab') as file:
            file.write(b'o\n')
        assert lines_of(source, 1) == [b'two']
        if how == 'rename':
            os.rename(path, tmp_path / 'kern.log.1')
            with open(tmp_path / 'kern.log.1', 'ab') as file:
                file.write(b'three\n')
            assert source.read() == [b'three']
        else:
            os.truncate(path, 0)
            assert source.read() == []
        with open(path, 'ab') as file:
            file.write(b'four\n')
        wait_for(lambda: readable(source), 'inotify tells of the new file')
        assert lines_of(source, 1) == [b'four']
        with open(path, 'ab') as file:
            file.write(b'five\n')
        wait_for(lambda: readable(source), 'and of what comes to it')
        assert lines_of(source, 1) == [b'five']
        opened = {n for n in map(int, os.listdir('/proc/self/fd'))
                  if os.path.exists(f'/proc/self/fd/{n}')
                  and os.readlink(f'/proc/self/fd/{n}').startswith(f'{path}')}
        assert opened == {source._file}, 'the file of before is closed'
    finally:
        source.close()


def test_a_log_file_that_is_no_file_is_refused(tmp_path):
    """A missing one is no matter of permission, a folder neither."""
    with pytest.raises(Refused) as missing:
        LogFile(str(tmp_path / 'none'))
    assert str(missing.value) == ''
    with pytest.raises(Refused):
        LogFile(str(tmp_path))


def test_a_feed_wakes_for_kills_alone_and_keeps_every_line(tmp_path):
    """What a thread drained is there for the cycle; a chatty log wakes nobody."""
    path = tmp_path / 'kern.log'
    path.touch()
    feed = Feed(LogFile(str(path)))
    with open(path, 'ab') as file:
        file.write(b'usb 1-1: new device\n')
    assert feed.drain() is False
    with open(path, 'ab') as file:
        file.write(KILLED + b'\n')
    assert feed.drain() is True and feed.drain() is False
    assert list(feed.take()) == [b'usb 1-1: new device', KILLED] and not list(feed.take())
    feed.close()
    assert feed.drain() is False and not list(feed.take())


class Portions:
    """A source with three readings, as the kernel's buffer has many."""

    name, descriptor, missed = 'kmsg', 0, 0

    def __init__(self):
        """Hold all of them."""
        self.left = [[b'one', b'two'], [b'three'], [KILLED]]

    def read(self):
        """Return the next reading."""
        return self.left.pop(0) if self.left else []


def test_the_rest_of_the_kernels_buffer_is_more_than_one_reading(tmp_path, monkeypatch):
    """A reading holds some of the records alone."""
    monkeypatch.setattr(log.kmsg, 'RECORD_BYTES', 16)
    (tmp_path / 'kmsg').write_bytes(b''.join(b'6,%04d,1,-;text\n' % n for n in range(600)))
    source = Kmsg(str(tmp_path / 'kmsg'))
    assert len(source.read()) == log.kmsg.READS_MAX
    assert [line[2:6] for line in source.rest()][-1] == b'0599'
    assert list(source.rest()) == []
    source.close()


def test_a_feed_reads_on_when_the_reading_before_is_taken():
    """A large buffer of the kernel is never in memory as a whole."""
    feed = Feed(Portions())
    lines = feed.take()
    assert [next(lines), next(lines), len(feed.source.left)] == [b'one', b'two', 2]
    assert list(lines) == [b'three', KILLED] and not list(feed.take())


def test_a_feed_that_can_be_read_again_has_no_trouble(monkeypatch):
    """An error of the disk that is over is shown no longer."""
    feed = Feed(Portions())

    def fail():
        raise OSError(5, 'Input/output error')
    with monkeypatch.context() as broken:
        broken.setattr(feed.source, 'read', fail)
        assert not list(feed.take()) and feed.trouble == 'kmsg: Input/output error'
    assert list(feed.take()) and feed.trouble is None


def test_what_came_is_kept_when_the_folder_cannot_be_looked_into(tmp_path, monkeypatch):
    """Whether the log was rotated is then not known, but its lines are there."""
    path = tmp_path / 'kern.log'
    path.touch()
    source = LogFile(str(path))
    path.write_bytes(KILLED + b'\n')

    def fail(_path):
        raise PermissionError(13, 'Permission denied')
    with monkeypatch.context() as closed:
        closed.setattr(log.logfile.os, 'stat', fail)
        assert source.read() == [KILLED]
    source.close()


def test_a_kill_in_the_last_reading_wakes():
    """All that waits is looked through, and kept."""
    feed = Feed(Portions())
    assert feed.drain() is True
    assert list(feed.take()) == [b'one', b'two', b'three', KILLED]


def test_a_feed_can_be_closed_while_a_thread_drains(tmp_path):
    """The thread finds nothing to read, and never a descriptor that is someone else's."""
    path = tmp_path / 'kern.log'
    path.touch()
    feed, errors, stop = Feed(LogFile(str(path))), [], threading.Event()

    def drain():
        while not stop.is_set():
            try:
                feed.drain()
            except Exception as error:
                errors.append(error)
                return
    thread = threading.Thread(target=drain)
    thread.start()
    feed.close()
    stop.set()
    thread.join(10)
    assert not thread.is_alive() and errors == [] and feed.trouble is None


def test_the_best_source_is_taken_and_the_others_say_why(monkeypatch, tmp_path):
    """Without any there is nothing to read and every reason is told."""
    monkeypatch.setattr(log, 'Kmsg', lambda: Kmsg(str(tmp_path / 'kmsg')))
    monkeypatch.setattr(log, 'open_journal', lambda: Journal(str(tmp_path / 'journalctl')))
    monkeypatch.setattr(log, 'LOG_FILES', (str(tmp_path / 'kern.log'),))
    found, why = log.best()
    assert isinstance(found, Nothing) and found.name == 'counters'
    assert len(why) == 1 and 'kmsg' in why[0]
    (tmp_path / 'kern.log').touch()
    found, why = log.best()
    assert isinstance(found, LogFile) and len(why) == 1
    found.close()


def test_the_real_journalctl_is_followed_or_refuses():
    """Where there is one: it gives lines, or says which group would."""
    if shutil.which('journalctl') is None:
        pytest.skip('there is no journalctl here')
    try:
        source = Journal()
    except Refused as error:
        assert 'systemd-journal' in str(error)
        return
    try:
        assert lines_of(source, 1)[0].startswith(b'{')
    finally:
        source.close()
