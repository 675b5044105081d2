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
Fork families: a process and the copies that it forked count as one leak.

Pure.  A program that forks children of a few MiB each is a leak that the size of no single
process shows.  A family has the size of one process that would hold all of it.
"""

from collections.abc import Iterable
from collections.abc import Mapping

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.protection import sizes
from oom_sentinel.protection.sizes import Size


@frozen
class Family:
    """
    Two or more processes that one process forked, itself included while it lives.

    `size` is that of all of them: what a child shares with the process that forked it counts
    once.  `label` is the name of that first process.
    """

    first: Identity
    label: str
    members: frozenset[Identity]
    size: Size

    @property
    def leaks(self) -> bool:
        """Return whether it holds more than at rest and still grows."""
        return self.size.growing and self.size.bytes_per_s > 0


@frozen
class _Origin:
    """Where a process was forked: the family's first, and the bytes that it shares with it."""

    first: Identity
    program: Program
    shared_bytes: int


class Families:
    """The fork families of a process table, kept from one reading to the next."""

    def __init__(self) -> None:
        """Start with no family known."""
        self._origins: dict[Identity, _Origin] = {}
        self._families: dict[Identity, Family] = {}
        self._memories: dict[Identity, tuple[TaskMemory, ...]] = {}

    @property
    def by_member(self) -> Mapping[Identity, Family]:
        """Return the family of each process that is in one."""
        return {i: family for family in self._families.values() for i in family.members}

    def read(self, table: Iterable[Process], known: Mapping[Identity, Size],
             now_s: float, reread: frozenset[int] = frozenset()) -> None:
        """
        Take a process table.

        :param known: the sizes of its processes; those of no size are in no family.
        :param reread: the PIDs that were read though they may hold the same as before.
        """
        by_pid = {p.pid: p for p in table if p.memory is not None}
        self._origins = self._traced(by_pid, known)
        members: dict[Identity, list[Process]] = {}
        for identity, origin in self._origins.items():
            members.setdefault(origin.first, []).append(by_pid[identity.pid])
        before, self._families = self._families, {}
        memories, self._memories = self._memories, {}
        for first, forked in members.items():
            found = by_pid.get(first.pid)
            parent = found if found is not None and found.identity == first else None
            if len(forked) + (parent is not None) < 2:
                continue
            self._add(first, parent, forked, known, before.get(first),
                      memories.get(first, ()), now_s, reread)

    def _traced(self, by_pid: Mapping[int, Process], known: Mapping[Identity, Size]
                ) -> dict[Identity, _Origin]:
        """Return where each forked process comes from; an orphan's origin is remembered."""
        traced: dict[Identity, _Origin] = {}
        forked: list[tuple[Process, Process]] = []
        for identity, origin in self._origins.items():
            process = by_pid.get(identity.pid)
            # Else it has ended or runs another program since.
            if process is not None and process.identity == identity \
                    and process.program == origin.program:
                traced[identity] = origin
        for process in by_pid.values():
            parent = by_pid.get(process.ppid)
            if parent is not None and _is_copy(process, parent) \
                    and process.identity not in self._origins:
                forked.append((process, parent))
        for process, parent in sorted(forked, key=lambda pair: pair[0].identity.start_time):
            above = traced.get(parent.identity)
            traced[process.identity] = _Origin(
                parent.identity if above is None else above.first, process.program,
                known[parent.identity].now)
        return traced

    def _add(self, first: Identity, parent: Process | None, forked: list[Process],
             known: Mapping[Identity, Size], before: Family | None,
             last: tuple[TaskMemory, ...], now_s: float, reread: frozenset[int]) -> None:
        """Keep a family with its size of now; what was not read anew leaves it as it was."""
        whole = forked if parent is None else [parent, *forked]
        memories = tuple(p.memory for p in whole if p.memory is not None)
        self._memories[first] = memories
        members = frozenset(p.identity for p in whole)
        held = 0 if parent is None else known[first].now
        held += sum(max(0, known[p.identity].now - self._origins[p.identity].shared_bytes)
                    for p in forked)
        if before is None:
            label = whole[0].label
            size = known[first] if parent is not None else sizes.first(
                TaskMemory(held, 0, 0), now_s, label=label)
        else:
            label, size = before.label, before.size
        if len(memories) != len(last) or any(a is not b for a, b in zip(memories, last)) \
                or reread.issuperset(p.pid for p in whole):
            size = sizes.extend(size, TaskMemory(held, 0, 0), now_s)
        self._families[first] = Family(first, label, members, size)


def _is_copy(child: Process, parent: Process) -> bool:
    """Return whether a child still runs what its parent runs: it was forked without exec."""
    a, b = child.program, parent.program
    same = a is b or (a.cmdline == b.cmdline and a.exe == b.exe)
    return same and bool(a.cmdline) and child.start_time >= parent.start_time
