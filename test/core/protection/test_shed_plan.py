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
"""When something is shed, and which process."""

from dataclasses import replace
import pathlib
import random
import sys

from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Step
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.protection import shed_plan
from oom_sentinel.protection.shed_steps import State
from oom_sentinel.risk import Assessment
from oom_sentinel.risk.exhaustion import Forecast
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))
from bench.replay import healthy  # noqa: E402,I100
from bench.replay.trace import samples  # noqa: E402

MIB = 1 << 20
SETTINGS = settings.build({
    'shed.mode': 'act', 'groups': ['drivers', 'recorders', 'expendable'],
    'group.drivers.match': ['exe:driver'], 'group.drivers.oom_score_adj': -400,
    'group.drivers.shed': ['kill'],
    'group.recorders.match': ['exe:recorder'], 'group.recorders.oom_score_adj': 200,
    'group.recorders.shed': ['interrupt', 'terminate'],
    'group.expendable.match': ['exe:rviz2'], 'group.expendable.oom_score_adj': 300,
    'group.expendable.shed': ['interrupt', 'terminate', 'kill']})
CALM = Pressure(PressureLine(0, 0, 0, 0), PressureLine(0, 0, 0, 0))
GROUP = CgroupChain('/robot', (MemoryCgroup(
    '/robot', 2, limit_bytes=400 * MIB, usage_bytes=380 * MIB, inactive_file_bytes=0,
    active_file_bytes=0, slab_reclaimable_bytes=0),))


def sample(at_s=100.0, available=100, pressure=CALM, chains=(), members=()):
    """Return a reading of a machine of 1000 MiB."""
    return Sample(at_s, at_s, Host('robot', 4096, '6.1.0'),
                  MemInfo(1000 * MIB, available * MIB, available * MIB), pressure, VmStat(0),
                  chains=chains, members=members)


def ends_in(middle_s, high_s=None, level=Level.ERROR, path=None):
    """Return an assessment that foresees the end of memory."""
    told = Forecast(middle_s / 2, middle_s, high_s or middle_s * 1.5, 30.0)
    return Assessment(forecasts=((path, told, level),))


def target(pid, group, value, mib=50, uid=1000, exe='rviz2', file_mib=0):
    """Return a process of a group."""
    return Target(Process(pid, 7, 1, uid, Program(exe, executable=exe), memory=TaskMemory(
        mib * MIB, 0, 0, file_mib * MIB)), group, value, value, '')


def chosen(targets, assessment=None, made=None, state=None, target_s=60.0):
    """Return the process that is chosen for the first shortage, None without one."""
    assessment, made, state = assessment or ends_in(5), made or sample(), state or State()
    short = shed_plan.shortages(made, assessment, SETTINGS)
    among = shed_plan.candidates(tuple(targets), assessment, SETTINGS, 1000)
    found = shed_plan.choose(short[0], among, state, made, target_s)
    return found and found.process.pid


@pytest.mark.parametrize('middle_s, high_s, due_s', [
    (14, 20, 0), (14, 29.9, 0), (14, 30, 2), (14, 40, 2), (25, 29, 10), (29, 50, 14),
    (29, 59.9, 14), (30, 35, None), (14, 60, None)])
def test_a_place_is_short_when_its_end_is_near_and_certain(middle_s, high_s, due_s):
    """Below shed.exhaustion_s, with the range's far end below twice that; said from 2 x on."""
    found = shed_plan.shortages(sample(), ends_in(middle_s, high_s), SETTINGS)
    assert [round(s.due_s) for s in found] == ([] if due_s is None else [due_s])


@pytest.mark.parametrize('available, middle_s, due_s', [
    (149, 10.0, 0), (151, 10.0, 0.07), (600, 10.0, 7.5), (600, 3.0, 2.0), (600, 1.0, 0)])
def test_a_fast_fall_with_much_left_ends_nothing_yet(available, middle_s, due_s):
    """A job looks like it: it is time below the warn level of 15 %, or in the last second."""
    found = shed_plan.shortages(sample(100.0, available), ends_in(middle_s, 20), SETTINGS)
    assert found[0].due_s == pytest.approx(due_s, abs=0.01)


@pytest.mark.parametrize('available, due', [(140, True), (160, False)])
def test_free_swap_is_no_memory_that_a_control_loop_could_wait_for(available, due):
    """What counts for the warn level is memory alone; the end is that of both."""
    made = sample(100.0, available)
    made = replace(made, meminfo=replace(
        made.meminfo, swap_total_bytes=2000 * MIB, swap_free_bytes=2000 * MIB))
    (short,) = shed_plan.shortages(made, ends_in(10, 20), SETTINGS)
    assert (short.due_s == 0) == due and short.left_bytes == (2000 + available) * MIB


def test_a_forecast_that_raises_no_level_sheds_nothing():
    """A fall that may be a job that comes back."""
    assert shed_plan.shortages(sample(), ends_in(5, level=Level.OK), SETTINGS) == ()


@pytest.mark.parametrize('full_avg10, available, short', [
    (25, 100, True), (20, 100, False), (15, 100, False), (25, 400, False), (25, 150, False),
    (25, 149, True)])
def test_pressure_counts_only_where_memory_is_low(full_avg10, available, short):
    """Full pressure above shed.full_avg10, and MemAvailable below its warn level."""
    pressure = Pressure(PressureLine(50, 0, 0, 0), PressureLine(full_avg10, 0, 0, 0))
    found = shed_plan.shortages(sample(100.0, available, pressure), Assessment(), SETTINGS)
    assert bool(found) == short


@pytest.mark.parametrize('own, of_machine, path', [
    (30.0, 0.0, '/robot'), (0.0, 30.0, None), (None, 30.0, '/robot')])
def test_each_place_is_judged_by_its_own_pressure(own, of_machine, path):
    """A group that stalls says nothing of the machine; cgroup v1 knows only the machine's."""
    pressure = Pressure(PressureLine(50, 0, 0, 0), PressureLine(of_machine, 0, 0, 0))
    chains = (replace(GROUP, groups=(replace(GROUP.groups[0], full_avg10=own),)),)
    found = shed_plan.shortages(
        sample(100.0, 600 if path else 100, pressure, chains), Assessment(), SETTINGS)
    assert [s.path for s in found] == [path] and found[0].due_s == 0


def test_pressure_does_not_wait_for_a_forecast():
    """With much free swap the end is far, and everything stands still long before."""
    pressure = Pressure(PressureLine(50, 0, 0, 0), PressureLine(30, 0, 0, 0))
    found = shed_plan.shortages(sample(100.0, 100, pressure), ends_in(28, 29), SETTINGS)
    assert [s.due_s for s in found] == [0]


def test_without_pressure_information_nothing_is_guessed():
    """PSI may be off."""
    assert shed_plan.shortages(sample(pressure=Unavailable('off')), Assessment(),
                               SETTINGS) == ()


def test_only_a_group_that_asks_is_shed_and_never_a_protected_one():
    """A driver's group names steps, and is protected all the same."""
    assert chosen([target(1, 'drivers', -400), target(2, None, 0), target(3, 'other', 0)]) is None
    assert chosen([target(4, 'expendable', 300, uid=0)]) is None
    assert chosen([target(5, 'expendable', 300)]) == 5


def test_the_least_important_group_goes_first_and_then_the_smallest_that_is_enough():
    """14 s x 60 s of pace: at 100 MiB left in 5 s, 60 s are far more than anything holds."""
    targets = [target(1, 'recorders', 200, 500), target(2, 'expendable', 300, 50),
               target(3, 'expendable', 300, 80)]
    assert chosen(targets) == 3  # neither is enough: the one that buys most
    assert chosen(targets, target_s=1.0) == 2  # 20 MiB are enough: the smallest


def test_shared_libraries_free_nothing():
    """What counts is anonymous memory."""
    assert chosen([target(1, 'expendable', 300, 200, file_mib=195)]) is None


def test_in_a_control_group_only_its_own_processes_are_shed():
    """Ending one outside would free nothing inside."""
    made = sample(100.0, 800, chains=(GROUP,), members=(('/robot', frozenset({2})),))
    targets = [target(1, 'expendable', 300, 90), target(2, 'expendable', 300, 20)]
    assert chosen(targets, ends_in(5, path='/robot'), made) == 2
    assert chosen(targets, ends_in(5, path='/robot'), replace(made, members=())) is None


def test_a_kind_that_brought_nothing_is_not_tried_again():
    """And a process that could not be ended is left alone."""
    one = target(1, 'expendable', 300)
    assert chosen([one], state=State(useless=frozenset({('expendable', 'rviz2')}))) is None
    assert chosen([one], state=State(spared=frozenset({one.process.identity}))) is None


def test_the_most_urgent_place_comes_first():
    """Two places at once: each has a process of its own ended."""
    made = sample(100.0, 100, chains=(GROUP,), members=(('/robot', frozenset({2})),))
    told = tuple((path, Forecast(1, middle_s, middle_s, 30.0), Level.ERROR)
                 for path, middle_s in ((None, 20.0), ('/robot', 5.0)))
    found = shed_plan.shortages(made, replace(Assessment(), forecasts=told), SETTINGS)
    assert [s.path for s in found] == ['/robot', None] and found[0].due_s == 0


def inside(*listed, name='node:/camera'):
    """Return the candidate that a container with these components is, None when it is none."""
    chosen = settings.build({
        'shed.mode': 'act', 'groups': ['expendable'], 'group.expendable.match': [name],
        'group.expendable.oom_score_adj': 300,
        'group.expendable.shed': ['deactivate', 'interrupt', 'kill']})
    process = replace(target(1, 'expendable', 300, 90).process, program=Program(
        'c', executable='component_container', node_names=('/container',)),
        listed_node_names=listed)
    found = shed_plan.candidates((Target(process, 'expendable', 300, 300, ''),), Assessment(),
                                 chosen, 1000)
    return found[0] if found else None


def test_in_a_container_only_the_component_of_the_group_is_shed():
    """A signal would end the others too; its memory counts by its share of the components."""
    mixed = inside('/camera', '/planner', '/controller')
    assert (mixed.nodes, mixed.steps) == (('/camera',), (Step.DEACTIVATE,))
    assert mixed.frees_bytes == 30 * MIB


@pytest.mark.parametrize('listed, name', [(('/camera',), 'node:/camera'),
                                          (('/camera', '/other'), 'exe:component_container')])
def test_a_container_of_one_group_is_ended_as_a_whole(listed, name):
    """Each of its components belongs to the group."""
    whole = inside(*listed, name=name)
    assert whole.steps == (Step.DEACTIVATE, Step.INTERRUPT, Step.KILL)
    assert set(listed) <= set(whole.nodes) and whole.frees_bytes == 90 * MIB


@pytest.mark.parametrize('kind', healthy.KINDS)
def test_nothing_is_shed_in_two_healthy_hours(kind):
    """Whatever a robot does with its memory, as long as 15 % of it stays: bench.replay."""
    history = risk.History()
    # Of `allocate and free` this is one of those that look most like a leak.
    for taken in samples(healthy.healthy(kind, random.Random(f'{kind}7'))):
        found, history = risk.assess(taken, history, SETTINGS)
        assert [s for s in shed_plan.shortages(taken, found, SETTINGS) if s.due_s <= 0] == []


def test_pressure_counts_only_below_the_warn_level_and_a_request_is_due_now():
    """At the level itself there is still what must be left."""
    waiting = Pressure(PressureLine(90, 90, 90, 0), PressureLine(90, 90, 90, 0))
    share = SETTINGS.memory_available_warn_percent / 100
    for available, short in ((1000 * share, 0), (1000 * share - 1, 1)):
        made = sample(available=int(available), pressure=waiting)
        found = shed_plan.shortages(made, Assessment(), SETTINGS)
        assert [s.why for s in found] == ['tasks wait for memory most of the time'] * short
    assert [(s.due_s, s.why) for s in shed_plan.now(sample())] == [(0.0, 'asked for by ~/shed')]


def test_a_protected_process_is_no_candidate_whatever_its_group_says():
    """Neither where the group is negative nor where its node wants less; 0 is no protection."""
    made = settings.build({
        'groups': ['a'], 'group.a.match': ['exe:rviz2'], 'group.a.oom_score_adj': 0,
        'group.a.shed': ['kill']})
    for value, count in ((0, 1), (-1, 0)):
        found = shed_plan.candidates((target(9, 'a', value),), Assessment(), made, 1000)
        assert len(found) == count
    filed = target(9, 'a', 0, mib=5, file_mib=6)
    assert [c.frees_bytes for c in shed_plan.candidates((filed,), Assessment(), made, 1000)] == [0]
    held = TaskMemory(5 * MIB, 4 * MIB, 0, 2 * MIB)
    swapped = replace(filed, process=replace(filed.process, memory=held))
    (found,) = shed_plan.candidates((swapped,), Assessment(), made, 1000)
    assert found.frees_bytes == 7 * MIB
    protected = replace(target(9, 'drivers', -400), wanted=0)
    assert shed_plan.candidates((protected,), Assessment(), SETTINGS, 1000) == ()


def test_none_buys_enough_so_the_one_that_buys_most_is_taken():
    """What it would grow by in that time counts: 30 MiB and 10 a second beside 50."""
    growing, large = target(8, 'expendable', 300, 30), target(9, 'expendable', 300, 50)
    assessment = replace(ends_in(1), growth=((growing.process.identity, 10.0 * MIB),))
    assert chosen((growing, large), assessment, target_s=60.0) == 8
    assert chosen((growing, large), assessment, target_s=0.5) == 9


def test_what_frees_exactly_what_is_wanted_is_enough():
    """100 MiB are left for 5 s: 2.5 s are 50 MiB."""
    targets = [target(1, 'expendable', 300, 50), target(2, 'expendable', 300, 90)]
    assert chosen(targets, target_s=2.5) == 1
    assert chosen(targets, target_s=2.6) == 2


def test_a_process_that_may_not_be_shed_hides_none_behind_it():
    """Of a group without steps, of another user, and one with a node of another group."""
    mixed, last = target(3, 'expendable', 300), target(9, 'expendable', 300)
    mixed, last = (replace(t, process=replace(t.process, listed_node_names=names))
                   for t, names in ((mixed, ('/a', '/x')), (last, ('/x',))))
    made = settings.build({'group.expendable.match': ['node:/x'],
                           'group.expendable.shed': ['interrupt']})
    for other in (target(1, 'drivers', -400), target(2, 'expendable', 300, uid=7), mixed):
        found = shed_plan.candidates((other, last), Assessment(), made, 1000)
        assert [c.process.pid for c in found][-1] == 9
    assert len(found) == 1


@pytest.mark.parametrize('mib, pid', [(10, 1), (9.99, None)])
def test_a_process_that_frees_a_hundredth_of_the_place_is_worth_its_end(mib, pid):
    """Of 1000 MiB."""
    one = target(1, 'expendable', 300)
    one = replace(one, process=replace(one.process, memory=TaskMemory(int(mib * MIB), 0, 0)))
    assert chosen((one,)) == pid


def test_as_asked_for_each_place_is_short_the_fullest_first():
    """60 of 1000 MiB are left on the machine, 50 of 100 in the group."""
    group = replace(GROUP.groups[0], limit_bytes=100 * MIB, usage_bytes=50 * MIB)
    found = shed_plan.now(sample(available=60, chains=(replace(GROUP, groups=(group,)),)))
    assert [(s.path, s.left_bytes // MIB) for s in found] == [(None, 60), ('/robot', 50)]
