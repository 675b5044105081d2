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
The live picture of `oom_sentinel status --watch`: statuses to lines of a given size.

Pure: it knows neither terminal nor sentinel, only what the statuses say.
"""

from collections.abc import Sequence
from dataclasses import dataclass
import unicodedata

from oom_sentinel.cli import output
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status

TINT = {Level.OK: output.GREEN, Level.WARN: output.YELLOW, Level.ERROR: output.RED}
BAR_MIN, BAR_MAX = 10, 40
FRESH = 'known after a while'


@dataclass(frozen=True, slots=True)
class Size:
    """Columns and rows of the terminal."""

    columns: int
    rows: int


@dataclass(frozen=True, slots=True)
class Bar:
    """How much is left of something, 0..100 percent, None unknown, and its status's level."""

    name: str
    percent: float | None
    text: str
    level: Level


def picture(title: str, statuses: Sequence[Status], order: Sequence[str], size: Size,
            color: bool) -> list[str]:
    """Return at most `rows` lines, none wider than `columns`, the most important first."""
    found = {status.name: status for status in statuses}
    lines = [_tinted(clipped(title, size.columns), output.BOLD, color), '']
    lines += [_drawn(bar, size.columns, color) for bar in bars(found)]
    lines.append('')
    for status in statuses:
        text = f'{status.level.name:<5}  {status.name}: {status.message}'
        lines.append(_tinted(clipped(text, size.columns), TINT[status.level], color
                             and status.level > Level.OK))
    if order and len(lines) + 3 <= size.rows:
        room = size.rows - len(lines) - 1
        lines.append('')
        lines += [_tinted(clipped(text, size.columns),
                          output.BOLD if i == 0 else output.RED if i == 1 else '', color)
                  for i, text in enumerate(order[:room])]
    return lines[:size.rows]


def bars(found: dict[str, Status]) -> list[Bar]:
    """Return what is left of memory, swap and the tightest control group, and the rest."""
    made = []
    memory, groups = found.get('Memory'), found.get('Control groups')
    pressure, risk = found.get('Memory pressure'), found.get('OOM risk')
    if memory is not None:
        left = _number(memory, 'MemAvailable (%)')
        made.append(Bar('Memory left', left, _of(left, memory, 'MemTotal (MiB)'), memory.level))
        total, free = _number(memory, 'SwapTotal (MiB)'), _number(memory, 'SwapFree (MiB)')
        share = 100 * free / total if total and free is not None else None
        made.append(Bar('Swap left', share if total else 0.0, _of(share, memory,
                        'SwapTotal (MiB)') if total else 'none', memory.level))
    if groups is not None and (limit := _number(groups, 'limit (MiB)')):
        room = _number(groups, 'headroom (MiB)')
        share = None if room is None else 100 * room / limit
        made.append(Bar('Group left', share, _of(share, groups, 'limit (MiB)') + ' in '
                        + _value(groups, 'tightest'), groups.level))
    if pressure is not None:
        some = _number(pressure, 'some avg10 (%)')
        made.append(Bar('Pressure', some, 'not available' if some is None else
                        f'{some:.1f} % of the last 10 s waited', pressure.level))
    if risk is not None:
        score = _number(risk, 'oom_risk (0..1)')
        when = _value(risk, 'time to exhaustion (s)')
        made.append(Bar('OOM risk', None if score is None else 100 * score,
                        f'time left: {when}{" s" if when[:1].isdigit() else ""}', risk.level))
    return made


def _value(status: Status, key: str) -> str:
    return dict(status.values).get(key, 'unknown')


def _number(status: Status, key: str) -> float | None:
    try:
        return float(_value(status, key))
    except ValueError:
        return None


def _of(percent: float | None, status: Status, key: str) -> str:
    if percent is None:
        return 'unknown'
    return f'{percent:.0f} % of {_value(status, key)} MiB'


def _drawn(bar: Bar, columns: int, color: bool) -> str:
    name = f'{bar.name:<12} '
    width = min(BAR_MAX, columns - len(name) - len(bar.text) - 3)
    if width < BAR_MIN:
        return _tinted(clipped(name + bar.text, columns), TINT[bar.level], color)
    share = 0.0 if bar.percent is None else min(100.0, max(0.0, bar.percent))
    full = round(width * share / 100)
    drawn = f'[{"#" * full}{"-" * (width - full)}]' if bar.percent is not None else (
        f'[{"?" * width}]')
    return name + _tinted(drawn, TINT[bar.level], color) + ' ' + clipped(
        bar.text, columns - len(name) - width - 3)


def _tinted(text: str, tint: str, color: bool) -> str:
    return f'{tint}{text}{output.PLAIN}' if color and tint else text


def clipped(text: str, columns: int) -> str:
    """Return a text that cannot disturb a terminal, cut to its columns, wide ones as two."""
    made, used = [], 0
    for char in output.shown(text, 4 * max(columns, 1) + 4):
        if unicodedata.combining(char):
            continue
        wide = 2 if unicodedata.east_asian_width(char) in 'WF' else 1
        if used + wide > columns:
            break
        made.append(char)
        used += wide
    return ''.join(made)
