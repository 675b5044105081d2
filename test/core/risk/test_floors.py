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

"""The figures of floors and steps, and the edges at which growth is called a leak."""

import random

from oom_sentinel.risk import floors
from oom_sentinel.risk.floors import Step
from oom_sentinel.risk.trend import Trend
import pytest

MIB = 1 << 20


def climbed(*rises, every_s=120.0, begin_s=0.0):
    """Return points that rise by so many MiB from one to the next."""
    found = [(begin_s, 100.0 * MIB)]
    for rise in rises:
        found.append((found[-1][0] + every_s, found[-1][1] + rise * MIB))
    return tuple(found)


def stairs(*heights, wait=5, tail=3):
    """Return points of steps with so many points at rest between them."""
    rises = []
    for height in heights:
        rises += [0.0] * wait + [float(height)]
    return climbed(*rises, *[0.0] * tail)


def test_steps_are_told_with_their_time_and_height():
    """A step is complete at its last rising point."""
    assert floors.steps(stairs(100, 90, 100)) == (
        Step(720.0, 100.0 * MIB), Step(1440.0, 90.0 * MIB), Step(2160.0, 100.0 * MIB))
    assert floors.steps(climbed(0, 60, 40, 0, 0, 0, 60, 40, 0)) == (
        Step(360.0, 100.0 * MIB), Step(960.0, 100.0 * MIB))


@pytest.mark.parametrize('heights, named', [
    ((100, 90), True), ((100, 89), False),
    ((100, 70, 100), True), ((100, 69, 100), False), ((7, 7), False), ((8, 8), True)])
def test_steps_are_alike(heights, named):
    """Two within a tenth, three within three tenths; less than 8 MiB is none."""
    assert bool(floors.steps(stairs(*heights))) == named


@pytest.mark.parametrize('rises, named', [
    ([100, 0, 0, 0, 100, 0, 0, 0, 100, 0], True),
    ([100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 100, 0], True),  # 4 to 10 points
    ([100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 100, 0, 0, 0, 100, 0], False),  # 4 to 11
    ([100, 0, 0, 0, 100, 0, 0, -30, 100, 0], False),
    ([100, 0, 0, 0, 100, 0, 0, -16, 100, 0], True)])
def test_steps_come_at_regular_times_and_nothing_is_given_back(rises, named):
    """The shortest interval is 0.4 of the longest at least."""
    assert bool(floors.steps(climbed(0, *rises))) == named


@pytest.mark.parametrize('before, after, named', [
    (8, 3, True), (9, 3, False), (5, 7, True), (5, 8, False)])
def test_a_step_that_is_overdue_ends_the_staircase(before, after, named):
    """One each ten minutes; a fifth and four minutes later none comes any more: after 16."""
    rises = [0] * (before - 1) + [50, 0, 0, 0, 0, 50] + [0] * (after + 1)
    assert bool(floors.steps(climbed(*rises, begin_s=1e6))) == named


@pytest.mark.parametrize('drift, named', [(2, True), (4, False)])
def test_three_quarters_of_the_growth_come_in_steps(drift, named):
    """A drift below a quarter of a step belongs to none; a step that goes on does not count."""
    rises = [drift] * 5 + [60] + [drift] * 5 + [60] + [drift] * 3 + [60]
    assert bool(floors.steps(climbed(*rises))) == named


def test_a_floor_is_the_least_of_each_stretch_and_the_oldest_are_dropped():
    """Its time is that of the first reading of the stretch."""
    points = floors.floor(floors.floor(floors.floor((), 5.0, 9.0, 30.0), 15.0, 7.0, 30.0),
                          25.0, 8.0, 30.0)
    assert points == ((5.0, 7.0),)
    assert floors.floor(points, 34.9, 7.0, 30.0) is points
    assert floors.floor(points, 35.0, 9.0, 30.0) == ((5.0, 7.0), (35.0, 9.0))
    for at in range(100):
        points = floors.floor(points, 100.0 + 30 * at, float(at), 30.0)
    assert points == tuple((100.0 + 30 * at, float(at)) for at in range(40, 100))


def test_a_clock_that_stood_still_or_was_set_back_starts_the_floors_anew():
    """Half an hour that is gone is no growth."""
    grown = floors.extend(floors.extend(floors.Floors(), 10.0, 1.0), 50.0, 2.0)
    assert len(grown.recent) == 2
    for at_s in (50.0, 49.0):
        assert floors.extend(grown, at_s, 3.0).recent == ((at_s, 3.0),)


def followed(mib_at, minutes, every_s=10, begin_s=0):
    """Return the floors after each reading of a thing that holds mib_at(seconds)."""
    found, grown = [], floors.Floors()
    for at in range(0, int(minutes * 60), every_s):
        grown = floors.extend(grown, float(begin_s + at), mib_at(at) * MIB)
        found.append(grown)
    return found


@pytest.mark.parametrize('begin_s', [0, 1_000_000])
def test_a_leak_stays_until_it_rests(begin_s):
    """An hour of 300 MiB/h, at any time of the machine; then nothing for ten minutes."""
    found = followed(lambda s: 100 + min(s, 3600) / 12, 95, begin_s=begin_s)
    first = next(i for i, f in enumerate(found) if f.leak is not None)
    assert 25 * 6 <= first <= 27 * 6
    assert all(f.leak is not None for f in found[first:360])
    assert all(f.leak is None for f in found[420:])
    assert found[330].leak.middle == pytest.approx(300 * MIB / 3600, rel=0.01)
    assert found[-1].bytes_per_s == 0.0


@pytest.mark.parametrize('second_half, sure', [(1.0, True), (0.93, True), (0.8, False)])
def test_a_leak_is_sure_when_its_second_half_grew_like_the_first(second_half, sure):
    """Of the whole time it was seen, which is an hour and a half."""
    def held(s):
        return 100 + (min(s, 2850) + second_half * max(0, s - 2850)) / 12
    assert followed(held, 95)[-1].leak.sure == sure


def test_quick_steps_are_told_by_their_height_and_time():
    """A 40 MiB chunk each six minutes is 400 MiB/h, between 1.3 times less and more."""
    leak = followed(lambda s: 100 + 40 * ((s + 100) // 360), 30)[-1].leak
    pace = 40 * MIB / 360
    assert leak.middle == pytest.approx(pace, rel=0.05)
    assert leak.low == pytest.approx(pace / 1.3, rel=0.1)
    assert leak.high == pytest.approx(pace * 1.3, rel=0.1)
    assert floors._stairs((Step(0.0, 3.0 * MIB), Step(3600.0, 19.0 * MIB)), ((0.0, 0.0),)) is None


@pytest.mark.parametrize('rises, expected', [
    ((1, 1, 1), True), ((1, 1, 0.5), False), ((1, 1, 0.55), False), ((1, 1, 0.56), True)])
def test_growth_is_steady_when_every_quarter_brings_its_part(rises, expected):
    """0.65 of the average of the three."""
    first, second, third = rises
    assert floors.steady(climbed(0, first, 0, second, 0, third, 0)) == expected


@pytest.mark.parametrize('last, expected', [(2, False), (3, True)])
def test_a_quarter_that_brings_exactly_its_part_is_too_little(last, expected, monkeypatch):
    """Half of the average, in numbers that floats hold exactly."""
    monkeypatch.setattr(floors, 'STEADY', 0.5)
    assert floors.steady(climbed(0, 5, 0, 5, 0, last, 0)) == expected


@pytest.mark.parametrize('rises, expected', [
    ((8, 5, 3), True), ((8, 4, 3), False), ((4, 3, 2), False), ((8, 5, -1), False),
    ((8, 5, 0), True)])
def test_growth_slows_when_every_quarter_brings_less_than_three_quarters(rises, expected):
    """From twenty points on."""
    first, second, third = rises
    quarters = [0] * 4 + [first] + [0] * 4 + [second] + [0] * 4 + [third] + [0] * 4
    assert floors.slows(climbed(*quarters)) == expected
    assert not floors.slows(climbed(*quarters[1:-1]))


@pytest.mark.parametrize('rest, over', [(4, False), (5, True)])
def test_growth_has_rested_when_it_pauses_longer_than_before(rest, over):
    """The longest pause was two points: 1.6 times that and one are 4.2."""
    rises = [50, 0, 50, 0, 50] + [0] * rest
    assert floors.rested(climbed(*rises, begin_s=1e6)) == over


def test_a_cycle_that_was_as_high_before_is_no_leak():
    """The last floor is compared with those before the recent half hour."""
    def recent(value):
        return tuple((4000.0 + 30 * i, value - 5 + i) for i in range(6))
    long = ((0.0, 50.0), (120.0, 100.0), (3950.0, 500.0))
    assert floors._held_before(recent(100.0), long)
    assert not floors._held_before(recent(100.5), long)
    assert not floors._held_before(recent(100.0), long[2:])
    assert floors._held_before(recent(100.0), ((3879.0, 500.0),))
    assert not floors._held_before(recent(100.0), ((3880.0, 500.0),))


def test_the_points_of_a_window_are_thinned_evenly_with_the_last_among_them():
    """Every third of sixty."""
    points = tuple((float(i), 0.0) for i in range(60))
    assert floors.thinned(points) == points[2::3]
    assert floors.thinned(points[:20]) == points[:20]


@pytest.mark.parametrize('last, rests', [(4.0, False), (3.0, True)])
def test_a_slow_leak_rests_when_ten_minutes_bring_less_than_a_third(last, rests):
    """120 MiB within 100 minutes are 12 in ten minutes: 4 are asked for, less is a rest."""
    long = ((0.0, 100.0), (3000.0, 150.0), (6000.0, 220.0))
    recent = ((5400.0, 1.0), (5430.0, 216.0), (5700.0, 217.0), (6000.0, 216.0 + last))
    assert floors._rests(recent, long) == rests


def test_a_leak_tells_for_how_long_it_was_seen():
    """Of the half hour, and of the whole time once it is sure."""
    found = followed(lambda s: 100 + s / 12, 95)
    assert found[179].leak.span_s == pytest.approx(1740, abs=30)
    assert not found[179].leak.sure
    assert found[-1].leak.sure and found[-1].leak.span_s == pytest.approx(5600, abs=150)


@pytest.mark.parametrize('seed', range(5))
def test_what_goes_on_to_rest_is_not_judged_anew_and_has_the_same_pace(seed):
    """Steps at random times, some of less than a MiB: each pace is that of the whole judgement."""
    chance, value, last, rested = random.Random(seed), 100.0 * MIB, floors.Floors(), 0
    for at in range(0, 5 * 3600, 10):
        if chance.random() < 0.003:
            value += chance.choice((0.3, 40.0, -0.3)) * MIB
        last = floors.extend(last, float(at), value)
        pace, leak = floors._judge(last.recent[:-1], last.long[:-1])
        assert (last.bytes_per_s, last.leak) == (pace, leak)
        rested += pace == 0.0
    assert rested > 100


def rising(minutes, per_s, every_s=30):
    """Return the points of an even growth, exact in floats."""
    return tuple((float(at), float(per_s * at)) for at in range(0, minutes * 60 + 1, every_s))


@pytest.mark.parametrize('minutes, found', [(24.5, False), (25, True), (29, True)])
def test_an_even_growth_is_a_leak_after_25_minutes(minutes, found):
    """Of six MiB in ten minutes."""
    recent = rising(30, 10240)[:int(minutes * 2) + 1]
    assert (floors._judge(recent, recent[::4])[1] is not None) == found


def test_a_growth_of_exactly_the_least_pace_is_no_leak(monkeypatch):
    """Of half an hour, and of two hours."""
    recent, long = rising(29, 8192), rising(116, 2048, 120)
    for least, found in ((8192.0, False), (8191.5, True)):
        monkeypatch.setattr(floors, 'LEAK_BYTES_PER_S', least)
        assert (floors._judge(recent, recent[::4])[1] is not None) == found
    late = tuple((at, value) for at, value in rising(116, 2048) if at >= 87 * 60)
    for least, found in ((2048.0, False), (2047.5, True)):
        monkeypatch.setattr(floors, 'SLOW_LEAK_BYTES_PER_S', least)
        assert (floors._judge(late, long)[1] is not None) == found


@pytest.mark.parametrize('count, found', [(50, False), (51, True)])
def test_a_slow_growth_is_a_leak_after_100_minutes(count, found):
    """7 MiB an hour: 6000 s are 50 stretches of two minutes."""
    long = rising(120, 2048, 120)[:count]
    recent = tuple(p for p in rising(120, 2048) if long[-1][0] - 1740 <= p[0] <= long[-1][0])
    assert (floors._judge(recent, long)[1] is not None) == found


@pytest.mark.parametrize('count, found', [(40, False), (41, True)])
def test_steps_are_a_leak_after_80_minutes(count, found):
    """4800 s are 40 stretches of two minutes; 100 MiB each 20 minutes."""
    def held(at):
        return 100.0 * MIB * (at // 1200)
    long = tuple((at, held(at)) for at in (120.0 * i for i in range(count)))
    end = long[-1][0]
    recent = tuple((at, held(at)) for at in (end - 30.0 * i for i in range(58, -1, -1)))
    assert (floors._judge(recent, long)[1] is not None) == found


@pytest.mark.parametrize('count, pace', [(3, None), (4, 0.0)])
def test_rest_is_told_after_a_minute_and_a_half(count, pace):
    """Of four stretches of half a minute."""
    rest = tuple((30.0 * i, 100.0 * MIB) for i in range(count))
    assert floors._judge(rest, rest[:1]) == (pace, None)


@pytest.mark.parametrize('long_s, begun_s', [(3600.0, 3600.0), (4920.0, 4830.0)])
def test_the_pace_of_a_single_arena_is_that_since_its_rest_began(long_s, begun_s):
    """Whichever series shows it first: a stretch of two minutes holds what was before the rest."""
    def held(at):
        return 100.0 * MIB if at < 6030 else 164.0 * MIB
    recent = tuple((at, held(at)) for at in (4830.0 + 30 * i for i in range(46)))
    long = ((3480.0, 10.0 * MIB), *((at, held(at)) for at in (
        long_s + 120 * i for i in range(int((6120 - long_s) // 120)))))
    leak = floors._arena(recent, long)
    assert leak.span_s == 6030.0 - begun_s and leak.middle == leak.high == 64 * MIB / leak.span_s
    assert (leak.low, leak.arena) == (0.0, True)


@pytest.mark.parametrize('points, named', [(4, False), (5, True), (17, True), (18, False)])
def test_a_single_arena_is_named_from_two_minutes_after_it_to_eight(points, named):
    """Of half a minute each."""
    recent = tuple((30.0 * i, MIB * (100.0 if i < 40 else 164.0)) for i in range(40 + points))
    assert (floors._arena(recent, recent[:40:4]) is not None) is named


def test_the_edges_of_a_step():
    """A rise of 2 MiB, a quarter of the least step, is none; 4 given back, 24 of 32 are fine."""
    assert [s.height / MIB for s in floors.steps(climbed(0, 0, 8, 2, 0, 0, 0, 8, 2, 0, 0))] == [
        8.0, 8.0]
    for back, named in ((4, True), (4.1, False)):
        assert bool(floors.steps(climbed(0, 0, 8, 0, -back, 0, 8, 0, 0))) is named
    for more, named in ((0, True), (0.1, False)):
        assert bool(floors.steps(climbed(0, 2, 2, 12, more, 2, 2, 12, 0, 0))) is named


@pytest.mark.parametrize('moved, rests', [(MIB - 1, True), (MIB, False)])
def test_what_moves_a_mib_within_half_an_hour_does_not_rest(moved, rests):
    """Its pace is then a trend, or none."""
    recent = tuple((30.0 * i, float(moved * (i % 2))) for i in range(20))
    assert (floors._judge(recent, recent[::4])[0] == 0.0) is rests


@pytest.mark.parametrize('minutes, steep, pace, sure', [
    (90, 2.4, 0.4, True), (88, 2.4, 0.4, False), (90, 2.5, 0.4, False), (92, 2.4, 0.5, True),
    (92, 2.4, 0.51, False)])
def test_the_edges_of_a_sure_leak(minutes, steep, pace, sure, monkeypatch):
    """An hour and a half, a narrow range, and a second half that grew as much as asked for."""
    monkeypatch.setattr(floors, 'SURE_PACE', pace)
    monkeypatch.setattr(floors, 'STEADY', 0.1)
    half = minutes // 2 * 60.0
    long = tuple((120.0 * i, 2.0 * min(120.0 * i, half) + max(0.0, 120.0 * i - half))
                 for i in range(minutes // 2 + 1))
    assert floors._leak(Trend(1.5, 2.0, steep), long, long).sure is sure


def test_the_edges_of_a_pace_of_steps_and_of_an_arena(monkeypatch):
    """Exactly the least pace is no leak; a MiB more is no rest, and 18 minutes are one."""
    monkeypatch.setattr(floors, 'LEAK_BYTES_PER_S', 2.0)
    for height, found in ((200.0, False), (201.0, True)):
        leak = floors._stairs((Step(0.0, 5.0), Step(100.0, height)), ((0.0, 0.0), (9.0, 0.0)))
        assert (leak is not None) is found
    points = ((0.0, 0.0), (1.0, 1.0), (2.0, float(MIB)))
    assert floors._resting(points) == points[1:] and floors._resting(points[1:]) == points[1:]
    monkeypatch.setattr(floors, 'ARENA_ALIKE', 0.125)
    for rest, height, named in ((36, 64, True), (35, 64, False), (36, 72, True), (36, 56, True),
                                (36, 72.1, False), (36, 55.9, False)):
        recent = tuple((30.0 * i, MIB * (100.0 + height * (i >= rest))) for i in range(rest + 6))
        assert (floors._arena(recent, recent[:rest:4]) is not None) is named


def test_the_edges_of_a_rest(monkeypatch):
    """Exactly the least progress is some; exactly the longest pause is still one."""
    monkeypatch.setattr(floors, 'PROGRESS', 0.25)
    assert not floors.rested(((0.0, 0.0), (1.0, 3.0), (10.0, 4.0)))
    assert floors.rested(((0.0, 0.0), (1.0, 3.1), (10.0, 4.0)))
    monkeypatch.setattr(floors, 'PAUSE', 2.0)
    for end_s, over in ((8.0, False), (8.1, True)):
        assert floors.rested(((0.0, 0.0), (2.0, 4.0), (end_s, 4.0))) is over
