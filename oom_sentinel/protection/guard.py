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
Protection as it goes on: writes what the plan wants, remembers what it changed.

Holds the floors found, the ledger of original values and the drifts seen.  Reads no parameter
but through Settings and knows nothing of ROS.
"""

from collections.abc import Iterable
from dataclasses import replace
import os

from oom_sentinel import kernel
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Drift
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Result
from oom_sentinel.kernel.files import stat
from oom_sentinel.protection import foreign_growth
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import originals
from oom_sentinel.protection import plan
from oom_sentinel.protection import saved
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings

DRIFT_TOLD_S = 60.0


class Guard:
    """Keeps the processes of a root at the values that the settings want."""

    def __init__(self, root: kernel.Root, host: Host, view: plan.View, *,
                 state: saved.State | None = None, watching: str | None = None) -> None:
        """
        Take the lock and what an earlier sentinel of this boot left; write nothing yet.

        :param state: a launch's record; then it yields to the sentinel, and leaves itself alone.
        :param watching: why nothing shall ever be written; the lock is then left alone.
        """
        self.root = root
        self.view = view
        directory = saved.StateDirectory(boot_id=host.boot_id)
        self.state: saved.State = state or directory
        self.records = None if state is not None else launch_record.LaunchRecords(
            directory.path, host.boot_id, root)
        self.asked: dict[Identity, int] = {}
        self.ledger: dict[Identity, Change] = {}
        self.floors: dict[Identity, int] = {}
        self.outcomes: dict[Identity, Outcome] = {}
        self.drifts: tuple[Drift, ...] = ()
        self.planned = plan.Plan()
        self._means = foreign_growth.Means()
        self._assigned: dict[int, tuple[tuple[object, ...], Group | None]] = {}
        self.self_value: int | None = None
        self.watching = watching
        self.paused = False
        self.trouble: str | None = None
        self._begin()

    def _begin(self) -> None:
        if self.watching is not None:
            return
        if not self.root.live:
            self.watching = 'a captured tree is only looked at'
            return
        try:
            self.watching = self.state.acquire()
            if self.watching is None:
                self.ledger = self.state.load()
        except (OSError, ValueError) as error:
            self.trouble = f'the state file cannot be used ({error}): after a crash the old ' \
                           'values would be unknown'

    def hear(self) -> dict[Identity, tuple[str, ...]] | None:
        """Take over what launches changed; return the node names they know, None for no news."""
        if self.records is None or not self.root.live or not self.records.changed():
            return None
        launched = self.records.read()
        for identity, entry in launched.items():
            believed = originals.believed(entry, self.ledger.get(identity))
            if believed is not None:
                self.ledger[identity] = believed
        self.asked = {i: e.asked for i, e in launched.items() if e.asked is not None}
        if not self.watching:
            self.save()
            try:
                self.records.forget_dead(keep_orphans=False)
            except OSError as error:
                self.trouble = f'the record of an ended launch cannot be removed ({error})'
        return {i: e.node_names for i, e in launched.items() if e.node_names}

    def forget(self, identity: Identity) -> None:
        """Forget a process that has ended."""
        for memory in (self.ledger, self.floors, self.outcomes, self.asked):
            memory.pop(identity, None)  # type: ignore[attr-defined]

    def forget_floors(self) -> None:
        """Find the lowest permitted values anew, as `~/apply` asks."""
        self.floors.clear()

    def heed(self, processes: tuple[Process, ...], now_s: float) -> None:
        """Look, where lowering was denied, for growth that raising others would make worse."""
        if not self.floors:
            self._means = foreign_growth.Means()
            return
        inside = {t.process.identity for t in self.planned.targets}
        inside.update(p.identity for p in processes if plan.raisable(p, self.view))
        self._means = foreign_growth.watch(self._means, processes, inside, now_s)

    def _plan(self, table: tuple[Process, ...], settings: Settings,
              known_originals: dict[Identity, int]) -> plan.Plan:
        return plan.plan(table, settings, self.view, self.floors, known_originals, self._assign,
                         self._means.label)

    def protect(self, processes: Iterable[Process], settings: Settings,
                wall_s: float) -> int:
        """Write whatever differs from the plan and return how many values were written."""
        table = tuple(processes)
        self._forget_dead(table)
        parents = {p.pid: p for p in table}
        known_originals = {**originals.inherited(table, parents, self.ledger, self.view),
                           **self.asked,
                           **{i: entry.original for i, entry in self.ledger.items()}}
        self.planned = self._plan(table, settings, known_originals)
        if self._idle(settings):
            return 0
        known = {p.identity: p for p in table}  # a later plan names more than the first
        before = dict(self.ledger)
        written = 0
        for _ in range(3):  # a denial changes the plan for others: plan again with the floor
            denied_before = len(self.floors)
            for adjustment in plan.adjustments(self.planned):
                drift = originals.drift(adjustment, self.ledger,
                                        known[adjustment.identity].label, wall_s)
                self.drifts = self.drifts[-7:] + ((drift,) if drift else ())
                written += self._write(adjustment, known, parents)
            if len(self.floors) == denied_before:
                break
            table = tuple(self._as_written(p) for p in table)
            self.planned = self._plan(table, settings, known_originals)
        if self.records is not None:
            written += self._protect_self(settings)
        self._drop_returned(known)
        self.drifts = tuple(d for d in self.drifts if wall_s - d.wall_s < DRIFT_TOLD_S)
        if self.ledger != before:
            self.save()
        return written

    def _idle(self, settings: Settings) -> bool:
        return bool(self.watching) or self.paused or not settings.protection_enabled

    def _assign(self, process: Process, settings: Settings) -> Group | None:
        """Return the group of a process; globs are matched again only when a fact changed."""
        last = self._assigned.get(process.pid)
        facts = (process.program, process.cgroup, process.graph_node_names, settings)
        if last is not None and all(a is b for a, b in zip(last[0], facts)):
            return last[1]
        group = plan.group_of(process, settings)
        self._assigned[process.pid] = (facts, group)
        return group

    def _forget_dead(self, table: tuple[Process, ...]) -> None:
        if len(self._assigned) > 2 * len(table) + 64:
            self._assigned.clear()
        if self.records is None or not (self.ledger or self.floors or self.outcomes):
            return  # a launch is told of each death, and plans for a part of its processes
        alive = {p.identity for p in table}
        for identity in {*self.ledger, *self.floors, *self.outcomes} - alive:
            if identity.pid != self.view.pid:
                self.forget(identity)

    def _as_written(self, process: Process) -> Process:
        outcome = self.outcomes.get(process.identity)
        if outcome is None or outcome.achieved is None:
            return process
        return replace(process, oom_score_adj=outcome.achieved)

    def _taken_over(self, identity: Identity) -> bool:
        """Tell a launch's guard whether the sentinel has changed what it had written."""
        entry = self.ledger.get(identity)
        return (self.records is None and entry is not None
                and self.root.number(f'/proc/{identity.pid}/oom_score_adj') != entry.written)

    def _write(self, adjustment: Adjustment, known: dict[Identity, Process],
               parents: dict[int, Process]) -> int:
        identity = adjustment.identity
        last = self.outcomes.get(identity)
        if (last is not None and last.result in (Result.NOT_OWNER, Result.FAILED, Result.DEAD)
                and last.adjustment.value == adjustment.value):
            return 0  # said already; asked again when the process or the parameters change
        if self._taken_over(identity):
            return 0
        outcome = kernel.apply(self.root, adjustment)
        if outcome.result == Result.VANISHED:
            return 0
        self.outcomes[identity] = outcome
        if outcome.result == Result.DENIED and outcome.achieved is not None:
            self.floors[identity] = outcome.achieved
        if outcome.achieved is None or outcome.result not in (Result.WRITTEN, Result.DENIED):
            return 0
        entry = self.ledger.get(identity)
        original = entry.original if entry else originals.original(
            known[identity], parents, self.ledger)
        self.ledger[identity] = Change(identity, original, outcome.achieved)
        return 1

    def _drop_returned(self, known: dict[Identity, Process]) -> None:
        """Forget processes that no group matches and that have their old value again."""
        grouped = {t.process.identity for t in self.planned.targets if t.value != t.wanted
                   or t.group is not None}
        for identity, entry in list(self.ledger.items()):
            if entry.written == entry.original and identity not in grouped \
                    and identity in known:
                del self.ledger[identity]
                self.outcomes.pop(identity, None)

    def _protect_self(self, settings: Settings) -> int:
        wanted = max(-999, settings.protection_self_oom_score_adj)
        if settings.protection_allow_unkillable:
            wanted = settings.protection_self_oom_score_adj
        try:
            present = int(self.root.read('/proc/self/oom_score_adj'))
        except (OSError, ValueError):
            self.self_value = None
            return 0
        self.self_value = present
        identity = self._self_identity()
        if present in (wanted, max(wanted, self.floors.get(identity, -1000))):
            return 0
        outcome = kernel.apply(self.root, Adjustment(
            identity, None, present, wanted, 'the sentinel itself'))
        if outcome.result == Result.DENIED and outcome.achieved is not None:
            self.floors[identity] = outcome.achieved
        if outcome.achieved is not None:
            self.self_value = outcome.achieved
        return int(outcome.achieved is not None and outcome.achieved != present)

    def _self_identity(self) -> Identity:
        return Identity(os.getpid(), stat.parse(self.root.read('/proc/self/stat')).start_time)

    def save(self) -> None:
        """Keep the ledger; what hinders is told as trouble."""
        if self.watching:
            return
        try:
            self.state.save(self.ledger)
            self.trouble = None
        except OSError as error:
            self.trouble = f'the state file cannot be written ({error}): after a crash the ' \
                           'old values would be unknown'

    def restore(self) -> tuple[int, int]:
        """Give every changed process its old value back; return how many of how many."""
        if self.watching:
            return (0, 0)
        done, entries = 0, list(self.ledger.values())
        for entry in entries:
            outcome = kernel.apply(self.root, Adjustment(
                entry.identity, None, entry.written, entry.original, 'restored'))
            if outcome.result in (Result.WRITTEN, Result.VANISHED, Result.DEAD):
                done += 1
                self.ledger.pop(entry.identity, None)
                self.outcomes.pop(entry.identity, None)
        self.save()
        return (done, len(entries))

    def release(self) -> None:
        """Give the lock back."""
        self.state.release()

    def protection(self, settings: Settings, missing: tuple[str, ...],
                   oom_group_paths: tuple[str, ...]) -> Protection:
        """Return the state of protection for the report."""
        watching = self.watching
        if watching is None and self.paused:
            watching = 'restored on request; ~/apply starts protection again'
        if watching is None and not settings.protection_enabled:
            watching = 'protection.enabled is false'
        notes = self.planned.notes + ((self.trouble,) if self.trouble else ())
        return Protection(
            targets=self.planned.targets,
            outcomes=tuple(o for o in self.outcomes.values() if o.result != Result.WRITTEN),
            drifts=self.drifts, shift=0 if watching else self.planned.shift,
            watching=watching, nodes_without_process=missing, self_value=self.self_value,
            lost_order=self.planned.lost_order, oom_group_paths=oom_group_paths, notes=notes)
