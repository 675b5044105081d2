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
The ROS graph to node names per process.

Fast DDS writes the low 16 bits of the PID into bytes 4 and 5 of every GUID prefix, after the
vendor id (01 0f) and two bytes of host id (GuidUtils.hpp of Fast DDS 2.6 to 3.2).  Other
middlewares hold no PID; then our own PID does not come back and the method is off.
"""

import os
from typing import Any
from typing import Iterable

from oom_sentinel.facts.process import Process

VENDOR_FAST_DDS = b'\x01\x0f'
TOPIC = '/rosout'


def pid_bits(gid: 'Iterable[int]') -> 'tuple[bytes, int] | None':
    """Return host id and low 16 bits of the PID of a GUID, None when not Fast DDS's."""
    raw = bytes(gid)
    if len(raw) < 12 or raw[:2] != VENDOR_FAST_DDS:
        return None
    return raw[2:4], int.from_bytes(raw[4:6], 'little')


def qualified(name: str, namespace: str) -> str:
    """Return the fully qualified node name."""
    return '/' + '/'.join(part for part in (namespace.strip('/'), name) if part)


def attribute(endpoints: 'Iterable[tuple[str, bytes]]', processes: 'Iterable[Process]',
              own_pid: int, own_name: str
              ) -> 'tuple[dict[int, tuple[str, ...]], tuple[str, ...]]':
    """
    Return node names by PID, and the nodes of this host whose process is not known.

    :param endpoints: (node name, GUID) of every publisher of /rosout.
    Ambiguous low bits mean unknown; nothing is returned when our own PID does not come back.
    """
    found = [(name, pid_bits(gid)) for name, gid in endpoints]
    own = next((bits for name, bits in found if name == own_name and bits
                and bits[1] == own_pid & 0xFFFF), None)
    if own is None:
        return {}, ()
    by_bits: 'dict[int, list[Process]]' = {}
    for process in processes:
        if process.same_pid_namespace is not False:
            by_bits.setdefault(process.pid & 0xFFFF, []).append(process)
    names: 'dict[int, list[str]]' = {}
    missing = []
    for name, bits in found:
        if bits is None or bits[0] != own[0]:
            continue
        candidates = by_bits.get(bits[1], [])
        if len(candidates) == 1:
            names.setdefault(candidates[0].pid, []).append(name)
        elif bits[1] != own_pid & 0xFFFF:
            missing.append(name)
    return ({pid: tuple(sorted(set(said))) for pid, said in names.items()},
            tuple(sorted(set(missing))))


class Graph:
    """Asks the graph only when the number of nodes changed or a process is new."""

    def __init__(self, node: Any) -> None:
        """Keep the node whose graph is asked."""
        self._node = node
        self._publishers = -1
        self._pids: 'frozenset[int]' = frozenset()
        self._missing_before: 'tuple[str, ...]' = ()

    def changed(self, processes: 'tuple[Process, ...]') -> bool:
        """Tell, in some microseconds, whether asking could bring something new."""
        publishers = self._node.count_publishers(TOPIC)
        pids = frozenset(p.pid for p in processes)
        changed = publishers != self._publishers or pids != self._pids
        self._publishers, self._pids = publishers, pids
        return changed or bool(self._missing_before)

    def names(self, processes: 'tuple[Process, ...]'
              ) -> 'tuple[dict[int, tuple[str, ...]], tuple[str, ...]]':
        """
        Return node names by PID, and nodes without a process.

        A node counts as missing only when two questions in a row did not find its process: a
        killed node stays in the graph for some 20 s and a new one may be there before its
        process was classified.
        """
        endpoints = [
            (qualified(info.node_name, info.node_namespace), bytes(info.endpoint_gid))
            for info in self._node.get_publishers_info_by_topic(TOPIC)]
        names, missing = attribute(endpoints, processes, os.getpid(),
                                   self._node.get_fully_qualified_name())
        again = tuple(name for name in missing if name in self._missing_before)
        self._missing_before = missing
        return names, again
