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

from dataclasses import replace
from types import SimpleNamespace

from oom_sentinel import kernel
from oom_sentinel.cli import order
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.swap import swap_devices
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.domains import domains
from oom_sentinel.protection.limits import DomainReader
from oom_sentinel.protection.limits import Limits
from oom_sentinel.protection.limits import nearly_used_up
from oom_sentinel.risk import headroom
import pytest
import trees

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


def test_the_machine_has_what_it_can_give_and_stands_alone_without_control_groups():
    """1000 MiB available and 800 of swap; without /proc/meminfo nothing is known."""
    swaps = (SwapDevice('/dev/sda2', 1000 * MIB, 200 * MIB),)
    (machine,) = domains(Unavailable('no cgroups'), INFO, 4096, swaps)
    left = headroom.machine_bytes(INFO, swaps)
    assert machine.path is None and machine.left_pages == left // 4096 > 1000 * 256
    assert domains(CHAINS, Unavailable('no /proc'), 4096) == ()


@pytest.mark.parametrize('path, left, before, soon', [
    (None, 49, None, True), (None, 50, None, False), ('/robot', 249, None, True),
    ('/robot', 250, None, False), ('/robot', 400, 441, True), ('/robot', 400, 440, False),
    ('/robot', None, 440, False), ('/robot', 400, Domain('/robot', 1000), False)])
def test_little_left_or_an_end_within_twenty_seconds_is_near(path, left, before, soon):
    """A twentieth of the machine, a quarter of a group; 40 pages in 2 s take 400 in 20 s."""
    if isinstance(before, int):
        before = Domain(path, 1000, before)
    assert nearly_used_up(Domain(path, 1000, left), before, 2.0) is soon


def test_a_look_says_whether_a_limit_changed_and_one_is_nearly_reached():
    """The first finds all changed; what is used up is compared with the last look."""
    found = {'limit': 100, 'used': 40}

    def read(paths):
        assert paths == found.get('paths', ())
        group = replace(GROUP, limit_bytes=found['limit'] * MIB, usage_bytes=found['used'] * MIB)
        return (CgroupChain('/robot', (group,)),), INFO, (), 0
    limits = Limits(read, 4096)
    assert limits.look(1000.0) == (True, False)
    assert limits.look(1001.0) == (False, False)
    found['used'] = 50  # the rest is gone in 5 s
    assert limits.look(1002.0) == (False, True)
    assert limits.look(1003.0) == (False, False)
    found['limit'] = 200
    assert limits.look(1004.0) == (True, False)
    found['paths'] = ('/robot',)
    assert [d.path for d in limits.of(('/robot',))] == [None, '/robot']
    assert limits.look(1005.0) == (False, False)


def test_a_plan_that_is_shown_reads_the_same_domains(tmp_path):
    """With swap, of which zram brings less than it says, and vm.swappiness."""
    trees.make(tmp_path, 'raspberry_pi5')
    (tmp_path / 'proc/sys/vm').mkdir(parents=True, exist_ok=True)
    (tmp_path / 'proc/sys/vm/swappiness').write_text('0\n')
    root, asked = kernel.Root(str(tmp_path)), []
    reader = DomainReader(root, None, 16384)
    reader._chains = SimpleNamespace(
        read=lambda paths, now_s: asked.append((paths, now_s)) or CHAINS)
    machine, robot = reader.of(('/robot',))
    assert asked[0][0] == ('/robot',) and asked[0][1] > 0
    info, swaps = root.meminfo(), swap_devices(root)
    assert swaps and machine.left_pages == headroom.machine_bytes(info, swaps) // 16384
    assert machine.left_pages != headroom.machine_bytes(info, ()) // 16384
    assert robot.totalpages == 100 * MIB // 16384, 'vm.swappiness is 0'


def test_pages_are_whole_and_a_container_holds_all_that_it_sees():
    """What is left of a page is none; its own group is / inside."""
    group = replace(GROUP, usage_bytes=60 * MIB + 1)
    _, robot = domains((CgroupChain('/robot', (group,)),), INFO, 4096, (), 0)
    assert isinstance(robot.left_pages, int) and robot.left_pages == 40 * 256 - 1
    process = Process(1, 1, 0, 0, Program('a'), cgroup='/robot')
    assert Domain('/', 100).holds(process) and not Domain('/x', 100).holds(process)


def test_of_several_groups_those_below_the_machines_memory_are_domains():
    """One without a limit, or with one as large as the machine, hides none behind it."""
    limits = {'/a': None, '/b': 4096, '/c': 4095, '/d': 100}
    chain = CgroupChain('/d', tuple(replace(
        GROUP, path=path, limit_bytes=mib and mib * MIB) for path, mib in limits.items()))
    assert [d.path for d in domains((chain,), INFO, 4096)] == [None, '/c', '/d']
