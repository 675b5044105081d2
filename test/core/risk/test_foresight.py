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

"""When memory ends: series with known answers, and robots that raise no alarm."""

from dataclasses import replace
import math
import pathlib
import random

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.shedding import Step
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import places
from oom_sentinel.risk import series
from oom_sentinel.risk import shares
from oom_sentinel.risk import starts
from oom_sentinel.sentinel import Sentinel
import pytest

MIB = 1 << 20
SETTINGS = settings.build({})
HOST = Host('robot', 4096, '6.1.0')


def told(lefts, *, every_s=1.0, safe=0.0):
    """Return the forecast after these bytes were left, one reading after another."""
    left = series.Left()
    for index, value in enumerate(lefts):
        left = series.extend(left, 1.0 + every_s * index, value, safe)
    return exhaustion.forecast(left)


def ramp(start_mib, mib_s, seconds, *, rest_s=0, noise_mib=0.0):
    """Return what is left each second: at rest, then falling, with noise of a known seed."""
    noise = random.Random(7)
    return [MIB * (start_mib - mib_s * max(0, at - rest_s) + noise.gauss(0, noise_mib))
            for at in range(rest_s + seconds)]


@pytest.mark.parametrize('rest_s', [0, 60, 700])
@pytest.mark.parametrize('mib_s, noise_mib', [(1, 1), (5, 10), (20, 20), (50, 5)])
def test_half_way_down_the_end_is_known(mib_s, noise_mib, rest_s):
    """Whatever the pace, the noise, and how long it rested before; within 25 percent."""
    start = max(400, 40 * mib_s)
    half_s = start // mib_s // 2
    found = told(ramp(start, mib_s, half_s, rest_s=rest_s, noise_mib=noise_mib))
    assert found.middle_s == pytest.approx(start / mib_s - half_s, rel=0.25)
    assert found.low_s <= start / mib_s - half_s <= found.high_s


def test_noise_tells_nothing_and_neither_does_a_rise():
    """Without a trend there is no number."""
    noise = random.Random(3)
    assert told([MIB * (300 + noise.gauss(0, 100)) for _ in range(900)]) is None
    assert told(ramp(300, -5, 120)) is None
    assert told([300 * MIB] * 900) is None


def test_a_fall_that_ended_is_told_no_more():
    """It came to rest six seconds ago."""
    fallen = ramp(1000, 20, 25)
    assert told(fallen) is not None
    assert told(fallen + [fallen[-1]] * 8) is None


@pytest.mark.parametrize('seconds', [1, 2])
def test_a_single_allocation_is_no_fall(seconds):
    """A model takes 800 of 1200 MiB within a second or two."""
    lefts = [1200 * MIB] * 60 + [1200 * MIB - 800 * MIB * (at + 1) / seconds
                                 for at in range(seconds)]
    for rest in range(40):
        assert told(lefts + [400 * MIB] * rest) is None


def test_steps_are_a_fall_when_there_are_many():
    """A tenth each half minute; the pauses between the steps do not end it."""
    lefts = [MIB * (1000 - 100 * (at // 30)) for at in range(170)]
    found = told(lefts)
    assert found.low_s <= 130 <= found.high_s


def test_a_fall_that_becomes_faster_ends_sooner_than_a_straight_line():
    """1000 MiB, all gone after 100 s, a quarter of it at half the time."""
    lefts = [MIB * 1000 * (1 - (at / 100) ** 2) for at in range(61)]
    found = told(lefts)
    assert found.gaining and found.middle_s == pytest.approx(40, rel=0.25)
    assert not told(ramp(1000, 10, 60, rest_s=5)).gaining


def test_what_comes_back_twice_is_a_habit_and_once_is_none():
    """A sawtooth of 700 MiB in 1500 a minute; a ramp that goes deeper is told."""
    tooth = [MIB * (1500 - 700 * (at % 60) / 60) for at in range(60)]
    assert told(tooth + tooth[:50], safe=600 * MIB) is not None
    assert told(tooth * 3 + tooth[:50], safe=600 * MIB) is None
    assert told(tooth * 3 + ramp(1500, 15, 75), safe=600 * MIB).middle_s == pytest.approx(
        25, rel=0.1)
    assert told(tooth * 3 + tooth[:50], safe=900 * MIB) is not None


def test_a_fall_that_a_kill_ended_is_no_habit():
    """The counter moved as memory came back."""
    swing = series.Swing(1000.0, 100.0)
    for at_s in (1.0, 2.0):
        swing = series.swung(replace(swing, peak=1000.0, trough=100.0), at_s, 900.0, 0.0, True)
    assert swing.habit == 0.0
    for at_s in (3.0, 4.0):
        swing = series.swung(replace(swing, peak=1000.0, trough=100.0), at_s, 900.0, 0.0, False)
    assert swing.habit == 900.0
    swing = series.swung(replace(swing, peak=1000.0, trough=600.0), 5.0, 900.0, 0.0, False)
    assert swing.habit == 900.0 and len(swing.habits) == 3
    late = series.swung(replace(swing, peak=1000.0, trough=100.0), 8000.0, 900.0, 0.0, False)
    assert late.habit == 0.0


@pytest.mark.parametrize('result, foreseen', [(Brought.ENDED, True), (Brought.STILL_RUNS, False)])
def test_a_leak_that_was_shed_and_respawned_is_foreseen_each_time(result, foreseen):
    """That memory came back because its process was ended makes no job of it."""
    history, at = risk.History(), 0.0
    action = Action(0.0, Identity(7, 1), '/recorder', 'recorders', Step.INTERRUPT, '', '', result,
                    took_s=2.0)
    for _ in range(4):
        for left_mib in (*[3000] * 8, *range(3000, 700, -40), 3000, 3000):
            found, history = risk.assess(sample(at, left_mib), history, SETTINGS)
            history = risk.relieved(history, Shedding('act'), at)
            if left_mib < 760:
                last = found.exhaustion
            at += 1.0
        history = risk.relieved(history, Shedding('act', fresh=(action,)), at)
    assert (last is not None) == foreseen


def test_a_cycle_forgets_the_habit_that_its_shedding_made(monkeypatch):
    """What came back before the step stays."""
    clock = [100.0]
    captured = pathlib.Path(__file__).parents[2] / 'fixtures' / 'vm-debian12-6.18'
    sentinel = Sentinel(settings.build({}), root=str(captured), monotonic=lambda: clock[0])
    sentinel.cycle()
    (place, *_), = (sentinel._history.places.places,)
    habits = ((90.0, 7.0), (99.0, 6.0))
    value = place.left.scales[0][-1][1]
    falling = series.Swing(2.0 * value, 0.9 * value, 95.0, habits)
    place = replace(place, left=replace(place.left, swing=falling))
    sentinel._history = replace(sentinel._history, places=places.Places((place,)))
    action = Action(0.0, Identity(7, 1), '/recorder', 'recorders', Step.INTERRUPT, '', '',
                    Brought.ENDED, took_s=2.0)
    monkeypatch.setattr(sentinel.shedder, 'update', lambda *_: Shedding('act', fresh=(action,)))
    clock[0] = 101.0
    sentinel.cycle()
    swing = sentinel._history.places.places[0].left.swing
    assert swing.habits == habits[:1] and swing.peak == swing.trough == value


@pytest.mark.parametrize('depths, habit', [
    ((800.0,), 0.0), ((800.0, 400.0), 800.0), ((800.0, 390.0), 390.0), ((300.0, 800.0), 300.0)])
def test_the_deepest_fall_is_a_habit_when_a_second_was_half_as_deep(depths, habit):
    """A small swing beside one big job makes no habit of the job."""
    swing = series.Swing()
    for at_s, depth in enumerate(depths):
        swing = series.swung(replace(swing, peak=1000.0, trough=1000.0 - depth), at_s, 1000.0,
                             0.0, False)
    assert swing.habit == habit


@pytest.mark.parametrize('cut', [series.interrupted, series.rested])
def test_habits_outlive_a_suspend_and_the_end_of_a_start(cut):
    """The series begins anew; what the robot takes and gives back is still known."""
    habits = ((1.0, 700.0), (2.0, 600.0))
    left = series.Left(swing=series.Swing(1000.0, 300.0, 1.0, habits))
    for at_s, value in ((3.0, 900.0), (4.0, 800.0), (5.0, 750.0)):
        left = series.extend(left, at_s, value)
    anew = series.extend(cut(left), 6.0, 740.0)
    assert anew.swing.habits == habits
    assert anew.swing.peak == (750.0 if cut is series.rested else 740.0)
    assert [seconds for seconds, _ in anew.scales[0]][-2:] == (
        [5.0, 6.0] if cut is series.rested else [6.0])


def test_what_was_left_at_a_moment_is_found_on_the_finest_scale_that_reaches_back():
    """None before the first reading."""
    left = series.Left()
    for at in range(200):
        left = series.extend(left, float(at), 1000.0 - at)
    assert series.value_at(left, 199.0) == 801.0 and series.value_at(left, 180.5) == 820.0
    assert series.value_at(left, 167.0) == 833.0
    assert series.value_at(left, 100.0) == pytest.approx(900.0, abs=4)
    assert series.value_at(left, -1.0) is None


def test_a_slow_fall_shows_on_the_longer_scales():
    """0.5 MiB/s below a noise of 30 MiB, and 60 MiB an hour: minutes, then hours ahead."""
    slow = told(ramp(800, 0.5, 600, noise_mib=30))
    assert slow.middle_s == pytest.approx(1000, rel=0.2) and slow.span_s > 200
    hours = told([MIB * (300 - at / 60) for at in range(0, 7200, 5)], every_s=5.0)
    assert hours.middle_s == pytest.approx(180 * 60, rel=0.1) and hours.span_s > 3000


def test_a_long_publish_period_sees_a_fall_too():
    """One reading in ten seconds: half a minute alone would hold three."""
    found = told([MIB * (1000 - 2 * at) for at in range(0, 400, 10)], every_s=10.0)
    assert found.middle_s == pytest.approx(110, rel=0.1)


def test_eight_seconds_are_needed_for_eight_blocks_and_four_for_four():
    """Three steps of a fall say nothing."""
    for count, expected in ((4, ()), (5, (4,)), (8, (4,)), (9, (4, 8))):
        points = tuple((float(i), 1000.0 - 50 * i) for i in range(count))
        assert tuple(p.span_s for p in series.paces(points, series.FINEST)) == expected


@given(st.lists(st.tuples(st.floats(0.01, 500), st.one_of(
    st.floats(0, 1e15), st.sampled_from([0.0, 1e18]))), min_size=1, max_size=80))
def test_a_forecast_is_in_order_and_never_negative(steps):
    """Huge numbers, standing clocks and zeros included; memory stays bounded."""
    left, now_s = series.Left(), 0.0
    for wait_s, value in steps:
        now_s += wait_s
        left = series.extend(left, now_s, value, 1e6)
        found = exhaustion.forecast(left)
        if found is not None:
            assert 0 <= found.low_s <= found.middle_s <= found.high_s
            assert math.isfinite(found.high_s) and 0 <= found.lost_share <= 1
    assert max(len(scale) for scale in left.scales) <= series.POINTS_MAX
    assert len(left.swing.habits) <= series.HABITS_MAX


def test_a_clock_set_back_starts_anew():
    """No slope between two clocks."""
    left = series.extend(series.Left(), 100.0, 5.0)
    assert series.extend(left, 50.0, 4.0).scales[0] == ((50.0, 4.0),)


def sample(at, left_mib=2000, ahead_s=0.0, **facts):
    """Return a sample of a 4 GiB machine with so much available."""
    facts.setdefault('meminfo', MemInfo(4 << 30, 1 << 30, int(left_mib * MIB)))
    facts.setdefault('pressure', Unavailable('off'))
    return Sample(at, at, HOST, vmstat=VmStat(0), boottime_s=at + ahead_s, **facts)


def cycle(samples):
    """Return the assessments of samples, one after another."""
    history, found = risk.History(), []
    for taken in samples:
        assessment, history = risk.assess(taken, history, SETTINGS)
        found.append(assessment)
    return found


def test_levels_follow_warn_s_and_error_s():
    """20 MiB/s from 3000 MiB: WARN below 180 s, ERROR below 45 s, said with a range."""
    found = cycle(sample(float(at), 3000 - 20 * at) for at in range(130))
    levels = [f.risk.level for f in found]
    assert levels[29] == Level.OK and levels[-1] == Level.ERROR
    warned, wrong = levels.index(Level.WARN), levels.index(Level.ERROR)
    assert 'memory is exhausted in about' in found[warned].risk.reasons[0]
    assert ' to ' in found[warned].risk.reasons[0]
    assert 60 < found[warned].exhaustion.middle_s < 120
    assert found[wrong].exhaustion.middle_s == pytest.approx(44, abs=3)


def test_a_suspend_cuts_the_series():
    """The machine slept an hour: what was left before has no slope to what is left now."""
    fall = [sample(float(at), 1500 - 15 * at) for at in range(40)]
    awake = [sample(40.0 + at, 700, ahead_s=3600.0) for at in range(3)]
    found = cycle(fall + awake)
    assert found[39].exhaustion is not None and found[40].exhaustion is None


def test_a_robot_that_starts_is_not_alarming_until_memory_is_scarce():
    """Four nodes younger than a minute take 60 MiB/s; with 30 percent left it counts."""
    young = tuple(Process(pid, 100, 1, 0, Program('n', ros=True)) for pid in range(10, 14))
    found = cycle(sample(float(at), 3000 - 60 * at, processes=young) for at in range(45))
    assert found[28].risk.level == Level.OK
    assert found[-1].risk.level == Level.ERROR
    alone = cycle(sample(float(at), 3000 - 60 * at) for at in range(29))
    assert alone[-1].risk.level == Level.WARN


def test_a_job_that_slows_down_needs_a_larger_share_to_be_gone():
    """It takes 55 of 100 and comes to rest; the same at an even pace is a warning."""
    def levels(lefts):
        return {f.risk.level for f in cycle(sample(float(at), 3000 * left)
                                            for at, left in enumerate(lefts))}
    slow = [1 - 0.55 * (1 - math.exp(-max(0, at - 20) / 40)) for at in range(300)]
    even = [1 - 0.55 * min(1, max(0, at - 20) / 40) for at in range(300)]
    assert levels(slow) == {Level.OK} and Level.WARN in levels(even)


def test_a_fall_that_becomes_faster_is_warned_of_sooner_but_not_from_afar():
    """Of 120 s, 14 % are gone when the end is near; of 400 s, WARN waits for half of warn_s."""
    for whole_s, power, warns_s in ((120, 2.0, 76), (400, 3.0, 93)):
        found = cycle(sample(float(at), 3000 * (1 - (at / whole_s) ** power))
                      for at in range(whole_s))
        levels = [f.risk.level for f in found]
        assert whole_s - levels.index(Level.WARN) == pytest.approx(warns_s, abs=5)


def group(used_mib, path='/robot', limit_mib=200, **more):
    """Return a control group's chain."""
    return CgroupChain(path, (MemoryCgroup(path, 2, limit_bytes=limit_mib * MIB,
                                           usage_bytes=int(used_mib * MIB), **more),))


def test_two_control_groups_that_fill_up_are_both_named():
    """Each place has its own history; neither hides the other."""
    found = cycle(sample(float(at), chains=(group(5 * at, '/a'), group(3 * at, '/b')))
                  for at in range(31))[-1]
    assert len([r for r in found.risk.reasons if 'is reached in about' in r]) == 2
    assert found.exhaustion.middle_s == pytest.approx((200 - 5 * 30) / 5, rel=0.05)


def test_a_control_group_removed_while_read_and_made_anew_disturbs_nobody():
    """Its usage is unknown, then it is gone, then another has its path."""
    gone = CgroupChain('/robot', (MemoryCgroup('/robot', 2),))
    samples = [sample(float(at), chains=(group(5 * at),)) for at in range(15)]
    samples += [sample(15.0, chains=(gone,)), sample(16.0, chains=())]
    samples += [sample(17.0 + at, chains=(group(10),)) for at in range(3)]
    assert cycle(samples)[-1].exhaustion is None


def test_throttling_is_named_when_the_counter_grows_and_only_then():
    """memory.high slows down, nobody is killed; a counter that falls is another group's."""
    chains = [(group(100, high_bytes=90 * MIB, high=high),) for high in (7, 7, 9, 1)]
    found = cycle(sample(10.0 * at, chains=c) for at, c in enumerate(chains))
    assert [f.cgroups.level for f in found] == [Level.OK, Level.OK, Level.WARN, Level.OK]
    assert 'throttled' in found[2].cgroups.reasons[0] and '90 MiB' in found[2].risk.reasons[0]


@pytest.mark.parametrize('low, middle, high, words', [
    (50.4, 127, 361, 'in about 2.1 min (50 s to 6 min)'), (3, 6, 9.7, 'within 10 s'),
    (7300, 9000, 20000, 'not within 2 h'), (90.4, 98.9, 101, 'in about 99 s (90 s to 1.7 min)'),
    (700, 4321, 90000, 'in about 72 min (12 min to 25 h)'),
    (30, 600, 2592000, 'in about 10 min (30 s to 30 days)')])
def test_a_forecast_is_spoken_as_an_operator_would(low, middle, high, words):
    """Two digits, in units that fit each end."""
    assert places.spoken(exhaustion.Forecast(low, middle, high, 30.0)) == words


def test_oom_kill_disable_at_the_limit_is_an_error():
    """Its tasks hang there, and nobody is killed."""
    hanging = replace(group(200).groups[0], oom_kill_disable=True, under_oom=True, version=1)
    found = cycle([sample(0.0, chains=(CgroupChain('/robot', (hanging,)),))])[0]
    assert found.cgroups.level == Level.ERROR
    assert any('its tasks hang' in reason for reason in found.cgroups.reasons)


def bring_up(loads_s, nodes=14, every_s=4.5, seed=1, lost_mib=1800):
    """Yield a robot that loads so long and then rests, with 39 percent left or less."""
    noise = random.Random(seed)
    for at in range(int(loads_s) + 240):
        young = tuple(Process(10 + k, int((1000 + every_s * k) * 100), 1, 0,
                              Program('n', ros=True))
                      for k in range(nodes) if every_s * k <= at)
        yield sample(float(at), 3400 - lost_mib * min(1, at / loads_s) + noise.gauss(0, 2),
                     ahead_s=1000.0, processes=young)


@pytest.mark.parametrize('loads_s, nodes', [(40, 14), (90, 14), (150, 14), (90, 1), (150, 2)])
def test_a_start_that_comes_to_rest_raises_nothing(loads_s, nodes):
    """Fourteen nodes, or a container of one process; also when loading takes minutes."""
    assert {f.risk.level for f in cycle(bring_up(loads_s, nodes))} == {Level.OK}


def test_a_start_may_come_to_rest_near_the_threshold():
    """With 22 percent left; without the young processes it is a fall to the end."""
    starting = list(bring_up(60, lost_mib=2500))
    assert {f.risk.level for f in cycle(starting)} == {Level.OK}
    assert Level.ERROR in {f.risk.level for f in cycle(replace(s, processes=()) for s in starting)}


def test_without_young_processes_the_same_fall_is_a_warning():
    """So the test above can fail."""
    calm = (replace(s, processes=()) for s in bring_up(40))
    assert Level.WARN in {f.risk.level for f in cycle(calm)}


def leaking_group(respawned_s, cgroup=None):
    """Return when WARN came, of /robot which leaks while three drivers are respawned."""
    def taken(at):
        born = (at - at % respawned_s + 1000) * 100
        drivers = tuple(Process(900 + 3 * (at // respawned_s) + k, born, 1, 0,
                                Program('driver', ros=True), cgroup=cgroup) for k in range(3))
        return sample(float(at), ahead_s=1000.0, processes=drivers, chains=(
            group(600 + 20 * max(0, at - 120), limit_mib=4096),),
            meminfo=MemInfo(8 << 30, 6 << 30, 6 << 30))
    levels = [f.risk.level for f in cycle(taken(at) for at in range(290))]
    return levels.index(Level.WARN)


def test_a_start_silences_only_the_place_where_something_starts():
    """Respawned drivers are no start, wherever they are; new ones outside are none of /robot."""
    assert leaking_group(20) == leaking_group(100000) == leaking_group(20, '/robot')

    def new(at, cgroup):
        drivers = tuple(Process(900 + k, int((1000 + 5 * k) * 100), 1, 0,
                                Program(f'd{k}', ros=True), cgroup=cgroup)
                        for k in range(at // 5 + 1))
        return sample(float(at), ahead_s=1000.0, processes=drivers, chains=(
            group(600 + 20 * max(0, at - 60), limit_mib=4096),),
            meminfo=MemInfo(8 << 30, 6 << 30, 6 << 30))
    outside, inside = (next(at for at, found in enumerate(
        cycle(new(at, where) for at in range(230))) if found.risk.level)
        for where in ('/other', '/robot/nodes'))
    assert outside + 20 < inside < 60 + (4096 - 600) * 0.85 / 20


@pytest.mark.parametrize('cgroup, members, starting', [
    ('/robot/nodes', (), ('/', '/robot', '/robot/nodes')), ('/robot', (), ('/', '/robot')),
    ('/robots', (), ('/',)), (None, (), ()), (None, (('/robot', frozenset({7})),), ('/robot',)),
    (None, (('/robot', frozenset({8})),), ())])
def test_a_start_is_one_of_every_group_above_the_process(cgroup, members, starting):
    """A container's own group is /; where the group is unknown, the members say it."""
    node = Process(7, 100, 1, 0, Program('n', ros=True), cgroup=cgroup)
    paths = ('/', '/robot', '/robot/nodes', '/rob')
    found = starts.update(starts.Starts(), sample(3.0, processes=(node,), members=members), paths)
    assert found.last(None) == 3.0
    assert tuple(p for p in paths if found.last(p) == 3.0) == starting


def test_an_old_process_and_a_respawned_one_start_nothing():
    """Only one more of a label than before; after a minute without it, it is a start again."""
    def at(last, now_s, *born_s):
        nodes = tuple(Process(i, int(100 * s), 1, 0, Program('n', ros=True))
                      for i, s in enumerate(born_s, 10))
        return starts.update(last, sample(now_s, processes=nodes), ())
    old = at(starts.Starts(), 100.0, 30.0)
    assert old.last(None) == float('-inf')
    assert at(old, 110.0, 105.0).last(None) == float('-inf')
    two = at(old, 110.0, 30.0, 105.0)
    assert two.last(None) == 110.0
    assert at(two, 120.0, 30.0, 119.0).last(None) == 110.0
    gone = at(old, 130.0)
    assert at(gone, 159.9, 149.0).last(None) == float('-inf')
    assert at(gone, 160.0, 159.0).last(None) == 160.0


@pytest.mark.parametrize('pace_mib_s', [5, 10, 20, 40])
def test_one_job_does_not_hide_the_next_fall(pace_mib_s):
    """A job took 1400 of 2400 MiB within 40 s and gave it back."""
    def lefts(job):
        yield from [2400] * 100
        for at in range(120):
            yield 2400 - job * min(1, at / 40, max(0, (110 - at) / 10))
        yield from [2400] * 600
        yield from range(2400, 0, -pace_mib_s)
    leads = []
    for job in (0, 1400):
        levels = [f.risk.level for f in cycle(
            sample(float(at), left) for at, left in enumerate(lefts(job)))]
        leads.append(len(levels) - 820 - levels[820:].index(Level.WARN))
    assert leads[1] >= 0.9 * leads[0]
    assert leads[1] >= min(60, 2400 / pace_mib_s / 2)


def test_a_sawtooth_over_a_leak_changes_the_level_seldom():
    """A tooth of 8 percent each minute, 3 hours down to nothing."""
    levels = [f.risk.level for f in cycle(
        sample(float(at), max(0.0, 1600 - at * 1600 / 10800 - 330 * (at % 60) / 60))
        for at in range(10800))]
    assert sum(a != b for a, b in zip(levels, levels[1:])) <= 10
    assert levels[-1] == Level.ERROR


@pytest.mark.parametrize('mb_s, least_s', [(20, 6), (30, 4), (50, 2)])
@pytest.mark.parametrize('phase', [0.05, 0.3, 0.5, 0.7, 0.95])
def test_a_quick_ramp_in_a_small_group_is_warned_of_before_it_ends(mb_s, least_s, phase):
    """300 MiB, of which 30 are used: 15 percent would be left for 0.9 s at 50 MB/s."""
    end_s = 60 + 270 / (mb_s * 1e6 / MIB)
    times = [at + phase for at in range(80) if at + phase < end_s]
    found = cycle(sample(at, chains=(group(
        30 + max(0, at - 60) * mb_s * 1e6 / MIB, limit_mib=300),)) for at in times)
    warned = next(at for at, f in zip(times, found) if f.risk.level)
    assert warned > 60 and end_s - warned >= least_s


def test_an_allocation_of_two_seconds_in_a_small_group_is_no_fall():
    """Half of what is left, evenly."""
    for second in (0.2, 0.5, 0.8):
        used = [30] * 60 + [30 + 140 * second, 170, 170, 170]
        levels = {f.risk.level for f in cycle(
            sample(float(at), chains=(group(u, limit_mib=300),)) for at, u in enumerate(used))}
        assert levels == {Level.OK}


@pytest.mark.parametrize('refaults, some, sooner', [
    (0, 0.0, False), (1000, 0.0, True), (10, 0.0, False), (0, 5.0, True), (0, 1.0, False)])
def test_refaults_and_stalls_show_that_a_fall_is_real(refaults, some, sooner):
    """Pages are read again that the kernel had taken back, or tasks wait: WARN comes earlier."""
    def first_warning(again, waited):
        return [f.risk.level for f in cycle(
            replace(sample(float(at), 2000 - 20 * at, pressure=Pressure(
                PressureLine(waited, 0.0, 0.0, 0))), vmstat=VmStat(0, again * at))
            for at in range(60))].index(Level.WARN)
    calm = first_warning(0, 0.0)
    assert (first_warning(refaults, some) < calm - 3) == sooner


def test_refaults_and_stalls_of_a_group_count_for_this_group_alone():
    """The machine's do not hasten its warning."""
    def first_warning(again=0, **more):
        return [f.risk.level for f in cycle(replace(
            sample(float(at), chains=(group(30 + 5 * at, refaults=again * at, **more),)),
            vmstat=VmStat(0, 0 if again or more else 1000 * at))
            for at in range(34))].index(Level.WARN)
    calm = first_warning()
    assert first_warning(again=1000) < calm and first_warning(full_avg10=3.0) < calm
    assert first_warning(full_avg10=1.0) == calm


def told_at(middle_s, width=2.0):
    """Return a forecast whose range is twice and half the likeliest."""
    return exhaustion.Forecast(middle_s / width, middle_s, middle_s * width, 30.0)


def test_a_range_grows_with_the_errors_of_this_robot():
    """A quarter of what was left took six times as long as was said, again and again."""
    known, now_s, value = exhaustion.Calibration(), 0.0, 1000.0
    for _ in range(12):
        known = exhaustion.checked(known, told_at(100.0, 1.2), now_s, value)
        assert known.expected.seconds == 25.0 and known.expected.value == 0.75 * value
        now_s, value = now_s + 140.0, 0.75 * value
        known = exhaustion.checked(known, None, now_s, value)
    assert known.factor == exhaustion.MOST and len(known.scores) == 12
    low_s, high_s = exhaustion.scaled(told_at(100.0, 1.2), known.factor)
    assert low_s < 100 / 1.2 ** 2.4 and high_s > 100 * 1.2 ** 2.4


def test_a_range_hardly_shrinks_when_this_robot_is_foretold_well():
    """Every quarter came when it was expected; without a score nothing changes."""
    known, now_s, value = exhaustion.Calibration(), 0.0, 1000.0
    assert known.factor == 1.0
    for _ in range(25):
        known = exhaustion.checked(known, told_at(100.0), now_s, value)
        now_s, value = now_s + 25.0, 0.75 * value
        known = exhaustion.checked(known, None, now_s, value)
    assert len(known.scores) == exhaustion.SCORES_MAX
    assert known.factor == exhaustion.LEAST
    assert exhaustion.scaled(told_at(100.0), 1.0) == (50.0, 200.0)


def test_a_fall_that_ended_is_no_error():
    """It never lost the quarter: the forecast said if it goes on like this."""
    known = exhaustion.checked(exhaustion.Calibration(), told_at(100.0), 0.0, 1000.0)
    known = exhaustion.checked(known, None, 100.0, 900.0)
    assert known.expected is not None
    known = exhaustion.checked(known, None, 151.0, 900.0)
    assert known == exhaustion.Calibration()


def test_one_reading_alone_gives_no_level():
    """The end is a minute away: the next reading must say so too."""
    found = cycle(sample(20.0 * at, 3000 - 412 * at) for at in range(6))
    assert found[4].exhaustion is not None and found[4].risk.level == Level.OK
    assert found[5].risk.level == Level.WARN


def test_a_vague_forecast_of_a_faster_fall_needs_the_whole_share():
    """A collector's tooth that steepens: its range is four times the likeliest and wider."""
    told = exhaustion.Forecast(8.0, 32.0, 257.0, 30.0, 0.2, True)
    place = shares.level(told, 60.0, Level.OK, False, False, SETTINGS)
    assert place == Level.OK
    clear = replace(told, high_s=100.0)
    assert shares.level(clear, 60.0, Level.OK, False, False, SETTINGS) == Level.WARN


@pytest.mark.parametrize('lost_share, quicker, level', [
    (0.3, False, Level.OK), (0.3, True, Level.WARN), (0.18, True, Level.OK)])
def test_a_fall_that_became_quicker_needs_half_the_share(lost_share, quicker, level):
    """Its end is 40 s away; one that is farther away than half of warn_s needs it whole."""
    told = exhaustion.Forecast(30.0, 40.0, 60.0, 8.0, lost_share, quicker=quicker)
    assert shares.level(told, 60.0, Level.OK, False, False, SETTINGS) == level
    far = replace(told, middle_s=95.0)
    assert shares.level(far, 60.0, Level.OK, False, False, SETTINGS) == Level.OK


@pytest.mark.parametrize('lost_share, middle_s, high_s, level', [
    (0.39, 40.0, 50.0, Level.OK), (0.41, 40.0, 50.0, Level.WARN), (0.39, 40.0, 61.0, Level.WARN),
    (0.37, 40.0, 61.0, Level.OK), (0.5, 100.0, 140.0, Level.OK), (0.5, 100.0, 151.0, Level.WARN),
    (0.74, 100.0, 140.0, Level.OK), (0.76, 100.0, 140.0, Level.WARN)])
def test_an_even_fall_waits_until_nearly_half_of_it_is_over(lost_share, middle_s, high_s, level):
    """Or until shortly before a third of warn_s is left: a fall of 400 s for three quarters."""
    told = exhaustion.Forecast(0.7 * middle_s, middle_s, high_s, 30.0, lost_share)
    assert shares.level(told, 60.0, Level.OK, False, True, SETTINGS) == level


@pytest.mark.parametrize('lost_share, whole_s, on_machine', [
    (0.5, 11.9, Level.OK), (0.71, 11.9, Level.OK), (0.73, 11.9, Level.WARN),
    (0.5, 18.0, Level.OK), (0.56, 18.0, Level.WARN), (0.5, 24.0, Level.WARN)])
def test_what_would_empty_a_machine_within_seconds_rather_loads(lost_share, whole_s, on_machine):
    """Nearly twice the share is asked for below 12 s; a small group is emptied so soon."""
    middle_s = whole_s * (1 - lost_share)
    told = exhaustion.Forecast(middle_s / 2, middle_s, 2 * middle_s, 8.0, lost_share)
    for machine, expected in ((True, on_machine), (False, Level.WARN)):
        found = shares.level(told, 60.0, Level.OK, False, machine, SETTINGS)
        assert min(found, Level.WARN) == expected


def test_a_vague_forecast_raises_no_level_while_the_fall_pauses():
    """A job that just ended; a level that is there stays, and a clear one rises."""
    told = exhaustion.Forecast(10.0, 40.0, 121.0, 30.0, 0.5, pausing=True)
    for found, last, expected in ((told, Level.OK, Level.OK), (told, Level.WARN, Level.WARN),
                                  (replace(told, high_s=119.0), Level.OK, Level.WARN),
                                  (replace(told, pausing=False), Level.OK, Level.WARN)):
        assert shares.level(found, 60.0, last, False, False, SETTINGS) == expected


@pytest.mark.parametrize('lost_share, level', [(0.83, Level.OK), (0.84, Level.ERROR)])
def test_a_fall_that_becomes_slower_needs_twice_the_share(lost_share, level):
    """0.38 times 2.2."""
    told = exhaustion.Forecast(10.0, 20.0, 50.0, 30.0, lost_share, slowing=True)
    assert shares.level(told, 60.0, Level.OK, False, False, SETTINGS) == level


@pytest.mark.parametrize('gaining, lost_share, level', [
    (True, 0.53, Level.WARN), (True, 0.55, Level.ERROR), (False, 0.55, Level.WARN),
    (False, 0.71, Level.WARN), (False, 0.73, Level.ERROR)])
def test_an_error_needs_less_of_a_fall_that_becomes_faster(gaining, lost_share, level):
    """0.72 must be gone, or 0.54; and the end is nearer than error_s."""
    told = exhaustion.Forecast(20.0, 40.0, 80.0, 30.0, lost_share, gaining)
    assert shares.level(told, 60.0, Level.OK, False, False, SETTINGS) == level
    far = replace(told, middle_s=46.0)
    assert shares.level(far, 60.0, Level.OK, False, False, SETTINGS) == Level.WARN


def level_of(lost_share, middle_s=40.0, last=Level.OK, pressed=False, chosen=SETTINGS, **more):
    """Return the level of a vague forecast in a control group."""
    told = exhaustion.Forecast(middle_s / 3, middle_s, more.pop('high_s', 2 * middle_s), 30.0,
                               lost_share)
    return shares.level(replace(told, **more), 60.0, last, pressed, False, chosen)


@pytest.mark.parametrize('below, above, more', [
    (0.67, 0.69, {'middle_s': 200.0, 'last': Level.WARN}),  # farther than warn_s asks no more
    (0.96, 0.98, {'middle_s': 150.0, 'slowing': True}),  # and nothing asks for all
    (0.30, 0.31, {'last': Level.WARN}), (0.26, 0.28, {'pressed': True}),
    (0.12, 0.13, {'gaining': True}), (0.12, 0.13, {'gaining': True, 'high_s': 260.0}),
    (0.38, 0.39, {'gaining': True, 'high_s': 261.0}), (0.38, 0.39, {'gaining': True,
                                                                      'span_s': 5.0}),
    (0.12, 0.13, {'gaining': True, 'span_s': 5.1}), (0.19, 0.20, {'quicker': True}),
    (0.13, 0.14, {'gaining': True, 'middle_s': 89.0}),
    (0.42, 0.43, {'gaining': True, 'middle_s': 90.0}),
    (0.11, 0.13, {'gaining': True, 'middle_s': 112.0, 'last': Level.WARN})])
def test_a_warning_needs_this_share(below, above, more):
    """38 percent, times what each condition makes of it."""
    assert level_of(below, **more) == Level.OK
    assert level_of(above, **more) >= Level.WARN


@pytest.mark.parametrize('below, above, more', [
    (0.71, 0.73, {}), (0.57, 0.58, {'last': Level.ERROR}), (0.50, 0.51, {'pressed': True}),
    (0.37, 0.38, {'gaining': True, 'pressed': True}), (0.71, 0.73, {'last': Level.WARN})])
def test_an_error_needs_this_share(below, above, more):
    """72 percent; a level that is there stays a fifth longer."""
    assert level_of(below, **more) == Level.WARN
    assert level_of(above, **more) == Level.ERROR


def test_the_edges_of_a_level(monkeypatch):
    """Exactly the share is enough; an end exactly as far away as the limit is not near."""
    assert level_of(0.72) == Level.ERROR and level_of(0.9, 45.0) == Level.WARN
    assert level_of(0.9, 44.9) == Level.ERROR
    assert level_of(0.5, high_s=120.0, pausing=True) == Level.WARN
    assert level_of(0.5, high_s=120.5, pausing=True) == Level.OK
    at_once = exhaustion.Forecast(5.0, 10.0, 30.0, 8.0, 0.9)
    assert shares.level(at_once, 0.0, Level.OK, False, False, SETTINGS) == Level.OK
    soon = replace(at_once, middle_s=9.9)
    assert shares.level(soon, 0.0, Level.OK, False, False, SETTINGS) == Level.ERROR
    monkeypatch.setattr(shares, 'FAR_SHARE', 0.5)
    monkeypatch.setattr(shares, 'WARN_SHARE', 0.5)
    assert level_of(0.5) == Level.WARN and level_of(0.499) == Level.OK
    monkeypatch.setattr(shares, 'WARN_SHARE', 0.25)
    monkeypatch.setattr(shares, 'FAR_SHARE', 0.25)
    assert level_of(0.375, high_s=60.0) == Level.WARN  # not even: 1.5 times exactly
    assert level_of(0.375, high_s=59.5) == Level.OK


def test_the_shares_follow_warn_s():
    """With 60 s an even fall of 100 s waits until 20 s and a tenth of it are left."""
    quick = settings.build({'exhaustion.warn_s': 60.0, 'exhaustion.error_s': 10.0})
    for lost_share, expected in ((0.69, Level.OK), (0.71, Level.WARN)):
        assert level_of(lost_share, 100 * (1 - lost_share), chosen=quick,
                        high_s=140 * (1 - lost_share)) == expected
    at_once = settings.build({'exhaustion.warn_s': 1.0, 'exhaustion.error_s': 0.1})
    for lost_share, expected in ((0.52, Level.OK), (0.55, Level.WARN)):
        assert level_of(lost_share, 0.9 * (1 - lost_share), chosen=at_once,
                        high_s=1.2 * (1 - lost_share)) == expected
    assert level_of(0.9, 60.0, chosen=quick) == Level.OK
    assert level_of(0.9, 59.0, chosen=quick) == Level.WARN


def test_the_level_of_a_forecast_is_held_three_times_as_long_as_a_threshold():
    """Memory comes back after 70 s; hold_s is 5 s."""
    lefts = [2000 - 20 * at for at in range(70)] + [1900] * 30
    risks = [found.risk for found in cycle(
        sample(float(at), left) for at, left in enumerate(lefts))]
    met = max(at for at, verdict in enumerate(risks)
              if verdict.reasons and not verdict.reasons[0].startswith('a moment ago'))
    assert 69 <= met <= 75
    assert [r.level for r in risks[met:]] == [Level.WARN] * 15 + [Level.OK] * (85 - met)


def test_the_error_of_a_forecast_is_noted_when_a_quarter_of_what_was_left_is_gone():
    """It was expected after 25 s within a factor of two, and took 50 s."""
    known = exhaustion.checked(exhaustion.Calibration(), told_at(100.0), 10.0, 1000.0)
    assert known.expected == exhaustion.Expected(10.0, 750.0, 25.0, math.log(2))
    assert exhaustion.checked(known, told_at(90.0), 10.5, 751.0) is known
    noted = exhaustion.checked(known, None, 60.0, 750.0)
    assert noted == exhaustion.Calibration((pytest.approx(1 / exhaustion.UNIT),))
    near = exhaustion.checked(exhaustion.Calibration(), told_at(1.0), 10.0, 1000.0)
    assert near.expected == exhaustion.Expected(10.0, 750.0, 0.25, math.log(2))
    assert exhaustion.checked(known, None, 9.0, 900.0) == exhaustion.Calibration()
    assert exhaustion.checked(known, None, 10.0, 700.0) is known
    assert exhaustion.checked(known, None, 160.0, 900.0) is known


def test_a_fall_before_a_kill_counts_no_more_and_a_first_count_is_no_kill():
    """The counter of a group that is seen for the first time is of the past."""
    def left_after(kills):
        history = risk.History()
        for at, count in enumerate(kills):
            taken = group(50 + 20 * at if at < 5 else 60, oom_kill=count)
            _, history = risk.assess(sample(float(at), chains=(taken,)), history, SETTINGS)
        return history.places.of('/robot')
    assert left_after([3, 3, 3]).left.swing.peak_s == 0.0
    assert left_after([3, 3, 3, 4]).left.swing.peak_s == 3.0
    assert left_after([3, 3, 3, 4]).kills == 4


@pytest.mark.parametrize('since_s, level', [
    (60.0, Level.OK), (59.5, Level.OK), (59.0, Level.WARN)])
def test_the_next_reading_confirms_a_fall(since_s, level):
    """An end within 10 s waits for none."""
    told = exhaustion.Forecast(30.0, 40.0, 60.0, 30.0, 0.6)
    assert shares.level(told, 60.0 - since_s, Level.OK, False, False, SETTINGS) == level
    soon = replace(told, middle_s=9.0)
    assert shares.level(soon, 60.0 - since_s, Level.OK, False, False, SETTINGS) >= Level.WARN


@pytest.mark.parametrize('seconds, words', [
    (0.0, '0 s'), (99.4, '99 s'), (99.5, '1.7 min'), (596.9, '9.9 min'), (597.0, '10 min'),
    (5399.0, '90 min'), (5400.0, '1.5 h'), (36000.0, '10 h'), (323000.0, '90 h'),
    (324000.0, '3.8 days'), (8640000.0, '100 days'), (10800000.0, '120 days'), (120.0, '2 min')])
def test_a_duration_has_two_digits_in_the_unit_that_fits(seconds, words):
    """Seconds to 99, minutes and hours to 89."""
    assert places.duration(seconds) == words


def test_a_kill_soon_after_the_last_reading_counts_with_the_next_one():
    """Half a second is no reading of its own; what the kill gave back is no habit."""
    history = risk.History()
    for at, used, count in ((0.0, 50, 3), (1.0, 150, 3), (1.5, 150, 4), (2.0, 60, 4)):
        before = history.places.of('/robot')
        _, history = risk.assess(sample(at, chains=(group(used, oom_kill=count),)), history,
                                 SETTINGS)
        if at == 1.5:
            assert history.places.of('/robot') is before
    place = history.places.of('/robot')
    assert place.kills == 4 and place.left.swing.peak_s == 2.0
    assert place.left.swing.habits == ()


@pytest.mark.parametrize('ahead_s, points', [(2.0, 2), (2.1, 1)])
def test_a_suspend_of_more_than_two_seconds_cuts_the_series_and_keeps_the_habits(
        ahead_s, points):
    """Of every place; the clocks differ by a little anyhow."""
    _, history = risk.assess(sample(1.0, ahead_s=5.0, chains=(group(50),)), risk.History(),
                             SETTINGS)
    habits = ((0.5, 7.0),)
    history = replace(history, places=replace(history.places, places=tuple(
        replace(p, left=replace(p.left, swing=replace(p.left.swing, habits=habits)))
        for p in history.places.places)))
    _, history = risk.assess(sample(2.0, ahead_s=5.0 + ahead_s, chains=(group(50),)), history,
                             SETTINGS)
    for path in (None, '/robot'):
        left = history.places.of(path).left
        assert (len(left.scales[0]), left.swing.habits) == (points, habits)


def test_what_is_known_of_a_place_outlives_a_start():
    """Only the forecast and its level are not told meanwhile."""
    errors = exhaustion.Calibration((0.5, 0.7))
    left = series.extend(series.Left(), 9.0, 3000.0)
    last = places.Place('/robot', left, 5.0, told_at(100.0), kills=1, level=Level.WARN,
                        refaults=7, pressed_s=3.0, calibration=errors)
    reading = places._Reading('/robot', 2900.0, 1000.0, 2, 8)
    found = places._place(last, 10.0, reading, 5.0, SETTINGS)
    assert found == places.Place('/robot', found.left, silent_until_s=65.0, kills=2, refaults=8,
                                 pressed_s=3.0, calibration=errors)
    assert found.left.at_s == 10.0 and found.level == Level.OK and found.forecast is None


@pytest.mark.parametrize('refaults, avg10, pressed', [
    (355, 1.9, False), (356, 0.0, True), (100, 2.0, True)])
def test_pages_that_are_read_again_and_waiting_tasks_press_a_place_from_here_on(
        refaults, avg10, pressed):
    """256 pages since the last reading, or 2 percent of ten seconds; each place by its own."""
    stalls = Pressure(PressureLine(avg10, 0.0, 0.0, 0))
    history = risk.History()
    for at, count, some in ((1.0, 100, Unavailable('off')), (2.0, refaults, stalls)):
        taken = sample(at, pressure=some, chains=(group(50, refaults=count, full_avg10=(
            avg10 if at > 1 else None)),))
        _, history = risk.assess(replace(taken, vmstat=VmStat(0, count)), history, SETTINGS)
    for path in (None, '/robot'):
        assert (history.places.of(path).pressed_s == 2.0) is pressed


def young(count, now_s, born_s=0.0, last=starts.Starts()):
    """Return the starts after so many processes of one label were seen."""
    nodes = tuple(Process(i, int(100 * born_s), 1, 0, Program('n', ros=True))
                  for i in range(10, 10 + count))
    return starts.update(last, sample(now_s, processes=nodes), ())


def test_the_edges_of_a_start():
    """A process a minute old is young no more; as many as before are seen again, and no start."""
    assert young(1, 60.0, 0.0).last(None) == float('-inf')
    assert young(1, 60.0, 0.01).last(None) == 60.0
    one = young(1, 10.0, 5.0)
    again = young(1, 20.0, 5.0, one)
    assert again.last(None) == 10.0 and again.seen == (starts.Seen('n', 1, 20.0),)
    fewer = young(1, 30.0, 5.0, young(2, 20.0, 5.0, one))
    assert fewer.seen == (starts.Seen('n', 2, 20.0),)


@pytest.mark.parametrize('now_s, safe, told, points', [
    (64.9, 2071.0, False, 33), (65.0, 2071.0, False, 1), (65.9, 2071.0, False, 1),
    (66.9, 2071.0, False, 1), (67.0, 2071.0, True, 33), (64.9, 2072.0, True, 33),
    (65.0, 2072.0, True, 33)])
def test_the_edges_of_a_silent_start(now_s, safe, told, points, monkeypatch):
    """It ends at 65 s, its fall two seconds later; with just a quarter too much none is silent."""
    monkeypatch.setattr(places, 'START_SHARE', 1.25)
    left = series.Left()
    for at in range(41):
        left = series.extend(left, now_s - 41.0 + at, 4230.0 - 40 * at)
    last = places.Place('/robot', left, silent_until_s=65.0)
    reading = places._Reading('/robot', 2590.0, safe, None, None)
    found = places._place(last, now_s, reading, float('-inf'), SETTINGS)
    assert (found.forecast is not None) is told
    assert (found.since_s == now_s) is told and len(found.left.scales[0]) == points


@pytest.mark.parametrize('since_s, then', [(30.0, 30.0), (50.0, 50.0), (50.1, 50.0)])
def test_an_end_is_told_since_it_was_first_told(since_s, then):
    """Not since a time that lies ahead, where the clock was set back."""
    left = series.Left()
    for at in range(41):
        left = series.extend(left, 9.0 + at, 1000.0 - 10 * at)
    last = places.Place('/robot', left, since_s, told_at(100.0))
    reading = places._Reading('/robot', 590.0, 100.0, None, None)
    assert places._place(last, 50.0, reading, float('-inf'), SETTINGS).since_s == then


@pytest.mark.parametrize('pressed_s, level', [(40.0, Level.OK), (40.1, Level.WARN)])
def test_a_place_is_pressed_for_ten_seconds(pressed_s, level):
    """Then a fall of three tenths is no warning yet."""
    left = series.Left()
    for at in range(41):
        left = series.extend(left, 9.0 + at, 1300.0 - 10 * at)
    last = places.Place('/robot', left, 30.0, told_at(100.0), pressed_s=pressed_s)
    reading = places._Reading('/robot', 890.0, 100.0, None, None)
    assert places._place(last, 50.0, reading, float('-inf'), SETTINGS).level == level
