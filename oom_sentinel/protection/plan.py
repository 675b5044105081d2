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
The oom_score_adj that each process shall have, and the writes that this needs.

Pure: processes, settings and what is known of them go in, targets and adjustments come out.
The rules are INTERFACE.md's "Protection rules: never make it worse".
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import field

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Target
from oom_sentinel.protection import eligibility
from oom_sentinel.protection import notes
from oom_sentinel.protection import raising
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.foreign_growth import Foreign
from oom_sentinel.protection.grouping import group_of
from oom_sentinel.protection.known import Known
from oom_sentinel.protection.level import Level
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings

UNKILLABLE = -1000


@frozen
class Plan:
    """
    The targets of the groups, the raised processes of no group, and where the order is lost.

    `levels` are those to which others are raised, as foreign growth leaves them; `lowered` the
    domains in which lowering was permitted; `raisable` what the levels may raise.
    `lost_order` needs someone to act; `notes` are worth knowing.
    """

    targets: tuple[Target, ...] = ()
    raised: tuple[Target, ...] = ()
    levels: tuple[Level, ...] = ()
    lowered: tuple[Domain, ...] = ()
    raisable: tuple[Process, ...] = ()
    foreign: Mapping[str | None, Foreign] = field(default_factory=dict)
    outgrown: tuple[Process, ...] = ()
    head_starts: tuple[tuple[Identity, int], ...] = ()
    spared: tuple[Process, ...] = ()
    lost_order: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def may_raise(self) -> bool:
        """Return whether something is raised, or will be where it leaks."""
        return bool(self.levels or self.lowered)

    @property
    def cgroups(self) -> tuple[str, ...]:
        """Return the control groups of the processes that a group matches."""
        return tuple(t.process.cgroup for t in self.targets
                     if t.group is not None and t.process.cgroup is not None)

    def outdated_by(self, process: Process, group: Group | None) -> bool:
        """Return whether a new process needs a plan: one of a group, or with a value below 0."""
        return group is not None or (
            process.program.ros and not self.levels and (process.oom_score_adj or 0) < 0)


Assign = Callable[[Process, Settings], Group | None]


def clamp(value: int, settings: Settings) -> int:
    """Return the value; -1000 becomes -999 unless `protection.allow_unkillable`."""
    if value == UNKILLABLE and not settings.protection_allow_unkillable:
        return UNKILLABLE + 1
    return value


def plan(processes: Iterable[Process], settings: Settings, view: View, known: Known,
         assign: Assign = group_of) -> Plan:
    """
    Return what every process shall have.

    :param assign: `group_of`, or something that remembers its answers.
    """
    table = tuple(processes)
    matched: list[Target] = []
    others: list[tuple[Process, int | None]] = []
    values = {p.pid: p.oom_score_adj for p in table}
    for process in table:
        if not eligibility.eligible(process, settings, view) or process.oom_score_adj is None:
            continue
        group = assign(process, settings)
        # What started the sentinel, colcon test or ros2 bag, would pass a higher value on to it
        # and to the robot.
        if group is not None and (group.oom_score_adj <= 0 or process.pid not in view.ancestors):
            matched.append(_matched(process, group, settings, known))
        elif process.identity not in known.kept:
            others.append((process, _unmatched(process, settings, view, values, known)))
    return _with_raised(table, matched, others, settings, view, known)


def _matched(process: Process, group: Group, settings: Settings, known: Known) -> Target:
    wanted = clamp(group.oom_score_adj, settings)
    if wanted < 0 and eligibility.is_launch(process):
        own = known.originals.get(process.identity, process.oom_score_adj or 0)
        return Target(process, group.name, max(wanted, own), max(wanted, own),
                      f'group {group.name}; a launch is not lowered, because all that it starts '
                      'would inherit its value')
    floor = known.floors.get(process.identity, UNKILLABLE)
    return Target(process, group.name, wanted, max(wanted, floor), f'group {group.name}')


def _unmatched(process: Process, settings: Settings, view: View,
               values: Mapping[int, int | None], known: Known) -> int | None:
    """
    Return what a process without a group shall have, None to leave it alone.

    A negative value that it only inherited is no old value to give back: the next plan would
    take it away again.
    """
    own = known.originals.get(process.identity, process.oom_score_adj)
    inherited = own is not None and own < 0 and values.get(process.ppid) == own
    if inherited and eligibility.ours(process, view) \
            and not eligibility.never_raised(process, view):
        return clamp(settings.protection_unmatched_oom_score_adj, settings)
    if process.identity in known.originals:
        return clamp(known.originals[process.identity], settings)
    return None


def _with_raised(table: tuple[Process, ...], matched: list[Target],
                 others: list[tuple[Process, int | None]], settings: Settings, view: View,
                 known: Known) -> Plan:
    denied = [t for t in matched if t.wanted < 0 and t.value > t.wanted]
    made = raising.Raising(table, matched, settings, view, known)
    targets = [made.protected(t) if t.wanted < 0 else made.unprotected(t) for t in matched]
    raised: list[Target] = []
    spared: list[Process] = []
    for process, wanted in others:
        own = wanted if wanted is not None else process.oom_score_adj or 0
        value = made.value(process, own)
        if value is not None and value > own:
            raised.append(Target(process, None, own, value, made.why(process)))
        elif wanted is not None:
            floor = known.floors.get(process.identity, UNKILLABLE)
            targets.append(Target(process, None, wanted, max(wanted, floor),
                                  _why_unmatched(process, known)))
        if made.levels and made.is_spared(process):
            spared.append(process)
    return Plan(tuple(targets), tuple(raised), made.levels, made.lowered,
                tuple(made.raisable), made.foreign,
                tuple(made.outgrown), made.head_starts(), tuple(spared),
                notes.lost(denied, made.all_levels, made.foreign, settings),
                notes.notes(denied, tuple(spared), known, settings)
                + notes.wide(made.levels, made.protected_processes, known.page_size))


def _why_unmatched(process: Process, known: Known) -> str:
    if process.identity in known.originals:
        return 'no group matches any more: its old value'
    return 'no group matches and its negative value was only inherited'


def adjustments(planned: Plan) -> tuple[Adjustment, ...]:
    """Return what has to be written: only where the value differs."""
    return tuple(
        Adjustment(t.process.identity, t.group, t.process.oom_score_adj, t.value, t.why)
        for t in planned.targets + planned.raised
        if t.process.oom_score_adj is not None and t.process.oom_score_adj != t.value)
