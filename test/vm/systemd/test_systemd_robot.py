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
A robot's own service under systemd, with the drop-ins of config/systemd as docs/robots.md tells.

The stand-in is TurtleBot 4's: a script that root starts, setpriv to the robot's user, then the
launch parent with the nodes and the sentinel.
"""

import json
import os
import subprocess

from conftest import program
from conftest import wait_for
from machine import AS_ROBOT
from machine import GROUPS
from machine import MIB
from machine import oom_kills
import pytest
from service import documented
from service import drop_in
from service import ETC
from service import launch_script
from service import pids_of
from service import PYTHON
from service import quoted
from service import SENTINEL
from service import shown
from service import systemctl
from service import units
from service import until_values
from service import values_of
from service import write_unit

UNIT = 'turtlebot4.service'
VALUES = {'turtlebot4-start': -500, 'ros2': 0, 'bringup': -500, 'lidar': -400, 'amcl': -300,
          'recorder': 300, SENTINEL: -300}


@pytest.fixture(params=[True])
def started(request, robot, home, tmp_path):
    """
    Write TurtleBot 4's service and its script; return the file that starts the leak.

    The parameter says whether the sentinel is in the launch.
    """
    parameters = home.path / 'parameters.yaml'
    parameters.write_text(json.dumps({'/**': {'ros__parameters': {
        **GROUPS, 'protection.raise': 'ros'}}}), encoding='ascii')
    go = tmp_path / 'go'
    commands = {
        'bringup': robot.command('base', 'bringup', node='base', mib=60),
        'lidar': robot.command('drv', 'lidar', node='lidar', mib=5),
        'amcl': robot.command('nav2_amcl', 'amcl', node='amcl', mib=5),
        'recorder': robot.command('rosbag', 'recorder', node='recorder', leak_mib_s=200.0, go=go),
        SENTINEL: [program(SENTINEL), '--ros-args', '--params-file', str(parameters)]}
    if not request.param:
        del commands[SENTINEL]
    listed = home.path / 'launch.json'
    listed.write_text(json.dumps(commands), encoding='ascii')
    script = tmp_path / 'turtlebot4-start'
    parent = quoted(*PYTHON, launch_script(home.path), 'launch', listed)
    script.write_text(f"""#!/bin/bash
{quoted(*AS_ROBOT)} choom -n 0 -- {parent} &
wait $!
""", encoding='ascii')
    script.chmod(0o755)
    names = ('PATH', 'AMENT_PREFIX_PATH', 'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
    env = {**home.env, **{n: os.environ[n] for n in names}}
    write_unit(UNIT, f'ExecStart={script}', 'Restart=no', *(
        f'Environment="{name}={env[name]}"' for name in (
            *names, 'HOME', 'XDG_RUNTIME_DIR', 'OOM_SENTINEL_STATE', 'ROS_HOME', 'ROS_LOG_DIR')))
    yield go


def kill_the_recorder(go):
    """Limit the service, let its recorder leak, and return once the kernel killed it."""
    before, pid = oom_kills(), pids_of(UNIT)['recorder']
    systemctl('set-property', '--runtime', UNIT, f'MemoryMax={500 * MIB}', 'MemorySwapMax=0')
    go.touch()
    wait_for(lambda: oom_kills() > before, 'the kernel kills')
    go.unlink()
    wait_for(lambda: not os.path.exists(f'/proc/{pid}'), 'the recorder is gone')


def test_a_floor_holds_after_start_restart_and_an_oom_kill(started):
    """Each process has its value every time, one death leaves the rest alone."""
    drop_in(UNIT, documented('floor.conf'))
    with units(UNIT):
        systemctl('start', UNIT)
        assert (shown(UNIT, 'OOMPolicy'), shown(UNIT, 'OOMScoreAdjust')) == ('continue', '-500')
        until_values(UNIT, VALUES)
        first = pids_of(UNIT)
        systemctl('restart', UNIT)
        wait_for(lambda: set(VALUES) <= set(pids_of(UNIT)), 'all run again')
        until_values(UNIT, VALUES)
        before = pids_of(UNIT)
        assert not set(first.values()) & set(before.values())
        kill_the_recorder(started)
        wait_for(lambda: pids_of(UNIT).get('recorder', before['recorder'])
                 != before['recorder'], 'the launch starts the recorder again')
        until_values(UNIT, VALUES)
        after = pids_of(UNIT)
        assert {n: p for n, p in after.items() if n != 'recorder'} == {
            n: p for n, p in before.items() if n != 'recorder'}
        assert shown(UNIT, 'ActiveState') == 'active'


@pytest.mark.parametrize('started', [False], indirect=True)
def test_without_its_oom_policy_the_whole_robot_ends_and_the_doctor_says_so(started, tmp_path):
    """What the drop-in's second line is for: named before, and cured by the printed remedy."""
    text = documented('floor.conf').replace('OOMPolicy=continue', '')
    drop_in(UNIT, text)
    with units(UNIT):
        systemctl('start', UNIT)
        wait_for(lambda: set(VALUES) - {SENTINEL} == set(values_of(UNIT)), 'the nodes run')
        done = subprocess.run([program('oom_sentinel'), 'doctor', '--json'], text=True,
                              capture_output=True)
        found = {f['id']: f for f in json.loads(done.stdout)['findings']}
        assert UNIT in found['oom_policy_stop']['evidence']
        kill_the_recorder(started)
        wait_for(lambda: shown(UNIT, 'ActiveState') == 'failed', 'systemd ends the service')
        assert shown(UNIT, 'Result') == 'oom-kill'
        wait_for(lambda: not pids_of(UNIT), 'nobody is left')
        sudo = tmp_path / 'sudo'
        sudo.write_text('#!/bin/sh\nexec "$@"\n')
        sudo.chmod(0o755)
        subprocess.run(['sh', '-ec', found['oom_policy_stop']['remedy']], check=True,
                       env={**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'},
                       capture_output=True)
        assert shown(UNIT, 'OOMPolicy') == 'continue'


def test_the_discovery_server_is_low_from_its_start(robot):
    """Nothing lowers or returns it: systemd alone sets the value."""
    command = robot.command('discovery', 'server')
    write_unit('discovery.service', f'ExecStart={quoted(*command)}')
    drop_in('discovery.service', documented('discovery.conf'))
    with units('discovery.service'):
        systemctl('start', 'discovery.service')
        until_values('discovery.service', {'server': -500})


@pytest.mark.parametrize('name, value', [('floor_user.conf', 0), ('capability.conf', 0)])
def test_a_unit_that_runs_as_the_user_may_lower_its_own(robot, home, name, value):
    """Its process may write -500 to a child without being root."""
    from_docs = documented(name).replace('User=ubuntu', 'User=robot')
    child = quoted(*robot.command('base', 'bringup'))
    script = home.path / 'start'
    script.write_text('#!/bin/sh\n'
                      f'{child} &\nsleep 1\necho -500 > /proc/$!/oom_score_adj\nwait\n')
    script.chmod(0o755)
    lines = [line for line in from_docs.splitlines() if not line.startswith('ExecStart=/')
             and 'exec ros2 launch' not in line]
    write_unit('robot.service', f'ExecStart={script}')
    if 'ExecStart=' in lines:
        lines.append(f'ExecStart=/usr/bin/choom -n 0 -- {script}')
    drop_in('robot.service', '\n'.join(lines) + '\n')
    with units('robot.service'):
        systemctl('start', 'robot.service')
        wait_for(lambda: values_of('robot.service').get('bringup') == -500, 'it is lowered')
        assert values_of('robot.service')['start'] == value
        assert shown('robot.service', 'OOMPolicy') == 'continue'


def test_the_sentinel_as_a_unit_of_its_own_lowers_nodes_of_its_user(robot, home, tmp_path):
    """oom_sentinel.service as it stands but for user, set-up file and preset."""
    node = robot.start('base', 'bringup', node='base', command_prefix=AS_ROBOT)
    preset = tmp_path / 'parameters.yaml'
    preset.write_text(json.dumps({'/**': {'ros__parameters': {
        **GROUPS, 'protection.raise': 'ros'}}}), encoding='ascii')
    fake = home.path / 'ros2'
    prefix = home.path / 'prefix'
    (prefix / 'lib').mkdir(parents=True)
    (prefix / 'lib/oom_sentinel').symlink_to(os.path.dirname(program(SENTINEL)))
    (prefix / 'share/oom_sentinel/config').mkdir(parents=True)
    (prefix / 'share/oom_sentinel/config/turtlebot4.yaml').write_text(preset.read_text())
    fake.write_text(f'#!/bin/sh\necho {prefix}\n')
    fake.chmod(0o755)
    setup = home.path / 'setup.bash'
    names = ('AMENT_PREFIX_PATH', 'ROS_DOMAIN_ID', 'ROS_AUTOMATIC_DISCOVERY_RANGE')
    env = {**{n: os.environ[n] for n in names}, 'PATH': f'{home.path}:{os.environ["PATH"]}',
           **{n: home.env[n] for n in ('HOME', 'OOM_SENTINEL_STATE', 'ROS_HOME', 'ROS_LOG_DIR')}}
    setup.write_text(''.join(f'export {n}={quoted(v)}\n' for n, v in env.items()))
    text = documented('oom_sentinel.service').replace('User=ubuntu', 'User=robot').replace(
        '/etc/turtlebot4/setup.bash', str(setup))
    (ETC / 'oom_sentinel.service').write_text(text, encoding='ascii')
    with units('oom_sentinel.service'):
        systemctl('start', 'oom_sentinel.service')
        wait_for(lambda: int(open(f'/proc/{node.pid}/oom_score_adj').read()) == -500,
                 'the node is lowered')
        until_values('oom_sentinel.service', {SENTINEL: -300, 'journalctl': -300})
        assert shown('oom_sentinel.service', 'NRestarts') == '0'
