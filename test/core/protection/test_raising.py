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

"""What raising does to whom, where lowering the protected processes was denied."""

from dataclasses import replace

from oom_sentinel import settings
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.protection import level
from oom_sentinel.protection import lowered
from oom_sentinel.protection import notes
from oom_sentinel.protection import sizes
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.families import Family
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.level import Protected
from oom_sentinel.protection.level import SOON_S
from oom_sentinel.protection.raising import WHY
import pytest
from test_plan import at_rest
from test_plan import holding
from test_plan import MACHINE
from test_plan import MIB
from test_plan import node
from test_plan import process
from test_plan import SETTINGS
from test_plan import values

PAGES = 256  # of a MiB
ROBOT = Domain('/robot', 300 * PAGES, 100 * PAGES)
DRIVER = holding(node(1000, 'rplidar_ros/rplidar_node', cgroup='/robot'), 100)
DENIED = {DRIVER.identity: 0}
BOTH = (MACHINE, ROBOT)


def inside(pid, command, mib, **more):
    """Return a process of no group in the robot's control group."""
    return holding(process(pid, command, cgroup='/robot', **more), mib)


def grown(member, rest_mib, now_mib):
    """Return sizes of a process that rested at so many MiB and holds more now."""
    found = at_rest((member,), {member.pid: rest_mib})
    size = found[member.identity]
    return {member.identity: replace(size, now=int(now_mib * MIB), bytes_per_s=5.0 * MIB)}


def test_the_value_is_the_largest_that_its_domains_ask():
    """100 MiB and 5 % of 300 MiB: 115 MiB weigh 383 points there, and 63 on the machine."""
    there, beside = inside(1003, '/usr/bin/a', 0), holding(process(1004, '/usr/bin/b'), 0)
    found, _ = values((DRIVER, there, beside), DENIED, domains=BOTH)
    assert found[1003] == -(-115 * PAGES // ROBOT.point)
    assert found[1004] == -(-(100 * PAGES + MACHINE.totalpages // 20) // MACHINE.point)


def test_a_domain_without_a_denied_process_asks_nothing():
    """Elsewhere nobody is raised."""
    elsewhere = replace(DRIVER, cgroup='/other')
    found, made = values((elsewhere, inside(1003, '/usr/bin/a', 0)), DENIED, domains=(ROBOT,))
    assert made.levels == () and 1003 not in found


def test_what_started_a_protected_process_is_never_raised():
    """A start script or a terminal: its end is the end of the robot.  Its other children are."""
    terminal = holding(process(1010, '/usr/bin/terminal'), 20)
    script = holding(process(1011, '/bin/bash start.sh', ppid=1010), 4)
    started = replace(DRIVER, ppid=1011)
    other = holding(process(1012, '/bin/bash', ppid=1010), 4)
    found, made = values((terminal, script, started, other), DENIED)
    assert found.get(1010, 0) == found.get(1011, 0) == 0 and found[1012] > 0
    assert {p.pid for p in made.raisable} == {1012}
    raised = (replace(terminal, oom_score_adj=300), script, started, other)
    assert values(raised, DENIED, {terminal.identity: 0})[0][1010] == 0


def test_a_value_of_its_own_that_is_higher_stays():
    """A browser's 700: never lowered, and it lifts nobody else."""
    browser = inside(1003, '/usr/bin/firefox', 10, adj=700)
    found, _ = values((DRIVER, browser, inside(1004, '/usr/bin/a', 0)), DENIED, domains=BOTH)
    assert found.get(1003, 700) == 700 and found[1004] < 700


def test_an_expendable_process_goes_before_an_innocent_of_its_size():
    """The larger of its own value and 30 more than the level asks."""
    bag = replace(inside(1003, '/opt/ros/jazzy/lib/rviz2/rviz2 --ros-args', 0), cgroup='/robot')
    found, _ = values((DRIVER, bag, inside(1004, '/usr/bin/a', 0)), DENIED, domains=BOTH)
    assert found[1003] == found[1004] + 30


def test_what_grows_is_never_lowered():
    """It was raised when it was small; its value stays while it leaks, and falls at rest."""
    leaker = inside(1003, '/usr/bin/a', 60, adj=380)
    known = {leaker.identity: 0}
    growing = {**at_rest((DRIVER,)), **grown(leaker, 5, 60)}
    assert values((DRIVER, leaker), DENIED, known, domains=BOTH, sizes=growing)[0][1003] == 380
    assert values((DRIVER, leaker), DENIED, known, domains=BOTH)[0][1003] < 200


def test_a_protected_process_that_outgrows_its_head_start_is_the_victim():
    """It does not lift the level; it is raised to it and named."""
    leaky = holding(node(1001, 'nav2_amcl/amcl', 'amcl', cgroup='/robot'), 60)
    table = (DRIVER, leaky, inside(1003, '/usr/bin/a', 0))
    still = at_rest(table)
    before, _ = values(table, {**DENIED, leaky.identity: 0}, domains=BOTH, sizes=still)
    found, made = values(table, {**DENIED, leaky.identity: 0}, domains=BOTH,
                         sizes={**still, **grown(leaky, 20, 60)})
    assert before[1001] == 0 and found[1003] == before[1003]
    assert found[1001] == -(-(115 - 60) * PAGES // ROBOT.point)
    assert [p.pid for p in made.outgrown] == [1001]


def test_the_head_start_that_is_left_is_what_is_missing_to_the_level():
    """Of the largest one it is 5 % of its domain."""
    _, made = values((DRIVER, inside(1003, '/usr/bin/a', 0)), DENIED, domains=(ROBOT,))
    assert dict(made.head_starts)[DRIVER.identity] == 15 * MIB


@pytest.mark.parametrize('left_mib, said', [(74, True), (75.5, False)])
def test_a_protected_process_whose_leak_would_cost_others_first_is_named(left_mib, said):
    """It rests at 39.5 MiB, 75.5 below the level: with less left, others are killed before it."""
    small = holding(node(1001, 'nav2_amcl/amcl', 'amcl', cgroup='/robot'), 39.5)
    place = replace(ROBOT, left_pages=int(left_mib * PAGES) + said)
    _, made = values((DRIVER, small, inside(1003, '/usr/bin/a', 0)),
                     {**DENIED, small.identity: 0}, domains=(place,))
    found = [n for n in made.notes if 'may grow by 75 MiB in control group /robot' in n]
    assert found == [
        '/amcl may grow by 75 MiB in control group /robot before it is killed first, but 74 MiB '
        'are left: when it leaks them within a second, others are killed before it'] * said
    elsewhere = replace(small, cgroup='/other')
    _, made = values((DRIVER, elsewhere, inside(1003, '/usr/bin/a', 0)),
                     {**DENIED, small.identity: 0}, domains=(place,))
    assert not any('may grow by' in n for n in made.notes)


@pytest.mark.parametrize('itself', [True, False])
def test_the_sentinel_is_never_the_one_whose_leak_would_cost_others(itself):
    """It is small, so it has the widest head start, and nobody can protect it otherwise."""
    made = Level(replace(ROBOT, left_pages=50 * PAGES), 115 * PAGES, 'driver')
    driver = Protected(DRIVER, 100 * PAGES, 100 * PAGES, 0, 0)
    other = Protected(inside(1001, '/usr/bin/a', 10), 10 * PAGES, 10 * PAGES, 0, 0, itself)
    assert bool(notes.wide((made,), (driver, other), 4096)) is not itself


@pytest.mark.parametrize('command', [
    '/usr/lib/systemd/systemd --user', '/usr/bin/dbus-daemon --session', '/usr/bin/pipewire',
    '/usr/lib/xorg/Xorg :0', '/usr/bin/gnome-shell', '/usr/sbin/sshd -D', '-bash',
    '/usr/bin/containerd-shim-runc-v2 -id x', '/usr/bin/conmon', '/usr/bin/dpkg -i x.deb',
    '/usr/bin/tmux new', '/usr/bin/screen -S x', '/usr/bin/supervisord',
    '/opt/ros/jazzy/lib/rmw_zenoh_cpp/rmw_zenohd', '/opt/x/bin/oom_sentinel_node'])
def test_what_the_session_depends_on_is_never_raised(command):
    """When it dies, all that runs in the session dies with it."""
    exe = '/bin/bash' if command == '-bash' else command.split()[0]
    found, _ = values((DRIVER, inside(1003, command, 0, exe=exe)), DENIED, domains=BOTH)
    assert found.get(1003, 0) <= 0


@pytest.mark.parametrize('path', [
    'puma_motor_driver/multi_puma_node', 'ur_robot_driver/ur_ros2_control_node',
    'acme_laser/node', 'my_gripper/node', 'ros2_socketcan/receiver'])
def test_a_node_of_no_group_that_looks_like_a_driver_is_not_raised_and_named(path):
    """A husky's motor driver must not be what the kernel takes first."""
    motor = holding(node(1003, path, cgroup='/robot'), 10)
    found, made = values((DRIVER, motor, inside(1004, '/usr/bin/a', 0)), DENIED, domains=BOTH,
                         chosen=settings.build({'groups': ['drivers']}))
    assert 1003 not in found and found[1004] > 0
    assert any('looks like a driver' in note and motor.label in note for note in made.notes)


def test_protection_raise_ros_leaves_other_programs_alone():
    """And the level is what ROS processes are raised to."""
    chosen = settings.build({'protection.raise': 'ros'})
    table = (DRIVER, inside(1003, '/usr/bin/a', 0),
             holding(node(1004, 'demo/talker', cgroup='/robot'), 0))
    found, _ = values(table, DENIED, domains=BOTH, chosen=chosen)
    assert 1003 not in found and found[1004] > 300


def test_a_file_in_memory_counts_for_the_process_that_writes_it():
    """60 MiB in /dev/shm that nobody maps: its writer is taken before an innocent."""
    writer = inside(1003, '/usr/bin/a', 10)
    files = {writer.identity: (UnmappedFile('/dev/shm/x', 60 * MIB),)}
    found, made = values((DRIVER, writer, inside(1004, '/usr/bin/b', 10)), DENIED, domains=BOTH,
                         unmapped=files)
    assert found[1003] == found[1004] + -(-60 * PAGES // ROBOT.point)
    assert any('/dev/shm/x (60 MiB)' in note and '1003' in note for note in made.notes)


def test_a_control_group_where_a_head_start_is_absurd_is_named():
    """-500 is 100 MiB in a group of 200 MiB, and 12 GiB on a machine of 24 GiB."""
    _, made = values((DRIVER,), {}, domains=(
        Domain(None, 24 * 1024 * PAGES), Domain('/robot', 200 * PAGES)))
    assert any('-500 is a head start of' in note and '/robot' in note for note in made.notes)


def test_a_process_that_has_just_begun_gets_what_an_empty_one_gets():
    """Its value is right before it grows."""
    fresh = inside(1003, '/usr/bin/a', 2)
    table = (DRIVER, fresh)
    known = {**at_rest((DRIVER,)), fresh.identity: sizes.first(fresh.memory, 0.0)}
    assert values(table, DENIED, domains=BOTH, sizes=known)[0][1003] == -(
        -(115 - 2) * PAGES // ROBOT.point)


def test_nobody_is_raised_for_the_sake_of_the_sentinel_alone():
    """Its own value is denied, that of no robot's process is."""
    sentinel = holding(process(99, '/opt/x/lib/oom_sentinel/node'), 60)
    found, made = values((sentinel, inside(1003, '/usr/bin/a', 0)), domains=BOTH)
    assert made.levels == () and found == {}


def test_without_a_denial_nobody_is_raised():
    """-500, -400 and -300 stand, and that is all."""
    found, made = values((DRIVER, inside(1003, '/usr/bin/a', 0)), {}, domains=BOTH)
    assert found == {1000: -400} and made.levels == () and SETTINGS.protection_raise == 'user'


def hog(pid, mib, cgroup='/robot', **more):
    """Return a process that cannot be raised: of another user."""
    return holding(process(pid, '/usr/bin/hog', uid=1001, cgroup=cgroup, **more), mib)


def foreign(table, *growing, last=None, **changes):
    """Return what is found of growth in the robot's group, where these processes grow."""
    found = at_rest(table)
    for one in growing:
        found.update({i: replace(s, **changes) for i, s in grown(one, 5, 40).items()})
    return values(table, DENIED, domains=(ROBOT,), sizes=found,
                  foreign=last or {})[1].foreign


def test_growth_in_another_group_is_none_here_and_one_behind_a_kernel_thread_is():
    """Each process of the domain is looked at, and no other."""
    beside, inside_ = hog(1003, 40, '/other'), hog(1003, 40)
    thread = process(3, 'kworker', kernel_thread=True, cgroup='/robot')
    assert foreign((DRIVER, beside), beside) == {}
    found = foreign((DRIVER, thread, inside_), inside_)['/robot']
    assert found.label == 'hog (PID 1003)' and found.domain == 'control group /robot'


def test_a_pace_that_is_left_of_what_rests_again_is_no_growth():
    """It holds no more than at rest."""
    resting = hog(1003, 40)
    assert foreign((DRIVER, resting), resting, high=40 * MIB) == {}


def test_what_is_raised_because_it_outgrew_its_head_start_says_so():
    """The reason stands behind its group."""
    leaky = holding(node(1001, 'nav2_amcl/amcl', 'amcl', cgroup='/robot'), 60)
    table = (DRIVER, leaky)
    _, made = values(table, {**DENIED, leaky.identity: 0}, domains=BOTH,
                     sizes={**at_rest(table), **grown(leaky, 20, 60)})
    why = {t.process.pid: t.why for t in made.targets}
    assert why[1001] == 'group navigation, raised because it outgrew its head start'
    assert 'outgrew' not in why[1000]


def test_growth_that_was_found_once_is_found_until_it_is_half_as_fast():
    """100 MiB are left: what takes them a little later than soon is none at first."""
    slow, mib_s = hog(1003, 40), 100 / SOON_S
    assert foreign((DRIVER, slow), slow, bytes_per_s=0.9 * mib_s * MIB) == {}
    last = {'/robot': slow.identity}
    assert foreign((DRIVER, slow), slow, last=last, bytes_per_s=0.9 * mib_s * MIB)
    assert foreign((DRIVER, slow), slow, last=last, bytes_per_s=0.4 * mib_s * MIB) == {}


def test_a_process_that_was_never_read_before_is_raised_by_what_it_holds_now():
    """It has no size yet."""
    new = inside(1003, '/usr/bin/a', 40)
    found, made = values((DRIVER, new), DENIED, domains=(ROBOT,), sizes=at_rest((DRIVER,)))
    assert found[1003] == -(-(115 - 40) * PAGES // ROBOT.point)
    assert {t.process.pid: t.why for t in made.raised}[1003] == WHY


def test_a_group_of_value_0_gets_what_a_process_of_no_group_gets():
    """Only what is expendable goes before the others."""
    chosen = settings.build({'groups': ['drivers', 'plain'], 'group.plain.match': ['exe:plain'],
                             'group.plain.oom_score_adj': 0})
    table = (DRIVER, inside(1003, '/usr/bin/plain', 0), inside(1004, '/usr/bin/a', 0))
    found, _ = values(table, DENIED, domains=BOTH, chosen=chosen)
    assert found[1003] == found[1004] > 0


def test_what_grows_is_raised_by_what_it_holds_at_rest():
    """Its leak comes on top of that: 60 MiB now, 5 at rest."""
    leaker = inside(1003, '/usr/bin/a', 60)
    found, _ = values((DRIVER, leaker), DENIED, domains=(ROBOT,),
                      sizes={**at_rest((DRIVER,)), **grown(leaker, 5, 60)})
    assert found[1003] == -(-(115 - 5) * PAGES // ROBOT.point)


@pytest.mark.parametrize('adj, changed, told', [(-300, True, False), (0, False, False),
                                                (100, True, True)])
def test_a_lowered_process_that_leaks_slowly_stays_the_victim_once_it_was_raised(
        adj, changed, told):
    """20 MiB are left and it takes one a second: nobody is raised anew for that."""
    leaky = holding(node(1001, 'nav2_amcl/amcl', 'amcl', cgroup='/robot', adj=adj), 60)
    size = replace(grown(leaky, 20, 60)[leaky.identity], bytes_per_s=1.0 * MIB)
    table = (replace(DRIVER, oom_score_adj=-400), leaky)
    found, made = values(table, originals={leaky.identity: 0} if changed else {},
                         domains=(replace(ROBOT, left_pages=20 * PAGES),),
                         sizes={**at_rest(table), leaky.identity: size})
    assert bool(made.outgrown) is told and found[1001] == (100 if told else -300)


@pytest.mark.parametrize('denied_in, why', [(None, WHY), ('/other', lowered.WHY)])
def test_the_reason_is_the_denial_only_where_that_holds_the_process(denied_in, why):
    """In the small group of 1003 every protected process was lowered, elsewhere none could be."""
    driver = replace(DRIVER, cgroup='/other')
    table = (driver, holding(node(1001, 'nav2_amcl/amcl', 'amcl', cgroup='/robot', adj=-300), 5),
             inside(1003, '/usr/bin/a', 0), inside(1004, '/usr/bin/b', 60))
    _, made = values(table, {driver.identity: 0},
                     domains=(replace(MACHINE, path=denied_in), ROBOT))
    assert {t.process.pid: t.why for t in made.raised}[1003] == why


def test_a_value_near_the_wanted_one_is_kept_only_where_the_sentinel_wrote_it():
    """What an expendable process brought along is replaced."""
    bag = inside(1003, '/opt/ros/jazzy/lib/rviz2/rviz2 --ros-args', 0)
    table = (DRIVER, bag, inside(1004, '/usr/bin/a', 0))
    wanted = values(table, DENIED, domains=BOTH)[0][1003]
    table = (DRIVER, replace(bag, oom_score_adj=wanted + 10), table[2])
    for originals, value in (({}, wanted), ({bag.identity: 0}, wanted + 10)):
        assert values(table, DENIED, originals, domains=BOTH)[0][1003] == value


@pytest.mark.parametrize('child_mib, largest', [(40, 1004), (20, 1003)])
def test_a_foreign_family_is_called_by_what_forked_it(child_mib, largest):
    """The graph knows the parent's node; the largest, of equals the first, stands for it."""
    parent, child = hog(1003, 20), hog(1004, child_mib, ppid=1003)
    size = replace(grown(parent, 5, 60)[parent.identity], now=60 * MIB)
    family = Family(parent.identity, '/hog', frozenset((parent.identity, child.identity)), size)
    found = values((DRIVER, parent, child), DENIED, domains=(ROBOT,),
                   families=dict.fromkeys(family.members, family))[1].foreign['/robot']
    assert (found.identity.pid, found.label) == (largest, f'/hog (PID {largest})')


def test_a_protected_process_that_is_above_the_level_by_its_size_needs_no_value():
    """It outgrew its head start, and is the first as it is."""
    leaky = holding(node(1001, 'nav2_amcl/amcl', 'amcl', cgroup='/robot'), 120)
    table = (DRIVER, leaky)
    found, made = values(table, {**DENIED, leaky.identity: 0}, domains=BOTH,
                         sizes={**at_rest(table), **grown(leaky, 20, 120)})
    assert found[1001] == 0 and [p.pid for p in made.outgrown] == [1001]


def test_the_reason_names_no_raise_where_the_groups_value_is_enough():
    """The level asks less than 300 of a large one."""
    bag = inside(1003, '/opt/ros/jazzy/lib/rviz2/rviz2 --ros-args', 100)
    _, made = values((DRIVER, bag), DENIED, domains=BOTH)
    assert [(t.value, t.why) for t in made.targets if t.process.pid == 1003] == [
        (300, 'group expendable')]


@pytest.mark.parametrize('wanted, present, growing, own, value', [
    (100, None, False, 0, 100), (100, None, False, 150, 150), (100, 40, False, 50, 100),
    (100, 90, False, 0, 90), (100, 89, False, 0, 100), (100, 120, False, 0, 120),
    (100, 121, False, 0, 100), (100, 121, True, 0, 121), (5, 0, False, 0, 0),
    (10, 0, False, 0, 0), (11, 0, False, 0, 11), (0, 30, False, 20, 30), (0, 41, False, 20, 20)])
def test_a_value_is_kept_from_ten_points_below_the_wanted_one_to_twenty_above(
        wanted, present, growing, own, value):
    """Never below its own, and never lowered while it grows."""
    assert level.kept(wanted, present, growing=growing, own=own) == value


def test_the_edges_of_a_level():
    """A leak counts that takes just five minutes; the whole head start is not outgrown yet."""
    place = Domain('/robot', 1000, 300)
    for pages_per_s, lift in ((1.0, 100), (0.99, 0)):
        assert level.Leak(60, pages_per_s).lift_pages(place) == lift
    assert level.Leak(60, 9.0).lift_pages(replace(place, left_pages=None)) == 0
    made = level.level(place, (Protected(DRIVER, 40, 40, 0, 0),))
    assert (made.pages, made.asks(40), made.asks(200), made.asks(-2000)) == (90, 50, -110, 1000)
    for grown_pages, outgrown in ((50, False), (51, True)):
        assert level.outgrown(Protected(DRIVER, 40, 91, grown_pages, 0), made) is outgrown
    for pages, reached in ((1000, True), (1001, False)):
        assert replace(made, pages=pages).reached is reached


def test_a_sentinel_that_has_the_value_it_wants_is_not_denied():
    """Then its head start is nobody's concern."""
    wanted = SETTINGS.protection_self_oom_score_adj
    for value, denied in ((wanted, False), (wanted + 1, True)):
        sentinel = holding(process(99, '/opt/x/lib/oom_sentinel/node', adj=value,
                                   cgroup='/robot'), 60)
        _, made = values((DRIVER, sentinel), DENIED, domains=BOTH)
        assert (sentinel.identity in dict(made.head_starts)) is denied


@pytest.mark.parametrize('value, lost', [(0, (0, 1)), (-1, (1, 0))])
def test_a_process_of_a_group_of_value_0_is_no_protected_loss(value, lost):
    """The hog of another user takes it; nobody is raised."""
    chosen = settings.build({'groups': ['drivers', 'plain'], 'group.plain.match': ['exe:plain'],
                             'group.plain.oom_score_adj': value})
    plain, taker = inside(1003, '/usr/bin/plain', 120), hog(1004, 50)
    table = (DRIVER, plain, taker)
    found = values(table, {**DENIED, plain.identity: 0}, chosen=chosen,
                   domains=(replace(ROBOT, left_pages=10 * PAGES),),
                   sizes={**at_rest(table), **grown(taker, 5, 50)})[1].foreign['/robot']
    assert (found.without.critical, found.without.innocent) == lost
