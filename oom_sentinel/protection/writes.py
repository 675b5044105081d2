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
Writing oom_score_adj, and remembering what came of it.

Nothing refused is ever counted as done, and a refused write is not tried again until the process
or the plan changes.
"""

from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel import kernel
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Drift
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Result
from oom_sentinel.protection import originals
from oom_sentinel.protection.memory import Memory
from oom_sentinel.protection.policies import Policy
from oom_sentinel.settings import Settings

DRIFT_TOLD_S = 60.0
DRIFTS_MAX = 8


class Writes:
    """Writes adjustments and keeps their outcomes, the drifts seen and the sentinel's value."""

    def __init__(self, root: kernel.Root, policy: Policy, memory: Memory) -> None:
        """Write through the kernel of this root, and note changes and floors in the memory."""
        self._root = root
        self._policy = policy
        self._memory = memory
        self.outcomes: dict[Identity, Outcome] = {}
        self.drifts: tuple[Drift, ...] = ()
        self.own_change: Change | None = None
        self.own_value: int | None = None

    @property
    def not_in_order(self) -> tuple[Outcome, ...]:
        """Return the latest outcome of each process whose value could not simply be written."""
        return tuple(o for o in self.outcomes.values() if o.result != Result.WRITTEN)

    @property
    def refused(self) -> tuple[Outcome, ...]:
        """Return the writes that were denied or failed, of processes that still run."""
        return tuple(o for o in self.outcomes.values()
                     if o.result not in (Result.WRITTEN, Result.DEAD))

    def write_all(self, adjustments: Iterable[Adjustment], table: Iterable[Process],
                  wall_s: float) -> int:
        """Write the adjustments of a plan for this table; return how many values were written."""
        processes = {p.identity: p for p in table}
        written = sum(self._write(adjustment, processes[adjustment.identity].label, wall_s)
                      for adjustment in adjustments)
        self.drifts = tuple(d for d in self.drifts if wall_s - d.wall_s < DRIFT_TOLD_S)
        return written

    def _write(self, adjustment: Adjustment, label: str, wall_s: float) -> int:
        identity = adjustment.identity
        last = self.outcomes.get(identity)
        if (last is not None and last.result in (Result.NOT_OWNER, Result.FAILED, Result.DEAD)
                and last.adjustment.value == adjustment.value):
            return 0  # said already; asked again when the process or the parameters change
        change = self._memory.changes.get(identity)
        if change is not None and self._policy.yields(change):
            return 0
        outcome = kernel.apply(self._root, adjustment)
        if outcome.result == Result.VANISHED:
            return 0
        # The table may be older than our own last write: what was found now counts.
        drift = None if outcome.found is None else originals.drift(
            replace(adjustment, old=outcome.found), self._memory.changes, label, wall_s)
        if drift is not None:
            self.drifts = (*self.drifts[1 - DRIFTS_MAX:], drift)
        self.outcomes[identity] = outcome
        if outcome.achieved is None or outcome.result not in (Result.WRITTEN, Result.DENIED):
            return 0
        if outcome.result == Result.DENIED:
            self._memory.floors[identity] = outcome.achieved
        old = adjustment.old if outcome.found is None else outcome.found
        self._memory.wrote(identity, old, outcome.achieved)
        return 1

    def protect_self(self, settings: Settings) -> int:
        """Give the sentinel its own value; return how many values were written."""
        wanted = self._policy.own_value(settings)
        own = kernel.itself(self._root)
        if wanted is None or own is None:
            self.own_value = None if own is None else own[1]
            return 0
        identity, present = own
        self.own_value = present
        if present in (wanted, max(wanted, self._memory.floors.get(identity, -1000))):
            return 0
        outcome = kernel.apply(self._root, Adjustment(
            identity, None, present, wanted, 'the sentinel itself'))
        if outcome.achieved is None:
            return 0
        if outcome.result == Result.DENIED:
            self._memory.floors[identity] = outcome.achieved
        self.own_value = outcome.achieved
        if outcome.achieved != present:
            original = present if self.own_change is None else self.own_change.original
            self.own_change = Change(identity, original, outcome.achieved)
        return int(outcome.achieved != present)

    def give_back(self, entry: Change, value: int) -> bool | None:
        """Write a process's old value; return whether it has it again, None when it has ended."""
        outcome = kernel.apply(self._root, Adjustment(
            entry.identity, None, entry.written, value, 'restored'))
        if outcome.result not in (Result.WRITTEN, Result.VANISHED, Result.DEAD):
            self.outcomes[entry.identity] = outcome
            return False
        if self.own_change is not None and entry.identity == self.own_change.identity:
            self.own_value, self.own_change = outcome.achieved, None
        self._memory.changes.pop(entry.identity, None)
        self.outcomes.pop(entry.identity, None)
        return True if outcome.result == Result.WRITTEN else None
