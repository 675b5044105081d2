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
Containers where the memory controller is in cgroup v1, as older Docker hosts and WSL2 have it.

Only with VM_CGROUP_V1=1 test/vm/run -k cgroup_v1: a controller is in one version at a time.
"""

from conftest import wait_for
from container import Container
from container import GROUPS
from container import V1
from machine import keyed
from machine import MIB
import pytest
from test_guest_containers import asked
from test_guest_containers import CLI
from test_guest_containers import DOCKER
from test_guest_containers import findings
from test_guest_containers import go
from test_guest_containers import HOST_NAMESPACES
from test_guest_containers import leaking
from test_guest_containers import pid_of
from test_guest_containers import script

pytestmark = pytest.mark.skipif(GROUPS != V1, reason='the guest has cgroup v2')


def hit(container, tmp_path):
    """Let it leak and return once the kernel killed in the container."""
    go(container, tmp_path)
    control = f'{V1}{container.cgroup}/memory.oom_control'
    wait_for(lambda: keyed(control)['oom_kill'] > 0, 'the kernel kills in the container')


@pytest.mark.parametrize('namespaces', [
    ('pid', 'cgroup', *HOST_NAMESPACES), ('pid', *HOST_NAMESPACES)])
def test_the_kill_and_the_limit_are_found_inside_and_on_the_host(robot, tmp_path, namespaces):
    """With a cgroup namespace of its own, and without, as Docker has it by default on v1."""
    with Container('robot', DOCKER, limit=100 * MIB, swap=100 * MIB,
                   namespaces=namespaces) as box:
        box.start(script(leaking(robot, tmp_path)))
        assert asked(box, 'kills')[0] == 0
        pid = pid_of(box, 'bringup')
        hit(box, tmp_path)
        shown = box.run(CLI, 'kills')
        print(shown.stdout, shown.stderr)
        assert shown.returncode == 1, shown.stderr
        assert 'This container was hit once' in shown.stdout and '100 MiB' in shown.stdout
        found = findings(box)
        assert 'once' in found['container_kills']['evidence']
        assert '100 MiB' in found['cgroup_limit']['evidence']
        assert 'docker update --memory=150m' in found['cgroup_limit']['remedy']
    kill = [k for k in asked(None, 'kills')[1]['kills'] if k['oom_memcg'] == DOCKER][-1]
    assert kill['victim_pid'] == pid


def test_another_containers_kill_is_not_this_ones(robot, tmp_path):
    """With the host's control groups in sight."""
    here = ('pid', *HOST_NAMESPACES)
    with Container('calm', DOCKER, limit=200 * MIB, namespaces=here) as box, \
            Container('hit', '/docker/b0', limit=60 * MIB, swap=60 * MIB) as other:
        box.start(script(robot.command('demo', 'talker', node='talker')))
        other.start(script(leaking(robot, tmp_path)))
        hit(other, tmp_path)
        assert asked(box, 'kills')[0] == 0
        found = findings(box)
        assert 'container_kills' not in found and '200 MiB' in found['cgroup_limit']['evidence']
