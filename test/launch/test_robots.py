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

"""turtlebot3.launch.py and turtlebot4.launch.py, with the robot's bringup and without it."""

import json
import os
import pathlib
import shutil

import pytest

# Not `launch`: where it is absent this folder itself would be taken for it.
pytest.importorskip('launch_ros.actions', reason='needs launch_ros: source ROS 2')
from launch import LaunchDescription  # noqa: E402,I100
from launch import LaunchService  # noqa: E402
from launch.actions import IncludeLaunchDescription  # noqa: E402
from launch.launch_description_sources import AnyLaunchDescriptionSource  # noqa: E402
from launch.logging import reset  # noqa: E402

LAUNCH = pathlib.Path(__file__).parents[2] / 'launch'
# Stands for any launch file: declares arguments and writes down what it was given.
RECORDER = """
import json
import os
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
def write(context):
    with open({path!r}, 'w') as stream:
        json.dump(dict(context.launch_configurations), stream)
def generate_launch_description():
    {first}
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value='default') for name in {names!r}),
        OpaqueFunction(function=write)])
"""
OURS = ('params_file', 'preset', 'namespace', 'use_respawn', 'log_level', 'protect_at_start',
        'aggregator')


class Bench:
    """A copy of the launch files beside a stand-in sentinel, and an ament prefix of our own."""

    def __init__(self, folder):
        """Lay the files out."""
        self.folder = folder
        (folder / 'launch').mkdir()
        for file in LAUNCH.glob('turtlebot*.launch.py'):
            shutil.copy(file, folder / 'launch')
        self.record('sentinel', folder / 'launch' / 'oom_sentinel.launch.py', OURS)

    def record(self, name, path, names, first=''):
        """Write a recorder and return nothing; `given` reads what it wrote."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(RECORDER.format(path=str(self.folder / name), names=names, first=first))

    def install(self, package, file, names=(), first=''):
        """Install a bringup into the prefix."""
        index = self.folder / 'prefix/share/ament_index/resource_index/packages'
        index.mkdir(parents=True, exist_ok=True)
        (index / package).touch()
        share = self.folder / 'prefix' / 'share' / package
        self.record('robot', share / 'launch' / file, names, first)

    def run(self, file, **arguments):
        """Launch it and wait for the end."""
        service = LaunchService(argv=[])
        service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
            AnyLaunchDescriptionSource(str(self.folder / 'launch' / file)),
            launch_arguments=arguments.items())]))
        return service.run()

    def given(self, name):
        """Return the launch configurations that a recorder saw, None when it was not included."""
        path = self.folder / name
        return json.loads(path.read_text()) if path.exists() else None


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Return a bench without any robot installed."""
    monkeypatch.setenv('AMENT_PREFIX_PATH', str(tmp_path / 'prefix') + os.pathsep
                       + os.environ.get('AMENT_PREFIX_PATH', ''))
    for name in ('TURTLEBOT3_MODEL', 'LDS_MODEL', 'ROBOT_NAMESPACE'):
        monkeypatch.delenv(name, raising=False)
    reset()  # else launch goes on writing to the standard output of the first test that used it
    return Bench(tmp_path)


@pytest.fixture
def turtlebot3(bench, monkeypatch):
    """Install TurtleBot 3's bringup, which looks its environment up while it is read."""
    bench.install('turtlebot3_bringup', 'robot.launch.py', ('params_file',),
                  "os.environ['TURTLEBOT3_MODEL'], os.environ['LDS_MODEL']")
    return bench


@pytest.mark.parametrize('robot', ['turtlebot3', 'turtlebot4'])
def test_a_robot_that_is_not_installed_is_named_and_the_sentinel_starts(bench, robot, capfd):
    """What to install, and that protection goes on."""
    assert bench.run(f'{robot}.launch.py') == 0
    assert bench.given('sentinel')['preset'] == robot
    said = ''.join(capfd.readouterr())
    assert f'{robot}_bringup is not installed' in said and f'-{robot}-bringup' in said


def test_turtlebot_3_is_included_in_its_namespace(turtlebot3, monkeypatch):
    """The robot and the sentinel get the namespace, and neither the other's arguments."""
    monkeypatch.setenv('TURTLEBOT3_MODEL', 'burger')
    monkeypatch.setenv('LDS_MODEL', 'LDS-02')
    assert turtlebot3.run('turtlebot3.launch.py', namespace='r1',
                          sentinel_params_file='/tmp/mine.yaml') == 0
    sentinel, robot = turtlebot3.given('sentinel'), turtlebot3.given('robot')
    assert (sentinel['namespace'], sentinel['params_file']) == ('r1', '/tmp/mine.yaml')
    assert (robot['namespace'], robot['params_file']) == ('r1', 'default')
    assert not {'preset', 'aggregator', 'log_level'} & set(robot)


def test_turtlebot_3_without_its_environment_says_what_to_set(turtlebot3, monkeypatch, capfd):
    """Instead of a KeyError that ends the launch."""
    monkeypatch.setenv('TURTLEBOT3_MODEL', 'burger')
    assert turtlebot3.run('turtlebot3.launch.py') == 0
    assert turtlebot3.given('robot') is None and turtlebot3.given('sentinel') is not None
    said = ''.join(capfd.readouterr())
    assert 'LDS_MODEL (LDS-01, LDS-02 or LDS-03)' in said and 'TURTLEBOT3_MODEL (' not in said


def test_the_service_includes_the_sentinel_beside_the_bringup(bench, monkeypatch):
    """What robot_upstart's mklaunch makes: includes in one scope, in alphabetical order."""
    monkeypatch.setenv('ROBOT_NAMESPACE', 'r4')
    folder = bench.folder / 'launch'
    bench.record('robot', folder / 'zz_standard.launch.py', ('params_file', 'log_level'))
    (folder / 'turtlebot4.launch').write_text('<launch>' + ''.join(
        f'<include file="{folder / name}"/>' for name in (
            'turtlebot4_sentinel.launch.py', 'zz_standard.launch.py')) + '</launch>')
    assert bench.run('turtlebot4.launch') == 0
    assert (bench.given('sentinel')['namespace'], bench.given('sentinel')['preset']) == (
        'r4', 'turtlebot4')
    robot = bench.given('robot')
    assert (robot['params_file'], robot['log_level']) == ('default', 'default')


@pytest.mark.parametrize('model', ['standard', 'lite'])
def test_turtlebot_4_is_included_by_model(bench, monkeypatch, model):
    """The camera's own params_file stays its own; the namespace comes from the environment."""
    monkeypatch.setenv('ROBOT_NAMESPACE', 'r4')
    bench.install('turtlebot4_bringup', f'{model}.launch.py', ('params_file',))
    assert bench.run('turtlebot4.launch.py', model=model) == 0
    assert bench.given('sentinel')['namespace'] == 'r4'
    assert bench.given('sentinel')['params_file'] == ''
    assert bench.given('robot')['params_file'] == 'default'
