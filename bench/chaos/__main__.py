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
Run the chaos, print its figures, and return 1 when a promise was broken.

`--brief` takes a minute and allows longer gaps, for machines that do something else meanwhile.
"""

import argparse
import os
import re
import signal
import sys
import tempfile
import time

from bench.chaos import attackers
from bench.chaos.node import Node
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile

QUIET_S = 15.0
STOPPED_S = 5.0
PERIODS_MAX = 2.0  # between two diagnostics, besides the time in which this process starved too
BRIEF_PERIODS_MAX = 15.0
# Measured 5 to 9 MiB: tables of 3000 processes, and 65,536 lines of the log that waited while the
# node had no time (7 MiB).
GROWTH_MAX_KIB = 16 << 10
DESCRIPTORS_MORE = 3
STATUSES = 10
FORBIDDEN = ('a cycle failed', 'Traceback (most recent call last)', 'could not be handled')


class Watcher:
    """Hears the diagnostics and measures the node while it waits."""

    def __init__(self, node):
        """Subscribe."""
        self.node = node
        self.times, self.rss, self.descriptors = [], [], []
        self.phases, self.kills = [], []
        self.fewest = STATUSES
        self.starved_s = 0.0
        rclpy.init()
        self.ros = rclpy.create_node('chaos')
        self.ros.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self.ros.create_subscription(
            DiagnosticArray, '/oom_sentinel/oom_kills', self._hear_kill,
            QoSProfile(depth=50, durability=DurabilityPolicy.TRANSIENT_LOCAL))

    def _hear(self, message):
        if any(s.name.startswith('oom_sentinel: ') for s in message.status):
            self.times.append(time.monotonic())
            self.fewest = min(self.fewest, len(message.status))

    def _hear_kill(self, message):
        self.kills += re.findall(r'victim\d+', message.status[0].message)[:1]

    def wait(self, seconds):
        """Listen and measure for so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            before = time.monotonic()
            rclpy.spin_once(self.ros, timeout_sec=0.2)
            self.starved_s = max(self.starved_s, time.monotonic() - before - 0.2)
            if self.node.process.poll() is None:
                self.rss.append(self.node.rss_kib())
                self.descriptors.append(self.node.descriptors())

    def phase(self, name, seconds):
        """Listen for so long and remember the longest gap as this phase's."""
        first, cpu_s = time.monotonic(), self.node.cpu_s()
        self.starved_s = 0.0
        self.wait(seconds)
        now = time.monotonic()
        heard = [first, *(t for t in self.times if t >= first), now]
        gap = max(b - a for a, b in zip(heard, heard[1:]))
        self.phases.append((name, gap, self.starved_s, max(self.rss[-5:]), self.descriptors[-1],
                            100 * (self.node.cpu_s() - cpu_s) / (now - first)))


def started_so_far():
    """Return how many processes were started since boot."""
    with open('/proc/stat') as stream:
        return next(int(line.split()[1]) for line in stream if line.startswith('processes '))


def run(watcher, scale):
    """Let everything loose, one upon the other, and take all of it back."""
    started, crowd = [], []
    try:
        watcher.phase('quiet', scale * QUIET_S)
        started += attackers.hostile_peers(100)
        watcher.phase('+ hostile peers', scale * 15)
        started += attackers.hostile_processes()
        watcher.phase('+ hostile processes', scale * 10)
        flood_kernel_log(watcher, scale * 15)
        step_clock(watcher, scale * 4)
        crowd = attackers.crowd()
        started += crowd
        watcher.phase('+ 3000 processes', scale * 15)
        storm, before, since = attackers.starts(), started_so_far(), time.monotonic()
        started += storm
        watcher.phase('+ a storm of starts', scale * 20)
        print(f'starts a second: {(started_so_far() - before) / (time.monotonic() - since):.0f}')
        watcher.node.stop_for(scale * STOPPED_S, watcher.wait)
        watcher.phase('after SIGSTOP', scale * 5)
    finally:
        for process in started:
            if process in crowd and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)  # a session of its own
        attackers.end(started)
    watcher.phase('quiet again', max(12.0, scale * QUIET_S))


def flood_kernel_log(watcher, seconds):
    """Write the log that the node follows; what it lost is said in the end."""
    if watcher.node.log_file is None:
        watcher.node.left_out.append('the node follows no log of ours: no flood of it')
        return
    writer = attackers.kernel_log(watcher.node.log_file, seconds)
    try:
        watcher.phase('+ kernel log', seconds + 2)
        print(f'kernel log lines a second: {writer.communicate()[0].decode().strip()}')
    finally:
        attackers.end([writer])


def step_clock(watcher, seconds):
    """Let the wall clock jump an hour ahead, a day back, and home again."""
    for ahead_s in (3600, -86400, 0):
        watcher.node.step_clock(ahead_s)
        watcher.phase(f'clock at {ahead_s:+d} s', seconds)


def report(watcher, said, code, periods_max):
    """Print the figures and return what was broken."""
    print(f'{"phase":<22}{"longest gap (s)":>16}{"starved (s)":>12}{"RSS (MiB)":>11}'
          f'{"descriptors":>13}{"CPU (%)":>9}')
    for name, gap, starved, rss, descriptors, cpu in watcher.phases:
        print(f'{name:<22}{gap:>16.2f}{starved:>12.2f}{rss / 1024:>11.1f}{descriptors:>13}'
              f'{cpu:>9.1f}')
    if not watcher.phases:
        return ['the node ended before its first message']
    first = watcher.phases[0]
    print(f'RSS in MiB: {first[3] / 1024:.1f} before, {max(watcher.rss) / 1024:.1f} at most, '
          f'{watcher.rss[-1] / 1024:.1f} at the end')
    broken = [f'{words!r} is in the log' for words in FORBIDDEN if words in said]
    broken += [f'{name}: {gap:.1f} s without diagnostics'
               for name, gap, starved, *_ in watcher.phases if gap > periods_max + starved + 0.1]
    if watcher.rss[-1] - first[3] > GROWTH_MAX_KIB:
        broken.append(f'it keeps more than {GROWTH_MAX_KIB >> 10} MiB')
    if watcher.descriptors[-1] > first[4] + DESCRIPTORS_MORE:
        broken.append(f'{watcher.descriptors[-1]} descriptors are open, {first[4]} before')
    if watcher.fewest < STATUSES:
        broken.append(f'a message had only {watcher.fewest} statuses')
    if watcher.node.log_file is not None:
        print(f'kills in the log: {attackers.KILLS}, heard: {len(watcher.kills)}')
        if sorted(watcher.kills) != sorted(f'victim{n}' for n in range(attackers.KILLS)):
            broken.append(f'kills heard: {watcher.kills}')
    if code != 0:
        broken.append(f'exit code {code}')
    return broken


def main():
    """Run it: two and a half minutes, or one."""
    parser = argparse.ArgumentParser(prog='python -m bench.chaos', description=__doc__)
    parser.add_argument('--brief', action='store_true', help='a minute, and longer gaps')
    brief = parser.parse_args().brief
    os.environ.setdefault('ROS_DOMAIN_ID', str(1 + os.getpid() % 100))
    with tempfile.TemporaryDirectory(prefix='oom_sentinel_chaos_') as folder, \
            open(os.path.join(folder, 'said'), 'w+b') as log:
        node = Node(folder, log)
        watcher = Watcher(node)
        code = None
        try:
            while not watcher.times and node.process.poll() is None:
                watcher.wait(0.5)
            if node.process.poll() is None:
                run(watcher, 0.35 if brief else 1.0)
        finally:
            code = node.end()
            log.seek(0)
            said = log.read().decode(errors='replace')
        for reason in node.left_out:
            print(f'left out: {reason}')
        broken = report(watcher, said, code, BRIEF_PERIODS_MAX if brief else PERIODS_MAX)
        print('\n'.join(f'BROKEN: {text}' for text in broken) or 'Nothing was broken.')
        if broken:
            print(said[-8000:])
        rclpy.shutdown()
        return int(bool(broken))


if __name__ == '__main__':
    sys.exit(main())
