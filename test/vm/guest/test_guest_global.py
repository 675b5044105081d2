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
A global OOM: who dies when the whole machine has no memory left, all deaths counted.

The critical node holds more than half of what is free, so without a sentinel it is the kernel's
choice: see test_guest_alone.py.
"""

from conftest import oom_score_adj
from conftest import wait_for
from machine import available_mib
from scene import leak_until_someone_dies
from scene import most_of
from scene import start

ADJ = {'bringup': -500, 'lidar': -400, 'amcl': -300}


def values_of(children):
    """Return the oom_score_adj of each critical node."""
    return {name: oom_score_adj(children[name].pid) for name in ADJ}


def test_only_the_leaking_expendable_dies_and_the_sentinel_goes_on(watched, robot, tmp_path):
    """The critical ones live with their exact values, and /diagnostics goes on."""
    children = start(robot, tmp_path, bringup_mib=most_of(available_mib()), leaker='recorder')
    wait_for(lambda: values_of(children) == ADJ, 'the groups have their values')
    wait_for(lambda: oom_score_adj(children['recorder'].pid) == 300, 'the recorder too')
    assert leak_until_someone_dies(children, tmp_path) == ['recorder']
    assert values_of(children) == ADJ
    watched.observer.arrays.clear()
    watched.observer.until(lambda: len(watched.observer.arrays) > 2, 'it goes on publishing')
    assert watched.child.poll() is None and oom_score_adj(watched.child.pid) == -300
    watched.tells(children['recorder'], level=1, node='/recorder', why='whole machine')


def test_a_leak_in_a_protected_node_takes_only_itself(watched, robot, tmp_path):
    """The mirror: with the sentinel no more die than without it."""
    children = start(robot, tmp_path, bringup_mib=40, leaker='amcl')
    wait_for(lambda: values_of(children) == ADJ, 'the groups have their values')
    assert leak_until_someone_dies(children, tmp_path) == ['amcl']
    assert watched.child.poll() is None
    watched.tells(children['amcl'], level=2, node='/amcl', why='whole machine')
