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
Plots of a story as SVG that takes its colors from the page; drawn by matplotlib.

matplotlib is optional and imported here only: without it the page shows tables.
"""

from __future__ import annotations

from collections.abc import Sequence
import io
import re
from typing import Any

from oom_sentinel.cli.html.story import Curve
from oom_sentinel.cli.html.story import Mark
from oom_sentinel.cli.html.story import MarkKind
from oom_sentinel.cli.html.story import Story
from oom_sentinel.facts.memory import MIB
from oom_sentinel.settings.outside import printable

# Stand-ins that are replaced by variables of the page's style sheet, light or dark.
INK, GRID, ALARM = '#010203', '#040506', '#070809'
VARIABLES = {INK: 'var(--ink)', GRID: 'var(--grid)', ALARM: 'var(--alarm)'}
COLORS = ('#4c78a8', '#f58518', '#54a24b', '#b279a2', '#e45756', '#72b7b2', '#9d755d',
          '#bab0ac', '#eeca3b', '#ff9da6')
CURVES_SHOWN = 9
POINTS_MAX = 600  # of a line: more cannot be seen and make the page slow
LABEL_MAX = 40


def figures(story: Story) -> list[tuple[str, str]] | None:
    """Return a caption and an SVG for each plot; None where matplotlib is not installed."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        return None
    made: list[tuple[str, str]] = []
    origin, words = _origin(story)
    with matplotlib.rc_context({'svg.fonttype': 'none', 'font.size': 11,
                                'font.family': 'sans-serif', 'axes.edgecolor': GRID,
                                'text.color': INK, 'axes.labelcolor': INK,
                                'xtick.color': INK, 'ytick.color': INK}):
        for caption, draw, unit in (
                ('Available memory and swap', _memory, 'MiB'),
                ('Memory of each node, stacked', _stacked, 'MiB'),
                ('Pressure: share of the last 10 s in which tasks waited for memory', _pressure,
                 '%')):
            figure = Figure(figsize=(7, 3.4), layout='tight')
            axes = figure.add_subplot()
            if not draw(axes, story, origin):
                continue
            _finish(axes, story.marks, origin, unit, words)
            stream = io.BytesIO()
            figure.savefig(stream, format='svg', transparent=True, metadata={'Date': None})
            made.append((caption, _themed(stream.getvalue().decode('utf-8'), len(made))))
    return made


def _origin(story: Story) -> tuple[float, str]:
    """Return the time that the axis counts from: the last kill or stall, else the end."""
    marks = [m for m in story.marks if m.kind is not MarkKind.ALARM]
    if marks:
        return marks[-1].time, f'seconds before and after the {marks[-1].kind.value}'
    times = [m.time for m in story.moments] or [p[0] for c in story.curves for p in c.points]
    return max(times, default=0.0), 'seconds before the end'


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    step = max(1, -(-len(points) // POINTS_MAX))
    return [*points[::step], points[-1]] if points else points


def _memory(axes: Any, story: Story, origin: float) -> bool:
    drawn = False
    for name, label, color in (('available_bytes', 'available', COLORS[0]),
                               ('total_bytes', 'total', GRID),
                               ('swap_used_bytes', 'swap used', COLORS[1])):
        points = _thinned([(m.time, value) for m in story.moments
                           if (value := getattr(m, name)) is not None])
        if not points or (name == 'swap_used_bytes' and not any(v for _, v in points)):
            continue
        x, y = [t - origin for t, _ in points], [v / MIB for _, v in points]
        axes.plot(x, y, label=label, color=color, linewidth=1.8)
        if name == 'available_bytes':
            axes.fill_between(x, y, color=color, alpha=0.2)
        drawn = True
    return drawn


def _pressure(axes: Any, story: Story, origin: float) -> bool:
    drawn = False
    for name, label, color in (('some_percent', 'some tasks', COLORS[1]),
                               ('full_percent', 'all tasks', COLORS[4])):
        points = _thinned([(m.time, value) for m in story.moments
                           if (value := getattr(m, name)) is not None])
        if points:
            axes.plot([t - origin for t, _ in points], [v for _, v in points], label=label,
                      color=color, linewidth=1.8)
            drawn = True
    axes.set_ylim(0, 100)
    return drawn


def _stacked(axes: Any, story: Story, origin: float) -> bool:
    """Draw the largest curves as areas on each other, the rest as one."""
    curves = sorted(story.curves, key=lambda c: max((v for _, v in c.points), default=0.0),
                    reverse=True)
    times = [t for t, _ in _thinned(sorted({(t, 0.0) for c in curves for t, _ in c.points}))]
    if not times:
        return False
    shown, rest = curves[:CURVES_SHOWN], curves[CURVES_SHOWN:]
    heights = [_held(curve, times) for curve in shown]
    labels = [printable(curve.label, LABEL_MAX) for curve in shown]
    if rest:
        heights.append([sum(values) for values in zip(*(_held(c, times) for c in rest))])
        labels.append(f'{len(rest)} others')
    axes.stackplot([t - origin for t in times], heights, labels=labels, colors=COLORS,
                   alpha=0.85)
    return True


def _held(curve: Curve, times: Sequence[float]) -> list[float]:
    """Return what a curve holds at each time in MiB: its last point, 0 before and after it."""
    made, index, points = [], 0, curve.points
    for time in times:
        while index + 1 < len(points) and points[index + 1][0] <= time:
            index += 1
        inside = points[0][0] <= time <= points[-1][0]
        made.append(points[index][1] / MIB if inside else 0.0)
    return made


def _finish(axes: Any, marks: Sequence[Mark], origin: float, unit: str, words: str) -> None:
    """Add marks, legend, units and a grid."""
    low, high = axes.get_xlim()
    for mark in marks:
        at = mark.time - origin
        if mark.kind is not MarkKind.ALARM and low <= at <= high + 0.05 * (high - low):
            axes.axvline(at, color=ALARM, linewidth=2, linestyle='--',
                         label=f'{mark.kind.value}: {printable(mark.text, LABEL_MAX)}')
    axes.set_ylabel(unit)
    axes.set_xlabel(words)
    axes.set_ylim(bottom=0)
    axes.margins(x=0)
    axes.grid(color=GRID, alpha=0.4)
    for side in ('top', 'right'):
        axes.spines[side].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    # A label that begins with _ is hidden by matplotlib, and $ would be set as mathematics.
    labels = [label.replace('$', r'\$') for label in labels]
    axes.legend(handles, labels, loc='upper center', bbox_to_anchor=(0.5, -0.22), frameon=False,
                fontsize=10, ncol=3)


def _themed(svg: str, number: int) -> str:
    """Return the SVG element alone, with the page's colors and ids that no other plot has."""
    svg = svg[svg.index('<svg'):]
    svg = re.sub(r'<metadata>.*?</metadata>', '', svg, flags=re.DOTALL)
    svg = re.sub(r'\sxmlns(:\w+)?="[^"]*"', '', svg).replace('xlink:href', 'href')
    svg = re.sub(r'(<svg[^>]*?)\swidth="[^"]*"', r'\1', svg, count=1)
    svg = re.sub(r'(<svg[^>]*?)\sheight="[^"]*"', r'\1', svg, count=1)
    svg = re.sub(r'(\bid="|url\(#|href="#)', rf'\g<1>p{number}-', svg)
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, variable)
    return svg
