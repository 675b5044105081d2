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
Protection as it goes on: writes what the plan wants and remembers what it changed.

It holds the lowest permitted values found, the changes with their original values, and the
drifts seen.  It reads no parameter but through Settings and knows nothing of ROS.
"""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel import kernel
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.kernel.process_files import holds_device
from oom_sentinel.protection import plan
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.keeper import Keeper
from oom_sentinel.protection.known import Known
from oom_sentinel.protection.memory import Memory
from oom_sentinel.protection.memory_groups import NoMemoryGroups
from oom_sentinel.protection.policies import Policy
from oom_sentinel.protection.writes import Writes
from oom_sentinel.settings import Settings

PLANS_MAX = 4  # a denial changes the plan for others, and a level the next one
Domains = Callable[[tuple[str, ...]], tuple[Domain, ...]]


class Guard:
    """Keeps the processes of a root at the values that the settings want."""

    def __init__(self, root: kernel.Root, host: Host, view: View, policy: Policy, *,
                 watching: str | None = None,
                 memory_groups: NoMemoryGroups = NoMemoryGroups()) -> None:
        """
        Take the lock and what an earlier sentinel of this boot left; write nothing yet.

        :param watching: why nothing shall ever be written; the lock is then left alone.
        :param memory_groups: makes control groups for the groups that ask for them.
        """
        self.view = view
        self.planned = plan.Plan()
        self.paused = False
        self._root = root
        self._policy = policy
        self._memory = Memory(host.page_size)
        self.group_of = self._memory.group_of
        self.memory_groups = memory_groups
        if not root.live:
            watching = watching or 'a captured tree is only looked at'
        self._keeper = Keeper(policy, self._memory, watching)
        self._writes = Writes(root, policy, self._memory)

    @property
    def watching(self) -> str | None:
        """Return why nothing is written, None while it is."""
        return self._keeper.watching

    def only_watch(self, why: str) -> None:
        """Write nothing from now on."""
        self._keeper.watching = self.watching or why

    def take_over(self) -> bool:
        """Take the lock when another sentinel held it and is gone; return whether it did."""
        return self._keeper.take_over()

    @property
    def trouble(self) -> str | None:
        """Return what hinders saving the changes, None when nothing does."""
        return self._keeper.trouble

    # What others know

    def launched(self) -> dict[Identity, tuple[str, ...]] | None:
        """Take what launches changed; return the node names they know, None for no news."""
        launched = self._policy.launched()
        if launched is None:
            return None
        self._memory.believe(launched)
        if not self.watching:
            self._keeper.save()
            self._keeper.forget_ended_launches()
        return {i: e.node_names for i, e in launched.items() if e.node_names}

    def ask_again(self) -> None:
        """Forget what was refused, so that the next plan asks anew, as `~/apply` wants."""
        self.paused = False
        self._memory.floors.clear()
        self._writes.outcomes.clear()

    def forget(self, identity: Identity) -> None:
        """Forget a process that has ended."""
        self._memory.forget(identity)
        self._writes.outcomes.pop(identity, None)

    def asked_by_launch(self, identity: Identity, oom_score_adj: int) -> None:
        """Take the value that a launch file itself gives a process of no group."""
        self._memory.asked[identity] = oom_score_adj

    def changed_by_other(self, identity: Identity, before: int, now: int) -> None:
        """Take a value that the sentinel gave this launch: its children inherit it."""
        self._memory.changes[identity] = Change(identity, before, now)

    # What it did

    @property
    def changes(self) -> dict[Identity, Change]:
        """Return what was changed and not given back."""
        return dict(self._memory.changes)

    def values_written(self, identity: Identity) -> tuple[int, ...]:
        """Return the last values written to a process that lives or ended a short time ago."""
        return self._memory.values_written(identity)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Return the writes that were denied or failed, of processes that still run."""
        return self._writes.refused

    @property
    def tracked(self) -> frozenset[int]:
        """Return the PIDs whose values and sizes are worth reading at every scan."""
        return frozenset(t.process.pid for t in self.planned.targets) | (
            self._memory.sizes.restless() if self.planned.levels else frozenset())

    @property
    def starting(self) -> bool:
        """Return whether a process whose size matters is still starting."""
        return bool(self.planned.levels) and bool(self._memory.sizes.unsettled())

    # Acting

    def protect(self, processes: Iterable[Process], settings: Settings, domains_of: Domains,
                now_s: float, wall_s: float, reread: frozenset[int] = frozenset()) -> int:
        """
        Write whatever differs from the plan and return how many values were written.

        :param domains_of: gives the memory domains of these control group paths.
        :param reread: the PIDs that were read though they may hold the same as before.
        """
        table = tuple(processes)
        if self._policy.sees_everything:
            for identity in self._memory.read(
                    table, now_s, reread, families=self.planned.may_raise):
                self._writes.outcomes.pop(identity, None)
        else:
            self._memory.sizes.add(table, now_s)
        self._memory.inherit(table, self.view)
        domains = domains_of(self._memory.protected_cgroups(table, settings, self.view))
        written, before = 0, self.changes
        for _ in range(PLANS_MAX):
            self.planned = self._plan(table, settings, domains)
            if self._idle(settings):
                return 0
            refused = len(self._memory.floors)
            written += self._writes.write_all(
                plan.adjustments(self.planned), table, wall_s)
            if len(self._memory.floors) == refused:
                break
            table = tuple(self._as_written(p) for p in table)
        written += self._writes.protect_self(settings)
        self._drop_returned(table)
        self._note_changes(before, now_s)
        self.memory_groups.update(self.planned.targets, settings, now_s)
        return written

    def protect_new(self, met: tuple[Process, ...], settings: Settings, now_s: float,
                    wall_s: float) -> int:
        """
        Give processes of no group that have just begun their value by the levels of the last plan.

        :returns: how many values were written.
        """
        levels = self.planned.levels
        if self._idle(settings) or not (levels or self._memory.changes):
            return 0
        before = self.changes
        self._memory.sizes.add(met, now_s)
        self._memory.inherit(met, self.view)
        known = self._known(met, (), settings)
        made = plan.plan(met, settings, self.view, replace(known, levels=levels),
                         self._memory.group_of)
        written = self._writes.write_all(plan.adjustments(made), met, wall_s)
        self._note_changes(before, now_s)
        return written

    def _note_changes(self, before: dict[Identity, Change], now_s: float) -> None:
        self._keeper.note(before, [t.process.identity for t in self.planned.targets], now_s)

    def look_for_unmapped_files(self, read: Callable[[int], tuple[UnmappedFile, ...]]) -> bool:
        """
        Look which unprotected processes write files in memory that they do not map.

        :param read: returns those files of a PID.
        :returns: whether a plan is due.
        """
        return self.planned.may_raise and self._memory.look_for_unmapped_files(
            self.planned.raisable, read)

    def _idle(self, settings: Settings) -> bool:
        return bool(self.watching) or self.paused or not settings.protection_enabled

    def _known(self, table: tuple[Process, ...], domains: tuple[Domain, ...],
               settings: Settings) -> Known:
        return self._memory.known(
            table, domains, settings, {k: f.identity for k, f in self.planned.foreign.items()})

    def _plan(self, table: tuple[Process, ...], settings: Settings,
              domains: tuple[Domain, ...]) -> plan.Plan:
        known = self._known(table, domains, settings)
        made = plan.plan(table, settings, self.view, known, self._memory.group_of)
        doubtful = [t.process for t in made.raised if t.process.program.ros]
        if self._memory.look_for_devices(
                doubtful, lambda pid: holds_device(self._root, pid)):
            known = self._known(table, domains, settings)
            made = plan.plan(table, settings, self.view, known, self._memory.group_of)
        return made

    def _as_written(self, process: Process) -> Process:
        outcome = self._writes.outcomes.get(process.identity)
        if outcome is None or outcome.achieved is None:
            return process
        return replace(process, oom_score_adj=outcome.achieved)

    def _drop_returned(self, table: tuple[Process, ...]) -> None:
        """Forget processes of no group that have their old value again."""
        wanted = {t.process.identity for t in self.planned.targets
                  if t.value != t.wanted or t.group is not None}
        wanted.update(t.process.identity for t in self.planned.raised)
        for process in table:
            identity = process.identity
            change = self._memory.changes.get(identity)
            if change is not None and change.written == change.original \
                    and identity not in wanted:
                del self._memory.changes[identity]
                self._writes.outcomes.pop(identity, None)

    # Keeping and giving back

    def restore(self, table: Iterable[Process], settings: Settings) -> tuple[int, int]:
        """
        Give every changed process its old value back, the sentinel too.

        :param table: all processes now: what they inherited since is found.
        :returns: how many have it again, of how many that still run.
        """
        if self.watching:
            return (0, 0)
        self.memory_groups.restore()
        self._memory.inherit(tuple(table), self.view)
        entries = list(self._memory.changes.values())
        if self._writes.own_change is not None:
            entries.append(self._writes.own_change)
        given = [self._writes.give_back(entry, plan.clamp(entry.original, settings))
                 for entry in entries]
        self._keeper.save()
        return (given.count(True), len(given) - given.count(None))

    def release(self) -> None:
        """Give the lock back."""
        self._keeper.release()

    def protection(self, settings: Settings, missing: tuple[str, ...],
                   oom_group_paths: tuple[str, ...]) -> Protection:
        """Return the state of protection for the report."""
        watching = self.watching
        if watching is None and self.paused:
            watching = 'restored on request; ~/apply starts protection again'
        if watching is None and not settings.protection_enabled:
            watching = 'protection.enabled is false'
        return Protection(
            targets=self.planned.targets, raised=() if watching else self.planned.raised,
            outcomes=self._writes.not_in_order, drifts=self._writes.drifts, watching=watching,
            nodes_without_process=missing, self_value=self._writes.own_value,
            lost_order=self.planned.lost_order, oom_group_paths=oom_group_paths,
            outgrown=self.planned.outgrown, head_starts=self.planned.head_starts,
            notes=self.planned.notes + self._keeper.notes + self.memory_groups.notes)
