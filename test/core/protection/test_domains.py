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

"""The memory domains, and what of swap counts in them."""

from types import SimpleNamespace

from oom_sentinel.cli import order
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.protection.domains import domains
from oom_sentinel.protection.limits import Limits
import pytest

MIB = 1 << 20
INFO = MemInfo(4096 * MIB, 500 * MIB, 1000 * MIB, swap_total_bytes=1000 * MIB,
               swap_free_bytes=800 * MIB)
GROUP = MemoryCgroup('/robot', 2, limit_bytes=100 * MIB, usage_bytes=60 * MIB)
CHAINS = (CgroupChain('/robot', (GROUP,)),)
SWAPS = [(0, 100, 40), (60, 1100, 840), (None, 1100, 840)]


@pytest.mark.parametrize('swappiness, total_mib, left_mib', SWAPS)
def test_swap_counts_only_where_the_group_may_swap(swappiness, total_mib, left_mib):
    """mem_cgroup_get_max(): with vm.swappiness 0 a group of v2 has its limit alone."""
    machine, robot = domains(CHAINS, INFO, 4096, (), swappiness)
    assert machine.totalpages == 5096 * 256
    assert (robot.totalpages, robot.left_pages) == (total_mib * 256, left_mib * 256)


@pytest.mark.parametrize('swappiness, total_mib, left_mib', SWAPS)
def test_the_limits_pass_the_swappiness_on(swappiness, total_mib, left_mib):
    """What the sentinel reads reaches the domains."""
    found = Limits(lambda paths: (CHAINS, INFO, (), swappiness), 4096).of(('/robot',))
    assert [d.totalpages for d in found] == [5096 * 256, total_mib * 256]


@pytest.mark.parametrize('swappiness, total_mib, left_mib', SWAPS)
def test_the_order_inside_a_group_counts_swap_the_same_way(swappiness, total_mib, left_mib):
    """`order --cgroup` has the totalpages that the kernel uses there."""
    cgroups = SimpleNamespace(
        mount=SimpleNamespace(mount_point='/sys/fs/cgroup'), exists=lambda path: True,
        members=lambda path: frozenset(), group=lambda path: GROUP)
    reading = SimpleNamespace(
        table=SimpleNamespace(cgroups=cgroups), meminfo=INFO, processes=(),
        host=SimpleNamespace(page_size=4096), root=SimpleNamespace(
            number={'/proc/sys/vm/swappiness': swappiness}.get))
    assert order.inside('/robot', reading) == ((), total_mib * 256)
