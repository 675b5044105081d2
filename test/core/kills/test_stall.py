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

"""A machine that stalls is written down before somebody switches it off."""

from dataclasses import replace
import json
import os

from conftest import wait_for
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.incident import History
from oom_sentinel.kills.incident_folder import IncidentWriter
from oom_sentinel.kills.stall import growth
from oom_sentinel.kills.stall import StallWatch
import pytest

MIB = 1 << 20


def sample(at, full=0.0, boot_id='this boot'):
    """Return a sample with this full pressure."""
    line = PressureLine(full, full, full, 0)
    return Sample(at, 1000.0 + at, Host('robot', 4096, '6.1.0', boot_id=boot_id),
                  MemInfo(1 << 30, 0, 1 << 29), Pressure(line, line), VmStat(0))


def rows(*sizes):
    """Return a history in which /leaky grows so, in MiB, and /idle does not."""
    history = History()
    for at, size in enumerate(sizes):
        history.add(sample(float(at)), [
            Target(Process(pid, pid, 1, 0, Program(name, executable=name),
                           memory=TaskMemory(mib * MIB, 0, 0)), None, 0, 0, '')
            for pid, name, mib in ((1, 'idle', 50), (2, 'leaky', size))])
    return history.rows()


@pytest.fixture
def watch(tmp_path):
    """Return what watches for stalls and writes below a folder of the test's own."""
    writer = IncidentWriter(str(tmp_path / 'incidents'))
    made = StallWatch(writer)
    made.writer, made.folder = writer, tmp_path / 'incidents'
    yield made
    writer.close()


def stall(watch, until=11, keep=5, boot_id='this boot'):
    """Let full pressure stay above 5 % until this second."""
    for at in range(until + 1):
        watch.update(sample(float(at), 40.0, boot_id), rows(10, 90), 5.0, keep)


def folders(watch):
    """Return the folders."""
    found = watch.folder.iterdir() if watch.folder.exists() else ()
    return sorted(f for f in found if f.name[0] != '.')


def test_a_stall_of_10_s_is_written_once_with_who_grew_most(watch):
    """History, pressures and ranking, on the disk before anything else happens."""
    stall(watch, 9)
    assert not watch._written
    stall(watch, 30)
    (folder,) = wait_for(lambda: folders(watch), 'a folder')
    said = json.loads((folder / 'stall.json').read_text())
    assert said['kind'] == 'stall' and said['time'] == 1000.0 and said['boot_id'] == 'this boot'
    assert said['pressure']['full']['avg10'] == 40.0
    assert [(g['process'], g['grown_bytes']) for g in said['growth']] == [
        ('leaky (PID 2)', 80 * MIB), ('idle (PID 1)', 0)]
    assert (folder / 'history.csv').read_text().count('\n') == 3
    assert folder.name.endswith('Z_stall') and folder.stat().st_mode & 0o777 == 0o700
    assert all(f.stat().st_mode & 0o777 == 0o600 for f in folder.iterdir())


def test_the_start_after_a_reset_tells_of_the_stall_once(watch):
    """Of another boot, without an end; neither of this boot nor twice."""
    stall(watch)
    wait_for(lambda: folders(watch), 'a folder')
    again = StallWatch(watch.writer)
    again.look_back('this boot')
    assert again.earlier is None
    again.look_back('next boot')
    assert 'the machine stalled at ' in again.earlier
    assert 'restarted without an orderly shutdown' in again.earlier
    (folder,) = folders(watch)
    wait_for((folder / 'told.json').exists, 'it is marked as told')
    later = StallWatch(watch.writer)
    later.look_back('boot after that')
    assert later.earlier is None


@pytest.mark.parametrize('end', ['pressure falls', 'orderly end'])
def test_a_stall_that_ended_is_not_told(watch, end):
    """The mark is in its folder."""
    stall(watch)
    if end == 'orderly end':
        watch.end_orderly()
    else:
        watch.update(sample(12.0, 1.0), (), 5.0, 5)
    (folder,) = wait_for(lambda: folders(watch), 'a folder')
    wait_for((folder / 'ended.json').exists, 'the mark')
    again = StallWatch(watch.writer)
    again.look_back('next boot')
    assert again.earlier is None


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'{"time": 1e999, "boot_id": "x"}',
                                     b'{"time": null, "boot_id": "x"}', b'[' * 100000])
def test_a_damaged_report_is_passed_over(watch, content):
    """It tells nothing certain."""
    folder = watch.folder / '20260101T000000Z_stall'
    folder.mkdir(parents=True)
    (folder / 'stall.json').write_bytes(content)
    watch.look_back('next boot')
    assert watch.earlier is None


def test_without_pressure_or_when_none_shall_be_kept_nothing_is_written(watch):
    """Nor does anything fail."""
    for at in range(20):
        watch.update(replace(sample(float(at)), pressure=Unavailable('off')), (), 5.0, 5)
    stall(watch, 20, keep=0)
    watch.writer.close()
    assert folders(watch) == [] and growth(()) == []
    assert os.path.exists(str(watch.folder.parent))
