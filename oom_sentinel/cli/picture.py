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
The live picture of `oom_sentinel status --watch`: what fits a terminal of any size.

The title, the gauges, every alarm in full and the first three of the kill order come before
anything else; the rest is reached by scrolling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oom_sentinel.cli.gauges import Gauge
from oom_sentinel.cli.gauges import gauges
from oom_sentinel.cli.order import COLUMNS
from oom_sentinel.cli.output import shown
from oom_sentinel.cli.printer import Column
from oom_sentinel.cli.printer import LEVEL_STYLES
from oom_sentinel.cli.printer import make_table
from oom_sentinel.cli.printer import RED
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
    from rich.segment import Segment

AT = 7  # where growth stands: after RSS
ORDER_COLUMNS = (*COLUMNS[:AT], Column('MiB/min', right=True, drop=1), *COLUMNS[AT:])
ORDER_LEAST = 4  # its heading and three rows
BARS_ROWS, BARS_COLUMNS = 20, 60  # a smaller terminal has the numbers as text
TEXT_MAX = 2000
FOOTER = 'q ends   ? keys and columns'
HELP = (
    'q, ctrl-c   end', '?           this text, and back', 'up, k       scroll up',
    'down, j     scroll down', 'page up/dn  scroll by a page', 'home, g     to the top', '',
    'RANK        1 is killed next', 'BADNESS     what the kernel compares, in pages',
    'SHARE       badness as a share of the memory at stake', 'ADJ         oom_score_adj',
    'RSS, SWAP   MiB in memory, MiB in swap', 'MiB/min     growth over the last minute',
    'SCORE       /proc/PID/oom_score', 'GROUP       protection group', '',
    'Pressure: share of the last 10 s in which a task waited for memory.',
    'Time left: until a limit is reached at the present pace.')


class Picture:
    """What is drawn next; `scroll` and `help` change with keys."""

    def __init__(self, title: str) -> None:
        """Begin at the top, with nothing to show yet."""
        self.title = title
        self.statuses: tuple[Status, ...] = ()
        self.order: Sequence[Sequence[str]] = ()
        self.scroll = 0
        self.help = False
        self._page = 1

    def press(self, key: str) -> bool:
        """Take a key; return False when it ends the picture."""
        steps = {'up': -1, 'k': -1, 'down': 1, 'j': 1, 'page up': -self._page,
                 'page down': self._page, ' ': self._page}
        if key == '?':
            self.help, self.scroll = not self.help, 0
        elif key in ('home', 'g'):
            self.scroll = 0
        self.scroll = max(0, self.scroll + steps.get(key, 0))
        return key not in ('q', 'Q')

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield exactly as many lines as the terminal has."""
        from rich.segment import Segment
        width, height = max(options.max_width, 1), max(options.size.height, 1)
        inner = options.update(width=width, height=None)  # rich 11 has no reset_height()
        lines = self._lines(console, inner, height - 1)
        self._page = max(1, height - 2)
        self.scroll = min(self.scroll, max(0, len(lines) - (height - 1)))
        window = lines[self.scroll:self.scroll + height - 1]
        window += [[] for _ in range(height - 1 - len(window))]
        more = len(lines) - self.scroll - (height - 1)
        footer = FOOTER + (f'   down: {more} more lines' if more > 0 else '')
        last = self._drawn(console, inner, _one_line(footer, 'dim'))
        for number, line in enumerate([*window, *last][:height]):
            if number:
                yield Segment.line()
            yield from Segment.adjust_line_length(line, width)

    def _drawn(self, console: Console, options: ConsoleOptions,
               renderable: RenderableType) -> list[list[Segment]]:
        return console.render_lines(renderable, options, pad=False)

    def _lines(self, console: Console, options: ConsoleOptions,
               room: int) -> list[list[Segment]]:
        """Return every line, in the order of what must be seen first."""
        def drawn(*renderables: RenderableType) -> list[list[Segment]]:
            return [line for r in renderables for line in self._drawn(console, options, r)]

        lines = drawn(_one_line(self.title, 'bold'))
        if self.help:
            return lines + drawn(*(_text(text) for text in HELP))
        bars = room >= BARS_ROWS and options.max_width >= BARS_COLUMNS
        lines += drawn(*_gauges(gauges(self.statuses), bars))
        alarms = drawn(*(_status(s) for s in self.statuses if s.level > Level.OK))
        calm = drawn(*(_status(s) for s in self.statuses if s.level == Level.OK))
        for_order = max(room - len(lines) - len(alarms) - len(calm), ORDER_LEAST)
        order = drawn(make_table(ORDER_COLUMNS, self.order[:for_order - 1], (RED,),
                                 options.max_width)) if self.order else []
        if len(lines) + len(alarms) + ORDER_LEAST > room:
            return lines + order + alarms + calm
        return lines + alarms + order + calm


def _text(text: str, style: str = '') -> RenderableType:
    from rich.text import Text
    return Text(shown(text, TEXT_MAX), style=style)


def _one_line(text: str, style: str = '') -> RenderableType:
    from rich.text import Text
    return Text(shown(text, TEXT_MAX), style=style, no_wrap=True, overflow='ellipsis')


def _status(status: Status) -> RenderableType:
    """Return an alarm in full, or a calm status on one line."""
    text = f'{status.level.name:<5} {status.name}: {status.message}'
    if status.level > Level.OK:
        return _text(text, LEVEL_STYLES[status.level])
    return _one_line(text)


def _gauges(found: Sequence[Gauge], bars: bool) -> list[RenderableType]:
    """Return a bar for each gauge, or in a small terminal all of them as one text."""
    from rich.table import Table
    if not bars:
        return [_text(', '.join(f'{g.name} {g.text}' for g in found))] if found else []
    table = Table.grid(padding=(0, 1))
    table.add_column(no_wrap=True)
    table.add_column(width=20)
    table.add_column(no_wrap=True, overflow='ellipsis')
    for gauge in found:
        table.add_row(_one_line(gauge.name), _bar(gauge), _one_line(gauge.text))
    return [table]


def _bar(gauge: Gauge) -> RenderableType:
    from rich.progress_bar import ProgressBar
    if gauge.percent is None:
        return _one_line('?')
    style = LEVEL_STYLES[gauge.level]
    return ProgressBar(total=100, completed=min(100.0, max(0.0, gauge.percent)), width=20,
                       complete_style=style, finished_style=style)
