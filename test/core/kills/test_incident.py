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

"""Incident folders: whole or not at all, bounded, and never in the way of the cycle."""

import csv
import json
import os
import subprocess
import threading

from conftest import wait_for
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills import incident_folder
from oom_sentinel.kills.incident import History
from oom_sentinel.kills.incident import Incident
from oom_sentinel.kills.incident import json_bytes
from oom_sentinel.kills.incident import ORDER_MAX
from oom_sentinel.kills.incident import ROWS_MAX
from oom_sentinel.kills.incident_folder import IncidentWriter
from oom_sentinel.kills.incident_folder import QUEUE_MAX
import pytest

MIB = 1 << 20
HOST = Host('robot', 4096, '6.1.0', boot_id='boot')
FILES = ['history.csv', 'incident.json', 'kernel.log', 'processes.json']


def process(pid, name='lidar', mib=10):
    """Return a process that holds MiB."""
    return Process(pid, pid, 1, 0, Program(name, ('x',), executable=name,
                                           node_names=(f'/{name}',)),
                   memory=TaskMemory(mib * MIB, MIB, 0), oom_score_adj=0)


def sample(at=0.0):
    """Return a sample without pressure information."""
    return Sample(at, 1000.0 + at, HOST, MemInfo(1 << 30, 0, 1 << 29, swap_total_bytes=MIB),
                  Unavailable('off'), VmStat(1))


def incident(number=0, **facts):
    """Return an incident of a known node."""
    history, lidar = History(), process(10)
    for at in range(3):
        history.add(sample(float(at)), (Target(lidar, 'drivers', -400, -400, ''),))
    kill = OomKill(victim_pid=10, victim_comm='lidar', time=float(number), group='drivers',
                   node_names=('/robot1/lidar',), lines=('one', 'two'),
                   tasks=(OomTask(10, rss_pages=5, name='lidar'),), **facts)
    return Incident(SeenKill(kill, 0.0, 'by PID', ('x',)), sample(3.0), history.rows(),
                    (lidar, process(11, 'hog', 90)), {lidar.identity: 'drivers'})


@pytest.fixture
def disk(tmp_path):
    """Return an empty folder."""
    path = tmp_path / 'incidents'
    path.mkdir()
    return path


def test_a_folder_holds_the_report_the_log_the_past_and_the_order(disk):
    """Four files, each readable by itself."""
    path = incident_folder.write(str(disk / 'new' / 'home'), 5, incident())
    assert os.path.basename(path) == '19700101T000000Z_pid10_robot1_lidar'
    assert sorted(os.listdir(path)) == FILES
    with open(f'{path}/incident.json', encoding='utf-8') as stream:
        said = json.load(stream)
    assert (said['victim_pid'], said['node_names'], said['group']) == (
        10, ['/robot1/lidar'], 'drivers')
    assert said['tasks'][0]['rss_pages'] == 5 and said['boot_id'] == 'boot'
    assert said['before']['mem_available_bytes'] == 1 << 29
    assert said['after']['some_avg10_percent'] is None and 'lines' not in said
    with open(f'{path}/kernel.log', encoding='utf-8') as stream:
        assert stream.read() == 'one\ntwo\n'
    with open(f'{path}/history.csv', encoding='utf-8') as stream:
        rows = list(csv.DictReader(stream))
    assert [row['time'] for row in rows] == ['1000.000', '1001.000', '1002.000']
    assert rows[0]['/lidar (PID 10) rss_bytes'] == str(10 * MIB)
    assert rows[0]['some_avg10_percent'] == '' and rows[0]['swap_used_bytes'] == str(MIB)
    with open(f'{path}/processes.json', encoding='utf-8') as stream:
        order = json.load(stream)
    assert [(p['pid'], p['rank'], p['group']) for p in order['processes']] == [
        (11, 1, None), (10, 2, 'drivers')]


def test_only_the_newest_are_kept_and_nothing_foreign_is_touched(disk):
    """Folders that are not ours stay; so do the lock and the state beside them."""
    for name in ('my_notes', '20260101'):
        (disk / name).mkdir()
    (disk / 'state.json').touch()
    for number in range(7):
        incident_folder.write(str(disk), 3, incident(number))
    assert sorted(os.listdir(disk)) == [
        '19700101T000004Z_pid10_robot1_lidar', '19700101T000005Z_pid10_robot1_lidar',
        '19700101T000006Z_pid10_robot1_lidar', '20260101', 'my_notes', 'state.json']


@pytest.mark.parametrize('keep', [1, 2, 4, 7, 20])
def test_as_many_folders_as_wanted_are_kept_after_each_kill(disk, keep):
    """Neither more nor, before the number is reached, fewer."""
    for number in range(10):
        incident_folder.write(str(disk), keep, incident(number))
        assert len(os.listdir(disk)) == min(number + 1, keep)


def test_two_kills_of_one_second_have_a_folder_each(disk):
    """None is written over."""
    assert incident_folder.write(str(disk), 9, incident()) != incident_folder.write(
        str(disk), 9, incident())
    assert len(os.listdir(disk)) == 2


def test_what_a_dead_writer_left_is_removed_and_a_living_ones_is_not(disk):
    """A sentinel that was itself killed leaves no rubbish for ever."""
    child = subprocess.Popen(['true'])
    child.wait()
    (disk / f'.partial_{child.pid}_x').mkdir()
    (disk / f'.partial_{os.getpid()}_x').mkdir()
    incident_folder.write(str(disk), 9, incident())
    assert sorted(os.listdir(disk))[0] == f'.partial_{os.getpid()}_x'
    assert len(os.listdir(disk)) == 2


def test_a_folder_stays_below_5_mb_whatever_is_in_it(disk):
    """An endless table, a long log, 200 processes for ten minutes."""
    history = History()
    targets = [Target(process(pid, f'node_{pid}'), None, 0, 0, '') for pid in range(300)]
    for at in range(ROWS_MAX + 100):
        history.add(sample(float(at)), targets)
    assert len(history.rows()) == ROWS_MAX
    kill = OomKill(victim_pid=1, victim_comm='x', lines=('y' * 1000,) * 9000, tasks=tuple(
        OomTask(pid, rss_pages=pid, name='z' * 15) for pid in range(20_000)))
    path = incident_folder.write(str(disk), 9, Incident(
        SeenKill(kill, 0.0), sample(), history.rows(),
        tuple(process(pid) for pid in range(4000))))
    size = sum(os.path.getsize(f'{path}/{name}') for name in os.listdir(path))
    assert size < 5_000_000
    with open(f'{path}/incident.json', encoding='utf-8') as stream:
        said = json.load(stream)
    assert said['tasks_left_out'] and said['tasks'][0]['pid'] == 19_999
    with open(f'{path}/processes.json', encoding='utf-8') as stream:
        kept = json.load(stream)['processes']
    assert [p['rank'] for p in kept] == list(range(1, len(kept) + 1))
    assert 0.9 < os.path.getsize(f'{path}/processes.json') / ORDER_MAX <= 1


def test_of_very_many_processes_only_so_many_are_written_as_may_fit(disk, monkeypatch):
    """What is left out anyway is not turned into text first."""
    written = []
    monkeypatch.setattr('oom_sentinel.kills.incident.json_bytes', lambda document: (
        written.append(len(document.get('processes') or ())), json_bytes(document))[1])
    incident_folder.write(str(disk), 9, Incident(
        SeenKill(OomKill(victim_pid=1), 0.0), sample(), (),
        tuple(process(pid) for pid in range(1, 9000))))
    assert 500 < max(written) <= 1600 and len(written) < 5


@pytest.mark.parametrize('name', ['../../etc/passwd', 'a b\n', '', '/' * 300, 'Ω'])
def test_a_hostile_name_makes_a_harmless_folder(disk, name):
    """It stays inside the directory."""
    found = Incident(SeenKill(OomKill(victim_comm=name), 0.0), sample())
    path = incident_folder.write(str(disk), 9, found)
    assert os.path.dirname(path) == str(disk) and os.listdir(disk) == [
        os.path.basename(path)]


def test_home_is_resolved_and_ros_home_respected(monkeypatch):
    """~/.ros is where ROS_HOME says."""
    monkeypatch.setenv('HOME', '/home/robot')
    monkeypatch.delenv('ROS_HOME')
    assert incident_folder.expanded('~/.ros/oom_sentinel') == '/home/robot/.ros/oom_sentinel'
    monkeypatch.setenv('ROS_HOME', '/var/ros')
    assert incident_folder.expanded('~/.ros/oom_sentinel') == '/var/ros/oom_sentinel'
    assert incident_folder.expanded('/x') == '/x'
    assert incident_folder.expanded('~/.rosx') == '/home/robot/.rosx'


@pytest.fixture
def tiny_disk(tmp_path):
    """Return a folder on a disk of 64 kB."""
    if os.geteuid() != 0:
        pytest.skip('mounting a tiny disk needs root')
    path = tmp_path / 'disk'
    path.mkdir()
    done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', str(path)],
                          capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f'no tmpfs can be mounted here: {done.stderr}')
    yield path
    subprocess.run(['umount', str(path)], check=True)


def test_a_full_disk_leaves_nothing_partial_and_is_said(tiny_disk):
    """When there is room again the next one is written."""
    (tiny_disk / 'filler').write_bytes(b'x' * 60_000)
    writer = IncidentWriter(str(tiny_disk))
    assert writer.write_later(incident(), 5)
    wait_for(lambda: writer.trouble, 'the trouble is told')
    assert 'No space left' in writer.trouble and os.listdir(tiny_disk) == ['filler']
    (tiny_disk / 'filler').unlink()
    assert writer.write_later(incident(), 5)
    wait_for(lambda: writer.newest != 'none', 'it is written')
    assert writer.trouble is None and sorted(os.listdir(writer.newest)) == FILES
    writer.close()


def test_an_unwritable_directory_is_said(tmp_path):
    """Nothing raises; the thread goes on."""
    (tmp_path / 'file').touch()
    writer = IncidentWriter(str(tmp_path / 'file' / 'below'))
    assert writer.write_later(incident(), 5)
    wait_for(lambda: writer.trouble, 'the trouble is told')
    assert 'file' in writer.trouble
    writer.close()


def test_a_slow_disk_never_blocks_and_a_storm_is_bounded():
    """Taking returns while the disk hangs; more than the queue holds is counted."""
    hangs, written = threading.Event(), []

    def write(directory, keep, taken):
        hangs.wait(20)
        written.append(taken)
        return 'there'
    writer = IncidentWriter('/nowhere', write)
    taken = sum(writer.write_later(incident(), 5) for _ in range(QUEUE_MAX + 50))
    assert written == [] and QUEUE_MAX <= taken <= QUEUE_MAX + 1
    assert writer.left_out == QUEUE_MAX + 50 - taken
    hangs.set()
    writer.close()
    assert len(written) == taken and writer.newest == 'there'


def test_an_incident_waits_when_no_thread_can_be_started(disk, monkeypatch):
    """Where pids.max is reached or memory is short: nothing raises, it is written later."""
    def refuse(_thread):
        raise RuntimeError("can't start new thread")
    writer = IncidentWriter(str(disk))
    with monkeypatch.context() as full:
        full.setattr(threading.Thread, 'start', refuse)
        assert writer.write_later(incident(), 5)
        assert "can't start new thread" in writer.all_trouble
        writer.close()
    assert writer.write_later(incident(1), 5)
    wait_for(lambda: len(os.listdir(disk)) == 2, 'both are written')
    writer.close()
    assert writer.all_trouble is None


@pytest.mark.parametrize('directory, keep', [('', 5), ('/nowhere', 0)])
def test_none_is_written_when_none_is_wanted(directory, keep):
    """incident.directory '' and incident.keep 0 both mean none, and no thread."""
    writer = IncidentWriter(directory)
    assert writer.write_later(incident(), keep) is False and writer._thread is None
