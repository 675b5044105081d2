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
Which processes the kernel would kill until a leak is over.

Pure.  Before values are changed because of a process that grows, the plan is played to the end:
the growing ones take what is left of the domain, the kernel takes the largest badness, what it
frees is taken again, until nothing grows any more.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import dataclass

from oom_sentinel.facts.process import Identity

KILLS_MAX = 512


@dataclass(frozen=True, slots=True)
class Task:
    """
    One process of a domain: what it holds in pages, and the pages it grows by a second.

    `critical` is a protected process; one that grows is the leak itself and no loss.  Of what it
    holds `shared_pages` map files that others map too: killing it does not free them.
    """

    identity: Identity
    held_pages: int
    critical: bool = False
    pages_per_s: float = 0.0
    shared_pages: int = 0


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
