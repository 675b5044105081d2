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

"""The presets as rcl reads them, by the real node, in a namespace and without."""

import os
import pathlib
import subprocess
import sys

from conftest import assert_clean
from conftest import program
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100
from oom_sentinel.settings import parameter_file  # noqa: E402

CONFIG = pathlib.Path(__file__).parents[2] / 'config'


@pytest.mark.parametrize('preset', ['turtlebot3', 'turtlebot4', 'nav2', 'oom_sentinel'])
def test_the_node_reads_a_preset_without_a_warning(preset):
    """Quotes, globs and comments mean to rcl's parser what they mean to ours."""
    path = str(CONFIG / f'{preset}.yaml')
    chosen = parameter_file.load(path).settings
    node = subprocess.Popen(
        [program('oom_sentinel_node'), '--ros-args', '--params-file', path,
         '-p', 'protection.enabled:=false'],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    observer = Observer()
    try:
        assert observer.get('groups') == list(chosen.groups)
        for group in chosen.protection_groups:
            said = observer.get(f'group.{group.name}.match')
            assert said == [f'{s.kind}:{s.pattern}' for s in group.match]
            assert observer.get(f'group.{group.name}.oom_score_adj') == group.oom_score_adj
    finally:
        observer.close()
        node.terminate()
        said, _ = node.communicate(timeout=20)
    assert_clean(said)
    # Of parameters: the kernel may well kill something meanwhile, which is a warning too.
    assert not any('WARN' in line and 'parameter' in line for line in said.splitlines()), said
