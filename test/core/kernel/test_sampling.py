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

"""Which control groups a sample looks at."""

from types import SimpleNamespace

from oom_sentinel import kernel
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.parts import Parts
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.kernel import sampling
import pytest


def process(pid, cgroup, uid=1000, ros=True, domain=None):
    """Return a process in a control group."""
    return Process(pid, pid, 1, uid, Program('x', ros=ros, ros_domain_id=domain), cgroup=cgroup)


@pytest.mark.parametrize('user, expected', [(1000, ('/a', '/b')), (0, ('/a', '/b', '/other')),
                                            (7, ())])
def test_every_limit_above_a_ros_process_of_this_user_counts(monkeypatch, user, expected):
    """
    Root looks at everybody's; a program that is not ROS, or of no known group, adds none.

    Nor does another robot's, which is in a ROS domain of its own.
    """
    monkeypatch.setattr(sampling.os, 'geteuid', lambda: user)
    monkeypatch.setenv('ROS_DOMAIN_ID', '7')
    scanner = SimpleNamespace(
        table=SimpleNamespace(root=kernel.Root('/'), cgroups=None),
        processes=(process(1, '/a', domain=7), process(2, '/b'),
                   process(8, '/robot2', domain=8), process(3, '/a'), process(4, None),
                   process(5, '/shell', ros=False), process(6, '/other', uid=1001)))
    sampler = sampling.Sampler(scanner, Host('h', 4096, '6.1'), Parts(), lambda: 0.0)
    assert sampler.ros_cgroups() == expected
    scanner.processes = ()
    assert sampler.ros_cgroups() == ()
