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
Kills that the kernel counted, and which process each one took when no log says it.

__oom_kill_process() counts a kill in /proc/vmstat and in the victim's control group before it
sends the signal and prints "Killed process", so counters that are read after the log are never
behind it.  Pure: counters and times go in.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

from oom_sentinel.facts.cgroup import OomEvents
from oom_sentinel.facts.cgroup import within
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.kills.known_processes import Known

# A victim needs some 20 to 40 ms to die (measured), more when its memory is large or the
# machine is busy.
DEATH_S = 4.0
# So long may a log be behind the counters; a later record is another kill.
LATE_S = 60.0
CLOCK_S = 1.0  # a journal's time against our own
OPEN_MAX = 256  # kills without an explanation that are kept


@frozen
class Counters:
    """
    Kills since boot.

    `machine` counts those of the whole machine, None where it says nothing about our processes
    (in a container) or does not exist (before Linux 4.13).  `groups` holds the counters of the
    control groups that are visible; `hierarchical` says that a group counts the kills of the
    groups below it too (v2).
    """

    machine: int | None = None
    groups: Mapping[str, OomEvents] = field(default_factory=dict)
    hierarchical: bool = False


@dataclass(slots=True)
class CountedKill:
    """
    One kill that a counter showed.

    It happened between two readings, after `after_s` and before `counted_s` (monotonic).
    `group` is the innermost control group whose counter rose, None when only the machine's did.
    `machine_short` says that the group's counter of kills rose, but not that of its own OOMs:
    then the machine was short.  `told_as` is the number of the report that was inferred for it,
    `looked` says that the processes were read since.
    """

    group: str | None
    after_s: float
    counted_s: float
    machine_short: bool = False
    told_as: int | None = None
    looked: bool = False


def risen(before: Counters, now: Counters) -> dict[str, int]:
    """
    Return by how much the kills among the members of each control group rose.

    In v2 what is counted in a visible group below is taken off.  A group that is new counts
    from now on.
    """
    grown = {path: events.oom_kill - before.groups[path].oom_kill
             for path, events in now.groups.items() if path in before.groups}
    own: dict[str, int] = {}
    for path in sorted((p for p, by in grown.items() if by > 0), key=len, reverse=True):
        below = sum(by for other, by in own.items() if within(other, path)) \
            if now.hierarchical else 0
        if grown[path] > below:
            own[path] = grown[path] - below
    return own


class UnexplainedKills:
    """The counted kills that no record of the kernel's log has explained yet."""

    def __init__(self) -> None:
        """Start without a first reading."""
        self._last: Counters | None = None
        self._last_s = 0.0
        self._behind = 0  # kills that groups counted and the machine not yet
        self._kills: list[CountedKill] = []

    def count(self, now: Counters, now_s: float) -> None:
        """Compare the counters with the last reading; the first one is only the start."""
        before, after_s = self._last, self._last_s
        self._last, self._last_s = now, now_s
        self._kills = [k for k in self._kills if now_s - k.counted_s < LATE_S]
        if before is None:
            return
        own = risen(before, now)
        for path, by in own.items():
            short = _machine_short(before, now, path)
            for _ in range(min(by, OPEN_MAX)):
                self._add(path, after_s, now_s, short)
        if now.machine is None or before.machine is None:
            return
        # The machine's counter is read a moment before those of the groups, but the kernel
        # raises it first: a kill in between shows in one of them now and in the other next time.
        rest = now.machine - before.machine - sum(own.values()) - self._behind
        self._behind = max(0, -rest)
        for _ in range(min(rest, OPEN_MAX)):
            self._kills.append(CountedKill(None, after_s, now_s))
        self._kills = self._kills[-OPEN_MAX:]

    def _add(self, path: str, after_s: float, now_s: float, machine_short: bool) -> None:
        """Add a kill of this group; one that the machine counted a moment ago is the same."""
        for kill in self._kills:
            if kill.group is None and kill.told_as is None and kill.counted_s == after_s:
                kill.group, kill.machine_short = path, machine_short
                self._behind -= 1
                return
        self._kills.append(CountedKill(path, after_s, now_s, machine_short))

    @property
    def open(self) -> bool:
        """Return whether a kill has neither a record nor a report."""
        return bool(self.untold)

    @property
    def untold(self) -> tuple[CountedKill, ...]:
        """Return the kills without record and report, the oldest first."""
        return tuple(k for k in self._kills if k.told_as is None)

    def due(self, now_s: float, grace_s: float) -> tuple[CountedKill, ...]:
        """Return the kills without record and report that were counted `grace_s` ago or more."""
        return tuple(k for k in self.untold if now_s - k.counted_s >= grace_s)

    def explain(self, task_memcg: str | None, at_s: float, *, namespaced: bool = False,
                late_s: float = float('inf')) -> CountedKill | None:
        """
        Remove and return the counted kill that a record of the log is about.

        :param task_memcg: the victim's control group by the record.
        :param at_s: when the kernel killed, monotonic.
        :param namespaced: the record's path begins above the root that is visible here.
        :param late_s: how far from the time of its counting the record's may be.
        :returns: None when no visible counter counted it: it happened elsewhere.
        """
        def late(kill: CountedKill) -> float:
            return max(0.0, kill.after_s - at_s, at_s - kill.counted_s)

        def distance(kill: CountedKill) -> tuple[bool, float]:
            return (kill.group is None, late(kill) if late(kill) > CLOCK_S else 0.0)
        fitting = [k for k in self._kills if late(k) <= late_s and (
                   k.group is None or task_memcg is None
                   or (_ends_inside(task_memcg, k.group) if namespaced
                       else within(task_memcg, k.group)))]
        if not fitting:
            return None
        found = min(fitting, key=distance)  # the oldest of those equally near
        self._kills.remove(found)
        return found


def _machine_short(before: Counters, now: Counters, path: str) -> bool:
    """
    Return whether members of the group were killed though no limit of its chain was reached.

    memory.events (v2) counts an OOM in the group that reached its limit and in those above.
    """
    known = [(before.groups[p].oom, now.groups[p].oom) for p in now.groups
             if p in before.groups and within(path, p)]
    return bool(known) and all(
        first is not None and first == last for first, last in known)


def _ends_inside(path: str, group: str) -> bool:
    """Return whether a path as the host sees it may be in a group as a container sees it."""
    wanted = group.rstrip('/')
    return path.endswith(wanted) or f'{wanted}/' in path


def nearest(path: str | None, counted: Iterable[str]) -> str | None:
    """Return the innermost counted control group that holds this path, None without one."""
    if path is None:
        return None
    return max((group for group in counted if within(path, group)), key=len, default=None)


@frozen
class Inference:
    """
    What is inferred of counted kills of one control group.

    `named` are the victims.  The kills beyond them took `rest` processes out of `possible`,
    which are not told apart, or processes that were never seen.
    """

    named: tuple[Known, ...] = ()
    rest: int = 0
    possible: tuple[Known, ...] = ()
    by_signal: bool = False


def infer(count: int, missing: Sequence[Known],
          killed: Callable[[Known], bool | None], unseen: int = 0) -> Inference:
    """
    Return whom so many kills took; only one that died by signal 9 is named.

    All who died by signal 9 are named, unless they and those whose end is unknown are more than
    the kills.  One that vanished in an unknown way may have ended by itself, so it is never
    named, not even when it is the only one.

    :param missing: the processes that vanished meanwhile from where the counter rose.
    :param killed: returns whether one died by signal 9, None where that cannot be known.
    :param unseen: how many other processes of there, never read, died by signal 9 meanwhile.
    """
    states = [(known, killed(known)) for known in missing]
    sure = tuple(k for k, state in states if state)
    open_ = tuple(k for k, state in states if state is None)
    everyone = sure + open_
    if len(everyone) + unseen <= count:
        return Inference(sure, count - len(sure), open_)
    return Inference((), count, everyone, by_signal=not open_)
