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

"""The real diagnostic_aggregator with our file: its own, and added while it runs."""

import contextlib
import json
import os
import pathlib
import subprocess
import sys

from conftest import running_sentinel
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.dirname(__file__))
from ament_index_python.packages import get_package_prefix  # noqa: E402,I100
from ament_index_python.packages import PackageNotFoundError  # noqa: E402
from diagnostic_msgs.msg import DiagnosticArray  # noqa: E402
from observer import Observer  # noqa: E402

FILE = pathlib.Path(__file__).parents[2] / 'config' / 'diagnostic_aggregator.yaml'
ITEMS = ('Memory/Control groups', 'Memory/Memory', 'Memory/Memory pressure', 'Memory/OOM risk',
         'Protection/Protection', 'Kills/OOM kills', 'Groups/drivers')
SETTINGS = {'publish_period': 0.5, 'groups': ['drivers'], 'protection.enabled': False}
# What a robot's own aggregator shows already.
ROBOT = {'/**': {'ros__parameters': {
    'path': 'Robot', 'lidar': {'type': 'diagnostic_aggregator/GenericAnalyzer', 'path': 'Lidar',
                               'contains': ['scan']}}}}


def executable(name):
    """Return a program of diagnostic_aggregator, skip where it is not installed."""
    try:
        prefix = get_package_prefix('diagnostic_aggregator')
    except (PackageNotFoundError, OSError):  # OSError: AMENT_PREFIX_PATH is not set
        pytest.skip('needs diagnostic_aggregator: apt-get install ros-$ROS_DISTRO-diagnostic-'
                    'aggregator')
    return os.path.join(prefix, 'lib', 'diagnostic_aggregator', name)


@contextlib.contextmanager
def aggregator(file):
    """Run an aggregator with this parameter file."""
    child = subprocess.Popen(
        [executable('aggregator_node'), '--ros-args', '--params-file', str(file)])
    try:
        yield
    finally:
        child.kill()
        child.wait()


@pytest.fixture
def shown():
    """Return a function that waits until all these names are shown, and returns all names."""
    observer, arrays = Observer(), []
    observer.node.create_subscription(DiagnosticArray, '/diagnostics_agg', arrays.append, 10)

    def wait(*names):
        def all_there():
            found = [status.name for status in arrays[-1].status] if arrays else []
            return found if set(names) <= set(found) else None
        return observer.until(all_there, f'{names} on /diagnostics_agg')
    yield wait
    observer.close()


def test_as_the_aggregators_own_file(shown):
    """Every status below OOM Sentinel, none of ours in Other."""
    with aggregator(FILE), running_sentinel(SETTINGS):
        names = shown('/OOM Sentinel', *(f'/OOM Sentinel/{item}' for item in ITEMS))
        assert [name for name in names if 'Other' in name and 'oom_sentinel' in name] == []


def test_added_while_the_robots_aggregator_runs(shown, tmp_path):
    """The robot's own branch stays, ours stands beside it."""
    file = tmp_path / 'robot.yaml'
    file.write_text(json.dumps(ROBOT))
    with aggregator(file), running_sentinel(SETTINGS):
        shown('/Robot/Lidar')
        subprocess.run([executable('add_analyzer'), '--ros-args', '--params-file', str(FILE)],
                       check=True, timeout=60)
        names = shown('/Robot/Lidar', *(f'/Robot/OOM Sentinel/{item}' for item in ITEMS))
        assert len(names) == len(set(names))
