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
Lifecycle nodes: asked to be inactive while memory is short, and active again afterwards.

`change_state` of lifecycle_msgs works on every middleware.  Nothing waits for an answer: a node
that never answers is passed over when the step's time is up.
"""

from typing import Any

from oom_sentinel.facts.process import Process

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
