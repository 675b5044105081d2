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
The program: signals, the loop, the thread that answers requests, and an orderly end.

rclpy's own handlers shut the context down before a last message can be published, and a
second SIGINT breaks off the restore; so the signals are ours and only set a flag.
"""

from collections.abc import Callable
import contextlib
import errno
import os
import select
import signal
import sys
import threading
import time
from types import FrameType

from oom_sentinel.kernel.libc import keep_little_memory
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.node.node import OomSentinel
from oom_sentinel.node.parameters import log_files
from oom_sentinel.node.parameters import refusals
from oom_sentinel.node.parameters import unreadable
from oom_sentinel.settings import SettingsError
import rclpy
from rclpy.exceptions import NameValidationException
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

REFUSED = 2
ERROR_PAUSE_S = 0.01  # rclpy may raise again at once
END_S = 5.0  # to answer the last request
# Of a core, what requests may take; a burst of so many seconds of CPU time is answered at once.
SHARE, BURST_S, REST_MAX_S = 0.25, 0.05, 1.0


class Stop:
    """Whether to stop; a signal wakes the watch."""

    def __init__(self, watch: Watch) -> None:
        """Install the handlers: from here on a signal means an orderly end."""
        self.asked = False
        self._reader, self._writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        watch.add(self._reader, select.EPOLLIN, 'signal', self._empty_pipe)
        signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask_to_stop)

    def _ask_to_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True

    def _empty_pipe(self, _events: int) -> bool:
        os.read(self._reader, 512)
        return True

    def close(self) -> None:
        """Let further signals stay without effect."""
        signal.set_wakeup_fd(-1)


class Share:
    """Lets a thread rest when it has used more than its share of a core."""

    def __init__(self, cpu: Callable[[], float] = time.thread_time,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        """Start in the thread that it is about."""
        self._cpu, self._monotonic = cpu, monotonic
        self._cpu_s, self._at_s, self._spent_s = cpu(), monotonic(), 0.0

    def rest_s(self) -> float:
        """Return the seconds to rest now: none before a burst is used up."""
        cpu_s, at_s = self._cpu(), self._monotonic()
        used_s = cpu_s - self._cpu_s - SHARE * (at_s - self._at_s)
        self._cpu_s, self._at_s = cpu_s, at_s
        self._spent_s = max(0.0, self._spent_s + used_s)
        return min(REST_MAX_S, self._spent_s / SHARE) if self._spent_s > BURST_S else 0.0


class Requests:
    """
    Answers what other nodes ask, in a thread of its own that waits in rclpy's executor.

    Requests without a pause get a share of a core: cycles need Python's one lock too.
    """

    def __init__(self, node: OomSentinel, watch: Watch) -> None:
        """
        Start the thread.

        :param watch: is rung when rclpy ends the executor, which `failure` then holds.
        """
        self.failure: ExternalShutdownException | None = None
        self._node = node
        self._watch = watch
        self._ends = False
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(node)
        self._thread = threading.Thread(target=self._run, name='requests', daemon=True)
        self._thread.start()

    def _run(self) -> None:
        share = Share()
        try:
            while not self._ends:
                self._spin_once()
                rest_s = share.rest_s()
                if rest_s > 0.0:
                    time.sleep(rest_s)
        except ExternalShutdownException as error:
            self.failure = error
            self._watch.ring()

    def _spin_once(self) -> None:
        """Wait for work and do it; what rclpy raises because of a peer is logged and survived."""
        try:
            self._executor.spin_once()
        except ExternalShutdownException:
            raise
        except Exception as error:  # noqa: B902 - no message of somebody else may end the node
            if type(error).__name__ == 'InvalidHandle':  # each release has it in another module
                return  # a cycle destroyed a client while its answer came
            self._node.complain(error, 'what another node sent could not be handled')
            time.sleep(ERROR_PAUSE_S)

    def close(self) -> None:
        """End the thread; a request that came before is still answered."""
        self._ends = True
        self._executor.shutdown(timeout_sec=END_S)
        self._thread.join(END_S)


def _make_trial_file(folder: str) -> None:
    """
    Make a file in a folder and remove it.

    :raises OSError: when none can be made there.
    """
    path = os.path.join(folder, f'.oom_sentinel-{os.getpid()}')
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    os.unlink(path)


def _log_arguments() -> list[str]:
    """
    Make sure that the log directory can be written: rclpy.init raises without one.

    :returns: arguments for rclpy.init: none, or to log to the terminal alone.
    """
    wanted = os.environ.get('ROS_LOG_DIR') or os.path.join(
        os.environ.get('ROS_HOME') or '~/.ros', 'log')
    try:
        if wanted.startswith('~') and not os.environ.get('HOME'):
            # rcl asks HOME, not the user database; a systemd unit without User= has none.
            raise OSError(errno.ENOENT, 'HOME is not set')
        os.makedirs(os.path.expanduser(wanted), exist_ok=True)
        _make_trial_file(os.path.expanduser(wanted))
        return []
    except OSError as error:
        said = f'oom_sentinel: cannot log to {wanted} ({error.strerror})'
    import tempfile  # and shutil with it: 0.7 MB that most nodes never need
    try:
        os.environ['ROS_LOG_DIR'] = tempfile.mkdtemp(prefix='oom_sentinel_log_')
    except OSError:
        print(f'{said} nor to a temporary directory: only to the terminal', file=sys.stderr)
        return ['--ros-args', '--disable-external-lib-logs']
    print(f'{said}, logging to {os.environ["ROS_LOG_DIR"]}', file=sys.stderr)
    return []


def _start_node(args: list[str] | None, watch: Watch) -> OomSentinel | None:
    """Return the node, None when arguments or parameters are refused, which is then said."""
    words = sys.argv if args is None else args
    reason = unreadable(words)
    if reason is not None:
        print(f'oom_sentinel: refused to start: {reason}', file=sys.stderr)
        return None
    logging = _log_arguments()
    try:
        rclpy.init(args=words + logging, signal_handler_options=SignalHandlerOptions.NO)
        node = OomSentinel(watch)
        log_files(words, node.get_fully_qualified_name(), node.get_logger())
        return node
    except SettingsError as error:
        reason = refusals(words) or str(error)  # of a file with the lines
    except (ParameterException, NameValidationException) as error:
        reason = str(error)
    except RuntimeError as error:  # RCLError: rcl refuses a file or an argument by itself
        reason = f'{type(error).__name__}: {error}'.split(', at /')[0]  # no rcl source lines
    rclpy.logging.get_logger('oom_sentinel').fatal(f'refused to start: {reason}')
    rclpy.try_shutdown()
    return None


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or SIGHUP; return 0, or 2 when it cannot start."""
    keep_little_memory()
    watch = Watch()
    stop = Stop(watch)
    node = _start_node(args, watch)
    if node is None:
        return REFUSED
    requests = Requests(node, watch)
    orderly = False
    try:
        while not stop.asked and requests.failure is None:
            watch.wait()
            node.woken()
        if requests.failure is not None:
            raise requests.failure
        orderly = True
    finally:
        try:
            node.end(orderly)
        finally:
            stop.close()
            requests.close()
            watch.close()
            node.destroy_node()
            rclpy.try_shutdown()
    return 0
