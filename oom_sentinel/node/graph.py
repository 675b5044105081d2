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
The ROS graph to node names per process, those without /rosout too.

Fast DDS writes the low 16 bits of the PID into bytes 4 and 5 of every GUID prefix, after the
vendor id (01 0f) and two bytes of host id (GuidUtils.hpp of Fast DDS 2.6 to 3.2).  Other
middlewares hold no PID; then our own PID does not come back and the method is off.

Every endpoint of a participant carries its GUID.  Most nodes publish /parameter_events; the
rest is asked for one by one, a few at a time.
"""

from collections.abc import Callable
from collections.abc import Iterable
import contextlib
from dataclasses import field
from dataclasses import replace
import os
import re
import time
from typing import Any

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Process

NAME_MAX = 255  # rcl: RMW_NODE_NAME_MAX_NAME_LENGTH; namespace and name together may have more
_NODE_NAME = re.compile(r'(?:/[A-Za-z_][A-Za-z0-9_]*)+\Z')


def qualified(name: str, namespace: str) -> str:
    """Return the fully qualified node name."""
    return '/' + '/'.join(part for part in (namespace.strip('/'), name) if part)


def is_node_name(name: str) -> bool:
    """Return whether this is a fully qualified node name that ROS allows."""
    return len(name) <= NAME_MAX and _NODE_NAME.match(name) is not None


VENDOR_FAST_DDS = b'\x01\x0f'
TOPIC = '/rosout'
# What rmw_dds_common says of an endpoint whose participant it has not heard of yet: 0.1 s long,
# and up to 3.5 s when the message was lost until Fast DDS's next heartbeat.
UNKNOWN_NODE = '_NODE_NAME_UNKNOWN_'
UNKNOWN_S = 4.0
# A node's parameter service bears its name, and its endpoints are known at once.
PARAMETER_SERVICE = '/get_parameters'
PREFIX_BYTES = 12
# A question takes 0.14 ms with 9 nodes and 0.9 ms with many: never more often than this, and
# only when the number of nodes or of ROS processes changed.
NEWS_PAUSE_S = 0.3
PAUSE_S = 2.0
# While the answer stays the same it is asked for again ever more seldom, up to this: one node
# that goes as another comes leaves the number of publishers as it was.
PAUSE_MAX_S = 30.0
# A peer may announce as many nodes as it likes.
ENDPOINTS_MAX = 4096
SERVICES_MAX = 1024
NODES_OF_A_PROCESS = 64

# (names that publish /rosout) -> (name, GUID) of other nodes, and nodes without an endpoint
Others = Callable[[set[str]], tuple[list[tuple[str, bytes]], list[str]]]


@frozen
class Attribution:
    """
    Node names by PID, and the nodes of this host whose process is not known.

    `unclaimed` are the low 16 bits of the PIDs of those.
    """

    names: dict[int, tuple[str, ...]] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    unclaimed: frozenset[int] = frozenset()


def pid_bits(gid: Iterable[int]) -> tuple[bytes, int] | None:
    """Return host id and low 16 bits of the PID of a GUID, None when not Fast DDS's."""
    raw = bytes(gid)
    if len(raw) < 12 or raw[:2] != VENDOR_FAST_DDS:
        return None
    return raw[2:4], int.from_bytes(raw[4:6], 'little')


def attribute(endpoints: Iterable[tuple[str, bytes]], processes: Iterable[Process],
              own_pid: int, own_name: str) -> Attribution:
    """
    Return which node runs in which process.

    :param endpoints: (node name, GUID) of every publisher of /rosout.
    Ambiguous low bits mean unknown; nothing is returned when our own PID does not come back.
    A name that was found is not missing: a node that was killed and respawned stands in the
    graph twice for some 20 s.
    """
    found = [(name, pid_bits(gid)) for name, gid in endpoints]
    own = next((bits for name, bits in found if name == own_name and bits
                and bits[1] == own_pid & 0xFFFF), None)
    if own is None:
        return Attribution()
    by_bits: dict[int, list[Process]] = {}
    for process in processes:
        if process.same_pid_namespace is not False:
            by_bits.setdefault(process.pid & 0xFFFF, []).append(process)
    names: dict[int, list[str]] = {}
    missing: dict[str, int] = {}
    for name, bits in found:
        if bits is None or bits[0] != own[0]:
            continue
        candidates = by_bits.get(bits[1], [])
        if len(candidates) == 1:
            names.setdefault(candidates[0].pid, []).append(name)
        elif bits[1] != own_pid & 0xFFFF:
            missing[name] = bits[1]
    for name in [name for said in names.values() for name in said]:
        missing.pop(name, None)
    return Attribution({pid: tuple(sorted(set(said)))[:NODES_OF_A_PROCESS]
                        for pid, said in names.items()},
                       tuple(sorted(missing)), frozenset(missing.values()))


class Graph:
    """Asks the graph only when the number of nodes changed or a process is new."""

    def __init__(self, node: Any, monotonic: Callable[[], float] = time.monotonic,
                 others: Others = lambda known: ([], []),
                 selected: Callable[[], Iterable[str]] = lambda: ()) -> None:
        """
        Keep the node whose graph is asked.

        :param others: finds the nodes that publish no /rosout.
        :param selected: returns the names of nodes that are looked for.
        """
        self._selected = selected
        self._node = node
        self._others = others
        self._monotonic = monotonic
        self._seen: tuple[int, frozenset[int]] = (-1, frozenset())
        self._asked_s = float('-inf')
        self._pause_s = PAUSE_S
        self._news = False
        self._answer = Attribution()
        self._nameless: dict[bytes, float] = {}  # since when
        self.undecodable = False  # a node on the domain has a name that is not UTF-8
        self._missing_s: dict[str, float] = {}

    def changed(self, processes: tuple[Process, ...]) -> bool:
        """Return, in some microseconds, whether asking now could bring news."""
        if not processes:
            return False  # before the first scan nothing could be attributed
        seen = (self._node.count_publishers(TOPIC), frozenset(p.pid for p in processes))
        if seen != self._seen:
            self._seen, self._news = seen, True
        waited_s = self._monotonic() - self._asked_s
        return waited_s >= (NEWS_PAUSE_S if self._news else self._pause_s)

    def names(self, processes: tuple[Process, ...]) -> Attribution:
        """
        Ask which node runs in which process.

        A node counts as missing only when its process was not found for PAUSE_S: a killed node
        stays in the graph for some 20 s and a new one may be there before its process was
        classified.
        """
        self._asked_s = self._monotonic()  # also when the graph cannot be read
        try:
            found, nameless, nowhere = self._endpoints()
            self.undecodable = False
        except UnicodeDecodeError:  # rclpy refuses a whole answer for one name in it
            found, nameless, nowhere = self._named_one_by_one(), set(), []
            self.undecodable = True
        own_name = self._node.get_fully_qualified_name()
        found = [(name, gid) for name, gid in found if is_node_name(name)]
        answer = attribute(found, processes, os.getpid(), own_name)
        if answer.names:
            answer = replace(answer, missing=tuple(sorted({*answer.missing, *nowhere})))
        settled = answer == self._answer and not nameless
        self._pause_s = min(PAUSE_MAX_S, 2 * self._pause_s) if settled else PAUSE_S
        self._answer = answer
        self._nameless = {prefix: self._nameless.get(prefix, self._asked_s)
                          for prefix in nameless}
        self._news = any(self._asked_s - since_s < UNKNOWN_S
                         for since_s in self._nameless.values())
        self._missing_s = {name: self._missing_s.get(name, self._asked_s)
                           for name in answer.missing}
        return replace(answer, missing=tuple(
            name for name in answer.missing
            if self._asked_s - self._missing_s[name] >= PAUSE_S))

    def _endpoints(self) -> tuple[list[tuple[str, bytes]], set[bytes], list[str]]:
        """
        Return (node name, GUID) of all nodes, participants without a name, and missing nodes.

        :raises UnicodeDecodeError: when a node's name is not UTF-8.
        """
        infos = self._node.get_publishers_info_by_topic(TOPIC)[:ENDPOINTS_MAX]
        found = [(qualified(info.node_name, info.node_namespace), bytes(info.endpoint_gid))
                 for info in infos if info.node_name != UNKNOWN_NODE]
        nameless = {bytes(info.endpoint_gid)[:PREFIX_BYTES] for info in infos
                    if info.node_name == UNKNOWN_NODE}
        if nameless:
            found += self._named_by_services(nameless, {name for name, _ in found})
        others, nowhere = self._others({name for name, _ in found})
        return found + others, nameless, nowhere

    def _named_by_services(self, prefixes: set[bytes], known: set[str]
                           ) -> list[tuple[str, bytes]]:
        """Return the (node name, GUID) of nodes in these participants that are not known."""
        services = self._node.get_service_names_and_types()
        names = [service[:-len(PARAMETER_SERVICE)] for service, _ in services
                 if service.endswith(PARAMETER_SERVICE)]
        return [(name, raw) for name in names[:SERVICES_MAX] if name not in known
                for raw in self._service_guids(name) if raw[:PREFIX_BYTES] in prefixes]

    def _named_one_by_one(self) -> list[tuple[str, bytes]]:
        """
        Return the (node name, GUID) of nodes whose names are known beforehand.

        Those are the names of the last answer, of node: selectors, and ours: the topic of a
        node's parameter service has that node alone.
        """
        names = {name for found in self._answer.names.values() for name in found}
        names |= {self._node.get_fully_qualified_name(), *self._selected()}
        return [(name, raw) for name in sorted(names)[:SERVICES_MAX]
                for raw in self._service_guids(name)]

    def _service_guids(self, name: str) -> list[bytes]:
        """Return the GUIDs of the endpoints that offer this node's parameters."""
        try:
            return [bytes(info.endpoint_gid) for info in self._node.get_publishers_info_by_topic(
                f'rr{name}{PARAMETER_SERVICE}Reply', True)]
        except UnicodeDecodeError:  # the node whose name it is, or one that forged this name
            return []


EVENTS = '/parameter_events'
ASKED_MAX = 16  # nodes that are looked for one by one at a time
TOPICS_MAX = 8  # of each


def quiet_nodes(node: Any, known: Iterable[str]) -> tuple[list[tuple[str, bytes]], list[str]]:
    """
    Return (node name, GUID) of nodes that are not known yet, and names without any endpoint.

    :param node: an rclpy node, whose graph is asked.
    :param known: the fully qualified names of those that publish /rosout.
    """
    missing = {qualified(name, space): (name, space)
               for name, space in node.get_node_names_and_namespaces()}
    for name in (*known, node.get_fully_qualified_name()):
        missing.pop(name, None)
    missing = {name: parts for name, parts in missing.items() if is_node_name(name)}
    if not missing:
        return [], []
    found = [(name, gid) for name, gid in _endpoints(node.get_publishers_info_by_topic(EVENTS))
             if name in missing]
    for name, _ in found:
        missing.pop(name, None)
    for name, parts in list(missing.items())[:ASKED_MAX]:
        gid = _gid_of(node, name, parts)
        if gid is not None:
            found.append((name, gid))
            del missing[name]
    return found, sorted(missing)


def _gid_of(node: Any, name: str, parts: tuple[str, str]) -> bytes | None:
    """Return the GUID of any endpoint of a node, None when it has none."""
    for topics_of, endpoints_of in (
            (node.get_publisher_names_and_types_by_node, node.get_publishers_info_by_topic),
            (node.get_subscriber_names_and_types_by_node, node.get_subscriptions_info_by_topic)):
        with contextlib.suppress(RuntimeError):  # NodeNameNonExistentError: it has just gone
            for topic, _ in topics_of(*parts)[:TOPICS_MAX]:
                for endpoint, gid in _endpoints(endpoints_of(topic)):
                    if endpoint == name:
                        return gid
    return None


def _endpoints(infos: Iterable[Any]) -> list[tuple[str, bytes]]:
    return [(qualified(info.node_name, info.node_namespace), bytes(info.endpoint_gid))
            for info in infos]
