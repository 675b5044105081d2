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

"""Every limit that can kill, read from trees of boards: v1, v2, hybrid, containers, zram."""

import os
import stat

from oom_sentinel import kernel
from oom_sentinel import sentinel
from oom_sentinel import settings
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.status import Level
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import swaps
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import headroom
from oom_sentinel.risk import places
from oom_sentinel.risk.exhaustion import Forecast
import pytest
import tree_files
import trees

MIB = 1 << 20


def chain(tree, path, tmp_path):
    """Return the chain of a path in this tree."""
    return MemoryCgroups(kernel.Root(str(tree.write(tmp_path)))).chain(path)


def left(group, meminfo, tmp_path):
    """Return MiB of memory and until the OOM that a group has left."""
    root = tmp_path / 'machine'
    tree_files.Tree('6.1', files={'/proc/meminfo': meminfo}).write(root)
    found = headroom.headroom(group, kernel.Root(str(root)).meminfo())
    return found.left_bytes // MIB, found.until_oom_bytes // MIB


@pytest.mark.parametrize('given, expected', [
    ({'usage': 400, 'file': 100}, (212, 1212)),
    ({'usage': 400, 'file': 100, 'swap_max': 0}, (212, 212)),
    ({'usage': 400, 'swap_max': 300, 'swap': 100}, (112, 312)),
    ({'usage': 400, 'swap_max': 5000, 'swap': 100}, (112, 1112))])
def test_headroom_in_v2_counts_cache_and_the_swap_allowed(given, expected, tmp_path):
    """Of 512 MiB, on a machine with 1000 MiB of free swap."""
    tree = trees.turtlebot4().add(tree_files.v2('/robot', limit=512, **given))
    group = chain(tree, '/robot', tmp_path).groups[0]
    assert left(group, tree_files.meminfo(4096, 2048, 2000, 1000), tmp_path) == expected


@pytest.mark.parametrize('given, expected', [
    ({'usage': 400, 'memsw': 512, 'file': 50}, (162, 162)),
    ({'usage': 400, 'memsw': 800, 'swap': 100}, (112, 300)),
    ({'usage': 400, 'memsw': 512, 'swap': 100}, (12, 12)),
    ({'usage': 400, 'swap_accounting': False}, (112, 1112))])
def test_headroom_in_v1_is_bounded_by_memory_and_swap_together(given, expected, tmp_path):
    """memory.memsw.limit_in_bytes may be the tighter of the two."""
    tree = trees.no_psi().add(tree_files.v1('/robot', limit=512, **given))
    group = chain(tree, '/robot', tmp_path).groups[0]
    assert left(group, tree_files.meminfo(4096, 2048, 2000, 1000), tmp_path) == expected


def test_a_limit_that_is_no_number_is_named_and_not_taken_for_none(tmp_path):
    """Huge numbers and max are no limit; anything else is unknown."""
    for text, limit, known in (('max', None, True), ('99999999999999999999', None, True),
                               ('0', 0, True), ('-5', None, False), ('', None, False)):
        tree = trees.turtlebot4().add(tree_files.v2('/robot'))
        tree.add({'/sys/fs/cgroup/robot/memory.max': text + '\n'})
        group = chain(tree, '/robot', tmp_path / (text or 'empty')).groups[0]
        assert (group.limit_bytes, group.unreadable is None) == (limit, known), text


def test_an_unreadable_parent_is_named_as_such(tmp_path):
    """Its limit is unknown, not unlimited."""
    tree = trees.turtlebot4()
    tree.add({'/proc/self/cgroup': '0::/system.slice/turtlebot4.service\n'})
    root = tree.write(tmp_path)
    file = root / 'sys/fs/cgroup/system.slice/memory.max'
    file.unlink()
    file.mkdir()  # also root cannot read it: EISDIR
    watcher = sentinel.Sentinel(settings.build({}), root=str(root))
    status = {s.name: s for s in watcher.cycle().statuses}['Control groups']
    assert 'control group /system.slice is unavailable' in status.message
    assert 'unavailable' in dict(status.values)['limits above'] and status.level == Level.OK


def test_a_file_that_may_not_be_read_is_unreadable(tmp_path):
    """As another user: permission denied."""
    if os.geteuid() == 0:
        pytest.skip('root may read everything')
    tree = trees.turtlebot4().add(tree_files.v2('/robot', limit=100))
    root = tree.write(tmp_path)
    (root / 'sys/fs/cgroup/robot/memory.max').chmod(stat.S_IWUSR)
    assert MemoryCgroups(kernel.Root(str(root))).group('/robot').unreadable


@pytest.mark.parametrize('board, words', [
    ('docker_v2', 'above this container'), ('docker_v1', 'above this container'),
    ('podman', 'above this container'), ('kubernetes', 'above this container'),
    ('kubernetes_v1', 'above the mounted control group'), ('turtlebot4', 'all are known'),
    ('hybrid', 'all are known'), ('no_psi', 'all are known'), ('jetson', 'all are known')])
def test_what_a_container_hides_is_said(board, words, tmp_path):
    """A pod's limit above the container's cannot be seen; on a host everything can."""
    watcher = sentinel.Sentinel(settings.build({}), root=str(trees.make(tmp_path, board)))
    status = {s.name: s for s in watcher.cycle().statuses}['Control groups']
    assert words in dict(status.values)['limits above']


def test_a_sibling_outside_the_namespace_has_no_limit_of_ours(tmp_path):
    """/.. is not our root."""
    root = trees.docker_v2().add({'/proc/400/cgroup': '0::/../other\n'}).write(tmp_path)
    cgroups = MemoryCgroups(kernel.Root(str(root)))
    assert (cgroups.path_of(400), cgroups.path_of('self')) == (None, '/')


def test_limits_are_read_seldom_and_usage_each_time(tmp_path):
    """A new limit is seen after ten seconds, or at once when a process was killed."""
    root = trees.docker_v2().write(tmp_path)
    chains = kernel.Chains(MemoryCgroups(kernel.Root(str(root))))
    folder = root / 'sys/fs/cgroup'

    def read(now_s, anew=False):
        group = chains.read(('/',), now_s, anew)[0].groups[0]
        return group.limit_bytes // MIB, group.usage_bytes // MIB

    assert read(100.0) == (512, 300)
    (folder / 'memory.max').write_text(f'{256 * MIB}\n')
    (folder / 'memory.current').write_text(f'{310 * MIB}\n')
    assert read(101.0) == (512, 310)
    assert read(102.0, anew=True) == (256, 310)
    (folder / 'memory.max').write_text('max\n')
    assert read(103.0) == (256, 310)
    assert chains.read(('/',), 113.0)[0].groups[0].limit_bytes is None


def test_members_are_walked_anew_when_someone_came(tmp_path):
    """Else only every ten seconds."""
    root = trees.docker_v2().write(tmp_path)
    cgroups = MemoryCgroups(kernel.Root(str(root)))
    chains = kernel.Chains(cgroups)
    found = chains.read(('/',), 0.0)
    assert dict(chains.members(found, 0.0, 'first'))['/'] == {1, 400, 500}
    (root / 'sys/fs/cgroup/cgroup.procs').write_text('400\n')
    assert dict(chains.members(found, 1.0, 'first'))['/'] == {1, 400, 500}
    assert dict(chains.members(found, 2.0, 'second'))['/'] == {400}


def machine_left(tree, tmp_path):
    """Return the MiB that the machine of a tree has left, memory and swap."""
    root = kernel.Root(str(tree.write(tmp_path)))
    meminfo = root.meminfo()
    devices = kernel.Swaps(root).read(meminfo, 0.0)
    return round(headroom.machine_bytes(meminfo, devices) / MIB)


def test_zram_is_worth_what_compression_saves(tmp_path):
    """1200 available; 1024 free in zram at 0.4 are 614 more, not 1024."""
    assert machine_left(trees.zram_swap(), tmp_path / 'a') == pytest.approx(1814, abs=2)
    empty = tree_files.zram(tree_files.host(
        '6.6', tree_files.meminfo(3900, 1200, 2048, 2048),
        mounts=tree_files.V2_MOUNT.format(root='/'), own='0::/\n'))
    assert machine_left(empty, tmp_path / 'b') == 1200 + 1024  # nothing stored: half
    disk = trees.wsl2()
    assert machine_left(disk, tmp_path / 'c') == 6000 + 2048


def test_zrams_own_limit_ends_it_sooner(tmp_path):
    """1024 stored in 409; with mem_limit 500 another 227 fit, which save 136."""
    tree = tree_files.host('6.6', tree_files.meminfo(3900, 1200, 2048, 1024),
                           mounts=tree_files.V2_MOUNT.format(root='/'), own='0::/\n')
    tree_files.zram(tree, stored=1024, limit=500)
    assert machine_left(tree, tmp_path) == pytest.approx(1200 + 137, abs=2)


def test_swaps_with_a_blank_in_the_name_and_broken_ones():
    """A swap file may be called anything."""
    head = b'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n'
    line = b'/my\\040swap file                           file\t\t2048\t\t1024\t\t-2\n'
    assert swaps.parse(head + line) == (SwapDevice('/my\\040swap file', 2 << 20, 1 << 20),)
    assert swaps.parse(head) == () and swaps.parse(b'') == ()
    assert swaps.mm_stat(b' 4096 74 12288 0 12288 0 0 0 0\n', 'zram0', 1 << 30) == Zram(
        'zram0', 1 << 30, 4096, 12288)
    for broken in (head + b'x\n', head + b'/a file x 1 2\n'):
        with pytest.raises(ParseError):
            swaps.parse(broken)
    with pytest.raises(ParseError):
        swaps.mm_stat(b'1 2', 'zram0', 1)


@pytest.mark.parametrize('seconds, words', [
    (9.4, '9 s'), (95.0, '95 s'), (100.0, '1.7 min'), (120.0, '2 min'), (597.1, '10 min'),
    (640.0, '11 min'), (89 * 60.0, '89 min'), (95 * 60.0, '1.6 h'), (12 * 3600.0, '12 h'),
    (95 * 3600.0, '4 days'), (119.6 * 86400, '120 days')])
def test_a_duration_has_two_digits_and_the_unit_that_fits(seconds, words):
    """As an operator would say it."""
    assert places.duration(seconds) == words


@pytest.mark.parametrize('low_s, middle_s, high_s, words', [
    (4.0, 6.0, 10.0, 'within 10 s'), (4.0, 6.0, 10.6, 'in about 6 s (4 s to 11 s)'),
    (7200.0, 7200.0, 9000.0, 'not within 2 h'),
    (7100.0, 7200.0, 9000.0, 'in about 2 h (2 h to 2.5 h)')])
def test_a_forecast_is_spoken_by_its_edges(low_s, middle_s, high_s, words):
    """Soon, and not for long."""
    assert places.spoken(Forecast(low_s, middle_s, high_s, 60.0)) == words


def test_a_range_is_scaled_by_its_factor_on_both_sides():
    """Twice as wide on a scale of ratios; a soonest end of 0 stays."""
    told = Forecast(50.0, 100.0, 400.0, 60.0)
    assert exhaustion.scaled(told, 2.0) == pytest.approx((25.0, 1600.0))
    assert exhaustion.scaled(told, 1.0) == (50.0, 400.0)
    assert exhaustion.scaled(Forecast(0.0, 100.0, 400.0, 60.0), 2.0) == (0.0, 400.0)
