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

"""What the kernel is asked to tell about memory: stalls and control group events."""

import errno
import json
import os
import shutil
import time

from conftest import wait_for
from oom_sentinel import kernel
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.sample import Waking
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.wake import cgroup_events
from oom_sentinel.kernel.wake import GROUP_EVENT
from oom_sentinel.kernel.wake import GroupEvents
from oom_sentinel.kernel.wake import STALL
from oom_sentinel.kernel.wake import Stalls
from oom_sentinel.kernel.wake import stalls as stalls_file
from oom_sentinel.kernel.wake import Watch
import pytest


@pytest.fixture
def watch():
    """Return a running watch."""
    made = Watch()
    made.start(lambda: None)
    yield made
    made.close()


@pytest.fixture
def tree(tmp_path):
    """Return a tree whose PSI file is a pipe: what is written there can be read."""
    (tmp_path / 'capture.json').write_text(json.dumps(
        {'page_size': 4096, 'wall_s': 0, 'kernel': '6.12'}))
    (tmp_path / 'proc/pressure').mkdir(parents=True)
    os.mkfifo(tmp_path / 'proc/pressure/memory')
    return kernel.Root(str(tmp_path))


def written(tree):
    """Return what was written to the PSI file since the last call."""
    reader = os.open(f'{tree.prefix}/proc/pressure/memory', os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(reader, 4096)
    except BlockingIOError:
        return b''
    finally:
        os.close(reader)


def descriptors():
    """Return how many descriptors this process holds."""
    return len(os.listdir('/proc/self/fd'))


def test_a_trigger_follows_its_parameter(watch, tree):
    """Armed once, anew when it changes, let go of at 0; no descriptor is left behind."""
    before, stalls = descriptors(), Stalls(watch, tree)
    stalls.arm(150)
    stalls.arm(150)
    assert written(tree) == b'some 150000 1000000\0'
    assert stalls.waking == Waking(150000, 1_000_000)
    stalls.arm(300)
    assert written(tree) == b'some 300000 1000000\0' and stalls.waking.stall_us == 300000
    stalls.arm(0)
    assert stalls.waking == Waking(0, None, 'pressure.trigger_stall_ms is 0')
    assert descriptors() == before


@pytest.mark.parametrize('number, words', [
    (errno.EPERM, 'CAP_SYS_RESOURCE'), (errno.EOPNOTSUPP, 'psi=1'), (errno.EACCES, 'user'),
    (errno.ENOENT, 'no pressure stall'), (errno.EMFILE, 'Too many open files')])
def test_a_refusal_is_told_with_its_reason(watch, tree, monkeypatch, number, words):
    """And the stall is still looked for by the counter."""
    def refuse(root, path, stall_us):
        raise OSError(number, os.strerror(number))
    monkeypatch.setattr(stalls_file, 'arm_trigger', refuse)
    stalls = Stalls(watch, tree)
    stalls.arm(150)
    assert words in stalls.waking.why
    assert (stalls.waking.stall_us, stalls.waking.window_us) == (150000, None)


def test_what_epoll_refuses_is_told_and_leaves_no_descriptor(watch, tree, monkeypatch):
    """As beyond fs.epoll.max_user_watches."""
    def refuse(*args, **more):
        raise OSError(errno.ENOSPC, 'No space left on device')
    monkeypatch.setattr(watch, 'add', refuse)
    before, stalls = descriptors(), Stalls(watch, tree)
    stalls.arm(150)
    assert 'No space' in stalls.waking.why and descriptors() == before


def test_an_unprivileged_window_is_two_seconds(tree, monkeypatch):
    """Whoever may not have 1 s is refused with EINVAL and asks for 2 s."""
    asked, write = [], os.write

    def refuse_first(descriptor, data):
        asked.append(data)
        if len(asked) == 1:
            raise OSError(errno.EINVAL, 'Invalid argument')
        return write(descriptor, data)
    monkeypatch.setattr(stalls_file.os, 'write', refuse_first)
    descriptor, window_us = stalls_file.arm_trigger(tree, '/proc/pressure/memory', 150000)
    os.close(descriptor)
    assert window_us == 2_000_000 and asked[-1] == b'some 150000 2000000\0'


def test_this_kernel_arms_or_says_why(watch):
    """The real file."""
    stalls = Stalls(watch, kernel.Root('/'))
    stalls.arm(150)
    assert bool(stalls.waking.why) != bool(stalls.waking.window_us)
    stalls.close()


def sample(total_us, waking=Waking(150000, None, 'refused')):
    """Return a sample with this much stall since boot, None for no PSI."""
    line = PressureLine(0.0, 0.0, 0.0, total_us or 0)
    return Sample(0.0, 0.0, Host('h', 4096, '6'), Unavailable('x'),
                  Unavailable('off') if total_us is None else Pressure(line),
                  Unavailable('x'), waking=waking)


@pytest.mark.parametrize('last, now, stalled', [
    (sample(0), sample(150000), True), (sample(0), sample(149999), False),
    (None, sample(10 ** 9), False), (sample(None), sample(10 ** 9), False),
    (sample(10 ** 9), sample(None), False), (sample(10 ** 9), sample(0), False),
    (sample(0), sample(10 ** 9, Waking()), False)])
def test_a_stall_shows_in_the_counter_too(last, now, stalled):
    """Between two samples, where both have one and a stall is asked for."""
    assert now.stalled(last) is stalled


def make_group(tree, path):
    """Make a control group v2 of the tree."""
    folder = f'{tree.prefix}/cg{path}'
    os.makedirs(folder)
    with open(f'{folder}/memory.events', 'w', encoding='ascii') as stream:
        stream.write('oom_kill 0\n')
    return folder


def change(folder):
    """Let the kernel count something there."""
    with open(f'{folder}/memory.events', 'a', encoding='ascii') as stream:
        stream.write('max 1\n')


def heard(watch):
    """Return whether a control group told something since the last call."""
    return GROUP_EVENT in [wake.name for wake in watch.taken()]


def test_events_of_the_followed_groups_wake(watch, tree):
    """One descriptor for all; one that comes later too, and not one that is left."""
    inner, other = make_group(tree, '/robot/nav'), make_group(tree, '/other')
    events, before = GroupEvents(watch, tree, '/cg', 2), descriptors()
    events.follow(frozenset(('/', '/robot/nav', '/gone')))
    assert descriptors() == before and events.followed == 1
    change(inner)
    wait_for(lambda: heard(watch), 'it wakes')
    events.follow(frozenset(('/other',)))
    change(other)
    wait_for(lambda: heard(watch), 'the other one wakes')
    change(inner)
    time.sleep(0.2)
    assert not heard(watch)
    events.close()


def test_a_group_made_anew_under_the_same_path_is_followed(watch, tree):
    """Its old one was removed while it was watched."""
    folder = make_group(tree, '/robot')
    events = GroupEvents(watch, tree, '/cg', 2)
    events.follow(frozenset(('/robot',)))
    os.rename(folder, f'{tree.prefix}/old')
    shutil.rmtree(f'{tree.prefix}/old')
    events.follow(frozenset(('/robot',)))
    assert events.followed == 0
    folder = make_group(tree, '/robot')
    events.follow(frozenset(('/robot',)))
    watch.taken()
    change(folder)
    wait_for(lambda: heard(watch), 'it wakes')
    events.close()


def test_a_storm_of_events_wakes_ever_more_seldom(watch, tree):
    """A group at its memory.high tells without end."""
    folder = make_group(tree, '/throttled')
    events = GroupEvents(watch, tree, '/cg', 2)
    events.follow(frozenset(('/throttled',)))
    times, end_s = 0, time.monotonic() + 2.0
    while time.monotonic() < end_s:
        change(folder)
        times += heard(watch)
        time.sleep(0.002)
    events.close()
    assert 3 <= times <= 9


def test_the_names_are_what_the_diagnostics_show():
    """Operators read them in 'woken by'."""
    assert (STALL, GROUP_EVENT) == ('memory pressure', 'control group event')


def test_a_failed_open_closes_no_stranger(watch, tree, monkeypatch):
    """An eventfd of v1 that cannot be had again leaves no number behind that is closed later."""
    make_group(tree, '/robot')
    monkeypatch.setattr(cgroup_events, 'notify_oom', lambda root, folder, event: None)
    events = GroupEvents(watch, tree, '/cg', 1)
    events.follow(frozenset(('/robot',)))

    def refuse(*args):
        raise OSError(errno.EMFILE, 'Too many open files')
    with monkeypatch.context() as patched:
        patched.setattr(cgroup_events.os, 'eventfd', refuse)
        events.follow(frozenset())
        assert events.why == 'Too many open files' and events.followed == 0
        stranger = os.open('/dev/null', os.O_RDONLY)  # most likely gets the closed number
        events.follow(frozenset(('/robot',)))
        events.close()
    os.fstat(stranger)
    events.follow(frozenset(('/robot',)))
    assert events.why is None and events.followed == 1
    events.close()
    os.fstat(stranger)
    os.close(stranger)
