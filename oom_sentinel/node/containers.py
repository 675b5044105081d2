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
What runs in component containers, asked from the containers themselves.

`_container/list_nodes` works on every middleware, so it serves where the GUID holds no PID.
composition_interfaces is optional: without it nobody is asked.
"""

from collections import Counter
from collections.abc import Callable
from collections.abc import Iterable
import itertools
import time
from typing import Any

from oom_sentinel.facts.process import Process
from oom_sentinel.node.graph import is_node_name
from oom_sentinel.node.graph import pid_bits
from oom_sentinel.settings.programs import COMPONENT_CONTAINER

FIRST_ANSWER_S = 15.0
ANSWER_S = 5.0  # a container that loads a component answers nobody meanwhile
AGAIN_S = 10.0
AGAIN_ANSWERED_S = 60.0  # `ask_soon` comes before that when the graph changes
# Anybody may start programs of that name, and answer in place of one.
CONTAINERS_MAX = 64
DEFAULT_NAME = '/ComponentManager'
NODES_MAX = 64


def list_nodes_type() -> Any:
    """Return the service type, None when composition_interfaces is not installed."""
    try:
        from composition_interfaces.srv import ListNodes
    except ImportError:
        return None
    return ListNodes


def containers(processes: Iterable[Process]) -> dict[int, str]:
    """
    Return PID -> node name of component containers; a name that two carry is left out.

    One whose command line gives it no name is called as rclcpp_components calls it.
    """
    found = {p.pid: (*p.program.node_names, DEFAULT_NAME)[0] for p in processes
             if p.program.executable.startswith(COMPONENT_CONTAINER)}
    count = Counter(found.values())
    once = [(pid, name) for pid, name in found.items()
            if count[name] == 1 and is_node_name(name)]
    return dict(once[:CONTAINERS_MAX])


class Containers:
    """Asks containers without waiting: an answer serves the next question."""

    def __init__(self, node: Any, kind: Any = None,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        """Keep the node that asks."""
        self._node = node
        self._kind = kind if kind is not None else list_nodes_type()
        self._monotonic = monotonic
        self._clients: dict[tuple[int, str], Any] = {}
        self._asked: dict[tuple[int, str], tuple[float, Any]] = {}
        self._answers: dict[tuple[int, str], tuple[str, ...]] = {}
        self._ids: dict[tuple[int, str], dict[str, int]] = {}
        self._since_s: dict[tuple[int, str], float] = {}
        self._foreign: frozenset[int] = frozenset()  # PIDs that have another number inside

    def names(self, processes: Iterable[Process], known: Iterable[int]
              ) -> dict[int, tuple[str, ...]]:
        """
        Return the nodes of containers by PID, as far as they have answered.

        :param known: PIDs whose nodes are known already: they are not asked.
        """
        if self._kind is None:
            return {}
        known_pids, table = frozenset(known), tuple(processes)
        self._foreign = frozenset(p.pid for p in table if p.same_pid_namespace is False)
        wanted = {(pid, name) for pid, name in containers(table).items()
                  if pid not in known_pids}
        for key in set(self._clients) - wanted:
            self._forget_container(key)
        for key in wanted:
            self._ask_container(key)
        return {key[0]: self._answers[key] for key in wanted if self._answers.get(key)}

    def ask_soon(self, pids: Iterable[int]) -> None:
        """Ask these containers at the next question: the graph says that their nodes changed."""
        changed = frozenset(pids)
        for key, (_, future) in self._asked.items():
            if key[0] in changed and future is None:
                self._asked[key] = (float('-inf'), None)

    def component(self, pid: int, name: str) -> tuple[str, int] | None:
        """Return the container of a component and its ID there, None when it is not known."""
        for (at, container), ids in self._ids.items():
            if at == pid and name in ids:
                return container, ids[name]
        return None

    @property
    def silent(self) -> frozenset[int]:
        """Return the PIDs of containers that may still give their first answer."""
        now_s = self._monotonic()
        return frozenset(key[0] for key, since_s in self._since_s.items()
                         if key not in self._answers and now_s - since_s < FIRST_ANSWER_S)

    def _ask_container(self, key: tuple[int, str]) -> None:
        now_s = self._monotonic()
        asked_s, future = self._asked.get(key, (float('-inf'), None))
        if future is not None and future.done():
            self._take_answer(key, future)
        elif future is not None and now_s - asked_s >= ANSWER_S:
            self._clients[key].remove_pending_request(future)
            self._asked[key] = (asked_s, None)
        elif future is None and now_s - asked_s >= (
                AGAIN_ANSWERED_S if key in self._answers else AGAIN_S):
            client = self._clients.get(key)
            if client is None:
                self._since_s[key] = now_s
                client = self._clients[key] = self._node.create_client(
                    self._kind, f'{key[1]}/_container/list_nodes')
            if client.service_is_ready() and self._answers_itself(key):
                self._asked[key] = (now_s, client.call_async(self._kind.Request()))

    def _answers_itself(self, key: tuple[int, str]) -> bool:
        """
        Return whether the container itself answers, and nobody else would.

        Any peer may offer a service of this name.  Fast DDS tells the PID of who does; two
        who do cannot be told apart.
        """
        try:
            found = self._node.get_publishers_info_by_topic(
                f'rr{key[1]}/_container/list_nodesReply', True)
        except UnicodeDecodeError:  # one of them has such a name
            return False
        bits = [pid_bits(info.endpoint_gid) for info in found]
        return len(bits) == 1 and (bits[0] is None or key[0] in self._foreign
                                   or bits[0][1] == key[0] & 0xFFFF)

    def _take_answer(self, key: tuple[int, str], future: Any) -> None:
        self._asked[key] = (self._asked[key][0], None)
        if future.exception() is None and future.result() is not None \
                and self._answers_itself(key):
            said = future.result()
            names = list(itertools.islice(said.full_node_names, NODES_MAX))
            self._answers[key] = tuple(sorted(name for name in names if is_node_name(name)))
            self._ids[key] = dict(zip(names, said.unique_ids))

    def _forget_container(self, key: tuple[int, str]) -> None:
        self._node.destroy_client(self._clients.pop(key))
        self._asked.pop(key, None)
        self._answers.pop(key, None)
        self._ids.pop(key, None)
        self._since_s.pop(key, None)
