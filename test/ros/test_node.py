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

"""The node over real DDS: what it publishes, protects, refuses and restores."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from conftest import lowering_permitted
from conftest import oom_score_adj
from conftest import program
from conftest import running_sentinel
from conftest import wait_for
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100

FAST = {'scan_period': 0.2, 'publish_period': 0.2}
RECORDER = {**FAST, 'groups': ['expendable'], 'group.expendable.match': ['exe:recorder']}
STATUSES = ['Memory', 'Memory pressure', 'Control groups', 'OOM risk', 'Protection',
            'OOM kills']


@pytest.fixture
def observer():
    """Return an observer that is closed in the end."""
    made = Observer()
    yield made
    made.close()


def output_of(child):
    """Return what an ended node printed."""
    return child.stdout.read().decode()


def test_publishes_every_status_and_topic(observer):
    """Names, host, sentences, and the three numbers."""
    with running_sentinel(FAST):
        observer.until(lambda: observer.status('Group expendable'), 'diagnostics')
        array = observer.arrays[-1]
        names = [s.name for s in array.status]
        groups = ('bringup', 'drivers', 'navigation', 'expendable')
        assert names == [f'oom_sentinel: {n}' for n in STATUSES] + [
            f'oom_sentinel: Group {g}' for g in groups]
        assert {s.hardware_id for s in array.status} == {os.uname().nodename}
        assert abs(array.header.stamp.sec - time.time()) < 30
        assert float(observer.values('Memory')['MemTotal (MiB)']) > 100
        assert 'PID' in observer.values('OOM risk')['1st victim']
        observer.until(lambda: 'oom_risk' in observer.floats and
                       'memory_available_percent' in observer.floats, 'the numbers for plots')
        assert 0 < observer.floats['memory_available_percent'] <= 100
        assert 0 <= observer.floats['oom_risk'] <= 1


def test_protects_a_process_again_after_a_respawn_and_restores(observer, robot):
    """Within scan_period, each time; ~/restore gives the old value, ~/apply takes over."""
    with running_sentinel(RECORDER):
        for _ in range(2):
            child = robot.start('rosbag', 'recorder')
            wait_for(lambda: oom_score_adj(child.pid) == 300, 'the recorder is raised')
            child.kill()
            child.wait()
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the recorder is raised')
        answer = observer.trigger('restore')
        assert answer.success and '1 of 1' in answer.message
        assert oom_score_adj(child.pid) == 0
        assert observer.trigger('apply').success
        assert oom_score_adj(child.pid) == 300


def test_puts_a_drifted_value_back_and_says_so(observer, robot):
    """Another program's write is undone and named."""
    with running_sentinel(RECORDER):
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the recorder is raised')
        pathlib.Path(f'/proc/{child.pid}/oom_score_adj').write_text('7')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the value is put back')
        observer.until(lambda: '7 put back to 300' in observer.values('Protection').get(
            'drift', ''), 'the drift is reported')
        assert observer.status('Protection').level == b'\x01'


def test_nodes_that_start_one_after_another_are_no_drift(observer, robot):
    """What the table shows of the first is older than the value that it has by now."""
    with running_sentinel({**RECORDER, 'scan_period': 2.0}):
        observer.until(lambda: observer.status('Protection'), 'it runs')
        children = []
        for _ in range(5):
            children.append(robot.start('rosbag', 'recorder'))
            wait_for(lambda: oom_score_adj(children[-1].pid) == 300, 'it is raised')
        observer.until(lambda: observer.status('Protection').message.startswith('5 processes'),
                       'all are known')
        said = [s.message for array in observer.arrays for s in array.status
                if s.name.endswith(': Protection')]
        assert not [text for text in said if 'put back' in text]


@pytest.mark.parametrize('signals', [
    (signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,)])
def test_an_orderly_exit_restores_even_when_interrupted_twice(robot, signals):
    """Exit code 0, and the old value is back; SIGHUP is what a closed terminal sends."""
    with running_sentinel(RECORDER) as sentinel:
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the recorder is raised')
        for number in signals:
            sentinel.send_signal(number)
        assert sentinel.wait(15) == 0
        assert oom_score_adj(child.pid) == 0
        assert '1 of 1 changed processes have their old value again' in output_of(sentinel)


def test_a_respawned_sentinel_knows_the_original_values(robot):
    """Killed and started again, it restores what was before the first one."""
    with running_sentinel(RECORDER) as sentinel:
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the recorder is raised')
        state = pathlib.Path(os.environ['OOM_SENTINEL_STATE']) / 'state.json'
        wait_for(lambda: state.exists() and str(child.pid) in state.read_text(), 'it is kept')
        sentinel.kill()
        sentinel.wait()
    with running_sentinel(RECORDER) as sentinel:
        wait_for(lambda: os.path.exists(f'/proc/{sentinel.pid}'), 'started')
        observer = Observer()
        observer.until(lambda: observer.status('Protection'), 'it runs')
        observer.close()
        sentinel.send_signal(signal.SIGINT)
        assert sentinel.wait(15) == 0
        assert oom_score_adj(child.pid) == 0


def test_a_second_sentinel_only_watches(observer, robot):
    """It finds the lock of the first and says so."""
    with running_sentinel(RECORDER):
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the first protects')
        second = {**RECORDER, 'group.expendable.oom_score_adj': 500}
        with running_sentinel(second, remaps=('-r', '__ns:=/second')):
            other = Observer('second/oom_sentinel')
            status = other.until(lambda: other.status('Protection'), 'the second publishes')
            other.close()
            assert 'Only watching: another sentinel of this user' in status.message
            assert oom_score_adj(child.pid) == 300


def test_a_second_sentinel_takes_over_when_the_first_is_killed(observer, robot):
    """Within a cycle, also after kill -9; and it knows what the first one changed."""
    with running_sentinel(RECORDER) as first:
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'the first protects')
        second = {**RECORDER, 'group.expendable.oom_score_adj': 500}
        with running_sentinel(second, remaps=('-r', '__ns:=/second')) as other:
            watcher = Observer('second/oom_sentinel')
            watcher.until(lambda: watcher.status('Protection'), 'the second publishes')
            first.kill()
            first.wait()
            wait_for(lambda: oom_score_adj(child.pid) == 500, 'the second protects')
            watcher.close()
            other.send_signal(signal.SIGINT)
            assert other.wait(15) == 0
            assert oom_score_adj(child.pid) == 0


def test_denied_lowering_is_reported_with_the_way_to_grant_it(observer, robot):
    """The wanted order is kept by raising others."""
    if lowering_permitted():
        pytest.skip('this machine lets us lower: make vm-test holds the granted side')
    parameters = {**FAST, 'groups': ['drivers'], 'group.drivers.match': ['exe:lidar']}
    with running_sentinel(parameters):
        lidar = robot.start('drv', 'lidar')
        talker = robot.start('demo', 'talker')
        wait_for(lambda: oom_score_adj(talker.pid) >= 40, 'the talker is raised')
        assert oom_score_adj(lidar.pid) == 0
        observer.until(lambda: 'OOMScoreAdjust' in observer.values('Protection').get(
            'denied', ''), 'the denial is told')
        assert observer.status('Protection').level == b'\x00'
        assert 'raising 1 process instead' in observer.status('Protection').message


def test_finds_a_node_that_only_the_graph_knows(observer, tmp_path):
    """The Fast DDS GUID leads from a name given in code to the process."""
    script = tmp_path / 'bare.py'
    script.write_text("import rclpy\nrclpy.init()\nn = rclpy.create_node('localiser')\n"
                      'print(1, flush=True)\nrclpy.spin(n)\n')
    parameters = {**FAST, 'groups': ['named'], 'group.named.match': ['node:/localiser'],
                  'group.named.oom_score_adj': 250}
    with running_sentinel(parameters):
        child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
        try:
            child.stdout.readline()
            wait_for(lambda: oom_score_adj(child.pid) == 250, 'the node is found')
            observer.until(lambda: '/localiser' in observer.values('Group named').get(
                'nodes', ''), 'and named')
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


@pytest.mark.parametrize('atomically', [False, True])
def test_refusals_name_parameter_value_and_range(observer, atomically):
    """And nothing changes."""
    with running_sentinel(FAST):
        for values, words in (({'publish_period': 0.01}, ('publish_period', '0.01', '0.1..60')),
                              ({'scan_period': 'x'}, ('scan_period', "'x'", '0.2..60')),
                              ({'memory__available_error_percent': 40.0},
                               ('memory.available_error_percent', 'at most')),
                              ({'groups': ['Bad']}, ('groups', "'Bad'")),
                              ({'group__drivers__match': ['']}, ('group.drivers.match',)),
                              ({'protection__other_users': True}, ('read-only',)),
                              ({'publish_perod': 1.0}, ('publish_period',))):
            result = observer.set(atomically, **values)[0]
            assert not result.successful
            assert all(word in result.reason for word in words), result.reason
        assert observer.get('publish_period') == 0.2
        assert observer.get('protection.other_users') is False


def test_groups_are_made_and_changed_at_run_time(observer, robot):
    """In one atomic call or one after the other; an integer does for a float."""
    child_value = {'groups': ['late'], 'group.late.match': ['exe:latecomer'],
                   'group.late.oom_score_adj': 123}
    with running_sentinel(FAST):
        child = robot.start('demo', 'latecomer')
        names = {k.replace('.', '__'): v for k, v in child_value.items()}
        assert observer.set(True, **names)[0].successful
        wait_for(lambda: oom_score_adj(child.pid) == 123, 'the new group protects')
        assert observer.set(group__late__oom_score_adj=77)[0].successful
        wait_for(lambda: oom_score_adj(child.pid) == 77, 'the new value is written')
        assert observer.set(group__late__match=[])[0].successful
        wait_for(lambda: oom_score_adj(child.pid) == 0, 'no group: the old value')
        assert observer.set(publish_period=1)[0].successful
        assert observer.get('publish_period') == 1.0
        described = observer.describe('group.late.oom_score_adj')
        assert (described.integer_range[0].from_value, described.integer_range[0].to_value) \
            == (-1000, 1000)


def test_publish_period_takes_effect_within_a_second(observer):
    """From one message a minute to five a second."""
    with running_sentinel({'publish_period': 60.0}):
        # Not before: the only message of this minute may be gone before the two programs met.
        assert observer.set(publish_period=0.2)[0].successful
        observer.until(lambda: len(observer.arrays) > 2, 'messages soon')


def test_a_bad_file_ends_with_code_2_and_a_typo_with_a_warning(observer):
    """One line that teaches, no traceback."""
    with running_sentinel({'publish_period': 'x'}) as sentinel:
        assert sentinel.wait(20) == 2
        said = output_of(sentinel)
        assert 'publish_period' in said and '0.1..60' in said and 'Traceback' not in said
    with running_sentinel({**FAST, 'publish_perod': 1.0, 'group.drivers.match': []}) as sentinel:
        observer.until(lambda: observer.arrays, 'it runs all the same')
        sentinel.send_signal(signal.SIGINT)
        sentinel.wait(15)
        assert 'did you mean publish_period?' in output_of(sentinel)


def test_a_paused_simulation_does_not_stop_it(observer):
    """use_sim_time without a /clock."""
    with running_sentinel({**FAST, 'use_sim_time': True}):
        observer.until(lambda: len(observer.arrays) > 5, 'it goes on publishing')
        assert abs(observer.arrays[-1].header.stamp.sec - time.time()) < 30


def test_an_unwritable_log_directory_is_a_warning(observer, monkeypatch):
    """rclpy.init would raise."""
    monkeypatch.setenv('ROS_LOG_DIR', '/proc/nowhere')
    with running_sentinel(FAST) as sentinel:
        observer.until(lambda: observer.arrays, 'it runs')
        sentinel.send_signal(signal.SIGINT)
        assert sentinel.wait(15) == 0
        assert 'cannot log to /proc/nowhere' in output_of(sentinel)


def test_a_full_disk_costs_only_the_memory_of_originals(observer, robot, tmp_path, monkeypatch):
    """The state file cannot be written: it says so and protects."""
    monkeypatch.setenv('OOM_SENTINEL_STATE', '/dev/full/none')
    with running_sentinel(RECORDER):
        child = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(child.pid) == 300, 'it protects')
        observer.until(lambda: 'state file cannot be' in observer.values('Protection').get(
            'notes', ''), 'it says so')


UNPRIVILEGED = 65534


def as_nobody(*more):
    """Return a command prefix for another uid with a robot's limits, or skip."""
    if os.geteuid() != 0 or shutil.which('setpriv') is None:
        pytest.skip('changing the user needs root and setpriv')
    drop = ('setpriv', f'--reuid={UNPRIVILEGED}', f'--regid={UNPRIVILEGED}', '--clear-groups',
            'sh', '-c')
    # Behind sh, because setpriv itself still has root's file access when it executes.
    tried = subprocess.run([*drop, 'exec "$@"', 'sh', sys.executable, '-c',
                            'import oom_sentinel'], capture_output=True)
    if tried.returncode:
        pytest.skip(f'another user cannot use {os.path.realpath(sys.executable)}: make the '
                    'virtual environment with /usr/bin/python3')
    return (*drop, 'ulimit -n 1024; exec "$@"', 'sh', *more)


def test_runs_unprivileged_and_is_heard_by_another_user(observer, tmp_path):
    """No root, 1024 descriptors, no XDG_RUNTIME_DIR; root receives its /diagnostics."""
    prefix = as_nobody()
    home = tmp_path / 'home'
    home.mkdir()
    for folder in (home, *list(tmp_path.parents)[:2], tmp_path):
        os.chmod(folder, 0o777)
    env = {k: v for k, v in os.environ.items()
           if k not in ('XDG_RUNTIME_DIR', 'ROS_HOME', 'OOM_SENTINEL_STATE')}
    env.update(HOME=str(home), ROS_LOG_DIR=str(home / 'log'))
    with running_sentinel(FAST, env=env, command_prefix=prefix) as sentinel:
        status = observer.until(lambda: observer.status('Memory'), 'heard by another uid')
        assert float({v.key: v.value for v in status.values}['MemTotal (MiB)']) > 100
        assert observer.values('Protection')['own oom_score_adj'] == '0'
        assert len(os.listdir(f'/proc/{sentinel.pid}/fd')) < 100


def test_command_line_agrees_with_the_installed_programs():
    """Both console scripts are there and speak."""
    assert os.access(program('oom_sentinel_node'), os.X_OK)
    done = subprocess.run([program('oom_sentinel'), 'order', '-n', '1'], capture_output=True,
                          text=True)
    assert done.returncode == 0 and 'RANK' in done.stdout
