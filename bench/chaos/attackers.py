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

"""What attacks the node; each function starts one attack and returns its processes."""

import os
import subprocess
import sys

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CROWD = 3000
PEER = """
import time, rclpy
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters, SetParametersAtomically
rclpy.init()
node = rclpy.create_node('peer')
one = node.create_client(SetParameters, '/oom_sentinel/set_parameters')
whole = node.create_client(SetParametersAtomically, '/oom_sentinel/set_parameters_atomically')
strange = [Parameter(name='hold_s', value=ParameterValue(type=99))]
stars = [Parameter(name='group.drivers.match', value=ParameterValue(
    type=9, string_array_value=['exe:' + 'a*' * 100_000]))]
crowd = [Parameter(name=f'group.x{i}.match') for i in range(2000)]
names = GetParameters.Request(names=['group.drivers.match'] * 1000)
described = node.create_client(GetParameters, '/oom_sentinel/get_parameters')
waiting = []
while True:
    for kind, client in ((SetParameters, one), (SetParametersAtomically, whole)):
        if client.service_is_ready():
            for parameters in (strange, stars, crowd):
                waiting.append((client, client.call_async(kind.Request(parameters=parameters))))
    if described.service_is_ready():
        waiting.append((described, described.call_async(names)))
    rclpy.spin_once(node, timeout_sec=0.1)
    while len(waiting) > 50:
        client, future = waiting.pop(0)
        client.remove_pending_request(future)
"""
# 50,000 lines a second, a kill at each KILLS-th part of the time, and a rotation in the middle.
LINES_A_SECOND = 50_000
KILLS = 20
FIRST_VICTIM = 4_000_000  # no process has such a PID
KERNEL_LOG = f"""
import os, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
def stamp():
    return time.strftime('%b %d %H:%M:%S robot kernel: ').encode() + b'[%.6f] ' % time.monotonic()
def opened():
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.fchmod(file, 0o644)
    return file
file, start, written, killed, rotated = opened(), time.monotonic(), 0, 0, False
while killed < {KILLS}:
    gone_s = time.monotonic() - start
    if gone_s > seconds / 2 and not rotated:
        rotated = True
        os.close(file)
        os.rename(path, path + '.1')
        file = opened()
    line = stamp() + b'usb 1-1: chaos has a line for everybody who reads this log\\n'
    more = min(int(gone_s * {LINES_A_SECOND}) - written, {LINES_A_SECOND})
    os.write(file, line * more)
    written += more
    if gone_s > seconds * (killed + 0.5) / {KILLS}:
        os.write(file, stamp() + b'Out of memory: Killed process %d (victim%d) total-vm:9000kB, '
                 b'anon-rss:8000kB, file-rss:0kB, shmem-rss:0kB, UID:1000 pgtables:52kB '
                 b'oom_score_adj:0\\n' % ({FIRST_VICTIM} + killed, killed))
        killed += 1
    time.sleep(0.01)
while time.monotonic() - start < seconds:
    time.sleep(0.01)
print(int(written / (time.monotonic() - start)))
"""
STARTS = 'while :; do /bin/true; /bin/true; /bin/true; /bin/true; done'
CROWD_SCRIPT = f'i=0; while [ $i -lt {CROWD} ]; do sleep 25 & i=$((i+1)); done; wait'
EVIL = (b'\x1b[2J\x1b[31mPWN\n[ERROR] fake \xe2\x80\xae\xff', b'-c',
        b'import time; time.sleep(600)', b'--ros-args', b'-r',
        b'__node:=\x1b]0;t\x07\n' + b'N' * 9999,
        b'--', b'/ros2 launch ', b'x')
WORDS = ('python3', '-c', 'import time; time.sleep(600)', *(['ab'] * 120_000))


def quiet(words, **more):
    """Start a program whose output nobody reads."""
    return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)


def hostile_peers(seconds):
    """Start a peer with impossible requests, and one whose node name is not UTF-8."""
    return [quiet([sys.executable, '-c', PEER]),
            quiet([sys.executable, os.path.join(REPOSITORY, 'test', 'ros', 'bad_name.py'),
                   str(seconds)])]


def hostile_processes():
    """Start processes with names and command lines that no terminal should see."""
    return [quiet(list(EVIL), executable=sys.executable),
            *(quiet(list(WORDS), executable=sys.executable) for _ in range(3))]


def kernel_log(path, seconds):
    """Start to write a kernel log; prints the lines a second in the end."""
    return subprocess.Popen([sys.executable, '-c', KERNEL_LOG, path, str(seconds)],
                            stdout=subprocess.PIPE)


def crowd():
    """Start 3000 processes at once; they end by themselves after 25 s."""
    return [quiet(['nice', '-n', '15', 'sh', '-c', CROWD_SCRIPT], start_new_session=True)]


def starts():
    """Start programs as fast as two shells can."""
    return [quiet(['sh', '-c', STARTS]) for _ in range(2)]


def end(processes):
    """End what was started here, by its PID."""
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
