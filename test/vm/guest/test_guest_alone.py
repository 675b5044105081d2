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

"""A global OOM without a sentinel: what test_guest_global.py is compared with."""

from conftest import program
from machine import available_mib
from machine import pid_of
import pytest
from scene import leak_until_someone_dies
from scene import most_of
from scene import start


@pytest.fixture(autouse=True)
def nobody_protects():
    """Fail where a sentinel runs already."""
    assert pid_of(program('oom_sentinel_node')) is None


def test_without_a_sentinel_the_critical_node_dies(robot, tmp_path):
    """The kernel takes the largest: the trouble that we exist for."""
    children = start(robot, tmp_path, bringup_mib=most_of(available_mib()), leaker='recorder')
    assert leak_until_someone_dies(children, tmp_path) == ['bringup']


def test_without_a_sentinel_a_leaking_critical_node_dies(robot, tmp_path):
    """What the mirror is compared with."""
    children = start(robot, tmp_path, bringup_mib=40, leaker='amcl')
    assert leak_until_someone_dies(children, tmp_path) == ['amcl']
