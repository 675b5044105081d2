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

"""What the guest's tests share: counts of deaths, control groups of our own, another user."""

import contextlib
from dataclasses import dataclass
import os
import signal
import subprocess
import sys

import conftest
import pytest

if not os.path.exists('/run/oom_sentinel_guest'):
    pytest.skip('runs out of memory as a whole: only in the guest of make vm-test',
                allow_module_level=True)
sys.path.insert(0, os.path.join(conftest.HERE, 'ros'))
from ear import Ear  # noqa: E402,I100

LONG = pytest.mark.skipif(not os.environ.get('LONG'), reason='takes long: only with VM_LONG=1')
ROBOT_UID = 1000
MIB = 1 << 20
FAST = {'scan_period': 0.5, 'publish_period': 0.5}
# Three critical nodes and one that may go, as on a small robot.
GROUPS = {
    **FAST, 'groups': ['bringup', 'drivers', 'navigation', 'expendable'],
    'group.bringup.match': ['exe:bringup'], 'group.drivers.match': ['exe:lidar'],
    'group.navigation.match': ['node:/amcl'], 'group.expendable.match': ['exe:recorder'],
}
# CAP_SYS_RESOURCE and all others gone for good, as after a login or a systemd User=.
AS_ROBOT = ('setpriv', f'--reuid={ROBOT_UID}', f'--regid={ROBOT_UID}', '--clear-groups',
            '--inh-caps=-all', '--bounding-set=-all')

ROOT_WITHOUT_CAPABILITIES = ('setpriv', '--inh-caps=-all', '--bounding-set=-all')


def read(path):
    """Return a small file's text."""
    with open(path, encoding='ascii') as stream:
        return stream.read()


def write(path, text):
    """Write a small file with one system call."""
    with open(path, 'wb', buffering=0) as stream:
        stream.write(str(text).encode())


def keyed(path):
    """Return a file of `name number` lines as a mapping."""
    return {name: int(value) for name, value in
            (line.split()[:2] for line in read(path).splitlines())}


def oom_kills():
    """Return how many processes the kernel's OOM killer killed since boot."""
    return keyed('/proc/vmstat')['oom_kill']


def available_mib():
    """Return MemAvailable in MiB."""
    line = next(x for x in read('/proc/meminfo').splitlines() if x.startswith('MemAvailable'))
    return int(line.split()[1]) >> 10


def pid_of(program):
    """Return the PID of the process that runs this script, None without one."""
    for name in os.listdir('/proc'):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f'/proc/{name}/cmdline', 'rb') as stream:
                if str(program).encode() in stream.read().split(b'\0')[:3]:
                    return int(name)
    return None


def dead(children):
    """Return which of these named children are dead: name -> child."""
    return sorted(name for name, child in children.items() if child.poll() is not None)


def end_all(path):
    """Kill everybody in a control group and below; Linux before 5.14 has no cgroup.kill."""
    if os.path.exists(f'{path}/cgroup.kill'):
        write(f'{path}/cgroup.kill', 1)
        return
    for folder, _, _ in os.walk(path):
        for pid in read(f'{folder}/cgroup.procs').split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)


@contextlib.contextmanager
def cgroup(name, **values):
    """
    Make a v2 control group and yield its path; everybody in it is killed in the end.

    :param values: files to write; a dot is written as two underscores.
    """
    path = f'/sys/fs/cgroup/{name}'
    os.mkdir(path)
    try:
        for key, value in values.items():
            write(f'{path}/{key.replace("__", ".")}', value)
        yield path
    finally:
        end_all(path)
        conftest.wait_for(lambda: 'populated 0' in read(f'{path}/cgroup.events'),
                          f'{path} is empty')
        os.rmdir(path)


def pytest_collection_modifyitems(items):
    """Run first what wants no other sentinel, and last what matters least if time runs out."""
    order = ('test_guest_alone.py', 'test_guest_floor.py', 'watched', 'test_wakes.py')

    def rank(item):
        name = 'watched' if 'watched' in item.fixturenames else item.path.name
        return order.index(name) if name in order else len(order)

    items.sort(key=rank)


@dataclass(frozen=True)
class Watched:
    """One sentinel of root for all tests that want one: each start costs 13 s here."""

    child: subprocess.Popen
    observer: Ear

    def tells(self, child, *, level, node, why):
        """Wait for the message about a child's death, one with these facts; return its values."""
        self.observer.until(lambda: self.observer.told(child.pid), f'the death of {node}')
        (told, values), = self.observer.told(child.pid)
        assert (told.level[0], values['nodes']) == (level, node)
        assert values['how sure'] == 'the kernel said so', (
            values, self.observer.values('OOM kills'))
        assert why in values['why'], values['why']
        return values


@pytest.fixture(scope='session')
def watched(tmp_path_factory):
    """Run a privileged sentinel with GROUPS, listened to by an observer."""
    home = str(tmp_path_factory.mktemp('watched'))
    env = {**os.environ, 'XDG_RUNTIME_DIR': home, 'ROS_HOME': home, 'ROS_LOG_DIR': home,
           'OOM_SENTINEL_STATE': f'{home}/state'}
    with conftest.running_sentinel(GROUPS, env=env) as child:
        observer = Ear()
        observer.until(lambda: observer.status('Protection'), 'the node publishes')
        yield Watched(child, observer)
        observer.close()


@dataclass(frozen=True)
class Home:
    """Where the user robot lives, and the environment of its processes."""

    path: os.PathLike[str]
    env: dict[str, str]


@pytest.fixture
def home(tmp_path):
    """Make a home that the user robot may use."""
    path = tmp_path / 'home'
    (path / 'run').mkdir(parents=True)
    for folder in (tmp_path, *list(tmp_path.parents)[:2]):
        os.chmod(folder, 0o755)
    for folder in (path, path / 'run'):
        os.chown(folder, ROBOT_UID, ROBOT_UID)
    return Home(path, {**os.environ, 'HOME': str(path), 'XDG_RUNTIME_DIR': str(path / 'run'),
                             'OOM_SENTINEL_STATE': str(path / 'state'),
                       'ROS_HOME': str(path / 'ros'), 'ROS_LOG_DIR': str(path / 'ros/log')})
