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
Storms of real OOM kills: how many are told, with the right name, with a wrong one.

In a memory control group of its own (v1, root) nodes leak at random times and are killed, while
others end by themselves at the same time.  The sentinel reads the kernel log, or has no right
to it, or runs with the nodes in a PID namespace, as in a container.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile

LIMIT_MIB = 300
VICTIMS, DECOYS, STORM_S = 20, 10, 10.0
PATIENCE_S = 30.0
NODE = """
import signal, sys, time
held = []
def leak(*_):
    while True:
        held.append(bytearray(b'x' * (4 << 20)))
signal.signal(signal.SIGUSR1, leak)
signal.signal(signal.SIGUSR2, lambda *_: sys.exit(0))
print('ready', flush=True)
while True:
    time.sleep(1)
"""
# Without CAP_SYSLOG; without the PIDs of the kernel log; without both.
NO_LOG = ('setpriv', '--bounding-set', '-syslog')
NAMESPACE = ('unshare', '--pid', '--fork', '--kill-child', '--mount-proc')
PLACES = {'kernel log': (), 'no kernel log': NO_LOG, 'PID namespace': NAMESPACE,
          'PID namespace, no log': NAMESPACE + NO_LOG}
COUNTED = re.compile(r'^(?:At least )?(\d+) OOM kills? by the kernel')


def drive(folder, home, seed, equal_names):
    """Start the nodes, let them leak and end, and write how each of them ended."""
    chance = random.Random(seed)

    def join():
        with open(f'{folder}/cgroup.procs', 'w', encoding='ascii') as stream:
            stream.write('0')
    nodes = {}
    for index in range(VICTIMS + DECOYS):
        name = f'{"victim" if index < VICTIMS else "decoy"}_{index}'
        program = f'{home}/lib/demo/{"node" if equal_names else name}'
        os.makedirs(os.path.dirname(program), exist_ok=True)
        with open(program, 'w', encoding='ascii') as stream:
            stream.write(f'#!{sys.executable} -IS\n{NODE}')
        os.chmod(program, 0o755)
        nodes[name] = subprocess.Popen(
            [program, '--ros-args', '-r', f'__node:={name}'], preexec_fn=join,
            stdout=subprocess.PIPE)
        nodes[name].stdout.readline()
    while not os.path.exists(f'{home}/go'):
        time.sleep(0.05)
    events = sorted((chance.uniform(0, STORM_S), name) for name in nodes)
    begun = time.monotonic()
    for at, name in events:
        time.sleep(max(0.0, begun + at - time.monotonic()))
        if name.startswith('victim'):
            nodes[name].send_signal(signal.SIGUSR1)
        else:
            nodes[name].send_signal(chance.choice((signal.SIGUSR2, signal.SIGTERM)))
    time.sleep(3.0)
    for child in nodes.values():
        if child.poll() is None:
            child.terminate()
    ends = {name: child.wait() for name, child in nodes.items()}
    with open(f'{home}/ends.partial', 'w', encoding='ascii') as stream:
        json.dump(ends, stream)
    os.rename(f'{home}/ends.partial', f'{home}/ends')
    time.sleep(3600)


class Listener:
    """Keeps what the sentinel publishes of kills and the names that it knows."""

    def __init__(self):
        """Subscribe."""
        self.node = rclpy.create_node('bench_kill_storm')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.kills, self.known = [], ''
        kept = QoSProfile(depth=200, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(DiagnosticArray, '/oom_sentinel/oom_kills',
                                      lambda m: self.kills.extend(m.status), kept)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._note, 10)

    def _note(self, message):
        for status in message.status:
            if status.name.endswith(': Group all'):
                self.known = status.message + ' '.join(v.value for v in status.values)

    def until(self, condition, patience_s=PATIENCE_S):
        """Listen until the condition holds; return whether it did in time."""
        end = time.monotonic() + patience_s
        while not condition() and time.monotonic() < end:
            self.executor.spin_once(timeout_sec=0.1)
        return bool(condition())


def storm(place, seed, equal_names=False):
    """Return what a storm killed, and what was told of it: (killed, told, right, false)."""
    folder = f'/sys/fs/cgroup/memory/oom_sentinel_storm_{os.getpid()}_{seed}'
    os.mkdir(folder)
    try:
        with open(f'{folder}/memory.limit_in_bytes', 'w', encoding='ascii') as stream:
            stream.write(str(LIMIT_MIB << 20))
        with tempfile.TemporaryDirectory() as home:
            return _storm(place, seed, folder, home, equal_names)
    finally:
        for _ in range(100):
            try:
                os.rmdir(folder)
                break
            except OSError:
                time.sleep(0.1)


def _storm(place, seed, folder, home, equal_names):
    program = os.path.join(os.path.dirname(sys.executable), 'oom_sentinel_node')
    driver = [sys.executable, os.path.abspath(__file__), folder, home, str(seed),
              str(int(equal_names))]
    # Both in one namespace; the driver outlives the sentinel's end by its parent's.
    script = '"$1" "$2" "$3" "$4" "$5" "$6" & shift 6; exec "$@"'
    sentinel = [program, '--ros-args', '-p', 'groups:=[all]', '-p', "group.all.match:=['exe:*']",
                '-p', 'group.all.oom_score_adj:=0', '-p', 'scan_period:=0.2',
                '-p', 'incident.keep:=0']
    env = {**os.environ, 'XDG_RUNTIME_DIR': home, 'ROS_HOME': home,
           'OOM_SENTINEL_STATE': home}
    listener = Listener()
    child = subprocess.Popen(
        [*PLACES[place], 'sh', '-c', script, 'sh', *driver, *sentinel], env=env,
        start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        listener.until(lambda: os.path.exists(f'{home}/lib/demo') and len(
            open(f'{folder}/cgroup.procs', encoding='ascii').read().split())
            == VICTIMS + DECOYS)
        listener.until(lambda: False, 4.0)
        open(f'{home}/go', 'w', encoding='ascii').close()
        if not listener.until(lambda: os.path.exists(f'{home}/ends'), 4 * PATIENCE_S):
            raise TimeoutError('the storm did not end')
        listener.until(lambda: False, 12.0)
        with open(f'{home}/ends', encoding='ascii') as stream:
            ends = json.load(stream)
    finally:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait()
        listener.node.destroy_node()
    return judged(ends, listener.kills, os.path.basename(folder))


def judged(ends, statuses, folder):
    """Return how many were killed, told, told with the right name, and with a wrong one."""
    killed = {f'/{name}' for name, code in ends.items() if code == -signal.SIGKILL}
    told, right, wrong = 0, set(), set()
    for status in statuses:
        values = {v.key: v.value for v in status.values}
        named = {n for n in values['nodes'].split(', ') if n[1:] in ends}
        if values['before start'] == 'true' or not (
                named or folder in values['control group']):
            continue
        counted = COUNTED.match(status.message)
        told += int(counted.group(1)) if counted else 1
        right |= named & killed
        wrong |= named - killed
    return len(killed), min(told, len(killed)), len(right), len(wrong)


def report(storms=5):
    """Print the table."""
    if os.geteuid() != 0 or not os.path.isdir('/sys/fs/cgroup/memory'):
        print('\nStorms of kills: need root and a memory control group (v1)')
        return
    print(f'\n| {storms} storms of up to {VICTIMS} kills in {STORM_S:.0f} s, {DECOYS} others '
          'end by themselves | killed | told | right name | wrong name |\n|---|---|---|---|---|')
    rclpy.init()
    for place in PLACES:
        for equal_names in (False, True):
            rows = [storm(place, seed, equal_names) for seed in range(storms)]
            sums = [sum(row[column] for row in rows) for column in range(4)]
            print(f'| {place}{", equal program names" if equal_names else ""} | '
                  + ' | '.join(map(str, sums)) + ' |', flush=True)
    rclpy.shutdown()


if __name__ == '__main__':
    if len(sys.argv) == 5:
        drive(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4] == '1')
    else:
        os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
        os.environ.setdefault('ROS_DOMAIN_ID', str(60 + os.getpid() % 40))
        report(int(sys.argv[1]) if len(sys.argv) == 2 else 5)
