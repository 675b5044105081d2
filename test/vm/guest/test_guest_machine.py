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

"""The guest is what the other tests here rely on."""

import os

from conftest import lowering_permitted


def test_the_guest_has_cgroup_v2_pressure_and_every_capability():
    """What the machines that run the other suites mostly lack."""
    assert os.geteuid() == 0 and lowering_permitted()
    with open('/sys/fs/cgroup/cgroup.subtree_control', encoding='ascii') as stream:
        assert 'memory' in stream.read().split()
    with open('/proc/pressure/memory', encoding='ascii') as stream:
        assert stream.read().startswith('some avg10=')
