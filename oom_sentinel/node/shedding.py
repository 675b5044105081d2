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
Shedding to ROS: ~/actions, ~/shed, ~/resume, nodes made inactive and components unloaded.

`change_state` of lifecycle_msgs and `unload_node` of composition_interfaces work on every
middleware.  Nothing waits for an answer: a node that never answers is passed over when the
step's time is up.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.node.wakes import SHEDDING
from oom_sentinel.protection.shedder import Shedder
from oom_sentinel.settings.outside import LINE_MAX
from oom_sentinel.settings.outside import printable
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile
from std_srvs.srv import Trigger

NODES_MAX = 20  # of one container
KEPT_MAX = 100  # names of nodes that were asked

Component = tuple[str, int]  # the node name of its container, and its unique ID there


def _lifecycle() -> Any:
    """Return the service type and the transitions, None where lifecycle_msgs is missing."""
    try:
        from lifecycle_msgs.msg import Transition
        from lifecycle_msgs.srv import ChangeState
    except ImportError:
        return None
    return ChangeState, Transition


def _unload_node() -> Any:
    """Return the service type, None where composition_interfaces is missing."""
    try:
        from composition_interfaces.srv import UnloadNode
    except ImportError:
        return None
    return UnloadNode


@dataclass(slots=True)
class _Question:
    """A request about a node that waits for its service or its answer."""

    name: str
    client: Any
    request: Any
    activates: bool = False
    unloads: bool = False
    future: Any = None


class NodeStates:
    """Asks lifecycle nodes to change their state, and containers to unload a component."""

    def __init__(self, node: Any, component: Callable[[int, str], Component | None],
                 lifecycle: Any = None, unload_node: Any = None) -> None:
        """
        Keep the node that asks.

        :param component: returns container and ID of a component by PID and node name.
        :param lifecycle: service type and transitions, those installed unless given.
        :param unload_node: the service type, the one installed unless given.
        """
        self.active_again: tuple[str, ...] = ()
        self.unloaded: tuple[str, ...] = ()
        self._node = node
        self._component = component
        self._lifecycle = lifecycle or _lifecycle()
        self._unload_node = unload_node or _unload_node()
        self._questions: list[_Question] = []
        self._confirmed: frozenset[str] = frozenset()

    def deactivate(self, process: Process, names: tuple[str, ...]) -> tuple[str, ...]:
        """
        Ask these nodes of a process to become inactive; return those that can be asked.

        A component that is no lifecycle node is unloaded: only its launch file knows how to
        load it again.
        """
        asked = tuple(name for name in names[:NODES_MAX]
                      if self._deactivates(name) or self._unloads(process.pid, name))
        self._confirmed -= set(asked)
        self._look()
        return asked

    def activate(self) -> tuple[str, ...]:
        """Ask what was deactivated to be active again, once; return the names."""
        names, self.active_again = self.active_again, ()
        for name in names:
            self._change(name, self._lifecycle[1].TRANSITION_ACTIVATE)
        self._look()
        return names

    @property
    def confirmed(self) -> frozenset[str]:
        """Return the nodes that answered that they are inactive now, or unloaded."""
        self._look()
        return self._confirmed

    def _deactivates(self, name: str) -> bool:
        """Ask a lifecycle node to become inactive; return False where it is none."""
        if self._lifecycle is None or not self._has_lifecycle(name):
            return False
        self._change(name, self._lifecycle[1].TRANSITION_DEACTIVATE)
        if name not in self.active_again:
            self.active_again = (*self.active_again, name)[-KEPT_MAX:]
        return True

    def _unloads(self, pid: int, name: str) -> bool:
        """Ask the container of a component to unload it; return False where it is none."""
        found = None if self._unload_node is None else self._component(pid, name)
        if found is None:
            return False
        container, unique_id = found
        request = self._unload_node.Request()
        request.unique_id = unique_id
        self._ask(_Question(name, self._node.create_client(
            self._unload_node, f'{container}/_container/unload_node'), request, unloads=True))
        return True

    def _has_lifecycle(self, name: str) -> bool:
        """Return whether a node offers change_state, without waiting for discovery."""
        namespace, _, base = name.rpartition('/')
        try:
            offered = self._node.get_service_names_and_types_by_node(base, namespace or '/')
        except Exception:  # noqa: B902 - rclpy raises for a node that is gone or misnamed
            return False
        return any(service == f'{name}/change_state' for service, _ in offered)

    def _change(self, name: str, transition: int) -> None:
        request = self._lifecycle[0].Request()
        request.transition.id = transition
        self._ask(_Question(
            name, self._node.create_client(self._lifecycle[0], f'{name}/change_state'), request,
            activates=transition == self._lifecycle[1].TRANSITION_ACTIVATE))

    def _ask(self, question: _Question) -> None:
        """Ask when the service is there; an older question to the node is given up."""
        for older in [q for q in self._questions if q.name == question.name]:
            self._forget(older)
        if len(self._questions) >= KEPT_MAX:
            self._forget(self._questions[0])
        self._questions.append(question)

    def _look(self) -> None:
        """Send what waited for its service, and take the answers that have come."""
        for question in list(self._questions):
            if question.future is None and question.client.service_is_ready():
                question.future = question.client.call_async(question.request)
            if question.future is not None and question.future.done():
                self._answered(question)
                self._forget(question)

    def _answered(self, question: _Question) -> None:
        answer = None if question.future.exception() else question.future.result()
        did = bool(answer is not None and answer.success)
        if question.activates:
            return
        if did:
            self._confirmed |= {question.name}
        elif not question.unloads:  # it was not active: it must not be activated later
            self.active_again = tuple(n for n in self.active_again if n != question.name)
        if did and question.unloads:
            self.unloaded = (*self.unloaded, question.name)[-KEPT_MAX:]

    def _forget(self, question: _Question) -> None:
        self._questions.remove(question)
        self._node.destroy_client(question.client)


QOS = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LOOK_S = 0.2  # while a process is being ended or is about to be


class Shedding:
    """Offers what shed.mode asks for, and publishes each step once."""

    def __init__(self, node: Any, shedder: Shedder,
                 component: Callable[[int, str], Component | None],
                 answer: Callable[[Any, Any], Any],
                 message: Callable[[tuple[Status, ...]], DiagnosticArray]) -> None:
        """
        Offer nothing yet.

        :param component: returns container and ID of a component by PID and node name.
        :param answer: fills the response of a Trigger service with what a function returns.
        :param message: makes a message of statuses.
        """
        self._node = node
        self._shedder = shedder
        self._answer = answer
        self._message = message
        self._publisher: Any = None
        self._services: tuple[Any, ...] = ()
        self._looks_soon = False
        shedder.nodes = NodeStates(node, component)

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

    def publish(self, actions: tuple[Status, ...]) -> None:
        """Publish each step on its own and log it."""
        for action in actions:
            self._node.get_logger().warning(printable(action.message, LINE_MAX))
            if self._publisher is not None:
                self._publisher.publish(self._message((action,)))

    def look_soon(self, watch: Watch) -> None:
        """Run cycles quickly while a process is being ended or is about to be."""
        if self._shedder.busy and not self._looks_soon:
            watch.every(LOOK_S, SHEDDING, lambda: True)
        elif not self._shedder.busy and self._looks_soon:
            watch.never(SHEDDING)
        self._looks_soon = self._shedder.busy

    def _withdraw(self) -> None:
        self._destroy_services()
        if self._publisher is not None:
            self._node.destroy_publisher(self._publisher)
            self._publisher = None

    def _destroy_services(self) -> None:
        for service in self._services:
            self._node.destroy_service(service)
        self._services = ()
