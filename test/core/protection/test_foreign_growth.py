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

"""Growth that raising cannot reach: only in its own domain, and never to the innocents' harm."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.protection import foreign_growth
from oom_sentinel.protection import level
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.foreign_growth import Loss
from oom_sentinel.protection.foreign_growth import losses
from oom_sentinel.protection.foreign_growth import Member
from oom_sentinel.protection.foreign_growth import Task
import pytest

MIB = 256  # pages


def domain(left_mib, total_mib=300):
    """Return a control group of so many MiB."""
    return Domain('/robot', total_mib * MIB, left_mib * MIB)


def member(pid, held_mib, *, critical=False, raised=False, mib_s=0.0, own=0):
    """Return a member of the domain."""
    task = Task(Identity(pid, pid), held_mib * MIB, critical, mib_s * MIB)
    return Member(task, f'p{pid}', own, held_mib * MIB, raised)


def judged(members, left_mib, total_mib=300):
    """Return what is said of the growth, with the level of the critical members."""
    place = domain(left_mib, total_mib)
    largest = max(m.task.held_pages for m in members if m.task.critical)
    return foreign_growth.judge(
        level.Level(place, largest + place.head_start_pages, 'critical'), members)


INNOCENTS = [member(10 + i, 20, raised=True) for i in range(3)]


def test_a_foreign_leak_that_ends_above_the_critical_one_leaves_the_raised_just_below():
    """The critical one holds 30 MiB, the hog ends at 35, the level is 45."""
    found = judged([member(1, 30, critical=True), *INNOCENTS, member(9, 20, mib_s=2.0)], 15)
    assert found.chosen == Loss(0, 0) and 30 * MIB < found.cap_pages < 35 * MIB


def test_a_foreign_leak_above_the_level_changes_nothing():
    """It dies first as it is."""
    found = judged([member(1, 30, critical=True), *INNOCENTS, member(9, 80, mib_s=2.0)], 40)
    assert found.cap_pages is None and found.chosen == Loss(0, 0)


def test_innocents_die_only_where_that_saves_the_critical_one():
    """The hog ends below the critical one: only then is the level kept, and it is known."""
    found = judged([member(1, 100, critical=True), *INNOCENTS, member(9, 5, mib_s=2.0)], 50)
    assert found.without == Loss(1, 0)
    assert found.chosen.critical == 0 and found.cap_pages != 0


def test_growth_that_takes_hours_is_none():
    """An editor that grows by a MiB a minute is not what eats the memory."""
    members = [member(1, 30, critical=True), *INNOCENTS, member(9, 20, mib_s=1 / 60)]
    assert judged(members, 40) is None


def test_a_raised_process_that_grows_faster_is_the_greater_trouble():
    """Whichever grows fastest decides."""
    members = [member(1, 30, critical=True), member(10, 20, raised=True, mib_s=5.0),
               member(9, 20, mib_s=2.0)]
    assert judged(members, 40) is None


tasks = st.lists(st.tuples(st.integers(0, 200), st.booleans(), st.sampled_from([0.0, 0.0, 5.0]),
                           st.integers(-999, 1000)), max_size=12)


@given(tasks, st.integers(0, 300))
def test_playing_the_choice_ends_and_counts_no_leak(rows, room_mib):
    """Never more deaths than processes that rest."""
    made = [Task(Identity(i, i), held * MIB, critical, pace)
            for i, (held, critical, pace, _) in enumerate(rows)]
    values = {Identity(i, i): row[3] for i, row in enumerate(rows)}
    lost = losses(made, values, room_mib * MIB, 307)
    assert lost.critical <= sum(t.critical and not t.pages_per_s for t in made)
    assert lost.innocent <= sum(not t.critical and not t.pages_per_s for t in made)


@given(st.integers(5, 120), st.lists(st.integers(5, 40), min_size=1, max_size=8),
       st.integers(1, 60), st.integers(10, 150), st.floats(1, 1000))
def test_no_plan_costs_more_than_doing_nothing_unless_it_saves_a_critical_one(
        critical, innocents, hog, room, pace):
    """Whatever the scene of one foreign leak."""
    members = [member(1, critical, critical=True),
               *(member(10 + i, mib, raised=True) for i, mib in enumerate(innocents)),
               member(9, hog, mib_s=pace)]
    found = judged(members, room, critical + sum(innocents) + hog + room)
    if found is not None:
        assert found.chosen <= found.without


def test_shared_pages_of_a_victim_are_not_taken_for_freed():
    """Three innocents of 20 MiB that map 18 MiB of files each free 6, not 60."""
    hog = Task(Identity(9, 9), 60 * MIB, False, 5.0)
    critical = Task(Identity(1, 1), 100 * MIB, True)
    innocents = [Task(Identity(i, i), 20 * MIB, False, 0.0, 18 * MIB) for i in (10, 11, 12)]
    values = {t.identity: 300 if t in innocents else 0 for t in (hog, critical, *innocents)}
    assert losses((hog, critical, *innocents), values, 20 * MIB, MIB // 3) == Loss(1, 3)


def test_growth_counts_only_in_its_own_domain():
    """A control group holds what is below it, the machine everything."""
    inside = Process(1, 1, 0, 0, Program('a'), cgroup='/robot/a')
    beside = Process(2, 2, 0, 0, Program('b'), cgroup='/robot2')
    assert domain(10).holds(inside) and not domain(10).holds(beside)
    assert Domain(None, 1000).holds(beside)


def test_what_can_never_be_killed_frees_nothing_however_it_grows():
    """-1000: the kernel passes it over, so playing its growth would end nowhere."""
    leak, rest = Task(Identity(1, 1), 10, False, 5.0), Task(Identity(2, 2), 10)
    assert losses((leak, rest), {leak.identity: -1000, rest.identity: 0}, 20, 1) == Loss(0, 0)
    assert losses((leak, rest), {leak.identity: -999, rest.identity: 0}, 20, 1) == Loss(0, 1)
    large = Task(Identity(3, 3), 5000)
    for value, lost in ((-1000, Loss(0, 0)), (-999, Loss(0, 1))):
        assert losses((leak, large), {leak.identity: 0, large.identity: value}, 20, 1) == lost


def test_the_value_of_what_grows_counts_with_its_size():
    """A small leak at 500 dies before a large process at 0."""
    leak, rest = Task(Identity(1, 1), 10, False, 5.0), Task(Identity(2, 2), 100)
    assert losses((leak, rest), {leak.identity: 500, rest.identity: 0}, 0, 1) == Loss(0, 0)


def test_what_a_dead_leak_frees_is_taken_by_the_next():
    """Of 100 pages 90 map files of others: 10 are free then, and the next one stays small."""
    first = Task(Identity(1, 1), 100, False, 5.0, 90)
    second, rest = Task(Identity(2, 2), 10, False, 1.0), Task(Identity(3, 3), 50)
    values = dict.fromkeys((first.identity, second.identity, rest.identity), 0)
    assert losses((first, second, rest), values, 0, 1) == Loss(0, 1)


def test_of_two_leaks_the_one_of_the_larger_badness_dies_first():
    """Ten pages at 50 points of two pages each weigh 110, fifty at 0 weigh 50."""
    small, large = Task(Identity(1, 1), 10, False, 1.0), Task(Identity(2, 2), 50, False, 1.0)
    rest = Task(Identity(3, 3), 55)
    values = {small.identity: 50, large.identity: 0, rest.identity: 0}
    assert losses((small, large, rest), values, 0, 2) == Loss(0, 0)


def test_each_protected_process_that_would_die_counts():
    """And each innocent: the sums are what plans are compared by."""
    leak = Task(Identity(1, 1), 10, False, 5.0)
    rest = [Task(Identity(n, n), 100 + n, n < 4, shared_pages=100 + n) for n in range(2, 7)]
    values = dict.fromkeys((t.identity for t in (leak, *rest)), 0)
    assert losses((leak, *rest), values, 0, 1) == Loss(2, 3)


@pytest.mark.parametrize('pages_per_s, left, found', [
    (0.0, 100, False), (0.3, 100, False), (0.5, 150, True), (0.0, 0, False), (0.1, 0, True)])
def test_the_slowest_growth_counts_where_hardly_anything_is_left(pages_per_s, left, found):
    """A hundred or 150 pages within five minutes; where nothing is left only what grows."""
    slow = Member(Task(Identity(9, 9), 20 * MIB, pages_per_s=pages_per_s), 'p9', 0, 20 * MIB,
                  False)
    made = level.Level(Domain('/robot', 300 * MIB, left), 45 * MIB, 'critical')
    judgement = foreign_growth.judge(made, [slow, member(1, 30, critical=True)])
    assert (judgement is not None) is found


def test_where_all_plans_cost_the_same_the_level_stays():
    """Nobody else is there."""
    found = judged([member(1, 30, critical=True), member(9, 5, mib_s=2.0, own=-500)], 15)
    assert found.cap_pages is None and found.chosen == found.without == Loss(1, 0)


def test_a_level_is_lowered_to_the_cap_of_its_domain_and_a_cap_of_0_drops_it():
    """Of the level and the cap the lower one holds; other domains stay."""
    made = level.Level(domain(15), 45 * MIB, 'critical')
    other = level.Level(Domain(None, 1000 * MIB), 9 * MIB, 'x')
    entry = foreign_growth.Foreign(Identity(9, 9), 'hog', '/robot', None, Loss(0, 0), Loss(0, 0))
    for cap, pages in ((None, 45 * MIB), (50 * MIB, 45 * MIB), (30 * MIB, 30 * MIB), (0, None)):
        found = foreign_growth.capped((made, other), {'/robot': replace(entry, cap_pages=cap)})
        assert found == (*(() if pages is None else (replace(made, pages=pages),)), other)
    assert foreign_growth.capped((made, other), {}) == (made, other)
