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

"""Which process the kernel would kill, on the machine or inside a control group."""


from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import badness
from oom_sentinel.risk.badness import Candidate
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.risk.levels import Finding

MACHINE = 'this machine'
SHOWN = 10


@frozen
class Order:
    """
    The first processes of the kill order inside one domain.

    `domain` is 'this machine' or a control group's path.  `killable_percent` is the share of
    held memory that dies before the first protected process, None when none is protected.
    """

    domain: str = MACHINE
    totalpages: int | None = None
    first: tuple[Candidate, ...] = ()
    killable_percent: float | None = None


@frozen
class LastOrder:
    """The order of the last cycle, and the readings it was made from."""

    order: Order = Order()
    made_from: tuple[object, ...] = ()


def where(meminfo: MemInfo | Unavailable, room: Headroom | None) -> Headroom | None:
    """Return the control group when it has less left than the machine, None for the machine."""
    if room is None or isinstance(meminfo, Unavailable):
        return None
    available = meminfo.mem_available_bytes
    if available is None or room.percent < 100.0 * available / meminfo.mem_total_bytes:
        return room
    return None


def kept_order(sample: Sample, room: Headroom | None, protection: Protection,
               last: LastOrder, anew: bool) -> tuple[Order, LastOrder]:
    """
    Return the order, and what to remember; without a new reading it is the last one.

    :param anew: make it in any case, because memory is at risk.
    """
    made_from = (room.group.path if room is not None else None, _totalpages(sample, room),
                 sample.processes_monotonic_s, *(
                     (t.process.identity, t.process.oom_score_adj, t.wanted)
                     for t in protection.targets))
    if made_from == last.made_from and not anew:
        return last.order, last
    made = order(sample, room, protection)
    return made, LastOrder(made, made_from)


def order(sample: Sample, room: Headroom | None, protection: Protection) -> Order:
    """Return the order inside the control group of `room`, on the machine when that is None."""
    domain = MACHINE if room is None else room.group.path
    totalpages = _totalpages(sample, room)
    if totalpages is None:
        return Order(domain)
    processes = sample.processes
    if room is not None:
        members = dict(sample.members).get(domain, frozenset())
        processes = tuple(p for p in processes if p.pid in members)
    found = badness.kill_order(processes, totalpages=totalpages,
                               page_size=sample.host.page_size)
    return Order(domain, totalpages, found[:SHOWN], _killable(found, protection))


def _totalpages(sample: Sample, room: Headroom | None) -> int | None:
    meminfo, page = sample.meminfo, sample.host.page_size
    if isinstance(meminfo, Unavailable):
        return None
    if room is None:
        return badness.machine_totalpages(meminfo, page)
    return badness.cgroup_totalpages(room.group, meminfo, page, sample.policy.swappiness)


def _protected(protection: Protection) -> frozenset[Identity]:
    return frozenset(t.process.identity for t in protection.targets
                     if t.group is not None and t.wanted < 0)


def _held(candidate: Candidate) -> int:
    held = candidate.process.memory
    return held.rss_bytes + held.swap_bytes if held is not None else 0


def _killable(found: tuple[Candidate, ...], protection: Protection) -> float | None:
    protected = _protected(protection)
    total = sum(_held(c) for c in found)
    if not total or not any(c.process.identity in protected for c in found):
        return None
    before = 0
    for candidate in found:
        if candidate.rank is None or candidate.process.identity in protected:
            break
        before += _held(candidate)
    return 100.0 * before / total


def wrong_victim(made: Order, protection: Protection) -> tuple[Finding, ...]:
    """Return the error that a protected process would be the kernel's first choice."""
    if not made.first or made.first[0].rank is None:
        return ()
    first = made.first[0].process
    if first.identity not in _protected(protection):
        return ()
    inside = '' if made.domain == MACHINE else f' inside {made.domain}'
    return (Finding(Level.ERROR, f'the protected {first.label} (PID {first.pid}) would be '
                    f'killed first{inside}'),)
