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

"""The record by which a launch tells the sentinel what it changed."""

import os
import pathlib
import subprocess

from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Launched
from oom_sentinel.kernel.files import stat
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import originals
from oom_sentinel.protection import policies
from oom_sentinel.protection.memory import Memory
import pytest

ROOT = kernel.Root('/')
BOOT = 'this-boot'


def identity(pid):
    """Return who has this PID."""
    return Identity(pid, stat.parse(ROOT.read(f'/proc/{pid}/stat')).start_time)


@pytest.fixture
def child():
    """Return a process that sleeps."""
    made = subprocess.Popen(['sleep', '60'])
    yield made
    made.kill()
    made.wait()


def written(folder, launcher, entries=None, boot=BOOT):
    """Return a record that was written."""
    record = launch_record.LaunchRecord(str(folder), boot, launcher)
    record.acquire()
    record.save(entries or {})
    record.flush()
    return record


def test_what_is_written_is_read(tmp_path, child):
    """Values, names and what the launch file asked for; and the change is seen once."""
    who, named = identity(child.pid), Identity(1, 2)
    records = launch_record.LaunchRecords(str(tmp_path), BOOT, ROOT)
    assert not records.changed() and records.read() == {}
    record = launch_record.LaunchRecord(str(tmp_path), BOOT, identity(os.getpid()))
    record.acquire()
    record.name(named, ('/r1/amcl',))
    record.ask(who, -5)
    record.save({who: Change(who, 0, 300)})
    record.flush()
    assert records.changed()
    assert records.read() == {who: Launched(who, 0, 300, (), -5),
                              named: Launched(named, node_names=('/r1/amcl',))}
    record.forget(who)
    record.save({})
    record.name(named, ())
    record.flush()
    assert records.read() == {}


def test_a_change_within_one_tick_of_the_file_system_is_not_missed(tmp_path, child):
    """Two records in a row, a reading between them: both are read in the end."""
    records = launch_record.LaunchRecords(str(tmp_path), BOOT, ROOT)
    who = identity(child.pid)
    written(tmp_path, identity(os.getpid()), {who: Change(who, 0, 1)})
    assert records.read()[who].written == 1
    written(tmp_path, identity(os.getpid()), {who: Change(who, 0, 2)})
    assert records.changed() and records.read()[who].written == 2


def test_the_records_of_ended_launches_go(tmp_path, child):
    """A living launch's stays; an orphan's stays as long as somebody asks for it."""
    dead, who = Identity(os.getpid(), 1), identity(child.pid)
    records = launch_record.LaunchRecords(str(tmp_path), BOOT, ROOT)
    record = written(tmp_path, dead, {who: Change(who, 0, 1)})
    records.forget_dead(keep_orphans=True)
    assert os.path.exists(record.path)
    records.forget_dead(keep_orphans=False)
    assert not os.path.exists(record.path)
    record = written(tmp_path, identity(os.getpid()))
    records.forget_dead(keep_orphans=False)
    assert os.path.exists(record.path)
    record.release()
    record.release()
    assert not os.path.exists(record.path)


def test_another_boots_record_says_nothing(tmp_path, child):
    """The PIDs are others now."""
    who = identity(child.pid)
    record = written(tmp_path, identity(os.getpid()), {who: Change(who, 0, 1)}, 'another')
    records = launch_record.LaunchRecords(str(tmp_path), BOOT, ROOT)
    assert records.read() == {}
    records.forget_dead(keep_orphans=True)
    assert not os.path.exists(record.path)


@pytest.mark.parametrize('text', ['', '[]', '{}', '{"boot_id": "this-boot"}', '\xff',
                                  '{"boot_id": "this-boot", "pid": 1, "start_time": 2, '
                                  '"processes": [{"pid": "x"}]}',
                                  pytest.param('[' * 100_000, id='nested')])
def test_a_broken_record_is_named_and_harms_nobody(tmp_path, text):
    """A full disk, or another program's file; the records of ended launches go all the same."""
    (tmp_path / 'launch').mkdir()
    (tmp_path / 'launch' / '7.json').write_text(text)
    records = launch_record.LaunchRecords(str(tmp_path), BOOT, ROOT)
    assert records.read() == {}
    assert '7.json' in ' '.join(records.broken)
    record = written(tmp_path, Identity(os.getpid(), 1))
    records.forget_dead(keep_orphans=False)
    assert os.listdir(tmp_path / 'launch') == ['7.json'] and not os.path.exists(record.path)


def test_a_launchs_original_is_believed_where_its_write_was_taken_for_one():
    """The sentinel looked between the launch's write and its record."""
    who = Identity(5, 6)
    told = Launched(who, 0, -300)
    assert originals.believed(told, None) == Change(who, 0, -300)
    assert originals.believed(told, Change(who, -300, -400)) == Change(who, 0, -400)
    assert originals.believed(told, Change(who, 7, -400)) == Change(who, 7, -400)
    assert originals.believed(Launched(who), None) is None


def test_what_launches_tell_is_remembered_beside_what_the_sentinel_changed():
    """The originals, and the values that launch files ask for."""
    memory, one, two = Memory(4096), Identity(5, 6), Identity(7, 8)
    memory.changes[one] = Change(one, 7, -400)
    memory.believe({one: Launched(one, 0, -300), two: Launched(two, 3, -300, (), -100)})
    assert memory.changes == {one: Change(one, 7, -400), two: Change(two, 3, -300)}
    assert memory.asked == {two: -100}
    memory.believe({one: Launched(one)})
    assert memory.asked == {} and memory.changes[one] == Change(one, 7, -400)


def test_only_a_sentinel_of_this_machine_reads_the_records(tmp_path, child, monkeypatch):
    """A captured tree has no launches of ours."""
    monkeypatch.setenv('OOM_SENTINEL_STATE', str(tmp_path))
    who = identity(child.pid)
    written(tmp_path, identity(os.getpid()), {who: Change(who, 0, -300)})
    live = policies.SentinelPolicy(ROOT, BOOT)
    assert set(live.launched()) == {who}
    orphaned = written(tmp_path, Identity(os.getpid(), 1), {who: Change(who, 0, 1)})
    assert os.path.exists(orphaned.path)
    live.forget_ended_launches()
    assert not os.path.exists(orphaned.path)
    tree = kernel.Root(str(pathlib.Path(__file__).parents[2] / 'fixtures' / 'vm-debian12-6.18'))
    assert policies.SentinelPolicy(tree, BOOT).launched() is None


def test_a_launch_leaves_alone_what_another_has_changed(tmp_path, child):
    """The sentinel took over; or somebody chose a value by hand."""
    root = kernel.Root('/')
    policy = policies.LaunchPolicy(root, launch_record.LaunchRecord(
        str(tmp_path), BOOT, identity(os.getpid())))
    with open(f'/proc/{child.pid}/oom_score_adj') as stream:
        present = int(stream.read())
    assert [policy.yields(Change(identity(child.pid), 0, written))
            for written in (present, present + 1)] == [False, True]


@pytest.mark.parametrize('allowed, value', [(False, -999), (True, -1000)])
def test_the_sentinel_itself_is_unkillable_only_where_that_is_allowed(allowed, value):
    """A sentinel that leaks must be killable."""
    chosen = settings.build({'protection.self_oom_score_adj': -1000,
                             'protection.allow_unkillable': allowed})
    policy = policies.SentinelPolicy(kernel.Root('/'), BOOT)
    assert policy.own_value(chosen) == value
