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
What to do when a process that raising cannot reach eats a domain's memory.

Pure.  Raised processes would be killed before it.  Then they are lowered to just below the
badness that it is foreseen to have when memory is exhausted, as far as playing the kernel's
choice to the end shows that this costs less; growth in another domain changes nothing.

Before values are changed because of a process that grows, the plan is played to the end:
the growing ones take what is left of the domain, the kernel takes the largest badness, what it
frees is taken again, until nothing grows any more.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.level import SOON_S

KILLS_MAX = 512
NOTHING = 0


@frozen
class Task:
    """
    One process of a domain: what it holds in pages, and the pages it grows by a second.

    `critical` is a protected process; one that grows is the leak itself and no loss.  Of what it
    holds `shared_pages` map files that others map too: killing it does not free them.
    `forks` says that it grows by children of its size: no badness rises.
    """

    identity: Identity
    held_pages: int
    critical: bool = False
    pages_per_s: float = 0.0
    shared_pages: int = 0
    forks: bool = False


@dataclass(frozen=True, slots=True, order=True)
class Loss:
    """How many processes that did not grow would die: protected ones, and others."""

    critical: int
    innocent: int


def losses(tasks: Iterable[Task], values: Mapping[Identity, int], room_pages: int,
           point: int) -> Loss:
    """
    Return what dies until the last growing process does.

    :param values: the oom_score_adj of each task; -1000 is never killed.
    :param room_pages: what is left before the first kill.
    :param point: the pages that one point of oom_score_adj weighs.
    """
    growing = [t for t in tasks if t.pages_per_s > 0]
    held = {t.identity: float(t.held_pages) for t in growing}
    resting = sorted(
        ((t.held_pages + values[t.identity] * point, t) for t in tasks
         if t.pages_per_s <= 0 and values[t.identity] > -1000), key=lambda pair: pair[0])
    growing = [t for t in growing if values[t.identity] > -1000]
    critical = innocent = 0
    room = float(room_pages)
    for _ in range(KILLS_MAX):
        if not growing:
            break
        pace = sum(t.pages_per_s for t in growing)
        for task in growing:
            if not task.forks:
                held[task.identity] += room * task.pages_per_s / pace
        largest = max(growing, key=lambda t: held[t.identity] + values[t.identity] * point)
        top = held[largest.identity] + values[largest.identity] * point
        if resting and resting[-1][0] > top:
            task = resting.pop()[1]
            critical += task.critical
            innocent += not task.critical
            room = float(task.held_pages - task.shared_pages)
        else:
            growing.remove(largest)
            room = held[largest.identity] - largest.shared_pages
    return Loss(critical, innocent)


@frozen
class Member:
    """
    A process of one domain as the plan sees it.

    `own` is its value without us, `least` what it holds at rest and by which it is raised,
    `grown` how much it and what it forked are above that.  `raised` says that it may be raised,
    `above` that it was changed and is above its own value now.
    """

    task: Task
    label: str
    own: int
    least_pages: int
    raised: bool
    grown_pages: int = 0
    above: bool = False


@frozen
class Foreign:
    """A growing process that raising cannot reach, and the level that its growth leaves."""

    identity: Identity
    label: str
    domain: str
    cap_pages: int | None
    without: Loss
    chosen: Loss


def _fastest(members: Iterable[Member]) -> Member | None:
    return max((m for m in members if m.task.pages_per_s > 0),
               key=lambda m: m.task.pages_per_s, default=None)


def values(members: Iterable[Member], level: Level, cap_pages: int | None = None) -> dict[
        Identity, int]:
    """Return the values that a level asks, or a capped one; a cap of 0 raises nobody."""
    made = level if cap_pages is None else replace(
        level, pages=min(level.pages, cap_pages))
    return {m.task.identity: max(m.own, made.asks(m.least_pages))
            if m.raised and cap_pages != NOTHING else m.own for m in members}


def judge(level: Level, members: Sequence[Member], last: Identity | None = None
          ) -> Foreign | None:
    """
    Return the foreign process that eats this domain, None when none does.

    :param last: the one that was found last time.
    """
    domain = level.domain
    fastest = _fastest(members)
    if fastest is None or fastest.raised or fastest.task.critical or domain.left_pages is None:
        return None
    task = fastest.task
    soon_s = SOON_S * (2 if task.identity == last else 1)  # so that it does not come and go
    if domain.left_pages > task.pages_per_s * soon_s:
        return None
    tasks = [m.task for m in members]
    foreseen = task.held_pages + fastest.own * domain.point
    if not task.forks:
        foreseen += domain.left_pages
    caps = (None, max(NOTHING, foreseen - domain.point), NOTHING)

    def loss(cap_pages: int | None) -> Loss:
        return losses(tasks, values(members, level, cap_pages), domain.left_pages or 0,
                      domain.point)

    found = [loss(cap_pages) for cap_pages in caps]
    chosen = min(found)
    return Foreign(task.identity, f'{fastest.label} (PID {task.identity.pid})', domain.label,
                   caps[found.index(chosen)], found[-1], chosen)


def capped(levels: Iterable[Level], found: Mapping[str | None, Foreign]) -> tuple[Level, ...]:
    """Return the levels as foreign growth leaves them; a domain where nobody is raised drops."""
    result = []
    for level in levels:
        foreign = found.get(level.domain.path)
        if foreign is None or foreign.cap_pages is None:
            result.append(level)
        elif foreign.cap_pages != NOTHING:
            result.append(replace(level, pages=min(level.pages, foreign.cap_pages)))
    return tuple(result)
