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
From the kernel's own timestamp of a "Killed process" record to the message in another process.

Kernel timestamps are local_clock(), which differs from CLOCK_MONOTONIC by a nearly constant
offset: markers written to /dev/kmsg give it, the narrowest of several pairs counts.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

from bench import programs
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile

LIMIT_MIB = 100
KILLED = re.compile(rb'\d+,\d+,(\d+),[^;]*;.*Killed process (\d+) ')
HOG = 'held = []\nwhile True:\n    held.append(bytearray(b"x" * (4 << 20)))\n'
PATIENCE_S = 20.0


class Kmsg:
    """The bench's own reading of /dev/kmsg, and its clock against CLOCK_MONOTONIC."""

    def __init__(self):
        """Open it behind the last record."""
        self.descriptor = os.open('/dev/kmsg', os.O_RDWR | os.O_NONBLOCK)
        os.lseek(self.descriptor, 0, os.SEEK_END)

    def records(self):
        """Return the records that came."""
        found = []
        while True:
            try:
                found.append(os.read(self.descriptor, 8192))
            except BlockingIOError:
                return found
            except BrokenPipeError:
                continue

    def offset_s(self):
        """Return CLOCK_MONOTONIC less the log's clock, and how uncertain that is."""
        best = (float('inf'), 0.0)
        for number in range(5):
            mark = b'oom_sentinel bench %d %d' % (os.getpid(), number)
            before = time.monotonic()
            os.write(self.descriptor, mark + b'\n')
            after = time.monotonic()
            for record in self.records():
                if mark in record:
                    stamp = int(record.split(b',')[2]) / 1e6
                    best = min(best, (after - before, (before + after) / 2 - stamp))
        return best[1], best[0] / 2

    def killed_s(self, pid):
        """Return the log's own time of this process's kill, waiting for it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for record in self.records():
                m = KILLED.match(record)
                if m is not None and int(m.group(2)) == pid:
                    return int(m.group(1)) / 1e6
            time.sleep(0.01)
        raise TimeoutError(f'no kill of {pid} in /dev/kmsg')


class Listener:
    """Notes when a message that names a PID came, by topic."""

    def __init__(self):
        """Subscribe."""
        rclpy.init()
        self.node = rclpy.create_node('bench_kills')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.came = {}
        self.messages = 0
        self.node.create_subscription(
            DiagnosticArray, '/diagnostics', lambda m: self._note('/diagnostics', m), 10)
        self.node.create_subscription(
            DiagnosticArray, '/oom_sentinel/oom_kills', lambda m: self._note('~/oom_kills', m),
            QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def _note(self, topic, message):
        now = time.monotonic()
        self.messages += 1
        for status in message.status:
            if status.name.endswith(': OOM kills'):
                victim = {v.key: v.value for v in status.values}['victim']
                self.came.setdefault((topic, victim), now)

    def wait(self, topic, pid):
        """Return when a message naming this PID came on a topic."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            for (where, victim), at in self.came.items():
                if where == topic and f'PID {pid})' in victim:
                    return at
            self.executor.spin_once(timeout_sec=0.05)
        raise TimeoutError(f'{pid} not told on {topic}')

    def close(self):
        """End the node."""
        self.node.destroy_node()
        rclpy.shutdown()


def measure(kills):
    """Return by topic the sorted seconds of this many kills, and the clock's uncertainty."""
    folder = f'/sys/fs/cgroup/memory/oom_sentinel_bench_{os.getpid()}'
    os.mkdir(folder)
    try:
        with open(f'{folder}/memory.limit_in_bytes', 'w', encoding='ascii') as stream:
            stream.write(str(LIMIT_MIB << 20))
        return _measure(kills, folder)
    finally:
        _remove(folder)


def _remove(folder):
    for _ in range(100):
        try:
            os.rmdir(folder)
            return
        except OSError:
            time.sleep(0.1)


def _measure(kills, folder):
    program = programs.program()
    kmsg, listener = Kmsg(), Listener()
    found = {'/diagnostics': [], '~/oom_kills': []}
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, 'XDG_RUNTIME_DIR': home, 'ROS_HOME': home,
               'OOM_SENTINEL_STATE': home}
        node = subprocess.Popen([program, '--ros-args', '-p', 'groups:=[]'], env=env,
                                stderr=subprocess.DEVNULL)
        try:
            while listener.messages == 0:
                listener.executor.spin_once(timeout_sec=0.1)
            offset, uncertain = kmsg.offset_s()
            for index in range(kills):
                end = time.monotonic() + 0.4 + 0.07 * (index % 9)
                while time.monotonic() < end:
                    listener.executor.spin_once(timeout_sec=0.02)
                child = _hog(folder)
                pid = child.pid
                # Nothing else is waited for meanwhile: the callback takes the time.
                at = {topic: listener.wait(topic, pid) for topic in found}
                child.wait()
                killed = kmsg.killed_s(pid) + offset
                for topic, came in at.items():
                    found[topic].append(came - killed)
        finally:
            node.terminate()
            node.wait()
            listener.close()
    return {topic: sorted(delays) for topic, delays in found.items()}, uncertain


def _hog(folder):
    """Start a process that outgrows the control group."""
    def join():
        with open(f'{folder}/cgroup.procs', 'w', encoding='ascii') as stream:
            stream.write(str(os.getpid()))
    return subprocess.Popen([sys.executable, '-I', '-S', '-c', HOG], preexec_fn=join)


def report(kills=30):
    """Print the table."""
    if os.geteuid() != 0 or not os.path.isdir('/sys/fs/cgroup/memory'):
        print('\nKill to message: needs root, /dev/kmsg and a memory control group (v1)')
        return
    delays, uncertain = measure(kills)
    print(f'\n| kernel\'s "Killed process" to message received, {kills} kills | median | p95 | '
          'most |\n|---|---|---|---|')
    for topic, times in delays.items():
        ms = [f'{1e3 * times[round(share * (len(times) - 1))]:.1f} ms'
              for share in (0.5, 0.95, 1.0)]
        print(f'| {topic} | {" | ".join(ms)} |')
    print(f'\n(clocks compared to within {1e6 * uncertain:.0f} us)')


if __name__ == '__main__':
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', str(60 + os.getpid() % 40))
    report()
