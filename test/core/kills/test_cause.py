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

"""What of the machine was short, from the zones of Mem-Info and the bits of gfp_mask."""

from oom_sentinel.kills.oom_report import cause
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.scene import Scene
from oom_sentinel.kills.oom_report.scene import Zone
import pytest

KILLED = Killed(b'Out of memory', 7, b'leak', b'leak', 0, 0, {}, 0, '5.4')
USER, KERNEL = '0x140cca(GFP_HIGHUSER_MOVABLE|__GFP_COMP)', '0xcc0(GFP_KERNEL)'
FOR_DMA, FOR_DMA32 = '0xcc1', '0xcc4'
GIB = 1 << 20  # in kB


def zone(name, free_kb, managed_kb=GIB, node=0, cma_kb=0):
    """Return a zone with a reserve of 4 MiB."""
    return Zone(node, name, free_kb, 4096, 8192, managed_kb, cma_kb)


def why(*zones, request=USER, order=0, killed=KILLED, page_size=4096, **facts):
    """Return the cause of a kill in which these zones were shown."""
    scene = Scene(constraint='CONSTRAINT_NONE', machine=True, zones=list(zones), request=request,
                  order=order, **facts)
    return cause.of(Draft(scene=scene), killed, page_size, ())


def test_low_memory_is_short_where_only_highmem_was_free():
    """A kernel's own request may not use HighMem; a program's may, and then all was short."""
    zones = zone('Normal', 5000, GIB // 2), zone('HighMem', GIB // 2)
    said = why(*zones, request=KERNEL)
    assert said.startswith('only low memory (Normal) was short, with 5000 kB free')
    assert f'{GIB // 2} kB of HighMem were free' in said
    assert 'low memory' not in why(*zones, request=USER)


@pytest.mark.parametrize('request_, low', [(USER, False), (KERNEL, True)])
def test_movable_memory_is_for_movable_requests_only(request_, low):
    """Zone Movable holds nothing of the kernel's own."""
    said = why(zone('Normal', 5000), zone('Movable', GIB // 2), request=request_)
    assert ('only low memory (Normal)' in said) is low


@pytest.mark.parametrize('request_, low, other', [
    (FOR_DMA32, 'DMA32', 'Normal'), (FOR_DMA, 'DMA', 'DMA32')])
def test_a_request_for_dma_uses_no_zone_above(request_, low, other):
    """Its bits choose the zone and those below."""
    said = why(zone(low, 5000), zone(other, GIB // 2), request=request_)
    assert f'only low memory ({low})' in said and f'kB of {other} were free' in said


def test_free_cma_is_no_room_for_what_cannot_be_moved():
    """It counts for a movable request only."""
    held = zone('Normal', GIB // 2, cma_kb=GIB // 2 - 5000)
    assert why(held, request=KERNEL, order=8) == 'the whole machine ran out of memory'
    assert 'order=8' in why(held, request=USER, order=8)


def test_one_memory_node_is_short_while_another_has_room():
    """Both are named."""
    said = why(zone('Normal', 5000), zone('Normal', GIB // 2, node=1))
    assert said == f'only memory node 0 was short: node 1 had {(GIB // 2 - 4096) >> 10} MiB free'


def test_a_block_is_missing_where_smaller_pieces_were_free():
    """With the size of the block in the machine's pages."""
    room = zone('Normal', GIB // 4)
    assert 'no 32 kB of adjacent memory were free (order=3)' in why(room, order=3)
    assert 'no 128 kB' in why(room, order=3, page_size=16384)
    assert 'adjacent' not in why(zone('Normal', 4200), order=3)


@pytest.mark.parametrize('counts, huge_kb, named', [
    ({b'slab_unreclaimable': 90000}, 0, 'unreclaimable kernel memory (slab) held 352'),
    ({b'shmem': 90000}, 0, 'shared memory (tmpfs, /dev/shm) held 352'),
    ({}, 360000, 'reserved huge pages held 352'),
    ({b'free': 5000, b'slab_unreclaimable': 100, b'inactive_file': 100, b'active_anon': 100000},
     0, 'memory of no process (drivers, graphics) held 613'),
    ({b'shmem': 9000}, 0, None)])
def test_the_holder_of_a_quarter_is_named(counts, huge_kb, named):
    """Other than processes; nothing is guessed where Mem-Info is not whole."""
    said = why(ram_pages=262144, counts=counts, huge_kb=huge_kb)
    assert said.startswith('the whole machine ran out of memory')
    assert (named in said) if named else ':' not in said


@pytest.mark.parametrize('facts, words', [
    ({'constraint': 'CONSTRAINT_CPUSET'}, 'of its cpuset were used up'),
    ({'constraint': 'CONSTRAINT_MEMORY_POLICY'}, 'of its memory policy were used up'),
    ({'order': -1}, 'somebody asked for it'), ({'asked_for': True}, 'somebody asked for it'),
    ({'memcg': True}, 'a control group reached its memory limit')])
def test_other_causes_are_told_by_the_reports_own_words(facts, words):
    """Before zones are looked at."""
    assert words in cause.of(Draft(scene=Scene(**facts)), KILLED, 4096, ())
