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

"""Who began a program: told by the real kernel, or noticed by the last PID."""

import errno
import select
import struct
import subprocess
import sys
import threading
import time

from conftest import wait_for
from oom_sentinel.kernel.wake import execs
from oom_sentinel.kernel.wake import NEW_PROGRAMS
from oom_sentinel.kernel.wake import new_programs
from oom_sentinel.kernel.wake import NewPrograms
from oom_sentinel.kernel.wake import Watch
import pytest


class Pids(new_programs.LastPid):
    """PIDs that were given last, one after the other; the last of them goes on."""

    def __init__(self, *pids):
        """Take them."""
        self.pids, self.closed = list(pids), False

    def __call__(self):
        """Return the next one."""
        return self.pids.pop(0) if len(self.pids) > 1 else self.pids[0]

    def close(self):
        """Keep that it was closed."""
        self.closed = True


@pytest.fixture
def told():
    """Return the exec events of this kernel, or skip where it does not tell."""
    try:
        made = execs.ExecEvents()
    except OSError as error:
        pytest.skip(f'the kernel tells no execs here: {error.strerror}')
    yield made
    made.close()


@pytest.fixture
def watch():
    """Return a running watch."""
    made = Watch()
    made.start(lambda: None)
    yield made
    made.close()


def readable(told, timeout_s=10):
    """Tell whether something was told."""
    return bool(select.select([told.fileno()], [], [], timeout_s)[0])


def test_an_exec_is_told_with_its_pid(told):
    """Among those of everybody else on this machine."""
    child = subprocess.Popen(['sleep', '30'])
    try:
        seen = set()
        wait_for(lambda: readable(told) and told.read(0) and (
            seen.update(told.taken()) or child.pid in seen), 'the exec is told')
    finally:
        child.kill()
        child.wait()


def test_a_program_that_has_ended_wakes_nobody(told, monkeypatch):
    """Its event is read at the end of the rest, when most of what a shell starts is gone."""
    began = set()
    monkeypatch.setattr(execs, '_lives', began.add)
    child = subprocess.Popen(['sleep', '30'])
    try:
        wait_for(lambda: readable(told) and not told.read(0) and child.pid in began, 'its exec')
        assert child.pid not in told.taken()
    finally:
        child.kill()
        child.wait()
    monkeypatch.undo()
    assert not execs._lives(child.pid)


def test_threads_and_forks_are_not_told(told):
    """The socket's filter drops them before anybody wakes."""
    code = ('import os, sys, threading\nsys.stdin.read(1)\n'
            '[threading.Thread(target=int).start() for _ in range(50)]\n'
            '[os.waitpid(p, 0) if p else os._exit(0) for p in [os.fork() for _ in "x"]]\n')
    child = subprocess.Popen([sys.executable, '-I', '-S', '-c', code], stdin=subprocess.PIPE)
    wait_for(lambda: readable(told) and told.read(0) and child.pid in told.taken(), 'its exec')
    time.sleep(0.3)  # a launcher may execute once more
    told.read(0)
    told.taken()
    child.communicate(b'x')
    told.read(0)
    assert child.pid not in told.taken()


@pytest.mark.parametrize('number', [errno.EPERM, errno.ECONNREFUSED])
def test_a_refusal_leaves_no_descriptor_and_falls_back(watch, monkeypatch, number):
    """Then the PID given last is compared, fewer than two times a second."""
    def refuse(self, operation):
        raise OSError(number, 'refused')
    monkeypatch.setattr(execs.ExecEvents, '_ask', refuse)
    pids = Pids(b'7', b'7', b'8')
    programs = NewPrograms(watch, pids)
    assert not programs.reported and programs.why == 'refused'
    wake, = wait_for(watch.taken, 'the new PID is noticed')
    assert wake.name == NEW_PROGRAMS and programs.taken() == frozenset()
    programs.close()


class Glances:
    """Keeps what a watch is asked to look at."""

    def __init__(self):
        """Start without."""
        self.asked = []

    def glance(self, period_s, name, look):
        """Keep period and look."""
        self.asked.append((period_s, look))

    def never(self, name):
        """Keep that it ended."""
        self.asked.append(name)


def test_without_exec_events_a_fork_is_looked_at_twice():
    """At first it still runs what its parent runs, a moment later its own program."""
    watch, pids = Glances(), Pids(b'7', b'7', b'8')
    programs = NewPrograms(watch, pids, ask_kernel=False)
    (_, look), = watch.asked
    assert [look() for _ in range(4)] == [False, True, True, False]
    programs.close()
    assert watch.asked[-1] == NEW_PROGRAMS and pids.closed


def test_the_last_pid_is_compared_quickly_while_values_depend_on_it():
    """Within 0.1 s; the period is changed only where it is another one."""
    watch = Glances()
    programs = NewPrograms(watch, Pids(b'7'), ask_kernel=False)
    for quick in (True, True, False, False, True):
        programs.hurry(quick)
    periods = [period_s for period_s, _ in watch.asked]
    quick, slow = new_programs.QUICK_PERIOD_S, new_programs.SLOW_PERIOD_S
    assert periods == [slow, quick, slow, quick]
    assert quick < 0.1


def test_the_pid_given_last_is_read_from_an_open_file():
    """A fork changes it."""
    last_pid = new_programs.LastPid()
    before = last_pid()
    subprocess.run(['true'], check=True)
    assert before.strip().isdigit() and last_pid() != before
    last_pid.close()


def test_nobody_answers_in_another_pid_namespace(monkeypatch):
    """The kernel ignores the question there; it must not be waited for."""
    monkeypatch.setattr(execs.ExecEvents, '_ask', lambda self, operation: None)
    monkeypatch.setattr(execs, 'ANSWER_S', 0.05)
    with pytest.raises(OSError, match='namespace'):
        execs.ExecEvents()


def test_a_denial_is_an_error(monkeypatch):
    """Before Linux 6.6 the answer says EPERM."""
    monkeypatch.setattr(execs, 'ACKED', struct.Struct('=IIQI'))
    with pytest.raises(OSError):
        raise_on_error(monkeypatch)


def raise_on_error(monkeypatch):
    """Let the kernel's answer carry EPERM."""
    import os
    answer = (execs.HEADER.pack(0, 0, 0, 0, 0)
              + execs.MESSAGE.pack(1, 1, os.getpid(), 1, 0, 0)
              + execs.ACKED.pack(execs.ACK, 0, 0, errno.EPERM))
    ours, theirs = execs.socket.socketpair(execs.socket.AF_UNIX, execs.socket.SOCK_DGRAM)
    theirs.send(answer)
    monkeypatch.setattr(execs.ExecEvents, '_ask', lambda self, operation: setattr(
        self, '_socket', ours))
    try:
        execs.ExecEvents()
    finally:
        theirs.close()


def test_a_storm_of_programs_wakes_a_few_times_a_second(watch):
    """Each wake is followed by a rest of at most 0.08 s: 25 wakes in 2 s, and not thousands."""
    programs = NewPrograms(watch)
    if not programs.reported:
        pytest.skip(f'the kernel tells no execs here: {programs.why}')
    times, done = [], threading.Event()

    def storm():
        while not done.is_set():
            subprocess.run(['true'])
    runner = threading.Thread(target=storm)
    runner.start()
    try:
        end_s = time.monotonic() + 2.0
        while time.monotonic() < end_s:
            times += [w.monotonic_s for w in watch.taken()]
            time.sleep(0.01)
    finally:
        done.set()
        runner.join()
        programs.close()
    assert 3 <= len(times) <= 30, times


@pytest.mark.parametrize('path', ['/nowhere/loadavg', '/'])
def test_a_last_pid_that_cannot_be_opened_or_read_is_unknown(path):
    """In a container whose lxcfs has ended every read of the file fails."""
    last_pid = new_programs.LastPid(path)
    assert last_pid() == last_pid() == b''
    last_pid.close()
    last_pid.close()
