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

"""No peer on the ROS domain stops, bloats or moves the node, whatever it sends or is called."""

import os
import pathlib
import subprocess
import sys

from conftest import oom_score_adj
from conftest import running_sentinel
from conftest import wait_for
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100
from rcl_interfaces.msg import Parameter  # noqa: E402
from rcl_interfaces.msg import ParameterValue  # noqa: E402
from rclpy.parameter import Parameter as RclpyParameter  # noqa: E402

FAST = {'scan_period': 0.2, 'publish_period': 0.2}
HERE = pathlib.Path(__file__).parent


@pytest.fixture
def observer():
    """Return an observer that is closed in the end."""
    made = Observer()
    yield made
    made.close()


def goes_on(observer):
    """Wait for ten more messages."""
    before = len(observer.arrays)
    observer.until(lambda: len(observer.arrays) >= before + 10, 'it goes on publishing')


def text(name, value):
    """Return a parameter message with a list of strings."""
    return RclpyParameter(name, RclpyParameter.Type.STRING_ARRAY, value).to_parameter_msg()


@pytest.mark.parametrize('atomically', [False, True])
def test_a_value_of_unknown_type_is_refused(observer, atomically):
    """For it rclpy raises ValueError out of spin_once."""
    with running_sentinel(FAST) as sentinel:
        strange = Parameter(name='hold_s', value=ParameterValue(type=99))
        result = observer.set_messages([strange], atomically)[0]
        assert not result.successful and 'hold_s' in result.reason and '99' in result.reason
        goes_on(observer)
        assert sentinel.poll() is None


def test_requests_of_any_size_are_answered(observer):
    """Of a thousand names and a megabyte of stars; each refusal names what is allowed."""
    with running_sentinel(FAST):
        many = [Parameter(name=f'group.x{i}.match') for i in range(3000)]
        assert '1000' in observer.set_messages(many)[0].reason
        assert '1000' in observer.set_messages(many, True)[0].reason
        reason = observer.set_messages([text('group.drivers.match', ['exe:' + 'a*' * 500_000])]
                                       )[0].reason
        assert 'group.drivers.match' in reason and '1024 bytes' in reason and len(reason) < 300
        unknown = observer.set_messages([text(f'group.drivrs.match{i}', []) for i in range(900)])
        assert len(unknown) == 900 and 'no such parameter' in unknown[0].reason
        goes_on(observer)


def test_a_node_name_that_is_not_utf_8_stops_nothing(observer):
    """Whoever asks the graph for names gets UnicodeDecodeError as long as that node lives."""
    with running_sentinel(FAST) as sentinel:
        peer = subprocess.Popen([sys.executable, str(HERE / 'bad_name.py'), '15'],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        try:
            assert peer.stdout.readline() == b'announced\n'
            goes_on(observer)
            goes_on(observer)
            assert sentinel.poll() is None
        finally:
            peer.kill()
            peer.wait()
            peer.stdout.close()


def test_a_container_whose_node_name_is_no_ros_name_is_not_asked(observer, tmp_path):
    """A client of an impossible service name raises."""
    program = tmp_path / 'component_container'
    program.write_text(f'#!{os.path.realpath(sys.executable)} -I\nimport time\ntime.sleep(600)\n')
    program.chmod(0o755)
    with running_sentinel(FAST):
        child = subprocess.Popen([str(program), '--ros-args', '-r', '__node:=a b'])
        try:
            goes_on(observer)
            goes_on(observer)
            assert 'unavailable (' not in observer.status('Protection').message
        finally:
            child.kill()
            child.wait()


def test_a_node_without_rosout_is_found_by_its_other_endpoints(observer, tmp_path):
    """enable_rosout=False is usual where bandwidth is short."""
    script = tmp_path / 'bare.py'
    script.write_text('import rclpy\nrclpy.init()\nn = rclpy.create_node("localiser", '
                      'enable_rosout=False)\nprint(1, flush=True)\nrclpy.spin(n)\n')
    parameters = {**FAST, 'groups': ['named'], 'group.named.match': ['node:/localiser'],
                  'group.named.oom_score_adj': 250}
    with running_sentinel(parameters):
        child = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE)
        try:
            child.stdout.readline()
            wait_for(lambda: oom_score_adj(child.pid) == 250, 'the node is found')
        finally:
            child.kill()
            child.wait()
            child.stdout.close()


def test_locked_parameters_refuse_every_change_and_restore(observer, robot):
    """parameters.locked: what others ask for stays without effect."""
    with running_sentinel({**FAST, 'parameters.locked': True}):
        recorder = robot.start('rosbag2_transport', 'recorder')
        wait_for(lambda: oom_score_adj(recorder.pid) == 300, 'the recorder is raised')
        for atomically in (False, True):
            result = observer.set(atomically, hold_s=1.0)[0]
            assert not result.successful and 'parameters.locked' in result.reason
        assert observer.get('hold_s') == 5.0
        answer = observer.trigger('restore')
        assert not answer.success and 'parameters.locked' in answer.message
        assert oom_score_adj(recorder.pid) == 300
        assert observer.trigger('apply').success
