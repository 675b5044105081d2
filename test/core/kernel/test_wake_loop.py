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

"""The thread that wakes: real pipes and eventfds, no ROS."""

import contextlib
import os
import select
import threading
import time

from conftest import wait_for
from oom_sentinel.kernel.wake import Watch
import pytest


@pytest.fixture
def watch():
    """Return a watch that is closed in the end."""
    made = Watch()
    yield made
    made.close()


@pytest.fixture
def pipe():
    """Return a pipe that does not block."""
    ends = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    yield ends
    for end in ends:
        with contextlib.suppress(OSError):
            os.close(end)


def sleeps(watch):
    """Return how often the thread of this watch went to sleep."""
    path = f'/proc/self/task/{watch._thread.native_id}/status'
    with open(path, encoding='utf-8') as stream:
        lines = dict(line.split(':', 1) for line in stream if ':' in line)
    return int(lines['voluntary_ctxt_switches'])


def test_an_event_wakes_and_says_its_name(watch, pipe):
    """Once, until it is taken."""
    woken = threading.Event()
    watch.add(pipe[0], select.EPOLLIN, 'news')
    watch.start(woken.set)
    os.write(pipe[1], b'x')
    assert woken.wait(10)
    assert [w.name for w in watch.taken()] == ['news']


def test_what_happened_before_the_start_wakes_too(watch, pipe):
    """A signal during the start of the node must not be lost."""
    woken = threading.Event()
    watch.add(pipe[0], select.EPOLLIN, 'early', lambda events: bool(os.read(pipe[0], 9)))
    os.write(pipe[1], b'x')
    watch.start(woken.set)
    assert woken.wait(10)
    assert [w.name for w in watch.taken()] == ['early']


def test_a_storm_and_a_busy_reader_cost_a_few_wakes(watch, pipe):
    """Nobody reads: in a second it asks some ten times, and wakes the executor once."""
    calls, asked = [], []
    watch.add(pipe[0], select.EPOLLIN, 'storm', lambda events: asked.append(events) or True)
    watch.start(lambda: calls.append(1))
    end_s = time.monotonic() + 1.0
    while time.monotonic() < end_s:
        with contextlib.suppress(BlockingIOError):
            os.write(pipe[1], b'x' * 64)
        time.sleep(0.001)
    assert 2 <= len(asked) <= 14
    assert calls == [1]
    assert watch.taken()[0].times == len(asked)


def test_a_lasting_storm_is_asked_ever_more_seldom(watch, pipe):
    """Rests double up to the most allowed and start anew after a quiet time."""
    asked = []
    watch.add(pipe[0], select.EPOLLIN, 'storm', lambda events: asked.append(
        time.monotonic()) or True, rest_s=0.05, rest_max_s=0.4)
    watch.start(lambda: None)
    os.write(pipe[1], b'x')
    wait_for(lambda: len(asked) >= 6, 'it goes on asking')
    gaps = [b - a for a, b in zip(asked, asked[1:])]
    assert gaps[0] >= 0.05 and gaps[4] >= 0.39


def test_a_reader_that_wants_no_wake_gets_none(watch, pipe):
    """What on_wake answers decides."""
    seen, calls = [], []
    watch.add(pipe[0], select.EPOLLIN, 'dull', lambda events: bool(
        seen.append(os.read(pipe[0], 99))))
    watch.start(lambda: calls.append(1))
    os.write(pipe[1], b'x')
    wait_for(lambda: seen, 'it was read')
    time.sleep(0.05)
    assert calls == [] and watch.taken() == ()


def test_a_writer_that_is_gone_ends_the_source_without_a_spin(watch, pipe):
    """A hang-up is told once; the thread sleeps on."""
    watch.add(pipe[0], select.EPOLLIN, 'log', lambda events: True)
    woken = threading.Event()
    watch.start(woken.set)
    os.close(pipe[1])
    assert woken.wait(10)
    wake, = watch.taken()
    assert wake.ended
    time.sleep(0.3)
    before = sleeps(watch)
    time.sleep(0.5)
    assert sleeps(watch) - before <= 1
    watch.remove(pipe[0])
    watch.remove(pipe[0])


def test_a_removed_or_closed_source_is_silent(watch, pipe):
    """Also when it was closed without being removed, which must not end the thread."""
    calls = []
    watch.add(pipe[0], select.EPOLLIN, 'gone', rest_s=0.01)
    watch.start(lambda: calls.append(1))
    os.write(pipe[1], b'x')
    wait_for(watch.taken, 'the first wake')
    os.close(pipe[0])
    event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
    try:
        watch.add(event, select.EPOLLIN, 'alive', lambda events: bool(os.eventfd_read(event)))
        os.eventfd_write(event, 1)
        wait_for(lambda: 'alive' in [w.name for w in watch.taken()], 'the thread lives')
    finally:
        watch.remove(event)
        os.close(event)


def test_an_error_while_reading_ends_the_source_and_wakes(watch, pipe):
    """Its owner will meet the same error."""
    def fail(events):
        raise OSError('broken')
    watch.add(pipe[0], select.EPOLLIN, 'broken', fail)
    watch.start(lambda: None)
    os.write(pipe[1], b'x')
    wake, = wait_for(watch.taken, 'it wakes')
    assert wake.ended


def test_the_earliest_alarm_sounds_once(watch):
    """Set from another thread while the watch sleeps."""
    watch.start(lambda: None)
    now_s = time.monotonic()
    watch.alarm(now_s + 60.0)
    watch.alarm(now_s + 0.1)
    wake, = wait_for(watch.taken, 'the alarm')
    assert wake.name == 'alarm' and wake.monotonic_s >= now_s + 0.1
    time.sleep(0.2)
    assert watch.taken() == ()


def test_a_look_wakes_only_when_it_saw_something(watch):
    """And is called on and on."""
    answers = [False, False, True]
    watch.every(0.03, 'look', lambda: bool(answers) and answers.pop(0))
    watch.start(lambda: None)
    wake, = wait_for(watch.taken, 'the third look')
    assert wake.name == 'look' and answers == []


def test_a_glance_ends_the_wait_only_when_it_saw_something(watch, pipe):
    """An event, a moment and a ring end it as ever; called again it changes its period."""
    answers = [False] * 5 + [True]
    watch.glance(0.01, 'glance', lambda: bool(answers) and answers.pop(0))
    watch.wait()
    assert [w.name for w in watch.taken()] == ['glance'] and answers == []
    watch.add(pipe[0], select.EPOLLIN, 'news')
    os.write(pipe[1], b'x')
    watch.wait()
    assert [w.name for w in watch.taken()] == ['news']
    watch.alarm(time.monotonic() + 0.05)
    wait_for(lambda: watch.wait() or watch.taken(), 'the alarm')
    looked = []
    watch.glance(3600.0, 'glance', lambda: looked.append(1) or True)
    watch.alarm(time.monotonic() + 0.1)
    wait_for(lambda: watch.wait() or watch.taken(), 'the alarm')
    assert not looked
    watch.never('glance')
    watch.ring()
    watch.wait()
    assert watch.taken() == ()


def test_an_event_that_comes_with_a_glance_is_not_lost(watch, pipe):
    """Both are noted by the same wait."""
    watch.add(pipe[0], select.EPOLLIN, 'news')
    os.write(pipe[1], b'x')
    watch.glance(0.0, 'glance', lambda: True)
    watch.wait()
    assert {w.name for w in watch.taken()} == {'glance', 'news'}


def test_a_watch_that_waits_does_not_wake(watch, pipe):
    """No timer of its own; on a busy machine it may take a while until it sleeps for good."""
    watch.add(pipe[0], select.EPOLLIN, 'silent')
    watch.start(lambda: None)

    def rests():
        before = sleeps(watch)
        time.sleep(1.0)
        return before >= 1 and sleeps(watch) == before
    wait_for(rests, 'a second without a wake')


def test_closing_ends_the_thread_and_the_descriptors(pipe):
    """With a source still there; nothing wakes afterwards."""
    before = len(os.listdir('/proc/self/fd'))
    watch, calls = Watch(), []
    watch.add(pipe[0], select.EPOLLIN, 'late')
    watch.start(lambda: calls.append(1))
    watch.close()
    os.write(pipe[1], b'x')
    time.sleep(0.05)
    assert calls == []
    assert len(os.listdir('/proc/self/fd')) == before


def test_a_plain_file_is_refused(watch, tmp_path):
    """The caller learns it at once (EPERM)."""
    with open(tmp_path / 'file', 'wb') as file, pytest.raises(OSError):
        watch.add(file.fileno(), select.EPOLLIN, 'file')


def test_the_thread_that_acts_may_wait_itself(watch, pipe):
    """No thread is started; what woke is noted when the wait returns."""
    watch.add(pipe[0], select.EPOLLIN, 'news')
    os.write(pipe[1], b'x')
    watch.wait()
    assert [w.name for w in watch.taken()] == ['news'] and watch._thread is None


def test_a_ring_ends_the_wait_of_another_thread(watch):
    """As for the end of the program; nothing woke."""
    thread = threading.Thread(target=watch.wait)
    thread.start()
    watch.ring()
    thread.join(10)
    assert not thread.is_alive() and watch.taken() == ()


def test_a_moment_set_while_another_thread_waits_is_kept(watch):
    """A service sets a new period while the node waits without an end."""
    thread = threading.Thread(target=watch.wait)
    thread.start()
    wait_for(lambda: watch._asleep_until_s == float('inf'), 'it waits')
    watch.every(0.01, 'cycle', lambda: True)
    thread.join(10)
    assert not thread.is_alive()


def test_periods_keep_their_moments_and_leave_out_what_has_passed():
    """Else each delay would be added to the next period, or made up for in a hurry."""
    clock, looked = [100.0], []
    watch = Watch(lambda: clock[0])
    watch.every(1.0, 'cycle', lambda: looked.append(clock[0]) or True)
    for now_s in (101.25, 101.5, 101.75, 102.0, 105.5, 105.75, 106.0):
        clock[0] = now_s
        watch._pass(now_s)
    assert looked == [101.25, 102.0, 105.5, 106.0]
    watch.never('cycle')
    watch.never('cycle')
    watch._pass(200.0)
    assert len(looked) == 4
    watch.close()


def test_a_moment_set_between_two_waits_rings_no_bell(watch, pipe):
    """The next wait ends in time all the same; a ring would end it at once, for nothing."""
    watch.add(pipe[0], select.EPOLLIN, 'news')
    os.write(pipe[1], b'x')
    watch.wait()
    watch.alarm(time.monotonic() + 0.05)
    with pytest.raises(BlockingIOError):
        os.eventfd_read(watch._bell)
    wait_for(lambda: watch.wait() or 'alarm' in [w.name for w in watch.taken()], 'the alarm')
