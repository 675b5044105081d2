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

"""The memory nobody owns: GPU and drivers, tmpfs, and what dead DDS participants left."""

import fcntl
import os
import subprocess
import sys
import time

from oom_sentinel import kernel
from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import swap
from oom_sentinel.risk import leaks
from oom_sentinel.risk.levels import Finding
import pytest
import tree_files
import trees

MIB = 1 << 20
SETTINGS = settings.build({})


def of(text, tmp_path):
    """Return the MiB that nobody owns by this meminfo."""
    root = kernel.Root(str(tree_files.Tree('6.1', files={'/proc/meminfo': text}).write(tmp_path)))
    found = leaks.unowned_bytes(root.meminfo())
    return None if found is None else found // MIB


def test_what_no_line_of_meminfo_names_is_unaccounted(tmp_path):
    """All is named, then 300 MiB of anonymous memory are held by a driver instead."""
    plain = tree_files.meminfo(4096, 2048, Shmem=0, KReclaimable=None)
    assert of(plain, tmp_path / 'a') == 0
    taken = tree_files.meminfo(4096, 2048, AnonPages=1024 * (4096 - 2048 - 80 - 300))
    assert of(taken, tmp_path / 'b') == 300
    assert of(taken + 'Hugetlb:  204800 kB\n', tmp_path / 'c') == 100
    assert of('MemTotal: 1000 kB\nMemFree: 500 kB\n', tmp_path / 'd') is None


def test_this_machine_owns_up_to_its_memory():
    """Less than a tenth of it is unaccounted, and it is not negative."""
    root = kernel.Root('/')
    info = root.meminfo()
    found = leaks.unowned_bytes(info, kernel.Swaps(root).read(info, 0.0))
    assert found is not None and 0 <= found < 0.1 * info.mem_total_bytes


def test_a_jetsons_gpu_memory_is_named(tmp_path):
    """What nvmap uses is in it, and the memory of zram is not."""
    root = kernel.Root(str(trees.make(tmp_path, 'jetson')))
    info = root.meminfo()
    taken = Sample(0.0, 0.0, root.host(), info, Unavailable('off'), VmStat(0),
                   swaps=kernel.Swaps(root).read(info, 0.0))
    assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
    values = dict(report.compose(taken, assessment, Protection(), SETTINGS)[0].values)
    assert 'of it GPU (NvMap) 879' in values['unaccounted (MiB)']
    assert int(values['unaccounted (MiB)'].split(',')[0]) > 879
    assert 'CMA in use 61' in values['unaccounted (MiB)']


def test_it_is_named_when_it_grows():
    """A driver that leaks 100 MiB an hour is seen within half an hour; no node is blamed."""
    history, found, status = risk.History(), None, None
    for at in range(0, 1800, 10):
        nobodys = int(at * 100 / 3600 * MIB)
        info = MemInfo(4096 * MIB, 1024 * MIB, 2048 * MIB, buffers_bytes=0,
                       cached_bytes=1024 * MIB, anon_pages_bytes=1500 * MIB - nobodys,
                       slab_bytes=0, page_tables_bytes=0, shmem_bytes=nobodys)
        taken = Sample(float(at), at, Host('r', 4096, '6.1'), info, Unavailable('off'),
                       VmStat(0))
        found, history = risk.assess(taken, history, SETTINGS)
        status = report.compose(taken, found, Protection(), SETTINGS)[0]
    assert [s.split(' (')[0] for s in found.leak_suspects] == [
        'shared memory', 'memory that no process owns'] or len(found.leak_suspects) == 2
    assert 'memory that no process owns grows by 100 MiB/h' in status.message
    assert status.level == Level.OK


def make_segment(folder, name, mib, age_s=60.0):
    """Make a segment and its lock file as Fast DDS does, of this age."""
    (folder / name).write_bytes(b'x' * (mib * MIB))
    lock = folder / (name + '_el')
    lock.write_bytes(b'')
    os.utime(lock, (time.time() - age_s,) * 2)
    return lock


def test_segments_without_a_living_owner_are_counted(tmp_path):
    """Held, left behind, too young to tell, and what is none of Fast DDS's."""
    held = make_segment(tmp_path, 'fastdds_0123456789abcdef', 1)
    make_segment(tmp_path, 'fastrtps_0123456789abcde0', 2)
    make_segment(tmp_path, 'fastdds_0123456789abcde1', 4)
    make_segment(tmp_path, 'fastdds_0123456789abcde2', 8, age_s=0.0)
    make_segment(tmp_path, 'fastdds_port7410', 16)
    make_segment(tmp_path, 'other_0123456789abcdef', 16)
    with open(held, 'rb') as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        found = kernel.SharedMemory(kernel.Root('/'), str(tmp_path)).read(0.0)
    assert found == DdsSegments(live=2, dead=2, dead_bytes=6 * MIB)


def test_an_owner_that_is_killed_leaves_a_dead_segment(tmp_path):
    """The kernel gives the lock back, whatever the end was."""
    lock = make_segment(tmp_path, 'fastdds_0123456789abcdef', 1)
    owner = subprocess.Popen([sys.executable, '-S', '-c', (
        'import fcntl, sys, time\nstream = open(sys.argv[1])\n'
        'fcntl.flock(stream, fcntl.LOCK_EX)\nprint("held", flush=True)\ntime.sleep(60)'),
        str(lock)], stdout=subprocess.PIPE)
    shared = kernel.SharedMemory(kernel.Root('/'), str(tmp_path))
    try:
        assert owner.stdout.readline() == b'held\n'
        assert shared.read(0.0).dead == 0
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    assert shared.read(10.0).dead == 0  # as last looked at
    assert shared.read(40.0) == DdsSegments(0, 1, MIB)


def test_many_segments_are_counted_less_often(tmp_path, monkeypatch):
    """Each takes 25 us: after a crash loop there are hundreds."""
    monkeypatch.setattr(swap, 'SEGMENT_PERIOD_S', 50.0)
    make_segment(tmp_path, 'fastdds_0123456789abcdef', 1)
    shared = kernel.SharedMemory(kernel.Root('/'), str(tmp_path))
    assert shared.read(0.0).dead == 1
    make_segment(tmp_path, 'fastdds_0123456789abcdee', 1)
    assert shared.read(49.0).dead == 1 and shared.read(50.0).dead == 2
    make_segment(tmp_path, 'fastdds_0123456789abcded', 1)
    assert shared.read(149.0).dead == 2 and shared.read(150.0).dead == 3


def test_no_shared_memory_and_a_captured_tree_are_unavailable(tmp_path):
    """With the reason; the status says so."""
    gone = kernel.SharedMemory(kernel.Root('/'), str(tmp_path / 'none')).read(0.0)
    assert isinstance(gone, Unavailable) and 'none' in gone.why
    captured = kernel.Root(str(trees.make(tmp_path, 'turtlebot4')))
    assert isinstance(kernel.SharedMemory(captured).read(0.0), Unavailable)


def test_many_dead_segments_are_a_warning_with_the_remedy():
    """From a twentieth of memory on; below, only the value says so."""
    info = MemInfo(1000 * MIB, 800 * MIB, 800 * MIB)
    for held, level in ((49, Level.OK), (51, Level.WARN)):
        taken = Sample(0.0, 0.0, Host('r', 4096, '6.1'), info, Unavailable('off'), VmStat(0),
                       dds_segments=DdsSegments(1, 90, held * MIB))
        found, _ = risk.assess(taken, risk.History(), SETTINGS)
        status = report.compose(taken, found, Protection(), SETTINGS)[0]
        assert status.level == level
        assert 'fastdds shm clean' in dict(status.values)['Fast DDS segments of dead processes']
        assert ('run fastdds shm clean' in status.message) == (level == Level.WARN)


def named(**mib):
    """Return 1000 MiB of which /proc/meminfo names 680, and these more."""
    parts = {'mem_free': 100, 'buffers': 10, 'cached': 200, 'anon_pages': 300, 'slab': 50,
             'page_tables': 20, **mib}
    return MemInfo(mem_total_bytes=1000 * MIB, **{
        f'{name}_bytes': None if size is None else size * MIB for name, size in parts.items()})


@pytest.mark.parametrize('more, unowned_mib', [
    ({}, 320), ({'kernel_stack': 30}, 290), ({'vmalloc_used': 70}, 250),
    ({'kernel_stack': 30, 'vmalloc_used': 70}, 250),
    ({'kernel_stack': 30, 'vmalloc_used': 7}, 290),
    ({'k_reclaimable': 80, 's_reclaimable': 30}, 270), ({'k_reclaimable': 80}, 240),
    ({'k_reclaimable': 20, 's_reclaimable': 30}, 320), ({'s_reclaimable': 30}, 320),
    ({'swap_cached': 5}, 315), ({'sec_page_tables': 5}, 315), ({'percpu': 5}, 315),
    ({'hugetlb': 5}, 315), ({'zswap': 5}, 315), ({'balloon': 5}, 315), ({'hugetlb': 400}, 0),
    ({'swap_cached': 1, 'sec_page_tables': 2, 'percpu': 4, 'hugetlb': 8, 'zswap': 16,
      'balloon': 32}, 320 - 63),
    ({'buffers': None}, None), ({'cached': None}, None), ({'anon_pages': None}, None),
    ({'slab': None}, None), ({'page_tables': None}, None), ({'shmem': 50}, 320)])
def test_what_is_named_once_is_owned(more, unowned_mib):
    """Kernel stacks lie in vmalloc memory, and reclaimable slab in KReclaimable."""
    found = leaks.unowned_bytes(named(**more))
    assert found == (None if unowned_mib is None else unowned_mib * MIB)


def test_what_zram_stores_is_owned_and_other_swap_takes_no_memory():
    """Two devices of 40 and 30 MiB; one whose use is unknown counts nothing."""
    swaps = tuple(SwapDevice(f'/dev/zram{i}', 500 * MIB, 100 * MIB, Zram(
        f'zram{i}', 500 * MIB, 100 * MIB, used)) for i, used in enumerate(
            (40 * MIB, None, 30 * MIB)))
    swaps += (SwapDevice('/swapfile', 500 * MIB, 100 * MIB),)
    assert leaks.unowned_bytes(named(), swaps) == 250 * MIB


def test_each_kind_of_memory_without_a_process_has_a_name():
    """What the kernel does not say is left out; slab counts without what can be dropped."""
    info = named(shmem=7, slab=50, s_reclaimable=20, page_tables=20, kernel_stack=9)
    assert leaks.unowned_kinds(info, ()) == (
        ('memory that no process owns (GPU, driver)', (320 - 9) * MIB),
        ('shared memory (tmpfs, /dev/shm)', 7 * MIB),
        ('unreclaimable slab of the kernel', 30 * MIB),
        ('page tables', 20 * MIB), ('kernel stacks', 9 * MIB))
    assert leaks.unowned_kinds(MemInfo(1000, 500), ()) == ()
    assert [name for name, _ in leaks.unowned_kinds(named(slab=50), ())] == [
        'memory that no process owns (GPU, driver)', 'page tables']


@pytest.mark.parametrize('dead_mib, found', [(49, False), (50, True)])
def test_segments_of_a_twentieth_of_memory_are_a_warning(dead_mib, found):
    """Its words name the remedy; what could not be read is none."""
    dead = DdsSegments(3, 7, dead_mib * MIB)
    expected = (Finding(Level.WARN, f'7 Fast DDS segments of dead processes hold {dead_mib} MiB '
                        'in /dev/shm: run fastdds shm clean'),)
    assert leaks.segments(dead, named()) == (expected if found else ())
    assert leaks.segments(Unavailable('denied'), named()) == ()
    assert leaks.segments(dead, Unavailable('denied')) == ()


def test_what_zram_uses_is_nobodys_leak():
    """Neither in the figure nor in the growth that is watched."""
    info = MemInfo(1000 * MIB, 100 * MIB, 500 * MIB, buffers_bytes=0, cached_bytes=0,
                   anon_pages_bytes=200 * MIB, slab_bytes=0, page_tables_bytes=0)
    swaps = (SwapDevice('/dev/zram0', 900 * MIB, 0, Zram('zram0', 900 * MIB, 0, 300 * MIB)),)
    for held, free in (((), 700), (swaps, 400)):
        assert dict(leaks.unowned_kinds(info, held))[leaks.UNOWNED] == free * MIB
        found, _ = risk.assess(Sample(0.0, 0, Host('r', 4096, '6.1.0'), info, Unavailable('off'),
                                      VmStat(0), swaps=held), risk.History(), SETTINGS)
        assert found.unaccounted_bytes == free * MIB


@pytest.mark.parametrize('dead_bytes, told', [(50 * MIB, True), (50 * MIB - 1, False)])
def test_a_twentieth_of_memory_in_segments_of_the_dead_is_told(dead_bytes, told):
    """Of 1000 MiB."""
    info = MemInfo(1000 * MIB, 100 * MIB, 500 * MIB)
    found = leaks.segments(DdsSegments(9, 2, dead_bytes), info)
    assert bool(found) is told
