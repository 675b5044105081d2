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
What protection remembers of the processes: original values, floors, sizes, groups, devices.

Pure: process tables and outcomes go in.  Everything here is bounded by the processes that run.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Launched
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.protection import eligibility
from oom_sentinel.protection import grouping
from oom_sentinel.protection import originals
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.families import Families
from oom_sentinel.protection.known import Known
from oom_sentinel.protection.sizes import Sizes
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings

UNMAPPED_LEAST_BYTES = 4 << 20
PROGRAMS_MAX, CMDLINE_KEPT_MAX = 256, 1000
WRITTEN_KEPT = 4  # values of one process that a child may have inherited
DEAD_MAX = 256  # ended processes whose values are known, until the kernel's record has come


class Memory:
    """What is known of each process, until it ends."""

    def __init__(self, page_size: int) -> None:
        """Start with nothing known."""
        self.page_size = page_size
        self.changes: dict[Identity, Change] = {}
        self.floors: dict[Identity, int] = {}
        self.asked: dict[Identity, int] = {}
        self.sizes = Sizes()
        self.families = Families()
        self.unmapped: dict[Identity, tuple[UnmappedFile, ...]] = {}
        self._by_pid: dict[int, Process] = {}
        self._written: dict[Identity, tuple[int, ...]] = {}
        self._written_to_dead: dict[Identity, tuple[int, ...]] = {}
        self._groups: dict[int, tuple[tuple[object, ...], Group | None]] = {}
        self._settings: Settings | None = None
        self._programs: dict[tuple[Program, str | None], Group | None] = {}
        self._devices: dict[Identity, bool] = {}

    def read(self, table: tuple[Process, ...], now_s: float,
             reread: frozenset[int] = frozenset(), *, families: bool = False
             ) -> frozenset[Identity]:
        """
        Take a whole process table; forget and return the changed processes that ended.

        :param reread: the PIDs that were read though they may hold the same as before.
        :param families: find fork families too: only where something may be raised.
        """
        self.sizes.read(table, now_s, reread)
        self._by_pid = {}
        if families:
            self.families.read(table, self.sizes.known, now_s, reread)
        if len(self._groups) > 2 * len(table) + 64:
            self._groups.clear()
        alive = {p.identity for p in table}
        ended = frozenset({*self.changes, *self.floors, *self._devices, *self.unmapped} - alive)
        for identity in ended:
            self.forget(identity)
        return ended

    def forget(self, identity: Identity) -> None:
        """Forget a process that has ended."""
        self.sizes.forget(identity)
        self.changes.pop(identity, None)
        self.floors.pop(identity, None)
        self.asked.pop(identity, None)
        self.unmapped.pop(identity, None)
        self._by_pid.pop(identity.pid, None)
        written = self._written.pop(identity, None)
        if written:
            self._written_to_dead[identity] = written
            if len(self._written_to_dead) > DEAD_MAX:
                del self._written_to_dead[next(iter(self._written_to_dead))]
        self._devices.pop(identity, None)

    def believe(self, launched: Mapping[Identity, Launched]) -> None:
        """Take the originals that launches know, and the values that launch files ask for."""
        for identity, entry in launched.items():
            change = originals.believed(entry, self.changes.get(identity))
            if change is not None:
                self.changes[identity] = change
        self.asked = {i: e.asked for i, e in launched.items() if e.asked is not None}

    def wrote(self, identity: Identity, before: int, now: int) -> None:
        """Remember a write: the value before the first one is the original."""
        change = self.changes.get(identity)
        original = before if change is None else change.original
        self.changes[identity] = Change(identity, original, now)
        self._written[identity] = (*self._written.get(identity, ())[1 - WRITTEN_KEPT:], now)

    def values_written(self, identity: Identity) -> tuple[int, ...]:
        """Return the last values written to a process that lives or ended a short time ago."""
        return self._written.get(identity) or self._written_to_dead.get(identity, ())

    def inherit(self, processes: tuple[Process, ...], view: View) -> None:
        """Take those that carry a value of ours by inheritance as changed by us."""
        self._by_pid.update((p.pid, p) for p in processes)
        if not self.changes:
            return
        for change in originals.inherited(
                processes, self._by_pid, self.changes, self._written,
                lambda p: p.kernel_thread or p.pid == view.pid or p.uid != view.uid):
            self.changes[change.identity] = change

    def group_of(self, process: Process, settings: Settings) -> Group | None:
        """Return the group of a process; globs are matched again only when a fact changed."""
        last = self._groups.get(process.pid)
        facts = (process.program, process.cgroup, process.graph_node_names,
                 process.listed_node_names, settings)
        if last is not None and all(a is b for a, b in zip(last[0], facts)):
            return last[1]
        group = self._group_of_program(process, settings)
        self._groups[process.pid] = (facts, group)
        return group

    def _group_of_program(self, process: Process, settings: Settings) -> Group | None:
        """Return the group; the same program started again in the same place has the same."""
        if process.graph_node_names or process.listed_node_names \
                or sum(map(len, process.program.cmdline)) > CMDLINE_KEPT_MAX:
            return grouping.group_of(process, settings)
        if settings is not self._settings or len(self._programs) >= PROGRAMS_MAX:
            self._settings, self._programs = settings, {}
        key = (process.program, process.cgroup)
        if key not in self._programs:
            self._programs[key] = grouping.group_of(process, settings)
        return self._programs[key]

    def look_for_devices(self, processes: Iterable[Process],
                         holds_device: Callable[[int], bool]) -> bool:
        """Ask once of each whether it holds a driver's device open; return whether one does."""
        found = False
        for process in processes:
            identity = process.identity
            size = self.sizes.known.get(identity)
            if identity in self._devices or size is None or not size.settled:
                continue
            self._devices[identity] = holds_device(process.pid)
            found = found or self._devices[identity]
        return found

    def look_for_unmapped_files(self, processes: Iterable[Process],
                                read: Callable[[int], tuple[UnmappedFile, ...]]) -> bool:
        """Ask each of these for the files that it writes unmapped; return whether that is news."""
        found = {p.identity: files for p in processes for files in (read(p.pid),)
                 if sum(file.size_bytes for file in files) >= UNMAPPED_LEAST_BYTES}
        changed = found != self.unmapped
        self.unmapped = found
        return changed

    def protected_cgroups(self, table: Iterable[Process], settings: Settings,
                          view: View) -> tuple[str, ...]:
        """Return the control groups of the protected processes and of the sentinel."""
        found: dict[str, None] = {}
        for process in table:
            if process.cgroup is None or process.cgroup in found:
                continue
            group = self.group_of(process, settings) \
                if eligibility.eligible(process, settings, view) else None
            if process.pid == view.pid or (group is not None and group.oom_score_adj < 0):
                found[process.cgroup] = None
        return tuple(found)

    def known(self, table: tuple[Process, ...], domains: tuple[Domain, ...],
              settings: Settings, foreign: Mapping[str | None, Identity]) -> Known:
        """Return what a plan for these processes needs to know."""
        keeps = {p.identity for p in table for group in (self.group_of(p, settings),)
                 if group is not None and group.children} \
            if any(g.children for g in settings.protection_groups) else set()
        return Known(
            floors=self.floors,
            originals={**self.asked, **{i: c.original for i, c in self.changes.items()}},
            kept=kept_children(table, frozenset(keeps)), sizes=self.sizes.known,
            domains=domains, unmapped=self.unmapped,
            spared=frozenset(i for i, holds in self._devices.items() if holds),
            foreign=foreign, page_size=self.page_size, families=self.families.by_member)


def kept_children(table: Iterable[Process], keeps: frozenset[Identity]) -> frozenset[Identity]:
    """
    Return the processes below these that carry the same value.

    :param keeps: the processes of the groups whose `children` is true.
    """
    if not keeps:
        return frozenset()
    by_pid = {p.pid: p for p in table}
    found = set(keeps)
    for process in sorted(by_pid.values(), key=lambda p: p.start_time):
        parent = by_pid.get(process.ppid)
        if parent is not None and parent.identity in found \
                and process.oom_score_adj == parent.oom_score_adj:
            found.add(process.identity)
    return frozenset(found - keeps)
