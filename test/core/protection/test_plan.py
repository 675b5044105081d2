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

"""The protection rules, on tables without a kernel."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.kernel.files import program
from oom_sentinel.protection import grouping
from oom_sentinel.protection import plan
from oom_sentinel.protection import sizes
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.known import Known
import pytest

VIEW = View(1000, 99, 0, frozenset({50}))
SETTINGS = settings.build({})


def process(pid, command, *, exe=None, adj=0, ppid=1, uid=1000, domain=0, **more):
    """Return a process as the table would read it."""
    words = command.split()
    found = program.classify(words[0].rpartition('/')[2][:15], words, exe or words[0])
    if found.ros:
        found = replace(found, ros_domain_id=domain)
    more.setdefault('same_pid_namespace', True)
    return Process(pid, pid * 10, ppid, uid, found, memory=TaskMemory(4096, 0, 4096),
                   oom_score_adj=adj, **more)


def node(pid, path, name=None, **more):
    """Return a ROS node below /opt/ros/jazzy/lib."""
    remap = f' -r __node:={name}' if name else ''
    return process(pid, f'/opt/ros/jazzy/lib/{path} --ros-args{remap}', **more)


MIB = 1 << 20
MACHINE = Domain(None, 8192 * 256, 4096 * 256)  # 8 GiB in pages of 4 KiB


def holding(made, mib):
    """Return a process with so many MiB resident, nothing swapped and no page tables."""
    return replace(made, memory=TaskMemory(int(mib * MIB), 0, 0))


def at_rest(processes, mib=None):
    """Return sizes of processes that rest at what they hold, or at so many MiB by PID."""
    found = {}
    for one in processes:
        size = sizes.first(one.memory, 0.0)
        rest = (mib or {}).get(one.pid)
        held = size.now if rest is None else int(rest * MIB)
        found[one.identity] = replace(size, settled=True, low=held, high=held)
    return found


def values(processes, floors=None, originals=None, chosen=SETTINGS, **more):
    """Return pid -> value, and the plan."""
    more.setdefault('domains', (MACHINE,))
    more.setdefault('sizes', at_rest(processes))
    made = plan.plan(processes, chosen, VIEW, Known(floors or {}, originals or {}, **more))
    return {t.process.pid: t.value for t in made.targets + made.raised}, made


def test_every_group_gets_its_value_and_others_are_left_alone():
    """Permission granted: nobody is raised who is in no group."""
    table = (node(1000, 'turtlebot3_node/turtlebot3_ros'), node(1001, 'nav2_amcl/amcl', 'amcl'),
             node(1002, 'rviz2/rviz2'), node(1003, 'demo/talker'), process(1004, '/usr/bin/top'))
    found, made = values(table)
    assert found == {1000: -500, 1001: -300, 1002: 300}
    assert made.levels == () and made.raised == ()


def test_denied_the_others_are_raised_to_the_level():
    """Its largest protected process at rest and 5 % of totalpages; an expendable one 30 more."""
    driver = holding(node(1000, 'rplidar_ros/rplidar_node'), 100)
    table = (driver, holding(node(1002, 'rviz2/rviz2'), 0), holding(node(1003, 'x/talker'), 0),
             holding(process(1004, '/usr/bin/top'), 200))
    found, made = values(table, {driver.identity: 0})
    level = 100 * 256 + MACHINE.totalpages // 20
    assert made.levels[0].pages == level
    assert found[1003] == -(-level // MACHINE.point)
    assert found[1002] == max(300, found[1003] + 30)
    assert found[1004] == -(-(level - 200 * 256) // MACHINE.point)
    assert found[1000] == 0


def test_the_lowest_permitted_value_counts_for_the_level():
    """A floor of -150 is a head start of 15 %: more than a small node needs."""
    driver = holding(node(1000, 'rplidar_ros/rplidar_node'), 100)
    table = (driver, holding(node(1003, 'x/talker'), 0))
    assert values(table, {driver.identity: -150})[0] == {1000: -150}


def test_denied_and_report_raises_nobody_and_says_so():
    """protection.when_denied: report."""
    driver = node(1000, 'rplidar_ros/rplidar_node')
    chosen = settings.build({'protection.when_denied': 'report'})
    found, made = values((driver, node(1003, 'demo/talker')), {driver.identity: 0}, None, chosen)
    assert found == {1000: 0} and made.lost_order and not made.raised


@pytest.mark.parametrize('command', [
    '/usr/bin/python3 /opt/ros/jazzy/bin/ros2 launch robot bringup.launch.py --ros-args',
    '/opt/ros/jazzy/lib/rmw_zenoh_cpp/rmw_zenohd --ros-args',
    '/opt/ros/jazzy/lib/micro_ros_agent/micro_ros_agent --ros-args'])
def test_infrastructure_is_never_raised(command):
    """Raising what every node hangs on would take the robot down."""
    driver = node(1000, 'rplidar_ros/rplidar_node')
    infrastructure = process(1005, command)
    found, _ = values((driver, infrastructure), {driver.identity: 0})
    assert found.get(1005, 0) <= 0


def test_ancestors_other_domains_other_users_and_other_namespaces_are_not_raised():
    """Only a ROS process of this uid, PID namespace and ROS_DOMAIN_ID."""
    driver = node(1000, 'rplidar_ros/rplidar_node')
    table = (driver, node(50, 'demo/parent'), node(1006, 'demo/talker', domain=7),
             node(1007, 'demo/talker', uid=1001),
             node(1008, 'demo/talker', same_pid_namespace=False))
    assert values(table, {driver.identity: 0})[0] == {1000: 0}


def test_an_ancestor_is_not_raised_even_when_it_is_expendable():
    """`colcon test` starts the sentinel: all it starts afterwards would inherit the value."""
    table = (process(50, '/usr/bin/python3 /usr/bin/colcon test', exe='/usr/bin/python3.12'),
             process(1001, '/usr/bin/python3 /usr/bin/colcon build', exe='/usr/bin/python3.12'))
    assert values(table)[0] == {1001: 300}


def test_another_domain_is_not_protected_either():
    """A simulation in another domain is not this robot."""
    assert values((node(1001, 'nav2_amcl/amcl', 'amcl', domain=3),))[0] == {}


def test_a_container_gets_the_lowest_value_of_its_nodes():
    """Several nodes in one process share one oom_score_adj."""
    chosen = settings.build({'groups': ['a', 'b'], 'group.a.match': ['node:/camera'],
                             'group.a.oom_score_adj': -100, 'group.b.match': ['node:/amcl'],
                             'group.b.oom_score_adj': -300})
    container = replace(node(1000, 'rclcpp_components/component_container', 'camera'),
                        listed_node_names=('/amcl', '/other'))
    assert values((container,), chosen=chosen)[0] == {1000: -300}


@pytest.mark.parametrize('own', ['camera', None])
def test_a_forged_name_lowers_no_component_container(own):
    """The ROS graph alone does not say what a container runs: it is asked itself."""
    chosen = settings.build({'groups': ['a'], 'group.a.match': ['node:/amcl'],
                             'group.a.oom_score_adj': -300})
    container = node(1000, 'rclcpp_components/component_container', *([own] if own else []))
    forged = replace(container, graph_node_names=('/amcl',))
    assert grouping.group_of(forged, chosen) is None
    assert '/amcl (only the ROS graph says' in grouping.unproven_nodes((forged,), chosen)[0]
    said = replace(forged, listed_node_names=('/amcl',))
    assert grouping.group_of(said, chosen).name == 'a'
    assert grouping.unproven_nodes((said,), chosen) == ()
    assert said.node_names == (('/camera',) if own else ()) + ('/amcl',)


def test_a_name_that_only_the_graph_knows_never_lowers():
    """Any peer can forge a GUID: a process that claims to be amcl gains nothing by it."""
    chosen = settings.build({'group.navigation.match': ['node:/amcl'],
                             'group.expendable.match': ['exe:rviz2', 'node:/big']})
    recorder = replace(node(1000, 'rviz2/rviz2'), graph_node_names=('/amcl',))
    unknown = replace(node(1001, 'my/localiser'), graph_node_names=('/amcl',))
    script = replace(process(1002, '/usr/bin/python3 node.py', exe='/usr/bin/python3.12'),
                     graph_node_names=('/amcl',))
    assert values((recorder, unknown, script), chosen=chosen)[0] == {1000: 300}
    told = grouping.unproven_nodes((recorder, unknown, script), chosen)
    assert all(f'/amcl (only the ROS graph says that it is PID {pid};' in text
               for pid, text in zip((1000, 1001, 1002), told))


def test_a_name_that_only_the_graph_knows_moves_nobody_who_says_who_it_is():
    """A forged name must not make a driver expendable either."""
    chosen = settings.build({'group.expendable.match': ['node:/big']})
    for known in (node(1000, 'my/driver'), node(1000, 'my/driver', 'driver')):
        forged = replace(known, graph_node_names=('/big',))
        assert grouping.group_of(forged, chosen) is None
    nameless = replace(process(1002, '/usr/bin/python3 node.py', exe='/usr/bin/python3.12'),
                       graph_node_names=('/big',))
    assert grouping.group_of(nameless, chosen).name == 'expendable'
    assert grouping.unproven_nodes((nameless,), chosen) == ()
    zero = settings.build({'groups': ['a'], 'group.a.match': ['node:/big'],
                           'group.a.oom_score_adj': 0})
    assert grouping.group_of(nameless, zero).name == 'a'


def test_an_inherited_negative_value_without_a_group_is_returned():
    """The leaker that inherited -500 from the unit would kill everything else first."""
    parent = process(60, '/usr/bin/python3 /opt/ros/jazzy/bin/ros2 launch a b', adj=-500)
    child = node(1000, 'demo/leaky', adj=-500, ppid=60)
    chosen_by_user = node(1001, 'demo/own', adj=-200, ppid=60)
    chosen = settings.build({'group.bringup.match': []})
    found, _ = values((parent, child, chosen_by_user), chosen=chosen)
    assert found == {1000: 0}
    # And stays so: what it inherited is no old value to give back at the next plan.
    returned = replace(child, oom_score_adj=0)
    found, _ = values((parent, returned), originals={child.identity: -500}, chosen=chosen)
    assert found == {1000: 0}


def test_minus_1000_is_clamped_unless_allowed():
    """An unkillable leak takes everything."""
    low = {'group.drivers.oom_score_adj': -1000}
    driver = node(1000, 'rplidar_ros/rplidar_node')
    clamped, made = values((driver,), chosen=settings.build(low))
    assert clamped == {1000: -999} and any('-999' in note for note in made.notes)
    allowed = settings.build({**low, 'protection.allow_unkillable': True})
    assert values((driver,), chosen=allowed)[0] == {1000: -1000}


@pytest.mark.parametrize('command', [
    'vim /opt/ros/jazzy/lib/rplidar_ros/rplidar_node', 'gdb --args rplidar_node --ros-args',
    'bash -c rplidar_node', 'grep ros2 launch x', 'bash -c /usr/bin/ros2 launch a b'])
def test_bystanders_are_not_protected(command):
    """Shells, editors and debuggers name programs; they are not them."""
    assert values((process(1000, command, exe='/usr/bin/' + command.split()[0]),))[0] == {}


adjs = st.integers(-1000, 1000)


@given(st.lists(st.tuples(st.sampled_from([
    'turtlebot3_node/turtlebot3_ros', 'rviz2/rviz2', 'demo/talker', 'nav2_amcl/amcl']), adjs),
    max_size=8), adjs)
def test_the_plan_is_idempotent_and_in_range(rows, floor):
    """Written once, there is nothing more to write, and every value is one the kernel takes."""
    table = tuple(node(1000 + i, path, adj=adj) for i, (path, adj) in enumerate(rows))
    floors = {p.identity: floor for p in table}
    known = Known(floors, {}, domains=(MACHINE,), sizes=at_rest(table))
    made = plan.plan(table, SETTINGS, VIEW, known)
    assert all(-1000 <= t.value <= 1000 for t in made.targets)
    new = {t.process.pid: t.value for t in made.targets + made.raised}
    table = tuple(replace(p, oom_score_adj=new.get(p.pid, p.oom_score_adj)) for p in table)
    originals = {t.process.identity: t.wanted for t in made.raised}
    again = plan.plan(table, SETTINGS, VIEW, replace(known, originals=originals))
    assert plan.adjustments(again) == ()


def test_a_new_process_asks_for_a_plan_only_where_that_can_give_it_a_value():
    """In a group, or as a node that may have its parent's value; levels serve the others."""
    made = plan.Plan()
    group = SETTINGS.protection_groups[0]
    talker, low = node(5, 'demo/talker'), node(5, 'demo/talker', adj=-400)
    assert made.outdated_by(process(5, 'sleep 9'), group)
    assert not made.outdated_by(process(5, 'sleep 9', adj=-400), None)
    assert not made.outdated_by(talker, None) and made.outdated_by(low, None)
    assert not replace(made, levels=(None,)).outdated_by(low, None)


def test_a_graph_name_behind_a_process_without_any_is_told():
    """Each process is looked at."""
    chosen = settings.build({'group.navigation.match': ['node:/amcl']})
    unknown = replace(node(1001, 'my/localiser'), graph_node_names=('/amcl',))
    assert grouping.unproven_nodes((process(5, '/usr/bin/top'), unknown), chosen)


def test_a_value_of_0_is_inherited_by_nobody():
    """protection.unmatched_oom_score_adj is for negative values alone."""
    chosen = settings.build({'protection.unmatched_oom_score_adj': 50})
    parent, child = process(60, '/usr/bin/a'), node(1000, 'demo/talker', ppid=60)
    assert values((parent, child), chosen=chosen)[0] == {}
    low = [replace(p, oom_score_adj=-1) for p in (parent, child)]
    found, made = values(low, chosen=chosen)
    assert found == {1000: 50}
    assert made.targets[0].why == 'no group matches and its negative value was only inherited'


def test_an_old_value_that_is_given_back_says_why():
    """The group's selector is gone."""
    driver = node(1000, 'rplidar_ros/rplidar_node', adj=-400)
    chosen = settings.build({'group.drivers.match': []})
    _, made = values((driver,), originals={driver.identity: 7}, chosen=chosen)
    assert [(t.value, t.why) for t in made.targets] == [
        (7, 'no group matches any more: its old value')]


def test_an_adjustment_says_what_is_written_for_which_group_and_why():
    """What is right already is not written."""
    table = (node(1000, 'rplidar_ros/rplidar_node', adj=5),
             node(1001, 'nav2_amcl/amcl', 'amcl', adj=-300))
    assert plan.adjustments(values(table)[1]) == (
        Adjustment(table[0].identity, 'drivers', 5, -400, 'group drivers'),)


def test_a_process_that_may_not_be_written_to_hides_none_behind_it():
    """Another user's, or one whose value cannot be read."""
    driver = node(1000, 'rplidar_ros/rplidar_node')
    for other in (replace(driver, pid=999, uid=7), replace(driver, pid=999, oom_score_adj=None)):
        assert values((other, driver))[0] == {1000: -400}
