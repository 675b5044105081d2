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

"""Levels: quiet unless someone must act, held, and never lowered by more pressure."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
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
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import headroom
from oom_sentinel.risk.assess import is_plentiful
from oom_sentinel.risk.assess import score
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.risk.levels import Hold
from oom_sentinel.risk.levels import hold
import pytest

GIB = 1 << 30
HOST = Host('robot', 4096, '6.1.0')
SETTINGS = settings.build({})


def meminfo(available=50, swap_total=0, swap_free=0):
    """Return 1 GiB with this share available, in percent."""
    return MemInfo(GIB, GIB // 10, int(GIB * available / 100), swap_total_bytes=swap_total,
                   swap_free_bytes=swap_free)


def psi(some=0.0, full=0.0):
    """Return a pressure reading."""
    return Pressure(PressureLine(some, 0.0, 0.0, 0), PressureLine(full, 0.0, 0.0, 0))


def sample(at=0.0, **facts):
    """Return a sample with these facts."""
    facts.setdefault('meminfo', meminfo())
    facts.setdefault('pressure', psi())
    return Sample(at, at, HOST, vmstat=VmStat(0), **facts)


def level(subject, taken, history=None, chosen=SETTINGS):
    """Return the level of one subject."""
    return getattr(risk.assess(taken, history or risk.History(), chosen)[0], subject).level


@pytest.mark.parametrize('facts, expected', [
    ({'meminfo': meminfo(16)}, Level.OK), ({'meminfo': meminfo(14.9)}, Level.WARN),
    ({'meminfo': meminfo(4)}, Level.ERROR), ({'meminfo': meminfo(5.4)}, Level.WARN),
    ({'meminfo': meminfo(50, GIB, 0)}, Level.OK),
    ({'meminfo': meminfo(14, GIB, GIB // 20)}, Level.ERROR)])
def test_memory_levels(facts, expected):
    """A full small swap is normal; it counts only while MemAvailable is low."""
    assert level('memory', sample(**facts)) == expected


def test_no_psi_is_ok_with_the_reason():
    """A Raspberry Pi's default kernel must not raise an alarm."""
    taken = sample(pressure=Unavailable('boot with psi=1'))
    assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
    status = report.compose(taken, assessment, Protection(), SETTINGS)[1]
    assert status.level == Level.OK and 'psi=1' in status.message


def test_a_level_rises_at_once_and_falls_after_hold_s():
    """hold_s is 5 s."""
    history, seen = risk.History(), []
    for at, available in ((0, 50), (1, 4), (2, 50), (5, 50), (6.5, 50)):
        assessment, history = risk.assess(sample(at, meminfo=meminfo(available)), history,
                                          SETTINGS)
        seen.append(assessment.memory.level)
    assert seen == [Level.OK, Level.ERROR, Level.ERROR, Level.ERROR, Level.OK]


@given(st.integers(0, 100), st.integers(0, 100), st.floats(0, 100), st.floats(0, 100),
       st.floats(0, 100), st.floats(0, 100))
def test_more_pressure_never_lowers_a_level(m1, m2, s1, s2, f1, f2):
    """Neither less memory nor more stall makes anything look better."""
    calm = sample(meminfo=meminfo(max(m1, m2)), pressure=psi(min(s1, s2), min(f1, f2)))
    worse = sample(meminfo=meminfo(min(m1, m2)), pressure=psi(max(s1, s2), max(f1, f2)))
    for subject in ('memory', 'pressure', 'risk'):
        assert level(subject, worse) >= level(subject, calm)
    score = [risk.assess(t, risk.History(), SETTINGS)[0].oom_risk for t in (calm, worse)]
    assert 0.0 <= score[0] <= score[1] <= 1.0


def process(pid, mib, adj, name):
    """Return a process that holds MiB."""
    return Process(pid, pid, 1, 0, Program(name, executable=name),
                   memory=TaskMemory(mib << 20, 0, 0), oom_score_adj=adj)


def test_inside_a_limited_cgroup_its_own_totalpages_order():
    """-300 saves the driver on the machine, and not inside a control group of 100 MiB."""
    table = (process(10, 80, -300, 'driver'), process(11, 20, 0, 'leaky'),
             process(12, 500, 0, 'outside'))
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=97 << 20)
    taken = sample(chains=(CgroupChain('/robot', (group,)),), own_cgroup='/robot',
                   processes=table, processes_monotonic_s=1.0,
                   members=(('/robot', frozenset({10, 11})),))
    assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
    assert assessment.domain == '/robot'
    assert [c.process.pid for c in assessment.kill_order] == [10, 11]
    assert assessment.cgroups.level == Level.ERROR


def test_a_protected_first_victim_is_an_error_only_while_risk_is_not_ok():
    """Order matters when memory is short."""
    driver = process(10, 300, -300, 'driver')
    protection = Protection(targets=(Target(driver, 'drivers', -300, -300, ''),))
    found = []
    for available in (50, 14):
        taken = sample(meminfo=meminfo(available), processes=(driver,),
                       processes_monotonic_s=1.0)
        found.append(risk.assess(taken, risk.History(), SETTINGS, protection)[0].risk.level)
    assert found == [Level.OK, Level.ERROR]


def test_a_steady_fall_is_foreseen_and_noise_is_not():
    """50 MiB/s from 900 MiB free; and a sawtooth."""
    for steady in (True, False):
        history, assessment = risk.History(), None
        for at in range(15):
            left = 900 - 50 * at if steady else 500 + 100 * (at % 2)
            taken = sample(float(at), meminfo=replace(meminfo(), mem_available_bytes=left << 20))
            assessment, history = risk.assess(taken, history, SETTINGS)
        if steady:
            assert assessment.exhaustion.middle_s == pytest.approx(4.0, rel=0.05)
            assert assessment.risk.level == Level.ERROR
        else:
            assert assessment.exhaustion is None


def test_every_message_is_a_sentence_and_every_value_a_string():
    """rqt_robot_monitor hides exactly Error and Warning."""
    for facts in ({}, {'meminfo': Unavailable('gone')}, {'chains': Unavailable('none')},
                  {'pressure': Unavailable('off')}, {'meminfo': meminfo(2)}):
        taken = sample(**facts)
        assessment, _ = risk.assess(taken, risk.History(), SETTINGS)
        for status in report.compose(taken, assessment, Protection(), SETTINGS):
            assert status.message.endswith('.') and len(status.message.split()) > 1
            assert all(isinstance(k, str) and isinstance(v, str) and v != 'None'
                       for k, v in status.values)


def test_a_held_level_says_what_it_stands_for():
    """ERROR, then WARN while ERROR is held, then calm while WARN is held."""
    history, seen = risk.History(), []
    for at, available in ((0, 4), (3, 14), (6, 50), (9, 50)):
        assessment, history = risk.assess(sample(at, meminfo=meminfo(available)), history,
                                          SETTINGS)
        seen.append((assessment.memory.level, assessment.memory.reasons))
    low, lower = '14 % of memory is available', '4 % of memory is available'
    assert seen == [(Level.ERROR, (lower,)), (Level.ERROR, (low, f'a moment ago: {lower}')),
                    (Level.WARN, (f'a moment ago: {low}',)), (Level.OK, ())]


@given(st.lists(st.tuples(st.floats(0, 10), st.sampled_from(list(Level))), min_size=1),
       st.floats(0, 20))
def test_the_shown_level_is_the_highest_of_the_last_hold_s(steps, hold_s):
    """It never lags when it rises, and falls after hold_s until one comes back."""
    met, state, now_s, comes_back = [], Hold(), 0.0, False
    for wait_s, at_level in steps:
        now_s += wait_s
        fallen = [e for s, e in met if now_s - s >= hold_s]
        comes_back |= bool(at_level) and any(e >= Level.WARN for e in fallen)
        met.append((now_s, at_level))
        shown, state = hold(state, risk.Verdict(at_level), now_s, hold_s)
        plain = max([at_level] + [e for s, e in met if now_s - s < hold_s])
        assert shown.level == plain or (comes_back and shown.level > plain)


def test_a_condition_that_keeps_coming_back_is_held_twice_the_gap():
    """Low for a second of each minute: WARN rises, falls and rises, and then stays."""
    history, seen = risk.History(), []
    for at in range(600):
        taken = sample(float(at), meminfo=meminfo(14 if at % 60 == 0 else 50))
        assessment, history = risk.assess(taken, history, SETTINGS)
        seen.append(assessment.memory.level)
    assert sum(a != b for a, b in zip(seen, seen[1:])) == 2
    for at in range(541, 2000):
        assessment, history = risk.assess(sample(float(at)), history, SETTINGS)
        seen.append(assessment.memory.level)
    assert seen[600 + 119] == Level.OK and seen[600] == Level.WARN


@pytest.mark.parametrize('facts, recovered', [
    (lambda v: {'meminfo': meminfo(v)}, ((14, 16, Level.WARN), (14, 17, Level.OK),
                                         (4, 5.4, Level.ERROR), (4, 5.6, Level.WARN))),
    (lambda v: {'pressure': psi(some=v)}, ((11, 9.5, Level.WARN), (11, 8.9, Level.OK))),
    (lambda v: {'pressure': psi(full=v)}, ((6, 4.6, Level.ERROR), (6, 4.4, Level.OK)))])
def test_a_level_falls_a_tenth_beyond_its_threshold(facts, recovered):
    """15 and 5 percent of memory, 10 percent of stalls; nothing else latches."""
    for bad, better, expected in recovered:
        history, found = risk.History(), None
        for at, value in enumerate((bad, better, better)):
            found, history = risk.assess(sample(10.0 * at, **facts(value)), history, SETTINGS)
        assert found.risk.level == expected, (bad, better)


@given(st.integers(0, 100), st.integers(0, 100), st.integers(0, 100), st.integers(0, 100),
       st.floats(0, 100), st.floats(0, 100), st.integers(0, 90), st.integers(0, 90))
def test_less_memory_anywhere_never_lowers_a_level(m1, m2, c1, c2, s1, s2, driver, outside):
    """The error of a control group stays when the machine becomes the shorter of the two."""
    table = (process(10, driver, -300, 'driver'), process(11, 20, 0, 'leaky'),
             process(12, outside, 0, 'outside'))
    protection = Protection(targets=(Target(table[0], 'drivers', -300, -300, ''),))

    def taken(available, used, some):
        group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=used << 20)
        return sample(meminfo=meminfo(available), pressure=psi(some), processes=table,
                      chains=(CgroupChain('/robot', (group,)),), processes_monotonic_s=1.0,
                      members=(('/robot', frozenset({10, 11})),))

    calm = taken(max(m1, m2), min(c1, c2), min(s1, s2))
    worse = taken(min(m1, m2), max(c1, c2), max(s1, s2))
    before, after = (risk.assess(t, risk.History(), SETTINGS, protection)[0]
                     for t in (calm, worse))
    for subject in ('memory', 'pressure', 'cgroups', 'risk'):
        assert getattr(after, subject).level >= getattr(before, subject).level
    assert after.oom_risk >= before.oom_risk


def test_a_shorter_machine_does_not_hide_the_wrong_victim_of_a_control_group():
    """The driver dies first inside, the leaky outsider on the machine."""
    table = (process(10, 80, -300, 'driver'), process(12, 500, 0, 'outside'))
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=90 << 20)
    protection = Protection(targets=(Target(table[0], 'drivers', -300, -300, ''),))
    for available, domain in ((50, '/robot'), (8, 'this machine')):
        taken = sample(meminfo=meminfo(available), processes=table,
                       chains=(CgroupChain('/robot', (group,)),),
                       members=(('/robot', frozenset({10})),))
        found, _ = risk.assess(taken, risk.History(), SETTINGS, protection)
        assert (found.domain, found.risk.level) == (domain, Level.ERROR)
        assert 'inside /robot' in found.risk.reasons[0]


def test_the_order_is_kept_while_idle_and_follows_what_was_written():
    """The same readings cost nothing; a written value shows before the next whole scan."""
    before, after = process(10, 300, 0, 'driver'), process(10, 300, -400, 'driver')
    other = process(11, 200, 0, 'other')
    taken = sample(0.0, processes=(before, other), processes_monotonic_s=1.0)
    _, history = risk.assess(taken, risk.History(), SETTINGS,
                             Protection((Target(before, 'drivers', -400, -400, ''),)))
    assert [c.process.pid for c in history.order.order.first] == [10, 11]
    _, idle = risk.assess(replace(taken, monotonic_s=1.0), history, SETTINGS,
                          Protection((Target(before, 'drivers', -400, -400, ''),)))
    assert idle.order is history.order
    found, _ = risk.assess(replace(taken, monotonic_s=2.0, processes=(after, other)), idle,
                           SETTINGS, Protection((Target(after, 'drivers', -400, -400, ''),)))
    assert [c.process.pid for c in found.kill_order] == [11, 10]


def test_killable_percent_is_what_dies_before_the_first_protected():
    """300 of 400 MiB; None when nothing is protected, 0 when it is the first."""
    table = (process(10, 100, -300, 'driver'), process(11, 300, 0, 'leaky'))
    found = []
    for group, wanted in (('drivers', -300), (None, -300), ('extras', 300), ('plain', 0)):
        protection = Protection(targets=(Target(table[0], group, wanted, wanted, ''),))
        found.append(risk.assess(sample(processes=table), risk.History(), SETTINGS,
                                 protection)[0].killable_percent)
    assert found == [75.0, None, None, None]
    alone = Protection(targets=(Target(table[0], 'drivers', -300, -300, ''),))
    empty = replace(table[0], memory=TaskMemory(0, 0, 0))
    for processes, percent in ((table[:1], 0.0), (table[1:], None), ((empty,), None)):
        found, _ = risk.assess(sample(processes=processes), risk.History(), SETTINGS, alone)
        assert found.killable_percent == percent


def test_page_cache_counts_as_headroom():
    """Usage at the limit is normal for a group that reads files."""
    full = MemoryCgroup('/a', 2, limit_bytes=100 << 20, usage_bytes=100 << 20)
    cached = replace(full, inactive_file_bytes=40 << 20)
    for group, left, expected in ((full, 0.0, Level.ERROR), (cached, 40.0, Level.OK)):
        taken = sample(chains=(CgroupChain('/a', (group,)),))
        found, _ = risk.assess(taken, risk.History(), SETTINGS)
        assert (found.tightest.percent, found.cgroups.level) == (left, expected)


def test_a_limit_above_the_machine_is_none():
    """Docker's default of a limit larger than RAM limits nothing."""
    group = MemoryCgroup('/a', 2, limit_bytes=4 * GIB, usage_bytes=4 * GIB)
    assert headroom.limits((CgroupChain('/a', (group,)),), meminfo()) == ()


def test_commit_limit_counts_in_overcommit_mode_2_only():
    """There malloc fails at the limit."""
    info = replace(meminfo(), commit_limit_bytes=100, committed_as_bytes=96)
    for mode, expected in ((0, Level.OK), (2, Level.ERROR)):
        taken = sample(meminfo=info, policy=VmPolicy(mode))
        assert level('memory', taken) == expected
        found, _ = risk.assess(taken, risk.History(), SETTINGS)
        assert found.commit_exhausted == (mode == 2) == (found.oom_risk > 0.8)
        assert found.memory.reasons == ('4 % of CommitLimit is left; at the limit malloc fails '
                                        '(vm.overcommit_memory=2)',) * (mode == 2)


def test_a_control_group_that_fills_up_is_named():
    """5 MiB/s towards a limit, while the machine rests."""
    history, found = risk.History(), None
    for at in range(21):
        group = MemoryCgroup('/robot', 2, limit_bytes=200 << 20, usage_bytes=(5 * at) << 20)
        taken = sample(float(at), chains=(CgroupChain('/robot', (group,)),))
        found, history = risk.assess(taken, history, SETTINGS)
    assert found.exhaustion.middle_s == pytest.approx(100 / 5)
    assert found.risk.reasons == ('the limit of control group /robot is reached in about 20 s '
                                  '(16 s to 24 s) if it goes on like this',)


def test_risk_of_a_control_group_counts_as_the_machines():
    """0.5 at the warn threshold of 15 %."""
    group = MemoryCgroup('/a', 2, limit_bytes=100 << 20, usage_bytes=85 << 20)
    found, _ = risk.assess(sample(chains=(CgroupChain('/a', (group,)),)), risk.History(),
                           SETTINGS)
    assert found.oom_risk == 0.5


def group_levels(*readings):
    """Return the last findings of a group of 100 MiB: (level, text) of each, the gravest first."""
    history, found = risk.History(), None
    for at, more in enumerate(readings):
        group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, **more)
        taken = sample(10.0 * at, chains=(CgroupChain('/robot', (group,)),), meminfo=replace(
            meminfo(50), swap_total_bytes=1000 << 20, swap_free_bytes=1000 << 20))
        found, history = risk.assess(taken, history, SETTINGS)
    return found.cgroups.level, [r for r in found.cgroups.reasons if 'a moment ago' not in r]


def used(memory_mib, swap_mib=0):
    """Return the usage of a group that may use 100 MiB of swap."""
    return {'usage_bytes': memory_mib << 20, 'swap_usage_bytes': swap_mib << 20,
            'swap_max_bytes': 100 << 20}


@pytest.mark.parametrize('readings, expected', [
    ((used(86), used(84), used(84)), (Level.WARN, ['16 % of the limit of control group /robot is '
                                                   'left'])),
    ((used(86), used(83), used(83)), (Level.OK, [])),
    ((used(86, 61),), (Level.WARN, [
        '14 % of the limit of control group /robot is left',
        '61 % of the swap of control group /robot is used'])),
    ((used(86, 61), used(86, 55), used(86, 55)), (Level.WARN, [
        '14 % of the limit of control group /robot is left',
        '55 % of the swap of control group /robot is used'])),
    ((used(86, 61), used(86, 53), used(86, 53)), (Level.WARN, [
        '14 % of the limit of control group /robot is left'])),
    ((used(86, 60),), (Level.WARN, ['14 % of the limit of control group /robot is left'])),
    ((used(86, 85),), (Level.WARN, [
        '14 % of the limit of control group /robot is left',
        '85 % of the swap of control group /robot is used'])),
    ((used(86, 90),), (Level.WARN, [
        '14 % of the limit of control group /robot is left',
        '90 % of the swap of control group /robot is used'])),
    ((used(86, 91),), (Level.ERROR, [
        '91 % of the swap of control group /robot is used',
        '14 % of the limit of control group /robot is left'])),
    ((used(50, 91),), (Level.OK, [])),
    (({'usage_bytes': 86 << 20, 'oom_kill_disable': True},), (Level.WARN, [
        '14 % of the limit of control group /robot is left',
        'control group /robot has oom_kill_disable: at its limit its tasks hang instead of one '
        'being killed'])),
    (({'usage_bytes': 86 << 20, 'oom_kill_disable': True, 'under_oom': True},), (Level.ERROR, [
        'control group /robot is at its limit and has oom_kill_disable: its tasks hang',
        '14 % of the limit of control group /robot is left'])),
    (({'usage_bytes': 50 << 20, 'under_oom': True},), (Level.OK, []))])
def test_a_groups_memory_and_swap_have_thresholds_of_their_own(readings, expected):
    """Both recover a tenth beyond; swap counts only while memory is low."""
    assert group_levels(*readings) == expected


def test_what_may_be_killed_first_counts_swap_too():
    """The leaky one holds 30 MiB and 60 of swap, the driver 10: nine tenths die before it."""
    leaky = replace(process(11, 30, 0, 'leaky'), memory=TaskMemory(30 << 20, 60 << 20, 0))
    table = (process(10, 10, -300, 'driver'), leaky)
    protection = Protection(targets=(Target(table[0], 'drivers', -300, -300, ''),))
    found, _ = risk.assess(sample(meminfo=meminfo(50), processes=table), risk.History(),
                           SETTINGS, protection)
    assert found.killable_percent == 90.0
    found, _ = risk.assess(sample(meminfo=meminfo(50), processes=table), risk.History(), SETTINGS)
    assert found.killable_percent is None


@pytest.mark.parametrize('used, levels', [(75, (0, 1)), (91, (0, 2)), (59, (0, 0))])
def test_a_full_swap_is_named_while_memory_is_low(used, levels):
    """Its thresholds are 60 and 90 %."""
    for available, expected in zip((50, 14), levels):
        taken = sample(meminfo=meminfo(available, GIB, GIB * (100 - used) // 100))
        found, _ = risk.assess(taken, risk.History(), SETTINGS)
        named = [text for text in found.memory.reasons if 'swap' in text]
        assert bool(named) == bool(expected)
        assert found.memory.level == max(expected, available == 14)


@pytest.mark.parametrize('committed, expected', [
    (84, Level.OK), (86, Level.WARN), (96, Level.ERROR)])
def test_commit_limit_has_the_thresholds_of_memory(committed, expected):
    """What malloc may still give."""
    info = replace(meminfo(), commit_limit_bytes=100, committed_as_bytes=committed)
    assert level('memory', sample(meminfo=info, policy=VmPolicy(2))) == expected


@pytest.mark.parametrize('machine, group, plentiful', [
    (31, None, True), (29, None, False), (60, 31, True), (60, 29, False), (29, 60, False)])
def test_memory_is_plentiful_twice_above_what_warns_here_and_in_every_limit(
        machine, group, plentiful):
    """15 % warn; the sentinel then reads less."""
    chains = () if group is None else (CgroupChain('/robot', (MemoryCgroup(
        '/robot', 2, limit_bytes=200 << 20, usage_bytes=(100 - group) * (2 << 20)),)),)
    taken = sample(meminfo=meminfo(machine), chains=chains)
    found, _ = risk.assess(taken, risk.History(), SETTINGS)
    assert found.risk.level == Level.OK
    assert is_plentiful(taken, taken, found, SETTINGS) == plentiful
    unread = replace(taken, meminfo=Unavailable('denied'))
    assert not is_plentiful(unread, taken, found, SETTINGS)


def limited(refaults):
    """Return the chain of a control group with much room."""
    return (CgroupChain('/robot', (MemoryCgroup(
        '/robot', 2, limit_bytes=200 << 20, usage_bytes=20 << 20, refaults=refaults),)),)


PRESSED = {'pressure': psi(60.0, 20.0), 'vmstat': VmStat(0, 9, 500), 'chains': limited(3)}


@pytest.mark.parametrize('now, plentiful', [
    ({}, True), ({'vmstat': VmStat(7, 999, 500)}, True),
    ({'vmstat': VmStat(0, 9, 501)}, False), ({'vmstat': VmStat(0, 9)}, False),
    ({'vmstat': Unavailable('denied')}, False), ({'chains': limited(4)}, False),
    ({'chains': limited(None)}, False), ({'chains': Unavailable('denied')}, False),
    ({'chains': (CgroupChain('/robot', (MemoryCgroup('/robot', 2, unreadable='x'),)),)}, False),
    ({'chains': (replace(limited(3)[0], hidden='above the mount'),)}, False),
    ({'chains': (CgroupChain('/robot', (MemoryCgroup('/robot', 2, refaults=7),)),)}, True),
    ({'meminfo': meminfo(29)}, False), ({'meminfo': meminfo(10)}, False)])
def test_memory_stays_plentiful_while_others_alone_have_too_little(now, plentiful):
    """The kernel looked for memory neither for the machine nor in a limit of ours."""
    last = replace(sample(), **PRESSED)
    taken = replace(last, monotonic_s=1.0, **now)
    found, _ = risk.assess(taken, risk.History(), SETTINGS)
    assert found.pressure.level == Level.ERROR
    assert is_plentiful(taken, last, found, SETTINGS) == plentiful
    assert not is_plentiful(taken, None, found, SETTINGS)


@pytest.mark.parametrize('unknown', [{'vmstat': VmStat(0, 9)}, {'chains': limited(None)}])
def test_memory_is_not_plentiful_under_pressure_where_nothing_is_counted(unknown):
    """Two readings without a counter are no standstill."""
    taken = replace(sample(), **{**PRESSED, **unknown})
    found, _ = risk.assess(taken, risk.History(), SETTINGS)
    assert not is_plentiful(taken, taken, found, SETTINGS)


def test_memory_is_not_plentiful_when_more_than_pressure_is_wrong():
    """Here CommitLimit; pressure is there as well."""
    info = replace(meminfo(60), commit_limit_bytes=100, committed_as_bytes=99)
    taken = replace(sample(meminfo=info, policy=VmPolicy(2)), **PRESSED)
    found, _ = risk.assess(taken, risk.History(), SETTINGS)
    assert not is_plentiful(taken, taken, found, SETTINGS)


@pytest.mark.parametrize('machine, group, plentiful', [
    (25, 26, False), (26, 25, False), (26, 26, True)])
def test_exactly_twice_what_warns_is_not_plentiful(machine, group, plentiful):
    """12.5 percent: numbers that floats hold exactly."""
    chosen = settings.build({'memory.available_warn_percent': 12.5})
    taken = sample(meminfo=meminfo(machine), chains=(CgroupChain('/robot', (MemoryCgroup(
        '/robot', 2, limit_bytes=100 << 20, usage_bytes=(100 - group) << 20),)),))
    found, _ = risk.assess(taken, risk.History(), chosen)
    assert is_plentiful(taken, None, found, chosen) is plentiful


def test_oom_risk_is_the_worst_of_what_was_read():
    """Half at each threshold, one at nothing left; an end after twice warn_s is none."""
    for available, expected in ((60, 0.0), (15, 0.5), (3, 0.9)):
        found, _ = risk.assess(sample(meminfo=meminfo(available)), risk.History(), SETTINGS)
        assert found.oom_risk == pytest.approx(expected)
    found, _ = risk.assess(sample(pressure=psi(60.0, 20.0)), risk.History(), SETTINGS)
    assert found.oom_risk == pytest.approx(0.5)
    found, _ = risk.assess(sample(pressure=psi(100.0, 100.0)), risk.History(), SETTINGS)
    assert found.oom_risk == 1.0
    for middle_s, expected in ((90.0, 0.75), (180.0, 0.5), (400.0, 0.0)):
        told = Forecast(middle_s / 2, middle_s, middle_s * 2, 60.0)
        assert score(sample(), None, told, SETTINGS) == pytest.approx(expected)
    assert score(sample(), None, told, replace(SETTINGS, exhaustion_warn_s=0.0)) == 0.0


def test_the_order_is_made_anew_while_memory_is_at_risk():
    """The table was read again within the same second: what it holds now counts."""
    first, second = process(10, 300, 0, 'a'), process(11, 200, 0, 'b')
    grown = process(11, 400, 0, 'b')
    for available, expected in ((50, [10, 11]), (14, [11, 10])):
        taken = sample(meminfo=meminfo(available), processes=(first, second),
                       processes_monotonic_s=1.0)
        _, history = risk.assess(taken, risk.History(), SETTINGS)
        found, _ = risk.assess(replace(taken, processes=(first, grown), monotonic_s=1.0),
                               history, SETTINGS)
        assert [c.process.pid for c in found.kill_order] == expected


def test_everybody_before_the_first_protected_may_be_killed_before_it():
    """Three quarters of 400 MiB, of two programs; one that is spared counts as held only."""
    table = (process(10, 60, -300, 'driver'), process(11, 200, 0, 'leaky'),
             process(12, 100, 0, 'other'), process(13, 40, -1000, 'spared'))
    protection = Protection(targets=(Target(table[0], 'drivers', -300, -300, ''),))
    found, _ = risk.assess(sample(processes=table), risk.History(), SETTINGS, protection)
    assert [c.process.pid for c in found.kill_order] == [11, 12, 10, 13]
    assert found.killable_percent == 75.0
    protection = Protection(targets=(Target(table[3], 'drivers', -1000, -1000, ''),))
    found, _ = risk.assess(sample(processes=table), risk.History(), SETTINGS, protection)
    assert found.killable_percent == 90.0


@pytest.mark.parametrize('swappiness, until_mib, totalpages', [
    (60, 160, 50 << 10), (0, 60, 25 << 10), (None, 160, 50 << 10)])
def test_swappiness_0_leaves_a_group_without_swap(swappiness, until_mib, totalpages):
    """A limit of 100 MiB, of which 40 are used, beside 100 MiB of swap."""
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=40 << 20)
    taken = sample(
        meminfo=meminfo(80, 100 << 20, 100 << 20), policy=VmPolicy(swappiness=swappiness),
        chains=(CgroupChain('/robot', (group,)),), members=(('/robot', frozenset({10})),),
        processes=(process(10, 40, 0, 'a'),))
    found, history = risk.assess(taken, risk.History(), SETTINGS)
    assert found.tightest.until_oom_bytes == until_mib << 20
    assert (found.domain, found.totalpages) == ('/robot', totalpages)
    assert history.places.of('/robot').left.scales[0] == ((0.0, float(until_mib << 20)),)


def test_a_wrong_victim_of_the_machine_is_inside_no_group():
    """The driver is the largest, and -1 hardly lowers it."""
    driver = process(10, 300, -1, 'driver')
    protection = Protection(targets=(Target(driver, 'drivers', -1, -1, ''),))
    found, _ = risk.assess(sample(meminfo=meminfo(14), processes=(driver,)), risk.History(),
                           SETTINGS, protection)
    assert found.risk.reasons[0] == 'the protected driver (PID 10) would be killed first'


@pytest.mark.parametrize('used, then, named', [
    (61, 55, True), (61, 53, False), (91, 82, True), (91, 80, True)])
def test_a_full_swap_recovers_a_tenth_below_its_threshold(used, then, named):
    """60 percent: at 54; it counts only while memory is low."""
    history, found = risk.History(), None
    for at, share in enumerate((used, then, then)):
        taken = sample(10.0 * at, meminfo=meminfo(14, GIB, GIB * (100 - share) // 100))
        found, history = risk.assess(taken, history, SETTINGS)
    expected = f'{then} % of swap is used'
    assert (expected in found.memory.reasons) == named
    assert found.memory.level == (Level.ERROR if then == 82 else Level.WARN)


def held(*steps, hold_s=5.0):
    """Return the verdicts shown after these (seconds, level, reasons)."""
    state, found = Hold(), []
    for at_s, at_level, *reasons in steps:
        shown, state = hold(state, risk.Verdict(at_level, tuple(reasons)), at_s, hold_s)
        found.append(shown)
    return found


def test_of_a_level_that_is_held_three_old_reasons_are_shown():
    """After those of now."""
    found = held((0.0, Level.ERROR, 'a', 'b', 'c', 'd'), (1.0, Level.WARN, 'e'))
    assert found[-1] == risk.Verdict(Level.ERROR, (
        'e', 'a moment ago: a', 'a moment ago: b', 'a moment ago: c'))


@pytest.mark.parametrize('gap_s, held_s', [(100.0, 200.0), (400.0, 600.0), (601.0, 5.0)])
def test_what_comes_back_is_held_twice_the_gap_and_ten_minutes_at_most(gap_s, held_s):
    """Ten minutes later it is a new condition."""
    again = ((0.0, Level.WARN, 'a'), (6.0, Level.OK), (gap_s, Level.WARN, 'b'))
    for after_s, expected in ((held_s - 1, Level.WARN), (held_s, Level.OK)):
        assert held(*again, (gap_s + after_s, Level.OK))[-1].level == expected


def test_after_a_clock_was_set_back_a_level_is_held_anew():
    """It was met an hour later than now."""
    found = held((3600.0, Level.WARN, 'a'), (0.0, Level.OK), (4.9, Level.OK), (5.0, Level.OK))
    assert [f.level for f in found] == [Level.WARN, Level.WARN, Level.WARN, Level.OK]
    assert found[1].reasons == ('a moment ago: a',)


@pytest.mark.parametrize('stalls, expected', [
    ((11.4, 0.0), (Level.WARN, ('some tasks waited for memory 11 % of the last 10 s',))),
    ((0.0, 5.6), (Level.ERROR, ('every task waited for memory 6 % of the last 10 s',))),
    ((9.5, 4.6), (Level.OK, ())),
    ((10.0, 5.0), (Level.OK, ()))])
def test_stalls_are_said_in_percent_of_ten_seconds(stalls, expected):
    """More than 10 of some, or 5 of all; a kernel before 5.13 may have no line for all."""
    found, _ = risk.assess(sample(pressure=psi(*stalls)), risk.History(), SETTINGS)
    assert (found.pressure.level, found.pressure.reasons) == expected
    alone = Pressure(PressureLine(11.4, 0.0, 0.0, 0))
    found, _ = risk.assess(sample(pressure=alone), risk.History(), SETTINGS)
    assert found.pressure.reasons == ('some tasks waited for memory 11 % of the last 10 s',)
    assert found.oom_risk == 0.057


def test_memory_that_cannot_be_read_is_a_warning_with_the_reason():
    """Unknown is not enough."""
    found, _ = risk.assess(sample(meminfo=Unavailable('denied')), risk.History(), SETTINGS)
    assert (found.memory.level, found.memory.reasons) == (
        Level.WARN, ('Memory is unavailable (denied)',))


def test_ten_processes_of_the_order_are_shown_and_all_are_counted():
    """The twelfth is protected: eleven of twelve parts die before it."""
    table = tuple(process(10 + i, 20, 12 - i, f'p{i}') for i in range(12))
    protection = Protection(targets=(Target(table[-1], 'drivers', -1, -1, ''),))
    found, _ = risk.assess(sample(processes=table), risk.History(), SETTINGS, protection)
    assert [c.process.pid for c in found.kill_order] == list(range(10, 20))
    assert found.killable_percent == pytest.approx(100 * 11 / 12)


def test_a_verdict_is_held_as_many_times_hold_s_as_its_finding_says():
    """Three times, as a forecast's: also the first of its kind."""
    state = hold(Hold(), risk.Verdict(Level.WARN, ('a',), 3.0), 0.0, 5.0)[1]
    assert hold(state, risk.Verdict(), 14.9, 5.0)[0].level == Level.WARN
    assert hold(state, risk.Verdict(), 15.0, 5.0)[0].level == Level.OK


def test_each_shortage_of_the_machine_is_named():
    """Memory, swap and the CommitLimit."""
    info = replace(meminfo(14, GIB, GIB // 4), commit_limit_bytes=100, committed_as_bytes=90)
    found, _ = risk.assess(sample(meminfo=info, policy=VmPolicy(2)), risk.History(), SETTINGS)
    assert [reason.split(' is ')[0] for reason in found.memory.reasons] == [
        '14 % of memory', '75 % of swap', '10 % of CommitLimit']


@pytest.mark.parametrize('limit, left', [(100, 4), (0, None)])
def test_memory_that_is_low_is_named_beside_the_commit_limit(limit, left):
    """The gravest first; without a limit there is none to reach."""
    info = replace(meminfo(14), commit_limit_bytes=limit, committed_as_bytes=96)
    found, _ = risk.assess(sample(meminfo=info, policy=VmPolicy(2)), risk.History(), SETTINGS)
    assert [reason.split(' is ')[0] for reason in found.memory.reasons] == [
        *([f'{left} % of CommitLimit'] if left else []), '14 % of memory']


def test_the_wrong_victim_of_each_place_that_is_short_is_named():
    """Of the machine and of the control group."""
    driver = process(10, 300, -1, 'driver')
    group = MemoryCgroup('/robot', 2, limit_bytes=400 << 20, usage_bytes=380 << 20)
    protection = Protection(targets=(Target(driver, 'drivers', -1, -1, ''),))
    found, _ = risk.assess(sample(meminfo=meminfo(8), processes=(driver,), chains=(
        CgroupChain('/robot', (group,)),), members=(('/robot', frozenset({10})),)),
        risk.History(), SETTINGS, protection)
    wrong = [r for r in found.risk.reasons if 'killed first' in r]
    assert wrong == ['the protected driver (PID 10) would be killed first',
                     'the protected driver (PID 10) would be killed first inside /robot']


@pytest.mark.parametrize('available, expected', [
    (25, Level.OK), (24.9, Level.WARN), (12.5, Level.WARN), (12.4, Level.ERROR)])
def test_exactly_the_threshold_of_memory_is_no_shortage(available, expected):
    """A quarter and an eighth: numbers that floats hold exactly."""
    chosen = settings.build({'memory.available_warn_percent': 25.0,
                             'memory.available_error_percent': 12.5})
    assert level('memory', sample(meminfo=meminfo(available)), chosen=chosen) == expected


@pytest.mark.parametrize('left_mib, domain', [(25, 'this machine'), (24, '/robot')])
def test_a_group_that_has_as_much_left_as_the_machine_is_not_the_shorter(left_mib, domain):
    """In percent: a quarter of both."""
    group = MemoryCgroup('/robot', 2, limit_bytes=100 << 20, usage_bytes=(100 - left_mib) << 20)
    found, _ = risk.assess(sample(meminfo=meminfo(25), chains=(
        CgroupChain('/robot', (group,)),)), risk.History(), SETTINGS)
    assert found.domain == domain


def test_the_edges_of_what_is_held():
    """At the end of the hold it falls; ten minutes later to the second it still comes back."""
    state = hold(Hold(), risk.Verdict(Level.WARN, ('a',)), 0.0, 5.0)[1]
    state = hold(state, risk.Verdict(), 5.0, 5.0)[1]
    assert state.warn.fell
    again = hold(state, risk.Verdict(Level.WARN, ('b',)), 600.0, 5.0)[1]
    assert again.warn.learned_s == 600.0 and not again.warn.fell
    later = hold(state, risk.Verdict(Level.WARN, ('b',)), 600.1, 5.0)[1]
    assert later.warn.learned_s == 0.0


def test_the_order_of_a_group_is_made_anew_when_its_limit_changes():
    """The same readings otherwise: a point weighs less in a smaller group."""
    table, history = (process(10, 60, 0, 'a'), process(11, 50, 200, 'b')), risk.History()
    for limit_mib, expected in ((100, [11, 10]), (40, [10, 11])):
        group = MemoryCgroup('/robot', 2, limit_bytes=limit_mib << 20, usage_bytes=30 << 20)
        taken = sample(meminfo=meminfo(80), processes=table, processes_monotonic_s=1.0,
                       chains=(CgroupChain('/robot', (group,)),),
                       members=(('/robot', frozenset({10, 11})),))
        found, history = risk.assess(taken, history, SETTINGS)
        assert found.risk.level == Level.OK
        assert [c.process.pid for c in found.kill_order] == expected


def test_an_end_that_is_foreseen_counts_in_oom_risk_with_three_digits():
    """20 MiB a second of 600 that are left: 30 s of twice 180."""
    history, found = risk.History(), None
    for at in range(21):
        info = replace(meminfo(), mem_available_bytes=(1000 - 20 * at) << 20)
        found, history = risk.assess(sample(float(at), meminfo=info), history, SETTINGS)
    assert found.oom_risk == round(1 - found.exhaustion.middle_s / 360, 3)
