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

"""When memory ends: series with known answers, and the robots that raise no alarm."""

from dataclasses import replace
import math
import random

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import places
from oom_sentinel.risk import trend
import pytest

MIB = 1 << 20
SETTINGS = settings.build({})
HOST = Host('robot', 4096, '6.1.0')


def told(lefts, *, every_s=1.0, safe=0.0, horizon_s=360.0):
    """Return the forecast after these bytes were left, one reading after another."""
    left = exhaustion.Left()
    for index, value in enumerate(lefts):
        left = exhaustion.extend(left, 1.0 + every_s * index, value, safe)
    return exhaustion.forecast(left, horizon_s)


def ramp(start_mib, mib_s, seconds, *, rest_s=0, noise_mib=0.0):
    """Return what is left each second: at rest, then falling, with noise of a known seed."""
    noise = random.Random(7)
    return [MIB * (start_mib - mib_s * max(0, at - rest_s) + noise.gauss(0, noise_mib))
            for at in range(rest_s + seconds)]


@pytest.mark.parametrize('rest_s', [0, 60, 700])
@pytest.mark.parametrize('mib_s, noise_mib', [(1, 1), (5, 10), (20, 20), (50, 5)])
def test_half_way_down_the_end_is_known(mib_s, noise_mib, rest_s):
    """Whatever the pace, the noise, and how long it rested before; within 15 percent."""
    start = max(400, 40 * mib_s)
    half_s = start // mib_s // 2
    found = told(ramp(start, mib_s, half_s, rest_s=rest_s, noise_mib=noise_mib))
    assert found.middle_s == pytest.approx(start / mib_s - half_s, rel=0.15)
    assert found.low_s <= start / mib_s - half_s <= found.high_s


def test_noise_tells_nothing_and_neither_does_a_rise():
    """Without a trend there is no number."""
    noise = random.Random(3)
    assert told([MIB * (300 + noise.gauss(0, 100)) for _ in range(900)]) is None
    assert told(ramp(300, -5, 120)) is None
    assert told([300 * MIB] * 900) is None


def test_a_fall_that_ended_is_told_no_more():
    """It came to rest twelve seconds ago."""
    fallen = ramp(1000, 20, 25)
    assert told(fallen) is not None
    assert told(fallen + [fallen[-1]] * 12) is None


def test_a_single_allocation_is_no_fall():
    """A node takes 150 of 2000 MiB within fifteen seconds."""
    assert told([2000 * MIB] * 60 + ramp(2000, 10, 15)) is None


def test_a_habit_raises_no_alarm_and_more_than_it_does():
    """A sawtooth of 400 MiB a minute is forecast at first, then known; a ramp exceeds it."""
    tooth = [MIB * (1500 - 400 * (at % 60) / 60) for at in range(300)]
    assert told(tooth + ramp(1500, 400 / 60, 55), safe=600 * MIB) is None
    assert told(tooth + ramp(1500, 15, 60), safe=600 * MIB).middle_s == pytest.approx(41, rel=0.1)


def test_a_slow_fall_shows_on_the_longer_scales():
    """0.5 MiB/s below a noise of 30 MiB, and 60 MiB an hour: minutes, then hours ahead."""
    slow = told(ramp(800, 0.5, 600, noise_mib=30))
    assert slow.middle_s == pytest.approx(1000, rel=0.15) and slow.span_s > 500
    hours = told([MIB * (300 - at / 60) for at in range(0, 7200, 5)], every_s=5.0)
    assert hours.middle_s == pytest.approx(180 * 60, rel=0.1) and hours.span_s > 6000


def test_a_long_publish_period_sees_a_fall_too():
    """One reading in ten seconds: half a minute alone would hold three."""
    found = told([MIB * (1000 - 2 * at) for at in range(0, 400, 10)], every_s=10.0)
    assert found.middle_s == pytest.approx(110, rel=0.1)


@given(st.lists(st.integers(0, 4000), min_size=9, max_size=31), st.integers(1, 1000))
def test_the_short_cut_changes_no_answer(lefts, horizon_s):
    """What the steepest fall rules out, the median slope rules out too."""
    points = tuple((float(i), float(left)) for i, left in enumerate(lefts))
    found = trend.trend(points)
    steepest = max(a - b for (_, a), (_, b) in zip(points, points[1:]))
    if found is not None and steepest * horizon_s <= lefts[-1]:
        assert found.middle >= 0 or lefts[-1] / -found.middle >= horizon_s * (1 - 1e-9)


@given(st.lists(st.tuples(st.floats(0.01, 500), st.one_of(
    st.floats(0, 1e15), st.sampled_from([0.0, 1e18]))), min_size=1, max_size=60))
def test_a_forecast_is_in_order_and_never_negative(steps):
    """Huge numbers, standing clocks and zeros included; memory stays bounded."""
    left, now_s = exhaustion.Left(), 0.0
    for wait_s, value in steps:
        now_s += wait_s
        left = exhaustion.extend(left, now_s, value, 1e6)
        found = exhaustion.forecast(left, 360.0)
        if found is not None:
            assert 0 <= found.low_s <= found.middle_s <= found.high_s
            assert math.isfinite(found.high_s)
    assert max(len(left.short), len(left.medium), len(left.long)) <= exhaustion.POINTS_MAX


@given(st.lists(st.floats(1, 1e12), min_size=9, max_size=31), st.floats(0.5, 100),
       st.floats(0.5, 100))
def test_units_change_nothing(values, scale, pace):
    """A trend of twice the bytes is twice as steep, at half the pace half."""
    points = tuple((float(i), v) for i, v in enumerate(values))
    plain = trend.trend(points)
    scaled = trend.trend(tuple((s * pace, v * scale) for s, v in points))
    if plain is not None and abs(plain.shallow) > 1e-3:
        assert scaled.middle == pytest.approx(plain.middle * scale / pace, rel=1e-6)


def test_a_clock_set_back_starts_anew():
    """No slope between two clocks."""
    left = exhaustion.extend(exhaustion.Left(), 100.0, 5.0)
    assert exhaustion.extend(left, 50.0, 4.0).short == ((50.0, 4.0),)


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
    assert levels[29] == Level.OK and levels[40] == Level.WARN and levels[-1] == Level.ERROR
    assert 'memory is exhausted in about' in found[40].risk.reasons[0]
    assert ' to ' in found[40].risk.reasons[0]
    first = levels.index(Level.ERROR)
    assert found[first].exhaustion.middle_s == pytest.approx(44, abs=2)


def test_a_suspend_cuts_the_series():
    """The machine slept an hour: what was left before has no slope to what is left now."""
    fall = [sample(float(at), 1500 - 15 * at) for at in range(30)]
    awake = [sample(30.0 + at, 700, ahead_s=3600.0) for at in range(3)]
    found = cycle(fall + awake)
    assert found[29].exhaustion is not None and found[30].exhaustion is None


def test_a_robot_that_starts_is_not_alarming_until_memory_is_scarce():
    """Four nodes younger than a minute take 60 MiB/s; with 30 percent left it counts."""
    young = tuple(Process(pid, 100, 1, 0, Program('n', ros=True)) for pid in range(10, 14))
    found = cycle(sample(float(at), 3000 - 60 * at, processes=young) for at in range(45))
    assert found[25].risk.level == Level.OK
    assert found[-1].risk.level == Level.ERROR
    alone = cycle(sample(float(at), 3000 - 60 * at) for at in range(26))
    assert alone[-1].risk.level == Level.ERROR


def group(used_mib, path='/robot', limit_mib=200, **more):
    """Return a control group's chain."""
    return CgroupChain(path, (MemoryCgroup(path, 2, limit_bytes=limit_mib * MIB,
                                           usage_bytes=int(used_mib * MIB), **more),))


def test_two_control_groups_that_fill_up_are_both_named():
    """Each place has its own history; neither hides the other."""
    found = cycle(sample(float(at), chains=(group(5 * at, '/a'), group(3 * at, '/b')))
                  for at in range(25))[-1]
    assert len([r for r in found.risk.reasons if 'is reached in about' in r]) == 2
    assert found.exhaustion.middle_s == pytest.approx((200 - 5 * 24) / 5, rel=0.05)


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


@pytest.mark.parametrize('seconds, words', [
    (90.4, '90 s (60 to 150 s)'), (1200.0, '20 min (13 to 33 min)'),
    (40000.0, '11 h (7 to 19 h)')])
def test_a_forecast_is_spoken_as_an_operator_would(seconds, words):
    """Seconds, minutes or hours."""
    assert places.spoken(exhaustion.Forecast(
        seconds * 2 / 3, seconds, seconds * 5 / 3, 30.0)) == words


def test_oom_kill_disable_at_the_limit_is_an_error():
    """Its tasks hang there, and nobody is killed."""
    hanging = replace(group(200).groups[0], oom_kill_disable=True, under_oom=True, version=1)
    found = cycle([sample(0.0, chains=(CgroupChain('/robot', (hanging,)),))])[0]
    assert found.cgroups.level == Level.ERROR
    assert any('its tasks hang' in reason for reason in found.cgroups.reasons)
