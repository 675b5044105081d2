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

"""Whom a kill hit, kills that no log told, and what the status says of them."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.counters import Counters
from oom_sentinel.kills.counters import counters
from oom_sentinel.kills.counters import infer
from oom_sentinel.kills.counters import UnexplainedKills
from oom_sentinel.kills.known_processes import DEAD_MAX
from oom_sentinel.kills.known_processes import DEAD_TOLD_S
from oom_sentinel.kills.known_processes import KnownProcesses
from oom_sentinel.report import kills as report
import pytest

MIB = 1 << 20
HOST = Host('robot', 4096, '6.1.0')
SETTINGS = settings.build({'kills.hold_s': 60.0})


def process(pid, name='lidar', mib=10, adj=0, start=None, **facts):
    """Return a process that holds MiB."""
    return Process(pid, pid if start is None else start, 1, 0,
                   Program(name[:15], executable=name, node_names=(f'/{name}',)),
                   memory=TaskMemory(mib * MIB, 0, 0), oom_score_adj=adj, **facts)


def target(found, group='drivers', wanted=-400):
    """Return what protection wants for a process."""
    return Target(found, group, wanted, wanted, '')


def register(*scans, targets=(), foreign_pids=False):
    """Return a register that took these scans, a second apart."""
    made = KnownProcesses(foreign_pids=foreign_pids)
    for at, scan in enumerate(scans):
        made.update(scan, targets, float(at))
    return made


def kill(pid=10, comm='lidar', **facts):
    """Return a kill by the kernel's word."""
    return OomKill(victim_pid=pid, victim_comm=comm, **facts)


def sample(oom_kill=0, at=0.0, **facts):
    """Return a sample with this counter."""
    return Sample(at, 1000.0 + at, HOST, MemInfo(1 << 30, 0, 1 << 29), Unavailable('off'),
                  VmStat(oom_kill), **facts)


def test_a_victim_is_known_before_and_after_its_death():
    """Nodes, group and the wanted value survive the process."""
    lidar = process(10)
    for scans in (((lidar,),), ((lidar,), ()), ((lidar,), (), ())):
        found, how = register(*scans, targets=(target(lidar),)).attribute(kill())
        assert (found.node_names, found.group, found.wanted) == (('/lidar',), 'drivers', -400)
        assert how == 'by PID'


def test_a_zombie_and_one_without_memory_have_died():
    """They hold nothing any more, and die once."""
    lidar = process(10)
    for ghost in (replace(lidar, state='Z'), replace(lidar, memory=None)):
        made = register((lidar,), (ghost,), (ghost,), ())
        assert [k.process for k in made.died_since(0.5)] == [lidar]


def test_a_reused_pid_is_told_apart_by_its_name():
    """The dead one with the kernel's name is meant, not the living one."""
    old, new = process(10, 'lidar', start=1), process(10, 'camera', start=2)
    made = register((old,), (new,))
    assert made.attribute(kill(comm='lidar'))[0].node_names == ('/lidar',)
    assert made.attribute(kill(comm='camera'))[0].node_names == ('/camera',)
    assert made.attribute(kill(comm='other'))[0].node_names == ()


def test_the_same_name_again_means_the_latest():
    """A node that respawned with the same PID is the last one that had it."""
    old, new = process(10, start=1), process(10, start=2)
    made = register((old,), (new,), targets=(target(new, 'second', -1),))
    assert made.attribute(kill())[0].group == 'second'


def test_a_stranger_is_unknown_and_said_so():
    """No name is made up."""
    found, how = register((process(11),)).attribute(kill())
    assert found == kill() and how.startswith('unknown')


def test_names_are_cut_as_the_kernel_cuts_them():
    """TASK_COMM_LEN leaves 15 bytes."""
    found, _ = register((process(10, 'robot_state_publisher'),)).attribute(
        kill(comm='robot_state_pub'))
    assert found.node_names == ('/robot_state_publisher',)


def test_pids_of_another_namespace_are_matched_by_name_or_not_at_all():
    """The same number means nobody, nor does one who lives: only who is just gone."""
    lidar, other = process(10), process(11, 'camera')
    made = register((lidar, other), (other,), foreign_pids=True)
    found, how = made.attribute(kill(pid=99, comm='lidar'))
    assert found.node_names == ('/lidar',) and 'by name' in how
    assert made.attribute(kill(pid=11, comm='nobody'))[0].node_names == ()
    twice = register((lidar, process(12)), (), foreign_pids=True)
    found, how = twice.attribute(kill(pid=10))
    assert found.node_names == () and '2 processes of this name are gone' in how
    assert register((lidar,), foreign_pids=True).attribute(kill())[0].node_names == ()


@pytest.mark.parametrize('own, killed, meant', [
    ('/robot', '/docker/1/robot', True), ('/robot', '/docker/2/other', False),
    ('/', '/docker/1', True), (None, '/docker/1', True), ('/robot', None, True)])
def test_in_a_namespace_the_control_group_tells_two_of_a_name_apart(own, killed, meant):
    """The kernel names it from its own root, a container sees the end of the path."""
    made = register((process(10, cgroup=own),), (), foreign_pids=True)
    found, _ = made.attribute(kill(pid=99, task_memcg=killed))
    assert found.node_names == (('/lidar',) if meant else ())


def test_the_history_of_the_dead_is_bounded_in_number_and_time():
    """A fork storm does not fill the memory, and the old are forgotten."""
    made = KnownProcesses()
    made.update([process(pid) for pid in range(1, DEAD_MAX + 500)], (), 0.0)
    made.update((), (), 1.0)
    assert len(made.died_since(0.5)) == DEAD_MAX
    made.update((), (), 2.0 + DEAD_TOLD_S)
    assert made.died_since(0.0) == ()


def test_the_largest_of_the_task_table_are_named():
    """With their nodes where known, in MiB of this page size."""
    tasks = (OomTask(10, rss_pages=256, swap_entries=256, name='lidar'),
             OomTask(11, rss_pages=5120, name='hog'), OomTask(12, name='idle'))
    made = register((process(10),))
    assert made.largest_processes(kill(tasks=tasks, page_size=4096), 0.0) == (
        'hog (PID 11) 20 MiB', '/lidar (PID 10) 2 MiB', 'idle (PID 12) 0 MiB')


def test_without_a_table_the_known_processes_of_the_control_group_are_named():
    """The victim with what the kernel says of it."""
    made = register((process(10, cgroup='/a/b'), process(11, 'camera', 30, cgroup='/a'),
                     process(12, 'outside', 90, cgroup='/ab')))
    said = kill(oom_memcg='/a', anon_rss_bytes=40 * MIB)
    assert made.largest_processes(said, 0.0) == (
        '/lidar (PID 10) 40 MiB', '/camera (PID 11) 30 MiB')


def test_a_counter_that_a_log_explains_leaves_nothing():
    """The log tells each kill that is counted."""
    tally = UnexplainedKills()
    tally.count(Counters(5), 0.0)
    tally.count(Counters(7), 1.0)
    assert tally.unexplained == 2 and tally.open_s(3.0) == 2.0
    assert not tally.log() and not tally.log()
    tally.count(Counters(7), 2.0)
    assert tally.unexplained == 0 and tally.open_s(9.0) == 0.0


def test_a_kill_that_was_inferred_is_known_again_in_the_log():
    """It is one kill, also when the log is late."""
    tally = UnexplainedKills()
    tally.count(Counters(0), 0.0)
    tally.count(Counters(1), 1.0)
    tally.infer(1)
    assert tally.unexplained == 0
    assert tally.log() is True and tally.unexplained == 0
    tally.count(Counters(2), 2.0)
    assert tally.log() is False and tally.unexplained == 0


@given(st.lists(st.sampled_from(['kill', 'log', 'infer']), max_size=60))
def test_every_kill_is_told_once_whatever_the_order(events):
    """What the log told and what was inferred and never logged add up to what was counted."""
    tally, counted, pending, told = UnexplainedKills(), 0, 0, 0
    tally.count(Counters(0), 0.0)
    for at, event in enumerate(events):
        if event == 'kill':
            counted += 1
            pending += 1
            tally.count(Counters(counted), float(at))
        elif event == 'log' and pending:
            pending -= 1
            told += 0 if tally.log() else 1
        elif event == 'infer' and tally.unexplained:
            told += tally.unexplained
            tally.infer(tally.unexplained)
    assert told + tally.unexplained == counted


def test_without_the_machines_counter_the_innermost_groups_count():
    """Before 4.13 /proc/vmstat has none; v2 counts a kill in every ancestor too."""
    tally = UnexplainedKills()
    tally.count(Counters(None, (('/', 1), ('/a', 1), ('/a/b', 0))), 0.0)
    tally.count(Counters(None, (('/', 3), ('/a', 3), ('/a/b', 2), ('/new', 9))), 1.0)
    assert tally.unexplained == 2 and tally.where == (('/a/b', 2),)


def test_counters_come_from_a_sample_and_unknown_is_none():
    """Neither a missing vmstat nor a missing controller is 0."""
    groups = (MemoryCgroup('/a', 1, oom_kill=3), MemoryCgroup('/', 1))
    assert counters(sample(4, chains=(CgroupChain('/a', groups),))) == Counters(
        4, (('/a', 3),))
    blind = replace(sample(), vmstat=Unavailable('x'), chains=Unavailable('y'))
    assert counters(blind) == Counters(None, ())


def inferred(count, missing, where=(), limits=()):
    """Return what is inferred, with a page count of 1 GiB."""
    return infer(count, missing, where, limits=limits, totalpages=1 << 18, page_size=4096,
                 wall_s=5.0)


def test_of_those_missing_the_one_of_the_highest_badness_is_meant():
    """oom_score_adj counts, and the choice is said to be one of several."""
    small, large = process(10, mib=50, adj=300), process(11, 'camera', 90, adj=-300)
    made = register((small, large), ())
    (found, how), = inferred(1, made.died_since(0.0))
    assert found.victim_pid == 10 and found.certainty == INFERRED
    assert found.source == 'counters' and 'of 2 processes' in how


def test_the_control_group_whose_counter_rose_held_the_victim():
    """A larger process elsewhere that ended by itself is not blamed."""
    inner, outer = process(10, cgroup='/a/b'), process(11, 'camera', 900, cgroup='/c')
    made = register((inner, outer), ())
    (found, how), = inferred(1, made.died_since(0.0), (('/a', 1),), ('/', '/a'))
    assert found.node_names == ('/lidar',) and 'the only process' in how
    assert (found.task_memcg, found.oom_memcg) == ('/a', '/a')
    assert inferred(1, made.died_since(0.0), (('/a', 1),))[0][0].oom_memcg is None


def test_a_kill_without_anybody_missing_has_an_unknown_victim():
    """It happened outside of what we can see."""
    (found, how), = inferred(1, ())
    assert found.victim_pid is None and how.startswith('unknown')
    assert report.victim(found) == 'a process that is not known'


def told(*seen, at=0.0, **facts):
    """Return the status for these kills."""
    return report.compose(Kills(seen, since_start=len(seen), **facts), sample(3, at), SETTINGS)


@pytest.mark.parametrize('wanted, before, level', [
    (-400, False, Level.ERROR), (300, False, Level.WARN), (0, False, Level.WARN),
    (None, False, Level.WARN), (-400, True, Level.OK)])
def test_levels_are_error_for_a_negative_group_and_ok_for_the_past(wanted, before, level):
    """As INTERFACE.md says."""
    group = None if wanted is None else 'g'
    seen = SeenKill(kill(wanted=wanted, group=group, before_start=before), 0.0)
    assert told(seen).level == level and report.one(seen).level == level


def test_the_level_is_held_for_kills_hold_s_and_the_facts_stay():
    """Then it is OK and still names the last one."""
    seen = SeenKill(kill(node_names=('/lidar',), wanted=-400, group='drivers'), 100.0)
    assert told(seen, at=159.0).level == Level.ERROR
    calm = told(seen, at=161.0)
    assert calm.level == Level.OK and 'No recent OOM kill, 1 since' in calm.message
    assert '/lidar' in dict(calm.values)['victim']


def test_the_worst_kill_is_told_not_the_last():
    """A rosbag that dies after the driver does not hide the driver."""
    worst = SeenKill(kill(node_names=('/lidar',), wanted=-400, group='drivers'), 0.0)
    last = SeenKill(kill(11, 'rosbag', wanted=300, group='expendable'), 1.0)
    status = told(worst, last)
    assert status.level == Level.ERROR and '/lidar' in status.message
    assert '1 more a moment ago' in status.message


def test_an_operator_reads_who_why_and_whether_it_was_protected():
    """One sentence."""
    seen = SeenKill(kill(
        node_names=('/lidar',), wanted=-400, group='drivers', oom_score_adj=0, time=0.0,
        constraint='CONSTRAINT_MEMCG', oom_memcg='/robot'), 0.0, 'by PID', ('hog 90 MiB',))
    assert report.one(seen).message == (
        'The kernel killed /lidar (lidar, PID 10) at 00:00:00 UTC because control group /robot '
        'reached its memory limit; group drivers wants -400 for it, which it did not have; '
        'most memory had hog 90 MiB.')


def test_keys_are_the_same_with_and_without_a_kill_and_nothing_unknown_is_0():
    """Dashboards find each key at every time."""
    empty = told()
    assert [k for k, _ in empty.values] == [k for k, _ in told(SeenKill(kill(), 0.0)).values]
    bare = dict(told(SeenKill(OomKill(), 0.0)).values)
    assert bare['victim held (MiB)'].startswith('unavailable')
    assert bare['when'].startswith('unavailable')
    assert dict(empty.values)['since boot'] == '3'


@pytest.mark.parametrize('vmstat, said', [
    (VmStat(None), 'unavailable (counted since Linux 4.13)'),
    (Unavailable('gone'), 'unavailable (gone)')])
def test_an_unknown_count_since_boot_says_why(vmstat, said):
    """It is never 0."""
    status = report.compose(Kills(), replace(sample(), vmstat=vmstat), SETTINGS)
    assert dict(status.values)['since boot'] == said


def test_the_source_and_what_would_open_a_better_one_are_told():
    """An operator knows which permission to give."""
    status = told(source='counters', better=('/dev/kmsg: denied; CAP_SYSLOG opens it',),
                  missed=7)
    values = dict(status.values)
    assert values['kernel log'] == 'counters' and 'CAP_SYSLOG' in values['a better source']
    assert '7 kernel messages were missed' in status.message


@given(st.builds(OomKill, victim_pid=st.none() | st.integers(), victim_comm=st.none() | st.text(),
                 time=st.none() | st.floats(0, 4e9), constraint=st.none() | st.text(),
                 oom_memcg=st.none() | st.text(), group=st.none() | st.text(),
                 wanted=st.none() | st.integers(-1000, 1000),
                 oom_score_adj=st.none() | st.integers(-1000, 1000),
                 node_names=st.lists(st.text()).map(tuple), before_start=st.booleans()))
def test_any_kill_can_be_told(found):
    """A hostile name or a missing fact never stops the status."""
    status = report.one(SeenKill(found, 0.0))
    assert status.message.endswith('.') and status.message not in ('Error', 'Warning')
    assert all(isinstance(value, str) for _, value in status.values)
