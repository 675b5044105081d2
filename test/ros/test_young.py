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

"""How long and how often the graph is looked at after a program began."""

from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Wake
from oom_sentinel.kernel.wake import ALARM
from oom_sentinel.kernel.wake import NEW_PROGRAMS
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.protection.plan import Plan
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import Settings
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
wakes = pytest.importorskip('oom_sentinel.node.wakes')


class Clock:
    """Stands at `now_s`."""

    def __init__(self):
        """Start at 100 s."""
        self.now_s = 100.0

    def monotonic(self):
        """Return seconds."""
        return self.now_s


@pytest.fixture
def looks(monkeypatch):
    """Return when the graph is looked at after a program began, given the node names of it."""
    clock, watch, looked, alarms = Clock(), Watch(), [], []
    monkeypatch.setattr(wakes, 'time', clock)
    monkeypatch.setattr(watch, 'alarm', alarms.append)
    sentinel = Sentinel(Settings(), watching='a test')
    made = wakes.Wakes(watch, sentinel, lambda: looked.append(clock.now_s - 100.0), list)

    def run(names):
        process = Process(1, 1, 0, 0, Program('talker', node_names=names, ros=True))
        monkeypatch.setattr(sentinel, 'ros_processes', lambda: (process,))
        monkeypatch.setattr(sentinel, 'meet', lambda pids: 1)
        assert made.answers[NEW_PROGRAMS](Wake(NEW_PROGRAMS, 0.0)) is False
        while alarms:
            clock.now_s = alarms.pop()
            made.answers[ALARM](Wake(ALARM, 0.0))
        return looked
    yield run
    made.close()
    watch.close()
    sentinel.close(False)


def test_where_all_nodes_are_known_only_for_some_seconds(looks):
    """After 0.2 s and then every 0.4 s, for six seconds."""
    times = looks(('/talker',))
    assert 14 <= len(times) <= 16 and times[-1] < 6.01


def test_while_a_node_is_expected_longer_and_more_seldom(looks):
    """A node on a small board comes up after many seconds; it is not waited for for ever."""
    times = looks(())
    assert 19 < times[-1] < 20.01
    pauses = [late - early for early, late in zip(times, times[1:])]
    assert max(pauses) <= 0.41 and 60 <= len(times) <= 67


def test_new_programs_are_noticed_quickly_while_a_group_has_processes(monkeypatch):
    """And twenty seconds longer, for one that is started again; a wake costs CPU time."""
    clock, watch, asked = Clock(), Watch(), []
    monkeypatch.setattr(wakes, 'time', clock)
    sentinel = Sentinel(Settings(), watching='a test')
    made = wakes.Wakes(watch, sentinel, list, list)
    monkeypatch.setattr(made._new_programs, 'hurry', asked.append)
    member = Target(Process(1, 1, 0, 0, Program('driver')), 'drivers', -400, 0, 'a test')
    for after_s, targets in ((0.0, ()), (1.0, (member,)), (18.0, ()), (3.0, ())):
        clock.now_s += after_s
        sentinel.guard.planned = Plan(targets)
        made.follow(Settings(), frozenset())
    assert asked == [False, True, True, False]
    made.close()
    watch.close()
    sentinel.close(False)


def test_new_programs_are_looked_for_again_unless_that_was_done_a_moment_ago(monkeypatch):
    """What was forked runs its own program by then; where the kernel reports it, it was met."""
    clock, watch, met = Clock(), Watch(), []
    monkeypatch.setattr(wakes, 'time', clock)
    sentinel = Sentinel(Settings(), watching='a test')
    made = wakes.Wakes(watch, sentinel, list, list)
    monkeypatch.setattr(sentinel, 'meet', lambda pids: met.append(clock.now_s - 100.0) or 1)
    for reported, expected in ((False, [0.0, 0.2, 0.6, 0.7, 0.9]), (True, [0.0, 0.7])):
        monkeypatch.setattr(type(made._new_programs), 'reported', property(lambda self: reported))
        met.clear()
        for at_s, name in ((0.0, NEW_PROGRAMS), (0.2, ALARM), (0.3, ALARM), (0.6, ALARM),
                           (0.7, NEW_PROGRAMS), (0.8, ALARM), (0.9, ALARM)):
            clock.now_s = 100.0 + at_s
            made.answers[name](Wake(name, 0.0))
        assert [round(at_s, 1) for at_s in met] == expected
    monkeypatch.undo()
    made.close()
    watch.close()
    sentinel.close(False)
