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
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.protection import guard as guards
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import policies
from oom_sentinel.protection.guard import Guard
import pytest
from test_plan import holding
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
        self.writes, self.shown = [], {}

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
        return Outcome(adjustment, result, value, found=process_.oom_score_adj)

    def add(self, process_):
        """Start a process; it may be lowered to 0."""
        self.processes[process_.pid] = process_
        self.floors[process_.pid] = 0
        return process_

    def waver(self, step):
        """Let each process hold a little more or less, as read anew."""
        for pid, process_ in self.processes.items():
            held = process_.memory.rss_bytes
            by = held // 40 * ((step + pid) % 3 - 1)
            self.shown[pid] = replace(process_, memory=TaskMemory(held + by, 0, 0))

    def table(self):
        """Return the processes as they are now."""
        return tuple(replace(p, memory=self.shown.get(p.pid, p).memory)
                     for p in self.processes.values())

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
                os.environ['OOM_SENTINEL_STATE'], host.boot_id, launcher))
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


def test_a_table_that_was_read_before_our_own_write_shows_no_drift(guard_over):
    """A new program is planned for at once: of the others the table has the values of before."""
    guard, fake = guard_over(*robot())
    stale = fake.table()
    for now_s in (0.0, 0.1):
        guard.protect(stale, SETTINGS, lambda _paths: (MACHINE,), now_s, 1e9 + now_s)
    assert fake.values()[1001] > 0
    assert guard.protection(SETTINGS, (), ()).drifts == ()
    fake.processes[1001] = replace(fake.processes[1001], oom_score_adj=7)
    protect(guard, fake, 0.2)
    assert [d.found for d in guard.protection(SETTINGS, (), ()).drifts] == [7]


def test_the_old_value_is_the_one_that_our_first_write_found(guard_over):
    """Another program may have set it since the table was read: up to a minute ago."""
    guard, fake = guard_over(*robot())
    stale = fake.table()
    fake.processes[1001] = replace(fake.processes[1001], oom_score_adj=20)
    guard.protect(stale, SETTINGS, lambda _paths: (MACHINE,), 0.0, 1e9)
    assert fake.values()[1001] > 20
    assert guard.restore(fake.table(), SETTINGS) == (2, 2)
    assert fake.values()[1001] == 20


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


def child_of(parent, pid, command, adj):
    """Return another program that this process started; it carries the value adj."""
    return process(pid, command, adj=adj, ppid=parent.pid)


def test_restoring_finds_what_was_inherited_and_counts_it(guard_over):
    """A shell that is raised hands its value on; whatever carries it gets what it would have."""
    driver, shell = robot()[0], process(1002, '/usr/bin/python3 /home/me/run.py')
    guard, fake = guard_over(driver, shell)
    protect(guard, fake)
    raised = fake.values()[1002]
    assert raised > 0
    fake.add(child_of(shell, 1003, '/usr/bin/make', raised))
    fake.add(child_of(fake.processes[1003], 1004, '/usr/bin/cc', raised))
    assert guard.restore(fake.table(), SETTINGS) == (4, 4)
    assert set(fake.values().values()) == {0}


def test_a_value_that_a_child_inherited_before_the_last_write_is_known_too(guard_over):
    """Between fork and our look the parent may have got another value."""
    driver, node_ = robot()
    guard, fake = guard_over(driver, node_)
    protect(guard, fake)
    older = fake.values()[1001]
    fake.add(child_of(node_, 1003, '/usr/bin/make', older))
    fake.processes[1001] = replace(fake.processes[1001], oom_score_adj=older + 40)
    guard.changed_by_other(node_.identity, 0, older + 40)
    assert guard.restore(fake.table(), SETTINGS)[0] == 3
    assert fake.values()[1003] == 0


@pytest.mark.parametrize('keeps', [False, True])
def test_a_tool_that_a_protected_node_starts_keeps_its_value_only_when_asked(guard_over, keeps):
    """A crash handler or a shell's tool is no node; group.NAME.children says otherwise."""
    chosen = settings.build({'group.drivers.children': keeps})
    driver = robot()[0]
    guard, fake = guard_over(driver)
    fake.floors[1000] = -1000
    protect(guard, fake, 0.0, chosen)
    assert fake.values() == {1000: -400}
    fake.add(child_of(driver, 1005, '/usr/bin/gzip -9', -400))
    protect(guard, fake, 2.0, chosen)
    assert fake.values()[1005] == (-400 if keeps else 0)


def test_a_launch_is_never_lowered(guard_over):
    """Its nodes are, one by one: else a leaker of no group would inherit -500."""
    launch = process(60, '/usr/bin/python3 /opt/ros/jazzy/bin/ros2 launch a b')
    guard, fake = guard_over(launch, robot()[0])
    fake.floors = dict.fromkeys(fake.floors, -1000)
    protect(guard, fake)
    assert fake.values() == {60: 0, 1000: -400}


def test_an_original_of_minus_1000_is_given_back_as_minus_999(guard_over):
    """Unkillable only where protection.allow_unkillable says so, not by a state file."""
    driver = robot()[0]
    guard, fake = guard_over(driver)
    guard.changed_by_other(driver.identity, -1000, 0)
    fake.floors[1000] = -1000
    assert guard.restore(fake.table(), SETTINGS) == (1, 1)
    assert fake.values() == {1000: -999}


def test_a_refused_write_is_never_counted_as_restored(guard_over):
    """The answer of ~/restore is true."""
    driver = robot()[0]
    guard, fake = guard_over(driver)
    guard.changed_by_other(driver.identity, -300, 0)
    assert guard.restore(fake.table(), SETTINGS) == (0, 1)


def test_quiet_nodes_whose_sizes_waver_cost_no_writes(guard_over):
    """Sixty of them, by 2 % and more, for a minute: at most two writes."""
    nodes = [holding(node(2000 + i, f'demo/n{i}'), 20 + i) for i in range(60)]
    guard, fake = guard_over(holding(robot()[0], 100), *nodes)
    for now_s in range(10):
        fake.waver(now_s)
        protect(guard, fake, float(now_s))
    fake.writes.clear()
    for now_s in range(10, 70, 2):
        fake.waver(now_s)
        protect(guard, fake, float(now_s))
    assert len(fake.writes) <= 2, fake.writes


def test_a_new_process_gets_its_value_by_the_levels_that_are_known(guard_over):
    """Without a plan for all: a program that has just begun has it within milliseconds."""
    guard, fake = guard_over(*robot())
    protect(guard, fake)
    fresh = fake.add(process(1009, '/usr/bin/hog'))
    assert guard.protect_new((fresh,), SETTINGS, 1.0, 1e9) == 1
    assert fake.values()[1009] >= 50


@pytest.mark.parametrize('permitted', [False, True])
def test_files_in_memory_are_looked_for_where_something_may_be_raised(guard_over, permitted):
    """Also where lowering is permitted, among all that may be raised, and only there."""
    guard, fake = guard_over(*robot())
    files = (UnmappedFile('/dev/shm/x', 500 << 20),)
    asked = []

    def read(pid):
        asked.append(pid)
        return files
    assert not guard.look_for_unmapped_files(read) and asked == []  # before the first plan
    if permitted:
        fake.floors = dict.fromkeys(fake.floors, -1000)
    protect(guard, fake)
    before = fake.values()
    assert (before[1000] == -400) is permitted and (before[1001] == 0) is permitted
    assert guard.look_for_unmapped_files(read) and asked == [1001]
    protect(guard, fake, 1.0)
    assert fake.values()[1001] > before[1001] + 50


def test_a_young_process_that_grew_is_read_at_every_scan_until_it_rests(guard_over):
    """Else its value stays that of an empty one for as long as nobody looks."""
    driver, talker = robot()
    guard, fake = guard_over(driver, talker)
    for now_s, mib, tracked in ((0, 5, True), (1, 5, False), (8, 40, True), (12, 40, True),
                                (16, 40, False), (70, 80, False)):
        fake.shown[talker.pid] = holding(talker, mib)
        protect(guard, fake, float(now_s))
        assert (talker.pid in guard.tracked) is tracked, now_s


def test_fork_families_are_known_where_lowering_is_permitted(guard_over):
    """Children of 8 MiB are raised by what all of them leak."""
    parent = holding(process(1003, '/usr/bin/forker'), 10)
    guard, fake = guard_over(robot()[0], parent)
    fake.floors = dict.fromkeys(fake.floors, -1000)
    little = replace(MACHINE, left_pages=256 * 256)
    for step in range(1, 60):
        if step > 3:
            fake.add(replace(holding(process(2000 + step, '/usr/bin/forker', ppid=1003), 18),
                             start_time=20000 + step))
        guard.protect(fake.table(), SETTINGS, lambda _paths: (little,), float(step), 1e9 + step)
    assert fake.values()[1003] >= 50 and fake.values()[2010] >= 50
    assert fake.values()[1000] == -400


def test_a_second_sentinel_takes_over_when_the_first_is_gone(guard_over):
    """It only watches meanwhile."""
    first, fake = guard_over(*robot())
    second, _ = guard_over(*robot())
    assert 'another sentinel' in second.watching and not second.take_over()
    first.release()
    assert second.take_over() and second.watching is None
    assert fake.table()


def test_a_node_that_holds_a_serial_device_is_not_raised(guard_over, monkeypatch):
    """A driver that no group names: asked once it has settled, and given its value back."""
    monkeypatch.setattr(guards, 'holds_device', lambda _root, pid: pid == 1001)
    guard, fake = guard_over(*robot())
    for now_s in (0.0, 1.0, 2.0):
        fake.waver(0)
        protect(guard, fake, now_s)
    assert fake.values() == {1000: 0, 1001: 0}
    assert any('/demo' in note or 'talker' in note for note in guard.planned.notes)


def test_a_process_that_has_ended_is_not_counted_as_restored(guard_over):
    """The counts of ~/restore are of processes that still run."""
    guard, fake = guard_over(*robot())
    protect(guard, fake)
    table = fake.table()
    del fake.processes[1001]
    assert guard.restore(table, SETTINGS) == (1, 1)


def test_the_values_that_a_process_had_are_known_after_its_death(guard_over):
    """The kernel's record of a kill holds the last one, and comes later than the next scan."""
    driver, talker = robot()
    guard, fake = guard_over(driver, talker)
    protect(guard, fake)
    raised = fake.values()[1001]
    assert guard.values_written(talker.identity) == (raised,) and raised > 0
    del fake.processes[1001]
    protect(guard, fake, 1.0)
    assert guard.values_written(talker.identity) == (raised,)
    assert guard.values_written(driver.identity) == (0,)
