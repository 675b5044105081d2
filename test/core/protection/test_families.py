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

"""Fork families and processes that are started again: each counts as one leak."""

from dataclasses import replace

from oom_sentinel import settings
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.protection import foreign_growth
from oom_sentinel.protection import grouping
from oom_sentinel.protection import level
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.families import Families
from oom_sentinel.protection.foreign_growth import Member
from oom_sentinel.protection.memory import Memory
from oom_sentinel.protection.sizes import Sizes
from test_plan import at_rest
from test_plan import holding
from test_plan import MIB
from test_plan import node
from test_plan import process
from test_plan import SETTINGS
from test_plan import values
from test_plan import VIEW

PAGES = 256  # of a MiB
ROBOT = Domain('/robot', 300 * PAGES, 100 * PAGES)
DRIVER = holding(node(1000, 'rplidar_ros/rplidar_node', cgroup='/robot'), 100)
DENIED = {DRIVER.identity: 0}


def forked(pid, mib, command='/usr/bin/forker', ppid=2000, **more):
    """Return a process in the robot's control group."""
    return holding(process(pid, command, ppid=ppid, cgroup='/robot', **more), mib)


def read(*tables):
    """Return the families and sizes after these (seconds, processes)."""
    sizes, families = Sizes(), Families()
    for now_s, table in tables:
        sizes.read(table, now_s)
        families.read(table, sizes.known, now_s)
    return families.by_member, sizes.known


def storm(command='/usr/bin/forker', parent_mib=15, end_s=12, at_first_mib=0, **more):
    """
    Return tables in which a process forks a child that takes 8 MiB, every second from 5 s.

    :param at_first_mib: what a child has taken when it is seen first.
    """
    def table(now_s):
        return (forked(2000, parent_mib, command, ppid=1, **more), *(
            forked(2001 + n, parent_mib + (at_first_mib if now_s == n + 5 else 8), command,
                   **more) for n in range(max(0, now_s - 4))))
    return [(s, table(s)) for s in range(end_s + 1)]


def test_a_family_that_holds_the_same_at_every_reading_has_no_pace():
    """Each of its processes was read, though none changed."""
    memory, tables = Memory(4096), storm()
    for now_s, table in (*tables, *((now_s, tables[-1][1]) for now_s in range(13, 60))):
        memory.read(table, now_s, frozenset(p.pid for p in table), families=True)
    family = memory.families.by_member[tables[0][1][0].identity]
    assert family.size.now > 70 << 20 and family.size.bytes_per_s < 1000


def test_the_growth_of_a_process_and_its_forks_is_summed():
    """Eight forks, of which the last has taken nothing yet; what they share counts once."""
    families, _ = read(*storm())
    family = families[forked(2000, 0).identity]
    assert len(family.members) == 9 and family.label == 'forker' and family.leaks
    assert family.size.now == (15 + 7 * 8) * MIB and family.size.grown == 7 * 8 * MIB
    assert families[forked(2003, 0).identity] is family
    named = replace(forked(2000, 5, ppid=1), graph_node_names=('/fork',))
    families, _ = read((0, (forked(2001, 5), named, forked(2002, 5))))
    assert families[named.identity].label == '/fork'


def test_another_program_is_no_family_of_its_parent():
    """A shell's tool, a node of a launch."""
    families, _ = read((0, (forked(2000, 5, ppid=1), forked(2001, 90, '/usr/bin/other'))))
    assert not families


def test_a_fork_that_starts_another_program_leaves_its_family():
    """Between fork and exec it still looks like a copy."""
    copy, other = forked(2001, 5), forked(2001, 5, '/usr/bin/other')
    first = forked(2000, 5, ppid=1)
    assert read((0, (first, copy)))[0]
    assert not read((0, (first, copy)), (1, (first, other)))[0]


def test_orphans_stay_in_their_family():
    """The process that forked them has been killed; what they hold is still one leak."""
    orphans = tuple(forked(2001 + n, 23, ppid=1) for n in range(8))
    families, _ = read(*storm(), (13, orphans))
    family = families[orphans[0].identity]
    assert len(family.members) == 8 and family.size.now == 8 * 8 * MIB


def test_workers_that_rest_are_no_leak():
    """A pool of eight workers which has stood for a while."""
    families, _ = read(*storm(), *((13 + s, storm()[-1][1]) for s in range(30)))
    assert families[forked(2000, 0).identity].size.grown == 0


def lifted(tables, *, left_mib=100, **more):
    """Return the values of the members, and of an innocent of their size, and the plan."""
    families, sizes = read(*tables)
    table = (DRIVER, forked(1500, 23, '/usr/bin/innocent', ppid=1), *tables[-1][1])
    found, made = values(
        table, more.pop('floors', DENIED), families=families,
        sizes={**at_rest(table), **sizes}, domains=(replace(ROBOT, left_pages=left_mib * PAGES),),
        **more)
    return found, made


def test_each_member_of_a_leak_is_raised_by_the_growth_of_all():
    """As if one process held it, so that a large innocent is not taken for the leaker."""
    found, _ = lifted(storm())
    alone, _ = lifted(storm(end_s=5))
    assert found[1500] == alone[1500]  # the innocent is raised to the level as ever
    step = ROBOT.head_start_pages
    lift = -(-7 * 8 * PAGES // step) * step
    asks = -(-(115 * PAGES + lift - 23 * PAGES) // ROBOT.point)
    assert found[2001] == asks > found[1500]


def test_growth_that_would_take_hours_lifts_nobody():
    """7 MiB a second need longer than five minutes for 100 GiB."""
    found, _ = lifted(storm(), left_mib=100 * 1024)
    assert found[2001] == found[1500]


def test_a_protected_node_that_forks_outgrows_its_head_start():
    """No child of it is above its own size at rest."""
    tables = storm('/opt/ros/jazzy/lib/nav2_amcl/amcl --ros-args -r __node:=amcl')
    floors = {**DENIED, **{p.identity: 0 for p in tables[-1][1]}}
    found, made = lifted(tables, floors=floors)
    assert {p.pid for p in made.outgrown} == set(range(2000, 2009))
    assert found[2001] > found[1500]


def test_the_successor_of_a_protected_leak_does_not_lift_the_level():
    """It rests where the one before it rested, though it has not rested yet itself."""
    sizes = Sizes()

    def leaky(pid, mib):
        return holding(node(pid, 'nav2_amcl/amcl', 'amcl'), mib)
    for now_s, mib in [(0, 40), (1, 40), (3, 60), (4, 80), (4.5, 100)]:
        sizes.read((leaky(1, mib),), now_s)
    for now_s, mib in [(5, 10), (6, 60), (7, 110)]:
        sizes.read((leaky(2, mib),), now_s)
    size = sizes.known[leaky(2, 0).identity]
    assert size.settled and size.high == 40 * MIB and size.grown == 70 * MIB
    sizes.read((leaky(2, 0), leaky(3, 10)), 8)
    assert sizes.known[leaky(3, 0).identity].bytes_per_s > 0


def test_families_are_remembered_where_something_may_be_raised():
    """Elsewhere nothing is looked for."""
    for given, seen in (({}, False), ({'families': False}, False), ({'families': True}, True)):
        memory = Memory(4096)
        for now_s, table in storm():
            memory.read((DRIVER, *table), now_s, **given)
        known = memory.known((), (), SETTINGS, {None: DRIVER.identity})
        assert (forked(2003, 0).identity in known.families) is seen
        assert known.foreign == {None: DRIVER.identity} and known.page_size == 4096


def test_the_groups_of_protected_processes_and_of_the_sentinel_are_found():
    """Each once, in the order of the table; one without a control group hides nobody."""
    def at(pid, command, cgroup):
        return replace(process(pid, command), cgroup=cgroup)
    driver = '/opt/ros/jazzy/lib/rplidar_ros/rplidar_node --ros-args'
    table = (at(1, driver, None), at(2, driver, '/a'), at(3, driver, '/a'),
             at(4, '/usr/bin/other', '/b'), at(VIEW.pid, '/usr/bin/sentinel', '/c'),
             at(5, driver, '/d'), replace(at(6, driver, '/e'), uid=7))
    assert Memory(4096).protected_cgroups(table, SETTINGS, VIEW) == ('/a', '/c', '/d')


def test_a_child_of_the_same_clock_tick_is_a_copy_and_an_older_process_is_none():
    """A reused PID may be anybody's parent."""
    parent = forked(2000, 5)
    for later, copy in ((0, True), (1, True), (-1, False)):
        child = replace(forked(2001, 5), start_time=parent.start_time + later)
        assert bool(read((0, (replace(parent, ppid=1), child)))[0]) is copy


def test_a_group_is_matched_again_when_the_settings_changed():
    """It is remembered for a program that starts again, not for other selectors."""
    memory = Memory(4096)
    other = settings.build({'group.expendable.match': ['exe:forker']})
    assert memory.group_of(forked(1, 5), SETTINGS) is None
    assert memory.group_of(forked(2, 5), other).name == 'expendable'
    assert memory.group_of(forked(3, 5), SETTINGS) is None


def test_a_group_is_matched_again_when_a_fact_of_the_process_changed(monkeypatch):
    """Each scan reads the same objects; a PID may belong to another program."""
    memory, first = Memory(4096), replace(forked(1, 5), cgroup='/a', graph_node_names=('/x',))
    asked = []
    group_of = grouping.group_of
    monkeypatch.setattr(grouping, 'group_of', lambda p, s: asked.append(p) or group_of(p, s))
    other = settings.build({'group.expendable.match': ['exe:forker']})
    for found, chosen, count in (
            (first, SETTINGS, 1), (first, SETTINGS, 1),
            (replace(first, oom_score_adj=7), SETTINGS, 1),
            (replace(first, graph_node_names=('/y',)), SETTINGS, 2), (first, other, 3),
            (replace(first, program=replace(first.program), cgroup='/b', graph_node_names=('/z',),
                     listed_node_names=('/z', '/y')), SETTINGS, 4)):
        group = memory.group_of(found, chosen)
        assert (len(asked), group is not None) == (count, chosen is other)


def member(pid, held_mib, *, critical=False, raised=False, mib_s=0.0, forks=False):
    """Return a member of the domain."""
    task = foreign_growth.Task(node(pid, 'a/b').identity, held_mib * PAGES, critical,
                               mib_s * PAGES, forks=forks)
    return Member(task, f'p{pid}', 0, held_mib * PAGES, raised)


def test_a_foreign_family_is_foreseen_at_the_size_of_its_members():
    """Its badness never rises, so the raised ones would die for it one by one."""
    critical, innocents = member(1, 15, critical=True), [
        member(10 + i, 20, raised=True) for i in range(3)]
    made = level.Level(ROBOT, 30 * PAGES, 'critical')
    for forks, below in ((True, True), (False, False)):
        found = foreign_growth.judge(
            made, [critical, *innocents, member(9, 22, mib_s=8.0, forks=forks)])
        assert (found.cap_pages is not None) is below
        assert not below or found.cap_pages == 22 * PAGES - ROBOT.point
        assert found.chosen == foreign_growth.Loss(0, 0)


def test_the_sum_of_a_foreign_family_decides_whether_it_counts():
    """The members of another user grow by nothing each, and none will be larger than now."""
    tables = storm(uid=1234, at_first_mib=8)
    found, made = lifted(tables)
    entry = made.foreign['/robot']
    assert entry.label.startswith('forker') and 2001 not in found
    assert entry.cap_pages == 23 * PAGES - ROBOT.point
    assert not lifted(tables, left_mib=100 * 1024)[1].foreign


def test_orphans_that_fork_are_a_family_of_their_first_process():
    """It has ended, and they were too few for a family meanwhile."""
    parent, first = forked(2000, 15, ppid=1), forked(2001, 23)
    second = forked(2002, 30, ppid=2001)
    found, _ = read((0, (parent, first)), (1, (first,)), (2, (first, second)))
    family = found[first.identity]
    assert family.first == parent.identity and family.members == {
        first.identity, second.identity}
    assert family.size.now == (8 + 7) * MIB
    assert family.label == family.size.label == 'forker'


def test_a_family_grows_at_its_largest_process():
    """Others of the family are as they are, wherever they stand in the table."""
    tables = storm(parent_mib=15, end_s=12)
    families, known = read(*tables)
    table = sorted(tables[-1][1], key=lambda p: (p.pid != 2004, p.pid))
    largest = holding(table[0], 60)
    table = (DRIVER, largest, *table[1:])
    found = {**known, **at_rest((DRIVER, largest))}
    _, made = values(table, DENIED, domains=(ROBOT,), sizes=found, families=families,
                     chosen=settings.build({'protection.raise': 'ros'}))
    assert made.foreign['/robot'].identity == largest.identity


def test_only_a_process_that_may_be_written_to_is_taken_as_changed_by_inheritance():
    """Neither a kernel thread, nor the sentinel itself, nor another user's."""
    parent = process(40, '/usr/bin/a', adj=300)
    children = {5: True, VIEW.pid: False, 7: False, 8: False}
    table = (parent, *(process(pid, '/usr/bin/a', ppid=40, adj=300, uid=1001 if pid == 7 else 1000,
                               kernel_thread=pid == 8) for pid in children))
    memory = Memory(4096)
    memory.wrote(parent.identity, 0, 300)
    memory.inherit(table, VIEW)
    for child in table[1:]:
        assert (child.identity in memory.changes) is children[child.pid]


def test_a_group_that_node_names_decide_is_not_that_of_the_same_program_without_them():
    """A component container is known by what it runs."""
    chosen = settings.build({'groups': ['a'], 'group.a.match': ['node:/amcl'],
                             'group.a.oom_score_adj': -300})
    memory, empty = Memory(4096), node(10, 'rclcpp_components/component_container')
    assert memory.group_of(empty, chosen) is None
    listed = replace(empty, pid=11, listed_node_names=('/amcl',))
    assert memory.group_of(listed, chosen).name == 'a'
    assert memory.group_of(replace(empty, pid=12), chosen) is None


def test_the_groups_of_many_ended_processes_are_forgotten():
    """Twice as many as there are processes, and 64, may stay."""
    memory = Memory(4096)
    table = tuple(forked(pid, 5) for pid in range(1, 72))
    for found, count in zip(table, range(1, 72)):
        memory.group_of(found, SETTINGS)
        memory.read(table[:3], float(count))
        assert len(memory._groups) == (count if count < 71 else 0)


def test_a_fork_that_is_alone_hides_no_family_behind_it():
    """Its parent has ended, and it forks nobody."""
    alone, parent = forked(1501, 5, ppid=1500), forked(1500, 5, ppid=1)
    tables = [(now_s, (parent, alone, forked(2000, 5, ppid=1), forked(2001, 5)))
              for now_s in (0, 1)]
    assert set(read(*tables)[0]) == {p.identity for p in tables[0][1]}
    without = (2, tuple(p for p in tables[0][1] if p is not parent))
    assert {i.pid for i in read(*tables, without)[0]} == {2000, 2001}


def test_the_values_of_256_ended_processes_are_known():
    """Until the kernel's record of their end has come."""
    memory = Memory(4096)
    table = [forked(pid, 5) for pid in range(1, 258)]
    for count, one in enumerate(table, 1):
        memory.wrote(one.identity, 0, 300)
        memory.forget(one.identity)
        assert memory.values_written(table[0].identity) == ((300,) if count < 257 else ())
    assert memory.values_written(table[1].identity) == (300,)


def test_a_program_is_matched_once_and_a_very_long_command_line_each_time(monkeypatch):
    """256 programs are remembered; after them all are matched anew."""
    asked = []
    monkeypatch.setattr(grouping, 'group_of', lambda process, settings: asked.append(process))

    def count(*commands):
        memory, asked[:] = Memory(4096), []
        for pid, command in enumerate(commands, 1):
            memory.group_of(process(pid, command), SETTINGS)
        return len(asked)
    for length, matched in ((1000, 1), (1001, 2)):
        assert count(*('x' * length,) * 2) == matched
    programs = [f'/usr/bin/p{n}' for n in range(257)]
    assert count(*programs[:255], programs[0]) == 255
    assert count(*programs[:256], programs[0]) == 257


def test_each_settled_process_is_asked_once_for_its_devices():
    """One that was asked before hides none behind it."""
    memory, asked = Memory(4096), []
    table = (forked(1, 5), forked(2, 5), forked(3, 5))
    for now_s, mib in ((0.0, 5), (11.0, 5.001)):
        memory.read((holding(table[0], mib),), now_s)
    assert not memory.look_for_devices(table, lambda pid: asked.append(pid) or False)
    assert asked == [1]
    for now_s in (12.0, 23.0):
        memory.read(tuple(holding(p, 5.001 * (now_s > 20) or 5) for p in table), now_s)
    assert memory.look_for_devices(table, lambda pid: asked.append(pid) or pid == 2)
    assert asked == [1, 2, 3]


def test_files_of_four_mib_that_are_written_unmapped_count():
    """The sum of a process's files."""
    memory, one = Memory(4096), forked(1, 5)
    half = UnmappedFile('/dev/shm/a', 2 * MIB)
    less = replace(half, size_bytes=2 * MIB - 1)
    for files, known in (((half, half), True), ((half, less), False)):
        memory.look_for_unmapped_files((one,), lambda pid, found=files: found)
        assert (one.identity in memory.unmapped) is known


def test_a_group_of_value_0_is_not_protected():
    """Its control group need not be read."""
    zero = settings.build({'groups': ['a'], 'group.a.match': ['exe:forker'],
                           'group.a.oom_score_adj': 0})
    for chosen, found in ((zero, ()), (settings.build({
            'groups': ['a'], 'group.a.match': ['exe:forker'], 'group.a.oom_score_adj': -1}),
            ('/robot',))):
        assert Memory(4096).protected_cgroups((forked(5, 5),), chosen, VIEW) == found


def test_a_child_that_is_no_carrier_hides_no_other():
    """The parent of one is unknown, that of another was never changed."""
    parent, plain = process(40, '/usr/bin/a', adj=300), process(39, '/usr/bin/a')
    table = tuple(process(pid, '/usr/bin/a', ppid=ppid, adj=300)
                  for pid, ppid in ((41, 38), (42, 39), (43, 40)))
    memory = Memory(4096)
    memory.wrote(parent.identity, 0, 300)
    memory.inherit((parent, plain, *table), VIEW)
    assert set(memory.changes) == {parent.identity, table[2].identity}
