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
Text and tables on standard output: 80 columns first, by rich, plain where asked for.

Everything that is printed passes through here, so no name from outside reaches the terminal
with a control character in it.  rich is imported when a `Printer` is made, never before.  Which
columns fit is pure arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
import io
import os
import sys
from typing import TYPE_CHECKING

from oom_sentinel.cli import output
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.status import Level

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

GAP, NARROW_GAP = 2, 1


@frozen
class Column:
    """
    One column of a table.

    `least` is the width to which its cells may be cut (with an ellipsis) or, with `wraps`,
    folded; 0 means that they are always shown whole.  `drop` orders what goes when the
    terminal is too narrow: the highest number first, 0 stays.
    """

    name: str
    right: bool = False
    least: int = 0
    wraps: bool = False
    drop: int = 0


def fit(columns: Sequence[Column], natural: Sequence[int], room: int | None
        ) -> tuple[int, dict[int, int]]:
    """
    Return the gap between columns and the width of each column that is kept, by its index.

    :param natural: the width of the widest cell of each column, its name included.
    :param room: columns of the terminal; None: everything at its natural width.
    """
    widths = dict(enumerate(natural))
    if room is None or _total(widths, GAP) <= room:
        return GAP, widths
    # A name keeps a quarter of the line as long as there is a column that may go.
    small = {i: _smallest(columns[i], natural[i], room // 4) for i in widths}
    for index in sorted(widths, key=lambda i: -columns[i].drop):
        if not columns[index].drop or _total(small, NARROW_GAP) <= room:
            break
        del small[index]
    if _total(small, NARROW_GAP) > room:
        small = {i: _smallest(columns[i], natural[i], 0) for i in small}
    left = room - _total(small, NARROW_GAP)
    for index in small:
        more = min(max(left, 0), natural[index] - small[index])
        small[index] += more
        left -= more
    return NARROW_GAP, small


def _smallest(column: Column, natural: int, wanted: int) -> int:
    """Return the width to which a column may shrink."""
    if not column.least:
        return natural
    return min(natural, column.least if column.wraps else max(column.least, wanted))


def _total(widths: dict[int, int], gap: int) -> int:
    """Return the width of a line of these columns."""
    return sum(widths.values()) + gap * max(0, len(widths) - 1)


BOLD, RED = 'bold', 'red'
LEVEL_STYLES = {Level.OK: 'green', Level.WARN: 'yellow', Level.ERROR: 'red'}
SEVERITY_STYLES = {Severity.INFO: BOLD, Severity.WARNING: 'yellow', Severity.ERROR: 'red'}
CELL_MAX = 4000
UNBOUNDED = 1 << 16  # columns of what is no terminal: nothing is wrapped or cut


def terminal_width() -> int | None:
    """Return the columns of the terminal, or of COLUMNS; None where neither says so."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        said = os.environ.get('COLUMNS', '')
        return int(said) if said.isascii() and said.isdigit() and 0 < len(said) < 6 else None


def new_console(color: bool, width: int | None, **options: object) -> Console:
    """
    Return a rich console that changes nothing in a text: no markup, emoji or highlighting.

    :raises Unusable: where rich is not installed.
    """
    try:
        from rich.console import Console
    except ImportError as error:
        raise output.Unusable('printing needs rich (apt-get install python3-rich, or pip install '
                              'rich); --json works without it') from error
    given = {'force_terminal': color, 'no_color': not color, 'width': width or UNBOUNDED,
             'color_system': 'standard' if color else None, 'highlight': False, 'markup': False,
             'emoji': False, 'legacy_windows': False, **options}
    return Console(**given)  # type: ignore[arg-type]


def make_table(columns: Sequence[Column], rows: Sequence[Sequence[str]],
               styles: Sequence[str] = (), width: int | None = None) -> Table:
    """
    Return a rich table that fits a width.

    :param styles: the style of each row, from the first on; later rows are plain.
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text
    cells = [[output.shown(cell, CELL_MAX) for cell in row] for row in rows]
    natural = [max([cell_len(column.name), *(cell_len(row[i]) for row in cells)])
               for i, column in enumerate(columns)]
    gap, widths = fit(columns, natural, width)
    table = Table(box=None, padding=(0, gap, 0, 0), pad_edge=False, show_edge=False,
                  header_style=BOLD)
    for index, cell_width in widths.items():
        column = columns[index]
        table.add_column(Text(column.name), justify='right' if column.right else 'left',
                         width=cell_width, no_wrap=not column.wraps,
                         overflow='fold' if column.wraps else 'ellipsis')
    for number, row in enumerate(cells):
        table.add_row(*(Text(row[i]) for i in widths),
                      style=styles[number] if number < len(styles) else '')
    return table


class Printer:
    """Prints lines, labelled entries and tables of one verb."""

    def __init__(self, color: str = 'auto') -> None:
        """
        Look at the terminal.

        :param color: 'auto', 'always' or 'never'.
        :raises Unusable: where rich is not installed.
        """
        self.color = output.colored(color)
        self.width = terminal_width()
        self._console = new_console(self.color, self.width, file=io.StringIO())

    def line(self, text: str, style: str = '', indent: int = 0) -> None:
        """Print a text, wrapped between words at the width; later lines are indented."""
        self.entry('', text, indent=indent, style=style)

    def entry(self, label: str, text: str, label_style: str = '', indent: int | None = None,
              style: str = '') -> None:
        """
        Print a label and a text that is wrapped beside it.

        :param indent: columns of the later lines; the label's width when None.
        """
        from rich.text import Text
        hang = len(label) if indent is None else indent
        shown = Text(output.shown(label, CELL_MAX), style=label_style)
        shown.append_text(Text(output.shown(text, CELL_MAX), style=style))
        wrapped = shown.wrap(self._console, self.width or UNBOUNDED)
        if len(wrapped) > 1 and hang:
            head = wrapped[0]
            rest = Text(shown.plain[len(head.plain):].lstrip(), style=style)
            room = max(10, (self.width or UNBOUNDED) - hang)
            wrapped = [head, *(Text(' ' * hang).append_text(t)  # type: ignore[assignment]
                               for t in rest.wrap(self._console, room))]
        for part in wrapped:
            self.show(part)

    def command(self, text: str, indent: int = 0) -> None:
        """Print a command to copy: never wrapped or cut by us."""
        output.say(' ' * indent + output.shown(text, CELL_MAX))

    def table(self, columns: Sequence[Column], rows: Sequence[Sequence[str]],
              styles: Sequence[str] = ()) -> None:
        """Print a table that fits the terminal; see `make_table`."""
        self.show(make_table(columns, rows, styles, self.width))

    def show(self, renderable: RenderableType) -> None:
        """Print anything that rich can draw, without blanks at the ends of lines."""
        with self._console.capture() as captured:
            self._console.print(renderable)
        for text in captured.get().splitlines() or ['']:
            output.write(text.rstrip(' ') + '\n')
