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

"""Judge one sample: levels, time left, kill order, leaks, and one number for plots."""

from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import headroom
from oom_sentinel.risk import kill_order
from oom_sentinel.risk import leaks
from oom_sentinel.risk import levels
from oom_sentinel.risk import places
from oom_sentinel.risk.badness import Candidate
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.risk.kill_order import LastOrder
from oom_sentinel.risk.kill_order import Order
from oom_sentinel.risk.leaks import Growth
from oom_sentinel.risk.levels import Finding
from oom_sentinel.risk.levels import Hold
from oom_sentinel.risk.levels import Latched
from oom_sentinel.risk.levels import Verdict
from oom_sentinel.risk.places import Places
from oom_sentinel.settings import Settings


def score(sample: Sample, room: Headroom | None, soonest: Forecast | None,
          settings: Settings) -> float:
    """Return the worst of memory, control group, pressure and time left."""
    parts = [0.0]
    meminfo = sample.meminfo
    if not isinstance(meminfo, Unavailable) and meminfo.mem_available_bytes is not None:
        share = 100.0 * meminfo.mem_available_bytes / meminfo.mem_total_bytes
        parts.append(_closeness(share, settings))
        limit, committed = meminfo.commit_limit_bytes, meminfo.committed_as_bytes
        if sample.policy.overcommit_memory == 2 and limit and committed is not None:
            parts.append(_closeness(100.0 * (limit - committed) / limit, settings))
    if room is not None:
        parts.append(_closeness(room.percent, settings))
    if not isinstance(sample.pressure, Unavailable):
        full = sample.pressure.full.avg10 if sample.pressure.full else 0.0
        parts.append(min(1.0, sample.pressure.some.avg10 / 200 + full / 100))
    if soonest is not None and settings.exhaustion_warn_s > 0:
        parts.append(max(0.0, 1.0 - soonest.middle_s / (2 * settings.exhaustion_warn_s)))
    return round(max(parts), 3)


def _closeness(percent: float, settings: Settings) -> float:
    """Return 0.5 at the warn threshold, rising to 1 at nothing left, 0 at twice the former."""
    warn = settings.memory_available_warn_percent or 1.0
    return max(0.0, min(1.0, 1.0 - percent / (2 * warn)))


SUBJECTS = ('memory', 'pressure', 'cgroups', 'risk')  # each has a level of its own


@frozen
class History:
    """What the next assessment needs of earlier samples; `History()` is the start."""

    holds: tuple[Hold, ...] = (Hold(),) * len(SUBJECTS)
    latched: Latched = ()
    places: Places = Places()
    growth: Growth = Growth()
    order: LastOrder = LastOrder()
    high: tuple[tuple[str, int], ...] = ()


def relieved(history: History, shedding: Shedding, now_s: float) -> History:
    """
    Return the history after what shedding did in this cycle.

    Without it, a program that is ended and respawned twice would make its leak look like a job
    whose memory always comes back, and the third time nobody would foresee the end.
    """
    took = [action.took_s for action in shedding.fresh
            if action.freed and action.took_s is not None]
    if not took:
        return history
    return replace(history, places=places.relieved(history.places, now_s - max(took)))


@frozen
class Assessment:
    """
    How near an OOM is, and which process the kernel would kill.

    `exhaustion` is the soonest end of memory in any place, `forecasts` the end and its level
    in each place that has one (None is the machine).  `domain` is where memory is
    shortest: 'this machine' or a group's path; `totalpages`, `kill_order` and
    `killable_percent` (the share of used memory that belongs to processes which the kernel may
    kill before a protected one) hold inside it.  `oom_risk` is 0..1.  `growth` is bytes a
    second of each tracked process that has a trend; `leaking` are those which grew all the
    time, `leak_suspects` the same in words.  `unaccounted_bytes` are in no line of
    /proc/meminfo; `unaccounted_grows` is bytes a second, None when they do not grow.
    `commit_exhausted` says that malloc fails soon, because of vm.overcommit_memory=2.
    """

    memory: Verdict = Verdict()
    pressure: Verdict = Verdict()
    cgroups: Verdict = Verdict()
    risk: Verdict = Verdict()
    domain: str = kill_order.MACHINE
    totalpages: int | None = None
    kill_order: tuple[Candidate, ...] = ()
    tightest: Headroom | None = None
    exhaustion: Forecast | None = None
    forecasts: tuple[tuple[str | None, Forecast, Level], ...] = ()
    killable_percent: float | None = None
    oom_risk: float = 0.0
    leak_suspects: tuple[str, ...] = ()
    leaking: frozenset[Identity] = frozenset()
    growth: tuple[tuple[Identity, float], ...] = ()
    unaccounted_bytes: int | None = None
    unaccounted_grows: float | None = None
    commit_exhausted: bool = False


@frozen
class _Found:
    """What is wrong now; of control groups with the path that each finding is about."""

    memory: tuple[Finding, ...]
    pressure: tuple[Finding, ...]
    machine_soon: tuple[Finding, ...]
    in_groups: tuple[tuple[str, Finding], ...]
    throttled: tuple[Finding, ...]

    @property
    def machine(self) -> tuple[Finding, ...]:
        return self.memory + self.pressure + self.machine_soon

    @property
    def cgroups(self) -> tuple[Finding, ...]:
        return tuple(finding for _, finding in self.in_groups) + self.throttled


def assess(sample: Sample, history: History, settings: Settings,
           protection: Protection = Protection()) -> tuple[Assessment, History]:
    """Return what this sample means, and the history for the next one."""
    meminfo = sample.meminfo
    limits = headroom.limits(sample.chains, meminfo, sample.policy.swappiness)
    tightest = limits[0] if limits else None
    known = places.remember(history.places, sample, limits, settings)
    soonest = known.soonest
    groups = _groups(sample)
    high = tuple((g.path, g.high) for g in groups if g.high is not None)
    throttled = levels.throttling(groups, _grew(history.high, high))
    found = _find(sample, known, limits, throttled, history.latched, settings)
    made, last_order = kill_order.kept_order(
        sample, kill_order.where(meminfo, tightest), protection, history.order,
        bool(found.machine + found.cgroups))
    wrong = _wrong_victims(sample, found, limits, made, protection)
    verdicts, holds = _held(history.holds, (
        found.memory, found.pressure, found.cgroups, found.machine + found.cgroups + wrong),
        sample.monotonic_s, settings.hold_s)
    growth = leaks.watch(history.growth, sample, protection)
    memory, pressure, cgroups, risk = verdicts
    leak = growth.unowned
    assessment = Assessment(
        memory, pressure, cgroups, risk, domain=made.domain, totalpages=made.totalpages,
        kill_order=made.first, tightest=tightest, exhaustion=soonest,
        forecasts=tuple((p.path, p.forecast, p.level) for p in known.places
                        if p.forecast is not None),
        killable_percent=made.killable_percent,
        oom_risk=score(sample, tightest, soonest, settings),
        leak_suspects=growth.suspects, leaking=growth.leaking, growth=growth.paces,
        unaccounted_bytes=None if isinstance(meminfo, Unavailable)
        else leaks.unowned_bytes(meminfo, sample.swaps),
        unaccounted_grows=None if leak is None else leak.middle,
        commit_exhausted=any(f.value == levels.COMMIT_LIMIT for f in found.memory))
    latched = levels.latched(found.machine + found.cgroups)
    return assessment, History(holds, latched, known, growth, last_order, high)


def _held(holds: tuple[Hold, ...], findings: tuple[Iterable[Finding], ...], now_s: float,
          hold_s: float) -> tuple[tuple[Verdict, ...], tuple[Hold, ...]]:
    """Return the verdict to show of each of SUBJECTS, and what to remember."""
    held = [levels.hold(last, levels.verdict(found), now_s, hold_s)
            for last, found in zip(holds, findings)]
    return tuple(verdict for verdict, _ in held), tuple(hold for _, hold in held)


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
          throttled: tuple[Finding, ...], latched: Latched, settings: Settings) -> _Found:
    """Return what is wrong by the fixed thresholds and by the forecasts."""
    last = dict(latched)
    in_groups = levels.cgroups(limits, settings, last)
    for limit in limits:
        path = limit.group.path
        in_groups += tuple((path, f) for f in places.soon(
            known.of(path), f'the limit of {limit.group.label} is reached'))
    return _Found(
        levels.memory(sample.meminfo, sample.policy, settings, last)
        + leaks.segments(sample.dds_segments, sample.meminfo),
        levels.pressure(sample.pressure, settings, last),
        places.soon(known.of(None), 'memory is exhausted'),
        in_groups, throttled)


def _wrong_victims(sample: Sample, found: _Found, limits: tuple[Headroom, ...], made: Order,
                   protection: Protection) -> tuple[Finding, ...]:
    """
    Return which protected process would be killed first where memory is short.

    Each place is judged by its own shortage: with only the shortest one judged, less memory
    on the machine could hide the error of a control group.
    """
    short = {path for path, _ in found.in_groups}
    here: list[Headroom | None] = [None] if found.machine else []
    here += [limit for limit in limits if limit.group.path in short]
    wrong: tuple[Finding, ...] = ()
    for place in here:
        name = kill_order.MACHINE if place is None else place.group.path
        judged = made if made.domain == name else kill_order.order(sample, place, protection)
        wrong += kill_order.wrong_victim(judged, protection)
    return wrong


SHARE = 2.0  # times memory.available_warn_percent


def is_plentiful(sample: Sample, last: Sample | None, assessment: Assessment,
                 settings: Settings) -> bool:
    """
    Return whether much more is available, here and in every limit, than warns.

    Pressure alone may be that of others, in whose control groups nothing is lost for us.

    :param last: the sample before.
    """
    percent, room = sample.mem_available_percent, assessment.tightest
    share = SHARE * settings.memory_available_warn_percent
    if percent is None or percent <= share or (room is not None and room.percent <= share):
        return False
    return assessment.risk.level == Level.OK or (
        assessment.risk == assessment.pressure and last is not None
        and _is_pressed_elsewhere(sample, last))


def _is_pressed_elsewhere(sample: Sample, last: Sample) -> bool:
    """Return whether the kernel took memory back in other control groups' limits alone."""
    now, before = sample.vmstat, last.vmstat
    if isinstance(now, Unavailable) or isinstance(before, Unavailable) \
            or isinstance(sample.chains, Unavailable) or any(c.hidden for c in sample.chains) \
            or now.scanned is None or now.scanned != before.scanned:
        return False
    known = {group.path: group.refaults for group in _groups(last)}
    return all(group.refaults is not None and group.refaults == known.get(group.path)
               for group in _groups(sample) if group.limited or group.unreadable)
