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

from oom_sentinel.badness import Candidate
from oom_sentinel.facts.level import Level
from oom_sentinel.facts.level import Unavailable
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import growth
from oom_sentinel.risk import memory
from oom_sentinel.risk import order
from oom_sentinel.risk.growth import Growth
from oom_sentinel.risk.memory import Headroom
from oom_sentinel.risk.order import Order
from oom_sentinel.risk.score import score
from oom_sentinel.risk.verdict import Finding
from oom_sentinel.risk.verdict import Hold
from oom_sentinel.risk.verdict import hold
from oom_sentinel.risk.verdict import Verdict
from oom_sentinel.risk.verdict import verdict
from oom_sentinel.settings import Settings

HORIZON = 2.0  # times exhaustion.warn_s: what lies farther away is not told


@dataclass(frozen=True, slots=True)
class Left:
    """What was left over the last seconds: (seconds, bytes) points."""

    machine: 'tuple[tuple[float, float], ...]' = ()
    cgroup: 'tuple[tuple[float, float], ...]' = ()
    cgroup_path: 'str | None' = None


@dataclass(frozen=True, slots=True)
class History:
    """What earlier samples leave behind; `History()` is the start."""

    memory: Hold = Hold()
    pressure: Hold = Hold()
    cgroups: Hold = Hold()
    risk: Hold = Hold()
    left: Left = Left()
    growth: Growth = Growth()
    order: Order = Order()


@dataclass(frozen=True, slots=True)
class Assessment:
    """
    How near an OOM is and whom it would take.

    `domain` is where memory is shortest: 'this machine' or a control group's path;
    `totalpages`, `kill_order` and `killable_percent` (the share of used memory that belongs to
    processes which the kernel may kill before a protected one) hold inside it.  `oom_risk` is
    0..1.  `growth` is bytes a second per tracked process, where a trend is told; `leaking` are
    those which grew all the time, `leak_suspects` the same in words.
    """

    memory: Verdict = Verdict()
    pressure: Verdict = Verdict()
    cgroups: Verdict = Verdict()
    risk: Verdict = Verdict()
    domain: str = order.MACHINE
    totalpages: 'int | None' = None
    kill_order: 'tuple[Candidate, ...]' = ()
    tightest: 'Headroom | None' = None
    time_to_exhaustion_s: 'float | None' = None
    killable_percent: 'float | None' = None
    oom_risk: float = 0.0
    leak_suspects: 'tuple[str, ...]' = ()
    leaking: 'frozenset[Identity]' = frozenset()
    growth: 'tuple[tuple[Identity, float], ...]' = ()


@dataclass(frozen=True, slots=True)
class _Found:
    """What is wrong now, apart for the machine and the tightest control group."""

    memory: 'tuple[Finding, ...]'
    pressure: 'tuple[Finding, ...]'
    cgroups: 'tuple[Finding, ...]'
    machine_soon: 'tuple[Finding, ...]'
    cgroup_soon: 'tuple[Finding, ...]'

    @property
    def machine(self) -> 'tuple[Finding, ...]':
        return self.memory + self.pressure + self.machine_soon

    @property
    def group(self) -> 'tuple[Finding, ...]':
        return self.cgroups + self.cgroup_soon


def assess(sample: Sample, history: History, settings: Settings,
           protection: Protection = Protection()) -> 'tuple[Assessment, History]':
    """Return what this sample means, and the history for the next one."""
    meminfo, now_s = sample.meminfo, sample.monotonic_s
    total = None if isinstance(meminfo, Unavailable) else meminfo.mem_total_bytes
    room = memory.tightest(sample.chains, total)
    left = _remember(sample, history.left, room)
    horizon_s = HORIZON * settings.exhaustion_warn_s
    machine_s = exhaustion.seconds_left(left.machine, horizon_s)
    cgroup_s = exhaustion.seconds_left(left.cgroup, horizon_s)
    left_s = min((s for s in (machine_s, cgroup_s) if s is not None), default=None)
    found = _Found(
        memory.memory(meminfo, sample.policy, settings),
        memory.pressure(sample.pressure, settings),
        memory.cgroups(room, settings),
        _soon(machine_s, 'memory is exhausted', settings),
        _soon(cgroup_s, f'the limit of control group {left.cgroup_path} is reached', settings))
    alarmed = bool(found.machine + found.group)
    shortest = order.where(meminfo, room)
    made = order.order(sample, shortest, protection, history.order, alarmed)
    danger = found.machine + found.group + _wrong_victims(
        sample, found, room, made, protection)
    hold_s = settings.hold_s
    of_memory, memory_held = hold(history.memory, verdict(found.memory), now_s, hold_s)
    of_pressure, pressure_held = hold(history.pressure, verdict(found.pressure), now_s, hold_s)
    of_cgroups, cgroups_held = hold(history.cgroups, verdict(found.cgroups), now_s, hold_s)
    of_risk, risk_held = hold(history.risk, verdict(danger), now_s, hold_s)
    grown = growth.watch(history.growth, now_s, protection)
    assessment = Assessment(
        memory=of_memory, pressure=of_pressure, cgroups=of_cgroups, risk=of_risk,
        domain=made.domain, totalpages=made.totalpages, kill_order=made.first,
        tightest=room, time_to_exhaustion_s=left_s, killable_percent=made.killable_percent,
        oom_risk=score(sample, room, left_s, settings),
        leak_suspects=_suspects(grown, protection),
        leaking=frozenset(g.identity for g in grown.processes if g.leaks),
        growth=tuple((g.identity, g.bytes_per_s) for g in grown.processes
                     if g.bytes_per_s is not None))
    return assessment, History(memory_held, pressure_held, cgroups_held, risk_held, left,
                               grown, made)


def _remember(sample: Sample, last: Left, room: 'Headroom | None') -> Left:
    now_s, meminfo = sample.monotonic_s, sample.meminfo
    machine = last.machine
    if not isinstance(meminfo, Unavailable) and meminfo.mem_available_bytes is not None:
        machine = exhaustion.extend(
            machine, now_s, meminfo.mem_available_bytes + meminfo.swap_free_bytes)
    if room is None:
        return Left(machine)
    same = room.group.path == last.cgroup_path
    return Left(machine, exhaustion.extend(last.cgroup if same else (), now_s, room.left_bytes),
                room.group.path)


def _soon(left_s: 'float | None', what: str, settings: Settings) -> 'tuple[Finding, ...]':
    if left_s is None or left_s >= settings.exhaustion_warn_s:
        return ()
    level = Level.ERROR if left_s < settings.exhaustion_error_s else Level.WARN
    return (Finding(level, f'{what} in about {left_s:.0f} s if it goes on so'),)


def _wrong_victims(sample: Sample, found: _Found, room: 'Headroom | None', made: Order,
                   protection: Protection) -> 'tuple[Finding, ...]':
    """
    Return which protected process would be the first choice where memory is short.

    Each place is judged by its own shortage: were only the shortest one looked at, less memory
    on the machine could hide the error of a control group.
    """
    places: 'list[Headroom | None]' = [None] if found.machine else []
    if found.group:
        places.append(room)
    wrong: 'tuple[Finding, ...]' = ()
    for place in places:
        name = order.MACHINE if place is None else place.group.path
        here = made if made.domain == name else order.order(sample, place, protection)
        wrong += order.wrong_victim(here, protection)
    return wrong


def _suspects(grown: Growth, protection: Protection) -> 'tuple[str, ...]':
    labels = {t.process.identity: t.process.label for t in protection.targets}
    return tuple(f'{labels[g.identity]} (PID {g.identity.pid}, '
                 f'+{g.bytes_per_s * 3600 / memory.MIB:.0f} MiB/h)'
                 for g in grown.processes
                 if g.leaks and g.bytes_per_s is not None and g.identity in labels)
