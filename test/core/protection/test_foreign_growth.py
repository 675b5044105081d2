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

"""Whether what grows can be raised, on tables without a kernel."""

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.protection import foreign_growth
from oom_sentinel.protection import plan
from test_plan import node
from test_plan import VIEW

MIB = 1 << 20


def table(**held_mib):
    """Return processes that hold so many MiB; PIDs by name: node 1, talker 2, hog 3."""
    pids = {'node': 1, 'talker': 2, 'hog': 3}
    return tuple(Process(pids[name], 1, 0, 0, Program(name),
                         memory=TaskMemory(int(mib * MIB), 0, 0))
                 for name, mib in held_mib.items())


RAISABLE = {Identity(1, 1), Identity(2, 1)}


def after(steps):
    """Return the PID found growing after these (seconds, table) steps."""
    means = foreign_growth.Means()
    for now_s, processes in steps:
        means = foreign_growth.watch(means, processes, RAISABLE, now_s)
    return means.growing and means.growing.pid


def test_an_outsider_that_leaks_is_found():
    """2 MiB a second for half a minute."""
    assert after((t, table(node=40, hog=100 + 2 * t)) for t in range(0, 30, 2)) == 3


def test_an_outsider_that_rests_is_none():
    """A large one that does not grow, and one that was large from the start."""
    assert after((t, table(node=40, hog=500)) for t in range(0, 60, 2)) is None


def test_a_ros_leak_beside_a_growing_outsider_is_the_greater_trouble():
    """Whatever grows more decides."""
    assert after((t, table(node=40 + 5 * t, hog=100 + 2 * t)) for t in range(0, 60, 2)) is None


def test_it_is_forgotten_when_it_rests_or_dies():
    """Raising comes back once nothing outside grows any more."""
    leak = [(t, table(node=40, hog=100 + 4 * t)) for t in range(0, 30, 2)]
    assert after(leak) == 3
    assert after(leak + [(t, table(node=40, hog=220)) for t in range(30, 120, 2)]) is None
    assert after([*leak, (30, table(node=40))]) is None


def test_a_clock_set_back_starts_anew():
    """The means are those of the new time."""
    leak = [(t, table(node=40, hog=100 + 4 * t)) for t in range(0, 30, 2)]
    assert after([*leak, (1, table(node=40, hog=220))]) is None


@given(st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 4000), st.floats(0, 4000)),
                max_size=20))
def test_only_outsiders_are_ever_named(steps):
    """Whatever the series, a process that can be raised is never the reason not to raise."""
    assert after((t, table(node=a, hog=b)) for t, a, b in steps) in (None, 3)


def test_nobody_is_raised_while_an_outsider_grows_and_it_is_said():
    """The plan keeps its values without the shift; the lost order names who grows."""
    driver = node(1000, 'rplidar_ros/rplidar_node')
    made = plan.plan((driver, node(1002, 'rviz2/rviz2'), node(1003, 'demo/talker')),
                     settings.build({}), VIEW, {driver.identity: 0}, {},
                     outsider='hog (PID 3)')
    assert {t.process.pid: t.value for t in made.targets} == {1000: 0, 1002: 300}
    assert made.shift == 0 and 'hog (PID 3)' in made.lost_order[0]
