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
from dataclasses import replace

from oom_sentinel import badness
from oom_sentinel.badness import Candidate
from oom_sentinel.facts.level import Level
from oom_sentinel.facts.level import Unavailable
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import memory
from oom_sentinel.risk.memory import Headroom
from oom_sentinel.risk.verdict import Finding
from oom_sentinel.risk.verdict import Hold
from oom_sentinel.risk.verdict import hold
from oom_sentinel.risk.verdict import Verdict
from oom_sentinel.risk.verdict import verdict
from oom_sentinel.settings import Settings

SUBJECTS = ('memory', 'pressure', 'cgroups', 'risk')
GROWTH_EVERY_S = 10.0
GROWTH_POINTS = 40
LEAK_POINTS_MIN = 12
LEAK_BYTES_PER_S = 10 * memory.MIB / 3600


@dataclass(frozen=True, slots=True)
class Growth:
    """The memory of one tracked process over time: (seconds, bytes) points."""

    identity: Identity
    points: 'tuple[tuple[float, float], ...]' = ()


@dataclass(frozen=True, slots=True)
class History:
    """What earlier samples leave behind; `History()` is the start."""

    holds: 'tuple[Hold, ...]' = tuple(Hold(subject) for subject in SUBJECTS)
    machine_left: 'tuple[tuple[float, float], ...]' = ()
    cgroup_left: 'tuple[tuple[float, float], ...]' = ()
    cgroup_path: 'str | None' = None
    growth: 'tuple[Growth, ...]' = ()
    growth_s: float = float('-inf')
    order_s: float = float('-inf')
    kill_order: 'tuple[Candidate, ...]' = ()
    killable_percent: 'float | None' = None


@dataclass(frozen=True, slots=True)
class Assessment:
    """
    How near an OOM is and whom it would take.

    `domain` is where memory is shortest: 'this machine' or a control group's path;
    `kill_order` holds inside it.  `killable_percent` is the share of used memory that belongs
    to processes which the kernel may kill before a protected one.  `oom_risk` is 0..1.
    `growth` is bytes a second per tracked process, where a trend is told.
    """

    memory: Verdict = Verdict()
    pressure: Verdict = Verdict()
    cgroups: Verdict = Verdict()
    risk: Verdict = Verdict()
    domain: str = 'this machine'
    totalpages: 'int | None' = None
    kill_order: 'tuple[Candidate, ...]' = ()
    tightest: 'Headroom | None' = None
    time_to_exhaustion_s: 'float | None' = None
    killable_percent: 'float | None' = None
    oom_risk: float = 0.0
    leak_suspects: 'tuple[str, ...]' = ()
    growth: 'tuple[tuple[Identity, float], ...]' = ()


def assess(sample: Sample, history: History, settings: Settings,
           protection: Protection = Protection()) -> 'tuple[Assessment, History]':
    """Return what this sample means, and the history for the next one."""
    meminfo = sample.meminfo
    total = None if isinstance(meminfo, Unavailable) else meminfo.mem_total_bytes
    room = memory.tightest(sample.chains, total)
    history = _remember(sample, history, room, protection)
    findings = (memory.memory(meminfo, sample.policy, settings),
                memory.pressure(sample.pressure, settings),
                memory.cgroups(room, settings))
    left_s = _time_left(history, room)
    soon = _soon(left_s, settings)
    base = verdict(findings[0] + findings[1] + findings[2] + soon)
    domain, totalpages, history = _order(sample, history, room, base.level, protection)
    kill_order = history.kill_order
    risk = verdict(findings[0] + findings[1] + findings[2] + soon
                   + _wrong_victim(kill_order, base.level, protection))
    verdicts, holds = [], []
    for last, now in zip(history.holds, (*map(verdict, findings), risk)):
        shown, held = hold(last, now, sample.monotonic_s, settings.hold_s)
        verdicts.append(shown)
        holds.append(held)
    growth = _trends(history)
    assessment = Assessment(
        memory=verdicts[0], pressure=verdicts[1], cgroups=verdicts[2], risk=verdicts[3],
        domain=domain, totalpages=totalpages, kill_order=kill_order,
        tightest=room, time_to_exhaustion_s=left_s, killable_percent=history.killable_percent,
        oom_risk=_score(sample, room, left_s, settings), growth=growth,
        leak_suspects=_leaks(growth, history, protection))
    return assessment, replace(history, holds=tuple(holds))


def _remember(sample: Sample, history: History, room: 'Headroom | None',
              protection: Protection) -> History:
    now_s, meminfo = sample.monotonic_s, sample.meminfo
    machine = history.machine_left
    if not isinstance(meminfo, Unavailable) and meminfo.mem_available_bytes is not None:
        machine = exhaustion.extend(
            machine, now_s, meminfo.mem_available_bytes + meminfo.swap_free_bytes)
    cgroup, path = history.cgroup_left, room.group.path if room else None
    if path != history.cgroup_path:
        cgroup = ()
    if room is not None:
        cgroup = exhaustion.extend(cgroup, now_s, room.left_bytes)
    history = replace(history, machine_left=machine, cgroup_left=cgroup, cgroup_path=path)
    if 0 <= now_s - history.growth_s < GROWTH_EVERY_S:
        return history
    known = {g.identity: g for g in history.growth}
    growth = tuple(
        Growth(t.process.identity, _points(known.get(t.process.identity), now_s,
                                           t.process.memory.rss_bytes
                                           + t.process.memory.swap_bytes))
        for t in protection.targets if t.process.memory is not None)
    return replace(history, growth=growth, growth_s=now_s)


def _points(last: 'Growth | None', now_s: float,
            value: float) -> 'tuple[tuple[float, float], ...]':
    return ((last.points if last else ()) + ((now_s, value),))[-GROWTH_POINTS:]


def _time_left(history: History, room: 'Headroom | None') -> 'float | None':
    found = [exhaustion.seconds_left(history.machine_left)]
    if room is not None:
        found.append(exhaustion.seconds_left(history.cgroup_left))
    told = [s for s in found if s is not None]
    return min(told) if told else None


def _soon(left_s: 'float | None', settings: Settings) -> 'tuple[Finding, ...]':
    if left_s is None or left_s >= settings.exhaustion_warn_s:
        return ()
    level = Level.ERROR if left_s < settings.exhaustion_error_s else Level.WARN
    return (Finding(level, f'memory is exhausted in about {left_s:.0f} s if it goes on so'),)


def _order(sample: Sample, history: History, room: 'Headroom | None', level: Level,
           protection: Protection) -> 'tuple[str, int | None, History]':
    """
    Return domain, totalpages and the history with the kill order inside the domain.

    The order is made anew when the table was read since, or somebody must act.
    """
    meminfo, page = sample.meminfo, sample.host.page_size
    if isinstance(meminfo, Unavailable):
        return 'this machine', None, replace(history, kill_order=(), killable_percent=None)
    domain, totalpages = 'this machine', badness.machine_totalpages(meminfo, page)
    processes = sample.processes
    if room is not None and _cgroup_is_shorter(room, meminfo):
        members = dict(sample.members).get(room.group.path, frozenset())
        domain = room.group.path
        totalpages = badness.cgroup_totalpages(room.group, meminfo, page)
        processes = tuple(p for p in processes if p.pid in members)
    if sample.processes_monotonic_s == history.order_s and level == Level.OK:
        return domain, totalpages, history
    order = badness.kill_order(processes, totalpages=totalpages, page_size=page)
    return domain, totalpages, replace(
        history, kill_order=order[:10], order_s=sample.processes_monotonic_s,
        killable_percent=_killable(order, protection))


def _cgroup_is_shorter(room: Headroom, meminfo: object) -> bool:
    available = getattr(meminfo, 'mem_available_bytes', None)
    total = getattr(meminfo, 'mem_total_bytes', None)
    if available is None or not total:
        return True
    return room.percent < 100.0 * available / total


def _protected(protection: Protection) -> 'frozenset[Identity]':
    return frozenset(t.process.identity for t in protection.targets if t.wanted < 0)


def _held(candidate: Candidate) -> int:
    held = candidate.process.memory
    return held.rss_bytes + held.swap_bytes if held is not None else 0


def _killable(order: 'tuple[Candidate, ...]', protection: Protection) -> 'float | None':
    """Return the share of held memory that dies before the first protected process."""
    protected = _protected(protection)
    total = sum(_held(c) for c in order)
    if not protected or not total:
        return None
    before = 0
    for candidate in order:
        if candidate.rank is None or candidate.process.identity in protected:
            break
        before += _held(candidate)
    return 100.0 * before / total


def _wrong_victim(order: 'tuple[Candidate, ...]', level: Level,
                  protection: Protection) -> 'tuple[Finding, ...]':
    if level == Level.OK or not order or order[0].rank is None:
        return ()
    first = order[0].process
    if first.identity not in _protected(protection):
        return ()
    return (Finding(Level.ERROR,
                    f'the protected {first.label} (PID {first.pid}) would be killed first'),)


def _trends(history: History) -> 'tuple[tuple[Identity, float], ...]':
    found = []
    for grown in history.growth:
        if len(grown.points) < exhaustion.POINTS_MIN:
            continue
        trend = exhaustion.slope(grown.points)
        if trend is not None:
            found.append((grown.identity, trend))
    return tuple(found)


def _leaks(growth: 'tuple[tuple[Identity, float], ...]', history: History,
           protection: Protection) -> 'tuple[str, ...]':
    """Name tracked processes that grew steadily for at least two minutes."""
    long = {g.identity for g in history.growth if len(g.points) >= LEAK_POINTS_MIN}
    labels = {t.process.identity: t.process.label for t in protection.targets}
    return tuple(f'{labels[identity]} (+{rate * 3600 / memory.MIB:.0f} MiB/h)'
                 for identity, rate in growth
                 if identity in long and rate > LEAK_BYTES_PER_S and identity in labels)


def _score(sample: Sample, room: 'Headroom | None', left_s: 'float | None',
           settings: Settings) -> float:
    """Return the risk 0..1: the worst of memory, control group, pressure and time left."""
    parts = [0.0]
    meminfo = sample.meminfo
    if not isinstance(meminfo, Unavailable) and meminfo.mem_available_bytes is not None:
        share = 100.0 * meminfo.mem_available_bytes / meminfo.mem_total_bytes
        parts.append(_closeness(share, settings))
    if room is not None:
        parts.append(_closeness(room.percent, settings))
    if not isinstance(sample.pressure, Unavailable):
        full = sample.pressure.full.avg10 if sample.pressure.full else 0.0
        parts.append(min(1.0, sample.pressure.some.avg10 / 200 + full / 100))
    if left_s is not None and settings.exhaustion_warn_s > 0:
        parts.append(max(0.0, 1.0 - left_s / (2 * settings.exhaustion_warn_s)))
    return round(max(parts), 3)


def _closeness(percent: float, settings: Settings) -> float:
    """Return 0.5 at the warn threshold, rising to 1 at nothing left, 0 at twice the former."""
    warn = settings.memory_available_warn_percent or 1.0
    return max(0.0, min(1.0, 1.0 - percent / (2 * warn)))
