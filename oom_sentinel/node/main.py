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
The program: signals, the spin loop, and an orderly end.

rclpy's own handlers shut the context down before a last message can be published, and a
second SIGINT breaks off the restore; so the signals are ours and only set a flag.
"""

import os
import signal
import sys
import tempfile
import threading
from types import FrameType

from oom_sentinel.node.node import OomSentinel
from oom_sentinel.settings import SettingsError
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions


class Stop:
    """Whether to stop; a signal wakes the executor through a pipe and a guard condition."""

    def __init__(self, executor: SingleThreadedExecutor) -> None:
        """Install the handlers and start the thread that waits on the pipe."""
        self.asked = False
        self._reader, writer = os.pipe()
        os.set_blocking(writer, False)
        self._writer = writer
        self._executor = executor
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask)
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _ask(self, _number: int, _frame: 'FrameType | None') -> None:
        self.asked = True

    def _wait(self) -> None:
        if os.read(self._reader, 1):
            self._executor.wake()

    def close(self) -> None:
        """End the thread; further signals stay without effect."""
        signal.set_wakeup_fd(-1)
        os.write(self._writer, b'\0')
        self._thread.join(timeout=2.0)


def _ensure_log_directory() -> None:
    """Choose a log directory that can be written: rclpy.init raises without one."""
    wanted = os.environ.get('ROS_LOG_DIR') or os.path.join(
        os.environ.get('ROS_HOME') or os.path.expanduser('~/.ros'), 'log')
    try:
        os.makedirs(wanted, exist_ok=True)
        with tempfile.TemporaryFile(dir=wanted):
            return
    except OSError as error:
        os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='oom_sentinel_log_')
        print(f'oom_sentinel: cannot log to {wanted} ({error.strerror}), logging to '
              f'{os.environ["ROS_LOG_DIR"]}', file=sys.stderr)


def main(args: 'list[str] | None' = None) -> int:
    """Run the node until SIGINT or SIGTERM; return 0, or 2 when a parameter is refused."""
    _ensure_log_directory()
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        node = OomSentinel()
    except SettingsError as error:
        rclpy.logging.get_logger('oom_sentinel').fatal(f'refused to start: {error}')
        rclpy.try_shutdown()
        return 2
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop = Stop(executor)
    orderly = False
    try:
        while not stop.asked:
            executor.spin_once()
        orderly = True
    finally:
        node.end(orderly)
        stop.close()
        executor.remove_node(node)
        node.destroy_node()
        rclpy.try_shutdown()
    return 0
