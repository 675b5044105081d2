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
Nodes that publish no /rosout, found by another of their endpoints.

Every endpoint of a participant carries its GUID.  Most nodes publish /parameter_events; the
rest is asked for one by one, a few at a time.
"""

from collections.abc import Iterable
import contextlib
from typing import Any

from oom_sentinel.node.names_of_ros import is_node_name
from oom_sentinel.node.names_of_ros import qualified

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
