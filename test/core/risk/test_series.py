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

"""The figures of a series: paces, trends, forecasts, compared with formulas written apart."""

from dataclasses import replace
import math
import random
import statistics

from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import series
from oom_sentinel.risk import trend
import pytest


def points_of(drops, start=1000.0, every_s=1.0, begin_s=0.0):
    """Return points that lose these drops one after the other."""
    found = [(begin_s, start)]
    for drop in drops:
        found.append((found[-1][0] + every_s, found[-1][1] - drop))
    return tuple(found)


@pytest.mark.parametrize('every_s', [1.0, 4.0])
def test_the_spread_of_a_pace_is_that_of_its_blocks(every_s):
    """Eight blocks of two points each, of 8 to 12 a block."""
    chance = random.Random(3)
    drops = [chance.uniform(4, 6) for _ in range(16)]
    blocks = [a + b for a, b in zip(drops[::2], drops[1::2])]
    found = series.pace(points_of(drops, every_s=every_s), 8)
    assert found.span_s == 16 * every_s and found.blocks == 8
    assert found.lost == pytest.approx(sum(drops))
    assert found.pace == pytest.approx(sum(drops) / 16 / every_s)
    assert found.spread == pytest.approx(statistics.stdev(blocks) / 2 / every_s)


@pytest.mark.parametrize('drops, expected', [
    ([2, 2, 3, 3, 4, 4, 5, 5], True),
    ([2, 2, 2, 2, 4, 4, 5, 5], False),  # the second quarter is no faster than the first
    ([2, 2, 4, 4, 4.2, 4.2, 6, 6], False),  # hardly faster than the second
    ([2, 2, 3, 3, 4, 4, 4.2, 4.2], False),
    ([0.1, 0.1, 3, 3, 4, 4, 5, 5], False),  # it follows a rest
    ([2, 2, 2, 2, 2, 2, 2, 2], False)])
def test_a_pace_gains_when_every_quarter_is_faster(drops, expected):
    """The gain is the slope of a line through the blocks."""
    found = series.pace(points_of(drops, every_s=4.0), 8)
    slope, _ = statistics.linear_regression(range(8), drops)
    assert found.gains == (pytest.approx(slope / 16) if expected else 0.0)


@pytest.mark.parametrize('last, slows', [(1.2, False), (1.1, True)])
def test_a_pace_slows_when_its_last_quarter_is_much_less_than_the_first_half(last, slows):
    """0.58 of the first quarters' mean of 4 are 2.32."""
    assert series.pace(points_of([2, 2, 2, 2, 2, 2, last, last]), 8).slows == slows


@pytest.mark.parametrize('first, factor', [(0.5, 1.0), (0.25, series.BEGUN_WITHIN)])
def test_a_fall_that_began_within_the_window_is_known_less_well(first, factor):
    """An even first quarter would be 4 of 16; a quarter of that is 1."""
    drops = [first, first] + [(16 - 2 * first) / 6] * 6
    found = series.pace(points_of(drops), 8)
    assert found.spread == pytest.approx(factor * statistics.stdev(drops))


def test_a_pace_must_stand_out_of_the_spread_of_its_blocks():
    """The mean of eight blocks is 1; Student's t leaves a spread of 1.5 and not of 1.4."""
    for spread, clear in ((1.4, True), (1.6, False)):
        half = spread * math.sqrt(7 / 8)
        points = points_of([1 + half, 1 - half] * 4)
        assert (series.pace(points, 8) is not None) == clear


def test_a_fall_has_ended_when_it_pauses_longer_than_before():
    """The longest pause was 4 s: 1.6 times that, and one reading, are 7.4 s."""
    fallen = ((0.0, 100.0), (4.0, 90.0), (8.0, 80.0))
    for rest_s, over in ((7, False), (8, True)):
        rest = tuple((8.0 + s, 80.0) for s in range(1, rest_s + 1))
        assert series.ended(fallen + rest, 5.0) == over


def test_a_step_of_exactly_the_least_is_progress():
    """A rise or a smaller drop is none."""
    assert not series.ended(((0.0, 10.0), (1.0, 9.0), (2.0, 8.0), (3.0, 7.0), (4.0, 6.0)), 1.0)
    assert series.ended(((0.0, 10.0), (1.0, 9.0), (2.0, 9.0), (3.0, 9.0), (4.0, 9.0)), 1.0)
    assert series.ended(((0.0, 10.0), (1.0, 10.0), (2.0, 10.0)), 1.0)
    assert not series.ended(((0.0, 10.0), (1.0, 10.0), (2.0, 9.0)), 1.0)


def test_a_coarser_scale_keeps_the_least_of_four_points_of_the_finer_one():
    """The time is that of the fourth; no scale keeps more than 33 points."""
    left, chance, values = series.Left(), random.Random(5), []
    for at in range(300):
        values.append(chance.uniform(50, 100))
        left = series.extend(left, float(at), values[-1])
    finest, coarser = left.scales[0], left.scales[1]
    assert finest == tuple((float(at), values[at]) for at in range(300 - 33, 300))
    assert len(coarser) == series.POINTS_MAX
    for at_s, least in coarser:
        assert least == min(values[max(0, int(at_s) - 3):int(at_s) + 1])
    assert {round(b[0] - a[0]) for a, b in zip(coarser, coarser[1:])} == {4}
    assert {round(b[0] - a[0]) for a, b in zip(left.scales[2], left.scales[2][1:])} == {16}


@pytest.mark.parametrize('gap_s, kept', [(0.89, False), (0.91, True)])
def test_a_reading_much_sooner_than_a_second_after_the_last_is_left_out(gap_s, kept):
    """A clock that stood still or was set back starts the series anew."""
    left = series.extend(series.Left(), 10.0, 5.0)
    assert (series.extend(left, 10.0 + gap_s, 4.0) is not left) == kept
    for at_s in (10.0, 9.0):
        assert series.extend(left, at_s, 4.0).scales[0] == ((at_s, 4.0),)


def test_a_kill_starts_the_fall_anew_and_keeps_the_habits():
    """What it freed is no habit."""
    last = series.Swing(1000.0, 100.0, 5.0, ((3.0, 400.0),))
    assert series.swung(last, 9.0, 900.0, 50.0, True) == series.Swing(
        900.0, 900.0, 9.0, ((3.0, 400.0),))


def test_a_fall_of_which_half_came_back_is_a_habit_of_its_depth():
    """Not when it left too little, was shallow, or less came back."""
    last = series.Swing(1000.0, 400.0, 5.0)
    assert series.swung(last, 9.0, 701.0, 400.0, False).habits == ((9.0, 600.0),)
    assert series.swung(last, 9.0, 700.0, 400.0, False) is last
    assert series.swung(last, 9.0, 390.0, 400.0, False) == series.Swing(1000.0, 390.0, 5.0)
    for value in (1000.0, 1100.0):
        assert series.swung(series.Swing(1000.0, 1000.0, 5.0), 9.0, value, 1.0,
                            False) == series.Swing(value, value, 9.0)
    assert series.swung(last, 9.0, 701.0, 400.5, False) == series.Swing(701.0, 701.0, 9.0)
    assert series.swung(series.Swing(1000.0, 950.0, 5.0), 9.0, 980.0, 1.0, False).habits
    assert not series.swung(series.Swing(1000.0, 951.0, 5.0), 9.0, 980.0, 1.0, False).habits
    old = series.Swing(1000.0, 400.0, 5.0, ((1.0, 700.0),))
    assert len(series.swung(old, 7200.0, 900.0, 1.0, False).habits) == 2
    assert len(series.swung(old, 7201.0, 900.0, 1.0, False).habits) == 1


@pytest.mark.parametrize('count', [9, 11, 13, 16, 20])
def test_a_trend_is_the_median_slope_between_the_ranks_that_noise_leaves(count):
    """Theil and Sen's slope with the range of Kendall's test, by the textbook."""
    chance = random.Random(count)
    points = tuple((10.0 * i, 5.0 * i + chance.uniform(-0.02, 0.02)) for i in range(count))
    slopes = sorted((b[1] - a[1]) / (b[0] - a[0])
                    for i, a in enumerate(points) for b in points[i + 1:])
    pairs = count * (count - 1) / 2
    spread = 2.576 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    found = trend.trend(points)
    assert found.middle == pytest.approx(statistics.median(slopes), rel=1e-12)
    assert found.shallow == slopes[int((pairs - spread) / 2)]
    assert found.steep == slopes[math.ceil((pairs + spread) / 2)]


def test_a_trend_that_sinks_has_its_shallow_end_nearest_to_zero():
    """And fewer than nine points have none."""
    points = tuple((float(i), -2.0 * i + 0.1 * (i % 3)) for i in range(9))
    found = trend.trend(points)
    assert found.steep < found.middle < found.shallow < 0
    assert trend.trend(points[:8]) is None
    assert trend.trend(tuple((float(i), float(i % 2)) for i in range(20))) is None


def test_a_trend_that_has_just_begun_is_not_diluted_by_the_rest_before_it():
    """Forty points at rest, then ten of 3 a second."""
    points = tuple((float(i), 0.01 * (i % 2) + 3.0 * max(0, i - 40)) for i in range(51))
    assert trend.trend(points).middle == pytest.approx(3.0, rel=0.01)


def after(values):
    """Return the series after these values, one a second."""
    left = series.Left()
    for index, value in enumerate(values):
        left = series.extend(left, float(index), float(value))
    return left


def test_an_even_fall_ends_when_what_is_left_is_gone():
    """1000 less 10 a second, after 40 s: 600 are left, for 60 s."""
    found = exhaustion.forecast(after([1000 - 10 * at for at in range(41)]))
    assert found.middle_s == pytest.approx(60)
    assert found.lost_share == pytest.approx(0.4)
    assert found.low_s == pytest.approx(60 / (1 + 1.5 * 0.15))
    assert found.high_s == pytest.approx(60 / (1 - 0.15))
    assert not (found.gaining or found.slowing or found.quicker)


def two_paces(slow, slow_s, fast, fast_s):
    """Return what is left of 1000 while it falls slowly, then fast."""
    values = [1000.0 - slow * at for at in range(slow_s + 1)]
    return values + [values[-1] - fast * (at + 1) for at in range(fast_s)]


def test_a_slower_fall_before_the_window_says_how_fast_the_pace_grows():
    """Four a second for 60 s, then eight for 33 s: twice as fast within half of the time."""
    found = exhaustion.forecast(after(two_paces(4.0, 60, 8.0, 33)))
    value, since_s = 1000.0 - 4 * 60 - 8 * 33, 93.0
    slower = (1000 - value - 8.0 * found.span_s) / (since_s - found.span_s)
    growth = 2 * math.log(8.0 / slower) / since_s
    soonest = math.log(1 + growth * value / (8.0 * (1 + growth * found.span_s / 2))) / growth
    assert found.gaining and found.span_s == 16.0
    assert found.middle_s == pytest.approx(math.sqrt(soonest * value / 8.0))
    assert found.low_s == pytest.approx(soonest / (1 + 1.5 * 0.15))
    assert found.high_s == pytest.approx(value / 8.0 / (1 - 0.15))


def job(begin_s, seconds):
    """Return 200 of 1000 that are lost within this time, then eight a second for 33 s."""
    lost = [200.0 * min(1.0, max(0.0, (at - begin_s) / seconds)) for at in range(61)]
    return [1000.5] + [1000 - value for value in lost] + [800.0 - 8 * at for at in range(1, 34)]


@pytest.mark.parametrize('values', [
    two_paces(0.2, 60, 8.0, 33),  # hardly a fall
    two_paces(6.4, 60, 8.0, 33),  # hardly slower
    job(0, 10), job(50, 10)])
def test_a_fall_before_the_window_that_was_not_slow_and_even_says_nothing(values):
    """What was lost within one half of the time before was a job."""
    found = exhaustion.forecast(after(values))
    assert found.middle_s == pytest.approx(values[-1] / 8) and not found.gaining


def test_the_pace_of_a_second_leak_is_quicker_than_every_longer_window():
    """Four a second, then eight: the longer windows end a third later, and know their pace."""
    assert exhaustion.forecast(after(two_paces(4.0, 172, 8.0, 8))).quicker
    assert not exhaustion.forecast(after(two_paces(4.0, 100, 8.0, 40))).quicker
    assert not exhaustion.forecast(after(two_paces(5.0, 160, 5.0, 9))).quicker


def test_an_end_that_a_pace_says_nothing_of_is_not_told():
    """Four times the longest window of a fall that has just begun, and no farther."""
    for pace, seen in ((50.0, True), (49.0, False)):
        found = exhaustion.forecast(after([1000.0 - pace * at for at in range(5)]))
        assert (found is not None) == seen


def test_a_habit_hides_what_is_less_than_three_tenths_deeper():
    """Windows count that lost more than the habit and its margin."""
    fallen = after([1000 - 10 * at for at in range(41)])
    for depth, told in ((100.0, True), (400.0 / exhaustion.HABIT_MARGIN, False)):
        swing = replace(fallen.swing, habits=((1.0, depth), (2.0, depth)))
        assert (exhaustion.forecast(replace(fallen, swing=swing)) is not None) == told


def test_the_deepest_four_falls_are_kept_the_deepest_first():
    """The fifth is as deep as the third: the least deep one is forgotten."""
    last = series.Swing(1000.0, 600.0, 5.0, ((1.0, 500.0), (2.0, 400.0), (3.0, 200.0),
                                             (4.0, 100.0)))
    found = series.swung(last, 9.0, 900.0, 1.0, False)
    assert found.habits == ((1.0, 500.0), (2.0, 400.0), (9.0, 400.0), (3.0, 200.0))
    assert found.habit == 500.0


@pytest.mark.parametrize('middle_s, span_s, gains', [
    (79.0, 16.0, True), (81.0, 16.0, False), (40.0, 6.7, True), (40.0, 6.6, False)])
def test_a_fall_gains_only_after_a_third_of_it_and_in_no_tiny_window(middle_s, span_s, gains):
    """A tenth of what it lost was gone after 4 of 40 s: it has lasted 36 / 0.9 s."""
    left = after([1000 - 10 * at for at in range(41)])
    assert exhaustion._lasts(left, 600.0, middle_s, span_s) == gains


def test_a_job_that_begins_ever_faster_gains_nothing_yet():
    """Each second one more is lost; of a long slow fall the last seconds are no tendency."""
    for slowly, gaining in ((8, True), (18, False)):
        values = [1000.0 - at * (at + 1) / slowly for at in range(41)]
        assert exhaustion.forecast(after(values)).gaining == gaining
    slow = [1000.0 - at / 2 for at in range(400)]
    old = slow + [slow[-1] - at * (at + 1) / 4 for at in range(1, 34)]
    assert not exhaustion.forecast(after(old)).gaining


@pytest.mark.parametrize('lost, pauses', [(14.0, True), (16.0, False)])
def test_a_fall_pauses_when_six_seconds_bring_less_than_a_quarter(lost, pauses):
    """600 within 60 s are 60 within six."""
    left = after([700.0] * 10 + [600 + lost, 600, 600, 600, 600, 600, 600])
    assert exhaustion._pauses(left, 600.0, 60.0) == pauses
    assert not exhaustion._pauses(after([600.0]), 600.0, 60.0)


def test_when_so_much_was_left_the_last_time_is_found_on_the_finest_scale():
    """The coarser ones reach farther back, and hold the least of each stretch."""
    left = after([1000 - at for at in range(200)])
    assert series.last_above(left, 810.0) == 190.0
    assert series.last_above(left, 801.0) == 199.0
    assert 99.0 <= series.last_above(left, 900.0) <= 100.0
    assert series.last_above(left, 1001.0) is None


def test_the_edges_of_a_pace_and_of_a_forecast(monkeypatch):
    """What is exactly at a limit: of numbers that floats hold exactly."""
    monkeypatch.setattr(series, 'SLOWER', 0.5)
    assert not series.pace(points_of([2, 2, 2, 2, 2, 2, 1, 1]), 8).slows
    assert series.pace(points_of([2, 2, 2, 2, 2, 2, 1, 0.875]), 8).slows
    fallen = after([1000 - 10 * at for at in range(41)])
    monkeypatch.setattr(exhaustion, 'HABIT_MARGIN', 1.25)
    for depth, told in ((256.0, False), (255.5, True)):
        swing = replace(fallen.swing, habits=((1.0, depth), (2.0, depth)))
        assert (exhaustion.forecast(replace(fallen, swing=swing)) is not None) == told
    monkeypatch.setattr(exhaustion, 'GAINS_WITHIN', 4.0)
    assert exhaustion._lasts(fallen, 600.0, 80.0, 10.0)
    assert not exhaustion._lasts(fallen, 600.0, 80.5, 10.0)
    assert not exhaustion._lasts(fallen, 600.0, 80.0, 9.5)
    paused = after([700.0] * 10 + [615, 600, 600, 600, 600, 600, 600])
    assert not exhaustion._pauses(paused, 600.0, 60.0)
    assert exhaustion._pauses(paused, 600.0, 59.5)


def test_with_a_pace_that_grows_the_end_is_that_of_a_parabola():
    """From 5 a second, and 0.5 more each second since the middle of the window: 9 now."""
    grown = series.Pace(16.0, 80.0, 5.0, 0.0, 8, 0.5)
    for end_s in (1.0, 10.0, 40.0):
        left = 9.0 * end_s + 0.5 * end_s ** 2 / 2
        assert exhaustion._middle(grown, left) == pytest.approx(end_s)
    assert exhaustion._middle(replace(grown, gains=0.0), 50.0) == 10.0


@pytest.mark.parametrize('since_s, lost', [(48, 400.0), (49, 80.0)])
def test_a_peak_of_three_windows_ago_is_of_the_same_fall(since_s, lost):
    """All that was lost since then counts; an older one is of another fall."""
    left = after([600.0] * (since_s + 1))
    left = replace(left, swing=series.Swing(1000.0, 600.0, 0.0))
    pace = series.Pace(16.0, 80.0, 5.0, 0.0, 8, 0.0)
    found = exhaustion._forecast_by(pace, 600.0, left, 80.0, 16.0, 0.1, False)
    assert found.lost_share == pytest.approx(lost / (lost + 600.0))


@pytest.mark.parametrize('lost, falls', [(76.0, False), (77.0, True)])
def test_a_window_that_lost_less_than_a_twelfth_of_what_is_left_shows_no_fall(lost, falls):
    """1000 less 76 are 924, a twelfth of which is 77."""
    points = points_of([lost / 4] * 4)
    assert bool(series.paces(points, ((5, 4),))) is falls


def of_paces(value, *scales):
    """Return a series of which only the paces of its windows are known, and what is left."""
    return series.Left((((0.0, value),),) + ((),) * 4, scales + ((),) * (5 - len(scales)))


def test_the_edges_of_a_quicker_pace(monkeypatch):
    """Of a window twice as long, that knows its pace, and ends later by more than the factor."""
    monkeypatch.setattr(exhaustion, 'QUICKER', 2.0)
    best, longer = (series.Pace(span_s, 80.0, pace, 0.5, 8, 0.0)
                    for span_s, pace in ((8.0, 10.0), (16.0, 4.0)))
    wide = exhaustion._width(longer, 100.0)
    monkeypatch.setattr(exhaustion, 'KNOWN_LONGER', wide * 1.01)

    def quicker(found):
        return exhaustion._quicker(best, of_paces(100.0, (best,), (found,)))
    assert quicker(longer) and not quicker(replace(longer, span_s=15.9))
    assert not quicker(replace(longer, pace=5.0)) and quicker(replace(longer, pace=4.9))
    monkeypatch.setattr(exhaustion, 'KNOWN_LONGER', wide)
    assert not quicker(longer)


def test_a_pace_that_is_known_less_well_is_not_called_quicker(monkeypatch):
    """The half width of its range must be below the limit."""
    left = after(two_paces(4.0, 172, 8.0, 8))
    widths = [exhaustion._width(p, left.scales[0][-1][1]) for p in left.paces[0]]
    assert exhaustion.forecast(left).quicker
    monkeypatch.setattr(exhaustion, 'KNOWN', min(widths))
    assert not exhaustion.forecast(left).quicker


@pytest.mark.parametrize('change, pace, half_way, grows', [
    ({}, 10.0, 840.0, True), ({'BEFORE': 0.32}, 10.0, 840.0, False),
    ({'BEFORE': 0.31}, 10.0, 840.0, True), ({}, 50.0, 840.0, False), ({}, 49.0, 840.0, True),
    ({'SLOWER': 0.5}, 10.0, 840.0, False), ({'SLOWER': 0.5}, 10.5, 840.0, True),
    ({'EVEN': 0.25}, 10.0, 920.0, False), ({'EVEN': 0.25}, 10.0, 919.0, True),
    ({'EVEN': 0.25}, 10.0, 760.0, False), ({'EVEN': 0.25}, 10.0, 761.0, True)])
def test_the_edges_of_a_slower_fall_before_the_window(change, pace, half_way, grows, monkeypatch):
    """Of 1000 a third went within the 64 s before it, 5 a second; half of that after 32 s."""
    for name, value in change.items():
        monkeypatch.setattr(exhaustion, name, value)
    left = series.Left((((32.0, half_way),),) + ((),) * 4,
                       swing=series.Swing(1000.0, 360.0, 0.0))
    window = series.Pace(32.0, 320.0, pace, 0.0, 8, 0.0)
    found = exhaustion._growth(window, left, 640.0, 96.0)
    assert found == (pytest.approx(2 * math.log(pace / 5.0) / 96.0) if grows else 0.0)
    assert exhaustion._growth(window, left, 640.0, 32.0) == 0.0


def test_a_habit_that_came_back_since_a_process_was_ended_is_forgotten():
    """One of the very moment too."""
    left = series.extend(series.Left(), 9.0, 100.0)
    left = replace(left, swing=replace(left.swing, habits=((4.0, 9.0), (5.0, 8.0), (6.0, 7.0))))
    assert series.relieved(left, 5.0).swing == series.Swing(100.0, 100.0, 9.0, ((4.0, 9.0),))
    assert series.relieved(series.Left(), 5.0) == series.Left()


def test_a_reading_0_9_seconds_after_the_last_counts():
    """And half a second is missing at most of a coarser scale's point."""
    left = series.extend(series.Left(), 0.0, 5.0)
    assert series.extend(left, 0.9, 4.0).scales[0] == ((0.0, 5.0), (0.9, 4.0))
    assert series.extend(left, 3.5, 4.0).scales[1] == ((0.0, 5.0), (3.5, 4.0))
    assert series.extend(left, 3.4, 4.0).scales[1] == ((0.0, 5.0),)
    assert series.value_at(left, 0.0) == 5.0 and series.last_above(left, 5.0) == 0.0


@pytest.mark.parametrize('drops, gains', [
    ((2, 2, 3, 3, 4, 4, 6, 6), True), ((2, 2, 3, 3, 3.75, 3.75, 6, 6), False),
    ((2, 2, 3, 3, 4, 4, 5, 5), False), ((2, 2, 3, 3, 4, 4, 5.1, 5.1), True),
    ((1, 1, 4, 4, 6, 6, 8, 8), True), ((0.75, 0.75, 4, 4, 6, 6, 8, 8), False),
    ((2, 2, 2, 2, 4, 4, 6, 6), False)])
def test_the_edges_of_a_fall_that_gains(drops, gains, monkeypatch):
    """A quarter faster each time, and an eighth of the pace at the beginning: exact in floats."""
    monkeypatch.setattr(series, 'FASTER', 1.25)
    monkeypatch.setattr(series, 'SLOW_START', 0.125)
    assert (series._gains([float(d) for d in drops], 1.0) > 0) is gains


def test_exactly_the_longest_pause_has_not_ended_a_fall(monkeypatch):
    """Twice the longest, and one reading: 5 s."""
    monkeypatch.setattr(series, 'PAUSE', 2.0)
    for rest_s, over in ((5, False), (6, True)):
        points = ((0.0, 9.0), (2.0, 5.0), *((2.0 + s, 5.0) for s in range(1, rest_s + 1)))
        assert series.ended(points, 1.0) is over
