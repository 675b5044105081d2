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

"""
Real OOM kills in a memory control group: who dies, with the sentinel and without.

Every storm counts all deaths: with the sentinel never more innocents die than without it.
"""

import os
import shutil
import time

from conftest import lowering_permitted
from conftest import oom_score_adj
from conftest import running_sentinel
from conftest import wait_for
from limited import limited_cgroup  # noqa: F401
from limited import raising_alone  # noqa: F401
from oom_sentinel.protection.sizes import APART_S
import pytest

ROUNDS = int(os.environ.get('OOM_SENTINEL_STORMS', '3'))
PARAMETERS = {
    'scan_period': 0.2, 'publish_period': 0.5, 'groups': ['critical', 'expendable'],
    'group.critical.match': ['exe:critical'], 'group.critical.oom_score_adj': -500,
    'group.expendable.match': ['exe:recorder'], 'group.expendable.oom_score_adj': 300,
}


class Storm:
    """A critical node, three innocents and a leaker in one control group."""

    def __init__(self, robot, cgroup, tmp_path, *, critical_mib=150, leaker=('demo', 'leaky'),
                 ros_leaker=True, innocent_mib=5, leak_mib_s=400.0):
        """Start them; the leak waits for `break_loose`."""
        self.go = tmp_path / f'go_{time.monotonic_ns()}'
        inside = {'preexec': cgroup.join}
        self.critical = robot.start('base', 'critical', node='critical', mib=critical_mib,
                                    **inside)
        self.innocents = [robot.start('demo', f'innocent{i}', node=f'innocent{i}',
                                      mib=innocent_mib, **inside) for i in range(3)]
        self.leaker = robot.start(*leaker, node='leaky' if ros_leaker else None,
                                  ros=ros_leaker, leak_mib_s=leak_mib_s, go=self.go, **inside)
        self.everyone = [self.critical, *self.innocents, self.leaker]

    def break_loose(self):
        """Let it leak until the leaker is dead; return (critical died, dead innocents)."""
        self.go.touch()
        wait_for(lambda: self.leaker.poll() is not None, 'the leaker dies in the end', 60)
        assert self.leaker.returncode == -9
        time.sleep(0.2)
        innocents = sum(1 for child in self.innocents if child.poll() is not None)
        return self.critical.poll() is not None, innocents

    def protected(self, leaker=0):
        """Return whether the critical one has its value, and the leaker at least its own."""
        low = -500 if LOWERING else 0
        raised = oom_score_adj(self.leaker.pid)
        return oom_score_adj(self.critical.pid) == low and (
            raised == leaker if LOWERING else raised > max(leaker, ANY_RAISE))

    def both_protected(self):
        """Return whether critical one and leaker have a negative group's value, or others more."""
        low = -500 if LOWERING else 0
        both = oom_score_adj(self.critical.pid) == oom_score_adj(self.leaker.pid) == low
        return both and (LOWERING or oom_score_adj(self.innocents[0].pid) > ANY_RAISE)

    def settle(self):
        """
        Let the sentinel see that every process rests: two equal readings in a row.

        What grows from its first moment on is believed to be starting, and its size to be its own.
        """
        time.sleep(12 * APART_S)

    def end(self):
        """Kill and reap everybody."""
        for child in self.everyone:
            child.kill()
            child.wait()


LOWERING = lowering_permitted()
ANY_RAISE = 100  # what the machine asks is below, what the control group asks above


def test_without_the_sentinel_the_critical_node_dies(robot, cgroup, tmp_path):
    """The kernel takes the largest, which is the critical one: the trouble we exist for."""
    storm = Storm(robot, cgroup, tmp_path)
    assert storm.break_loose() == (True, 0)
    storm.end()


@pytest.mark.parametrize('leaker', [('demo', 'leaky'), ('rosbag', 'recorder')])
def test_with_the_sentinel_only_the_leaker_dies(robot, cgroup, tmp_path, leaker):
    """Round after round, whether the leaker is in a group or in none."""
    value = 300 if leaker[1] == 'recorder' else 0
    with running_sentinel(PARAMETERS):
        for _ in range(ROUNDS):
            storm = Storm(robot, cgroup, tmp_path, leaker=leaker)
            wait_for(lambda: storm.protected(value), 'everybody has the value of the plan')
            assert storm.break_loose() == (False, 0)
            storm.end()


def test_a_leak_in_a_protected_node_takes_only_itself(robot, cgroup, tmp_path):
    """Once it outgrows its head start it dies; the innocents and the other one do not."""
    parameters = dict(PARAMETERS)
    parameters['group.critical.match'] = ['exe:critical', 'exe:leaky']
    with running_sentinel(parameters):
        storm = Storm(robot, cgroup, tmp_path, critical_mib=40)
        wait_for(storm.both_protected, 'the leaker is protected too')
        storm.settle()
        assert storm.break_loose() == (False, 0)
        storm.end()


def test_a_leak_in_a_component_container_takes_only_itself(robot, cgroup, tmp_path):
    """A container that leaks while its name is protected is no exception."""
    parameters = dict(PARAMETERS)
    parameters['group.critical.match'] = ['exe:critical', 'node:/leaky']
    with running_sentinel(parameters):
        storm = Storm(robot, cgroup, tmp_path, critical_mib=40,
                      leaker=('rclcpp_components', 'component_container'))
        wait_for(storm.both_protected, 'the container is protected')
        storm.settle()
        assert storm.break_loose() == (False, 0)
        storm.end()


@pytest.mark.usefixtures('raising_alone')
@pytest.mark.parametrize('raises, pace, critical, innocent', [
    ('user', 400.0, 150, 5), ('user', 20.0, 30, 40), ('ros', 20.0, 30, 40)])
def test_a_leak_outside_ros_kills_no_more_than_without_the_sentinel(
        robot, cgroup, tmp_path, raises, pace, critical, innocent):
    """
    Where it is raised like a node, and where only nodes are: compare all deaths.

    With protection.raise `ros` a leak outside ROS must be slow enough to be seen (docs/tuning.md).
    """
    def storm():
        return Storm(robot, cgroup, tmp_path, leaker=('x', 'hog'), ros_leaker=False,
                     critical_mib=critical, innocent_mib=innocent, leak_mib_s=pace)

    without = storm()
    before = without.break_loose()
    without.end()
    with running_sentinel({**PARAMETERS, 'protection.raise': raises}):
        beside = storm()
        wait_for(lambda: LOWERING or oom_score_adj(beside.innocents[0].pid) > 0,
                 'innocents have their value')
        after = beside.break_loose()
        beside.end()
    assert sum(after) <= sum(before), (before, after)


def test_values_outlive_a_killed_sentinel_and_still_protect(robot, cgroup, tmp_path):
    """A sentinel that dies leaves its values; the storm after it takes only the leaker."""
    with running_sentinel(PARAMETERS) as sentinel:
        storm = Storm(robot, cgroup, tmp_path)
        wait_for(storm.protected, 'everybody has the value of the plan')
        sentinel.kill()
        sentinel.wait()
        assert storm.break_loose() == (False, 0)
        storm.end()


def test_the_lock_folder_of_the_tests_is_private():
    """The tests must never touch the state of a sentinel that runs on this machine."""
    assert shutil.disk_usage(os.environ['XDG_RUNTIME_DIR']).total > 0
    assert os.environ['XDG_RUNTIME_DIR'] != f'/run/user/{os.geteuid()}'
