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

"""Run the chaos, print its figures, and return 1 when a promise was broken."""

import os
import signal
import sys
import tempfile
import time

from bench import programs
from bench.chaos import attackers
from bench.chaos.node import Node
from diagnostic_msgs.msg import DiagnosticArray
import rclpy

QUIET_S = 15.0
STOPPED_S = 5.0
GAP_MAX_S = 3.0
GROWTH_MAX_KIB = 8 << 10
FORBIDDEN = ('a cycle failed', 'Traceback (most recent call last)')


class Watcher:
    """Hears the diagnostics and measures the node while it waits."""

    def __init__(self, node):
        """Subscribe."""
        self.node = node
        self.times, self.rss, self.descriptors = [], [], []
        self.phases = []
        rclpy.init()
        self.ros = rclpy.create_node('chaos')
        self.ros.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)

    def _hear(self, message):
        if any(s.name.startswith('oom_sentinel: ') for s in message.status):
            self.times.append(time.monotonic())

    def wait(self, seconds):
        """Listen and measure for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            rclpy.spin_once(self.ros, timeout_sec=0.2)
            if self.node.process.poll() is None:
                self.rss.append(self.node.rss_kib())
                self.descriptors.append(self.node.descriptors())

    def phase(self, name, seconds):
        """Listen for so long and remember the longest gap as this phase's."""
        first, cpu_s = time.monotonic(), self.node.cpu_s()
        self.wait(seconds)
        now = time.monotonic()
        heard = [first, *(t for t in self.times if t >= first), now]
        gap = max(b - a for a, b in zip(heard, heard[1:]))
        self.phases.append((name, gap, max(self.rss[-5:]), self.descriptors[-1],
                            100 * (self.node.cpu_s() - cpu_s) / (now - first)))


def started_so_far():
    """Return how many processes were started since boot."""
    with open('/proc/stat') as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith('processes '))


def run(watcher):
    """Let everything loose, one upon the other, and take all of it back."""
    started = []
    try:
        watcher.phase('quiet', QUIET_S)
        started += attackers.hostile_peers(100)
        watcher.phase('+ hostile peers', 15)
        started += attackers.hostile_processes()
        watcher.phase('+ hostile processes', 10)
        crowd = attackers.crowd()
        started += crowd
        watcher.phase('+ 3000 processes', 15)
        storm, before, since = attackers.starts(), started_so_far(), time.monotonic()
        started += storm
        watcher.phase('+ a storm of starts', 20)
        print(f'starts a second: {(started_so_far() - before) / (time.monotonic() - since):.0f}')
        watcher.node.stop_for(STOPPED_S, watcher.wait)
        watcher.phase('after SIGSTOP', 5)
    finally:
        for process in started:
            if process in crowd and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own
        attackers.end(started)
    watcher.phase('quiet again', QUIET_S)


def report(watcher, said, code):
    """Print the figures and return what was broken."""
    print(f'{"phase":<22}{"longest gap (s)":>16}{"RSS (MiB)":>11}{"descriptors":>13}'
          f'{"CPU (%)":>9}')
    for name, gap, rss, descriptors, cpu in watcher.phases:
        print(f'{name:<22}{gap:>16.2f}{rss / 1024:>11.1f}{descriptors:>13}{cpu:>9.1f}')
    if not watcher.phases:
        return ['the node ended before its first message']
    print(f'RSS in MiB: {watcher.phases[0][2] / 1024:.1f} before, {max(watcher.rss) / 1024:.1f} '
          f'at most, {watcher.rss[-1] / 1024:.1f} at the end')
    broken = [f'{words!r} is in the log' for words in FORBIDDEN if words in said]
    broken += [f'{name}: {gap:.1f} s without diagnostics'
               for name, gap, *_ in watcher.phases if gap > GAP_MAX_S]
    if watcher.rss[-1] - watcher.phases[0][2] > GROWTH_MAX_KIB:
        broken.append('it keeps more than 8 MiB')
    if code != 0:
        broken.append(f'exit code {code}')
    return broken


def main():
    """Run it for two minutes."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    program = programs.program()
    with tempfile.TemporaryDirectory(prefix='oom_sentinel_chaos_') as folder, \
            open(os.path.join(folder, 'said'), 'w+b') as log:
        node = Node(program, folder, log)
        watcher = Watcher(node)
        code = None
        try:
            while not watcher.times and node.process.poll() is None:
                watcher.wait(0.5)
            if node.process.poll() is None:
                run(watcher)
        finally:
            code = node.end()
            log.seek(0)
            said = log.read().decode(errors='replace')
        for reason in node.left_out:
            print(f'left out: {reason}')
        broken = report(watcher, said, code)
        print('\n'.join(f'BROKEN: {text}' for text in broken) or 'Nothing was broken.')
        if broken:
            print(said[-8000:])
        rclpy.shutdown()
        return int(bool(broken))


if __name__ == '__main__':
    sys.exit(main())
