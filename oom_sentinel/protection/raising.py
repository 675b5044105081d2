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
Raising unprotected processes where lowering the protected ones was denied.

Pure.  Holds for one plan the levels of the domains, lowered where foreign growth asks for it,
and gives each process the value that they ask.
"""

from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.protection import eligibility
from oom_sentinel.protection import foreign_growth
from oom_sentinel.protection import level
from oom_sentinel.protection import lowered
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.foreign_growth import Foreign
from oom_sentinel.protection.foreign_growth import Member
from oom_sentinel.protection.foreign_growth import Task
from oom_sentinel.protection.known import Known
from oom_sentinel.protection.level import Leak
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.level import Protected
from oom_sentinel.protection.sizes import held_bytes
from oom_sentinel.settings import Settings

WHY = 'raised because lowering the protected processes is denied'
OUTGROWN = ', raised because it outgrew its head start'


class Raising:
    """The levels of one plan and the values they ask."""

    def __init__(self, table: tuple[Process, ...], matched: Iterable[Target],
                 settings: Settings, view: View, known: Known) -> None:
        """Find the levels; nothing is raised where protection.when_denied is report."""
        self._settings, self._view, self._known = settings, view, known
        self._groups = {t.process.identity: t for t in matched}
        self.protected_processes = protected = tuple(self._protected(table))
        # When a start script or a terminal is killed, what it started mostly ends with it.
        self._starters = eligibility.ancestors(table, *(p.process.pid for p in protected))
        self._denied = {p.process.identity: p for p in protected if p.denied}
        denied = tuple(made for domain in known.domains for made in (
            level.level(domain, self._denied.values()),) if made is not None)
        even = tuple(self._even_levels(table, protected, denied))
        self.all_levels = denied + tuple(made for made in even if made.pages > 0)
        self.outgrown: list[Process] = []
        self.foreign: dict[str | None, Foreign] = {}
        self.levels: tuple[Level, ...] = known.levels or ()
        self.lowered: tuple[Domain, ...] = ()
        self.raisable: list[Process] = []
        self._victims: dict[Identity, int] = {}
        if settings.protection_when_denied != 'raise_others' or known.levels is not None:
            return
        for made in self.all_levels:
            found = foreign_growth.judge(made, self._members(table, made.domain),
                                         known.foreign.get(made.domain.path))
            if found is not None:
                self.foreign[made.domain.path] = found
        self.levels = foreign_growth.capped(self.all_levels, self.foreign)
        self.lowered = tuple(made.domain for made in even)
        for made in even:
            if any(level.outgrown(member, made) for member in protected):
                self._victims.update(
                    lowered.victims(made, self._members(table, made.domain)))

    def _even_levels(self, table: Iterable[Process], protected: tuple[Protected, ...],
                     denied: tuple[Level, ...]) -> Iterable[Level]:
        """
        Return the levels of the domains in which every protected process was lowered.

        One that starts lifts none: its low value holds, and a leak may begin like a start.
        """
        there = {made.domain.path for made in denied}
        rested = [replace(p, rest_pages=0) if p.starts else p for p in protected]
        for domain in self._known.domains:
            made = None if domain.path in there else level.level(domain, rested)
            if made is not None:
                yield lowered.even(made, self._resting(table, domain), self._known.page_size)

    def _resting(self, table: Iterable[Process], domain: Domain) -> Iterable[int]:
        """Return the pages of each process at rest in a domain that may be raised from 0."""
        for process in table:
            size = self._known.sizes.get(process.identity)
            own = self._known.originals.get(process.identity, process.oom_score_adj)
            target = self._groups.get(process.identity)
            rests_at_0 = own == 0 if target is None else target.wanted == 0
            if size is not None and rests_at_0 and domain.holds(process) \
                    and self._may_raise(process):
                yield self._pages(size.low)

    def _pages(self, size_bytes: int) -> int:
        return size_bytes // self._known.page_size

    def _protected(self, table: Iterable[Process]) -> Iterable[Protected]:
        """Return the protected processes, the sentinel among them."""
        for process in table:
            target = self._groups.get(process.identity)
            if target is not None and target.wanted < 0:
                value, denied = target.value, target.value > target.wanted
            elif process.pid == self._view.pid:
                value = process.oom_score_adj or 0
                denied = value > max(-999, self._settings.protection_self_oom_score_adj)
            else:
                continue
            if process.memory is not None:
                size = self._known.sizes.get(process.identity)
                now = held_bytes(process.memory)
                rest = now if size is None else size.high
                family = self._known.families.get(process.identity)
                grown = max(now - rest, 0 if family is None else family.size.grown)
                yield Protected(process, self._pages(rest), self._pages(now),
                                self._pages(grown), value, target is None, denied,
                                size is None or not size.settled)

    # What each process gets

    def protected(self, target: Target) -> Target:
        """Return the target of a protected process, raised when it outgrew its head start."""
        member = self._denied.get(target.process.identity)
        if member is None:
            return self._victim(target)
        leak = self._leak(target.process)
        asked = [level.asked((made,), target.process, member.now_pages, leak) or 0
                 for made in self.levels if level.outgrown(member, made)]
        if not asked:
            return target
        self.outgrown.append(target.process)
        value = max(target.value, target.process.oom_score_adj or 0, *asked)
        return replace(target, value=value, why=target.why + OUTGROWN)

    def _victim(self, target: Target) -> Target:
        """Return the target of a lowered process, raised while its leak costs others."""
        value = self._victims.get(target.process.identity)
        if value is None:
            return target
        self.outgrown.append(target.process)
        present = target.process.oom_score_adj
        if present is not None and target.process.identity in self._known.originals:
            value = max(value, present)
        return replace(target, value=max(target.value, value), why=target.why + OUTGROWN)

    def head_starts(self) -> tuple[tuple[Identity, int], ...]:
        """Return by how many bytes each protected process may grow until it is at the level."""
        found = []
        for identity, member in self._denied.items():
            left = [made.head_start(member) for made in self.levels
                    if made.domain.holds(member.process)]
            if left:
                found.append((identity, min(left) * self._known.page_size))
        return tuple(found)

    def unprotected(self, target: Target) -> Target:
        """Return the target of a group that is not negative; an expendable one is above."""
        more = level.EXPENDABLE_MORE if target.wanted > 0 else 0
        value = self.value(target.process, target.wanted, more)
        if value is None or value <= target.wanted:
            return target
        return replace(target, value=value, why=f'{target.why}, {self.why(target.process)}')

    def why(self, process: Process) -> str:
        """Return why this process is raised."""
        denied = any(made.domain.holds(process) for made in self.levels
                     if made.domain not in self.lowered)
        return WHY if denied or not self.lowered else lowered.WHY

    def value(self, process: Process, own: int, more: int = 0) -> int | None:
        """
        Return the value that the levels ask of a process, None where they ask nothing.

        :param own: its value without us, which is never lowered.
        :param more: points above what the level asks.
        """
        if not (self.levels or self.lowered) or process.memory is None \
                or not self._may_raise(process):
            return None
        self.raisable.append(process)
        size = self._known.sizes.get(process.identity)
        held = held_bytes(process.memory) if size is None else size.low
        asked = level.asked(self.levels, process, self._pages(held), self._leak(process))
        wanted = min(level.OOM_SCORE_ADJ_MAX, self._unmapped_points(process) + max(
            own + lowered.points(self.lowered, process, self._leak(process)),
            0 if asked is None else max(asked, 0) + more))
        growing = size is None or size.growing
        if asked is None and wanted <= own and not growing:
            return None
        ours = process.identity in self._known.originals
        return level.kept(wanted, process.oom_score_adj if ours else None, own=own,
                          growing=growing)

    def _leak(self, process: Process) -> Leak | None:
        """Return the leak of the family that a process belongs to, None where none leaks."""
        family = self._known.families.get(process.identity)
        if family is None or not family.leaks:
            return None
        return Leak(self._pages(family.size.grown),
                    family.size.bytes_per_s / self._known.page_size)

    def _unmapped_points(self, process: Process) -> int:
        """
        Return the points that files in memory weigh that a process writes and does not map.

        Its badness lacks them, so the others would be killed in its place; its end stops them.
        """
        files = self._known.unmapped.get(process.identity, ())
        held = self._pages(sum(file.size_bytes for file in files))
        domains = [made.domain for made in self.levels] + list(self.lowered)
        points = [domain.point for domain in domains if domain.holds(process)]
        return -(-held // min(points)) if held and points else 0

    def _may_raise(self, process: Process) -> bool:
        if process.pid in self._starters \
                or not eligibility.raisable(process, self._settings, self._view):
            return False
        return process.identity in self._groups or not self.is_spared(process)

    def is_spared(self, process: Process) -> bool:
        """Return whether a node of no group looks like a driver or a controller."""
        return process.identity not in self._groups and (
            process.identity in self._known.spared or eligibility.drives_hardware(process))

    # What cannot be reached

    def _members(self, table: Iterable[Process], domain: Domain) -> list[Member]:
        """Return the killable processes of a domain as foreign growth is judged by."""
        found = []
        for process in table:
            size = self._known.sizes.get(process.identity)
            if size is None or process.kernel_thread or process.oom_score_adj is None \
                    or process.pid == 1 or not domain.holds(process):
                continue
            target = self._groups.get(process.identity)
            critical = process.identity in self._denied or (
                target is not None and target.wanted < 0)
            own = self._known.originals.get(process.identity, process.oom_score_adj)
            if critical and target is not None:
                own = target.value
            pace = size.bytes_per_s / self._known.page_size if size.growing else 0.0
            files = 0 if process.memory is None else process.memory.file_bytes or 0
            found.append(Member(
                Task(process.identity, self._pages(size.now), critical, max(0.0, pace),
                     self._pages(files)),
                process.label, own, self._pages(size.low),
                not critical and self._may_raise(process), self._pages(size.grown),
                process.identity in self._known.originals and process.oom_score_adj > own))
        return self._with_families(found)

    def _with_families(self, members: list[Member]) -> list[Member]:
        """Return the members with the growth of each fork family at its largest process."""
        largest: dict[Identity, Member] = {}
        for member in members:
            family = self._known.families.get(member.task.identity)
            if family is not None and family.leaks:
                known = largest.get(family.first)
                if known is None or member.task.held_pages > known.task.held_pages:
                    largest[family.first] = member
        leaking = {member.task.identity for member in largest.values()}
        return [self._forking(m) if m.task.identity in leaking else m for m in members]

    def _forking(self, member: Member) -> Member:
        family = self._known.families[member.task.identity]
        pace = family.size.bytes_per_s / self._known.page_size
        return replace(member, label=family.label, grown_pages=self._pages(family.size.grown),
                       task=replace(member.task, pages_per_s=pace, forks=True))
