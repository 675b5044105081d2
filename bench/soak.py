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
A node while 20 programs start and end each second: RSS, descriptors and CPU.

python -m bench.soak [MINUTES]: the first 30 s are not counted, they fill what is remembered.
"""

import os
import subprocess
import sys
import tempfile
import time

from bench import programs
from bench.crowd import rss_mib

STARTS_A_SECOND = 20
LIVES = 40  # programs alive at a time: each lives two seconds
SETTLE_S = 30.0


def soak(minutes):
    """Yield, once in ten seconds, passed seconds, RSS in MiB, descriptors and CPU seconds."""
    program = programs.program()
    with tempfile.TemporaryDirectory() as folder:
        node = subprocess.Popen(
            [program, '--ros-args', '-p', 'protection.raise:=ros'], stderr=subprocess.DEVNULL,
            env={**os.environ, 'OOM_SENTINEL_STATE': os.path.join(folder, 'state')})
        alive = []
        try:
            began_s = next_s = time.monotonic()
            while time.monotonic() - began_s < SETTLE_S + 60.0 * minutes:
                _start_for_a_second(alive)
                if time.monotonic() >= next_s:
                    next_s += 10.0
                    yield (time.monotonic() - began_s, rss_mib(node.pid), _descriptors(node.pid),
                           _cpu_s(node.pid))
        finally:
            for child in [*alive, node]:
                child.kill()
                child.wait()


def _start_for_a_second(alive):
    """Start programs evenly for a second; the oldest end."""
    began_s = time.monotonic()
    for number in range(STARTS_A_SECOND):
        alive.append(subprocess.Popen(['sleep', '60']))
        if len(alive) > LIVES:
            oldest = alive.pop(0)
            oldest.kill()
            oldest.wait()
        time.sleep(max(0.0, began_s + (number + 1) / STARTS_A_SECOND - time.monotonic()))


def _descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def _cpu_s(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as stream:
        fields = stream.read().rpartition(')')[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


def main():
    """Print the readings and what changed after the first 30 s."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 10.0
    readings = []
    for reading in soak(minutes):
        readings.append(reading)
        print('{:6.0f} s  {:7.2f} MiB  {:3d} descriptors  {:6.2f} CPU s'.format(*reading),
              flush=True)
    counted = [r for r in readings if r[0] >= SETTLE_S]
    first, last = counted[0], counted[-1]
    passed_s = last[0] - first[0]
    print(f'RSS {first[1]:.2f} -> {last[1]:.2f} MiB, descriptors {first[2]} -> {last[2]}, '
          f'CPU {100.0 * (last[3] - first[3]) / passed_s:.2f} % in {passed_s:.0f} s')


if __name__ == '__main__':
    main()
