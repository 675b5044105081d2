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
The level to which unprotected processes are raised when lowering is denied.

Pure arithmetic of one memory domain, in pages.  The level is the badness of the domain's largest
protected process at rest plus 5 % of its totalpages; each unprotected process gets the smallest
oom_score_adj that lifts it there, so that the kernel takes it before any protected one.
"""

from collections.abc import Iterable

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Process
from oom_sentinel.protection.domains import Domain

OOM_SCORE_ADJ_MAX = 1000
EXPENDABLE_MORE = 30  # points by which an expendable process is above an innocent of its size
# A written value is kept while it is this many points above, or below, what the level asks: a
# small change of a size costs no write.  Below uses up a fifth of the head start.
KEEP_ABOVE, KEEP_BELOW = 20, 10
# A leak counts when it would exhaust its domain within so many seconds.
SOON_S = 300.0


@frozen
class Protected:
    """
    A protected process that may not be lowered as far as wanted.

    `rest_pages` is what it holds at rest, `now_pages` what it holds now, `grown_pages` by how
    much it and what it forked are above their size at rest, `value` the lowest
    oom_score_adj that is permitted.  `itself` marks the sentinel: it alone raises nobody.
    `denied` says that the value is not as low as wanted, `starts` that it has not come to rest.
    """

    process: Process
    rest_pages: int
    now_pages: int
    grown_pages: int
    value: int
    itself: bool = False
    denied: bool = True
    starts: bool = False


@frozen
class Leak:
    """The leak of a fork family: pages above its rest, and the pages that it grows a second."""

    grown_pages: int
    pages_per_s: float

    def lift_pages(self, domain: Domain) -> int:
        """
        Return the pages by which its members are lifted above the level of a domain.

        Whole head starts, so that a leak is written a few times and not at every scan; none
        where the leak would take longer than SOON_S to exhaust the domain.
        """
        if domain.left_pages is None or domain.left_pages > self.pages_per_s * SOON_S:
            return 0
        step = max(1, domain.head_start_pages)
        return -(-self.grown_pages // step) * step


@frozen
class Level:
    """The level of one domain, and the protected process that sets it."""

    domain: Domain
    pages: int
    largest: str

    def asks(self, held_pages: int) -> int:
        """Return the smallest oom_score_adj that lifts a process of this size to the level."""
        missing = self.pages - held_pages
        return min(OOM_SCORE_ADJ_MAX, -(-missing // self.domain.point))

    def head_start(self, member: Protected) -> int:
        """Return by how many pages a protected process may grow until it is at the level."""
        return self.pages - member.now_pages - member.value * self.domain.point

    @property
    def reached(self) -> bool:
        """Return whether an empty process can be lifted to the level at all."""
        return self.pages <= OOM_SCORE_ADJ_MAX * self.domain.point


def level(domain: Domain, protected: Iterable[Protected]) -> Level | None:
    """Return the domain's level, None when it holds none of these processes."""
    members = [p for p in protected if domain.holds(p.process)]
    if all(member.itself for member in members):
        return None
    pages, label = max((p.rest_pages + p.value * domain.point, p.process.label) for p in members)
    return Level(domain, pages + domain.head_start_pages, label)


def outgrown(member: Protected, made: Level) -> bool:
    """Return whether a protected process has used up its head start and shall be the victim."""
    return made.domain.holds(member.process) and \
        member.grown_pages > made.domain.head_start_pages


def asked(levels: Iterable[Level], process: Process, held_pages: int,
          leak: Leak | None = None) -> int | None:
    """
    Return the largest value that the levels of its domains ask, None outside of all.

    :param leak: of its family, so that each member has the badness of one process that would
        have leaked all of it.
    """
    values = [made.asks(held_pages - (0 if leak is None else leak.lift_pages(made.domain)))
              for made in levels if made.domain.holds(process)]
    return max(values, default=None)


def kept(wanted: int, present: int | None, *, growing: bool, own: int) -> int:
    """
    Return the value to have: the present one while it is near enough to the wanted one.

    :param growing: the process grows, so it is never lowered.
    :param own: the value that it had before; it is never lowered below.
    """
    wanted = max(wanted, own)
    if present is None or present < own:
        return wanted
    if present > wanted:
        return present if growing or present - wanted <= KEEP_ABOVE else wanted
    return present if wanted - present <= KEEP_BELOW else wanted
