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
"""The real sentinel node beside the demo's robot, and what it says on /diagnostics."""

import os
import signal
import subprocess
import sys
import threading

from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.executors import SingleThreadedExecutor

SHOWN = ('OOM risk', 'OOM kills')
LEVELS = {b'\x00': 'OK', b'\x01': 'WARN', b'\x02': 'ERROR', b'\x03': 'STALE'}
END_S = 15


def program():
    """Return the command that starts the node."""
    prefixes = [p for p in os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep) if p]
    places = [os.path.dirname(sys.executable),
              *(os.path.join(prefix, 'lib', 'oom_sentinel') for prefix in prefixes)]
    found = [os.path.join(place, 'oom_sentinel_node') for place in places]
    there = [path for path in found if os.path.exists(path)]
    return there[:1] or ['ros2', 'run', 'oom_sentinel', 'oom_sentinel_node']


class Sentinel:
    """The node under way; a context manager that ends it in an orderly way."""

    def __init__(self, folder, reports):
        """
        Start it.

        :param folder: for its state and its log, removed afterwards.
        :param reports: where its incident reports go.
        """
        self.log = open(folder / 'sentinel.log', 'wb')
        more = {'XDG_RUNTIME_DIR': str(folder), 'OOM_SENTINEL_STATE': str(folder / 'state'),
                'ROS_LOG_DIR': str(folder)}
        self.said = {}  # status name -> (level, message), the last
        self.mark = f'demo-{os.urandom(4).hex()}'  # another demo may run on the same domain
        self._lock = threading.Lock()
        self.child = subprocess.Popen(
            [*program(), '--ros-args', '-p', f'incident.directory:={reports}',
             '-p', 'scan_period:=0.5', '-p', f'hardware_id:={self.mark}'],
            env={**os.environ, **more}, stdout=self.log, stderr=self.log)
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('oom_sentinel_demo', context=self.context)
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self._hear, 50)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self._spin, daemon=True)
        self.thread.start()

    def _spin(self):
        try:
            self.executor.spin()
        except ExternalShutdownException:
            return

    def _hear(self, message):
        with self._lock:
            for status in message.status:
                name = status.name.partition(': ')[2]
                if name in SHOWN and status.hardware_id == self.mark:
                    self.said[name] = (LEVELS[status.level], status.message)

    def statuses(self):
        """Return the last level and message of each status that the demo shows."""
        with self._lock:
            return dict(self.said)

    def __enter__(self):
        """Return the sentinel."""
        return self

    def __exit__(self, *_exception):
        """Stop listening, and end the node as ctrl-c does."""
        rclpy.try_shutdown(context=self.context)
        self.thread.join(END_S)
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(END_S)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait()
        self.log.close()
