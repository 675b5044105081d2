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
"""Control groups of their own: made, filled, limited and undone by the rules of cgroup v2."""

import errno
import itertools

from oom_sentinel import settings
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.protection.memory_groups import MemoryGroups
import pytest

MIB = 1 << 20
PLACE = '/system.slice/robot.service'
OTHERS = f'{PLACE}/oom_sentinel-others'
RECORDERS = f'{PLACE}/oom_sentinel-group-recorders'
CRITICAL = f'{PLACE}/oom_sentinel-group-critical'


class Tree:
    """A delegated control group as the kernel keeps it: cgroup-v2.rst, No Internal Process."""

    def __init__(self, *pids, where=PLACE):
        """Hold these processes in the delegated group."""
        self.where = where
        self.inside = {PLACE: set(pids)}
        self.shared = set()
        self.limits = {}
        self.used = {}
        self.limit = None
        self.low = 0
        self.forks = iter(())
        self.moved = []

    def find(self):
        """Return the delegated group, or why there is none."""
        return self.where

    def made(self, path):
        """Return our groups below a group."""
        return tuple(sorted(p for p in self.inside if p.startswith(f'{path}/oom_sentinel-')))

    def shares_memory(self, path):
        """Return whether the groups below have the controller."""
        return path in self.shared

    def share_memory(self, path, shared):
        """Give or take it; not from a group with processes."""
        if shared and self.inside[path]:
            raise OSError(errno.EBUSY, 'Device or resource busy', path)
        (self.shared.add if shared else self.shared.discard)(path)
        if not shared:
            self.limits.clear()

    def make(self, path):
        """Make a group."""
        self.inside.setdefault(path, set())

    def remove(self, path):
        """Remove a group."""
        if self.inside[path]:
            raise OSError(errno.EBUSY, 'Device or resource busy', path)
        del self.inside[path]
        self.limits.pop(path, None)

    def pids(self, path):
        """Return who is in it."""
        return tuple(self.inside[path])

    def used_bytes(self, path):
        """Return what it holds."""
        return self.used.get(path, 0)

    def set_limits(self, path, low_bytes, max_bytes):
        """Set both, where the controller is."""
        if path.rpartition('/')[0] not in self.shared:
            raise OSError(errno.ENOENT, 'No such file or directory', f'{path}/memory.low')
        self.limits[path] = (low_bytes, max_bytes)

    def mem_total_bytes(self):
        """Return 1000 MiB."""
        return 1000 * MIB

    def smallest_limit(self, _path):
        """Return the limit above."""
        return self.limit

    def least_low_above(self, _path):
        """Return the memory.low above."""
        return self.low

    def move(self, pid, start, end, start_time=None):
        """Move a process that is there; it may fork into the old group meanwhile."""
        if pid not in self.inside[start] or start_time not in (None, 7):
            return False
        if end in self.shared:
            raise OSError(errno.EBUSY, 'Device or resource busy', end)
        self.inside[start].discard(pid)
        self.inside[end].add(pid)
        self.moved.append(pid)
        self.inside[start].update(itertools.islice(self.forks, 1))
        return True


def target(pid, group, cgroup=PLACE, start_time=7):
    """Return a process of a group."""
    process = Process(pid, start_time, 1, 1000, Program('x', executable='x'), cgroup=cgroup)
    return Target(process, group, 0, 0, '')


def asked(**values):
    """Return settings with two groups."""
    return settings.build({
        'groups': ['critical', 'recorders'], 'group.critical.match': ['exe:critical'],
        'group.recorders.match': ['exe:recorder'],
        **{f'group.{name}_percent': value for name, value in values.items()}})


LIMITED = asked(**{'recorders.memory_max': 20.0, 'critical.memory_low': 10.0})
BOTH = (target(2, 'critical'), target(3, 'recorders'))


@pytest.fixture(name='tree')
def delegated_tree():
    """Return a tree with the sentinel (1), a critical node (2), a recorder (3), another (4)."""
    return Tree(1, 2, 3, 4)


@pytest.fixture(name='filled')
def filled_groups(tree):
    """Return groups that are made and filled."""
    made = MemoryGroups(tree)
    made.update(BOTH, LIMITED, 0.0)
    return made


def test_each_process_gets_where_it_belongs_and_each_group_its_limit(tree, filled):
    """The place itself is empty then: only so may its groups have limits."""
    assert tree.inside == {PLACE: set(), OTHERS: {1, 4}, CRITICAL: {2}, RECORDERS: {3}}
    assert tree.limits == {CRITICAL: (100 * MIB, None), RECORDERS: (0, 200 * MIB)}
    assert f'group recorders: memory.max 200 MiB in {RECORDERS}' in filled.notes


def test_the_percentage_is_of_a_smaller_limit_above(tree):
    """A unit with MemoryMax= has no more than that."""
    tree.limit = 500 * MIB
    MemoryGroups(tree).update(BOTH, LIMITED, 0.0)
    assert tree.limits[RECORDERS] == (0, 100 * MIB)


def test_a_process_that_forks_while_it_is_moved_is_followed(tree):
    """The child is in the old group until the next look."""
    tree.forks = iter((5, 6))
    MemoryGroups(tree).update(BOTH, LIMITED, 0.0)
    assert tree.inside[PLACE] == set() and {5, 6} <= tree.inside[OTHERS]


def test_one_that_forks_without_end_is_given_up_and_everything_undone(tree):
    """The kernel refuses a group with processes: EBUSY."""
    tree.forks = itertools.count(10)
    made = MemoryGroups(tree)
    made.update(BOTH, LIMITED, 0.0)
    assert 'no effect' in made.notes[0] and 'busy' in made.notes[0]
    tree.forks = iter(())
    assert made.restore()
    assert list(tree.inside) == [PLACE] and {1, 2, 3, 4} <= tree.inside[PLACE]


def test_restore_moves_everybody_back_and_removes_the_groups(tree, filled):
    """Also a child that nobody knew."""
    tree.inside[RECORDERS].add(30)
    assert filled.made and filled.restore() and not filled.made
    assert tree.inside == {PLACE: {1, 2, 3, 4, 30}} and not tree.shared


def test_what_a_killed_sentinel_left_is_undone_by_the_next(tree, filled):
    """It finds the groups by their names, from its own place among the others."""
    MemoryGroups(tree).update(BOTH, asked(), 0.0)
    assert tree.inside == {PLACE: {1, 2, 3, 4}} and not tree.shared


def test_the_next_sentinel_goes_on_with_the_groups_of_a_killed_one(tree, filled):
    """Nobody is moved twice."""
    tree.moved.clear()
    MemoryGroups(tree).update((target(2, 'critical', CRITICAL), target(3, 'recorders', RECORDERS)),
                              LIMITED, 0.0)
    assert tree.moved == [] and tree.inside[RECORDERS] == {3}


def test_a_group_that_asks_no_more_loses_its_control_group_alone(tree, filled):
    """Its processes go to the others."""
    filled.update((target(3, 'recorders', RECORDERS), target(2, 'critical', CRITICAL)),
                  asked(**{'critical.memory_low': 10.0}), 0.0)
    assert tree.inside == {PLACE: set(), OTHERS: {1, 3, 4}, CRITICAL: {2}}


def test_a_process_that_changes_its_group_moves(tree, filled):
    """It runs another program now."""
    filled.update((target(3, 'critical', RECORDERS), target(2, 'other', CRITICAL)), LIMITED, 0.0)
    assert tree.inside[CRITICAL] == {3} and 2 in tree.inside[OTHERS]


@pytest.mark.parametrize('found', [
    target(3, 'recorders', '/user.slice'), target(3, 'recorders', f'{PLACE}/own')])
def test_a_process_outside_is_left_alone_and_counted(tree, found):
    """Only what is delegated may be moved."""
    made = MemoryGroups(tree)
    made.update((found,), LIMITED, 0.0)
    assert 3 in tree.inside[OTHERS]
    assert any('1 of its processes are outside' in note for note in made.notes)


def test_a_pid_that_was_given_anew_is_not_moved(tree):
    """The start time tells them apart."""
    MemoryGroups(tree).update((target(3, 'recorders', start_time=8),), LIMITED, 0.0)
    assert 3 in tree.inside[OTHERS]


def test_a_limit_below_what_the_group_holds_waits(tree):
    """Writing it would make the kernel kill at once."""
    tree.used[RECORDERS] = 201 * MIB
    made = MemoryGroups(tree)
    made.update(BOTH, LIMITED, 0.0)
    assert RECORDERS not in tree.limits and any('not limited yet' in n for n in made.notes)
    tree.used[RECORDERS] = 199 * MIB
    made.update(BOTH, LIMITED, 1.0)
    assert tree.limits[RECORDERS] == (0, 200 * MIB)


@pytest.mark.parametrize('low, limit, said', [(0, None, True), (MIB, None, False),
                                              (0, 500 * MIB, False)])
def test_a_memory_low_that_protects_nothing_is_said(tree, low, limit, said):
    """Reclaim of the machine counts it only where the units above have one too."""
    tree.low, tree.limit = low, limit
    made = MemoryGroups(tree)
    made.update(BOTH, LIMITED, 0.0)
    assert any('MemoryLow=' in note for note in made.notes) == said


def test_a_machine_without_delegation_says_why_and_is_asked_again_later():
    """Every half minute, not at each scan."""
    tree = Tree(1, 3, where=Unavailable('the memory controller is in cgroup v1'))
    made = MemoryGroups(tree)
    made.update(BOTH, LIMITED, 0.0)
    assert made.notes == ('memory_low_percent and memory_max_percent have no effect: the memory '
                          'controller is in cgroup v1',)
    tree.where = PLACE
    made.update(BOTH, LIMITED, 29.0)
    assert tree.inside == {PLACE: {1, 3}}
    made.update(BOTH, LIMITED, 30.0)
    assert tree.inside[RECORDERS] == {3}


def test_control_groups_of_somebody_else_are_not_touched(tree):
    """A place that shares memory already is managed by another program."""
    tree.inside[PLACE].clear()
    tree.shared.add(PLACE)
    made = MemoryGroups(tree)
    made.update(BOTH, LIMITED, 0.0)
    assert list(tree.inside) == [PLACE] and made.notes == (
        'memory_low_percent and memory_max_percent have no effect: '
        f'{PLACE}: somebody else has put its processes into control groups',)
    assert tree.shared == {PLACE}


def test_nothing_is_made_unless_a_parameter_asks_for_it(tree):
    """Both are 0 as shipped."""
    made = MemoryGroups(tree)
    made.update(BOTH, asked(), 0.0)
    assert tree.inside == {PLACE: {1, 2, 3, 4}} and made.notes == () and not made.made


def test_groups_that_cannot_be_removed_are_said_and_tried_again(tree, filled):
    """The kernel may refuse."""
    refuse, tree.remove = tree.remove, None
    tree.remove = lambda path: (_ for _ in ()).throw(OSError(errno.EBUSY, 'busy', path))
    assert not filled.restore() and filled.made and 'could not be removed' in filled.notes[0]
    tree.remove = refuse
    assert filled.restore() and tree.inside == {PLACE: {1, 2, 3, 4}}


def test_a_process_of_no_group_hides_none_behind_it(tree):
    """Nor does one whose control group is unknown."""
    made = MemoryGroups(tree)
    made.update((target(4, None), target(9, 'critical', None), *BOTH), LIMITED, 0.0)
    assert (tree.inside[CRITICAL], tree.inside[RECORDERS]) == ({2}, {3})


def test_each_group_and_both_of_its_limits_are_told(tree):
    """In the order of the settings."""
    made = MemoryGroups(tree)
    tree.low = MIB
    made.update(BOTH, asked(**{'recorders.memory_max': 20.0, 'recorders.memory_low': 1.0,
                               'critical.memory_low': 10.0}), 0.0)
    assert made.notes == (
        f'group critical: memory.low 100 MiB in {CRITICAL}',
        f'group recorders: memory.low 10 MiB, memory.max 200 MiB in {RECORDERS}')


def test_a_process_of_no_group_or_of_an_unknown_place_hides_none_behind_it(tree):
    """Each is sorted for itself."""
    MemoryGroups(tree).update((target(4, None), target(5, 'critical', None), target(
        6, 'critical', '/elsewhere'), *BOTH), LIMITED, 0.0)
    assert tree.inside[CRITICAL] == {2} and tree.inside[RECORDERS] == {3}


@pytest.mark.parametrize('more, limited', [(0, True), (1, False)])
def test_a_group_that_holds_just_its_maximum_is_limited(tree, more, limited):
    """With one byte more the kernel would kill in it at once."""
    tree.used[RECORDERS] = 200 * MIB + more
    MemoryGroups(tree).update(BOTH, LIMITED, 0.0)
    assert (RECORDERS in tree.limits) is limited
