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

"""What is raised where lowering the protected processes was permitted."""

from dataclasses import replace

from oom_sentinel import settings
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.protection import lowered
from oom_sentinel.protection import sizes
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.families import Family
from oom_sentinel.protection.foreign_growth import Member
from oom_sentinel.protection.foreign_growth import Task
from oom_sentinel.protection.level import Level
import pytest
from test_plan import at_rest
from test_plan import holding
from test_plan import MACHINE
from test_plan import MIB
from test_plan import node
from test_plan import process
from test_plan import values

PAGES = 256  # of a MiB
ROBOT = Domain('/robot', 300 * PAGES, 40 * PAGES)
LARGE = Domain('/robot', 4096 * PAGES, 40 * PAGES)
DRIVER = holding(node(1000, 'rplidar_ros/rplidar_node', cgroup='/robot'), 60)
SMALL, LARGEST = (holding(process(pid, f'/usr/bin/p{pid}', cgroup='/robot'), mib)
                  for pid, mib in ((1003, 10), (1004, 40)))
TABLE = (DRIVER, SMALL, LARGEST)


def leaking(member, rest_mib, mib_s=20.0):
    """Return sizes in which a process of TABLE has grown from its rest."""
    known = at_rest(TABLE, {member.pid: rest_mib})
    size = known[member.identity]
    return {**known, member.identity: replace(size, bytes_per_s=mib_s * MIB)}


def test_in_a_small_control_group_unprotected_processes_are_made_equal():
    """So that whatever grows is killed first, also when it is too fast to be seen."""
    found, made = values(TABLE, domains=(ROBOT,))
    assert found == {1000: -400, 1003: -(-30 * PAGES // ROBOT.point)} and not made.lost_order
    assert 'this control group is small' in made.raised[0].why


@pytest.mark.parametrize('domain', [LARGE, MACHINE, Domain(None, 1024 * PAGES, 40 * PAGES)])
def test_where_a_leak_is_seen_in_time_nobody_is_raised(domain):
    """On a machine and in a large control group the values of the groups keep the order."""
    found, made = values(TABLE, domains=(domain,))
    assert found == {1000: -400} and made.levels == () and made.may_raise


def test_what_grows_or_has_a_value_of_its_own_does_not_lift_the_others():
    """A leak would lift them at every scan, and a browser's 300 says that it goes first."""
    assert values(TABLE, domains=(ROBOT,), sizes=leaking(LARGEST, 5))[0].get(1003, 0) == 0
    browser = replace(LARGEST, oom_score_adj=300)
    assert values((DRIVER, SMALL, browser), domains=(ROBOT,))[0] == {1000: -400}


@pytest.mark.parametrize('other', [
    replace(LARGEST, cgroup='/other'), replace(LARGEST, uid=0)])
def test_only_what_may_be_raised_in_the_same_control_group_lifts_the_others(other):
    """Elsewhere another limit counts, and another user's process is out of reach."""
    assert values((DRIVER, SMALL, other), domains=(ROBOT,))[0] == {1000: -400}


def test_where_one_lowering_was_denied_the_level_alone_counts():
    """The domain is then no lowered one."""
    made = values(TABLE, {DRIVER.identity: 0}, domains=(ROBOT,))[1]
    assert made.lowered == () and len(made.levels) == 1


def test_a_protected_process_too_large_for_its_value_lifts_the_others_above_it():
    """260 MiB at -400 weigh 141 MiB in a group of 300: 156 with its head start."""
    large = holding(DRIVER, 260)
    found, _ = values((large, SMALL), domains=(ROBOT,))
    level = 260 * PAGES - 400 * ROBOT.point + ROBOT.head_start_pages
    assert found == {1000: -400, 1003: -(-(level - 10 * PAGES) // ROBOT.point)}


def test_a_protected_process_that_starts_lifts_nobody_where_it_could_be_lowered():
    """A leak may begin like a start: the others would be lifted above it and die first."""
    large = holding(DRIVER, 260)
    known = at_rest((large, SMALL), {})
    starts = {**known, large.identity: replace(known[large.identity], settled=False)}
    assert values((large, SMALL), domains=(ROBOT,), sizes=starts)[0] == {1000: -400}
    assert values((large, SMALL), domains=(ROBOT,), sizes=known)[0][1003] > 0


def test_each_member_of_a_leaking_fork_family_weighs_what_all_of_it_leaked():
    """Children of 8 MiB show no leak: on the machine too they are raised by its growth."""
    size = replace(sizes.first(TaskMemory(50 * MIB, 0, 0), 0.0), settled=True, low=10 * MIB,
                   high=10 * MIB, bytes_per_s=20.0 * MIB)
    family = Family(SMALL.identity, 'forker', frozenset({SMALL.identity}), size)
    enough, short = (replace(MACHINE, left_pages=mib * PAGES) for mib in (6100, 5900))
    found, _ = values(TABLE, domains=(enough,), families={SMALL.identity: family})
    assert found == {1000: -400}  # after 300 s something is left
    found, _ = values(TABLE, domains=(short,), families={SMALL.identity: family})
    head_start = short.head_start_pages  # whole ones: few writes
    assert found == {1000: -400, 1003: -(-head_start // short.point)}
    elsewhere = (DRIVER, replace(SMALL, cgroup='/other'))
    assert values(elsewhere, domains=(replace(ROBOT, left_pages=20 * PAGES),),
                  families={SMALL.identity: family})[0] == {1000: -400}


def test_what_was_raised_for_a_leak_is_given_back_when_it_does_not_grow():
    """And not before: what grows is never lowered."""
    raised = replace(SMALL, oom_score_adj=15)
    known = {SMALL.identity: 0}
    found, _ = values((DRIVER, raised), None, known, sizes=leaking(SMALL, 2))
    assert found[1003] == 15
    assert values((DRIVER, raised), None, known)[0][1003] == 0


def test_a_file_in_memory_counts_for_its_writer_on_the_machine_too():
    """500 MiB in /dev/shm that nobody maps."""
    files = {SMALL.identity: (UnmappedFile('/dev/shm/x', 500 * MIB),)}
    found, made = values(TABLE, domains=(MACHINE,), unmapped=files)
    assert found == {1000: -400, 1003: -(-500 * PAGES // MACHINE.point)}
    assert SMALL in made.raisable and DRIVER not in made.raisable


def test_a_protected_leak_that_would_take_the_others_is_raised_to_be_the_victim():
    """60 MiB at -400, 40 are left: both innocents would be killed before it."""
    found, made = values(TABLE, domains=(ROBOT,), sizes=leaking(DRIVER, 20))
    assert 60 * PAGES + found[1000] * ROBOT.point >= 40 * PAGES > 60 * PAGES - 400 * ROBOT.point
    assert made.outgrown == (DRIVER,)
    assert 'outgrew its head start' in made.targets[0].why


@pytest.mark.parametrize('rest_mib, mib_s, domain', [
    (50, 20.0, ROBOT), (20, 3.0, ROBOT), (20, 0.0, ROBOT), (20, 20.0, MACHINE)])
def test_a_protected_process_keeps_its_value_while_nobody_would_die_for_it(
        rest_mib, mib_s, domain):
    """Within its head start, at 13 s to the end, at rest again, or where enough is left."""
    found, made = values(TABLE, domains=(domain,), sizes=leaking(DRIVER, rest_mib, mib_s))
    assert found[1000] == -400 and made.outgrown == ()


def test_only_the_leaking_of_two_protected_processes_is_the_victim():
    """Not the one within its head start, nor one that has grown and rests."""
    for rest_mib, mib_s in ((50, 20.0), (20, 0.0)):
        second = replace(DRIVER, pid=1001, start_time=10010)
        size = leaking(DRIVER, rest_mib, mib_s)[DRIVER.identity]
        known = {**leaking(DRIVER, 20), second.identity: size}
        found, made = values((second, *TABLE), domains=(ROBOT,), sizes=known)
        assert found[1001] == -400 < found[1000] and made.outgrown == (DRIVER,)


def test_a_leak_of_another_process_makes_no_protected_one_the_victim():
    """At 3 MiB/s its own leak takes 13 s; that of the hog kills the hog."""
    hog = holding(process(1005, '/usr/bin/hog', cgroup='/robot'), 60)
    size = leaking(DRIVER, 20)[DRIVER.identity]
    known = {**leaking(DRIVER, 20, 3.0), hog.identity: size}
    found, made = values((hog, *TABLE), domains=(ROBOT,), sizes=known)
    assert found[1000] == -400 and made.outgrown == ()


def test_a_leak_that_is_the_largest_all_the_same_keeps_its_value():
    """200 MiB at -400 weigh 82 MiB, more than anybody else."""
    large = holding(DRIVER, 200)
    size = sizes.first(large.memory, 0.0)
    known = {**at_rest(TABLE), DRIVER.identity: replace(
        size, settled=True, low=20 * MIB, high=20 * MIB, bytes_per_s=20.0 * MIB)}
    found, made = values((large, SMALL, LARGEST), domains=(ROBOT,), sizes=known)
    assert found[1000] == -400 and made.outgrown == ()


def test_what_wants_to_go_first_stays_before_the_victim():
    """A browser at 300 weighs 119 MiB: the leak is not raised above it."""
    browser = holding(process(1006, '/usr/bin/firefox', cgroup='/robot', adj=300), 30)
    found, _ = values((browser, *TABLE), domains=(ROBOT,),
                      sizes={**leaking(DRIVER, 20), **at_rest((browser,))})
    assert found[1000] > -400 and 60 * PAGES + found[1000] * ROBOT.point < 50 * PAGES


def test_a_protected_process_that_was_raised_is_not_lowered_while_little_is_left():
    """Its own growth asks for less at every scan; it stays the victim, then gets -400 again."""
    raised = replace(DRIVER, oom_score_adj=-20)
    for mib_s, left_mib, value in ((20.0, 40, -20), (0.1, 20, -20), (0.1, 40, -400)):
        found, _ = values((raised, SMALL, LARGEST), None, {DRIVER.identity: 0},
                          domains=(replace(ROBOT, left_pages=left_mib * PAGES),),
                          sizes=leaking(DRIVER, 20, mib_s))
        assert found[1000] == value


def test_a_node_that_another_program_set_higher_is_no_victim():
    """It was never changed by us: it gets its group's value."""
    table = (replace(DRIVER, oom_score_adj=0), SMALL, LARGEST)
    found, made = values(table, domains=(replace(ROBOT, left_pages=20 * PAGES),),
                         sizes=leaking(DRIVER, 20, 0.1))
    assert found[1000] == -400 and made.outgrown == ()


def test_report_raises_nobody_where_lowering_is_permitted():
    """protection.when_denied: report."""
    chosen = settings.build({'protection.when_denied': 'report'})
    found, made = values(TABLE, chosen=chosen, domains=(ROBOT,))
    assert found == {1000: -400} and not made.may_raise and not made.lost_order


@pytest.mark.parametrize('path, total_bytes, pages', [
    ('/a', lowered.SMALL_BYTES, 70), ('/a', lowered.SMALL_BYTES + 4096, 5),
    (None, lowered.SMALL_BYTES, 5)])
def test_a_control_group_of_two_gib_is_small_and_a_machine_is_never(path, total_bytes, pages):
    """There the largest at rest sets the level."""
    made = Level(Domain(path, total_bytes // 4096), 5, 'x')
    assert lowered.even(made, (30, 70), 4096).pages == pages
    assert lowered.even(replace(made, pages=-9), (), 4096).pages == (0 if pages == 70 else -9)


def member(pid, held, grown=0, own=-400, critical=True, pace=0.0, above=False):
    """Return a member of a domain, in pages."""
    return Member(Task(Identity(pid, pid), held, critical, pace), f'p{pid}', own, held, False,
                  grown, above)


@pytest.mark.parametrize('grown, own, other, value', [
    (50, -400, 0, None), (51, -400, 0, 240), (51, -400, 1, None), (51, 5, 6, None)])
def test_a_protected_process_is_a_victim_beyond_its_whole_head_start(grown, own, other, value):
    """Of 1000 pages; where everybody is above 0 it keeps its value."""
    made = Level(Domain('/a', 1000, 10), 100, 'x')
    found = lowered.victims(made, [member(1, 60, grown, own, pace=30.0),
                                   member(2, 300, own=other, critical=False)])
    assert found.get(Identity(1, 1)) == value


@pytest.mark.parametrize('pace, value', [(1.0, 240), (0.99, None)])
def test_a_leak_that_takes_all_within_ten_seconds_makes_a_victim(pace, value):
    """Ten pages are left."""
    found = lowered.victims(Level(Domain('/a', 1000, 10), 100, 'x'), [
        member(1, 60, 51, pace=pace), member(2, 300, own=0, critical=False)])
    assert found.get(Identity(1, 1)) == value


@pytest.mark.parametrize('left, kept', [(99, True), (100, False)])
def test_a_victim_keeps_its_value_while_less_than_two_head_starts_are_left(left, kept):
    """Of 50 pages each; it does not grow any more."""
    found = lowered.victims(Level(Domain('/a', 1000, left), 100, 'x'), [
        member(1, 60, 51, own=70, above=True), member(2, 300, own=0, critical=False)])
    assert found == ({Identity(1, 1): 70} if kept else {})
