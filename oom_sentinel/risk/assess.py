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

"""The assessment of one sample against the history."""

from dataclasses import dataclass

from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import growth
from oom_sentinel.risk import headroom
from oom_sentinel.risk import kill_order
from oom_sentinel.risk import memory
from oom_sentinel.risk import ownerless
from oom_sentinel.risk import places
from oom_sentinel.risk.badness import Candidate
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.risk.growth import Growth
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.risk.kill_order import Order
from oom_sentinel.risk.levels import Finding
from oom_sentinel.risk.levels import Hold
from oom_sentinel.risk.levels import hold
from oom_sentinel.risk.levels import Verdict
from oom_sentinel.risk.levels import verdict
from oom_sentinel.risk.ownerless import Ownerless
from oom_sentinel.risk.places import Places
from oom_sentinel.risk.score import score
from oom_sentinel.risk.suspects import suspects
from oom_sentinel.settings import Settings


@dataclass(frozen=True, slots=True)
class History:
    """What earlier samples leave behind; `History()` is the start."""

    memory: Hold = Hold()
    pressure: Hold = Hold()
    cgroups: Hold = Hold()
    risk: Hold = Hold()
    places: Places = Places()
    growth: Growth = Growth()
    order: Order = Order()
    high: tuple[tuple[str, int], ...] = ()
    ownerless: Ownerless = Ownerless()


@dataclass(frozen=True, slots=True)
class Assessment:
    """
    How near an OOM is and whom it would take.

    `time_to_exhaustion_s` is the soonest end of all places (likeliest), `exhaustion` the same
    with its range.  `domain` is where memory is shortest: 'this machine' or a group's path;
    `totalpages`, `kill_order` and `killable_percent` (the share of used memory that belongs to
    processes which the kernel may kill before a protected one) hold inside it.  `oom_risk` is
    0..1.  `growth` is bytes a second per tracked process, where a trend is told; `leaking` are
    those which grew all the time, `leak_suspects` the same in words.  `unaccounted_bytes` are
    in no line of /proc/meminfo; `unaccounted_grows` bytes a second, None when they do not.
    """

    memory: Verdict = Verdict()
    pressure: Verdict = Verdict()
    cgroups: Verdict = Verdict()
    risk: Verdict = Verdict()
    domain: str = kill_order.MACHINE
    totalpages: int | None = None
    kill_order: tuple[Candidate, ...] = ()
    tightest: Headroom | None = None
    time_to_exhaustion_s: float | None = None
    exhaustion: Forecast | None = None
    killable_percent: float | None = None
    oom_risk: float = 0.0
    leak_suspects: tuple[str, ...] = ()
    leaking: frozenset[Identity] = frozenset()
    growth: tuple[tuple[Identity, float], ...] = ()
    unaccounted_bytes: int | None = None
    unaccounted_grows: float | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What is wrong now; of control groups with the path that each finding is about."""

    memory: tuple[Finding, ...]
    pressure: tuple[Finding, ...]
    machine_soon: tuple[Finding, ...]
    cgroups: tuple[tuple[str, Finding], ...]
    throttled: tuple[Finding, ...]

    @property
    def machine(self) -> tuple[Finding, ...]:
        return self.memory + self.pressure + self.machine_soon

    @property
    def everywhere(self) -> tuple[Finding, ...]:
        return self.machine + tuple(f for _, f in self.cgroups) + self.throttled


def assess(sample: Sample, history: History, settings: Settings,
           protection: Protection = Protection()) -> tuple[Assessment, History]:
    """Return what this sample means, and the history for the next one."""
    meminfo, now_s = sample.meminfo, sample.monotonic_s
    limits = headroom.rooms(sample.chains, meminfo)
    tightest = limits[0] if limits else None
    known = places.remember(history.places, sample, limits, settings)
    forecast = min((p.forecast for p in known.places if p.forecast is not None),
                   key=lambda f: f.middle_s, default=None)
    left_s = None if forecast is None else forecast.middle_s
    groups = _groups(sample)
    high = tuple((g.path, g.high) for g in groups if g.high is not None)
    found = _find(sample, known, limits, groups, _grew(history.high, high), settings)
    made = kill_order.order(sample, kill_order.where(meminfo, tightest), protection,
                            history.order, bool(found.everywhere))
    danger = found.everywhere + _wrong_victims(sample, found, limits, made, protection)
    hold_s = settings.hold_s
    of_memory, memory_held = hold(history.memory, verdict(found.memory), now_s, hold_s)
    of_pressure, pressure_held = hold(history.pressure, verdict(found.pressure), now_s, hold_s)
    of_cgroups, cgroups_held = hold(history.cgroups, verdict(tuple(
        f for _, f in found.cgroups) + found.throttled), now_s, hold_s)
    of_risk, risk_held = hold(history.risk, verdict(danger), now_s, hold_s)
    grown = growth.watch(history.growth, now_s, sample.processes, protection)
    nobodys = history.ownerless
    if grown is not history.growth:
        nobodys = ownerless.watch(nobodys, now_s, meminfo, sample.swaps)
    leak = nobodys.unaccounted.leak
    assessment = Assessment(
        memory=of_memory, pressure=of_pressure, cgroups=of_cgroups, risk=of_risk,
        domain=made.domain, totalpages=made.totalpages, kill_order=made.first,
        tightest=tightest, time_to_exhaustion_s=left_s, exhaustion=forecast,
        killable_percent=made.killable_percent,
        oom_risk=score(sample, tightest, left_s, settings),
        leak_suspects=suspects(grown, nobodys, sample, protection),
        leaking=frozenset(g.identity for g in grown.processes if g.leaks),
        growth=tuple((g.identity, g.bytes_per_s) for g in grown.processes
                     if g.bytes_per_s is not None),
        unaccounted_bytes=None if isinstance(meminfo, Unavailable)
        else ownerless.unaccounted_bytes(meminfo, sample.swaps),
        unaccounted_grows=None if leak is None else leak.middle)
    return assessment, History(memory_held, pressure_held, cgroups_held, risk_held, known,
                               grown, made, high, nobodys)


def _groups(sample: Sample) -> tuple[MemoryCgroup, ...]:
    if isinstance(sample.chains, Unavailable):
        return ()
    return tuple({g.path: g for chain in sample.chains for g in chain.groups}.values())


def _grew(last: tuple[tuple[str, int], ...],
          now: tuple[tuple[str, int], ...]) -> frozenset[str]:
    """Return the paths whose counter grew; one that fell belongs to a group made anew."""
    before = dict(last)
    return frozenset(path for path, count in now if count > before.get(path, count))


def _find(sample: Sample, known: Places, limits: tuple[Headroom, ...],
          groups: tuple[MemoryCgroup, ...], throttled: frozenset[str],
          settings: Settings) -> _Found:
    now_s = sample.monotonic_s
    of_groups = memory.cgroups(limits, settings)
    for limit in limits:
        path = limit.group.path
        of_groups += tuple((path, f) for f in places.soon(
            known.of(path), f'the limit of {limit.group.label} is reached', now_s, settings))
    return _Found(
        memory.memory(sample.meminfo, sample.policy, settings)
        + ownerless.segments(sample.dds_segments, sample.meminfo),
        memory.pressure(sample.pressure, settings),
        places.soon(known.of(None), 'memory is exhausted', now_s, settings),
        of_groups, memory.throttling(groups, throttled))


def _wrong_victims(sample: Sample, found: _Found, limits: tuple[Headroom, ...], made: Order,
                   protection: Protection) -> tuple[Finding, ...]:
    """
    Return which protected process would be the first choice where memory is short.

    Each place is judged by its own shortage: were only the shortest one looked at, less memory
    on the machine could hide the error of a control group.
    """
    short = {path for path, _ in found.cgroups}
    here: list[Headroom | None] = [None] if found.machine else []
    here += [limit for limit in limits if limit.group.path in short]
    wrong: tuple[Finding, ...] = ()
    for place in here:
        name = kill_order.MACHINE if place is None else place.group.path
        judged = made if made.domain == name else kill_order.order(sample, place, protection)
        wrong += kill_order.wrong_victim(judged, protection)
    return wrong
