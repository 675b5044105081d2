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
The kernel's counters of OOM kills against the kills that a log explained.

__oom_kill_process() counts OOM_KILL in /proc/vmstat and in the victim's control group before
it sends the signal and prints "Killed process", so the counters are never behind the log.
"""

from dataclasses import dataclass

from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.known_processes import within


@dataclass(frozen=True, slots=True)
class Counters:
    """Kills since boot: of the machine (None before Linux 4.13), and by control group."""

    machine: int | None = None
    groups: tuple[tuple[str, int], ...] = ()


def counters(sample: Sample) -> Counters:
    """Return the counters that a sample holds."""
    machine = None if isinstance(sample.vmstat, Unavailable) else sample.vmstat.oom_kill
    if isinstance(sample.chains, Unavailable):
        return Counters(machine)
    groups = {g.path: g.oom_kill for chain in sample.chains for g in chain.groups
              if g.oom_kill is not None}
    return Counters(machine, tuple(sorted(groups.items())))


def risen(before: Counters, now: Counters) -> tuple[tuple[str, int], ...]:
    """
    Return the innermost control groups whose counter rose, each with by how much.

    In v2 a kill counts in every ancestor too.  A group that is new counts from now on.
    """
    last = dict(before.groups)
    grown = {path: count - last[path] for path, count in now.groups
             if path in last and count > last[path]}
    return tuple((path, by) for path, by in sorted(grown.items())
                 if not any(other != path and within(other, path) for other in grown))


class Tally:
    """Says how many kills no log has explained, once a log had time enough to."""

    def __init__(self) -> None:
        """Start without a baseline."""
        self._last: Counters | None = None
        self._counted = 0
        self._logged = 0
        self._inferred = 0
        self._open_since_s: float | None = None
        self.where: tuple[tuple[str, int], ...] = ()

    @property
    def inferred(self) -> int:
        """Return how many kills were inferred and not yet met in a log."""
        return self._inferred

    def count(self, now: Counters, now_s: float) -> None:
        """Take the counters; the first ones are the baseline."""
        before, self._last = self._last, now
        if before is None:
            return
        grown = risen(before, now)
        if now.machine is not None and before.machine is not None:
            self._counted += max(0, now.machine - before.machine)
        else:
            self._counted += sum(by for _, by in grown)
        if grown:
            self.where = grown
        if self.unexplained == 0:
            self._open_since_s = None
            self.where = ()
        elif self._open_since_s is None:
            self._open_since_s = now_s

    @property
    def unexplained(self) -> int:
        """Return how many counted kills neither a log nor an inference explains."""
        return max(0, self._counted - self._logged - self._inferred)

    def open_s(self, now_s: float) -> float:
        """Return for how many seconds something has been unexplained."""
        return 0.0 if self._open_since_s is None else now_s - self._open_since_s

    @property
    def since_s(self) -> float:
        """Return when the first unexplained kill was counted (monotonic)."""
        return float('inf') if self._open_since_s is None else self._open_since_s

    def log(self) -> bool:
        """
        Take a kill that a log holds; tell whether it is one that was inferred before.

        More explained than counted means that this one was inferred already.  Without an
        inference it only says that the baseline was read a moment after the kill.
        """
        self._logged += 1
        if self._logged + self._inferred <= self._counted:
            return False
        if self._inferred:
            self._inferred -= 1
            return True
        self._counted = self._logged
        return False

    def infer(self, count: int) -> None:
        """Take kills that were inferred and reported."""
        self._inferred += count
        if self.unexplained == 0:
            self._open_since_s = None
            self.where = ()
