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

"""The sentinel under test: its lives, its figures over time, and the gaps of its diagnostics."""

from dataclasses import dataclass
import glob
import os
import signal
import subprocess
import time

from bench import programs
from bench.crowd import cpu_s
from bench.crowd import rss_mib
from diagnostic_msgs.msg import DiagnosticArray
import rclpy

FAKETIME = '/usr/lib/*/faketime/libfaketimeMT.so.1'  # Debian's faketime
STEP_S = 3600.0
PERIOD_S = 1.0
SAMPLE_S = 2.0


@dataclass(frozen=True, slots=True)
class Figure:
    """What one look at the process found, in seconds since the beginning and in MiB."""

    at_s: float
    life: int
    rss_mib: float
    descriptors: int
    threads: int
    cpu_s: float


class Watched:
    """A sentinel that is listened to; after its end by a signal it is started anew."""

    def __init__(self, log, *, clock_steps=False):
        """
        Start it and subscribe to its diagnostics; what it says goes to the log.

        :param clock_steps: let it see a wall clock that `step_clock` sets; its monotonic clock
            stays the machine's.
        :raises FileNotFoundError: when faketime is not installed.
        """
        self.clock, self.offset_s = None, 0.0
        if clock_steps:
            library = next(iter(glob.glob(FAKETIME)), None)
            if library is None:
                raise FileNotFoundError('clock steps need faketime: apt-get install faketime')
            self.clock = {
                'LD_PRELOAD': library, 'FAKETIME_DONT_FAKE_MONOTONIC': '1',
                'FAKETIME_CACHE_DURATION': '1',
                'FAKETIME_TIMESTAMP_FILE': os.path.join(os.environ['ROS_HOME'], 'clock')}
            self._set_clock(0.0)
        self.log, self.life, self.figures = log, 0, []
        self.began_s = time.monotonic()
        self.heard_s, self.excused = [], []
        rclpy.init()
        self.ear = rclpy.create_node('endurance')
        self.ear.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 10)
        self.child = self._start()

    def _start(self):
        program = programs.program()
        return subprocess.Popen([program], stdout=self.log, stderr=self.log,
                                env={**os.environ, **(self.clock or {})})

    def _set_clock(self, offset_s):
        self.offset_s = offset_s
        path = self.clock['FAKETIME_TIMESTAMP_FILE']
        with open(f'{path}.new', 'w', encoding='ascii') as stream:
            stream.write(f'{offset_s:+.0f}\n')
        os.replace(f'{path}.new', path)

    def step_clock(self):
        """Let its wall clock jump an hour ahead, and the next time back; nothing is excused."""
        self._set_clock(0.0 if self.offset_s else STEP_S)

    def _hear(self, message):
        # Each period one message has all statuses; a wake adds others between two of them.
        if any(status.name == 'oom_sentinel: Memory' for status in message.status):
            # Its own stamp: this program may be busy when it comes.
            stamp = message.header.stamp
            said_s = stamp.sec + 1e-9 * stamp.nanosec
            self.heard_s.append(said_s - STEP_S * round((said_s - time.time()) / STEP_S))

    def wait(self, seconds):
        """Listen for so long, with a figure each two seconds."""
        end, look_s = time.monotonic() + seconds, 0.0
        while (now := time.monotonic()) < end:
            if now >= look_s:
                self.figures.append(self._figure(now))
                look_s = now + SAMPLE_S
            rclpy.spin_once(self.ear, timeout_sec=min(0.2, end - now))

    def wait_for_message(self, patience_s=30.0):
        """Listen until the next message; return whether it came."""
        known, end = len(self.heard_s), time.monotonic() + patience_s
        while len(self.heard_s) == known and time.monotonic() < end:
            rclpy.spin_once(self.ear, timeout_sec=0.2)
        return len(self.heard_s) > known

    def _figure(self, now):
        pid = self.child.pid
        return Figure(now - self.began_s, self.life, rss_mib(pid),
                      len(os.listdir(f'/proc/{pid}/fd')), len(os.listdir(f'/proc/{pid}/task')),
                      cpu_s(pid))

    def stop(self, seconds):
        """Stop it for so long and continue it; the gap is excused."""
        began_s = time.time()
        self.child.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.child.send_signal(signal.SIGCONT)
        self._excuse(began_s)

    def respawn(self):
        """Kill it and start it anew, as a launch with respawn does; the gap is excused."""
        began_s = time.time()
        self.child.kill()
        self.child.wait()
        self.life += 1
        self.child = self._start()
        self._excuse(began_s)

    def _excuse(self, began_s):
        came = self.wait_for_message()
        self.excused.append((began_s, time.time() if came else float('inf')))

    def gaps(self):
        """Return the seconds between messages, sorted, without those that were excused."""
        return sorted(b - a for a, b in zip(self.heard_s, self.heard_s[1:])
                      if not any(a < until and b > since for since, until in self.excused))

    def end(self):
        """End it as ctrl-c does; return its exit code, None when it had to be killed."""
        self.child.send_signal(signal.SIGINT)
        try:
            return self.child.wait(30)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
            return None
        finally:
            self.ear.destroy_node()
            rclpy.shutdown()
