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
"""The demo's robot: four stand-in nodes in a memory control group."""

import contextlib
from dataclasses import dataclass
import os
import pathlib
import shutil
import signal
import subprocess
import sys

MIB = 1 << 20
PAGE = os.sysconf('SC_PAGE_SIZE')
STAND_IN = pathlib.Path(__file__).with_name('stand_in.py')


@dataclass(frozen=True)
class Part:
    """One node: what it is called here and on the graph, its program below the prefix, memory."""

    label: str
    node: str
    program: str
    arguments: tuple[str, ...]
    hold_mib: int
    leak_mib_s: float = 0.0


PARTS = (
    Part('base', 'turtlebot4_node', 'lib/turtlebot4_node/turtlebot4_node',
         ('--ros-args', '-r', '__node:=turtlebot4_node'), 2),
    Part('lidar', 'rplidar_node', 'lib/rplidar_ros/rplidar_node',
         ('--ros-args', '-r', '__node:=rplidar_node'), 2),
    Part('navigation', 'nav2_container', 'lib/rclcpp_components/component_container_isolated',
         ('--ros-args', '-r', '__node:=nav2_container'), 130),
    Part('recorder', 'rosbag2_recorder', 'bin/ros2', ('bag', 'record', '-a'), 2, 4.0),
)


class Robot:
    """The running nodes; a context manager that ends them."""

    def __init__(self, folder, limit, speed):
        """Start each node inside the limit and wait until it holds its memory."""
        self.go = folder / 'go'
        self.children = {}
        self.log = open(folder / 'robot.log', 'ab')
        try:
            for part in PARTS:
                self.children[part.label] = self._start(part, folder, limit, speed)
            for child in self.children.values():
                while child.stdout.readline() not in (b'ready\n', b''):
                    pass  # what the middleware prints
        except BaseException:
            self.end()
            raise

    def _start(self, part, folder, limit, speed):
        program = folder / part.program
        program.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(STAND_IN, program)
        more = {'DEMO_HOLD_MIB': str(part.hold_mib), 'DEMO_GO': str(self.go),
                'DEMO_NODE': part.node, 'DEMO_LEAK_MIB_S': str(part.leak_mib_s * speed)}
        return subprocess.Popen(
            [sys.executable, str(program), *part.arguments], preexec_fn=limit.join,
            env={**os.environ, **more}, stdout=subprocess.PIPE, stderr=self.log)

    def leak(self):
        """Let the recorder begin to leak."""
        self.go.touch()

    def alive(self):
        """Return (label, RSS in MiB, oom_score_adj) of each node that lives."""
        found = []
        for label, child in self.children.items():
            if child.poll() is None:
                with contextlib.suppress(OSError):  # it may be killed while we read
                    statm = pathlib.Path(f'/proc/{child.pid}/statm').read_text()
                    adj = pathlib.Path(f'/proc/{child.pid}/oom_score_adj').read_text()
                    found.append((label, int(statm.split()[1]) * PAGE // MIB, int(adj)))
        return found

    def killed(self):
        """Return the labels of nodes that died by signal 9."""
        return [label for label, child in self.children.items()
                if child.poll() == -signal.SIGKILL]

    def end(self):
        """End every node that is left."""
        for child in self.children.values():
            if child.poll() is None:
                child.kill()
            child.wait()
            child.stdout.close()
        self.log.close()
        self.go.unlink(missing_ok=True)

    def __enter__(self):
        """Return the robot."""
        return self

    def __exit__(self, *_exception):
        """End it."""
        self.end()
