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

"""OOM kills to ROS: the topic ~/oom_kills, a line in the log, and the wake at a kill."""

from collections.abc import Callable
import select
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel.log import Feed
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.kills.kill_log import KERNEL_LOG
from oom_sentinel.settings.outside import LINE_MAX
from oom_sentinel.settings.outside import printable
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile

# A dashboard that joins later sees the last kills.
QOS = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)
# A report is printed for some 2 to 5 ms before its "Killed process" line: look again soon, and
# at a log that never rests 50 times a second at most.
REST_S, REST_MAX_S = 0.003, 0.02


class Kills:
    """Publishes each kill once; wakes the node when the kernel log holds a new one."""

    def __init__(self, node: Any, watch: Watch, feed: Feed,
                 message: Callable[[tuple[Status, ...]], DiagnosticArray]) -> None:
        """Create the publisher and wait for the feed's descriptor, where it has one."""
        self._node = node
        self._watch = watch
        self._message = message
        self._publisher = node.create_publisher(DiagnosticArray, '~/oom_kills', QOS)
        self._logged_past = False
        self._descriptor = feed.source.descriptor
        if self._descriptor is not None:
            try:
                watch.add(self._descriptor, select.EPOLLIN, KERNEL_LOG,
                          lambda _events: feed.drain(), rest_s=REST_S, rest_max_s=REST_MAX_S)
            except PermissionError:  # a container has /dev/null or a plain file in its place
                self._descriptor = None

    def publish(self, kills: tuple[Status, ...]) -> None:
        """
        Publish each kill on its own and log it.

        A kill of another user or container is logged as information.  Neither those of before
        the start are logged one by one, nor what any program may have written to a file.
        """
        log = self._node.get_logger()
        for kill in kills:
            self._publisher.publish(self._message((kill,)))
            values = dict(kill.values)
            if kill.level == Level.ERROR:
                log.error(printable(kill.message, LINE_MAX))
            elif kill.level == Level.WARN:
                log.warning(printable(kill.message, LINE_MAX))
            elif values['before start'] == 'true':
                self._log_past()
            elif values['how sure'] != UNCONFIRMED:
                log.info(printable(kill.message, LINE_MAX))

    def _log_past(self) -> None:
        """Say once where the kills of before the start are."""
        if not self._logged_past:
            self._logged_past = True
            self._node.get_logger().info(
                f'OOM kills from before the start are on {self._publisher.topic_name}')

    def close(self) -> None:
        """Stop waiting for the kernel log, so that its owner may close it."""
        if self._descriptor is not None:
            self._watch.remove(self._descriptor)
            self._descriptor = None
