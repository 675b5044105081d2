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

"""The guard over a kernel that denies lowering: it writes the plan, and what it did is true."""

from dataclasses import replace
import os

from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Result
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import policies
from oom_sentinel.protection.guard import Guard
import pytest
from test_plan import MACHINE
from test_plan import node
from test_plan import process
from test_plan import VIEW

SETTINGS = settings.build({})


class FakeKernel:
    """Processes with values, of which none may be lowered below its floor."""

    def __init__(self, *processes):
        """Let every process's floor be the value it begins with."""
        self.processes = {p.pid: p for p in processes}
        self.floors = {p.pid: p.oom_score_adj for p in processes}
        self.writes = []

    def apply(self, _root, adjustment):
        """Answer a write as the kernel and our bisection do."""
        process_ = self.processes.get(adjustment.identity.pid)
        if process_ is None or process_.identity != adjustment.identity:
            return Outcome(adjustment, Result.VANISHED)
        value = max(adjustment.value, self.floors[process_.pid])
        if value != process_.oom_score_adj:
            self.writes.append((process_.pid, value))
        self.processes[process_.pid] = replace(process_, oom_score_adj=value)
        result = Result.WRITTEN if value == adjustment.value else Result.DENIED
        return Outcome(adjustment, result, value)

    def table(self):
        """Return the processes as they are now."""
        return tuple(self.processes.values())

    def values(self):
        """Return pid -> oom_score_adj."""
        return {p.pid: p.oom_score_adj for p in self.processes.values()}


@pytest.fixture
def guard_over(monkeypatch):
    """Return a maker of a guard over processes of a fake kernel."""
    made = []

    def make(*processes, launcher=None):
        fake = FakeKernel(*processes)
        monkeypatch.setattr(kernel, 'apply', fake.apply)
        monkeypatch.setattr(kernel, 'itself', lambda _root: None)
        root = kernel.Root('/')
        host = root.host()
        policy = policies.SentinelPolicy(root, host.boot_id)
        if launcher is not None:
            policy = policies.LaunchPolicy(root, launch_record.LaunchRecord(
                os.environ['XDG_RUNTIME_DIR'], host.boot_id, launcher))
        guard = Guard(root, host, VIEW, policy)
        made.append(guard)
        return guard, fake

    yield make
    for guard in made:
        guard.release()


def protect(guard, fake, now_s=0.0, chosen=SETTINGS):
    """Let the guard protect the processes as they are now, on a machine of 8 GiB."""
    return guard.protect(fake.table(), chosen, lambda _paths: (MACHINE,), now_s, 1e9 + now_s)


def robot():
    """Return a driver that wants -400 and a node that no group names."""
    return node(1000, 'rplidar_ros/rplidar_node'), node(1001, 'demo/talker')


def test_the_first_scan_that_meets_a_denial_raises_a_node_of_no_group(guard_over):
    """The second plan names more processes than the first did."""
    guard, fake = guard_over(*robot())
    protect(guard, fake)
    assert fake.values()[1000] == 0
    assert fake.values()[1001] > 0


def test_a_restore_and_an_apply_later_the_same_holds(guard_over):
    """~/restore empties what is known of the floors' outcomes; ~/apply asks again."""
    guard, fake = guard_over(*robot())
    protect(guard, fake)
    raised = fake.values()
    assert guard.restore(fake.table(), SETTINGS) == (2, 2)
    assert fake.values() == {1000: 0, 1001: 0}
    guard.ask_again()
    protect(guard, fake, 1.0)
    assert fake.values() == raised


def test_in_a_launch_too_a_denial_protects_the_node_all_the_same(guard_over):
    """A launch plans for its own processes with the same guard."""
    launcher = process(60, '/usr/bin/python3 /opt/ros/jazzy/bin/ros2 launch a b')
    guard, fake = guard_over(launcher, *robot(), launcher=launcher.identity)
    protect(guard, fake)
    assert fake.values()[1001] > 0 and fake.values()[60] == 0
