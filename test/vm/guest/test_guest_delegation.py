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
A delegated control group as systemd gives one to a unit with Delegate=yes and User=robot.

The sentinel of that user puts a group's processes into a group with memory.max: a leak dies in
it, everything else goes on, and in the end each process is back where it was.
"""

import os
import signal

from conftest import running_sentinel
from conftest import wait_for
from machine import AS_ROBOT
from machine import available_mib
from machine import end_all
from machine import FAST
from machine import keyed
from machine import read
from machine import ROBOT_UID
import pytest

UNIT = '/sys/fs/cgroup/robot_unit'
OTHERS = f'{UNIT}/oom_sentinel-others'
RECORDERS = f'{UNIT}/oom_sentinel-group-recorders'
CRITICAL = f'{UNIT}/oom_sentinel-group-critical'
LIMITED = {
    **FAST, 'groups': ['critical', 'recorders'], 'group.critical.match': ['exe:critical'],
    'group.critical.memory_low_percent': 10.0, 'group.recorders.match': ['exe:recorder'],
    'group.recorders.memory_max_percent': 20.0}


@pytest.fixture
def unit():
    """Make a control group of the user robot; everybody in it is killed in the end."""
    os.mkdir(UNIT)
    for name in ('', 'cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'):
        os.chown(f'{UNIT}/{name}', ROBOT_UID, ROBOT_UID)
    yield UNIT
    end_all(UNIT)
    wait_for(lambda: 'populated 0' in read(f'{UNIT}/cgroup.events'), 'the unit is empty')
    for folder, _, _ in os.walk(UNIT, topdown=False):
        os.rmdir(folder)


def as_robot_in(path):
    """Return what starts a program as the user robot in a control group."""
    return ('sh', '-c', f'echo $$ > {path}/cgroup.procs && exec "$@"', 'sh', *AS_ROBOT)


def of(child):
    """Return the control group of a process."""
    return '/sys/fs/cgroup' + read(f'/proc/{child.pid}/cgroup').strip().removeprefix('0::')


def test_a_leak_dies_in_its_own_limit_and_everything_is_put_back(unit, robot, home, tmp_path):
    """Also by the sentinel that comes after one that was killed."""
    def start(name, **more):
        return robot.start('demo', name, node=name, command_prefix=as_robot_in(unit), **more)
    critical, recorder = start('critical', mib=60), start(
        'recorder', mib=20, leak_mib_s=50.0, go=tmp_path / 'go')
    with running_sentinel(LIMITED, env=home.env, command_prefix=as_robot_in(unit)) as first:
        wait_for(lambda: (of(critical), of(recorder), of(first)) == (CRITICAL, RECORDERS, OTHERS),
                 'each is in its group')
        total = int(read('/proc/meminfo').split()[1]) << 10
        assert abs(int(read(f'{RECORDERS}/memory.max')) - 0.2 * total) <= 4096
        assert abs(int(read(f'{CRITICAL}/memory.low')) - 0.1 * total) <= 4096
        assert read(f'{UNIT}/cgroup.procs') == ''
        (tmp_path / 'go').touch()
        wait_for(lambda: recorder.poll() is not None, 'the leak dies')
        assert recorder.returncode == -signal.SIGKILL
        assert keyed(f'{RECORDERS}/memory.events')['oom_kill'] == 1
        assert critical.poll() is None and first.poll() is None and available_mib() > 150
        first.kill()
        first.wait()
    again = start_in_others(robot, tmp_path)
    with running_sentinel(LIMITED, env=home.env, command_prefix=as_robot_in(OTHERS)) as second:
        wait_for(lambda: of(again) == RECORDERS, 'the next sentinel goes on with the groups')
        second.send_signal(signal.SIGINT)
        second.wait(60)
    assert (of(critical), of(again)) == (UNIT, UNIT)
    assert [name for name in os.listdir(UNIT) if name.startswith('oom_sentinel')] == []
    assert read(f'{UNIT}/cgroup.subtree_control').strip() == ''


def start_in_others(robot, tmp_path):
    """Start the recorder again where a launch that was moved starts it."""
    return robot.start('demo', 'recorder', node='recorder', mib=20, go=tmp_path / 'never',
                       command_prefix=as_robot_in(OTHERS))
