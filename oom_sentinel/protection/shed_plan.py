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
Decide what to shed: which place is short of memory, and which process to end for it.

Pure: facts and settings go in.  Only processes of a group that asks for it are chosen, of this
user, never one that is protected.  The steps that follow are those of `shed_steps`.
"""


from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Candidate
from oom_sentinel.facts.shedding import Shortage
from oom_sentinel.facts.shedding import Step
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.protection import grouping
from oom_sentinel.protection.shed_steps import State
from oom_sentinel.risk import Assessment
from oom_sentinel.risk import headroom
from oom_sentinel.risk.exhaustion import Forecast
from oom_sentinel.settings import Settings

LEAST_SHARE = 0.01  # of the place: a process that would free less is not worth it
ANNOUNCE = 2.0  # times shed.exhaustion_s: what is about to happen is said from then on
# A large job that takes memory for ten seconds looks like a leak until it stops, so a forecast
# alone ends nothing: less must be left than the warn level, or the end be as near as this.
AT_ONCE_S = 1.0
UNCERTAIN_S = 2.0  # until something is shed, at least, while the forecast is not certain


def shortages(sample: Sample, assessment: Assessment,
              settings: Settings) -> tuple[Shortage, ...]:
    """
    Return the places that are or will soon be short of memory, the most urgent first.

    Of two as urgent the machine comes last: in a control group fewer processes help.
    """
    found = []
    forecasts = {path: (forecast, level) for path, forecast, level in assessment.forecasts}
    warn_share = settings.memory_available_warn_percent / 100
    for place in places(sample):
        forecast, level = forecasts.get(place.path, (None, Level.OK))
        above_bytes = place.available_bytes - warn_share * place.total_bytes
        if above_bytes < 0 and place.full_avg10 > settings.shed_full_avg10:
            found.append(Shortage(place.path, place.total_bytes, place.left_bytes, None, 0.0,
                                  'tasks wait for memory most of the time'))
        elif forecast is not None and level > Level.OK and _is_near(forecast, settings):
            pace = place.left_bytes / max(forecast.middle_s, 0.1)
            found.append(Shortage(
                place.path, place.total_bytes, place.left_bytes, pace,
                _due_s(forecast, settings, above_bytes / max(pace, 1.0)),
                f'memory would be exhausted in about {forecast.middle_s:.0f} s'))
    return tuple(sorted(found, key=lambda shortage: (shortage.due_s, shortage.path is None)))


def _is_near(forecast: Forecast, settings: Settings) -> bool:
    """Return whether an end of memory is so near that what is about to happen is said."""
    limit_s = ANNOUNCE * settings.shed_exhaustion_s
    return forecast.middle_s < limit_s and forecast.high_s < ANNOUNCE * limit_s


def _due_s(forecast: Forecast, settings: Settings, until_warn_s: float) -> float:
    """
    Return in how many seconds a process is shed, 0 when it is time.

    :param until_warn_s: until as little is left as the warn level, at the present pace.
    """
    limit_s = settings.shed_exhaustion_s
    if forecast.high_s >= ANNOUNCE * limit_s:
        return max(UNCERTAIN_S, forecast.middle_s - limit_s)
    until_last_s = forecast.middle_s - min(AT_ONCE_S, limit_s)
    return max(0.0, forecast.middle_s - limit_s, min(until_warn_s, until_last_s))


def now(sample: Sample) -> tuple[Shortage, ...]:
    """Return every place as if it were short now, the fullest first, as `~/shed` asks."""
    return tuple(Shortage(place.path, place.total_bytes, place.left_bytes, None, 0.0,
                          'asked for by ~/shed')
                 for place in sorted(places(sample), key=lambda p: p.left_bytes / p.total_bytes))


@frozen
class Place:
    """
    The machine (`path` None) or a limited control group, in bytes.

    `left_bytes` can be taken before its OOM, swap included; `available_bytes` is memory alone:
    without it everything waits for swap, the control loop too.  `full_avg10` is the pressure
    of the place in percent, 0 where it is not known.
    """

    path: str | None
    total_bytes: int
    left_bytes: int
    available_bytes: int
    full_avg10: float = 0.0


def places(sample: Sample) -> tuple[Place, ...]:
    """Return each place whose memory is known."""
    found, info, pressure = [], sample.meminfo, sample.pressure
    full = 0.0 if isinstance(pressure, Unavailable) or pressure.full is None \
        else pressure.full.avg10
    if not isinstance(info, Unavailable):
        left = headroom.machine_bytes(info, sample.swaps)
        if left is not None and info.mem_available_bytes is not None:
            found.append(Place(None, info.mem_total_bytes, left, info.mem_available_bytes,
                               full))
    return (*found, *(
        # cgroup v1 measures no pressure of a group: there that of the machine counts.
        Place(room.group.path, room.group.limit_bytes, room.until_oom_bytes, room.left_bytes,
              full if room.group.full_avg10 is None else room.group.full_avg10)
        for room in headroom.limits(sample.chains, info) if room.group.limit_bytes))


def candidates(targets: tuple[Target, ...], assessment: Assessment, settings: Settings,
               uid: int) -> tuple[Candidate, ...]:
    """Return the processes that may be shed at all."""
    growth = dict(assessment.growth)
    found = []
    for target in targets:
        process, group = target.process, settings.group(target.group)
        if group is None or not group.shed or group.oom_score_adj < 0 or target.wanted < 0:
            continue
        if process.uid != uid or process.memory is None or process.kernel_thread:
            continue
        nodes, others = grouping.nodes_by_group(process, group, settings)
        # A signal would end the nodes of other groups too.
        steps = tuple(Step(name) for name in group.shed
                      if not others or name == Step.DEACTIVATE.value)
        if not steps:
            continue
        memory, share = process.memory, len(nodes) / (len(nodes) + len(others)) if others else 1.0
        frees = memory.rss_bytes - (memory.file_bytes or 0) + memory.swap_bytes
        found.append(Candidate(process, group.name, target.wanted, steps,
                               max(0, int(share * frees)),
                               max(0.0, growth.get(process.identity, 0.0)), nodes))
    return tuple(found)


def choose(shortage: Shortage, among: tuple[Candidate, ...], state: State, sample: Sample,
           target_s: float) -> Candidate | None:
    """
    Return the cheapest process that buys `target_s` seconds in this place, None without any.

    The least important group comes first.  In it the smallest process that buys enough is
    taken, and when none does, the one that buys most.
    """
    inside = None if shortage.path is None else dict(sample.members).get(shortage.path,
                                                                         frozenset())
    useful = [c for c in among
              if (inside is None or c.process.pid in inside)
              and c.frees_bytes >= LEAST_SHARE * shortage.total_bytes
              and c.kind not in state.useless and c.process.identity not in state.spared
              and all(c.process.identity != e.candidate.process.identity
                      for e in state.endings)]
    if not useful:
        return None
    last = max(c.group_value for c in useful)
    useful = [c for c in useful if c.group_value == last]
    wanted = (shortage.pace_bytes_per_s or 0.0) * target_s
    enough = [c for c in useful if c.frees_bytes + c.grows_bytes_per_s * target_s >= wanted]
    if enough:
        return min(enough, key=lambda c: (c.frees_bytes, c.process.pid))
    return max(useful, key=lambda c: (c.frees_bytes + c.grows_bytes_per_s * target_s,
                                      -c.process.pid))
