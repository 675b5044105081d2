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

"""From a process's first appearance to the written value."""

import os
import subprocess
import sys
import tempfile
import time


def measure(runs, scan_period=2.0):
    """Return the seconds until each of `runs` new processes had its value."""
    program = os.path.join(os.path.dirname(sys.executable), 'oom_sentinel_node')
    command = [program, '--ros-args', '-p', 'groups:=[bench]', '-p',
               f'scan_period:={scan_period}', '-p', 'group.bench.match:=["exe:sleep"]', '-p',
               'group.bench.oom_score_adj:=250']
    delays = []
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, 'XDG_RUNTIME_DIR': home}
        node = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=env)
        try:
            time.sleep(4)
            for index in range(runs):
                time.sleep(1.7 + 0.13 * (index % 7))
                delays.append(_one())
        finally:
            node.kill()
            node.wait()
    return sorted(delays)


def _one():
    child = subprocess.Popen(['sleep', '60'])
    started = time.monotonic()
    try:
        while time.monotonic() - started < 20:
            with open(f'/proc/{child.pid}/oom_score_adj', encoding='ascii') as stream:
                if stream.read() == '250\n':
                    return time.monotonic() - started
            time.sleep(0.002)
        return float('inf')
    finally:
        child.kill()
        child.wait()
