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

"""Kills that only counters show: how many, where, and whom they took."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.cgroup import OomEvents
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills import inferred
from oom_sentinel.kills.counter_reader import CounterReader
from oom_sentinel.kills.counter_reader import counters_of
from oom_sentinel.kills.counters import Counters
from oom_sentinel.kills.counters import infer
from oom_sentinel.kills.counters import LATE_S
from oom_sentinel.kills.counters import nearest
from oom_sentinel.kills.counters import risen
from oom_sentinel.kills.counters import UnexplainedKills
from oom_sentinel.kills.known_processes import Known
import pytest

MIB = 1 << 20


def counts(machine=None, hierarchical=False, **groups):
    """Return counters; a__b stands for the group /a/b, root for /."""
    return Counters(machine, {
        '/' if name == 'root' else '/' + name.replace('__', '/'):
        by if isinstance(by, OomEvents) else OomEvents(by) for name, by in groups.items()},
        hierarchical)


def unexplained(*readings):
    """Return what took these readings, a second apart."""
    made = UnexplainedKills()
    for at, reading in enumerate(readings):
        made.count(reading, float(at))
    return made


def open_groups(made, now_s=10.0, grace_s=0.0):
    """Return the groups of the kills that are due."""
    return [k.group for k in made.due(now_s, grace_s)]


def test_a_record_explains_the_kill_that_was_counted():
    """Nothing remains."""
    made = unexplained(counts(5), counts(7))
    assert made.open and len(made.due(2.0, 1.0)) == 2 and made.due(1.5, 1.0) == ()
    assert made.explain(None, 1.0) and made.explain('/x', 1.0)
    assert not made.open and made.explain(None, 1.0) is None


def test_the_grace_of_each_kill_runs_for_itself():
    """Later kills neither shorten nor lengthen the time of the first."""
    made = unexplained(counts(0), counts(1), counts(2), counts(3))
    assert [k.counted_s for k in made.due(4.0, 2.0)] == [1.0, 2.0]


def test_v1_counts_in_the_victims_own_group_and_v2_in_those_above_too():
    """Of v2's ancestors only what is not counted below is their own."""
    before = counts(None, a=1, a__b=0, c=0)
    now = counts(None, a=3, a__b=2, c=0)
    assert risen(before, now) == {'/a': 2, '/a/b': 2}
    assert risen(before, replace(now, hierarchical=True)) == {'/a/b': 2}
    more = replace(counts(None, a=4, a__b=2, c=0), hierarchical=True)
    assert risen(before, more) == {'/a': 1, '/a/b': 2}
    assert risen(before, counts(None, a=1, new=9)) == {}


def test_a_group_that_was_removed_with_its_victim_leaves_the_count_to_those_above():
    """As a service's does in v2."""
    before = counts(0, True, a=0, a__b=0)
    assert open_groups(unexplained(before, counts(1, True, a=1))) == ['/a']


@pytest.mark.parametrize('readings, groups', [
    ((counts(0, a=0), counts(1, a=1)), ['/a']),
    ((counts(0, a=0), counts(2, a=1)), ['/a', None]),
    ((counts(0, a=0), counts(1, a=0), counts(1, a=1)), ['/a']),
    ((counts(0, a=0), counts(0, a=1), counts(1, a=1)), ['/a']),
    ((counts(0, a=0), counts(0, a=1), counts(2, a=1)), ['/a', None]),
    ((counts(None, a=0), counts(None, a=1)), ['/a']),
    ((counts(None), counts(None)), [])])
def test_machine_and_group_count_a_kill_once(readings, groups):
    """Also when a reading comes between the two counters."""
    assert open_groups(unexplained(*readings)) == groups


def test_a_record_explains_the_kill_of_its_own_group():
    """Whatever process it names; a kill elsewhere has no counter here."""
    made = unexplained(counts(None, a=0, b=0), counts(None, a=1, b=1))
    assert made.explain('/c', 1.0) is None
    assert made.explain('/b/below', 1.0).group == '/b'
    assert open_groups(made) == ['/a']


@pytest.mark.parametrize('group, printed, meant', [
    ('/', '/docker/1', True), ('/x', '/docker/1/x', True), ('/x', '/docker/1/x/y', True),
    ('/x', '/docker/1/y', False)])
def test_in_a_namespace_the_end_of_the_kernels_path_is_compared(group, printed, meant):
    """The container sees only its own part."""
    made = unexplained(Counters(None, {group: OomEvents(0)}), Counters(None, {
        group: OomEvents(1)}))
    assert (made.explain(printed, 1.0, namespaced=True) is not None) is meant


def test_a_late_record_explains_the_kill_of_its_time():
    """Not an earlier one whose record was lost."""
    made = unexplained(counts(0), counts(1), *[counts(1)] * 30, counts(2))
    first, second = made.due(40.0, 0.0)
    first.told_as = 1
    assert made.explain(None, 32.0) is second
    assert made.explain(None, 1.0) is first
    made = unexplained(counts(0), counts(1))
    made.count(counts(1), 2.0 + LATE_S)
    assert made.explain(None, 1.0) is None


def test_a_rise_without_an_oom_in_any_group_means_that_the_machine_was_short():
    """memory.events counts an OOM where the limit was reached."""
    for oom, short in ((0, True), (1, False), (None, False)):
        first = OomEvents(0, None if oom is None else 0)
        made = unexplained(counts(0, True, a=first), counts(1, True, a=OomEvents(1, oom)))
        (found,) = made.due(9.0, 0.0)
        assert found.machine_short is short


@given(st.lists(st.tuples(st.sampled_from(['kill', 'log', 'infer']), st.booleans()),
                max_size=60))
def test_every_kill_is_explained_or_told_once_whatever_the_order(events):
    """Records without a counter are of kills that were not counted here."""
    made, machine, told, logged = UnexplainedKills(), 0, 0, 0
    made.count(counts(0), 0.0)
    for at, (event, _) in enumerate(events):
        if event == 'kill':
            machine += 1
            made.count(counts(machine), at / 10)
        elif event == 'log' and logged < machine:
            logged += 1
            counted = made.explain(None, at / 10)
            assert counted is not None
            told -= counted.told_as is not None
            told += 1
        elif event == 'infer':
            for kill in made.due(at / 10, 0.0):
                kill.told_as = 1
                told += 1
    assert told + len(made.due(99.0, 0.0)) == machine


def known(pid, **facts):
    """Return a process that vanished between 0 and 1 s."""
    return Known(Process(pid, pid, 1, 0, Program(f'p{pid}', executable=f'p{pid}'),
                         memory=TaskMemory(MIB, 0, 0), **facts), None, 1.0, 0.0)


@pytest.mark.parametrize('count, states, unseen, named, rest', [
    (1, {1: True}, 0, [1], 0), (1, {1: True, 2: False}, 0, [1], 0),
    (1, {1: False}, 0, [], 1), (1, {1: None}, 0, [], 1), (1, {1: None, 2: None}, 0, [], 1),
    (2, {1: None, 2: None}, 0, [], 2), (2, {1: True, 2: None}, 0, [1], 1),
    (2, {1: True}, 0, [1], 1), (1, {1: True, 2: True}, 0, [], 1), (1, {1: True}, 1, [], 1),
    (2, {1: True}, 1, [1], 1), (1, {1: True, 2: None}, 0, [], 1)])
def test_who_did_not_die_by_signal_9_is_never_named(count, states, unseen, named, rest):
    """Nobody is named whose end is unknown, or where more died by signal 9 than were killed."""
    missing = [known(pid) for pid, state in states.items() if state is not False]
    found = infer(count, missing, lambda k: states[k.process.pid], unseen)
    assert [k.process.pid for k in found.named] == named and found.rest == rest


def sample(**facts):
    """Return a sample with much memory left."""
    return Sample(0.0, 50.0, Host('robot', 4096, '6.1.0'),
                  MemInfo(1 << 30, 0, 1 << 29), Unavailable('off'), VmStat(1), **facts)


def told(made, missing, state=True, now_s=1.0, **facts):
    """Return the reports for what is due."""
    return inferred.due_reports(
        made.untold, now_s, 0.0, missing=missing, killed=lambda k: state,
        unseen=lambda group, s: 0, sample=sample(**facts),
        counted_in=lambda k, group: k.process.cgroup == group)


def test_the_victim_was_in_the_group_whose_counter_rose():
    """One that vanished elsewhere is not taken for it; the limit is named."""
    made = unexplained(counts(0, a=0), counts(1, a=1))
    chains = (CgroupChain('/a', (MemoryCgroup('/a', 1, limit_bytes=MIB),
                                 MemoryCgroup('/', 1))),)
    found, = told(made, [known(10, cgroup='/b'), known(11, cgroup='/a')], chains=chains)
    assert found.kill.victim_pid == 11 and found.kill.oom_memcg == '/a'
    assert found.kill.certainty == 'inferred' and 'died by signal 9' in found.how


def test_several_that_vanished_are_told_as_one_of_so_many():
    """Where nothing says how they ended."""
    made = unexplained(counts(0, a=0), counts(1, a=1))
    found, = told(made, [known(10, cgroup='/a'), known(11, cgroup='/a')], state=None)
    assert found.kill.victim_pid is None
    assert '1 of 2 processes that vanished: p10 (PID 10), p11' in found.how


def test_the_only_one_that_vanished_is_no_victim_for_that():
    """It may have ended by itself: where nothing says how, it is one of one, and not accused."""
    made = unexplained(counts(0, a=0), counts(1, a=1))
    found, = told(made, [known(10, cgroup='/a')], state=None)
    assert found.known is None and found.kill.victim_pid is None
    assert found.how == 'unknown: 1 of 1 process that vanished: p10 (PID 10)'


def test_kills_without_a_victim_in_sight_are_told_together_after_their_time():
    """They are counted, not named."""
    made = unexplained(counts(0, a=0), counts(3, a=3))
    assert told(made, [], now_s=1.5) == []
    found, = told(made, [], now_s=9.0)
    assert len(found.counted) == 3 and found.how.startswith('unknown')


def test_counters_come_from_a_sample_and_unknown_is_none():
    """Neither a missing vmstat nor a missing controller is 0."""
    groups = (MemoryCgroup('/a', 1, oom_kill=3), MemoryCgroup('/', 1))
    chained = sample(chains=(CgroupChain('/a', groups),))
    assert counters_of(chained) == counts(1, a=3)
    blind = replace(sample(), vmstat=Unavailable('x'), chains=Unavailable('y'))
    assert counters_of(blind) == Counters(None, {})


def test_the_innermost_counted_group_is_the_nearest():
    """None of a path that is not known, or below none."""
    assert nearest('/a/b/c', ['/', '/a', '/a/b', '/x']) == '/a/b'
    assert nearest(None, ['/']) is None and nearest('/a', ['/b']) is None


class Groups:
    """Control groups whose counters the test sets."""

    def __init__(self, **counters):
        """Set the counters."""
        self.counters, self.mount, self.reads = counters, None, []

    def oom_events(self, path):
        """Return the counter of a group and note the reading."""
        self.reads.append(path)
        count = self.counters.get(path.strip('/') or 'root')
        return None if count is None else OomEvents(count)


def test_groups_are_read_only_when_they_are_new_or_the_machine_counted():
    """An idle machine pays nothing for them."""
    groups = Groups(root=0, a=1)
    reader = CounterReader(groups, machine_counts=True)
    assert reader.read(sample(), ['/a', '/gone'], False) == counts(1, root=0, a=1)
    groups.reads.clear()
    reader.read(sample(), ['/a', '/gone'], False)
    assert groups.reads == []
    groups.counters['a'] = 2
    assert reader.read(replace(sample(), vmstat=VmStat(2)), ['/a'], False) == counts(
        2, root=0, a=2)


def test_in_a_container_the_machines_counter_says_nothing():
    """It only makes the visible groups be read again."""
    groups = Groups(root=0)
    reader = CounterReader(groups, machine_counts=False)
    reader.read(sample(), ['/'], False)
    groups.counters['root'] = 1
    assert reader.read(replace(sample(), vmstat=VmStat(9)), ['/'], False) == counts(root=1)


def test_the_victim_of_a_later_kill_does_not_blur_an_earlier_one():
    """Two deaths and two kills, of which one is due: both deaths are explained."""
    made = unexplained(counts(0, a=0), counts(1, a=1), counts(2, a=2))
    found = inferred.due_reports(
        made.untold, 2.5, 1.0, missing=[known(10, cgroup='/a'), known(11, cgroup='/a')],
        killed=lambda k: True, unseen=lambda group, since_s: 0, sample=sample(),
        counted_in=lambda k, group: True)
    assert [f.kill.victim_pid for f in found] == [10]
