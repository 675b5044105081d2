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
Node names for the sentinel: from the ROS graph and from component containers.

Only containers of our own user are asked: what another user's process answers proves nothing.
"""

from typing import Any

from oom_sentinel.facts import parts
from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import LogLine
from oom_sentinel.node.containers import Containers
from oom_sentinel.node.graph import Attribution
from oom_sentinel.node.graph import Graph
from oom_sentinel.node.graph import quiet_nodes
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import selector

WARN_S = 60.0  # such a node may come and go
UNDECODABLE = ('a node on this ROS domain has a name that is not UTF-8, so rclpy cannot list the '
               'nodes: until it is gone, new nodes are known by their command lines, and by node: '
               'selectors without * where they have parameter services')


class Names:
    """Asks the graph and containers, each as a part of its own, for the sentinel."""

    def __init__(self, node: Any, sentinel: Sentinel) -> None:
        """Ask nothing yet."""
        self._sentinel = sentinel
        self._graph = Graph(node, others=lambda known: quiet_nodes(node, known),
                            selected=lambda: selector.plain_node_names(
                                s for g in sentinel.settings.protection_groups for s in g.match))
        self._warned_s = NEVER_S
        self._failure: Exception | None = None  # of the last question to the graph
        self._containers = Containers(node)
        self.component = self._containers.component
        self._attribution = Attribution()
        self._inside: dict[int, tuple[str, ...]] = {}

    def update(self) -> None:
        """Ask what could have changed; scan when a name is new."""
        run = self._sentinel.parts.run
        before = self._attribution.names
        now = self._attribution = run(parts.GRAPH, self._ask_graph, self._attribution)
        self._containers.ask_soon(
            pid for pid, names in now.names.items() if before.get(pid) != names)
        self._inside = run(parts.CONTAINERS, self._ask_containers, self._inside)
        # What a container may still confirm is no finding yet.
        silent = self._containers.silent
        names = {pid: found for pid, found in now.names.items() if pid not in silent}
        if self._sentinel.set_graph_names(names, now.missing, self._inside):
            self._sentinel.scan()

    def _ask_graph(self) -> Attribution:
        processes = self._sentinel.ros_processes()
        if self._graph.changed(processes):
            self._failure = None
            try:
                return self._answer_of_graph(processes)
            except Exception as error:  # noqa: B902 - it stays the answer until the next question
                self._failure = error
                raise
        if self._failure is not None:
            raise self._failure.with_traceback(None)
        return self._attribution

    def _answer_of_graph(self, processes: tuple[Process, ...]) -> Attribution:
        undecodable = self._graph.undecodable
        found = self._graph.names(processes)
        now_s = self._sentinel.parts.now_s
        if self._graph.undecodable and not undecodable and due(now_s, self._warned_s, WARN_S):
            self._warned_s = now_s
            self._sentinel.parts.say(LogLine(Level.WARN, UNDECODABLE))
        if self._sentinel.table.look_for_librcl(found.unclaimed):
            self._sentinel.scan(new=True)
            found = self._graph.names(self._sentinel.ros_processes())
        return found

    def _ask_containers(self) -> dict[int, tuple[str, ...]]:
        view = self._sentinel.guard.view
        others = self._sentinel.settings.protection_other_users
        return self._containers.names(
            (p for p in self._sentinel.ros_processes() if others or p.uid == view.uid), ())
