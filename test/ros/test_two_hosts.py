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
"""Two hosts on one graph: network namespaces of our own, each with a sentinel and a host name."""

import json
import os
import shutil
import signal
import subprocess
import sys

from conftest import program
from conftest import wait_for
import pytest

pytest.importorskip('rclpy', reason='needs rclpy')
TOOLS = ('ip', 'nsenter', 'unshare', 'hostname')
# Prints each status that comes as [name, hardware_id], one line each.
EAR = """
import json
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
rclpy.init()
node = rclpy.create_node('ear')
def hear(message):
    for status in message.status:
        print(json.dumps([status.name, status.hardware_id]), flush=True)
node.create_subscription(DiagnosticArray, '/diagnostics', hear, 50)
print('ready', flush=True)
rclpy.spin(node)
"""


def ip(*words):
    """Run ip and return what it says, or fail with it."""
    return subprocess.run(['ip', *words], check=True, capture_output=True, timeout=20,
                          text=True).stdout


class Hosts:
    """Two hosts joined by a cable, and what runs on them."""

    def __init__(self, folder):
        """Make the namespaces; addresses are private and lead nowhere else."""
        self.folder, self.children = folder, []
        self.names = [f'oomtest{os.getpid()}{letter}' for letter in 'ab']
        for name in self.names:
            ip('netns', 'add', name)
        try:
            first, second = self.names
            ip('-n', first, 'link', 'add', 'cable', 'type', 'veth', 'peer', 'name', 'cable',
               'netns', second)
            for number, name in enumerate(self.names, 1):
                ip('-n', name, 'addr', 'add', f'10.213.77.{number}/24', 'dev', 'cable')
                for device in ('lo', 'cable'):
                    ip('-n', name, 'link', 'set', device, 'up')
            # The carrier comes up a little later, and Fast DDS uses what is up when it starts.
            wait_for(lambda: all('state UP' in ip('-n', name, 'link', 'show', 'cable')
                                 for name in self.names), 'the cable carries')
        except BaseException:
            self.end()
            raise

    def start(self, number, *command, **more):
        """Start a program on a host, with a host name, state and shared memory of its own."""
        state = self.folder / f'host{number}'
        state.mkdir(exist_ok=True)
        env = {**os.environ, 'XDG_RUNTIME_DIR': str(state), 'ROS_HOME': str(state),
               'OOM_SENTINEL_STATE': str(state), 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'SUBNET',
               'ROS_LOCALHOST_ONLY': '0', 'FASTDDS_BUILTIN_TRANSPORTS': 'UDPv4'}
        child = subprocess.Popen(
            ['nsenter', f'--net=/run/netns/{self.names[number - 1]}', 'unshare', '--uts',
             'sh', '-c', f'hostname host{number} && exec "$@"', 'sh', *command],
            env=env, **more)
        self.children.append(child)
        return child

    def sentinel(self, number):
        """Start a sentinel that only watches, and return it."""
        with open(self.folder / f'log{number}', 'wb') as log:
            return self.start(
                number, program('oom_sentinel_node'), '--ros-args', '-r',
                f'__ns:=/robot{number}', '-p', 'protection.enabled:=false', '-p',
                "incident.directory:=''", stdout=log, stderr=subprocess.STDOUT)

    def end(self):
        """End what runs, and remove the namespaces."""
        for child in self.children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)
                try:
                    child.wait(20)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()
        for name in self.names:
            subprocess.run(['ip', 'netns', 'delete', name], check=False, capture_output=True,
                           timeout=20)


@pytest.fixture
def hosts(tmp_path):
    """Return two hosts, removed at the end."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        pytest.skip(f'needs root and {", ".join(missing) or "nothing more"}')
    try:
        made = Hosts(tmp_path)
    except subprocess.CalledProcessError as error:
        pytest.skip(f'network namespaces cannot be made here: {error.stderr.strip()}')
    yield made
    made.end()


def test_names_and_hardware_ids_keep_two_hosts_apart_and_a_lost_one_falls_silent(hosts):
    """One aggregator can show both; the one that is lost becomes stale, the other goes on."""
    heard = hosts.folder / 'heard'
    with open(heard, 'wb') as stream:
        hosts.start(1, sys.executable, '-u', '-c', EAR, stdout=stream)
    wait_for(lambda: 'ready' in heard.read_text(), 'the listener runs')
    sentinels = [hosts.sentinel(number) for number in (1, 2)]

    def rows():
        return [json.loads(line) for line in heard.read_text().splitlines()
                if line.startswith('[') and line.endswith(']')]
    wanted = {('robot1/oom_sentinel: Memory', 'host1'), ('robot2/oom_sentinel: Memory', 'host2')}
    wait_for(lambda: wanted <= {tuple(row) for row in rows()}, 'both hosts are heard', 90)
    assert {name.partition('/')[0]: hardware for name, hardware in rows()} == {
        'robot1': 'host1', 'robot2': 'host2'}
    # Lost without a farewell, as by a dead battery.
    subprocess.run(['ip', '-n', hosts.names[1], 'link', 'set', 'cable', 'down'], check=True)
    before = len(rows())
    wait_for(lambda: sum(name.startswith('robot1/') and name.endswith(': Memory')
                         for name, _ in rows()[before:]) >= 4, 'the first goes on alone')
    assert [name for name, _ in rows()[before:][-8:] if name.startswith('robot2/')] == []
    for number, sentinel in enumerate(sentinels, 1):
        sentinel.send_signal(signal.SIGINT)
        assert sentinel.wait(30) == 0
        log = (hosts.folder / f'log{number}').read_text(errors='replace')
        assert 'Traceback' not in log and 'a cycle failed' not in log, log
