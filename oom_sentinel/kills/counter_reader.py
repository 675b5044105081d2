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
The kernel's kill counters of the machine and of every control group that holds a process.

The machine's counter moves with every kill, also in a container, where it counts the kills of
others too.  So the groups are read only when they are new or the machine's counter has moved.
"""

from collections.abc import Iterable

from oom_sentinel.facts.cgroup import OomEvents
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import ancestry
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kills.counters import Counters

MOST_GROUPS = 512


class CounterReader:
    """Reads the counters that say something about the processes here."""

    def __init__(self, cgroups: MemoryCgroups, *, machine_counts: bool) -> None:
        """
        Start without a reading.

        :param machine_counts: whether the machine's counter says anything about the processes
            here; false in a container, where it counts other containers' kills too.
        """
        self.cgroups = cgroups
        self.machine_counts = machine_counts
        self._groups: dict[str, OomEvents] = {}
        self._without: frozenset[str] = frozenset()  # groups that have no counter
        self._machine: int | None = None

    def read(self, sample: Sample, paths: Iterable[str], again: bool) -> Counters:
        """
        Return the counters.

        :param paths: the control groups of the known processes.
        :param again: read every group, also when the machine's counter has not moved.
        """
        machine = None if isinstance(sample.vmstat, Unavailable) else sample.vmstat.oom_kill
        moved, self._machine = machine != self._machine, machine
        wanted = sorted({at for path in paths for at in ancestry(path)})[:MOST_GROUPS]
        if moved or again:
            self._without = frozenset()
        groups: dict[str, OomEvents] = {}
        without = set()
        for path in wanted:
            known = self._groups.get(path)
            if known is None and path in self._without:
                without.add(path)
                continue
            found = self.cgroups.oom_events(path) if known is None or moved or again else known
            if found is None:
                without.add(path)
            else:
                groups[path] = found
        self._groups, self._without = groups, frozenset(without)
        version = 1 if self.cgroups.mount is None else self.cgroups.mount.version
        return Counters(machine if self.machine_counts else None, groups, version == 2)


def counters_of(sample: Sample, _paths: Iterable[str] = (), _again: bool = False) -> Counters:
    """Return the counters that a sample holds by itself: those of the chains at stake."""
    machine = None if isinstance(sample.vmstat, Unavailable) else sample.vmstat.oom_kill
    if isinstance(sample.chains, Unavailable):
        return Counters(machine)
    groups = {g.path: g for chain in sample.chains for g in chain.groups}
    return Counters(
        machine, {path: OomEvents(g.oom_kill) for path, g in groups.items()
                  if g.oom_kill is not None},
        any(g.version == 2 for g in groups.values()))
