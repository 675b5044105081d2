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

"""Processes are remembered beyond their death, and the kernel's words mean the right one."""

from dataclasses import replace
import subprocess
from types import SimpleNamespace

from oom_sentinel import settings
from oom_sentinel.facts.cgroup import within
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.kills.attribution import Attribution
from oom_sentinel.kills.circumstances import family_of
from oom_sentinel.kills.circumstances import largest_processes
from oom_sentinel.kills.known_processes import DEAD_KEPT_S
from oom_sentinel.kills.known_processes import DEAD_MAX
from oom_sentinel.kills.known_processes import KnownProcesses
from oom_sentinel.kills.known_processes import SMALL_DEAD_MAX
from oom_sentinel.sentinel import Sentinel
import pytest


def process(pid, name='lidar', mib=10, adj=0, start=None, **facts):
    """Return a process that holds MiB."""
    return Process(pid, pid if start is None else start, 1, 0,
                   Program(name[:15], executable=name, node_names=(f'/{name}',)),
                   memory=TaskMemory(mib * MIB, 0, 0), oom_score_adj=adj, **facts)


def target(found, group='drivers', wanted=-400):
    """Return what protection wants for a process."""
    return Target(found, group, wanted, wanted, '')


def register(*scans, targets=(), foreign_pids=False):
    """Return what took these scans, a second apart."""
    made = KnownProcesses(foreign_pids=foreign_pids)
    for at, scan in enumerate(scans):
        made.update(scan, targets, float(at))
    return made


def kill(pid=10, comm='lidar', **facts):
    """Return a kill by the kernel's word."""
    return OomKill(victim_pid=pid, victim_comm=comm, **facts)


def namesake(pid, **facts):
    """Return a process of the same name in the kernel's log that is another node."""
    made = process(pid, **facts)
    return replace(made, program=replace(made.program, node_names=('/other',)))


def found(made, said):
    """Return the nodes of the victim, and how it was found."""
    known, how = made.find(said)
    return () if known is None else known.process.node_names, how


def test_a_victim_is_known_before_and_after_its_death():
    """Nodes, group and the wanted value survive the process."""
    lidar = process(10)
    for scans in (((lidar,),), ((lidar,), ()), ((lidar,), (), ())):
        known, how = register(*scans, targets=(target(lidar),)).find(kill())
        assert known.process == lidar and known.target.group == 'drivers'
        assert how == 'by PID'


def test_a_zombie_and_one_without_memory_have_died():
    """They hold nothing any more, and die once."""
    lidar = process(10)
    for ghost in (replace(lidar, state='Z'), replace(lidar, memory=None)):
        made = register((lidar,), (ghost,), (ghost,), ())
        assert [(k.process, k.alive_s, k.gone_s) for k in made.died_since(0.5)] == [
            (lidar, 0.0, 1.0)]


def test_a_reused_pid_is_told_apart_by_its_name():
    """The dead one with the kernel's name is meant, not the living one."""
    old, new = process(10, 'lidar', start=1), process(10, 'camera', start=2)
    made = register((old,), (new,))
    assert found(made, kill(comm='lidar'))[0] == ('/lidar',)
    assert found(made, kill(comm='camera'))[0] == ('/camera',)
    assert found(made, kill(comm='other'))[0] == ()


def test_the_same_name_again_means_the_latest():
    """A node that respawned with the same PID is the last one that had it."""
    old, new = process(10, start=1), process(10, start=2)
    made = register((old,), (new,), targets=(target(new, 'second', -1),))
    assert made.find(kill())[0].target.group == 'second'


def test_an_unknown_pid_has_no_name_and_says_so():
    """No name is made up."""
    nodes, how = found(register((process(11),)), kill())
    assert nodes == () and how.startswith('unknown')


def test_a_pid_whose_process_died_long_ago_means_nobody():
    """A PID is given again, to a process that no scan ever saw."""
    made = KnownProcesses()
    made.update((process(10),), (), 0.0)
    made.update((), (), 1.0)
    assert found(made, kill())[0] == ('/lidar',)
    made.update((), (), 3.0)
    assert found(made, kill(comm='renamed'))[0] == ('/lidar',)
    made.update((), (), 8.0)
    assert found(made, kill(comm='renamed'))[0] == ()
    made.update((), (), 62.0)
    assert found(made, kill())[0] == ()


def test_names_are_cut_as_the_kernel_cuts_them():
    """TASK_COMM_LEN leaves 15 bytes."""
    made = register((process(10, 'robot_state_publisher'),))
    assert found(made, kill(comm='robot_state_pub'))[0] == ('/robot_state_publisher',)


def test_pids_of_another_namespace_are_matched_by_name_or_not_at_all():
    """The same number means nobody, nor does one who lives: only who is just gone."""
    lidar, other = process(10), process(11, 'camera')
    made = register((lidar, other), (other,), foreign_pids=True)
    nodes, how = found(made, kill(pid=99, comm='lidar'))
    assert nodes == ('/lidar',) and 'by name' in how
    assert found(made, kill(pid=11, comm='nobody'))[0] == ()
    twice = register((lidar, namesake(12)), (), foreign_pids=True)
    nodes, how = found(twice, kill(pid=10))
    assert nodes == () and '2 processes of this name are gone' in how
    assert found(register((lidar,), foreign_pids=True), kill())[0] == ()


@pytest.mark.parametrize('adj, wanted, value, meant', [
    (0, 0, 0, True), (300, 0, 0, False), (300, 0, 300, True), (None, 0, 0, True)])
def test_in_a_namespace_the_oom_score_adj_must_agree(adj, wanted, value, meant):
    """With the one last read, or the one that we wrote since."""
    lidar = process(10, adj=wanted)
    made = register((lidar,), (), targets=(Target(lidar, None, value, value, ''),),
                    foreign_pids=True)
    assert bool(found(made, kill(pid=99, oom_score_adj=adj))[0]) is meant


def test_in_a_namespace_a_value_that_was_written_since_the_last_scan_agrees():
    """A raised process is in no group, and its value may change several times a second."""
    one, other = process(10), process(11)
    made = register((one, other), (), foreign_pids=True)
    assert found(made, kill(pid=99, oom_score_adj=449))[0] == ()
    made.written = {one.identity: (400, 449), other.identity: (400, 430)}.get
    known, _ = made.find(kill(pid=99, oom_score_adj=449))
    assert known is not None and known.process == one


def test_a_process_that_began_and_ended_between_two_scans_is_known():
    """It was met when it began."""
    made = register((process(10),), foreign_pids=True)
    made.add((process(11, 'late'),), 0.5)
    made.add((process(12, 'later'), process(11, 'again', start=7)), 0.7)
    made.update((process(10),), (), 1.0)
    for name in ('late', 'later', 'again'):
        assert found(made, kill(pid=99, comm=name))[0] == (f'/{name}',)


def test_a_reading_of_a_process_that_is_dying_replaces_none_of_its_life():
    """It has no memory, and the kernel has moved it to the root control group already."""
    victim = process(10, cgroup='/robot')
    made = register([victim], foreign_pids=True)
    made.add([replace(victim, memory=None, cgroup='/')], 1.0)
    made.update([], (), 2.0)
    assert [known.process for known in made.died_since(1.0)] == [victim]


def test_in_a_namespace_the_place_in_the_task_table_tells_equal_names_apart():
    """Both namespaces give PIDs in the same order."""
    ours = [process(pid, start=pid, adj=adj, cgroup='/x')
            for pid, adj in ((5, 0), (6, 0), (7, 0))]
    made = register(ours, ours[:1], foreign_pids=True)
    tasks = tuple(OomTask(pid, oom_score_adj=0, name='lidar') for pid in (907, 905, 906))
    for pid, meant in ((906, ours[1]), (907, ours[2])):
        known, how = made.find(kill(pid=pid, tasks=tasks, task_memcg='/x', oom_memcg='/x'))
        assert known.process == meant and 'place in the task table' in how
    # The first one lives: the record is of another container's process.
    assert made.find(kill(pid=905, tasks=tasks, task_memcg='/x', oom_memcg='/x'))[0] is None
    # One value does not agree, so these are not our three.
    other = (*tasks[:2], OomTask(906, oom_score_adj=5, name='lidar'))
    assert made.find(kill(pid=906, tasks=other, task_memcg='/x', oom_memcg='/x'))[0] is None


@pytest.mark.parametrize('printed, meant', [(100, 0), (40, 1), (70, None), (104, 0), (300, None)])
def test_in_a_namespace_the_size_tells_two_of_a_name_apart_when_it_is_clear(printed, meant):
    """A size between both names nobody."""
    ours = process(10, mib=100), namesake(11, mib=40)
    made = register(ours, (), foreign_pids=True)
    known, _ = made.find(kill(pid=99, anon_rss_bytes=printed * MIB))
    assert (None if known is None else known.process) == (
        None if meant is None else ours[meant])


def test_in_a_namespace_of_a_fork_family_the_name_is_certain_though_the_process_is_not():
    """All that are gone run the same program; each is taken once, and not against the table."""
    family = tuple(process(pid, cgroup='/x') for pid in (10, 11, 12))
    made = register(family, family[:1], foreign_pids=True)
    known, how = made.find(kill(pid=99))
    assert known.process in family[1:] and 'one of 2 processes of this program' in how
    tasks = tuple(OomTask(pid, oom_score_adj=0, name='lidar') for pid in (907, 905))
    assert made.find(kill(pid=905, tasks=tasks, oom_memcg='/x'))[0] is not None  # one is unseen
    in_groups = register(family, (), targets=(target(family[0]),), foreign_pids=True)
    assert in_groups.find(kill(pid=99))[0] is None


def test_a_child_that_was_never_read_is_told_by_its_family():
    """Only where one program fits that has forked before, and lives or died a moment ago."""
    first = process(10, adj=53, cgroup='/x')
    second = replace(process(11, adj=53, cgroup='/x'), ppid=10)
    other = replace(namesake(12, adj=53, cgroup='/x'), ppid=10)
    said = kill(pid=99, oom_score_adj=53, task_memcg='/x', victim_uid=0)

    def asked(*scan, kill=said, group=None):
        return family_of(register(scan, foreign_pids=True), kill, group, 0.0)
    known, how = asked(first, second)
    assert known.process == first and '/lidar (PID 10) or what it forked' in how
    dead = register((first, second), (), foreign_pids=True)
    assert family_of(dead, said, None, 2.0)[0].process == first
    assert family_of(dead, said, None, 20.0) is None
    assert asked(first) is None  # it has never forked
    assert asked(first, second, other) is None
    for facts in ({'victim_comm': 'other'}, {'victim_uid': 7}, {'oom_score_adj': 0},
                  {'task_memcg': '/y'}, {'task_memcg': None}, {'victim_comm': None}):
        assert asked(first, second, kill=replace(said, **facts)) is None, facts
    assert asked(first, second, kill=replace(said, task_memcg=None), group='/x')


@pytest.mark.parametrize('own, killed, meant', [
    ('/robot', '/docker/1/robot', True), ('/robot', '/docker/2/other', False),
    ('/', '/docker/1', True), (None, '/docker/1', False), ('/robot', None, True)])
def test_in_a_namespace_the_control_group_tells_two_of_a_name_apart(own, killed, meant):
    """The kernel names it from its own root; an unreadable group is never a match."""
    made = register((process(10, cgroup=own),), (), foreign_pids=True)
    nodes, _ = found(made, kill(pid=99, task_memcg=killed))
    assert nodes == (('/lidar',) if meant else ())


def test_a_process_of_an_unknown_control_group_is_in_none():
    """Not even in the root."""
    assert within('/a/b', '/a') and within('/a', '/a') and within('/a', '/')
    assert not within(None, '/') and not within('/ab', '/a')


def test_the_parents_of_a_process_are_found_up_to_the_first_that_is_gone():
    """A job of a build is known by them; a circle ends."""
    one, two = replace(process(1, 'colcon'), ppid=2), replace(process(2, 'sh'), ppid=1)
    made = register((one, two, replace(process(3), ppid=1)))
    assert [p.pid for p in made.parents(replace(process(3), ppid=1))] == [1, 2]


def test_the_history_of_the_dead_is_bounded_in_number_and_time():
    """A fork storm does not fill the memory, and the old are forgotten."""
    made = KnownProcesses()
    made.update([process(pid) for pid in range(1, DEAD_MAX + 500)], (), 0.0)
    made.update((), (), 1.0)
    assert len(made.died_since(0.5)) == DEAD_MAX
    made.update((), (), 2.0 + DEAD_KEPT_S)
    assert made.died_since(0.0) == ()


def test_many_small_programs_push_no_node_out_of_the_history():
    """A script that starts twenty programs a second takes a part of it only."""
    made = KnownProcesses()
    small = [replace(process(pid, mib=1), program=Program('sleep')) for pid in range(2, 900)]
    made.update([process(1, mib=1), *small], (), 0.0)
    made.update((), (), 1.0)
    dead = made.died_since(0.5)
    assert len(dead) == SMALL_DEAD_MAX + 1 and dead[0].process.pid == 1
    assert made.with_pid(899, 'sleep').process == small[-1]
    made.update((), (), 2.0 + DEAD_KEPT_S)
    assert made.died_since(0.0) == ()


def test_the_largest_of_the_task_table_are_named():
    """With their nodes where known, in MiB of this page size."""
    tasks = (OomTask(10, rss_pages=256, swap_entries=256, name='lidar'),
             OomTask(11, rss_pages=5120, name='hog'), OomTask(12, name='idle'))
    made = register((process(10),))
    assert largest_processes(made, kill(tasks=tasks, page_size=4096), 0.0) == (
        'hog (PID 11) 20 MiB', '/lidar (PID 10) 2 MiB', 'idle (PID 12) 0 MiB')


def test_without_a_table_the_known_processes_of_the_control_group_are_named():
    """The victim with what the kernel says of it."""
    made = register((process(10, cgroup='/a/b'), process(11, 'camera', 30, cgroup='/a'),
                     process(12, 'outside', 90, cgroup='/ab')))
    said = kill(oom_memcg='/a', anon_rss_bytes=40 * MIB)
    assert largest_processes(made, said, 0.0) == (
        '/lidar (PID 10) 40 MiB', '/camera (PID 11) 30 MiB')


def test_the_sentinel_makes_known_what_has_just_begun_and_what_it_wrote():
    """A program may be killed before the next scan, with a value that no scan has read."""
    sentinel = Sentinel(settings.build({'incident.directory': ''}), watching='a test looks only')
    child = subprocess.Popen(['sleep', '30'])
    try:
        sentinel.meet(frozenset({child.pid}))
        known = sentinel.kill_log.attribution.known
        assert known.was_known(child.pid)
        assert known.written == sentinel.guard.values_written
    finally:
        child.kill()
        child.wait()
        sentinel.close(False)


def test_the_groups_of_the_living_and_of_those_that_died_lately_are_looked_at():
    """A minute after its last process a group is forgotten; a new one's is known at once."""
    made = KnownProcesses()
    made.update((process(10, cgroup='/a'), process(11, cgroup='/b'), process(12)), (), 0.0)
    assert made.control_groups == {'/a', '/b'}
    made.add((process(13, cgroup='/c'), process(10, start=99, cgroup='/d')), 1.0)
    assert made.control_groups == {'/a', '/b', '/c', '/d'}
    made.update((process(11, cgroup='/b'),), (), 50.0)
    assert made.control_groups == {'/a', '/b', '/c', '/d'}
    made.update((process(11, cgroup='/e'),), (), 70.0)
    assert made.control_groups == {'/b', '/c', '/d', '/e'}
    made.update((process(11, cgroup='/e'),), (), 111.0)
    assert made.control_groups == {'/e'}


def test_of_whom_it_is_followed_how_they_end_those_of_a_group_come_first(monkeypatch):
    """Then the largest: the kernel takes those."""
    followed = []
    made = Attribution(foreign_pids=True, reader=None, exits=SimpleNamespace(
        follow=followed.extend))
    small = process(10, mib=1)
    made.remember_processes(
        (process(11, mib=5), process(12, mib=9), small, replace(process(13), memory=None)),
        (target(small), target(process(11, mib=5), group=None)), 0.0)
    assert [identity.pid for identity in followed] == [10, 12, 11]
