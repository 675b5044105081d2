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

"""The argument `aggregator`, in a namespace and without, and whose arguments remain."""

import json
import os
import sys

from conftest import wait_for
import pytest

pytest.importorskip('launch_ros.actions', reason='needs launch_ros: source ROS 2')
from oom_sentinel.actions.aggregator import name_of  # noqa: E402,I100

# Writes down how it was called; the aggregator stays, add_analyzer ends.
PROGRAM = """#!{python} -I
import json, sys, time
with open({path!r}, 'a') as stream:
    stream.write(json.dumps(sys.argv[1:]) + '\\n')
try:
    time.sleep({seconds})
except KeyboardInterrupt:
    pass
"""
SERVICE = 'analyzers/set_parameters_atomically'


class Installed:
    """A diagnostic_aggregator in an ament prefix of our own."""

    def __init__(self, folder):
        """Install two programs that write their arguments down."""
        self.folder = folder
        index = folder / 'prefix/share/ament_index/resource_index/packages'
        index.mkdir(parents=True)
        (index / 'diagnostic_aggregator').touch()
        (folder / 'prefix/lib/diagnostic_aggregator').mkdir(parents=True)
        for name, seconds in (('aggregator_node', 600), ('add_analyzer', 0)):
            program = self.program(name)
            program.write_text(PROGRAM.format(python=os.path.realpath(sys.executable),
                                              path=str(folder / name), seconds=seconds))
            program.chmod(0o755)

    def program(self, name):
        """Return where a program stands."""
        return self.folder / 'prefix/lib/diagnostic_aggregator' / name

    def called(self, name):
        """Return the arguments of each call."""
        path = self.folder / name
        return [json.loads(line) for line in path.read_text().splitlines()] if (
            path.exists()) else []


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Install it for this test."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix') + os.pathsep
                       + os.environ.get('AMENT_PREFIX_PATH', ''))
    return Installed(tmp_path)


@pytest.mark.parametrize('namespace, words', [
    ('', ()), ('r9', ('__ns:=/r9', '/diagnostics:=diagnostics',
                      '/diagnostics_agg:=diagnostics_agg'))])
def test_our_own_listens_where_the_sentinel_speaks(launch, installed, namespace, words):
    """Asked for with true, at once, with our file."""
    made = launch(f"sentinel(namespace={namespace!r}, aggregator='true'),")
    called = wait_for(lambda: installed.called('aggregator_node'), 'it was started')[0]
    assert set(words) <= set(called)
    assert any(word.endswith('config/diagnostic_aggregator.yaml') for word in called)
    assert bool(words) == ('/diagnostics:=diagnostics' in called)
    made.end()


def test_ours_are_added_to_the_one_that_runs_in_this_namespace(launch, installed):
    """As on TurtleBot 4: without a name, only __ns:= stands on its command line."""
    running = str(installed.program('aggregator_node'))
    made = launch(f"""
        run({running!r}, '--ros-args', '-r', '__ns:=/r9', name='theirs'),
        sentinel(namespace='r9', aggregator='auto'),
    """)
    called = wait_for(lambda: installed.called('add_analyzer'), 'they are added')[0]
    assert f'/{SERVICE}:=/r9/{SERVICE}' in called
    assert len(installed.called('aggregator_node')) == 1
    made.end()


def test_the_one_of_another_robot_is_not_ours(launch, installed):
    """It hears another robot's diagnostics."""
    running = str(installed.program('aggregator_node'))
    made = launch(f"""
        run({running!r}, '--ros-args', '-r', '__ns:=/r8', name='theirs'),
        sentinel(namespace='r9', aggregator='auto'),
    """)
    wait_for(lambda: len(installed.called('aggregator_node')) == 2, 'our own was started')
    assert '__ns:=/r9' in installed.called('aggregator_node')[1]
    assert installed.called('add_analyzer') == []
    made.end()


@pytest.mark.parametrize('command, names, wanted', [
    ('aggregator_node', (), '/analyzers'),
    ('aggregator_node --ros-args -r __ns:=/', (), '/analyzers'),
    ('aggregator_node --ros-args -r __ns:=/a/b', (), '/a/b/analyzers'),
    ('aggregator_node --ros-args -r __node:=agg -r __ns:=/a', ('/a/agg',), '/a/agg')])
def test_the_name_of_an_aggregator_is_read_from_its_command_line(command, names, wanted):
    """Its own name is analyzers, not that of its program."""
    assert name_of(command.split(), names) == wanted


RECORDER = """
import json
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
NAMES = ('params_file', 'namespace', 'use_respawn', 'log_level', 'preset')
def write(context):
    with open({path!r}, 'w') as stream:
        json.dump({{n: context.launch_configurations[n] for n in NAMES}}, stream)
def generate_launch_description():
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value='its own') for name in NAMES),
        OpaqueFunction(function=write)])
"""


def test_what_is_included_after_us_keeps_its_own_arguments(launch, tmp_path):
    """Nav2 and cameras declare params_file too; our default must not become theirs."""
    from ament_index_python.packages import get_package_share_directory
    ours = os.path.join(get_package_share_directory('oom_sentinel'), 'launch',
                        'oom_sentinel.launch.py')
    later, seen = tmp_path / 'later.launch.py', tmp_path / 'seen.json'
    later.write_text(RECORDER.format(path=str(seen)))
    made = launch(f'<launch><include file="{ours}"/><include file="{later}"/></launch>',
                  kind='xml')
    made.pid('oom_sentinel_node')
    wait_for(lambda: seen.exists() and seen.read_text().endswith('}'), 'it was included')
    assert set(json.loads(seen.read_text()).values()) == {'its own'}
    made.end()
