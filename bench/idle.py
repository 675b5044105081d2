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

"""CPU and RSS of the idle node with 500 other processes, beside a bare node in the same run."""

import os
import subprocess
import sys
import time

from bench import programs
from bench.crowd import crowd
from bench.crowd import load
from bench.crowd import rss_mib
from bench.crowd import sleeps

SECONDS = float(os.environ.get('BENCH_IDLE_S', '20'))
BARE = ('import rclpy\nrclpy.init()\nn = rclpy.create_node("bare")\n'
        'n.create_timer(1.0, lambda: None)\nrclpy.spin(n)\n')


def measure(runs):
    """
    Return rows, one a run.

    Each holds: sentinel %, bare %, sentinel MiB, bare MiB, forks, and wake-ups of the sentinel
    and of the bare node, these three a second.
    """
    program = programs.program()
    rows = []
    forks = [_last_pid()]
    with crowd(500):
        nodes = [subprocess.Popen([program], stderr=subprocess.DEVNULL),
                 subprocess.Popen([sys.executable, '-c', BARE])]
        try:
            time.sleep(40)  # discovery and the youth of the crowd (SETTLED_S) are over
            forks.append(_last_pid())
            for _ in range(runs):
                before = [sleeps(n.pid) for n in nodes]
                sentinel, bare = load([n.pid for n in nodes], SECONDS)
                woken = [(sleeps(n.pid) - b) / SECONDS for n, b in zip(nodes, before)]
                forks.append(_last_pid())
                rows.append((sentinel, bare, *(rss_mib(n.pid) for n in nodes),
                             (forks[-1] - forks[-2]) / SECONDS, *woken))
        finally:
            for node in nodes:
                node.kill()
                node.wait()
    return rows


def _last_pid():
    """Return the PID that was given last."""
    with open('/proc/loadavg', encoding='ascii') as stream:
        return int(stream.read().split()[4])
