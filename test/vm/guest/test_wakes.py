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

"""What wakes with cgroup v2 and every capability: windows of 1 s, groups of their own."""

import os
import subprocess
import sys
import time

from conftest import wait_for
from oom_sentinel import kernel
from oom_sentinel.kernel.wake import GROUP_EVENT
from oom_sentinel.kernel.wake import GroupEvents
from oom_sentinel.kernel.wake import STALL
from oom_sentinel.kernel.wake import Stalls
from oom_sentinel.kernel.wake import Watch
import pytest

MIB = 1 << 20
# Grows beyond memory.high: the kernel lets it wait, and counts that as a stall.
GROWS = ('import time\nx = []\n'
         'while True:\n    x.append(bytearray(b"x" * (1 << 20)))\n    time.sleep(0.001)\n')


@pytest.fixture
def group():
    """Return a control group with a low memory.high."""
    path = f'/sys/fs/cgroup/oom_sentinel_wakes_{time.monotonic_ns()}'
    os.mkdir(path)
    with open(f'{path}/memory.high', 'w', encoding='ascii') as stream:
        stream.write(str(20 * MIB))
    yield path
    if os.path.isdir(path):
        wait_for(lambda: removed(path), 'the group is empty')


def removed(path):
    """Remove a control group; tell whether that was possible."""
    try:
        os.rmdir(path)
        return True
    except OSError:
        return False


@pytest.fixture
def watch():
    """Return a running watch."""
    made = Watch()
    made.start(lambda: None)
    yield made
    made.close()


def stalled(group, watch, name):
    """Let a process stall in the group until the watch says this name."""
    child = subprocess.Popen([sys.executable, '-I', '-S', '-c', GROWS])
    try:
        with open(f'{group}/cgroup.procs', 'w', encoding='ascii') as stream:
            stream.write(str(child.pid))
        wait_for(lambda: name in [wake.name for wake in watch.taken()], f'{name} wakes')
    finally:
        child.kill()
        child.wait()


def test_a_privileged_window_is_one_second_and_a_group_has_its_own(group, watch):
    """Its stall wakes; its removal while it is watched wakes nobody and lets nothing spin."""
    stalls = Stalls(watch, kernel.Root('/'))
    stalls.arm(100, frozenset((f'{group}/memory.pressure',)))
    assert stalls.waking.window_us == 1_000_000 and stalls.waking.groups == 1
    stalled(group, watch, STALL)
    wait_for(lambda: removed(group), 'the group is empty')
    time.sleep(2.5)  # the last windows are over
    watch.taken()
    before = _sleeps(watch)
    time.sleep(1.0)
    assert watch.taken() == () and _sleeps(watch) - before <= 2
    stalls.arm(100, frozenset())
    assert stalls.waking.groups == 0
    stalls.close()


def _sleeps(watch):
    path = f'/proc/self/task/{watch._thread.native_id}/status'
    with open(path, encoding='utf-8') as stream:
        return next(int(line.split()[1]) for line in stream
                    if line.startswith('voluntary_ctxt_switches'))


def test_memory_high_is_an_event_of_the_group(group, watch):
    """Throttling shows in memory.events at once."""
    events = GroupEvents(watch, kernel.Root('/'), '/sys/fs/cgroup', 2)
    events.follow(frozenset(('/', '/' + os.path.basename(group))))
    assert events.followed == 1
    stalled(group, watch, GROUP_EVENT)
    events.close()
