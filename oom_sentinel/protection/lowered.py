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
What is raised although lowering the protected processes was permitted.

Pure.  Low values alone keep the order where they weigh more than any process, as on most
machines.  They do not in a small control group, nor for a leak that the size of no process
shows (children of a few MiB, files in memory), nor for a leak of a protected process, which
would take all others with it.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import replace

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.foreign_growth import losses
from oom_sentinel.protection.foreign_growth import Member
from oom_sentinel.protection.foreign_growth import values
from oom_sentinel.protection.level import Leak
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.level import OOM_SCORE_ADJ_MAX

WHY = 'raised so that whatever leaks is killed first: this control group is small'
EXHAUSTED_S = 10.0
LITTLE = 2  # head starts: a tenth of the domain
SMALL_BYTES = 2 << 30  # what a leak of 1 GB/s fills between two scans


def even(made: Level, resting_pages: Iterable[int], page_size: int) -> Level:
    """
    Return the level of a domain in which every protected process was lowered.

    In a small control group it is at least the largest unprotected process at rest: there a
    leak is over before it is seen, and among equals the one that grows is killed.

    :param made: the level that the protected processes make, often below 0: it asks nothing.
    :param resting_pages: what the unprotected processes hold that may be raised.
    """
    domain = made.domain
    if domain.path is None or domain.totalpages * page_size > SMALL_BYTES:
        return made
    return replace(made, pages=max(made.pages, *resting_pages, 0))


def points(domains: Iterable[Domain], process: Process, leak: Leak | None) -> int:
    """Return the points by which a member of a leaking family is raised, 0 for none."""
    if leak is None:
        return 0
    return max((-(-leak.lift_pages(domain) // domain.point) for domain in domains
                if domain.holds(process)), default=0)


def victims(made: Level, members: Sequence[Member]) -> Mapping[Identity, int]:
    """
    Return the values of the protected processes that shall be killed for their own leak.

    Only when one has outgrown its head start, the domain will be exhausted within seconds, and
    playing the kernel's choice to the end shows that fewer die: a node that loads a map is no
    leak.  One that was raised stays raised while little is left.
    """
    domain = made.domain
    outgrown = [m for m in members
                if m.task.critical and m.grown_pages > domain.head_start_pages]
    left = domain.left_pages
    if not outgrown or left is None:
        return {}
    before = {m.task.identity: m.own for m in outgrown
              if m.above and left < LITTLE * domain.head_start_pages}
    leaking = [m for m in outgrown if m.task.pages_per_s > 0]
    if left > sum(m.task.pages_per_s for m in leaking) * EXHAUSTED_S:
        return before
    stay = values(members, made)
    top = max((m.task.held_pages + stay[m.task.identity] * domain.point for m in members
               if m.own <= 0), default=0)
    raised = {m.task.identity: max(m.own, min(
        OOM_SCORE_ADJ_MAX, -((m.task.held_pages - top) // domain.point))) for m in leaking}
    tasks = [m.task for m in members]
    then = losses(tasks, {**stay, **raised}, left, domain.point)
    saves = then < losses(tasks, stay, left, domain.point)
    return {**before, **raised} if saves else before
