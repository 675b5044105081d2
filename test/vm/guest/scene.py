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

"""A small robot on a machine that runs out of memory: three critical nodes and a leak."""

from conftest import wait_for
from machine import available_mib
from machine import dead
from machine import oom_kills


def start(robot, tmp_path, *, bringup_mib, leaker):
    """Start three critical nodes, an innocent and the leaker, which waits for the go file."""
    leak = {'leak_mib_s': 1000.0, 'go': tmp_path / 'go'}
    children = {
        'bringup': robot.start('base', 'bringup', node='base', mib=bringup_mib),
        'lidar': robot.start('drv', 'lidar', node='lidar', mib=20),
        'amcl': robot.start('nav2_amcl', 'amcl', node='amcl', mib=20,
                            **(leak if leaker == 'amcl' else {})),
        'innocent': robot.start('demo', 'innocent', node='innocent', mib=20)}
    if leaker == 'recorder':
        children['recorder'] = robot.start('rosbag', 'recorder', node='recorder', **leak)
    return children


def leak_until_someone_dies(children, tmp_path):
    """Let the leak go and return the names of the dead once the memory is free again."""
    before = oom_kills()
    (tmp_path / 'go').touch()
    wait_for(lambda: dead(children), 'the kernel kills someone')
    wait_for(lambda: available_mib() > 80, 'the memory is free again')
    names = dead(children)
    assert oom_kills() - before == len(names), 'someone else died too'
    return names


def most_of(free_mib):
    """Return a size that is more than what remains of it for the leaker and the small ones."""
    return free_mib * 55 // 100
