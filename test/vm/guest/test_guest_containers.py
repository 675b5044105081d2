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
From inside a container and from its host: why bringup never came up.

The containers are crun's, their root is the guest's own disk below an overlay; they have what
Docker gives: a limit, namespaces of their own, no CAP_SYS_RESOURCE, no kernel log.
"""

import contextlib
import json
import os
import shlex
import shutil
import subprocess

from conftest import oom_score_adj
from conftest import program
from conftest import wait_for
from container import Container
from container import Podman
from machine import AS_ROBOT
from machine import FAST
from machine import keyed
from machine import LONG
from machine import MIB
from machine import read
from machine import ROBOT_UID
from machine import write
import pytest

pytestmark = [pytest.mark.skipif(shutil.which('crun') is None, reason='crun is not in the guest'),
              pytest.mark.usefixtures('outer_groups')]
CLI = program('oom_sentinel')
SENTINEL = program('oom_sentinel_node')
DOCKER = '/docker/a1b2c3d4e5f6' + '0' * 52
POD = '/kubepods/burstable/pod0123'
HOST_NAMESPACES = ('mount', 'ipc', 'uts')


@pytest.fixture
def outer_groups():
    """Make the groups above the containers, with the memory controller, as dockerd does."""
    made = []
    for path in ('/docker', '/kubepods', '/kubepods/burstable', POD, '/rootless'):
        folder = f'/sys/fs/cgroup{path}'
        os.mkdir(folder)
        made.append(folder)
        write(f'{folder}/cgroup.subtree_control', '+memory +pids')
    yield
    for folder in reversed(made):
        for inner, _, _ in list(os.walk(folder, topdown=False)):
            with contextlib.suppress(OSError):
                os.rmdir(inner)


def script(*commands):
    """Return what starts these and goes on when they end."""
    return '\n'.join(f'{shlex.join(c)} &' for c in commands) + '\nwait\nsleep 100000'


def leaking(robot, tmp_path, package='base', name='bringup', node='base'):
    """Return the command of a process that leaks once the go file is there."""
    return robot.command(package, name, node=node, leak_mib_s=100.0, go=tmp_path / 'go')


def go(container, tmp_path):
    """Let the leak begin in the container."""
    (container.root / str(tmp_path / 'go').lstrip('/')).touch()


def killed(container, tmp_path):
    """Let it leak and return once the kernel killed in the container."""
    go(container, tmp_path)
    events = f'/sys/fs/cgroup{container.cgroup}/memory.events'
    wait_for(lambda: keyed(events)['oom_kill'] > 0, 'the kernel kills in the container')


def asked(container, *words):
    """Return exit code and document of a verb, inside or on the host."""
    done = container.run(CLI, '--json', *words) if container else subprocess.run(
        [CLI, '--json', *words], capture_output=True, text=True)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def findings(container):
    """Return what the doctor finds inside, by id; no remedy there is for users of the host."""
    _, said = asked(container, 'doctor')
    print(json.dumps(said, indent=1))
    found = {f['id']: f for f in said['findings']}
    assert not [f for f in found.values() if 'usermod' in f['remedy']]
    return found


def pid_of(container, name):
    """Return the PID on the host of a container's process that runs this script."""
    def found():
        for pid in container.pids():
            with contextlib.suppress(OSError), open(f'/proc/{pid}/cmdline', 'rb') as stream:
                if f'/{name}\0'.encode() in stream.read():
                    return pid
        return None
    return wait_for(found, f'{name} runs in the container')


def test_the_kill_the_limit_and_the_place_are_found_inside_and_on_the_host(
        watched, robot, tmp_path):
    """kills, doctor and status inside; outside kills, and the sentinel's message."""
    with Container('robot', DOCKER, limit=100 * MIB, swap=100 * MIB) as box:
        box.start(script(leaking(robot, tmp_path)))
        assert asked(box, 'kills')[0] == 0
        pid = pid_of(box, 'bringup')
        watched.observer.until(lambda: DOCKER in str(watched.observer.values('Control groups')),
                               "the host's sentinel finds the container's limit")
        killed(box, tmp_path)
        shown = box.run(CLI, 'kills')
        print(shown.stdout, shown.stderr)
        assert shown.returncode == 1, shown.stderr
        assert 'This container was hit once' in shown.stdout and '100 MiB' in shown.stdout
        assert 'on the host' in shown.stdout and 'usermod' not in shown.stdout + shown.stderr
        found = findings(box)
        assert 'Docker' in found['container']['evidence']
        assert 'once' in found['container_kills']['evidence']
        assert '100 MiB' in found['cgroup_limit']['evidence']
        assert 'docker update --memory=150m' in found['cgroup_limit']['remedy']
        assert 'a1b2c3d4e5f6' in found['cgroup_limit']['remedy']
        status = {s['name'].partition(': ')[2]: s for s in asked(box, 'status')[1]['statuses']}
        print(json.dumps(status, indent=1))
        assert '100' in str(status['Control groups']['values']['limit_mib'])
        assert status['Control groups']['values']['oom_kill'] in (1, '1')
        told = watched.observer.until(lambda: watched.observer.told(pid), 'the host tells it')
        assert told[0][1]['why'] == 'Container limit 100 MiB reached.'
        assert told[0][1]['how sure'] == 'the kernel said so'
    kill = [k for k in asked(None, 'kills')[1]['kills'] if k['oom_memcg'] == DOCKER][-1]
    assert kill['victim_pid'] == pid


@LONG
@pytest.mark.skipif(shutil.which('podman') is None, reason='podman is not in the guest')
def test_podmans_limit_and_kill_are_found_and_its_remedy_is_taken(watched, robot, tmp_path):
    """Of podman run --memory: kills, doctor and status inside; kills and the message outside."""
    with Podman('robot', '--memory=100m', '--memory-swap=100m') as box:
        box.start(script(leaking(robot, tmp_path)))
        assert asked(box, 'kills')[0] == 0
        pid = pid_of(box, 'bringup')
        watched.observer.until(lambda: box.cgroup in str(watched.observer.values(
            'Control groups')), "the host's sentinel finds the container's limit")
        assert box.run('touch', str(tmp_path / 'go')).returncode == 0
        events = f'/sys/fs/cgroup{box.cgroup}/memory.events'
        wait_for(lambda: keyed(events)['oom_kill'] > 0, 'the kernel kills in the container')
        shown = box.run(CLI, 'kills')
        print(shown.stdout, shown.stderr)
        assert shown.returncode == 1, shown.stderr
        assert 'This container was hit once' in shown.stdout and '100 MiB' in shown.stdout
        found = findings(box)
        assert 'Podman' in found['container']['evidence']
        assert 'once' in found['container_kills']['evidence']
        status = {s['name'].partition(': ')[2]: s for s in asked(box, 'status')[1]['statuses']}
        print(json.dumps(status, indent=1))
        assert status['Control groups']['values']['oom_kill'] in (1, '1')
        told = watched.observer.until(lambda: watched.observer.told(pid), 'the host tells it')
        assert told[0][1]['why'] == 'Container limit 100 MiB reached.'
        cure = found['cgroup_limit']['remedy'].splitlines()[-1].split()
        assert cure[:2] == ['podman', 'update'], found['cgroup_limit']
        box.podman(*cure[1:])
        assert int(read(f'/sys/fs/cgroup{box.cgroup}/memory.max')) == 150 * MIB
    said = asked(None, 'kills')
    print(pid, box.cgroup, json.dumps(said, indent=1))
    assert [k for k in said[1]['kills'] if (k['oom_memcg'], k['victim_pid']) == (box.cgroup, pid)]


@pytest.mark.parametrize('namespaces', [
    ('pid', *HOST_NAMESPACES), pytest.param(HOST_NAMESPACES, marks=LONG)])
def test_another_containers_kill_is_not_this_ones(robot, tmp_path, namespaces):
    """With the host's control groups in sight, and with its PID namespace too."""
    neighbour = '/docker/b0'
    with Container('calm', DOCKER, limit=200 * MIB, namespaces=namespaces) as box, \
            Container('hit', neighbour, limit=60 * MIB, swap=60 * MIB) as other:
        box.start(script(robot.command('demo', 'talker', node='talker')))
        other.start(script(leaking(robot, tmp_path)))
        killed(other, tmp_path)
        assert asked(box, 'kills')[0] == 0
        found = findings(box)
        assert 'container_kills' not in found and 'Docker' in found['container']['evidence']
        assert '200 MiB' in found['cgroup_limit']['evidence']
        assert 'docker update' in found['cgroup_limit']['remedy']


@LONG
@pytest.mark.usefixtures('home')  # the user may read what is below tmp_path
def test_a_containers_own_value_is_a_floor(robot):
    """--oom-score-adj=-500 and choom as compose.yaml says: a user lowers to it, no further."""
    bringup = robot.command('base', 'bringup', node='base')
    with Container('floor', DOCKER, limit=300 * MIB, adj=-500, uid=ROBOT_UID) as box:
        doctor = f'{shlex.quote(CLI)} --json doctor > /tmp/found\n'
        box.start('exec choom -n 0 -- sh -c ' + shlex.quote(doctor + script(bringup)))
        pid = pid_of(box, 'bringup')
        assert oom_score_adj(pid) == 0
        found = json.loads((box.root / 'tmp/found').read_text())
        assert 'no_floor' not in {f['id'] for f in found['findings']}
        code, said = asked(box, 'protect', 'exe:bringup', '-500')
        assert code == 0, said
        assert oom_score_adj(pid) == -500
        code, said = asked(box, 'protect', 'exe:bringup', '-700')
        assert (code, said['adjustments'][0]['achievable']) == (1, -500)


def test_a_pod_dies_as_one_and_the_doctor_says_so_before(watched, robot, tmp_path):
    """The kubelet's memory.oom.group: an error beforehand; the host's sentinel tells the kill."""
    write(f'/sys/fs/cgroup{POD}/memory.max', 150 * MIB)
    env = {**os.environ, 'KUBERNETES_SERVICE_HOST': '10.0.0.1'}
    with Container('pod', f'{POD}/c0', limit=80 * MIB, swap=80 * MIB, adj=900, env=env,
                   unified={'memory.oom.group': '1'}) as box:
        box.start(script(leaking(robot, tmp_path), robot.command('demo', 'talker')))
        pids = box.pids()
        found = findings(box)
        assert 'Kubernetes' in found['container']['evidence']
        assert 'singleProcessOOMKill' in found['cgroup_oom_group']['remedy']
        assert 'resources.limits.memory' in found['cgroup_limit']['remedy']
        go(box, tmp_path)
        wait_for(lambda: box.state() == 'stopped', 'all of the pod die')
        assert not [pid for pid in pids if os.path.exists(f'/proc/{pid}')]
        watched.observer.until(lambda: any(watched.observer.told(pid) for pid in pids),
                               "the host's sentinel tells the pod's death")
    code, said = asked(None, 'kills')
    assert code == 1 and [k for k in said['kills'] if k['oom_memcg'] == f'{POD}/c0']


def test_without_root_the_counter_answers_too(home, robot, tmp_path):
    """A user's container, in a user namespace, with a delegated control group."""
    if tuple(map(int, os.uname().release.split('.')[:2])) < (5, 12):
        pytest.skip('crun without root needs mount_setattr(), which is of Linux 5.12')
    for folder in ('/sys/fs/cgroup/rootless', '/sys/fs/cgroup/rootless/init'):
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)
        for name in ('', '/cgroup.procs', '/cgroup.subtree_control', '/cgroup.threads'):
            os.chown(folder + name, ROBOT_UID, ROBOT_UID)
    inside = ('sh', '-c', 'echo $$ > /sys/fs/cgroup/rootless/init/cgroup.procs; exec "$@"', 'sh')
    maps = [{'containerID': 0, 'hostID': ROBOT_UID, 'size': 1}]
    env = {**os.environ, 'XDG_RUNTIME_DIR': str(home.path / 'run'), 'HOME': str(home.path)}
    with Container('rootless', '/rootless/box', limit=80 * MIB, swap=80 * MIB, env=env,
                   namespaces=('pid', 'mount', 'ipc', 'uts', 'cgroup', 'user'),
                   as_user=(*inside, *AS_ROBOT, 'env', f'XDG_RUNTIME_DIR={home.path}/run'),
                   extra={'uidMappings': maps, 'gidMappings': maps}) as box:
        os.chown(box.folder, ROBOT_UID, ROBOT_UID)
        box.start(script(leaking(robot, tmp_path)))
        pid = pid_of(box, 'bringup')
        assert os.stat(f'/proc/{pid}').st_uid == ROBOT_UID
        killed(box, tmp_path)
        code, said = asked(box, 'kills')
        assert code == 1 and 'hit once' in said['counters'][0], said
        found = findings(box)
        assert 'once' in found['container_kills']['evidence'] and 'no_floor' in found


@LONG
def test_a_sentinel_inside_saves_the_critical_node_by_raising(robot, tmp_path):
    """Nothing can be lowered there; the leaking recorder is raised and dies."""
    parameters = tmp_path / 'parameters.yaml'
    parameters.write_text(json.dumps({'/**': {'ros__parameters': {
        **FAST, 'groups': ['critical', 'expendable'], 'group.critical.match': ['exe:bringup'],
        'group.critical.oom_score_adj': -500, 'group.expendable.match': ['exe:recorder'],
        'protection.raise': 'ros'}}}), encoding='ascii')
    home = tmp_path / 'inside'
    home.mkdir()
    env = {**os.environ, 'HOME': str(home), 'XDG_RUNTIME_DIR': str(home),
           'OOM_SENTINEL_STATE': str(home / 'state'), 'ROS_HOME': str(home),
           'ROS_LOG_DIR': str(home), 'ROS_DOMAIN_ID': '78'}
    node = [SENTINEL, '--ros-args', '--params-file', str(parameters)]
    with Container('robot', DOCKER, limit=260 * MIB, swap=260 * MIB, env=env) as box:
        box.start(script(robot.command('base', 'bringup', node='base', mib=80),
                         leaking(robot, tmp_path, 'rosbag', 'recorder', 'recorder'), node))
        pids = {name: pid_of(box, name) for name in ('bringup', 'recorder')}
        wait_for(lambda: oom_score_adj(pids['recorder']) > 200, 'the recorder is raised')
        assert oom_score_adj(pids['bringup']) == 0
        killed(box, tmp_path)
        wait_for(lambda: not os.path.exists(f'/proc/{pids["recorder"]}'), 'the recorder dies')
        assert os.path.exists(f'/proc/{pids["bringup"]}')

        def told():
            said = (box.folder / 'said').read_text(errors='replace')
            return said if '/recorder' in said and 'kill' in said else None
        said = wait_for(told, 'the sentinel inside tells the kill')
        print(said)
        assert 'Traceback' not in said and 'a cycle failed' not in said
