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
from oom_sentinel.kernel.wake import NewPrograms
from oom_sentinel.kernel.wake import Watch
import pytest


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
    """Then the last PID is looked at, fewer than two times a second."""
    def refuse(self, operation):
        raise OSError(number, 'refused')
    monkeypatch.setattr(execs.ExecEvents, '_ask', refuse)
    pids = [7, 7, 8]
    programs = NewPrograms(watch, lambda: pids.pop(0) if len(pids) > 1 else pids[0])
    assert not programs.reported and programs.why == 'refused'
    wake, = wait_for(watch.taken, 'the new PID is noticed')
    assert wake.name == NEW_PROGRAMS and programs.taken() == frozenset()
    programs.close()


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
    programs = NewPrograms(watch, lambda: None)
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
