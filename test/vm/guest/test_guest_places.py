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

"""Foresight inside cgroup v2: throttling is named, and the end of a limit is foretold."""

import os

from conftest import wait_for
from machine import cgroup
from machine import keyed
from machine import MIB
from machine import write


def start(robot, tmp_path, path, leak_mib_s):
    """Start a leaking recorder in the control group and let it go."""
    return robot.start('rosbag', 'recorder', node='recorder', leak_mib_s=leak_mib_s,
                        go=tmp_path / 'go',
                        preexec=lambda: write(f'{path}/cgroup.procs', os.getpid()))


def test_throttling_at_memory_high_is_named_and_nobody_dies(watched, robot, tmp_path):
    """The kernel slows its tasks down; the status says who and where."""
    observer = watched.observer
    with cgroup('slowed', memory__high=50 * MIB, memory__swap__max=0) as path:
        child = start(robot, tmp_path, path, 50.0)
        observer.until(lambda: observer.values('Group expendable')['processes'] != 'none',
                       'the recorder is in its group')
        (tmp_path / 'go').touch()
        wait_for(lambda: keyed(f'{path}/memory.events')['high'] > 0, 'the kernel throttles')
        observer.until(lambda: 'control group /slowed is throttled' in
                       observer.status('Control groups').message.lower(), 'the status says so')
        assert observer.status('Control groups').level == b'\x01'
        assert child.poll() is None and keyed(f'{path}/memory.events')['oom_kill'] == 0
        child.kill()
        child.wait()


def test_the_end_of_a_limit_is_foretold_with_a_range(watched, robot, tmp_path):
    """Before the kernel kills, not after."""
    observer = watched.observer
    with cgroup('filling', memory__max=200 * MIB, memory__swap__max=0) as path:
        child = start(robot, tmp_path, path, 3.0)
        observer.until(lambda: observer.values('Control groups').get('tightest') == '/filling',
                       'the limit is found')
        (tmp_path / 'go').touch()
        observer.until(lambda: 'the limit of control group /filling is reached in about' in
                       observer.status('OOM risk').message.lower(), 'the end is foretold')
        assert child.poll() is None and ' to ' in observer.values('OOM risk')[
            'time to exhaustion (s)']
        child.kill()
        child.wait()
