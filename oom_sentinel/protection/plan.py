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
Who shall have which oom_score_adj, and what to write for it.

Pure: processes, settings and what is known of floors go in, targets and adjustments come out.
The rules are INTERFACE.md's "Protection rules: never make it worse".
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Target
from oom_sentinel.settings import Group
from oom_sentinel.settings import programs
from oom_sentinel.settings import selector
from oom_sentinel.settings import Settings

SHIFT_MAX = 400
UNKILLABLE = -1000


@dataclass(frozen=True, slots=True)
class View:
    """Who looks: the sentinel's uid, PID, ancestors and ROS_DOMAIN_ID."""

    uid: int
    pid: int
    ros_domain_id: int = 0
    ancestors: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """
    Every target, by how much others are raised, and what order does not hold.

    `lost_order` needs someone to act; `notes` are worth knowing.
    """

    targets: tuple[Target, ...] = ()
    shift: int = 0
    lost_order: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def ancestors(processes: Iterable[Process], pid: int) -> frozenset[int]:
    """Return this PID, its parent, and so on, as far as they are known."""
    parents = {p.pid: p.ppid for p in processes}
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        pid = parents.get(pid, 0)
    return frozenset(found)


def eligible(process: Process, settings: Settings, view: View) -> bool:
    """Tell whether the sentinel may act on this process at all."""
    if process.pid in (1, view.pid) or process.kernel_thread or process.state in ('Z', 'X'):
        return False
    if process.uid != view.uid and not settings.protection_other_users:
        return False
    if process.same_pid_namespace is False:
        return False
    domain = process.program.ros_domain_id
    return not (process.program.ros and domain is not None and domain != view.ros_domain_id)


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
    lowers a process below what its own executable's group gives, component containers aside,
    whose nodes are on no command line.
    """
    own_names = process.program.node_names or (None,)
    trusted = _lowest(_first(settings, process, name) for name in own_names)
    graph = _lowest(_first(settings, process, name) for name in process.graph_node_names)
    if trusted is None or graph is None:
        return trusted or graph
    if process.program.executable.startswith(programs.COMPONENT_CONTAINER):
        return _lowest((trusted, graph))
    return trusted


def never_raised(process: Process, view: View) -> bool:
    """Tell whether raising this process would take the robot's infrastructure down."""
    words = ' '.join(process.program.cmdline[:6])
    executable = process.program.executable
    return (process.pid in view.ancestors or executable in programs.INFRASTRUCTURE
            or executable.startswith(programs.DISCOVERY_SERVER) or 'fastdds.py discovery' in words
            or 'ros2 launch ' in words + ' ')


def _ours(process: Process, view: View) -> bool:
    """Tell whether this is a ROS process of this user, namespace and domain."""
    return (process.program.ros and process.uid == view.uid
            and process.same_pid_namespace is True
            and process.program.ros_domain_id == view.ros_domain_id)


def raisable(process: Process, view: View) -> bool:
    """Tell whether this process may be raised in place of lowering another."""
    return _ours(process, view) and not never_raised(process, view)


def _clamp(value: int, settings: Settings) -> int:
    if value == UNKILLABLE and not settings.protection_allow_unkillable:
        return UNKILLABLE + 1
    return value


def plan(processes: Iterable[Process], settings: Settings, view: View,
         floors: Mapping[Identity, int], originals: Mapping[Identity, int],
         assign: Callable[[Process, Settings], Group | None] = group_of,
         outsider: str | None = None) -> Plan:
    """
    Return what every process shall have.

    :param floors: the lowest permitted value, for each process where lowering was denied.
    :param originals: the value before the sentinel's first write, for each process it changed.
    :param assign: `group_of`, or something that remembers its answers.
    :param outsider: a process beyond raising that is about to eat the memory: nobody is raised
        then, for the kernel would take everybody raised before it.
    """
    table = tuple(processes)
    values = {p.pid: p.oom_score_adj for p in table}
    matched = []
    others = []
    for process in table:
        if not eligible(process, settings, view) or process.oom_score_adj is None:
            continue
        group = assign(process, settings)
        # Whatever started the sentinel, colcon test or ros2 bag, would hand the value on to it
        # and to the robot.
        raised = group is not None and group.oom_score_adj > 0
        if group is not None and not (raised and process.pid in view.ancestors):
            matched.append(_matched(process, group, settings, floors))
        else:
            others.append((process, _unmatched(process, settings, view, values, originals)))
    missing = max((t.value - t.wanted for t in matched if t.wanted < 0), default=0)
    shift = _shift(missing, matched, others, settings) if outsider is None else 0
    targets = [_raised(t, shift, view) if t.wanted >= 0 else t for t in matched]
    for process, wanted in others:
        if shift and raisable(process, view):
            base = wanted if wanted is not None else 0
            targets.append(Target(process, None, base, base + shift,
                                  'raised because lowering the protected nodes is denied'))
        elif wanted is not None:
            targets.append(Target(process, None, wanted, max(wanted, _floor(process, floors)),
                                  _why_unmatched(process, originals)))
    return Plan(tuple(targets), shift, _lost(missing, shift, settings, outsider),
                _notes(matched, missing, settings))


def _floor(process: Process, floors: Mapping[Identity, int]) -> int:
    return floors.get(process.identity, UNKILLABLE)


def _matched(process: Process, group: Group, settings: Settings,
             floors: Mapping[Identity, int]) -> Target:
    wanted = _clamp(group.oom_score_adj, settings)
    return Target(process, group.name, wanted, max(wanted, _floor(process, floors)),
                  f'group {group.name}')


def _unmatched(process: Process, settings: Settings, view: View,
               values: Mapping[int, int | None],
               originals: Mapping[Identity, int]) -> int | None:
    """Return what a process without a group shall have, None to leave it alone."""
    if process.identity in originals:
        return originals[process.identity]
    adj = process.oom_score_adj
    inherited = adj is not None and adj < 0 and values.get(process.ppid) == adj
    if inherited and _ours(process, view) and not never_raised(process, view):
        return _clamp(settings.protection_unmatched_oom_score_adj, settings)
    return None


def _why_unmatched(process: Process, originals: Mapping[Identity, int]) -> str:
    if process.identity in originals:
        return 'no group matches any more: its old value'
    return 'no group matches and its negative value was only inherited'


def _shift(missing: int, matched: Iterable[Target],
           others: Iterable[tuple[Process, int | None]], settings: Settings) -> int:
    if missing <= 0 or settings.protection_when_denied != 'raise_others':
        return 0
    highest = max([t.wanted for t in matched]
                  + [wanted for _, wanted in others if wanted is not None] + [0])
    return max(0, min(missing, SHIFT_MAX, 1000 - highest))


def _raised(target: Target, shift: int, view: View) -> Target:
    if not shift or never_raised(target.process, view):
        return target
    return Target(target.process, target.group, target.wanted, target.wanted + shift,
                  target.why + ', raised because lowering the protected nodes is denied')


def _lost(missing: int, shift: int, settings: Settings,
          outsider: str | None) -> tuple[str, ...]:
    if missing <= 0 or shift > 0:
        return ()
    if outsider is not None and settings.protection_when_denied == 'raise_others':
        return (f'lowering is denied and {outsider}, which is not ROS, is what grows: the '
                'others are not raised, else they would die before it',)
    if settings.protection_when_denied == 'report':
        return ('lowering is denied and protection.when_denied is report: protected nodes '
                'stand no better than the others',)
    return ('lowering is denied and nothing can be raised further: protected nodes stand no '
            'better than the others',)


def _notes(matched: Iterable[Target], missing: int,
           settings: Settings) -> tuple[str, ...]:
    notes = []
    denied = [t for t in matched if t.wanted < 0 and t.value > t.wanted]
    wanted = sorted({t.wanted for t in denied})
    if len(wanted) > len({t.value for t in denied}):
        notes.append('the negative groups are equal among themselves: each is at the lowest '
                     'permitted value')
    if missing > 0:
        notes.append('processes that are not ROS cannot be raised and are no less safe than '
                     'the protected nodes')
        if missing > SHIFT_MAX:
            notes.append(f'the head start is {SHIFT_MAX} of the {missing} that are missing')
    for group in settings.protection_groups:
        if group.oom_score_adj == UNKILLABLE and not settings.protection_allow_unkillable:
            notes.append(f'group {group.name}: -1000 is written as -999, because an unkillable '
                         'leak takes everything else; protection.allow_unkillable permits it')
        elif group.oom_score_adj < -600:
            notes.append(f'group {group.name}: {group.oom_score_adj} is so low that a leak in '
                         'it kills every other node first; -500 is the advised limit')
    return tuple(notes)


def adjustments(planned: Plan) -> tuple[Adjustment, ...]:
    """Return what has to be written: only where the value differs."""
    return tuple(
        Adjustment(t.process.identity, t.group, t.process.oom_score_adj, t.value, t.why)
        for t in planned.targets
        if t.process.oom_score_adj is not None and t.process.oom_score_adj != t.value)
