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

"""What a plan says of itself, and of whom: sentences, groups, and who may be touched."""

from dataclasses import replace
import errno
import json

from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Drift
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.protection import eligibility
from oom_sentinel.protection import grouping
from oom_sentinel.protection import notes
from oom_sentinel.protection import originals
from oom_sentinel.protection import respawn_hold
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.foreign_growth import Foreign
from oom_sentinel.protection.foreign_growth import Loss
from oom_sentinel.protection.known import Known
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.memory_groups import MemoryGroups
from oom_sentinel.protection.memory_groups import NoMemoryGroups
import pytest
from test_memory_groups import asked
from test_memory_groups import CRITICAL
from test_memory_groups import LIMITED
from test_memory_groups import RECORDERS
from test_memory_groups import target
from test_memory_groups import Tree
from test_plan import node
from test_plan import process
from test_plan import SETTINGS
from test_plan import values
from test_plan import VIEW

DRIVER = node(1000, 'rplidar_ros/rplidar_node')
DENIED = {DRIVER.identity: 0}


def chosen(**parameters):
    """Return settings; `__` in a name stands for a dot."""
    return settings.build({'groups': ['a'], 'group.a.match': ['exe:rplidar_node'], **{
        name.replace('__', '.'): value for name, value in parameters.items()}})


def said(plan_settings, known=None, denied=(), spared=()):
    """Return the notes."""
    return notes.notes(denied, spared, known or Known(), plan_settings)


def test_groups_that_a_denial_makes_equal_are_named_in_whole_sentences():
    """Two values were wanted and one is permitted."""
    localiser = node(1001, 'nav2_amcl/amcl', 'amcl')
    _, made = values((DRIVER, localiser), {**DENIED, localiser.identity: 0})
    assert 'all negative groups are at the same value, the lowest permitted one' in made.notes
    _, made = values((DRIVER, localiser), {**DENIED, localiser.identity: -100})
    assert not any('same value' in note for note in made.notes)


@pytest.mark.parametrize('count, end', [(3, 'd1, d2, d3'), (4, 'd1, d2, d3, ...')])
def test_three_of_those_that_look_like_drivers_are_named(count, end):
    """More are dots."""
    spared = tuple(process(n, f'/opt/ros/jazzy/lib/x/d{n}') for n in range(1, count + 1))
    (note,) = said(chosen(group__a__oom_score_adj=-400), spared=spared)
    assert note.endswith(f'controller: {end}')


def test_a_plan_names_those_that_it_spares():
    """A driver of no group is as it was."""
    camera = node(1005, 'camera_driver/camera_node')
    _, made = values((DRIVER, camera), DENIED)
    assert [p.pid for p in made.spared] == [1005]


def test_unkillable_and_very_low_values_are_named():
    """-1000 is written as -999 unless it is permitted."""
    (note,) = said(chosen(group__a__oom_score_adj=-1000))
    assert note == ('group a: -1000 is written as -999, because an unkillable leak takes '
                    'everything else; protection.allow_unkillable permits it')
    (note,) = said(chosen(group__a__oom_score_adj=-601))
    assert note == ('group a: -601 is so low that a leak in it kills every other node first; '
                    '-500 is the advised limit')
    assert said(chosen(group__a__oom_score_adj=-600)) == ()


def test_a_head_start_that_is_next_to_nothing_in_a_small_group_is_named():
    """Only where a group is negative: 0 is a head start nowhere."""
    known = Known(domains=(Domain(None, 8192 * 256), Domain('/small', 100 * 256),
                           Domain('/large', 164 * 256)))
    assert said(chosen(group__a__oom_score_adj=-500), known) == (
        '-500 is a head start of 48 MiB in control group /small and of 4095 MiB on this machine',)
    assert said(chosen(group__a__oom_score_adj=0), known) == ()
    for mib, count in ((100, 0), (99, 1)):
        known = Known(domains=(Domain(None, 5000 * 256), Domain('/small', mib * 256)))
        assert len(said(chosen(group__a__oom_score_adj=-500), known)) == count


def test_only_growth_that_lowers_the_others_loses_the_order():
    """A leak that dies first anyway is nothing to act on."""
    entry = Foreign(Identity(9, 9), 'hog (PID 9)', 'this machine', None, Loss(0, 0), Loss(0, 0))
    denied = values((DRIVER,), DENIED)[1].targets
    assert notes.lost(denied, (), {}, settings.build({'protection.when_denied': 'report'})) == (
        'lowering is denied and protection.when_denied is report: protected processes are no '
        'safer than the others',)
    takes = 'hog (PID 9), which cannot be raised, uses up the memory of this machine: the other '
    for cap, words in ((None, ()), (5, ('processes are raised only below it',)), (0, (
            'processes are not raised, because they would be killed before it',))):
        found = notes.lost(denied, (), {None: replace(entry, cap_pages=cap)}, SETTINGS)
        assert found == tuple(takes + word for word in words)


@pytest.mark.parametrize('pages, lost', [(1000, 0), (1001, 1)])
def test_a_level_that_no_value_reaches_loses_the_order(pages, lost):
    """A point weighs one page there."""
    found = notes.lost((), (Level(Domain('/robot', 1000), pages, '/big'),), {}, SETTINGS)
    assert found == (
        'in control group /robot /big is so large that no value lifts a small process above it: '
        'it is no safer than the others',) * lost


def test_each_thing_that_is_worth_knowing_is_a_whole_sentence():
    """Of four files in memory three are named."""
    files = tuple(UnmappedFile(f'/dev/shm/{name}', int(5.5 * (1 << 20))) for name in 'abcd')
    known = Known(unmapped={Identity(7, 1): files})
    denied = values((DRIVER,), DENIED)[1].targets
    spared = (process(8, '/opt/ros/jazzy/lib/x/lidar'),)
    assert said(chosen(group__a__oom_score_adj=-400), known, denied, spared) == (
        'processes of other users and those that are never raised are as safe as the protected '
        'ones',
        'not raised, because no group names it and it looks like a driver or a controller: lidar',
        *(f'/dev/shm/{name} (5 MiB) takes memory that counts for no process; PID 7 holds it open '
          'and is raised by as much' for name in 'abc'))


def test_a_launch_keeps_its_value_in_its_group_and_the_reason_is_given():
    """All that it starts would inherit a lower one."""
    launch = process(60, '/usr/bin/python3 /opt/ros/jazzy/bin/ros2 launch rplidar_node b')
    made = chosen(group__a__match=['cmd:*ros2 launch*'], group__a__oom_score_adj=-400)
    _, planned = values((launch,), chosen=made)
    (found,) = planned.targets
    assert (found.group, found.value) == ('a', 0)
    assert found.why == ('group a; a launch is not lowered, because all that it starts would '
                         'inherit its value')
    made = chosen(group__a__match=['cmd:*ros2 launch*'], group__a__oom_score_adj=0)
    (found,) = values((replace(launch, oom_score_adj=50),), chosen=made)[1].targets
    assert (found.value, found.why) == (0, 'group a')


def test_what_started_the_sentinel_is_raised_by_no_group():
    """Not even by one point: it would pass the value on."""
    made = chosen(group__a__match=['exe:starter'], group__a__oom_score_adj=1)
    assert values((process(50, '/usr/bin/starter'),), chosen=made)[0] == {}
    assert values((process(51, '/usr/bin/starter'),), chosen=made)[0] == {51: 1}
    made = chosen(group__a__match=['exe:starter'], group__a__oom_score_adj=0)
    assert values((process(50, '/usr/bin/starter'),), chosen=made)[0] == {50: 0}


def test_other_users_and_other_namespaces_are_not_written_to():
    """Unless protection.other_users says so."""
    stranger = process(5, '/usr/bin/a', uid=1001)
    assert not eligibility.eligible(stranger, SETTINGS, VIEW)
    assert eligibility.eligible(stranger, settings.build({'protection.other_users': True}), VIEW)
    inside = process(5, '/usr/bin/a', same_pid_namespace=False)
    assert not eligibility.eligible(inside, SETTINGS, VIEW)
    assert eligibility.eligible(process(5, '/usr/bin/a'), SETTINGS, VIEW)


def test_a_login_shell_is_known_by_its_dash_alone():
    """Where its executable may not be read there is only what it calls itself."""
    assert eligibility.is_infrastructure(process(5, '-bash', exe='-bash'))
    for name in ('-other', '-Xbash'):
        assert not eligibility.is_infrastructure(process(5, name, exe=name))


@pytest.mark.parametrize('words, is_launch', [
    ('python3 -a -b -c ros2 launch x', True), ('python3 -a -b -c -d ros2 launch x', False)])
def test_a_launch_is_known_by_its_first_six_words(words, is_launch):
    """What comes later is somebody's argument."""
    assert eligibility.is_launch(process(5, words)) is is_launch


def test_a_discovery_server_that_python_runs_is_infrastructure():
    """All nodes hang on it."""
    words = 'python3 /opt/ros/jazzy/bin/fastdds.py discovery -i 0'
    assert eligibility.is_infrastructure(process(5, words))


def test_ours_is_a_ros_process_of_user_namespace_and_domain():
    """Each of the four is asked for."""
    assert eligibility.ours(DRIVER, VIEW)
    for other in (replace(DRIVER, uid=1), replace(DRIVER, same_pid_namespace=False),
                  replace(DRIVER, same_pid_namespace=None), process(5, '/usr/bin/a'),
                  replace(DRIVER, program=replace(DRIVER.program, ros_domain_id=7))):
        assert not eligibility.ours(other, VIEW)


def test_ancestors_are_followed_as_far_as_they_are_known():
    """Also in a circle, which a reused PID can make."""
    table = (process(7, '/usr/bin/a', ppid=5), process(5, '/usr/bin/a', ppid=1),
             process(9, '/usr/bin/a', ppid=8), process(8, '/usr/bin/a', ppid=9))
    assert eligibility.ancestors(table, 7) == {7, 5, 1}
    assert eligibility.ancestors(table, 9) == {9, 8}
    assert eligibility.ancestors(table[:1], 7) == {7, 5}


@pytest.mark.parametrize('more, written', [
    ({}, True), ({'state': 'Z'}, False), ({'state': 'X'}, False), ({'state': 'D'}, True),
    ({'kernel_thread': True}, False)])
def test_what_has_ended_and_a_kernel_thread_are_not_written_to(more, written):
    """Neither PID 1 nor the sentinel itself is."""
    assert eligibility.eligible(process(5, '/usr/bin/a', **more), SETTINGS, VIEW) is written
    for pid in (1, VIEW.pid):
        assert not eligibility.eligible(process(pid, '/usr/bin/a', **more), SETTINGS, VIEW)


def test_nodes_that_a_selector_names_are_found():
    """By node: only; an excluded one is none."""
    made = chosen(group__a__match=['node:/nav*', '!node:/nav_x', 'exe:lidar'])
    names = ('/nav_a', '/lidar', '/other')
    assert grouping.selected_nodes(names, made) == ('/nav_a',)


def test_groups_that_die_as_one_are_named_where_a_protected_process_is():
    """memory.oom.group; all of them while nothing is protected."""
    whole = MemoryCgroup('/a', 2, oom_group=True)
    chains = (CgroupChain('/a/b', (whole, MemoryCgroup('/a/b', 2))),
              CgroupChain('/c', (MemoryCgroup('/c', 2, oom_group=True),)))
    targets = values((replace(DRIVER, cgroup='/a/b'),))[1].targets
    assert grouping.oom_group_paths(chains, targets) == ('/a',)
    assert grouping.oom_group_paths(chains, ()) == ('/a', '/c')
    equal = tuple(replace(t, wanted=0) for t in targets)
    assert grouping.oom_group_paths(chains, equal) == ('/a', '/c')
    assert grouping.oom_group_paths(Unavailable('none'), targets) == ()


def test_a_value_that_only_another_process_was_given_is_not_inherited():
    """The parent was never written to with it, though the sentinel wrote it elsewhere."""
    parent, child = process(10, '/usr/bin/a', adj=300), process(11, '/usr/bin/a', ppid=10)
    changes = {parent.identity: Change(parent.identity, 0, 300),
               Identity(99, 1): Change(Identity(99, 1), 0, 250)}
    for value, found in ((250, 0), (300, 1)):
        children = (replace(child, oom_score_adj=value),)
        assert len(originals.inherited(children, {10: parent}, changes, {},
                                       lambda process: False)) == found


@pytest.mark.parametrize('ahead_s, held_s', [(-1, 0), (30, 30), (120, 120), (121, 0)])
def test_respawns_wait_no_longer_than_two_minutes(tmp_path, ahead_s, held_s):
    """A time farther ahead is of an earlier boot."""
    tmp_path.chmod(0o700)
    path = tmp_path / respawn_hold.NAME
    path.write_text(json.dumps({'until_monotonic_s': 1000 + ahead_s}))
    path.chmod(0o600)
    assert respawn_hold.held_s(str(tmp_path), 1000.0) == held_s


def test_a_drift_names_both_values():
    """What the sentinel wrote, and what it found."""
    change = {DRIVER.identity: Change(DRIVER.identity, 0, -400)}
    wanted = Adjustment(DRIVER.identity, 'drivers', 100, -400, 'x')
    found = originals.drift(wanted, change, 'lidar', 5.0)
    assert found == Drift('lidar', 1000, -400, 100, 5.0)
    for old, value in ((-400, -400), (100, 100), (100, -300)):
        assert originals.drift(replace(wanted, old=old, value=value), change, 'x', 5.0) is None


def test_a_policy_without_memory_groups_has_nothing_to_undo():
    """As a launch's."""
    assert NoMemoryGroups().restore()


def test_limits_are_told_in_whole_mib():
    """Of 10.05 % of 1000 MiB."""
    tree = Tree(1)
    groups = MemoryGroups(tree)
    groups.update((), asked(**{'critical.memory_low': 10.05}), 0.0)
    assert f'group critical: memory.low 100 MiB in {CRITICAL}' in groups.notes
    tree.used[RECORDERS] = 300 << 20
    groups.update((), LIMITED, 40.0)
    assert ('group recorders holds 300 MiB, more than its memory_max_percent of 200 MiB: '
            'not limited yet') in groups.notes


def test_limits_are_written_once_and_a_failure_to_undo_them_gives_its_reason():
    """Each write to memory.max may reclaim."""
    tree, wrote = Tree(1), []
    set_limits = tree.set_limits
    tree.set_limits = lambda *words: wrote.append(words) or set_limits(*words)
    groups = MemoryGroups(tree)
    for now_s in (0.0, 40.0):
        groups.update((target(1, 'recorders'),), LIMITED, now_s)
    assert [path for path, *_ in wrote].count(RECORDERS) == 1

    def busy(path):
        raise OSError(errno.EBUSY, 'Device or resource busy', path)
    tree.remove = busy
    assert not groups.restore() and 'Device or resource busy' in groups.notes[0]


def test_a_value_of_0_that_is_not_permitted_is_no_denial():
    """Only what is lowered can be denied."""
    made = chosen(group__a__oom_score_adj=0)
    assert values((DRIVER,), {DRIVER.identity: 5}, chosen=made)[1].notes == ()
    made = chosen(group__a__oom_score_adj=-1)
    assert values((DRIVER,), {DRIVER.identity: 0}, chosen=made)[1].notes != ()


def test_only_processes_of_this_user_and_pid_namespace_are_raised():
    """Of a namespace that is unknown neither; with protection.raise ros only ROS processes."""
    plain, ros = process(5, '/usr/bin/a'), settings.build({'protection.raise': 'ros'})
    assert eligibility.raisable(plain, SETTINGS, VIEW)
    assert not eligibility.raisable(plain, ros, VIEW)
    assert eligibility.raisable(node(6, 'demo/talker'), ros, VIEW)
    everybody = settings.build({'protection.other_users': True})
    for change in ({'uid': 7}, {'same_pid_namespace': None}, {'same_pid_namespace': False}):
        assert not eligibility.raisable(replace(plain, **change), everybody, VIEW)
