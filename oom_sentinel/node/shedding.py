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
"""Shedding to ROS: topic ~/actions, services ~/shed and ~/resume, and quick looks meanwhile."""

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from oom_sentinel.facts.status import Status
from oom_sentinel.node.lifecycle import Lifecycle
from oom_sentinel.protection.shedder import Shedder
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

QOS = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOOK_S = 0.2  # while a process is being ended: its memory is awaited


class Shedding:
    """Offers what shed.mode asks for, and publishes each step once."""

    def __init__(self, node: Any, shedder: Shedder, answer: Callable[[Any, Any], Any],
                 message: Callable[[tuple[Status, ...]], DiagnosticArray]) -> None:
        """
        Offer nothing yet.

        :param answer: fills the response of a Trigger service with what a function returns.
        :param message: makes a message of statuses.
        """
        self._node = node
        self._shedder = shedder
        self._answer = answer
        self._message = message
        self._publisher: Any = None
        self._services: tuple[Any, ...] = ()
        self._timer: Any = None
        self._lifecycle = Lifecycle(node)
        shedder.deactivate = self._lifecycle.deactivate
        shedder.activate = self._lifecycle.activate

    def follow(self, mode: str, shed_now: Callable[[], tuple[bool, str]]) -> None:
        """Create or destroy topic and services as shed.mode says."""
        if mode == 'off':
            self._withdraw()
            return
        if self._publisher is None:
            self._publisher = self._node.create_publisher(DiagnosticArray, '~/actions', QOS)
        if mode == 'act' and not self._services:
            self._services = (
                self._node.create_service(Trigger, '~/shed', lambda _request, response:
                                          self._answer(response, shed_now)),
                self._node.create_service(Trigger, '~/resume', lambda _request, response:
                                          self._answer(response, self._shedder.resume)))
        elif mode != 'act':
            self._destroy_services()

    def tell(self, actions: tuple[Status, ...]) -> None:
        """Publish each step on its own and log it."""
        for action in actions:
            self._node.get_logger().warning(action.message)
            if self._publisher is not None:
                self._publisher.publish(self._message((action,)))

    def look_soon(self, cycle: Callable[[], None], clock: Any) -> None:
        """Run cycles quickly while a process is being ended."""
        if self._shedder.busy and self._timer is None:
            self._timer = self._node.create_timer(LOOK_S, cycle, clock=clock)
        elif not self._shedder.busy and self._timer is not None:
            self._node.destroy_timer(self._timer)
            self._timer = None

    def _withdraw(self) -> None:
        self._destroy_services()
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None

    def _destroy_services(self) -> None:
        for service in self._services:
            self._node.destroy_service(service)
        self._services = ()
