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

"""What a process holds at rest, on series of readings without a kernel."""

from dataclasses import replace

from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.protection import sizes
from oom_sentinel.protection.sizes import Sizes
import pytest

MIB = 1 << 20


def process(mib, pid=1, label='node'):
    """Return a process that was read anew and holds so many MiB."""
    return Process(pid, pid, 0, 0, Program(label), memory=TaskMemory(int(mib * MIB), 0, 0))


def after(steps):
    """Return the size of one process after these (seconds, MiB) readings."""
    found = Sizes()
    for now_s, mib in steps:
        found.read((process(mib),), now_s)
    return next(iter(found.known.values()))


def test_a_started_process_is_at_rest_after_two_equal_readings():
    """Its value may then fall to what its size asks."""
    assert not after([(0, 2), (1, 40)]).settled
    size = after([(0, 2), (1, 40), (2, 40)])
    assert size.settled and not size.growing and size.low == size.high == 40 * MIB


def test_a_start_that_stands_still_for_a_moment_is_not_over():
    """On a busy machine: the size at rest is that at the end of the start."""
    paused = [(0, 2), (1, 10), (1.5, 10), (3, 60), (4, 100)]
    assert not after(paused).settled
    size = after([*paused, (5, 100)])
    assert size.settled and not size.growing and size.low == size.high == 100 * MIB


def test_a_process_that_grows_soon_after_a_longer_rest_leaks():
    """After 2 s at one size, or 10 s after its start, it has begun its work."""
    for settled_s, grows_s in ((1.5, 3.5), (9.0, 10.1)):
        size = after([(0, 2), (settled_s - 0.5, 40), (settled_s, 40), (grows_s, 60)])
        assert size.high == 40 * MIB and size.growing


def test_a_start_that_was_taken_for_over_too_soon_is_corrected_within_seconds():
    """Two stretches of 3 s at its new size are enough while it is young."""
    steps = [(0, 2), (1, 10), (1.5, 10), (4, 100)] + [(4.5 + 0.5 * t, 100) for t in range(16)]
    assert after(steps).high == 100 * MIB and not after(steps).growing


def test_a_leak_does_not_lift_what_it_holds_at_rest():
    """Fast or slow: the level of the domain stays where it was."""
    fast = [(0, 2), (1, 40), (2, 40)] + [(4 + t, 50 + 10 * t) for t in range(60)]
    assert after(fast).high == 40 * MIB and after(fast).growing
    slow = [(0, 2), (1, 40), (2, 40)] + [(700 + 60 * t, 40 + t) for t in range(120)]
    assert after(slow).high < 60 * MIB and after(slow).grown > 100 * MIB


def test_a_process_that_grew_and_rests_is_at_rest_again():
    """A map was loaded; from then on that is its size."""
    steps = [(0, 2), (1, 40), (2, 40), (5, 90)] + [(6 + 2 * t, 90) for t in range(40)]
    assert after(steps).high == 90 * MIB and not after(steps).growing


def test_a_process_that_goes_up_and_down_is_at_rest_between_its_bounds():
    """The least counts where it is raised, the most where it is protected."""
    steps = [(0, 2), (1, 40), (2, 40)] + [(4 + 2 * t, 40 + 30 * (t % 5 > 2)) for t in range(90)]
    size = after(steps)
    assert (size.low, size.high) == (40 * MIB, 70 * MIB)


def test_the_successor_of_a_leak_is_not_believed_to_rest():
    """A node that leaks and is started anew counts as one leak."""
    sizes = Sizes()
    for now_s, mib in [(0, 40), (1, 40), (3, 60), (4, 80), (4.5, 100)]:
        sizes.read((process(mib),), now_s)
    sizes.read((process(2, pid=2),), 5)
    for now_s in range(6, 12):
        sizes.read((process(20, pid=2), process(20, pid=3, label='other')), now_s)
    by_pid = {identity.pid: size for identity, size in sizes.known.items()}
    assert by_pid[2].growing and not by_pid[3].growing


def test_what_was_not_read_anew_is_left_as_it_was():
    """A table repeats the last reading of what it did not read."""
    sizes, held = Sizes(), process(40)
    sizes.read((held,), 0.0)
    sizes.read((held,), 40.0)
    assert not next(iter(sizes.known.values())).settled


def repeated(steps):
    """Return the size after these readings, of which equal ones in turn are the same object."""
    found, held, last = Sizes(), None, None
    for now_s, mib in steps:
        held = held if mib == last else process(mib)
        last = mib
        found.read((held,), now_s, frozenset((1,)))
    return next(iter(found.known.values()))


def test_a_process_that_never_changed_settles_and_its_first_growth_is_a_leak():
    """A still process is the same object at each reading, and was read all the same."""
    still = [(0.4 * step, 40) for step in range(10)]
    assert repeated(still[:2]).settled
    size = repeated([*still, (4.0, 60), (4.4, 80)])
    assert size.high == 40 * MIB and size.grown == 40 * MIB


def test_the_pace_after_a_long_rest_is_that_since_the_last_reading():
    """Not since the last that differed, however many were the same."""
    size = repeated([(2.0 * step, 40) for step in range(50)] + [(100.0, 60)])
    assert 4 * MIB < size.bytes_per_s < 6 * MIB


def test_what_grew_and_holds_the_same_ever_since_is_at_rest_again():
    """Its pace is over within seconds, its stretches of a minute within minutes."""
    steps = [(2 * t, 40) for t in range(60)] + [(120 + 2 * t, 90) for t in range(100)]
    assert repeated(steps[:75]).growing and repeated(steps[:75]).bytes_per_s < MIB // 100
    assert repeated(steps).high == 90 * MIB and not repeated(steps).growing


def test_a_clock_that_goes_back_begins_anew():
    """What leaked before is still believed to leak."""
    leaky = replace(sizes.first(process(40).memory, 9.0, label='node'), leaky=True)
    size = sizes.extend(leaky, process(60).memory, 3.0)
    assert (size.first_s, size.now, size.high) == (3.0, 60 * MIB, 60 * MIB)
    assert size.leaky and size.label == 'node'


def test_a_reading_that_comes_too_soon_moves_the_rest_of_a_starting_process_alone():
    """Within 0.3 s two readings show no pace."""
    starting = sizes.first(process(40).memory, 1.0)
    settled = replace(starting, settled=True)
    high = [sizes.extend(last, process(60).memory, 1.2).high for last in (starting, settled)]
    assert high == [60 * MIB, 40 * MIB]
    assert sizes.extend(settled, process(60).memory, 1.2).now == 60 * MIB
    assert [sizes.extend(settled, process(mib).memory, 1.2).low for mib in (60, 30)] == [
        40 * MIB, 30 * MIB]


def test_a_peak_within_a_stretch_belongs_to_the_most_that_it_holds_at_rest():
    """Each ten seconds 70 MiB for a moment, 40 at the begin and the end of a stretch."""
    steps = [(0, 40), (1, 40)] + [(2 + t, 70 if t % 10 == 5 else 40) for t in range(50)]
    assert (after(steps).low, after(steps).high) == (40 * MIB, 70 * MIB)


def test_what_still_starts_is_named():
    """Those are read again soon."""
    found = Sizes()
    found.read((process(40, pid=3),), 0.0)
    for now_s in (1.0, 2.0):
        found.read((process(40, pid=3), process(10 * now_s, pid=4)), now_s)
    assert found.unsettled() == frozenset((4,))


def test_a_process_of_any_size_at_rest_may_differ_by_a_fiftieth_within_bounds():
    """Half a MiB at least, 4 MiB at most."""
    assert [sizes.tolerance_bytes(mib * MIB) for mib in (1, 100, 1000)] == [
        MIB // 2, 2 * MIB, 4 * MIB]


def test_the_pace_is_that_between_two_readings():
    """The time of the last one counts, not that of the first."""
    size = sizes.first(process(40).memory, 0.0)
    for now_s, mib in ((10.0, 40), (11.0, 50), (12.0, 60), (22.0, 160)):
        size = sizes.extend(size, process(mib).memory, now_s)
    assert size.read_s == 22.0 and 9.0 * MIB < size.bytes_per_s <= 10.0 * MIB
    assert size.memory == process(160).memory, 'what is not read anew is known by it'


LEAK = [(0, 40), (1, 40), (3, 60), (4, 80), (4.5, 100)]


def test_a_leak_that_is_forgotten_at_its_end_is_remembered_for_its_successor():
    """As one that is missing in the next table is."""
    found = Sizes()
    for now_s, mib in LEAK:
        found.read((process(mib),), now_s)
    found.forget(process(0).identity)
    assert not found.known
    found.add((process(2, pid=2),), 5)
    assert next(iter(found.known.values())).leaky


def test_of_the_programs_that_leaked_sixty_four_are_remembered_the_newest():
    """One that leaks again counts as new."""
    found = Sizes()

    def leak(pid, label):
        for now_s, mib in LEAK:
            found.add((process(mib, pid, label),), now_s)
        found.forget(process(0, pid).identity)
    for pid in range(64):
        leak(pid, f'node{pid}')
    leak(100, 'node0')
    leak(101, 'other')
    new = [process(2, 200 + n, label) for n, label in enumerate(
        ('node0', 'node1', 'node2', 'other'))]
    found.add(new, 9)
    assert [found.known[p.identity].leaky for p in new] == [True, False, True, True]


def test_what_it_held_before_it_had_settled_is_no_rest():
    """A node of 40 MiB began with 2."""
    steps = [(0, 2), (1, 40), (2, 40)] + [(4 + 2 * t, 40) for t in range(20)]
    assert after(steps).low == 40 * MIB


@pytest.mark.parametrize('steps', [
    [(0, 40), (1, 40), (2, 40), (3, 40.2)], [(0, 40), (1, 60), (1.1, 80)],
    [(0, 40), (1, 40), (2, 60), (3, 60), (30, 45), (60, 45)],
    [(0, 40), (1, 40), (5, 44), (6, 48)], [(0, 40), (1, 40), (1.2, 60)]])
def test_what_did_not_leak_at_its_end_leaves_no_leak(steps):
    """At rest; still starting; above its least, but not growing any more; by 8 MiB only."""
    found = Sizes()
    for now_s, mib in steps:
        found.read((process(mib),), now_s)
    found.forget(process(0).identity)
    found.add((process(2, pid=2),), 70)
    assert not next(iter(found.known.values())).leaky


def test_the_young_that_start_or_hold_more_than_at_rest_are_restless():
    """One starts, one has settled and leaks from then on; a minute later neither is young."""
    found, seen = Sizes(), []
    for now_s, starts, leaks in ((0.0, 40, 40), (1.0, 60, 40), (30.0, 60, 80), (60.0, 60, 90)):
        found.add((process(starts, pid=3), process(leaks, pid=4)), 1000.0 + now_s)
        seen.append(found.restless())
    assert seen == [{3, 4}, {3}, {4}, set()]


def test_the_first_size_of_a_process_is_all_that_is_known_of_its_rest():
    """Each bound of each stretch begins there."""
    size = sizes.first(process(40).memory, 3.0)
    bounds = (size.now, size.low, size.high, size.stretch_low, size.stretch_high,
              size.before_low, size.before_high)
    assert set(bounds) == {40 * MIB} and size.stretch_s == size.first_s == size.read_s == 3.0


def test_the_least_that_a_settled_process_holds_is_lowered_at_once():
    """A raised one must be above the level with what it holds now."""
    assert after([(0, 40), (1, 40), (2, 30)]).low == 30 * MIB


@pytest.mark.parametrize('more, high_mib', [(0, 50), (1, 45)])
def test_a_stretch_whose_floor_is_within_the_tolerance_of_the_one_before_was_rest(more, high_mib):
    """What the one before held at most is then the most at rest."""
    low = 40 * MIB + sizes.tolerance_bytes(40 * MIB) + more
    size = replace(sizes.first(process(40).memory, 0.0), settled=True, now=low, stretch_low=low,
                   stretch_high=low, before_low=40 * MIB, before_high=50 * MIB, high=45 * MIB)
    assert sizes._rest(size, 2.9).stretch_s == 0.0
    found = sizes._rest(size, 3.0)
    assert (found.high, found.stretch_s) == (high_mib * MIB, 3.0)
    assert (found.before_low, found.before_high) == (low, low)


def test_the_edges_of_a_size(monkeypatch):
    """A reading 0.3 s later counts, and after 10 s no start is corrected any more."""
    monkeypatch.setattr(sizes, 'APART_S', 0.25)
    first = sizes.first(process(40).memory, 0.0)
    assert sizes.extend(first, process(40).memory, 0.25).read_s == 0.25
    assert sizes.extend(first, process(40).memory, 0.24).read_s == 0.0
    settled = replace(first, settled=True, settled_s=9.0, read_s=9.0)
    for now_s, still_starts in ((9.9, True), (10.0, False)):
        assert sizes.extend(settled, process(60).memory, now_s).settled is not still_starts
    limit = 40 * MIB + sizes.tolerance_bytes(40 * MIB)
    for held, still_starts in ((limit, False), (limit + 1, True)):
        found = sizes.extend(settled, TaskMemory(held, 0, 0), 9.5)
        assert found.settled is not still_starts and found.growing is still_starts
    for settled_s, still_starts in ((8.5, False), (8.6, True)):
        again = replace(settled, settled_s=settled_s, read_s=settled_s, first_s=5.0)
        assert sizes.extend(again, process(60).memory, 10.5).settled is not still_starts
    for pace, now_s, same in ((0.9, 2.9, True), (1.0, 2.9, False), (-1.0, 2.9, False),
                              (0.0, 3.0, False)):
        assert sizes.repeats(replace(first, settled=True, bytes_per_s=pace), now_s) is same
    assert not sizes.repeats(first, 1.0)
    tolerance = sizes.tolerance_bytes(40 * MIB)
    for before, now_s, rests in ((tolerance, 1.0, True), (tolerance + 1, 9.9, False),
                                 (tolerance + 1, 10.0, True)):
        assert sizes._settle(first, 40 * MIB - before, now_s).settled is rests
    started = replace(sizes.first(process(2).memory, 0.0), now=40 * MIB)
    found = sizes._settle(started, 40 * MIB, 1.0)
    assert {found.low, found.high, found.stretch_low, found.stretch_high, found.before_low,
            found.before_high} == {40 * MIB} and found.stretch_s == found.settled_s == 1.0
    for age_s, length_s in ((14.9, 3.0), (15.0, 10.0), (60.0, 60.0), (600.0, 600.0)):
        assert sizes._stretch_length_s(replace(first, stretch_s=age_s)) == length_s


def test_what_is_resident_swapped_and_of_page_tables_is_held():
    """As oom_badness() counts it."""
    assert sizes.held_bytes(TaskMemory(5, 30, 200)) == 235
