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

"""From a memory stall to the message in another process, and what waiting for it costs."""

import os
import select
from statistics import median
import subprocess
import tempfile
import threading
import time

from bench import confined
from bench import programs
from bench import stall
from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor

WINDOW_US = 2_000_000
STALL_MS = 150


class Ear:
    """Hears the sentinel's diagnostics."""

    def __init__(self):
        """Subscribe."""
        rclpy.init()
        self.node = rclpy.create_node('bench_ear')
        self.executor = SingleThreadedExecutor()
        self.executor.add_node(self.node)
        self.heard_s = []
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)

    def _hear(self, message):
        for status in message.status:
            if status.name.endswith(': OOM risk'):
                by = next(v.value for v in status.values if v.key == 'woken by')
                stamp = message.header.stamp
                age_s = time.time() - stamp.sec - 1e-9 * stamp.nanosec
                self.heard_s.append((time.monotonic(), by, age_s))

    def close(self):
        """End the node."""
        self.executor.remove_node(self.node)
        self.node.destroy_node()
        rclpy.shutdown()


def _fired(trigger, ear, timeout_s=10):
    """Return when our own trigger fired, None when it did not."""
    fired = []

    def wait():
        poll = select.poll()
        poll.register(trigger, select.POLLPRI)
        if poll.poll(1000 * timeout_s):
            fired.append(time.monotonic())
    waiting = threading.Thread(target=wait)
    waiting.start()
    while waiting.is_alive():
        ear.executor.spin_once(timeout_sec=0.02)
    return fired[0] if fired else None


def _until_heard(ear, since_s):
    """Return after how long the first message that a stall caused came, and was stamped."""
    while time.monotonic() < since_s + 10:
        for heard_s, by, age_s in ear.heard_s:
            if heard_s >= since_s - 0.05 and 'memory pressure' in by:
                return heard_s - since_s, heard_s - age_s - since_s
        ear.executor.spin_once(timeout_sec=0.05)
    return float('inf'), float('inf')


def measure(runs):
    """Return (seconds from our own trigger's firing to the message heard, to its stamp)."""
    program = programs.program()
    delays = []
    ear = Ear()
    with tempfile.TemporaryDirectory() as home:
        env = {**os.environ, 'XDG_RUNTIME_DIR': home, 'OOM_SENTINEL_STATE': home}
        node = subprocess.Popen([program], stderr=subprocess.DEVNULL, env=env)
        try:
            while not ear.heard_s:
                ear.executor.spin_once(timeout_sec=0.1)
            time.sleep(2)
            for _ in range(runs):
                trigger = os.open('/proc/pressure/memory', os.O_RDWR | os.O_NONBLOCK)
                os.write(trigger, b'some %d %d\0' % (1000 * STALL_MS, WINDOW_US))
                with stall.stalling():
                    fired_s = _fired(trigger, ear)
                    if fired_s is not None:
                        delays.append(_until_heard(ear, fired_s))
                os.close(trigger)
                # The kernel fires a trigger once a window: let the tail of this stall pass.
                quiet_s = time.monotonic() + 4.5
                while time.monotonic() < quiet_s:
                    ear.executor.spin_once(timeout_sec=0.1)
        finally:
            node.kill()
            node.wait()
            ear.close()
    return delays


def main():
    """Print the lines."""
    if confined.usable() is None or not os.path.exists('/proc/pressure/memory'):
        print('wake latency: not measured, no memory controller or no PSI here')
        return
    runs = int(os.environ.get('BENCH_RUNS', '20'))
    delays = measure(runs)
    for what, index in (('message in another process', 0), ("message's stamp", 1)):
        found = sorted(delay[index] for delay in delays)
        if found:
            print(f'memory stall to {what} ({len(found)} of {runs}): median '
                  f'{1e3 * median(found):.1f} ms, p95 '
                  f'{1e3 * found[int(0.95 * (len(found) - 1))]:.1f} ms, most '
                  f'{1e3 * found[-1]:.1f} ms')


if __name__ == '__main__':
    main()
