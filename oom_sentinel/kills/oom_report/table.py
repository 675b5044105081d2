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

"""The task table of a report: its head, its rows (mm/oom_kill.c, dump_task()), and their facts."""

from functools import lru_cache
import re

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report.record import unescape

TASK_COMM_LEN = 16
TABLE = re.compile(rb'\[ *pid *\] +(uid .{0,400})')
ROW = re.compile(rb'\[ *(\d{1,10})\]')


@lru_cache(maxsize=32)
def _row(columns: int) -> re.Pattern[bytes]:
    return re.compile(rb'\[ *(\d{1,10})\]((?:\s+-?\d{1,20}){%d})(?: (.*)|$)' % columns)


@frozen
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


_TABLES = ('nr_ptes', 'nr_pmds', 'nr_puds')
# The layouts without a head: what follows uid, tgid, total_vm and rss is not certain.
_HEADLESS = {
    7: ('uid', 'tgid', 'total_vm', 'rss', '', 'swapents', 'oom_score_adj'),
    8: ('uid', 'tgid', 'total_vm', 'rss', '', '', 'swapents', 'oom_score_adj'),
    10: ('uid', 'tgid', 'total_vm', 'rss', '', '', '', 'pgtables_bytes', 'swapents',
         'oom_score_adj'),
}


def named(columns: tuple[str, ...] | None, row: Row) -> dict[str, int]:
    """Return the numbers of a row by the names of their columns."""
    names = columns or _HEADLESS.get(len(row.numbers), ())
    return {name: value for name, value in zip(names, row.numbers) if name}


def task(row: Row, named: dict[str, int], page_size: int | None) -> OomTask:
    """Return the facts of a row; without the page size page tables are None on old kernels."""
    table_bytes = named.get('pgtables_bytes')
    pages = table_pages(named)
    if table_bytes is None and pages is not None and page_size is not None:
        table_bytes = pages * page_size
    return OomTask(
        pid=row.pid, uid=named.get('uid'), tgid=named.get('tgid'),
        total_vm_pages=named.get('total_vm'), rss_pages=named.get('rss'),
        page_table_bytes=table_bytes, swap_entries=named.get('swapents'),
        oom_score_adj=named.get('oom_score_adj'), name=message.text(row.name))


def table_pages(named: dict[str, int]) -> int | None:
    """Return nr_ptes and what 4.x printed beside it, in pages."""
    counts = [named[name] for name in _TABLES if name in named]
    return sum(counts) if counts else None
