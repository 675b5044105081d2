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
What is left of memory, the pressure and the risk, and how fast each process grew.

Pure: it reads the values that the statuses carry and knows no terminal.
"""

from collections import deque
from collections.abc import Iterable

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status


@frozen
class Gauge:
    """One number of 0..100 percent, None when unknown, in words, with its status's level."""

    name: str
    percent: float | None
    text: str
    level: Level


def gauges(statuses: Iterable[Status]) -> list[Gauge]:
    """Return the gauges that these statuses have values for."""
    found = {status.name: status for status in statuses}
    made: list[Gauge] = []
    if (memory := found.get('Memory')) is not None:
        left = _number(memory, 'MemAvailable (%)')
        made += [Gauge('Memory left', left, _of(left, memory, 'MemTotal (MiB)'), memory.level),
                 _swap(memory)]
    if (groups := found.get('Control groups')) is not None:
        made += _group(groups)
    if (pressure := found.get('Memory pressure')) is not None:
        some = _number(pressure, 'some avg10 (%)')
        made.append(Gauge('Pressure', some, 'not available' if some is None else
                          f'{some:.1f} % of the last 10 s waited', pressure.level))
    if (risk := found.get('OOM risk')) is not None:
        made.append(_risk(risk))
    return made


def _swap(memory: Status) -> Gauge:
    total, free = _number(memory, 'SwapTotal (MiB)'), _number(memory, 'SwapFree (MiB)')
    if total == 0:
        return Gauge('Swap left', 0.0, 'no swap', memory.level)
    share = None if total is None or free is None else 100 * free / total
    return Gauge('Swap left', share, _of(share, memory, 'SwapTotal (MiB)'), memory.level)


def _group(groups: Status) -> list[Gauge]:
    limit, room = _number(groups, 'limit (MiB)'), _number(groups, 'headroom (MiB)')
    if not limit:
        return []
    share = None if room is None else 100 * room / limit
    return [Gauge('Group left', share, _of(share, groups, 'limit (MiB)') + ' in '
                  + _value(groups, 'tightest'), groups.level)]


def _risk(risk: Status) -> Gauge:
    score, when = _number(risk, 'oom_risk (0..1)'), _value(risk, 'time to exhaustion (s)')
    unit = ' s' if when[:1].isdigit() else ''
    return Gauge('OOM risk', None if score is None else 100 * score,
                 f'time left: {when}{unit}', risk.level)


def _value(status: Status, key: str) -> str:
    return dict(status.values).get(key, 'unknown')


def _number(status: Status, key: str) -> float | None:
    try:
        value = float(_value(status, key))
    except ValueError:
        return None
    return value if abs(value) < 1e18 else None


def _of(percent: float | None, status: Status, key: str) -> str:
    if percent is None:
        return 'unknown'
    return f'{percent:.0f} % of {_value(status, key)} MiB'


SPAN_S = 60.0
LEAST_S = 5.0  # two readings closer than this say nothing about a minute


class Growth:
    """Keeps what each process held (RSS and swap) for a minute; forgets those that ended."""

    def __init__(self) -> None:
        """Start without any process."""
        self._held: dict[Identity, deque[tuple[float, int]]] = {}

    def take(self, now_s: float, processes: Iterable[Process]) -> None:
        """Remember what these processes hold now; all others are forgotten."""
        kept: dict[Identity, deque[tuple[float, int]]] = {}
        for process in processes:
            if process.memory is None:
                continue
            points = self._held.get(process.identity, deque())
            points.append((now_s, process.memory.rss_bytes + process.memory.swap_bytes))
            while now_s - points[0][0] > SPAN_S:
                points.popleft()
            kept[process.identity] = points
        self._held = kept

    def mib_per_min(self, process: Process) -> float | None:
        """Return the growth, None until the process has been watched long enough."""
        points = self._held.get(process.identity)
        if not points or points[-1][0] - points[0][0] < LEAST_S:
            return None
        (first_s, first), (last_s, last) = points[0], points[-1]
        return (last - first) / MIB / (last_s - first_s) * 60
