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

"""State, lock and last report: only files of this user, bounded, and one sentinel at a time."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

from conftest import wait_for
from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel import private_files
from oom_sentinel.kernel import Root
from oom_sentinel.protection import last_report
from oom_sentinel.protection import saved
import pytest

BOOT = 'this-boot'
WHO = Identity(4242, 99)
HOLD = """
import sys, time
from oom_sentinel.protection import saved
print(saved.StateDirectory().acquire(), flush=True)
time.sleep(600)
"""


@pytest.fixture
def state(tmp_path):
    """Return a state directory of its own."""
    return saved.StateDirectory(str(tmp_path / 'state'), BOOT)


def test_what_was_saved_is_loaded(state):
    """By this boot only; a value of -1000 comes back as -999."""
    assert state.acquire() is None
    state.save({WHO: Change(WHO, -1000, 300)})
    assert state.load() == {WHO: Change(WHO, -999, 300)}
    assert os.stat(state.path).st_mode & 0o777 == 0o700
    assert os.stat(state.path + '/state.json').st_mode & 0o777 == 0o600
    assert saved.StateDirectory(state.path, 'another').load() == {}
    state.release()


def process(**more):
    """Return a state file with one process."""
    return {'boot_id': BOOT, 'processes': [
        {'pid': 5, 'start_time': 7, 'original': 0, 'written': 300, **more}]}


BAD = [b'', b'[]', b'null', b'{', b'\xff\xfe', b'[' * 200_000, b'{"boot_id": "this-boot"}',
       b'{"boot_id": "this-boot", "processes": {}}', b'{"boot_id": "this-boot", "processes": [3]}',
       *(json.dumps(process(**more)).encode() for more in (
           {'original': None}, {'original': '300'}, {'original': 1.5}, {'original': True},
           {'original': 1001}, {'written': -1001}, {'pid': 0}, {'pid': -5}, {'pid': 1 << 40},
           {'start_time': 'x'}, {'pid': [5]})),
       json.dumps(process()).replace('300', '1e999').encode(),
       json.dumps(process()).replace('300', 'NaN').encode(),
       json.dumps(process()).replace('300', '9' * 5000).encode(),
       json.dumps({'boot_id': BOOT, 'processes': [process()['processes'][0]] * 20_000}).encode()]


@pytest.mark.parametrize('content', BAD, ids=lambda content: content[:40].decode(errors='replace'))
def test_a_state_file_of_any_other_form_is_kept_aside(state, content):
    """The sentence says so, and a second load begins anew."""
    private_files.own_directory(state.path)
    with open(state.path + '/state.json', 'wb') as stream:
        stream.write(content)
    with pytest.raises(ValueError, match=r'not readable: .*kept aside as state\.json\.bad'):
        state.load()
    assert os.listdir(state.path) == ['state.json.bad'] and state.load() == {}


def fifo(path):
    """Make a FIFO: opening it for reading would wait for a writer."""
    os.mkfifo(path)


def sparse(path):
    """Make a file of a gigabyte that takes no space."""
    with open(path, 'wb') as stream:
        stream.truncate(1 << 30)


def link(path):
    """Make a link to a file that is there."""
    with open(path + '.target', 'w') as stream:
        json.dump(process(), stream)
    os.symlink(path + '.target', path)


@pytest.mark.parametrize('make', [fifo, sparse, link, os.mkdir])
def test_what_is_no_small_file_of_ours_is_kept_aside_unread(state, make):
    """Nothing waits, nothing follows a link, nothing reads a gigabyte."""
    private_files.own_directory(state.path)
    make(state.path + '/state.json')
    with pytest.raises(ValueError, match='kept aside'):
        state.load()
    assert state.load() == {}


@given(st.binary(max_size=300) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(['boot_id', 'processes', 'pid', 'start_time', 'original', 'written']),
        inner)).map(lambda found: json.dumps(found).encode()))
def test_any_bytes_are_entries_or_a_value_error(content):
    """Nothing else escapes."""
    try:
        found = saved._entries(content, BOOT)
    except ValueError:
        return
    assert all(-999 <= e.original <= 1000 for e in found.values())


@pytest.mark.parametrize('mode', [0o777, 0o770, 0o720])
def test_a_directory_that_others_can_write_is_refused(state, mode):
    """Then the sentinel only watches, and says what to do."""
    os.mkdir(state.path)
    os.chmod(state.path, mode)
    assert 'can be written by others' in state.acquire() and not state.holds_lock
    with pytest.raises(private_files.Refused):
        state.save({})


def test_a_directory_that_others_can_only_read_becomes_private(state):
    """As a rule a new directory has mode 0755."""
    os.mkdir(state.path, 0o755)
    os.chmod(state.path, 0o755)
    assert state.acquire() is None
    assert os.stat(state.path).st_mode & 0o777 == 0o700
    state.release()


def test_a_link_in_place_of_the_directory_is_refused(state, tmp_path):
    """Wherever it leads."""
    (tmp_path / 'elsewhere').mkdir(mode=0o700)
    os.symlink(tmp_path / 'elsewhere', state.path)
    assert 'is a link' in state.acquire()


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can give a directory away')
def test_a_directory_of_another_user_is_refused(state):
    """Whoever made it first could put any original values into it."""
    os.mkdir(state.path, 0o700)
    os.chown(state.path, 65534, 65534)
    assert 'belongs to user 65534' in state.acquire()


def test_the_second_sentinel_takes_over_when_the_first_is_killed():
    """The lock ends with its process, by kill -9 too; XDG_RUNTIME_DIR does not matter."""
    first = subprocess.Popen([sys.executable, '-c', HOLD], stdout=subprocess.PIPE,
                             env={**os.environ, 'XDG_RUNTIME_DIR': '/elsewhere'})
    try:
        assert first.stdout.readline() == b'None\n'
        second = saved.StateDirectory(boot_id=BOOT)
        assert f'(PID {first.pid}) protects already' in second.acquire()
        first.send_signal(signal.SIGKILL)
        first.wait()
        wait_for(lambda: second.acquire() is None, 'it takes over')
        second.release()
    finally:
        with contextlib.suppress(ProcessLookupError):
            first.kill()
        first.wait()
        first.stdout.close()


def test_the_directories_do_not_depend_on_the_environment(monkeypatch):
    """A service and a login of the same user meet the same lock."""
    monkeypatch.delenv('OOM_SENTINEL_STATE')
    found = saved.directories()
    for name in ('XDG_RUNTIME_DIR', 'ROS_HOME', 'HOME'):
        monkeypatch.setenv(name, '/elsewhere')
    assert saved.directories() == found and len(found) >= 1
    monkeypatch.setenv('OOM_SENTINEL_STATE', '/tmp/x')
    assert saved.directories() == ('/tmp/x',)


STATUSES = (Status('Memory', Level.WARN, 'Little \udc80 memory.', (('MemTotal (MiB)', '3'),)),
            Status('OOM risk', Level.OK, 'x' * 9000, ()))


def test_the_last_report_is_read_while_its_writer_runs():
    """With its age; nothing without a file or after the writer has removed it."""
    root, writer = Root(), last_report.Writer(Root())
    assert last_report.read(root) is None
    writer.write(STATUSES, '/oom_sentinel', 'robot', 1.0)
    found = last_report.read(root)
    assert (found.pid, found.node_name, found.hardware_id) == (
        os.getpid(), '/oom_sentinel', 'robot')
    assert [(s.name, s.level, s.values) for s in found.statuses] == [
        (s.name, s.level, s.values) for s in STATUSES]
    assert len(found.statuses[1].message) == last_report.TEXT_MAX
    assert 0 <= found.age_s < 60 and abs(found.wall_s - time.time()) < 60
    writer.remove()
    assert last_report.read(root) is None


def test_the_report_of_a_writer_that_is_gone_is_none():
    """Its PID may be another's by now: the start time tells."""
    writer = last_report.Writer(Root())
    writer.write(STATUSES, '/oom_sentinel', 'robot', 1.0)
    path = os.path.join(last_report.folder(), last_report.NAME)
    with open(path) as stream:
        found = json.load(stream)
    found['start_time'] += 1
    with open(path, 'w') as stream:
        json.dump(found, stream)
    assert last_report.read(Root()) is None
    for broken in ({**found, 'statuses': 3}, {**found, 'statuses': [{}]}, {**found, 'pid': 'x'}):
        broken['start_time'] = saved.own_identity(Root()).start_time
        with open(path, 'w') as stream:
            json.dump(broken, stream)
        with pytest.raises(ValueError):
            last_report.read(Root())
