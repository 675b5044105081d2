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
Which columns of a table fit a terminal, and how wide each may be.

Pure arithmetic: it knows no terminal and no rich.
"""

from collections.abc import Sequence
from dataclasses import dataclass

GAP, NARROW_GAP = 2, 1


@dataclass(frozen=True, slots=True)
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
