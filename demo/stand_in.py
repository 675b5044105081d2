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
A stand-in for a robot's node: a real rclpy node that holds memory and, told to, leaks.

Environment: DEMO_NODE its name, DEMO_HOLD_MIB what it holds at rest,
DEMO_LEAK_MIB_S how fast it leaks once the file DEMO_GO exists.  The command line is the one that
launch would give the real program.
"""

import os
import sys
import time

import rclpy
from rclpy.node import Node

MIB = 1 << 20


class StandIn(Node):
    """Holds memory; leaks in steps of a quarter of a second."""

    def __init__(self):
        """Take what it holds at rest."""
        super().__init__(os.environ['DEMO_NODE'])
        self.held = [b'x' * (int(os.environ['DEMO_HOLD_MIB']) * MIB)]
        self.rate = float(os.environ['DEMO_LEAK_MIB_S'])
        self.since = self.leaked = 0.0
        self.create_timer(0.25, self._leak)

    def _leak(self):
        if not self.rate or not os.path.exists(os.environ['DEMO_GO']):
            return
        self.since = self.since or time.monotonic()
        due = (time.monotonic() - self.since) * self.rate
        while self.leaked < due:
            self.held.append(b'x' * (MIB // 2))
            self.leaked += 0.5


def main():
    """Run until killed; words that are no ROS arguments (bag record) are the real program's."""
    words = sys.argv[1:]
    rclpy.init(args=words[words.index('--ros-args'):] if '--ros-args' in words else [])
    node = StandIn()
    print('ready', flush=True)
    rclpy.spin(node)


if __name__ == '__main__':
    main()
