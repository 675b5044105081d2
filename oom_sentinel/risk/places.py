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

from dataclasses import replace

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import exhaustion
from oom_sentinel.risk import series
from oom_sentinel.risk import shares
from oom_sentinel.risk import starts
from oom_sentinel.risk.exhaustion import Calibration
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.risk.exhaustion import forecast
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.risk.headroom import machine_bytes
from oom_sentinel.risk.levels import Finding
from oom_sentinel.risk.series import Left
from oom_sentinel.risk.starts import Starts
from oom_sentinel.settings import Settings

PLACES_MAX = 8  # the tightest control groups; a robot has one or two
SUSPENDED_S = 2.0  # the clock of the boot ran so much ahead of the monotonic one
# What is taken while a robot starts says nothing of what follows, while there is more left
# than this share of the warn threshold.
START_SHARE = 1.3
START_S = 60.0  # a start lasts so long, and on while memory goes on to fall,
START_RESTS_S = 20.0  # until it has rested so long,
START_MAX_S = 300.0  # and no longer than this
# Pages read again since the last reading, and the share of the last 10 s that tasks waited, in
# percent: an idle machine has none.  For so long after that it counts.
PRESSED_REFAULTS, PRESSED_AVG10, PRESSED_S = 256, 2.0, 10.0
HELD_TIMES = 3.0  # hold_s: so long is the level of a forecast held


@frozen
class Place:
    """
    The history of one place; `path` None is the machine.

    `since_s` is when its end was first told, `silent_until_s` until when a start is expected
    to take memory, `kills` the last count of OOM kills, `level` what the forecast means.
    `pressed_s` is when pages were last read again that the kernel had taken back (`refaults`),
    or tasks waited for memory: then a fall is no page cache that could still be dropped.
    """

    path: str | None
    left: Left = Left()
    since_s: float | None = None
    forecast: Forecast | None = None
    silent_until_s: float = float('-inf')
    kills: int | None = None
    level: Level = Level.OK
    refaults: int | None = None
    pressed_s: float = float('-inf')
    calibration: Calibration = Calibration()


@frozen
class Places:
    """All places, the machine first; `ahead_s` is by how much the boot's clock is ahead."""

    places: tuple[Place, ...] = ()
    ahead_s: float | None = None
    starts: Starts = Starts()

    def of(self, path: str | None) -> Place:
        """Return the place of this path, one without history when there is none."""
        return next((p for p in self.places if p.path == path), Place(path))

    @property
    def soonest(self) -> Forecast | None:
        """Return the forecast of the place that is exhausted first, None without any."""
        return min((p.forecast for p in self.places if p.forecast is not None),
                   key=lambda f: f.middle_s, default=None)


def relieved(last: Places, since_s: float) -> Places:
    """Return the histories after processes were ended for memory, by steps since `since_s`."""
    return replace(last, places=tuple(
        replace(place, left=series.relieved(place.left, since_s)) for place in last.places))


@frozen
class _Reading:
    """What is left of a place, what must stay for a fall to be a habit, and its counters."""

    path: str | None
    left: float
    safe: float
    kills: int | None
    refaults: int | None
    stalled: bool = False


def remember(last: Places, sample: Sample, limits: tuple[Headroom, ...],
             settings: Settings) -> Places:
    """Return the histories with this sample; a suspend ends the series."""
    ahead_s = None if sample.boottime_s is None else sample.boottime_s - sample.monotonic_s
    known = {p.path: p for p in last.places}
    if ahead_s is not None and last.ahead_s is not None \
            and ahead_s - last.ahead_s > SUSPENDED_S:
        known = {p.path: Place(p.path, series.interrupted(p.left)) for p in last.places}
    begun = starts.update(last.starts, sample, [r.group.path for r in limits[:PLACES_MAX]])
    return Places(tuple(
        _place(known.get(r.path) or Place(r.path), sample.monotonic_s, r, begun.last(r.path),
               settings)
        for r in _readings(sample, limits, settings)), ahead_s, begun)


def _readings(sample: Sample, limits: tuple[Headroom, ...],
              settings: Settings) -> list[_Reading]:
    share = settings.memory_available_warn_percent / 100.0
    meminfo, vmstat, found = sample.meminfo, sample.vmstat, []
    left = None if isinstance(meminfo, Unavailable) else machine_bytes(
        meminfo, sample.swaps, sample.policy.min_free_kbytes)
    if left is not None and not isinstance(meminfo, Unavailable):
        counted = VmStat() if isinstance(vmstat, Unavailable) else vmstat
        found.append(_Reading(None, float(left), share * meminfo.mem_total_bytes,
                              counted.oom_kill, counted.refaults, _stalled(sample)))
    found += [_Reading(room.group.path, float(room.until_oom_bytes),
                       share * (room.group.limit_bytes or 0), room.group.oom_kill,
                       room.group.refaults, (room.group.full_avg10 or 0.0) >= PRESSED_AVG10)
              for room in limits[:PLACES_MAX]]
    return found


def _stalled(sample: Sample) -> bool:
    """Return whether tasks of the machine have lately waited for memory."""
    return (sample.some_avg10 or 0.0) >= PRESSED_AVG10


def _pressed_s(last: Place, reading: _Reading, now_s: float) -> float:
    """Return when memory was last seen to be short by what the kernel had to do for it."""
    again = (reading.refaults or 0) - (last.refaults or 0)
    if reading.stalled or (last.refaults is not None and again >= PRESSED_REFAULTS):
        return now_s
    return last.pressed_s


def _place(last: Place, now_s: float, reading: _Reading, started_s: float,
           settings: Settings) -> Place:
    killed = (reading.kills or 0) > (last.kills or 0) if last.kills is not None else False
    left = series.extend(last.left, now_s, reading.left, reading.safe, killed)
    pressed_s = _pressed_s(last, reading, now_s)
    if left is last.left:  # too soon after the last reading: a kill counts with the next one
        return last
    errors, told = _calibrated(last.calibration, forecast(left), now_s, reading.left)
    silent_until_s = max(last.silent_until_s, started_s + START_S)
    if now_s < silent_until_s and reading.left > START_SHARE * reading.safe:
        if any(left.paces):
            silent_until_s = max(silent_until_s, min(now_s + START_RESTS_S,
                                                     started_s + START_MAX_S))
        return Place(last.path, left, None, None, silent_until_s, reading.kills,
                     refaults=reading.refaults, pressed_s=pressed_s, calibration=errors)
    if last.silent_until_s > now_s - 2 * series.EVERY_S and last.since_s is None \
            and reading.left > START_SHARE * reading.safe:
        left, told = series.rested(left), None  # the start has ended: its fall counts no more
    since_s = None
    if told is not None:
        since_s = now_s if last.since_s is None or last.since_s > now_s else last.since_s
    level = Level.OK
    if told is not None and since_s is not None:
        level = shares.level(told, now_s - since_s, last.level, now_s - pressed_s < PRESSED_S,
                             last.path is None, settings)
    return Place(last.path, left, since_s, told, silent_until_s, reading.kills, level,
                 reading.refaults, pressed_s, errors)


def _calibrated(last: Calibration, told: Forecast | None, now_s: float,
                left: float) -> tuple[Calibration, Forecast | None]:
    """Return the errors of this robot's forecasts so far, and the forecast scaled by them."""
    found = exhaustion.checked(last, told, now_s, left)
    if told is None:
        return found, None
    low_s, high_s = exhaustion.scaled(told, found.factor)
    return found, replace(told, low_s=low_s, high_s=high_s)


def soon(place: Place, what: str) -> tuple[Finding, ...]:
    """Return that a place is exhausted soon, at the pace of now."""
    if place.forecast is None or not place.level:
        return ()
    return (Finding(place.level, f'{what} {spoken(place.forecast)} if it goes on like this',
                    times=HELD_TIMES),)


def spoken(told: Forecast) -> str:
    """Return a forecast in words: 'in about 2 min (50 s to 6 min)', 'within 10 s'."""
    if told.high_s <= 10:
        return 'within 10 s'
    if told.middle_s >= 2 * 3600 and told.low_s >= 2 * 3600:
        return 'not within 2 h'
    return (f'in about {duration(told.middle_s)} ({duration(told.low_s)} to '
            f'{duration(told.high_s)})')


def duration(seconds: float) -> str:
    """Return seconds with two significant digits, in the unit that fits."""
    for unit, size in (('s', 1.0), ('min', 60.0), ('h', 3600.0), ('days', 86400.0)):
        value = seconds / size
        if value < 99.5 if unit == 's' else value < 90 or unit == 'days':
            break
    if value < 9.95 and unit != 's':
        return f'{value:.1f} {unit}'.replace('.0 ', ' ')
    digits = 0 if value < 99.5 else 1
    return f'{round(value / 10 ** digits) * 10 ** digits} {unit}'
