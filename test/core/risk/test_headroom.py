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

"""What is left below limits and watermarks, with zram, and what counts as swap of a group."""

from dataclasses import replace

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import badness
from oom_sentinel.risk import headroom
import pytest

MIB = 1 << 20
INFO = MemInfo(4096 * MIB, 500 * MIB, 1000 * MIB, swap_total_bytes=1000 * MIB,
               swap_free_bytes=800 * MIB)
GROUP = MemoryCgroup('/a', 2, limit_bytes=100 * MIB, usage_bytes=60 * MIB)
GROUP_V1 = replace(GROUP, version=1, swappiness=60)


@pytest.mark.parametrize('group, swappiness, left_mib, total_mib', [
    (GROUP, 60, 840, 1100), (GROUP, None, 840, 1100), (GROUP, 0, 40, 100),
    (GROUP_V1, 0, 840, 1100), (replace(GROUP_V1, swappiness=0), 60, 40, 100),
    (replace(GROUP_V1, swappiness=None), 60, 840, 1100),
    (replace(GROUP_V1, swappiness=0, memsw_limit_bytes=150 * MIB,
             memsw_usage_bytes=60 * MIB), 60, 40, 100)])
def test_swap_counts_only_where_the_group_may_swap(group, swappiness, left_mib, total_mib):
    """mem_cgroup_get_max(): vm.swappiness holds in v2, the group's own in v1."""
    found = headroom.headroom(group, INFO, swappiness)
    assert found.until_oom_bytes == left_mib * MIB
    assert badness.cgroup_totalpages(group, INFO, 4096, swappiness) == total_mib * 256
    assert headroom.limits((CgroupChain('/a', (group,)),), INFO, swappiness) == (found,)


def test_limits_are_those_below_the_machines_memory_the_tightest_first():
    """A limit as large as the machine is none; without /proc/meminfo every limit counts."""
    groups = tuple(replace(GROUP, path=path, limit_bytes=limit_mib and limit_mib * MIB)
                   for path, limit_mib in (('/wide', 4096), ('/most', 4095), ('/none', None),
                                           ('/tight', 70), ('/some', 100)))
    chains = (CgroupChain('/a', groups[:3]), CgroupChain('/b', groups))
    assert [r.group.path for r in headroom.limits(chains, INFO)] == ['/tight', '/some', '/most']
    off = Unavailable('off')
    assert [(r.group.path, r.until_oom_bytes // MIB) for r in headroom.limits(chains, off)] == [
        ('/tight', 10), ('/some', 40), ('/most', 4035), ('/wide', 4036)]
    assert headroom.limits(off, INFO) == ()


@pytest.mark.parametrize('more, left_mib, swap_used', [
    ({'swap_max_bytes': 200 * MIB, 'swap_usage_bytes': 50 * MIB}, 40 + 150, 25.0),
    ({'swap_max_bytes': 200 * MIB, 'swap_usage_bytes': 300 * MIB}, 40, 100.0),
    ({'swap_max_bytes': 200 * MIB}, 40 + 200, 0.0), ({'swap_max_bytes': 0}, 40, None),
    ({'version': 1}, 40 + 800, 20.0),
    ({'version': 1, 'memsw_usage_bytes': 70 * MIB}, 40 + 800, 20.0),
    ({'version': 1, 'memsw_limit_bytes': 200 * MIB}, 40 + 800, 20.0),
    ({'version': 1, 'memsw_limit_bytes': 200 * MIB, 'memsw_usage_bytes': 110 * MIB}, 90, 50.0),
    ({'version': 1, 'memsw_limit_bytes': 200 * MIB, 'memsw_usage_bytes': 200 * MIB}, 0, 100.0),
    ({'version': 1, 'memsw_limit_bytes': 200 * MIB, 'memsw_usage_bytes': 60 * MIB}, 140, 0.0),
    ({'version': 1, 'memsw_limit_bytes': 100 * MIB, 'memsw_usage_bytes': 60 * MIB}, 40, None)])
def test_the_swap_that_a_group_may_still_use(more, left_mib, swap_used):
    """1000 MiB of swap, 800 free; memory.swap.max in v2, the memsw limit for both in v1."""
    found = headroom.headroom(replace(GROUP, **more), INFO)
    assert found.until_oom_bytes == left_mib * MIB
    assert found.swap_used_percent == swap_used
    assert found.percent == min(40.0, left_mib)


def zram(stored_mib, used_mib, limit_mib=None):
    """Return 1000 MiB of swap in compressed memory, 200 MiB of it in use."""
    return (SwapDevice('/dev/zram0', 1000 * MIB, 200 * MIB, Zram(
        'zram0', 1000 * MIB, stored_mib * MIB, used_mib * MIB,
        None if limit_mib is None else limit_mib * MIB)),)


@pytest.mark.parametrize('swaps, left_mib', [
    ((), 1800), (zram(200, 50), 1000 + 600), (zram(10, 1), 1000 + 400),
    (zram(200, 200), 1000), (zram(200, 400), 1000), (zram(200, 50, 100), 1000 + 150),
    (zram(16, 8), 1000 + 400), (zram(16, 4), 1000 + 600), (zram(200, 0), 1000 + 800),
    (zram(200, 0, 100), 1000 + 800),
    ((SwapDevice('/swapfile', 1000 * MIB, 200 * MIB),), 1800),
    ((SwapDevice('/swapfile', 500 * MIB, 0), *zram(200, 50)), 1000 + 600),
    ((*zram(200, 50), SwapDevice('/swapfile', 0, 0)), 1000 + 600)])
def test_swap_in_zram_is_worth_what_compression_saves(swaps, left_mib):
    """800 MiB free: a quarter, the usual half while little is stored, nothing saved, a limit."""
    assert headroom.machine_bytes(INFO, swaps) == left_mib * MIB


@pytest.mark.parametrize('min_free_mib, free_mib, more_mib', [
    (200, 500, 100), (200, 250, 50), (200, 100, 0), (8, 500, 2 * 4096 / 1000)])
def test_what_the_watermarks_set_aside_can_still_be_taken(min_free_mib, free_mib, more_mib):
    """At the high watermark MemAvailable is 0; an allocation fails only below the min one."""
    info = replace(INFO, mem_available_bytes=0, mem_free_bytes=free_mib * MIB, swap_free_bytes=0)
    found = headroom.machine_bytes(info, (), min_free_mib * 1024)
    assert found == pytest.approx(more_mib * MIB, abs=2)
    assert headroom.machine_bytes(info, ()) == 0


@pytest.mark.parametrize('info', [None, replace(INFO, swap_total_bytes=0, swap_free_bytes=0)])
def test_without_swap_nothing_of_it_is_used(info):
    """Unknown is None, not 0."""
    for group in (GROUP, GROUP_V1, replace(GROUP, swap_usage_bytes=20 * MIB)):
        found = headroom.headroom(group, info)
        assert (found.swap_used_percent, found.until_oom_bytes) == (None, 40 * MIB)
