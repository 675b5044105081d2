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

"""Rows of the task table to facts, by the head of the table or by the number of columns."""

from oom_sentinel.facts.kill import OomTask
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report.table import Row

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
