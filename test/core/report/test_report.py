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

"""Statuses: sentences for operators, keys that stay, and nothing unread shown as 0."""

from dataclasses import replace

from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Drift
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
import pytest

GIB = 1 << 30
LINE = PressureLine(1.5, 0.5, 0.1, 7000)
SETTINGS = settings.build({
    'groups': ['drivers', 'extras'], 'group.drivers.oom_score_adj': -400,
    'group.extras.oom_score_adj': 300})


def sample(**facts):
    """Return a calm machine of 1 GiB, with these facts instead."""
    facts.setdefault('meminfo', MemInfo(GIB, GIB // 4, GIB // 2))
    facts.setdefault('pressure', Pressure(LINE, LINE))
    return Sample(0.0, 0.0, Host('robot', 4096, '6.1.0'), vmstat=VmStat(0), **facts)


def told(taken=None, protection=Protection(), chosen=SETTINGS, **changed):
    """Return the statuses by name; `changed` replaces parts of the assessment."""
    taken = taken or sample()
    assessment, _ = risk.assess(taken, risk.History(), chosen, protection)
    found = report.compose(taken, replace(assessment, **changed), protection, chosen)
    return {status.name: status for status in found}


def values(status):
    """Return the values of a status by key."""
    return dict(status.values)


def process(pid, mib=10, adj=0, name='lidar'):
    """Return a process that holds MiB."""
    return Process(pid, pid, 1, 0, Program(name, executable=name), oom_score=666,
                   memory=TaskMemory(mib << 20, 0, 0), oom_score_adj=adj)


def driver(pid=10, value=-400, **facts):
    """Return a target of group drivers."""
    return Target(process(pid, **facts), 'drivers', -400, value, 'group drivers')


def outcome(target, result, achieved=None, why=''):
    """Return what writing a target's value came to."""
    return Outcome(Adjustment(target.process.identity, target.group, 0, target.wanted, ''),
                   Result(result), achieved, why)


MISSING = [
    {'meminfo': Unavailable('gone')}, {'pressure': Unavailable('boot with psi=1')},
    {'pressure': Pressure(LINE)}, {'chains': Unavailable('no controller')},
    {'meminfo': MemInfo(GIB, GIB // 4)},
    {'chains': (CgroupChain('/a', (MemoryCgroup('/a', 2, GIB // 4, GIB // 8),)),)}]


@pytest.mark.parametrize('facts', MISSING)
def test_names_and_keys_are_the_same_whatever_can_be_read(facts):
    """Dashboards find each key at every time."""
    calm, other = told(), told(sample(**facts))
    assert list(other) == ['Memory', 'Memory pressure', 'Control groups', 'OOM risk',
                           'Protection', 'OOM kills', 'Group drivers', 'Group extras']
    assert {n: [k for k, _ in s.values] for n, s in other.items()} == {
        n: [k for k, _ in s.values] for n, s in calm.items()}


@pytest.mark.parametrize('facts, name', [
    (MISSING[0], 'Memory'), (MISSING[1], 'Memory pressure'), (MISSING[3], 'Control groups')])
def test_what_cannot_be_read_says_why_and_is_never_0(facts, name):
    """Every value that depends on the missing file carries the reason."""
    why = next(iter(facts.values())).why
    status = told(sample(own_cgroup='/a', policy=VmPolicy(0), **facts))[name]
    assert why in status.message
    read = ('own control group', 'overcommit_memory', 'compressed swap (MiB)',
            'surroundings', 'Fast DDS segments of dead processes')
    assert {v for k, v in status.values if k not in read} == {f'unavailable ({why})'}


def test_a_group_that_matches_nothing_yet_is_ok_with_a_text():
    """Nobody must act."""
    status = told()['Group drivers']
    assert (status.level, status.message) == (Level.OK, 'No process matches this group yet.')
    assert values(status)['processes'] == 'none'


def test_head_start_left_is_what_the_value_gives_less_what_is_held():
    """-400 of 262144 pages are 104800 pages or 409 MiB; 100 MiB are held, then 600."""
    for held, left in ((100, '309'), (600, '-191')):
        status = told(protection=Protection((driver(mib=held),)))['Group drivers']
        assert values(status)['head start left (MiB)'] == f'lidar {left}'


def test_head_start_inside_a_short_control_group_counts_its_pages():
    """-400 of 25600 pages are 10000 pages or 39 MiB; who is outside has the machine's."""
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=97 << 20)
    taken = sample(chains=(CgroupChain('/robot', (group,)),),
                   members=(('/robot', frozenset({10})),))
    protection = Protection((driver(10, name='inside'), driver(11, name='outside')))
    status = told(taken, protection)['Group drivers']
    assert values(status)['head start left (MiB)'] == 'inside 29, outside 399'


def test_ten_processes_are_listed_and_the_rest_counted():
    """A status stays short."""
    protection = Protection(tuple(driver(pid) for pid in range(10, 23)))
    status = told(protection=protection)['Group drivers']
    assert values(status)['processes'].endswith('lidar (PID 19), +3 more')
    assert status.message.startswith('13 processes, 130 MiB resident')


def test_denied_lowering_whose_order_is_kept_is_ok_and_says_how_to_grant_it():
    """The message says what was done instead; the key names both ways."""
    target = driver(value=0)
    other = Target(process(11), None, 0, 433, '')
    protection = Protection((target,), (outcome(target, 'denied', 0),), raised=(other,))
    status = told(protection=protection)['Protection']
    assert status.level == Level.OK
    assert 'kept by raising 1 process instead' in status.message
    assert values(status)['others raised by'] == '433'
    assert values(status)['raised'] == 'lidar (PID 11) at 433'
    assert all(word in values(status)['denied'] for word in (
        '1 process: lidar (PID 10)', 'OOMScoreAdjust=-500', 'docker run --oom-score-adj=-500'))
    assert values(status)['group drivers'] == 'wanted -400, achieved 0 for 1 process'


def test_a_denial_that_the_parameters_made_void_is_not_told():
    """The group asks for 0 now, which it has."""
    target = replace(driver(value=0), wanted=0)
    protection = Protection((target,), (outcome(target, 'denied', 0),))
    status = told(protection=protection)['Protection']
    assert values(status)['denied'] == 'nothing'
    assert 'the value that its group wants' in status.message


def test_what_is_raised_where_lowering_is_permitted_is_told():
    """In a small control group: the group has its value, and others are raised as well."""
    target = driver()
    lifted = Target(replace(target.process, pid=11), None, 0, 90, 'a test')
    status = told(protection=Protection((target,), raised=(lifted,)))['Protection']
    assert 'the value that its group wants; 1 process raised so that' in status.message
    assert 'denied' not in status.message and values(status)['others raised by'] == '90'


def test_a_protected_process_out_of_reach_is_a_warning_and_not_counted_as_right():
    """Not dumpable: its file belongs to root."""
    one, two = driver(10), driver(11)
    protection = Protection((one, two), (outcome(one, 'not_owner', why='owned by root'),))
    status = told(protection=protection)['Protection']
    assert status.level == Level.WARN
    assert 'does not reach lidar (PID 10): owned by root' in status.message
    assert '1 of 2 processes have the value' in status.message
    assert values(status)['group drivers'] == 'wanted -400, achieved -400, 0 for 2 processes'


def test_an_expendable_process_out_of_reach_is_no_alarm():
    """It is less safe than wanted to nobody's harm; the key names it."""
    target = Target(process(10), 'extras', 300, 300, '')
    protection = Protection((target,), (outcome(target, 'not_owner', why='owned by root'),))
    status = told(protection=protection)['Protection']
    assert status.level == Level.OK
    assert values(status)['not owned'] == 'lidar (PID 10): owned by root'


def test_while_watching_the_values_are_those_of_the_processes():
    """Nothing was written, so nothing wanted may look achieved; an alarm hides no reason."""
    protection = Protection((driver(adj=7),), watching='protection.enabled is false',
                            nodes_without_process=('/amcl',))
    found = told(protection=protection)
    assert values(found['Group drivers'])['oom_score_adj'] == '7'
    assert 'oom_score_adj 7.' in found['Group drivers'].message
    assert values(found['Protection'])['group drivers'] == 'wanted -400, achieved 7 for 1 process'
    assert 'only watching: protection.enabled is false' in found['Protection'].message
    assert 'no process is known for node /amcl' in found['Protection'].message.lower()


@pytest.mark.parametrize('protection, level, text', [
    (Protection(oom_group_paths=('/robot',)), Level.ERROR, 'memory.oom.group=1 on /robot: '
     'scores cannot save single nodes here'),
    (Protection(drifts=(Drift('amcl', 9, -300, 7, 0.0),)), Level.WARN, 'put back to -300'),
    (Protection(lost_order=('the order is lost',)), Level.WARN, 'order is lost'),
    (Protection(nodes_without_process=('/amcl',)), Level.WARN, 'for node /amcl'),
    (Protection(notes=('only worth knowing',)), Level.OK, 'no process'),
    (Protection(watching='a second sentinel'), Level.OK, 'a second sentinel')])
def test_protection_is_quiet_unless_someone_must_act(protection, level, text):
    """The levels of INTERFACE."""
    status = told(protection=protection)['Protection']
    assert status.level == level and text.lower() in status.message.lower()


@pytest.mark.parametrize('adj, warned', [(-600, False), (-601, True)])
def test_values_below_600_are_warned_of_in_the_text(adj, warned):
    """Accepted, with what it means."""
    chosen = settings.build({'groups': ['drivers'], 'group.drivers.oom_score_adj': adj})
    status = told(chosen=chosen)['Protection']
    assert ('takes every other node first' in status.message) == warned
    assert status.level == Level.OK


@pytest.mark.parametrize('memory, level', [(Level.OK, Level.OK), (Level.WARN, Level.WARN)])
def test_killable_headroom_matters_only_while_memory_is_short(memory, level):
    """29 % is below the 30 % of the parameter."""
    status = told(killable_percent=29.0, memory=risk.Verdict(memory, ()))['Protection']
    assert status.level == level and values(status)['killable headroom (%)'] == '29'


def test_only_the_leaking_protected_process_is_named():
    """A namesake that is not protected is no alarm."""
    good, extra = driver(10), Target(process(11, adj=300), 'extras', 300, 300, '')
    protection = Protection((good, extra))
    for leaking, level in ((extra, Level.OK), (good, Level.WARN)):
        status = told(protection=protection,
                      leaking=frozenset({leaking.process.identity}))['Protection']
        assert status.level == level


@pytest.mark.parametrize('version, kills', [(1, '5'), (2, '4')])
def test_a_kill_is_counted_once(version, kills):
    """v2 counts it in every ancestor too (memcg_memory_event()), v1 does not."""
    outer = MemoryCgroup('/robot', version, oom_kill=4)
    inner = MemoryCgroup('/robot/nav', version, oom_kill=1)
    chains = (CgroupChain('/robot/nav', (inner, outer)), CgroupChain('/robot', (outer,)))
    assert values(told(sample(chains=chains))['Control groups'])['oom_kill'] == kills


@pytest.mark.parametrize('policy, text', [
    (VmPolicy(0, 0, 0), 'the kernel would kill rviz2 first.'),
    (VmPolicy(0, 1, 0), 'vm.oom_kill_allocating_task is set'),
    (VmPolicy(0, 0, 1), 'vm.panic_on_oom is 1')])
def test_the_next_victim_is_claimed_only_where_scores_decide(policy, text):
    """mm/oom_kill.c out_of_memory()."""
    taken = sample(policy=policy, processes=(process(12, 500, 300, 'rviz2'), process(13, 1)))
    status = told(taken)['OOM risk']
    assert text in status.message
    assert values(status)['1st victim'] == (
        f'rviz2 (PID 12, badness {500 * 256 + 300 * 262} pages, oom_score_adj 300)')
    assert values(status)['3rd victim'] == 'none'


@pytest.mark.parametrize('policy, text', [
    (VmPolicy(0, 1, 1), 'the kernel would kill leaky first inside /robot.'),
    (VmPolicy(0, 0, 2), 'vm.panic_on_oom is 2')])
def test_inside_a_control_group_only_panic_on_oom_2_counts(policy, text):
    """oom_kill_allocating_task is for the machine alone."""
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=97 << 20)
    taken = sample(policy=policy, processes=(process(10, 50, 0, 'leaky'),),
                   chains=(CgroupChain('/robot', (group,)),),
                   members=(('/robot', frozenset({10})),))
    assert text in told(taken)['OOM risk'].message


LIMITED = {'domain': '/robot'}


@pytest.mark.parametrize('policy, changed, words, absent', [
    (VmPolicy(0, 0, 1, 10), {}, 'would panic', 'no process'),
    (VmPolicy(0, 0, 1, 10), LIMITED, 'no process', 'panic'),
    (VmPolicy(0, 0, 2, 10), LIMITED, 'would panic', 'no process'),
    (VmPolicy(0, 1, 0), {}, 'the process that asks for memory', 'first'),
    (VmPolicy(0, 1, 0), LIMITED, 'no process', 'asks'),
    (VmPolicy(2, 0, 0), {'commit_exhausted': True}, 'malloc fails', 'no process'),
    (VmPolicy(2, 0, 0), {'commit_exhausted': True, **LIMITED}, 'no process', 'malloc')])
def test_a_limited_group_follows_only_panic_on_oom_2(policy, changed, words, absent):
    """panic_on_oom=1, oom_kill_allocating_task and overcommit 2 hold for the machine alone."""
    status = told(sample(policy=policy), **changed)['OOM risk']
    assert words in status.message and absent not in status.message.replace('may kill', '')
    value = dict(status.values)['at exhaustion the kernel']
    assert ('badness' in value) == (bool(changed.get('domain')) and policy.panic_on_oom != 2)


def test_enough_memory_is_said_with_numbers():
    """The share and the size; nothing when MemAvailable is unknown."""
    assert told()['OOM risk'].message.startswith('Enough memory: 50 % of 1024 MiB available;')
    assert told(sample(meminfo=MemInfo(GIB, GIB // 4)))['OOM risk'].message.startswith(
        'No risk is known;')
