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

"""The task table of a report: its head and its rows (mm/oom_kill.c, dump_task())."""

from dataclasses import dataclass
from functools import lru_cache
import re

from oom_sentinel.kills.oom_report.record import unescape

TASK_COMM_LEN = 16
TABLE = re.compile(rb'\[ *pid *\] +(uid .{0,400})')
ROW = re.compile(rb'\[ *(\d{1,10})\]')


@lru_cache(maxsize=32)
def _row(columns: int) -> re.Pattern[bytes]:
    return re.compile(rb'\[ *(\d{1,10})\]((?:\s+-?\d{1,20}){%d})(?: (.*)|$)' % columns)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the task table: PID, the numbers of its columns, and the name."""

    pid: int
    numbers: tuple[int, ...]
    name: bytes


def row(line: bytes, columns: int | None, escaped: bool) -> Row | None:
    """
    Return a row of the table, None for any other line.

    :param columns: how many numbers follow the PID; None when the head of the table is cut off:
    then one of the layouts with 10, 8 or 7 columns, the widest that fits.
    """
    for count in (10, 8, 7) if columns is None else (columns,):
        m = _row(count).match(line)
        if m is not None:
            name = (m.group(3) or b'')[:4 * TASK_COMM_LEN]
            return Row(int(m.group(1)), tuple(map(int, m.group(2).split())),
                       unescape(name) if escaped else name)
    return None
