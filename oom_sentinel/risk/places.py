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
Every place where memory can run out: the machine, and each limited control group.

Each keeps its own history of what was left, so that each is judged by its own shortage.
"""

from dataclasses import dataclass

from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.risk.exhaustion import Left
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.risk.headroom import machine_bytes
from oom_sentinel.risk.levels import Finding
from oom_sentinel.settings import Settings

PLACES_MAX = 8  # the tightest control groups; a robot has one or two
HORIZON = 2.0  # times exhaustion.warn_s: what lies farther away needs a longer look
SUSPENDED_S = 2.0  # the clock of the boot ran so much ahead of the monotonic one
# One reading among oscillating ones may look like a fall; two that are so far apart do not.
CONFIRMED_S = 2.0
# Robots start within a minute, and take memory at a pace that would exhaust it; meanwhile only
# what is left after this much of the warn threshold counts.
STARTING_S = 60.0
STARTING_PROCESSES = 3
STARTING_SHARE = 2.0


@dataclass(frozen=True, slots=True)
class Place:
    """The history of one place; `path` None is the machine, `since_s` when its end was told."""

    path: str | None
    left: Left = Left()
    since_s: float | None = None
    forecast: Forecast | None = None


@dataclass(frozen=True, slots=True)
class Places:
    """All places, the machine first; `ahead_s` is by how much the boot's clock is ahead."""

    places: tuple[Place, ...] = ()
    ahead_s: float | None = None

    def of(self, path: str | None) -> Place:
        """Return the place of this path, one without history when there is none."""
        return next((p for p in self.places if p.path == path), Place(path))

    @property
    def soonest(self) -> Forecast | None:
        """Return the forecast of the place that is exhausted first, None without any."""
        return min((p.forecast for p in self.places if p.forecast is not None),
                   key=lambda f: f.middle_s, default=None)


def remember(last: Places, sample: Sample, rooms: tuple[Headroom, ...],
             settings: Settings) -> Places:
    """Return the histories with this sample; a suspend cuts off their fast part."""
    ahead_s = None if sample.boottime_s is None else sample.boottime_s - sample.monotonic_s
    if ahead_s is not None and last.ahead_s is not None \
            and ahead_s - last.ahead_s > SUSPENDED_S:
        last = Places(tuple(Place(p.path, exhaustion.interrupted(p.left))
                            for p in last.places))
    starts = starting(sample)
    share = settings.memory_available_warn_percent / 100.0
    horizon_s = HORIZON * settings.exhaustion_warn_s
    found = []
    meminfo = sample.meminfo
    if not isinstance(meminfo, Unavailable):
        left = machine_bytes(meminfo, sample.swaps)
        if left is not None:
            found.append(_place(last.of(None), sample.monotonic_s, left,
                                share * meminfo.mem_total_bytes, horizon_s, starts))
    for room in rooms[:PLACES_MAX]:
        found.append(_place(last.of(room.group.path), sample.monotonic_s, room.until_oom_bytes,
                            share * (room.group.limit_bytes or 0), horizon_s, starts))
    return Places(tuple(found), ahead_s)


def _place(last: Place, now_s: float, left_bytes: int, safe: float, horizon_s: float,
           starts: bool) -> Place:
    left = exhaustion.extend(last.left, now_s, float(left_bytes), safe,
                             starts and left_bytes > STARTING_SHARE * safe)
    if left is last.left:
        return last
    forecast = exhaustion.forecast(left, horizon_s)
    if forecast is None:
        return Place(last.path, left)
    since_s = last.since_s if last.since_s is not None and last.since_s <= now_s else now_s
    return Place(last.path, left, since_s, forecast)


def soon(place: Place, what: str, now_s: float,
         settings: Settings) -> tuple[Finding, ...]:
    """Return that a place is exhausted soon, at the pace of now."""
    told = place.forecast
    if told is None or told.middle_s >= settings.exhaustion_warn_s:
        return ()
    if place.since_s is None or now_s - place.since_s < CONFIRMED_S:
        return ()
    level = Level.ERROR if told.middle_s < settings.exhaustion_error_s else Level.WARN
    return (Finding(level, f'{what} in about {spoken(told)} if it goes on so'),)


def starting(sample: Sample) -> bool:
    """Tell whether a robot is just being started: several young ROS processes."""
    if sample.boottime_s is None:
        return False
    born = (sample.boottime_s - STARTING_S) * sample.host.clock_ticks
    young = sum(1 for p in sample.processes if p.start_time > born and p.program.ros)
    return young >= STARTING_PROCESSES


def spoken(told: Forecast) -> str:
    """Return a forecast as said to an operator: 90 s (60 to 150 s)."""
    unit, divisor = ('s', 1.0) if told.middle_s < 600 else ('min', 60.0)
    if told.middle_s >= 36000:
        unit, divisor = 'h', 3600.0
    low, middle, high = (_round(s / divisor) for s in (told.low_s, told.middle_s, told.high_s))
    return f'{middle} {unit} ({low} to {high} {unit})'


def _round(value: float) -> str:
    """Return two significant digits, and three from 100 on: more would be a pretence."""
    return f'{value:.0f}' if value < 100 else f'{10 * round(value / 10):.0f}'
