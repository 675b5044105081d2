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
"""Shedding for real: a recorder that leaks in a control group ends before the kernel kills."""

import os
import pathlib
import sys

from conftest import running_sentinel
from conftest import wait_for
from limited import limited_cgroup  # noqa: F401
import pytest

pytest.importorskip('rclpy')
sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / 'ros'))
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402,I100
from ear import KEPT  # noqa: E402,I100
from observer import Observer  # noqa: E402

PARAMETERS = {
    'scan_period': 0.2, 'publish_period': 0.5, 'groups': ['critical', 'recorders'],
    'group.critical.match': ['exe:critical'], 'group.critical.oom_score_adj': -500,
    'group.recorders.match': ['exe:recorder'], 'group.recorders.oom_score_adj': 300,
    'group.recorders.shed': ['interrupt', 'terminate', 'kill'],
}
# As rosbag2 does: at SIGINT it writes what it has and says so in a file.
RECORDER = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN if sys.argv[2] == 'deaf' else
              signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[2] == 'deaf' else signal.SIG_DFL)
held = [b'x' * (int(sys.argv[4]) << 20)]
print('ready', flush=True)
try:
    while True:
        held.append(b'x' * (1 << 20))
        time.sleep(float(sys.argv[3]))
except KeyboardInterrupt:
    pathlib.Path(sys.argv[1]).write_text('closed')
"""


class Listener(Observer):
    """An observer that hears ~/actions too."""

    def __init__(self):
        """Subscribe to the past actions too."""
        super().__init__()
        self.actions = []
        self.node.create_subscription(
            DiagnosticArray, '/oom_sentinel/actions',
            lambda message: self.actions.extend(message.status), KEPT)

    def results(self):
        """Return step and result of each action that was told."""
        values = [{v.key: v.value for v in status.values} for status in self.actions]
        return [(value['step'], value['result']) for value in values]


@pytest.fixture(name='listener')
def actions_listener():
    """Return a listener."""
    made = Listener()
    yield made
    made.close()


def recorder(robot, cgroup, metadata, manner='polite', pause_s=0.1, mib=100):
    """Start a recorder that holds so many MiB and leaks another each `pause_s` seconds."""
    program = robot.prefix / 'lib' / 'rosbag' / 'recorder'
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!{os.path.realpath(sys.executable)}\n{RECORDER}')
    program.chmod(0o755)
    robot.command = lambda *_args, **_more: [
        sys.executable, '-IS', str(program), str(metadata), manner, str(pause_s), str(mib),
        '--ros-args', '-r', '__node:=recorder']
    return robot.start('rosbag', 'recorder', preexec=cgroup.join)


def oom_kills(cgroup):
    """Return how many processes the kernel killed in the control group."""
    name = 'memory.oom_control' if cgroup.version == 1 else 'memory.events'
    with open(f'{cgroup.path}/{name}', encoding='ascii') as stream:
        return dict(line.split() for line in stream)['oom_kill']


def test_a_leaking_recorder_closes_its_file_and_the_kernel_kills_nobody(
        robot, cgroup, tmp_path, listener):
    """Interrupted before the limit is reached; the critical node lives, the action is told."""
    critical = robot.start('base', 'critical', node='critical', mib=60, preexec=cgroup.join)
    with running_sentinel({**PARAMETERS, 'shed.mode': 'act'}):
        listener.until(lambda: listener.arrays, 'it watches')
        leaking = recorder(robot, cgroup, tmp_path / 'metadata')
        wait_for(lambda: leaking.poll() is not None, 'the recorder ends', 60)
        assert (tmp_path / 'metadata').read_text() == 'closed'
        assert oom_kills(cgroup) == '0' and critical.poll() is None
        listener.until(listener.results, 'the action is told')
        assert listener.results() == [('interrupt', 'ended')]
        (action,) = listener.actions
        assert action.message.startswith('/recorder was interrupted (SIGINT): ')
        brought = {v.key: v.value for v in action.values}['brought (MiB)']
        assert int(brought) > 50
    critical.kill()


def test_one_that_ignores_signals_is_killed_in_the_end(robot, cgroup, tmp_path, listener):
    """Step by step, each with its own grace."""
    with running_sentinel({**PARAMETERS, 'shed.mode': 'act'}):
        listener.until(lambda: listener.arrays, 'it watches')
        leaking = recorder(robot, cgroup, tmp_path / 'metadata', 'deaf', 0.2, 190)
        wait_for(lambda: leaking.poll() is not None, 'the recorder ends', 100)
        assert leaking.returncode == -9 and oom_kills(cgroup) == '0'
        listener.until(lambda: len(listener.results()) == 3, 'three steps are told')
        assert listener.results() == [('interrupt', 'still runs'), ('terminate', 'still runs'),
                                      ('kill', 'ended')]


def test_report_says_what_it_would_do_and_does_nothing(robot, cgroup, tmp_path, listener):
    """The kernel kills, as it would without us."""
    with running_sentinel({**PARAMETERS, 'shed.mode': 'report'}):
        listener.until(lambda: listener.arrays, 'it watches')
        leaking = recorder(robot, cgroup, tmp_path / 'metadata', mib=190)
        wait_for(lambda: leaking.poll() is not None, 'the recorder ends', 60)
        assert leaking.returncode == -9 and oom_kills(cgroup) == '1'
        listener.until(listener.results, 'the intent is told')
        assert set(listener.results()) == {('interrupt', 'would be done')}


def test_shed_on_request_is_refused_unless_shedding_acts(robot, cgroup, tmp_path, listener):
    """`~/shed` ends one process now; it exists only where shed.mode is act."""
    with running_sentinel({**PARAMETERS, 'shed.mode': 'act'}):
        recording = recorder(robot, cgroup, tmp_path / 'metadata', pause_s=0.05)
        listener.until(lambda: '/recorder' in listener.values('Group recorders').get(
            'nodes', ''), 'the recorder is known')
        listener.until(lambda: listener.trigger('shed').success,
                       'a process is shed')
        wait_for(lambda: recording.poll() is not None, 'the recorder ends')
        assert (tmp_path / 'metadata').read_text() == 'closed'
