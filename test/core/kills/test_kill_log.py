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

"""What the sentinel makes of the kernel's words and counters, one cycle after the other."""

from dataclasses import replace
import json
import os
import pathlib
import subprocess
import time

from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.cgroup import OomEvents
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SignalDeath
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills import circumstances
from oom_sentinel.kills import kill_log
from oom_sentinel.kills import records
from oom_sentinel.kills.counters import Counters
from oom_sentinel.report import kills as report_kills
import pytest

KILLED = (b'3,%d,%d,-;Out of memory: Killed process %d (%s) total-vm:9kB, anon-rss:4kB, '
          b'file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:8kB oom_score_adj:0')
TABLE_HEAD = (b'6,1,5000000,-;[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents '
              b'oom_score_adj name')
TABLE_ROW = b'6,2,5000000,-;[     10]     0    10      574      221    49152        0 0 lidar'
LIDAR = Process(10, 1, 1, 0, Program('lidar', executable='lidar', node_names=('/lidar',)),
                memory=TaskMemory(1 << 20, 0, 0), oom_score_adj=0)
TARGETS = (Target(LIDAR, 'drivers', -400, -400, ''),)


class Log:
    """A source whose messages the test says."""

    descriptor = 0
    missed = 0

    def __init__(self, name):
        """Have nothing to say yet."""
        self.name = name
        self.lines = []
        self.number = 0

    def kill(self, pid=10, comm=b'lidar', boot_s=5.0):
        """Say that the kernel killed this process."""
        self.number += 1
        line = KILLED % (self.number, int(boot_s * 1e6), pid, comm)
        if self.lines and b'CONSTRAINT_MEMCG' in self.lines[-1]:
            line = line.replace(b'Out of memory', b'Memory cgroup out of memory')
        self.lines.append(line)

    def choice(self, group, pid):
        """Say whom the kernel chose in which control group."""
        self.number += 1
        self.lines.append((
            f'6,{self.number},5000000,-;oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),'
            f'cpuset=/,mems_allowed=0,oom_memcg={group},task_memcg={group},task=lidar,'
            f'pid={pid},uid=1').encode())

    def read(self):
        """Return what was said."""
        lines, self.lines = self.lines, []
        return lines

    def tend(self, now_s):
        """Do nothing."""

    def close(self):
        """Do nothing."""


class Reader:
    """Counters that the test sets."""

    def __init__(self, case, machine_counts):
        """Take the case whose group counters are read."""
        self.case, self.machine_counts, self.cgroups = case, machine_counts, self

    def exists(self, path):
        """Return that no group can be looked at."""
        return False

    def read(self, sample, paths, again):
        """Return the counters."""
        return Counters(self.case.counter if self.machine_counts else None, {
            path: OomEvents(count) for path, count in self.case.groups.items()})


class Case:
    """A kill log with a clock, a counter and a log of the test's own."""

    def __init__(self, monkeypatch, name='kmsg', past=0, tmp_path=None, foreign_pids=False,
                 groups=None, container=False, lives=False):
        """Open it, with this many kills in the past."""
        self.log, self.now_s, self.counter, self.alive = Log(name), 100.0, past, (LIDAR,)
        self.groups, self.lives, self.asked = groups, lives, []
        for number in range(past):
            self.log.kill(1000 + number)
        monkeypatch.setattr(kill_log.log, 'best', lambda: (self.log, ('denied',)))
        self.kill_log = kill_log.KillLog(
            live=True, foreign_pids=foreign_pids,
            directory='' if tmp_path is None else str(tmp_path),
            monotonic=lambda: self.now_s, wall=lambda: 5000.0 + self.now_s,
            counters=None if groups is None else Reader(self, not container),
            lives=lambda kill: self.lives)
        self.kill_log.open(lambda: self.counter)
        self.scan()

    def scan(self, pids=None):
        """Read the process table; keep what was asked for."""
        self.asked.append(pids)
        self.kill_log.remember_processes(self.alive, TARGETS if LIDAR in self.alive else ())

    def deaths(self, *deaths):
        """Let the kernel report who died by signal 9, each as PID and time."""
        self.kill_log.use_signal_deaths(lambda since_s: tuple(
            SignalDeath(*death) for death in deaths if death[1] >= since_s))

    def cycle(self, after_s=1.0, keep=5, chains=()):
        """Return what is known after a cycle this much later."""
        self.now_s += after_s
        self.kill_log.read_log()
        return self.kill_log.update(self.reading(chains), (), keep, self.scan)

    def reading(self, chains=()):
        """Return a reading of the machine now."""
        return Sample(self.now_s, 5000.0 + self.now_s, Host('robot', 4096, '6.1.0'),
                      MemInfo(1 << 30, 0, 1 << 29), Unavailable('off'), VmStat(self.counter),
                      chains=chains)


@pytest.fixture
def case(monkeypatch):
    """Return a case that reads /dev/kmsg."""
    return Case(monkeypatch)


def test_a_kill_in_the_log_is_told_once_and_the_counter_not_again(case):
    """The counter rose before the line was printed."""
    case.counter += 1
    case.log.kill()
    (seen,) = case.cycle().fresh
    assert seen.kill.node_names == ('/lidar',) and seen.kill.wanted == -400
    assert seen.kill.time == 5000.0 + case.now_s and not seen.kill.before_start
    case.alive = ()
    assert all(case.cycle().fresh == () for _ in range(20))
    assert case.cycle().since_start == 1


def test_what_the_log_held_at_the_start_is_the_past(monkeypatch):
    """It is told once, marked, without names, and not counted since the start."""
    case = Case(monkeypatch, past=3)
    kills = case.cycle()
    assert [s.kill.before_start for s in kills.fresh] == [True] * 3
    assert all(s.kill.node_names == () for s in kills.fresh) and kills.since_start == 0
    assert all(case.cycle().fresh == () for _ in range(10))


def test_a_kill_that_the_log_missed_is_inferred_after_its_grace(case):
    """And not told again when the log says it after all: its word replaces the inference."""
    case.counter += 1
    case.deaths((10, case.now_s + 0.05))
    case.alive = ()
    assert case.cycle(0.1).fresh == ()
    assert case.cycle(0.5).fresh == ()
    (seen,) = case.cycle(0.7).fresh
    assert seen.kill.certainty == 'inferred' and seen.kill.node_names == ('/lidar',)
    case.log.kill()
    kills = case.cycle()
    assert kills.fresh == () and kills.since_start == 1
    assert [s.kill.certainty for s in kills.seen] == ['the kernel said so']


def test_a_victim_that_still_dies_is_waited_for(monkeypatch):
    """Without a log the counter comes first and the death later; nobody else is taken."""
    case = Case(monkeypatch, 'counters')
    case.counter += 1
    case.deaths()
    assert case.cycle(0.5).fresh == ()
    assert case.cycle(0.5).fresh == ()
    case.deaths((10, case.now_s + 0.1))
    case.alive = ()
    (seen,) = case.cycle(0.5).fresh
    assert seen.kill.victim_pid == 10


def test_the_group_whose_counter_rose_is_waited_for_though_others_vanish(monkeypatch):
    """Who ended by itself meanwhile, outside of it, does not stand for the victim."""
    victim = replace(LIDAR, cgroup='/robot')
    other = replace(LIDAR, pid=11, cgroup='/else')
    case = Case(monkeypatch, 'counters')

    def chains(count):
        return (CgroupChain('/robot', (MemoryCgroup('/robot', 2, oom_kill=count),)),)
    case.alive = (victim, other)
    case.scan()
    case.cycle(chains=chains(0))
    case.counter += 1
    case.alive = (victim,)
    case.deaths()
    assert case.cycle(chains=chains(1)).fresh == ()
    assert case.cycle(chains=chains(1)).fresh == ()
    case.deaths((10, case.now_s + 0.1))
    case.alive = ()
    (seen,) = case.cycle(chains=chains(1)).fresh
    assert seen.kill.victim_pid == 10 and seen.kill.task_memcg == '/robot'


def test_a_kill_out_of_sight_has_an_unknown_victim_in_the_end(monkeypatch):
    """In a container it may be somebody else's."""
    case = Case(monkeypatch, 'counters')
    case.counter += 2
    assert case.cycle(0.5).fresh == ()
    told = [seen for _ in range(6) for seen in case.cycle().fresh]
    assert [(seen.kill.victim_pid, seen.count) for seen in told] == [(None, 2)]
    assert all(case.cycle().fresh == () for _ in range(5))
    assert case.cycle().since_start == 2


def test_a_death_from_before_the_counter_rose_is_not_blamed(monkeypatch):
    """Who was gone already at the cycle before is no candidate."""
    case = Case(monkeypatch, 'counters')
    case.alive = ()
    case.now_s += 1.0
    case.scan()
    case.cycle()
    case.counter += 1
    kills = [seen.kill for _ in range(7) for seen in case.cycle().fresh]
    assert [kill.victim_pid for kill in kills] == [None]


def test_a_group_kill_that_names_its_victim_twice_is_one_death(case):
    """The kernel prints and counts it twice."""
    case.counter += 3
    case.log.kill(10, boot_s=5.0)
    case.log.kill(11, b'other', boot_s=5.001)
    case.log.kill(10, boot_s=5.04)
    assert [s.kill.victim_pid for s in case.cycle().fresh] == [10, 11]
    assert all(case.cycle().fresh == () for _ in range(10))


def test_a_kill_between_log_and_counters_is_told_once(case):
    """The counter is read after the log; the line comes a cycle later."""
    case.counter += 1
    assert case.cycle(0.1).fresh == ()
    case.log.kill()
    assert len(case.cycle(0.1).fresh) == 1
    assert all(case.cycle().fresh == () for _ in range(10))


def test_in_a_pid_namespace_a_kill_waits_for_the_death_it_means(monkeypatch):
    """Another container's kill of the same name is nobody of ours."""
    for dies in (True, False):
        case = Case(monkeypatch, foreign_pids=True)
        case.counter += 1
        case.log.kill(4711)
        assert case.cycle(0.1).fresh == ()
        case.alive = () if dies else (LIDAR,)
        told = [seen for _ in range(6) for seen in case.cycle().fresh]
        assert [s.kill.node_names for s in told] == [('/lidar',) if dies else ()]


def test_missed_messages_and_why_there_is_no_better_source_are_passed_on(case):
    """The status tells them."""
    case.log.missed = 4
    kills = case.cycle()
    assert (kills.missed, kills.better, kills.source) == (4, ('denied',), 'kmsg')


def test_a_folder_is_written_for_a_live_kill_alone(monkeypatch, tmp_path):
    """Neither for the past nor when none shall be kept; a status says where it is."""
    folder = tmp_path / 'incidents'
    case = Case(monkeypatch, past=2, tmp_path=folder)
    case.cycle()
    case.counter += 1
    case.log.kill(20, boot_s=5.0)
    case.cycle(keep=0)
    case.counter += 1
    case.log.kill(10, boot_s=6.0)
    case.cycle()
    case.kill_log.close()
    (found,) = folder.iterdir()
    assert found.name.endswith('_pid10_lidar') and case.cycle().incident == str(found)


def test_a_captured_tree_has_no_log_and_writes_nothing(monkeypatch, tmp_path):
    """No source is opened for it."""
    monkeypatch.setattr(kill_log.log, 'best', lambda: pytest.fail('a log was opened'))
    made = kill_log.KillLog(live=False, foreign_pids=False, directory=str(tmp_path))
    made.open(lambda: 0)
    assert made.writer.directory == '' and not list(made.feed.take())


def test_a_kill_while_the_past_is_read_is_neither_lost_nor_told_twice(monkeypatch):
    """The counter must stand still while the log is read."""
    log = Log('kmsg')
    counts = iter([0, 1, 1, 1])
    monkeypatch.setattr(kill_log.log, 'best', lambda: (log, ()))
    made = kill_log.KillLog(live=True, foreign_pids=False, directory='')
    read = log.read

    def late():
        lines = read()
        if log.number == 0:
            log.kill()
        return lines
    log.read = late
    made.open(lambda: next(counts))
    taken = Sample(0.0, 0.0, Host('robot', 4096, '6.1.0'), MemInfo(1 << 30, 0),
                   Unavailable('off'), VmStat(1))
    made.read_log()
    assert [s.kill.victim_pid for s in made.update(taken, (), 0, lambda pids: None).fresh] == [10]
    later = replace(taken, monotonic_s=60.0)
    assert made.update(later, (), 0, lambda pids: None).fresh == ()


def test_a_groups_victim_that_the_kernel_tells_and_counts_twice_is_one_kill(case):
    """memory.oom.group: printed first as the victim, then as a member; nothing is inferred."""
    case.counter += 3
    case.log.kill(10, b'lidar', 5.0)
    case.log.lines.append(b'6,90,5000001,-;Tasks in /robot are going to be killed due to '
                          b'memory.oom.group set')
    case.log.kill(10, b'lidar', 5.00001)
    case.log.kill(11, b'other', 5.00002)
    case.alive = ()
    case.scan()
    assert [seen.kill.victim_pid for seen in case.cycle().fresh] == [10, 11]
    assert all(case.cycle().fresh == () for _ in range(8))


ROBOT = replace(LIDAR, cgroup='/robot')
OTHER = replace(LIDAR, pid=11, cgroup='/robot',
                program=Program('talker', executable='talker', node_names=('/talker',)))


def test_the_kernels_record_replaces_an_inference_whatever_pid_it_names(case):
    """The wrongly accused is no kill any more, the true victim is told."""
    case.alive = (LIDAR, OTHER)
    case.scan()
    case.counter += 1
    case.deaths((10, case.now_s + 0.1))
    case.alive = (OTHER,)
    assert [s.kill.victim_pid for _ in range(3) for s in case.cycle().fresh] == [10]
    case.log.kill(77, b'compiler')
    kills = case.cycle()
    assert [s.kill.victim_pid for s in kills.fresh] == [77] and kills.since_start == 1
    assert [(s.kill.victim_pid, s.kill.certainty) for s in kills.seen] == [
        (77, 'the kernel said so')]


@pytest.mark.parametrize('inferred', [False, True])
def test_the_report_of_a_kill_is_passed_on_but_not_kept(case, inferred):
    """Twenty kills among 5000 processes would be 40 MB for good."""
    case.counter += 1
    if inferred:
        case.deaths((10, case.now_s + 0.1))
        case.alive = ()
        assert [len(case.cycle().fresh) for _ in range(3)] == [0, 1, 0]
    case.log.lines += [TABLE_HEAD, TABLE_ROW]
    case.log.kill()
    kills = case.cycle()
    assert inferred or len(kills.fresh[0].kill.tasks) == len(kills.fresh[0].kill.lines) - 2 == 1
    assert [(s.kill.victim_pid, s.kill.certainty, s.kill.tasks, s.kill.lines)
            for s in kills.seen] == [(10, 'the kernel said so', (), ())]


def test_no_record_is_dropped_for_an_inference(case):
    """Of kills that were told together each record takes one away."""
    case.counter += 3
    told = [seen for _ in range(8) for seen in case.cycle().fresh]
    assert [seen.count for seen in told] == [3]
    case.log.kill(77, b'one')
    case.log.kill(78, b'two', 5.1)
    kills = case.cycle()
    assert [s.kill.victim_pid for s in kills.fresh] == [77, 78] and kills.since_start == 3
    assert [s.count for s in kills.seen] == [1, 1, 1]


def test_who_ended_by_itself_is_not_accused(monkeypatch):
    """The kernel reports who died by signal 9: of those who vanished only one did."""
    for killed, named in ((11, 11), (10, 10), (99, None)):
        case = Case(monkeypatch, 'counters')
        case.alive = (LIDAR, OTHER)
        case.scan()
        case.deaths((killed, case.now_s + 0.3))
        case.counter += 1
        case.alive = ()
        told = [seen for _ in range(8) for seen in case.cycle().fresh]
        assert [seen.kill.victim_pid for seen in told] == [named]


def test_without_the_signals_two_that_vanished_are_not_told_apart(monkeypatch):
    """It is said of how many the victim is one."""
    case = Case(monkeypatch, 'counters')
    case.alive = (LIDAR, OTHER)
    case.scan()
    case.counter += 1
    case.alive = ()
    told = [seen for _ in range(8) for seen in case.cycle().fresh]
    assert [seen.kill.victim_pid for seen in told] == [None]
    assert '1 of 2 processes that vanished' in told[0].matched


def test_in_a_container_other_containers_kills_accuse_nobody(monkeypatch):
    """The machine's counter rises and our own does not, while a process ends by itself."""
    case = Case(monkeypatch, 'counters', groups={'/robot': 0}, container=True)
    case.alive = (ROBOT,)
    case.scan()
    case.cycle()
    case.counter += 5
    case.alive = ()
    assert [seen for _ in range(8) for seen in case.cycle().fresh] == []
    assert case.cycle().counted_here == 0


def test_in_a_container_a_record_of_another_container_names_none_of_ours(monkeypatch):
    """Not even when a process of the name and group path has just been killed by somebody."""
    for risen in (0, 1):
        case = Case(monkeypatch, groups={'/': 0}, container=True, foreign_pids=True)
        case.alive = (replace(LIDAR, cgroup='/'),)
        case.scan()
        case.cycle()
        case.groups = {'/': risen}
        case.log.kill(4711)
        case.alive = ()
        told = [seen for _ in range(6) for seen in case.cycle().fresh]
        assert [s.kill.node_names for s in told] == [('/lidar',) if risen else ()]


def test_a_process_of_an_unknown_control_group_is_not_accused(monkeypatch):
    """It is a member of nothing, least of all of the root."""
    case = Case(monkeypatch, 'counters', groups={'/': 0})
    case.alive = (LIDAR,)
    case.scan()
    case.cycle()
    case.counter, case.groups, case.alive = 1, {'/': 1}, ()
    told = [seen for _ in range(8) for seen in case.cycle().fresh]
    assert [seen.kill.victim_pid for seen in told] == [None]


def test_a_kill_in_a_group_of_none_of_our_processes_is_elsewhere(monkeypatch):
    """And one in a group of ours is not, though the victim is somebody else's."""
    mine = replace(LIDAR, uid=os.geteuid(), cgroup='/robot')
    theirs = replace(LIDAR, pid=12, uid=os.geteuid() + 1, cgroup='/shared')
    for group, elsewhere in (('/shared', True), ('/robot', False)):
        case = Case(monkeypatch, groups={'/robot': 0, '/shared': 0})
        case.alive = (mine, replace(theirs, cgroup=group))
        case.scan()
        case.cycle()
        case.counter += 1
        case.groups = {**case.groups, group: 1}
        case.log.choice(group, 12)
        case.log.kill(12)
        (seen,) = case.cycle().fresh
        assert seen.elsewhere is elsewhere


@pytest.mark.parametrize('uid, group, written', [
    (1, '/shared', [12]), (1, '/other', []), (0, '/shared', [10, 12])])
def test_the_incident_of_a_kill_elsewhere_holds_those_of_the_group_that_was_short(
        monkeypatch, tmp_path, uid, group, written):
    """Of a kill that concerns this user it holds all processes."""
    case = Case(monkeypatch, tmp_path=tmp_path / 'incidents', groups={'/robot': 0, '/shared': 0})
    mine = replace(LIDAR, uid=os.geteuid(), cgroup='/robot')
    case.alive = (mine, replace(mine, pid=12, uid=os.geteuid() + uid, cgroup='/shared'))
    case.scan()
    case.cycle()
    case.counter += 1
    case.log.choice(group, 12 if group == '/shared' else 4711)
    case.log.kill(12 if group == '/shared' else 4711)
    case.log.lines[-1] = case.log.lines[-1].replace(b'UID:0', b'UID:77')
    case.cycle()
    case.kill_log.close()
    (found,) = (tmp_path / 'incidents').iterdir()
    kept = json.loads((found / 'processes.json').read_text())['processes']
    assert sorted(p['pid'] for p in kept) == written


def test_a_storm_of_kills_is_told_whole_and_nobody_wrongly(monkeypatch):
    """Twenty kills without a log while ten others end by themselves."""
    case = Case(monkeypatch, 'counters')
    crowd = tuple(replace(LIDAR, pid=pid, program=Program(f'n{pid}')) for pid in range(100, 130))
    case.alive = crowd
    case.scan()
    case.cycle()
    case.counter += 20
    case.deaths(*((pid, case.now_s + 0.2) for pid in range(100, 120)))
    case.alive = ()
    told = [seen for _ in range(8) for seen in case.cycle().fresh]
    assert sorted(s.kill.victim_pid for s in told) == list(range(100, 120))


def test_a_compiler_is_known_as_a_job_of_a_build(case):
    """By its name, or by who started it."""
    colcon = replace(LIDAR, pid=20, program=Program('colcon', executable='colcon'))
    job = replace(LIDAR, pid=21, ppid=20, program=Program('python3', executable='setup.py'))
    case.alive = (LIDAR, colcon, job)
    case.scan()
    case.counter += 3
    case.log.kill(30, b'cc1plus', 5.0)
    case.log.kill(21, b'python3', 5.1)
    case.log.kill(10, b'lidar', 5.2)
    assert [seen.build for seen in case.cycle().fresh] == [True, True, False]


def test_in_a_namespace_each_record_waits_for_its_own_victim(monkeypatch):
    """One death does not let two records of a name be told."""
    case = Case(monkeypatch, foreign_pids=True)
    twin = replace(LIDAR, pid=11, program=replace(LIDAR.program, node_names=('/twin',)))
    case.alive = (LIDAR, twin)
    case.scan()
    case.counter += 2
    case.log.kill(4711)
    case.log.kill(4712, boot_s=5.1)
    case.alive = (twin,)
    assert [s.kill.node_names for s in case.cycle(0.1).fresh] == [('/lidar',)]
    case.alive = ()
    assert [s.kill.node_names for s in case.cycle(0.5).fresh] == [('/twin',)]


def test_in_a_namespace_a_record_without_a_group_is_compared_with_others(monkeypatch):
    """The kernel prints other containers' kills too: the one of the victim's size is ours."""
    victim = replace(LIDAR, cgroup='/robot')
    case = Case(monkeypatch, foreign_pids=True, groups={'/robot': 0}, container=True)
    case.alive = (victim,)
    case.scan()
    case.cycle(0.5)
    case.groups, case.alive = {'/robot': 1}, ()
    case.log.kill(4711)
    case.log.kill(4712, boot_s=5.1)
    case.log.lines[1] = case.log.lines[1].replace(b'anon-rss:4kB', b'anon-rss:1100kB')
    told = [seen.kill for _ in range(60) for seen in case.cycle(0.2).fresh]
    assert [(kill.victim_pid, kill.node_names) for kill in told if kill.node_names] == [
        (4712, ('/lidar',))]
    assert case.cycle().since_start == 2


def test_in_a_namespace_a_record_of_nobody_here_takes_no_counter(monkeypatch):
    """Another container's without a group, before the record of a kill that was counted here."""
    victim = replace(LIDAR, cgroup='/robot')
    case = Case(monkeypatch, foreign_pids=True, groups={'/robot': 0}, container=True)
    case.alive = (victim,)
    case.scan()
    case.cycle(0.5)
    case.log.kill(4711, comm=b'other')
    case.cycle(0.1)
    case.groups, case.alive = {'/robot': 1}, ()
    told = list(case.cycle(0.4).fresh)  # counted, and not printed yet
    case.log.choice('/docker/c1/robot', 4712)
    case.log.kill(4712, boot_s=5.5)
    told += case.cycle(0.1).fresh
    assert [(s.kill.victim_pid, s.kill.node_names) for s in told] == [(4712, ('/lidar',))]


def test_in_a_namespace_a_child_that_was_never_read_is_told_by_its_parent(monkeypatch):
    """It runs the same program, and nobody who is known has died."""
    parent = replace(LIDAR, cgroup='/robot')
    case = Case(monkeypatch, foreign_pids=True, groups={'/robot': 0}, container=True)
    case.alive = (parent, replace(parent, pid=11, ppid=10, start_time=2))
    case.scan()
    case.cycle(0.5)
    case.groups = {'/robot': 1}
    case.log.choice('/docker/c1/robot', 4711)
    case.log.kill(4711)
    told = [seen for _ in range(50) for seen in case.cycle(0.1).fresh]
    assert [s.kill.node_names for s in told] == [('/lidar',)]
    assert '/lidar (PID 10) or what it forked; which of them is unknown' in told[0].matched


def test_in_a_namespace_a_family_that_died_before_the_record_was_given_up_is_still_meant(
        monkeypatch):
    """The record waited for a death of its own; what counts is who was there at the kill."""
    parent = replace(LIDAR, cgroup='/robot')
    case = Case(monkeypatch, foreign_pids=True, groups={'/robot': 0}, container=True)
    case.alive = (parent, replace(parent, pid=11, ppid=10, start_time=2))
    case.scan()
    case.cycle(0.5)
    case.groups, case.alive = {'/robot': 3}, ()
    case.now_s += 0.1
    case.scan()
    case.now_s += 2.0  # the record is read late
    for pid in (4711, 4712, 4713):
        case.log.choice('/docker/c1/robot', pid)
        case.log.kill(pid)
    told = [seen for _ in range(60) for seen in case.cycle(0.1).fresh]
    assert [s.kill.node_names for s in told] == [('/lidar',)] * 3


def test_in_a_namespace_who_was_missing_before_the_kill_is_not_meant(monkeypatch):
    """A decoy of the same name that ended a second ago."""
    case = Case(monkeypatch, foreign_pids=True)
    twin = replace(LIDAR, pid=11, program=replace(LIDAR.program, node_names=('/twin',)))
    case.alive = (LIDAR, twin)
    case.scan()
    case.alive = (twin,)
    case.cycle()
    case.scan()
    case.now_s += 1.0
    case.counter += 1
    case.log.kill(4711)
    case.alive = ()
    assert [s.kill.node_names for _ in range(3) for s in case.cycle(0.5).fresh] == [('/twin',)]


def test_in_a_namespace_a_record_that_is_read_late_finds_who_was_missing_before(monkeypatch):
    """On a busy machine a scan may come first: the counter says that it was not long before."""
    victim = replace(LIDAR, cgroup='/robot')
    case = Case(monkeypatch, foreign_pids=True, groups={'/robot': 0}, container=True)
    case.alive = (victim,)
    case.scan()
    case.cycle(0.5)
    case.alive = ()
    case.now_s += 0.1
    case.scan()
    case.groups = {'/robot': 1}
    case.log.choice('/docker/c1/robot', 4711)
    case.log.kill(4711)
    told = case.cycle(1.0).fresh
    assert [s.kill.node_names for s in told] == [('/lidar',)]


def stake(path):
    """Return the chain of a control group of ours."""
    return (CgroupChain(path, (MemoryCgroup(path, 2),)),)


OTHER = replace(LIDAR, pid=11, program=Program('other'), cgroup='/else')


def read_again(monkeypatch, group, chains, name='kmsg', **words):
    """Return what is read, cycle by cycle, of a kill in this group that nobody died of."""
    case = Case(monkeypatch, name, **words)
    case.alive = (replace(LIDAR, cgroup='/robot'), OTHER)
    case.scan()
    case.cycle(0.5, chains=chains)
    case.counter += 1
    if case.groups:
        case.groups = {path: count + (path == group) for path, count in case.groups.items()}
    case.log.choice(f'/docker/c1{group}', 4711)
    case.log.kill(4711)
    case.asked.clear()
    told = [case.now_s for _ in range(60) if case.cycle(0.1, chains=chains).fresh]
    return case.asked, told


def test_in_a_namespace_a_kill_that_no_group_here_counted_is_told_at_once(monkeypatch):
    """It is another container's: no process is read for it."""
    asked, told = read_again(monkeypatch, '/gone', stake('/robot'), foreign_pids=True,
                             container=True, groups={'/robot': 0, '/else': 0})
    assert asked == [] and told == [pytest.approx(100.6)]


@pytest.mark.parametrize('at_stake, first', [('/robot', None), ('/else', frozenset((10,)))])
def test_in_a_namespace_the_whole_table_is_read_once_for_a_kill_in_a_group_of_ours(
        monkeypatch, at_stake, first):
    """Then, and for a kill elsewhere, only the processes of the victim's name."""
    asked, told = read_again(monkeypatch, '/robot', stake(at_stake), foreign_pids=True,
                             container=True, groups={'/robot': 0, '/else': 0})
    assert asked[0] == first and set(asked[1:]) == {frozenset((10,))}
    assert len(asked) > 30 and len(told) == 1


@pytest.mark.parametrize('groups, at_stake, first', [
    ({}, '/docker/c1/robot', None), ({}, '/robot', frozenset((10,))), (None, '/robot', None)])
def test_in_a_namespace_where_no_group_counts_the_record_says_which_group_it_was(
        monkeypatch, groups, at_stake, first):
    """A kill that the machine alone has counted may be one of ours."""
    asked, told = read_again(monkeypatch, '/robot', stake(at_stake), foreign_pids=True,
                             container=groups is not None, groups=groups)
    assert asked[0] == first and set(asked[1:]) == {frozenset((10,))} and len(told) == 1


@pytest.mark.parametrize('groups, at_stake, first, then', [
    ({'/robot': 0, '/else': 0}, '/robot', None, frozenset((10,))),
    ({'/robot': 0, '/else': 0}, '/else', frozenset((10,)), frozenset((10,))),
    (None, '/x', None, None)])
def test_for_a_kill_without_a_record_the_members_of_its_group_are_read(
        monkeypatch, groups, at_stake, first, then):
    """The whole table once where the group is ours, and each time where nobody counts."""
    case = Case(monkeypatch, 'counters', groups=groups, container=groups is not None)
    case.alive = (replace(LIDAR, cgroup='/robot'), OTHER)
    case.scan()
    case.cycle(chains=() if groups is None else stake(at_stake))
    case.counter += 1
    if groups is not None:
        case.groups = {**groups, '/robot': 1}
    case.asked.clear()
    for _ in range(5):
        case.cycle(chains=() if groups is None else stake(at_stake))
    assert case.asked[0] == first and set(case.asked[1:]) == {then} and len(case.asked) == 4


def test_for_a_kill_that_the_machine_alone_counted_the_whole_table_is_read_once(monkeypatch):
    """The victim's group may have been removed since."""
    case = Case(monkeypatch, 'counters', groups={'/robot': 0, '/else': 0})
    case.alive = (replace(LIDAR, cgroup='/robot'), OTHER)
    case.scan()
    case.cycle(chains=stake('/robot'))
    case.counter += 1
    case.asked.clear()
    for _ in range(5):
        case.cycle(chains=stake('/robot'))
    assert case.asked == [None, *[frozenset()] * 3]


def test_the_group_whose_limit_was_reached_may_be_at_stake_though_the_victims_is_not(monkeypatch):
    """A limit above our processes was reached; the victim was beside them."""
    case = Case(monkeypatch, foreign_pids=True, container=True, groups={'/else': 0})
    case.alive = (replace(LIDAR, cgroup='/robot'), OTHER)
    case.scan()
    case.cycle(0.5)
    case.groups = {'/else': 1}
    case.log.choice('/else', 4711)
    case.log.lines[-1] = case.log.lines[-1].replace(b'oom_memcg=/else', b'oom_memcg=/all')
    case.log.kill(4711)
    case.asked.clear()
    case.cycle(0.1, chains=stake('/all'))
    case.cycle(0.1, chains=stake('/all'))
    assert case.asked == [None, frozenset((10,))]


def test_of_a_line_of_syslog_the_process_is_read_that_it_names(monkeypatch):
    """By PID or name, until the line is told or given up."""
    case = Case(monkeypatch, SYSLOG, groups={'/robot': 0, '/else': 0}, lives=True)
    named = replace(LIDAR, pid=12, program=Program('renamed'), cgroup='/else')
    case.alive = (replace(LIDAR, cgroup='/else'), OTHER, named)
    case.scan()
    case.cycle(chains=stake('/robot'))
    case.log.lines.append(LINE % (12, b'lidar'))
    case.asked.clear()
    for _ in range(8):
        case.cycle(0.5, chains=stake('/robot'))
    assert case.asked[0] is None and set(case.asked[1:]) == {frozenset((10, 12))}


SYSLOG = '/var/log/syslog'
LINE = (b'kernel: Out of memory: Killed process %d (%s) total-vm:9kB, '
        b'anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:8kB oom_score_adj:-500')


def levels(case, seconds):
    """Return what was told in so many cycles, as level, certainty and victim."""
    return [(report_kills.level(seen), seen.kill.certainty, seen.kill.victim_pid)
            for _ in range(seconds) for seen in case.cycle(keep=5).fresh]


@pytest.mark.parametrize('counted', [False, True])
def test_a_line_of_syslog_about_a_living_process_is_unconfirmed(monkeypatch, tmp_path, counted):
    """Any user may write it (logger -t kernel): no ERROR, no incident, no count."""
    case = Case(monkeypatch, SYSLOG, tmp_path=tmp_path, lives=True)
    case.counter += counted  # somebody else was killed meanwhile
    case.log.lines.append(LINE % (10, b'lidar'))
    told = [entry for entry in levels(case, 12) if entry[2] == 10]
    assert told == [(Level.OK, 'unconfirmed', 10)]
    assert case.cycle().since_start == counted
    case.kill_log.writer.close()
    assert len(list(tmp_path.glob('*amcl*'))) + len(list(tmp_path.glob('*lidar*'))) == 0
    case.lives, case.alive = False, ()
    case.counter += 1
    # It can still be killed, and is told by its names then.
    case.log.lines.append((LINE % (10, b'lidar')).replace(b'anon-rss:4kB', b'anon-rss:5kB'))
    assert (Level.ERROR, 'the kernel said so', 10) in levels(case, 3)


def test_a_line_of_syslog_that_no_counter_confirms_is_unconfirmed(monkeypatch):
    """The kernel counts each kill before it prints it."""
    case = Case(monkeypatch, SYSLOG)
    case.log.lines.append(LINE % (4242, b'amcl'))
    assert levels(case, 2) == [(Level.OK, 'unconfirmed', 4242)]


def test_a_line_of_syslog_that_a_counter_confirms_is_told(monkeypatch):
    """At once when the process is gone, and as soon as a large one has ended."""
    case = Case(monkeypatch, SYSLOG, lives=True)
    case.counter += 1
    case.log.lines.append(LINE % (10, b'lidar'))
    assert levels(case, 2) == []
    case.lives, case.alive = False, ()
    assert levels(case, 1) == [(Level.ERROR, 'the kernel said so', 10)]


@pytest.mark.parametrize('forged', [
    LINE % (4242, b'amcl'), (LINE % (11, b'camera')).replace(b'UID:0', b'UID:7')])
@pytest.mark.parametrize('late', [False, True])
def test_a_forged_line_cannot_use_up_the_counter_of_a_kill(monkeypatch, forged, late):
    """All candidates of the same seconds are compared; the one that fits best is the kill."""
    case = Case(monkeypatch, SYSLOG)
    case.alive = (LIDAR, OTHER)
    case.scan()
    case.counter += 1
    case.alive = (OTHER,)
    case.deaths((10, case.now_s + 0.2))
    case.log.lines.append(forged)
    true = LINE % (10, b'lidar')
    if late:
        told = [seen.kill for seen in case.cycle(0.5).fresh]
        case.log.lines.append(true)
    else:
        case.log.lines.append(true)
        told = []
    told += [seen.kill for _ in range(12) for seen in case.cycle(0.5).fresh]
    sure = [kill for kill in told if kill.certainty != 'unconfirmed']
    assert [(k.victim_pid, k.anon_rss_bytes, k.certainty) for k in sure] == [
        (10, 4096, 'the kernel said so')]
    assert case.cycle().since_start == 1


def test_a_line_that_comes_long_after_a_kill_does_not_explain_it(monkeypatch):
    """A minute later it takes no inference's place."""
    case = Case(monkeypatch, SYSLOG)
    case.counter += 1
    assert [s.kill.certainty for _ in range(15) for s in case.cycle().fresh] == ['inferred']
    case.log.lines.append(LINE % (4242, b'amcl'))
    assert levels(case, 5) == [(Level.OK, 'unconfirmed', 4242)]


@pytest.mark.parametrize('source, alive, certainty', [
    ('journal', (LIDAR,), 'the killer said so'), (SYSLOG, (), 'the killer said so'),
    (SYSLOG, (LIDAR,), 'unconfirmed')])
def test_a_file_that_tells_of_a_program_is_believed_when_the_victim_has_ended(
        case, source, alive, certainty):
    """Any program may write there that earlyoom ended another, which lives on."""
    case.alive = alive
    case.scan()
    said = OomKill(victim_pid=10, victim_comm='lidar', kind=Killer.USERSPACE, program='earlyoom',
                   certainty='the killer said so', source=source)
    told = case.kill_log.attribution.ended_by_program(said, case.reading(), case.now_s)
    assert told.kill.certainty == certainty and told.kill.node_names == ('/lidar',)


def test_the_status_says_that_nothing_confirms_it(monkeypatch):
    """It does not read like a kill, and a true one comes first."""
    case = Case(monkeypatch, SYSLOG)
    case.log.lines.append(LINE % (4242, b'amcl'))
    case.cycle()
    kills = case.cycle()
    sample = case.reading()
    status = report_kills.compose(kills, sample, settings.build({}))
    assert status.level == Level.OK and 'killed by the kernel' not in status.message
    assert 'nothing confirms it' in status.message and 'amcl' in status.message
    case.counter, case.alive = case.counter + 1, ()
    case.log.lines.append(LINE % (10, b'lidar'))
    case.cycle()
    status = report_kills.compose(case.cycle(), case.reading(), settings.build({}))
    assert status.level == Level.ERROR and status.message.startswith('lidar killed')


def test_a_process_that_is_older_than_the_kill_lives():
    """By its start time in /proc; a later one has taken the PID over; a zombie has ended."""
    root, now_s = kernel.Root('/'), time.time()
    kill = OomKill(victim_pid=os.getpid(), victim_comm='amcl', time=now_s + 2.0)
    assert records.victim_lives(root, kill, now_s)
    assert not records.victim_lives(root, replace(kill, time=1.0), now_s)
    child = subprocess.Popen(['true'])
    stat = pathlib.Path(f'/proc/{child.pid}/stat')
    while b') Z' not in stat.read_bytes():
        time.sleep(0.01)
    ended = replace(kill, victim_pid=child.pid)
    assert not records.victim_lives(root, ended, now_s)
    child.wait()
    assert not records.victim_lives(root, ended, now_s)


@pytest.mark.parametrize('lives, counted, certainty', [
    (True, None, 'unconfirmed'), (True, True, 'unconfirmed'), (False, False, 'unconfirmed'),
    (False, True, 'the kernel said so'), (False, None, 'the kernel said so')])
def test_what_speaks_against_a_line_of_a_text_file(lives, counted, certainty):
    """A living victim, or a counter that stands still; a missing counter says nothing."""
    kill = OomKill(victim_pid=5, source=SYSLOG)
    assert records.confirmed(
        kill, victim_lives=lives, counted=counted).certainty == certainty


@pytest.mark.parametrize('comm, ros, parent, build', [
    ('cc1plus', False, 'bash', True), ('python3', False, 'colcon', True),
    ('python3', False, 'bash', False), ('rosbag2', True, 'make', False)])
def test_a_node_that_make_started_is_no_job_of_a_build(comm, ros, parent, build):
    """`make run` and `make demo` start nodes; what colcon starts is a job."""
    victim = Process(2, 2, 1, 0, Program(comm, executable=comm, ros=ros))
    starter = Process(1, 1, 0, 0, Program(parent, executable=parent))
    kill = OomKill(victim_pid=2, victim_comm=comm)
    assert circumstances.is_build(kill, victim, (starter,)) == build
