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
Shedding to ROS: ~/actions, ~/shed, ~/resume, and lifecycle nodes asked to be inactive.

`change_state` of lifecycle_msgs works on every middleware.  Nothing waits for an answer: a node
that never answers is passed over when the step's time is up.
"""

from collections.abc import Callable
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Status
from oom_sentinel.protection.shedder import Shedder
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

NODES_MAX = 20  # of one container


def _messages() -> Any:
    """Return the service type and the transitions, None where lifecycle_msgs is missing."""
    try:
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState
    except ImportError:
        return None
    return ChangeState, Transition


class Lifecycle:
    """Asks nodes to change their state."""

    def __init__(self, node: Any) -> None:
        """Keep the node that asks."""
        self._node = node
        self._messages = _messages()
        self._clients: dict[str, Any] = {}

    def deactivate(self, process: Process) -> tuple[str, ...]:
        """Ask the lifecycle nodes of a process to become inactive; return their names."""
        if self._messages is None:
            return ()
        names = [name for name in process.node_names[:NODES_MAX] if self._has_lifecycle(name)]
        transition = self._messages[1].TRANSITION_DEACTIVATE
        return tuple(name for name in names if self._ask(name, transition))

    def activate(self, names: tuple[str, ...]) -> None:
        """Ask these nodes to become active again."""
        if self._messages is not None:
            for name in names:
                self._ask(name, self._messages[1].TRANSITION_ACTIVATE)

    def _has_lifecycle(self, name: str) -> bool:
        """Return whether a node offers change_state, without waiting for discovery."""
        namespace, _, base = name.rpartition('/')
        try:
            offered = self._node.get_service_names_and_types_by_node(base, namespace or '/')
        except Exception:  # noqa: B902 - rclpy raises for a node that is gone or misnamed
            return False
        return any(service == f'{name}/change_state' for service, _ in offered)

    def _ask(self, name: str, transition: int) -> bool:
        """Send a transition; return whether the service is there."""
        if name not in self._clients:
            self._clients[name] = self._node.create_client(
                self._messages[0], f'{name}/change_state')
        request = self._messages[0].Request()
        request.transition.id = transition
        self._clients[name].call_async(request)
        return True


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
