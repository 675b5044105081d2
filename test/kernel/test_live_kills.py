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
Real OOM kills, told by the real node over DDS: who, why, how sure, and to whom joins later.

Other kills may happen on this machine meanwhile, so every test looks for its own victim's PID.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from conftest import oom_score_adj
from conftest import Robot
from conftest import running_sentinel
from conftest import wait_for
from limited import limited_cgroup  # noqa: F401
from limited import whole_reports  # noqa: F401
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'ros'))
from ear import Ear  # noqa: E402,I100

NOBODY = 65534
PARAMETERS = {
    'scan_period': 0.2, 'publish_period': 0.5, 'groups': ['critical', 'expendable'],
    'group.critical.match': ['exe:leaky'], 'group.critical.oom_score_adj': -300,
    'group.expendable.match': ['exe:recorder'], 'group.expendable.oom_score_adj': 300,
}


@pytest.fixture
def ear():
    """Return an ear that is closed in the end."""
    made = Ear()
    yield made
    made.close()


@pytest.fixture
def public():
    """Return a folder that every user may enter; pytest's own are closed by its next run."""
    path = pathlib.Path(tempfile.mkdtemp(prefix='oom_sentinel_kills_'))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def victim(public, cgroup):
    """Return a function that starts a leaker in a group, and one that lets it die."""
    go, robot = public / 'go', Robot(public / 'robot')

    def start(name='leaky', uid=None):
        def join():
            cgroup.join()
            if uid is not None:
                os.setgid(uid)
                os.setuid(uid)
        return robot.start('demo', name, node=name, leak_mib_s=2000.0, go=go, preexec=join)

    def die(child):
        go.touch()
        wait_for(lambda: child.poll() is not None, 'the kernel kills it', 60)
        assert child.returncode == -9
    yield start, die
    robot.end()


@pytest.mark.usefixtures('whole_reports')
def test_a_protected_nodes_death_is_told_with_name_group_and_reason(
        ear, victim, cgroup, monkeypatch, tmp_path):
    """In the status, on the topic, to a late joiner, in the log and in a folder."""
    monkeypatch.setenv('ROS_HOME', str(tmp_path))
    start, die = victim
    with running_sentinel(PARAMETERS) as sentinel:
        child = start()
        ear.until(lambda: '/leaky' in ear.values('Group critical').get('nodes', ''), 'known')
        die(child)
        status = ear.until(lambda: ear.shown(child.pid), 'the status names it')
        assert status.level == b'\x02' and '/leaky' in status.message
        assert status.message.startswith('leaky killed by the kernel: control group /')
        assert 'reached its memory limit of 300 MiB' in status.message
        (told, values), = ear.until(lambda: ear.told(child.pid), 'the topic names it')
        assert told.level == b'\x02'
        assert values['nodes'] == '/leaky' and values['group'] == 'critical'
        assert values['how sure'] == 'the kernel said so' and values['source'] == 'kmsg'
        assert values['node found'] == 'by PID' and values['before start'] == 'false'
        assert os.path.basename(cgroup.path) in values['why']
        assert '/leaky' in values['what ate the memory']
        assert float(values['victim held (MiB)']) > 200
        late = Ear()
        late.until(lambda: late.told(child.pid), 'a late joiner sees it too')
        late.close()
        folder = ear.until(lambda: next(
            (name for name in os.listdir(tmp_path / 'oom_sentinel') if not
             name.startswith('.') and f'pid{child.pid}_' in name), None)
            if (tmp_path / 'oom_sentinel').exists() else None, 'an incident folder')
        sentinel.terminate()
        assert sentinel.wait(15) == 0
        assert 'leaky killed by the kernel' in sentinel.stdout.read().decode()
    with open(tmp_path / 'oom_sentinel' / folder / 'incident.json', encoding='utf-8') as file:
        said = json.load(file)
    assert said['victim_pid'] == child.pid and said['node_names'] == ['/leaky']
    assert said['wanted'] == -300 and said['tasks'] and said['totalpages']
    with open(tmp_path / 'oom_sentinel' / folder / 'kernel.log', encoding='utf-8') as file:
        assert f'Killed process {child.pid} ' in file.read()


@pytest.mark.usefixtures('whole_reports')
def test_an_expendable_nodes_death_is_a_warning_told_once(ear, victim):
    """And the counters, which saw it too, do not tell it again."""
    start, die = victim
    with running_sentinel({**PARAMETERS, 'incident.directory': ''}):
        child = start('recorder')
        ear.until(lambda: oom_score_adj(child.pid) >= 300, 'it is expendable')
        ear.until(lambda: '/recorder' in ear.values('Group expendable').get('nodes', ''),
                  'known')
        die(child)
        (told, _), = ear.until(lambda: ear.told(child.pid), 'the topic names it')
        assert told.level == b'\x01' and 'expendable in group expendable' in told.message
        before = len(ear.arrays)
        ear.until(lambda: len(ear.arrays) > before + 8, 'some seconds of messages')
        assert len(ear.told(child.pid)) == 1
        assert ear.values('OOM kills')['incident folder'] == 'incident.directory is empty'


@pytest.mark.usefixtures('whole_reports')
def test_a_storm_of_kills_is_told_whole(ear, robot, cgroup, monkeypatch, tmp_path):
    """Six nodes that leak at once die one after the other: each is told once, with a folder."""
    monkeypatch.setenv('ROS_HOME', str(tmp_path))
    go = tmp_path / 'go'
    with running_sentinel({**PARAMETERS, 'incident.keep': 4}):
        storm = [robot.start('demo', 'leaky', node=f'leaky{i}', leak_mib_s=2000.0, go=go,
                             preexec=cgroup.join) for i in range(6)]
        ear.until(lambda: all(f'/leaky{i}' in ear.values('Group critical').get('nodes', '')
                              for i in range(6)), 'all are known')
        go.touch()
        for index, child in enumerate(storm):
            wait_for(lambda child=child: child.poll() is not None, 'the kernel kills it', 60)
            (_, values), = ear.until(lambda child=child: ear.told(child.pid), 'it is told')
            assert values['nodes'] == f'/leaky{index}'

        def folders():
            names = [path.name for path in (tmp_path / 'oom_sentinel').glob('*')]
            return [n for n in names if n.endswith('Z') or ('_pid' in n and n[0] != '.')]
        ear.until(lambda: len(folders()) == 4 and not ear.values('OOM kills').get(
            'incident folder', 'none').startswith('none'), 'the newest four folders')
        assert [len(ear.told(child.pid)) for child in storm] == [1] * 6


@pytest.mark.usefixtures('whole_reports')
def test_kills_from_before_the_start_are_marked_and_have_no_names(ear, victim):
    """A sentinel that starts later lists them without an alarm."""
    start, die = victim
    child = start()
    comm = pathlib.Path(f'/proc/{child.pid}/comm').read_text().strip()
    die(child)
    with running_sentinel(PARAMETERS):
        (told, values), = ear.until(lambda: ear.told(child.pid), 'the past is listed')
        assert told.level == b'\x00' and values['before start'] == 'true'
        assert values['nodes'] == 'none' and values['node found'].startswith('not known')
        assert values['victim'] == f'{comm} (PID {child.pid})'


def test_without_any_permission_the_kill_is_inferred(ear, victim, public):
    """As another user without a kernel log: from the counters and from who vanished."""
    if shutil.which('setpriv') is None:
        pytest.skip('changing the user needs setpriv')
    drop = ('setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', 'sh', '-c',
            'ulimit -n 1024; exec "$@"', 'sh')
    tried = subprocess.run([*drop, sys.executable, '-c', 'import oom_sentinel'],
                           capture_output=True)
    if tried.returncode:
        pytest.skip('another user cannot use this virtual environment')
    if subprocess.run([*drop, 'head', '-c1', '/dev/kmsg'], capture_output=True).stdout:
        pytest.skip('here every user may read the kernel log')
    home = public / 'home'
    home.mkdir()
    home.chmod(0o777)
    env = {k: v for k, v in os.environ.items() if k not in (
        'XDG_RUNTIME_DIR', 'ROS_HOME', 'OOM_SENTINEL_STATE')}
    env.update(HOME=str(home), ROS_LOG_DIR=str(home / 'log'))
    start, die = victim
    with running_sentinel(PARAMETERS, env=env, command_prefix=drop):
        child = start(uid=NOBODY)
        ear.until(lambda: '/leaky' in ear.values('Group critical').get('nodes', ''), 'known')
        die(child)
        (told, values), = ear.until(lambda: ear.told(child.pid), 'it is inferred')
        assert told.level == b'\x02' and values['nodes'] == '/leaky'
        assert values['how sure'] == 'inferred' and values['source'] == 'counters'
        assert 'a counter shows' in told.message and values['node found'].endswith(
            'it died by signal 9')
        better = ear.values('OOM kills')['a better source']
        assert '/dev/kmsg' in better and 'dmesg_restrict' in better
        ear.until(lambda: list((home / '.ros' / 'oom_sentinel').glob('*leaky*')),
                  'an incident folder all the same')


@pytest.mark.usefixtures('whole_reports')
def test_in_a_pid_namespace_the_node_is_found_by_its_name(ear, robot, cgroup, public):
    """As in a container: the PIDs in the kernel's log are not those that the sentinel sees."""
    start = ['unshare', '--pid', '--fork', '--kill-child', '--mount-proc']
    if subprocess.run([*start, 'true'], capture_output=True).returncode:
        pytest.skip('no PID namespace can be made here')
    example = robot.start('demo', 'leaky', node='leaky')
    go, (python, isolated, script) = public / 'go', example.args[:3]
    example.kill()
    victim_first = (f'(echo 0 > {cgroup.path}/cgroup.procs; exec {python} {isolated} {script} '
                    f'0 2000 {go} --ros-args -r __node:=hidden) & exec "$@"')
    with running_sentinel(PARAMETERS, command_prefix=(
            *start, 'sh', '-c', victim_first, 'sh')) as sentinel:
        ear.until(lambda: '/hidden' in ear.values('Group critical').get('nodes', ''), 'known')
        go.touch()
        values = ear.until(lambda: next(
            (v for s in ear.kills for v in [{v.key: v.value for v in s.values}]
             if v['nodes'] == '/hidden'), None), 'the topic names it')
        sentinel.kill()
    assert values['how sure'] == 'the kernel said so' and 'by name' in values['node found']
    group = os.path.basename(cgroup.path)
    if group in subprocess.run(['dmesg'], capture_output=True, text=True, errors='replace').stdout:
        assert group in values['why']  # the kernel leaves such lines out when it kills often
