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
Floors: the lowest value that a process without CAP_SYS_RESOURCE may have.

A systemd unit's OOMScoreAdjust sets value and floor; who returns to 0 without the capability
keeps the floor, who does it with the capability raises it for good (fs/proc/base.c,
__set_oom_adj).
"""

import contextlib
import os
import shlex
import subprocess

from conftest import oom_score_adj
from conftest import program
from conftest import running_sentinel
from conftest import wait_for
from machine import AS_ROBOT
from machine import cgroup
from machine import dead
from machine import FAST
from machine import MIB
from machine import pid_of
from machine import ROOT_WITHOUT_CAPABILITIES
from machine import write
from observer import Observer
import pytest

UNPRIVILEGED = {**FAST, 'groups': ['critical', 'expendable'],
                'group.critical.match': ['exe:bringup'], 'group.critical.oom_score_adj': -500,
                'group.expendable.match': ['exe:recorder']}
NAMED = ('-r', '__node:=unprivileged')


def at_minus_500():
    """Give the calling process value and floor, as systemd does before it starts a unit."""
    write('/proc/self/oom_score_adj', -500)


@pytest.fixture
def observer():
    """Return an observer of the unprivileged sentinel."""
    made = Observer('unprivileged')
    yield made
    made.close()


@contextlib.contextmanager
def unit(commands, env, group):
    """Run a unit's main process: from root at -500 to the user robot at 0, then children."""
    def before():
        at_minus_500()
        write(f'{group}/cgroup.procs', os.getpid())
    script = 'echo 0 > /proc/self/oom_score_adj\n' + '\n'.join(
        f'{shlex.join(c)} & ' for c in commands) + '\nwait\n'
    child = subprocess.Popen([*AS_ROBOT, 'sh', '-c', script], preexec_fn=before, env=env,
                             stdout=subprocess.DEVNULL)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def test_below_a_floor_an_unprivileged_sentinel_lowers_and_raises(robot, home, observer,
                                                                  tmp_path):
    """Children start at 0; it moves them to -500 and 300, and only the leaker dies."""
    go = tmp_path / 'go'
    commands = [robot.command('base', 'bringup', node='base', mib=80),
                robot.command('rosbag', 'recorder', node='recorder', leak_mib_s=100.0, go=go)]
    programs = [command[2] for command in commands]
    parameters = home.path / 'parameters.yaml'
    parameters.write_text(yaml(UNPRIVILEGED), encoding='ascii')
    sentinel = [program('oom_sentinel_node'), '--ros-args', '--params-file', str(parameters),
                *NAMED]
    with cgroup('unit', memory__max=260 * MIB, memory__swap__max=0) as group, \
            unit(commands, home.env, group) as parent:
        pids = [wait_for(lambda p=p: pid_of(p), f'{p} runs') for p in programs]
        wait_for(lambda: oom_score_adj(parent.pid) == 0, 'the parent returned to 0')
        assert [oom_score_adj(pid) for pid in pids] == [0, 0]
        write(f'{group}/memory.max', 160 * MIB)
        with subprocess.Popen([*AS_ROBOT, 'sh', '-c',
                               'echo 0 > /proc/self/oom_score_adj; exec ' + shlex.join(sentinel)],
                              env=home.env, preexec_fn=at_minus_500) as node:
            try:
                wait_for(lambda: [oom_score_adj(pid) for pid in pids] == [-500, 300],
                         'both have what their group wants')
                wait_for(lambda: oom_score_adj(node.pid) == -300, 'the sentinel itself too')
                observer.until(lambda: observer.values('Protection').get('denied') == 'nothing',
                               'nothing is denied')
                go.touch()
                wait_for(lambda: pid_of(programs[1]) is None, 'the leaker dies')
                assert (pid_of(programs[0]), oom_score_adj(pids[0])) == (pids[0], -500)
            finally:
                node.terminate()
                node.wait()


def yaml(parameters):
    """Return a parameter file's text: JSON is YAML."""
    import json
    return json.dumps({'/**': {'ros__parameters': parameters}})


@pytest.mark.parametrize('privileged, kept', [(False, True), (True, False)])
def test_returning_to_0_keeps_the_floor_only_without_the_capability(privileged, kept):
    """Why a launch parent drops its capabilities before it returns itself to 0."""
    prefix = () if privileged else ROOT_WITHOUT_CAPABILITIES
    adj = '/proc/self/oom_score_adj'
    lower = shlex.join([*ROOT_WITHOUT_CAPABILITIES, 'sh', '-c', f'echo -500 > {adj}'])
    done = subprocess.run([*prefix, 'sh', '-c', f'echo 0 > {adj}; {lower}'],
                          preexec_fn=at_minus_500, capture_output=True)
    assert (done.returncode == 0) is kept, done.stderr


def test_denied_without_a_floor_others_are_raised_and_the_critical_node_lives(
        robot, home, observer, tmp_path):
    """The others are raised to the level; the message says that lowering is denied."""
    with cgroup('denied', memory__max=160 * MIB, memory__swap__max=0) as group:
        inside = {'preexec': lambda: write(f'{group}/cgroup.procs', os.getpid()),
                  'command_prefix': AS_ROBOT}
        children = {
            'bringup': robot.start('base', 'bringup', node='base', mib=80, **inside),
            'talker': robot.start('demo', 'talker', node='talker', leak_mib_s=100.0,
                                  go=tmp_path / 'go', **inside)}
        with running_sentinel(UNPRIVILEGED, env=home.env, command_prefix=AS_ROBOT,
                              remaps=NAMED):
            wait_for(lambda: oom_score_adj(children['talker'].pid) > 200, 'it is raised')
            assert oom_score_adj(children['bringup'].pid) == 0
            observer.until(lambda: 'kept by raising' in getattr(
                observer.status('Protection'), 'message', ''), 'the status says so')
            (tmp_path / 'go').touch()
            wait_for(lambda: dead(children), 'the kernel kills someone')
            assert dead(children) == ['talker']
