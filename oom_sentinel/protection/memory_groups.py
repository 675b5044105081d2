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
Control groups of their own for protection groups that ask for memory.low or memory.max.

Where the control group of the sentinel is delegated to it (systemd: Delegate=yes), each such
protection group gets a group there, and all other processes of the place one more, because a
group that limits others may hold no process itself.  `restore` undoes it; what a sentinel that
was killed left behind is found by the names of the groups.
"""

from collections.abc import Iterable
import errno

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.delegation import below
from oom_sentinel.kernel.delegation import Delegation
from oom_sentinel.kernel.delegation import PREFIX
from oom_sentinel.kernel.root import reason
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings

OTHERS = f'{PREFIX}others'
OF_GROUP = f'{PREFIX}group-'
EMPTIED_MOST = 10  # times that a group is emptied while its processes fork
AGAIN_S = 30.0
MIB = 1 << 20
NO_EFFECT = 'memory_low_percent and memory_max_percent have no effect: '

Limits = tuple[int, int | None]  # memory.low and memory.max in bytes


def limits(group: Group, total_bytes: int) -> Limits:
    """Return memory.low and memory.max of a protection group, None for no limit."""
    most = group.memory_max_percent
    return (int(total_bytes * group.memory_low_percent / 100),
            int(total_bytes * most / 100) if most else None)


class NoMemoryGroups:
    """Makes no control group: for a launch, which only protects."""

    notes: tuple[str, ...] = ()
    made = False

    def update(self, targets: tuple[Target, ...], settings: Settings, now_s: float) -> None:
        """Do nothing."""

    def restore(self) -> bool:
        """Return that there is nothing to undo."""
        return True


class MemoryGroups(NoMemoryGroups):
    """Keeps the processes of protection groups in control groups with their limits."""

    def __init__(self, delegation: Delegation) -> None:
        """Make no group yet."""
        self._delegation = delegation
        self._place: str | None = None  # where groups are made
        self._looked_s = NEVER_S
        self._looked_for: tuple[Group, ...] | None = None
        self._written: dict[str, Limits] = {}

    def update(self, targets: tuple[Target, ...], settings: Settings, now_s: float) -> None:
        """
        Make the groups that the settings ask for, and put each process where it belongs.

        Without any, undo what an earlier setting or an earlier sentinel made.
        """
        wanted = tuple(g for g in settings.protection_groups
                       if g.memory_low_percent or g.memory_max_percent)
        if wanted == self._looked_for and self._place is None \
                and not (wanted and due(now_s, self._looked_s, AGAIN_S)):
            return
        self._looked_s, self._looked_for = now_s, wanted
        if not wanted:
            self.restore()
            return
        found = self._place or self._delegation.find()
        if isinstance(found, Unavailable):
            self.notes = (NO_EFFECT + found.why,)
            return
        try:
            self._enter(found)
            self.notes = self._fill(found, wanted, targets)
        except OSError as error:
            self.restore()
            self.notes = (NO_EFFECT + reason(error), *self.notes)

    def restore(self) -> bool:
        """Move every process back and remove the groups; return whether none is left."""
        self.notes, self._written = (), {}
        found = self._place or self._delegation.find()
        if isinstance(found, Unavailable):
            return True
        try:
            made = self._delegation.made(found)
            if made:
                self._delegation.share_memory(found, False)
            for path in made:
                self._empty(path, found)
                self._delegation.remove(path)
        except OSError as error:
            self._place, self.made = found, True
            self.notes = (f'control groups in {found} could not be removed: {reason(error)}',)
            return False
        self._place, self.made = None, False
        return True

    def _enter(self, place: str) -> None:
        """
        Let the groups below the place have limits: for that it must hold no process itself.

        :raises OSError: when the kernel refuses.
        """
        others = below(place, OTHERS)
        shared = self._delegation.shares_memory(place)
        if shared and others not in self._delegation.made(place):
            raise OSError(errno.EBUSY, 'somebody else has put its processes into control groups',
                          place)
        self._place, self.made = place, True
        if not shared:
            self._delegation.make(others)
            self._empty(place, others)
            self._delegation.share_memory(place, True)

    def _empty(self, start: str, end: str) -> None:
        """
        Move all processes of a group to another one, those too that are forked meanwhile.

        :raises OSError: when the kernel refuses.
        """
        for _ in range(EMPTIED_MOST):
            pids = self._delegation.pids(start)
            if not pids:
                return
            for pid in pids:
                self._delegation.move(pid, start, end)

    def _fill(self, place: str, wanted: tuple[Group, ...], targets: Iterable[Target]
              ) -> tuple[str, ...]:
        """
        Set the limits, move the processes, and return what is worth knowing.

        :raises OSError: when the kernel refuses.
        """
        paths = {group.name: below(place, OF_GROUP + group.name) for group in wanted}
        others, notes = below(place, OTHERS), []
        limit, total = self._delegation.smallest_limit(place), self._delegation.mem_total_bytes()
        if limit is not None:
            total = min(limit, total)
        for group in wanted:
            self._delegation.make(paths[group.name])
            notes += self._limit(group, paths[group.name], total)
        for path in self._delegation.made(place):
            if path != others and path not in paths.values():
                self._empty(path, others)
                self._delegation.remove(path)
                self._written.pop(path, None)
        away = self._sort(place, paths, targets)
        notes += [f'group {name}: {count} of its processes are outside {place} and have no limit'
                  for name, count in away.items()]
        if limit is None and any(g.memory_low_percent for g in wanted) \
                and not self._delegation.least_low_above(place):
            notes.append('memory_low_percent protects nothing until MemoryLow= is set for '
                         f'{place} and the slices above it')
        return tuple(notes)

    def _limit(self, group: Group, path: str, total_bytes: int) -> list[str]:
        """
        Set the limits of a group unless they are set; return what is worth knowing.

        :raises OSError: when the kernel refuses.
        """
        wanted = limits(group, total_bytes)
        low, most = wanted
        if self._written.get(path) != wanted:
            used = self._delegation.used_bytes(path) or 0
            if most is not None and used > most:  # the kernel would kill at once
                return [f'group {group.name} holds {used // MIB} MiB, more than its '
                        f'memory_max_percent of {most // MIB} MiB: not limited yet']
            self._delegation.set_limits(path, low, most)
            self._written[path] = wanted
        written = [f'memory.low {low // MIB} MiB'] * bool(low)
        written += [] if most is None else [f'memory.max {most // MIB} MiB']
        return [f'group {group.name}: {", ".join(written)} in {path}']

    def _sort(self, place: str, paths: dict[str, str], targets: Iterable[Target]
              ) -> dict[str, int]:
        """
        Move each process where its group belongs; return how many are out of reach by group.

        :raises OSError: when the kernel refuses.
        """
        others, away = below(place, OTHERS), dict.fromkeys(paths, 0)
        inside = {place, others, *paths.values()}
        for target in targets:
            process, name = target.process, target.group
            if name is None or process.cgroup is None:
                continue
            if process.cgroup not in inside:
                away.update({name: away[name] + 1} if name in away else {})
                continue
            start = others if process.cgroup == place else process.cgroup
            end = paths.get(name, others)
            if start != end:
                self._delegation.move(process.pid, start, end, process.start_time)
        return {name: count for name, count in away.items() if count}
