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

"""The protection group of a process, by its nodes, its program and its names in the graph."""

from collections.abc import Iterable

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.settings import Group
from oom_sentinel.settings import selector
from oom_sentinel.settings import Settings


def _first(settings: Settings, process: Process, name: str | None) -> Group | None:
    return next((g for g in settings.protection_groups
                 if selector.matches(g.match, process, name)), None)


def _lowest(groups: Iterable[Group | None]) -> Group | None:
    found = [g for g in groups if g is not None]
    return min(found, key=lambda g: g.oom_score_adj) if found else None


def group_of(process: Process, settings: Settings) -> Group | None:
    """
    Return the group whose value a process gets, None when no group matches.

    A node belongs to the first group that matches it, a process with several nodes gets the
    lowest value.  A name that only the ROS graph knows can be forged by any peer: it never
    lowers a process, and never moves one whose package or command line says who it is.
    The nodes of a component container are those that it lists when it is asked.
    """
    own_names = process.program.node_names or (None,)
    trusted = _lowest(_first(settings, process, name)
                      for name in (*own_names, *process.listed_node_names))
    graph = _lowest(_first(settings, process, name) for name in process.graph_node_names)
    if graph is None:
        return trusted
    says_who_it_is = process.program.node_names or process.program.package
    if trusted is not None or says_who_it_is or graph.oom_score_adj < 0:
        return trusted
    return graph


def nodes_by_group(process: Process, group: Group, settings: Settings
                   ) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """
    Return the nodes of a process that belong to a group, and its components that do not.

    A container's own node is no component; what runs in it is known once it has been asked.
    """
    mine = tuple(name for name in process.node_names
                 if getattr(_first(settings, process, name), 'name', None) == group.name)
    components = process.listed_node_names or process.program.node_names
    return mine, tuple(name for name in components if name not in mine)


def unproven_nodes(processes: Iterable[Process], settings: Settings) -> tuple[str, ...]:
    """Return the nodes that a node: selector matches by a name that only the ROS graph knows."""
    found = []
    for process in processes:
        if not process.graph_node_names:
            continue
        group = group_of(process, settings)
        for name in process.graph_node_names:
            if name not in process.trusted_node_names and _is_selected(name, settings) \
                    and group is not _first(settings, process, name):
                found.append(f'{name} (only the ROS graph says that it is PID {process.pid}; '
                             f'select exe:{process.program.executable} instead)')
    return tuple(found)


def selected_nodes(node_names: Iterable[str], settings: Settings) -> tuple[str, ...]:
    """Return those of the nodes that a node: selector of a group matches."""
    return tuple(name for name in node_names if _is_selected(name, settings))


def _is_selected(node_name: str, settings: Settings) -> bool:
    """Return whether a node: selector of a group matches this node."""
    return any(s.kind == 'node' and not s.exclude and selector.glob_matches(node_name, s.pattern)
               for g in settings.protection_groups for s in g.match)


def oom_group_paths(chains: tuple[CgroupChain, ...] | Unavailable,
                    targets: Iterable[Target]) -> tuple[str, ...]:
    """Return the control groups with memory.oom.group=1 that hold a protected process."""
    at_stake = {t.process.cgroup for t in targets if t.wanted < 0}
    return () if isinstance(chains, Unavailable) else tuple(dict.fromkeys(
        group.path for chain in chains if chain.path in at_stake or not at_stake
        for group in chain.groups if group.oom_group))
