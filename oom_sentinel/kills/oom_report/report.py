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

"""A report and its "Killed process" line, made into the facts of an OomKill."""

from dataclasses import replace

from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.kill import THE_KERNEL_SAID_SO
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import predict
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.message import Row
from oom_sentinel.kills.oom_report.predict import Rated
from oom_sentinel.kills.oom_report.record import Record

MEMCG = 'CONSTRAINT_MEMCG'
_TABLES = ('nr_ptes', 'nr_pmds', 'nr_puds')
# The layouts without a head: what follows uid, tgid, total_vm and rss is not certain.
_HEADLESS = {
    7: ('uid', 'tgid', 'total_vm', 'rss', '', 'swapents', 'oom_score_adj'),
    8: ('uid', 'tgid', 'total_vm', 'rss', '', '', 'swapents', 'oom_score_adj'),
    10: ('uid', 'tgid', 'total_vm', 'rss', '', '', '', 'pgtables_bytes', 'swapents',
         'oom_score_adj'),
}


def finish(draft: Draft, killed: Killed, record: Record, source: str | None) -> OomKill:
    """Return the facts of a kill."""
    columns = draft.columns or ()
    total_vm = killed.total_vm_bytes
    rows = [(row, _named(draft, row)) for row in draft.rows]
    tasks = tuple(_task(row, named, None) for row, named in rows)
    page_size = predict.page_size_of(total_vm, _found(tasks, killed.pid), tasks, draft.scene)
    if page_size is not None:
        tasks = tuple(_task(row, named, page_size) for row, named in rows)
    victim = _found(tasks, killed.pid)
    said = draft.parsed_summary(killed.printed)
    choice = draft.choice
    memcg = (draft.scene.memcg or _of_memcg(killed.message)
             or (choice is not None and _of_memcg(choice.message)))
    draft.scene.memcg = memcg
    page_tables = _page_tables(killed, victim)
    bounds = predict.totalpages_of(draft.scene, tasks, page_size)
    predicted, disagreement = _prediction(draft, killed, tasks, rows, columns, page_size,
                                          bounds)
    return OomKill(
        victim_pid=killed.pid, victim_comm=message.text(killed.comm),
        victim_uid=_first(killed.uid, said.uid if said.pid == killed.pid else None,
                          victim.uid if victim else None),
        time=record.wall_s, boot_time_s=record.boot_s, kernel_format=killed.kernel_format,
        trigger_comm=None if draft.trigger is None else message.text(draft.trigger),
        constraint=MEMCG if memcg else said.constraint,  # 5.0 to 5.2 say CONSTRAINT_NONE
        total_vm_bytes=total_vm, anon_rss_bytes=killed.sizes.get(b'anon-rss'),
        file_rss_bytes=killed.sizes.get(b'file-rss'),
        shmem_rss_bytes=killed.sizes.get(b'shmem-rss'),
        page_table_bytes=page_tables,
        oom_score_adj=_first(killed.oom_score_adj, victim.oom_score_adj if victim else None),
        score=choice.score if choice is not None else None,
        oom_memcg=_path(said.oom_memcg or draft.limit or (draft.stats if memcg else None)),
        task_memcg=_path(said.task_memcg or draft.limited),
        tasks=tasks, page_size=page_size,
        totalpages=bounds[0] if bounds is not None and bounds[0] == bounds[1] else None,
        predicted_victim_pid=predicted, disagreement=disagreement, source=source,
        certainty=THE_KERNEL_SAID_SO,
        lines=_lines(draft.lines))


def member(draft: Draft, first: OomKill, killed: Killed, record: Record) -> OomKill:
    """Return the facts of another kill of the report: of its control group's members."""
    row = draft.by_pid.get(killed.pid)
    named = {} if row is None else _named(draft, row)
    task = None if row is None else _task(row, named, first.page_size)
    group = '' if draft.group is None else message.text(draft.group)
    return replace(
        first, victim_pid=killed.pid, victim_comm=message.text(killed.comm),
        victim_uid=_first(killed.uid, task.uid if task else None),
        time=record.wall_s, boot_time_s=record.boot_s, kernel_format=killed.kernel_format,
        total_vm_bytes=killed.total_vm_bytes, anon_rss_bytes=killed.sizes.get(b'anon-rss'),
        file_rss_bytes=killed.sizes.get(b'file-rss'),
        shmem_rss_bytes=killed.sizes.get(b'shmem-rss'),
        page_table_bytes=_page_tables(killed, task),
        oom_score_adj=_first(killed.oom_score_adj, task.oom_score_adj if task else None),
        score=None, task_memcg=group or None,
        disagreement=f'killed with its whole control group {group} (memory.oom.group)',
        lines=_lines(draft.lines[-1:]))


def _lines(lines: list[bytes]) -> tuple[str, ...]:
    return tuple(line.decode('utf-8', 'backslashreplace') for line in lines)


def only_chosen(draft: Draft, record: Record, source: str | None) -> OomKill | None:
    """Return what a lone "Kill process N ... or sacrifice child" says: a child may have died."""
    choice = draft.choice
    if choice is None:
        return None
    return OomKill(
        victim_pid=choice.pid, victim_comm=message.text(choice.comm), time=record.wall_s,
        boot_time_s=record.boot_s, constraint=MEMCG if _of_memcg(choice.message) else None,
        score=choice.score, source=source, certainty=INFERRED,
        disagreement='the log holds only the choice: a child may have died in its place',
        lines=_lines(draft.lines))


def _found(tasks: tuple[OomTask, ...], pid: int) -> OomTask | None:
    return next((task for task in tasks if task.pid == pid), None)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _path(path: bytes | None) -> str | None:
    return None if path is None else message.text(path)


def _of_memcg(said: bytes | None) -> bool:
    return said is not None and said.startswith(b'Memory cgroup')


def _named(draft: Draft, row: Row) -> dict[str, int]:
    names = draft.columns or _HEADLESS.get(len(row.numbers), ())
    return {name: value for name, value in zip(names, row.numbers) if name}


def _task(row: Row, named: dict[str, int], page_size: int | None) -> OomTask:
    table_bytes = named.get('pgtables_bytes')
    pages = _table_pages(named)
    if table_bytes is None and pages is not None and page_size is not None:
        table_bytes = pages * page_size
    return OomTask(
        pid=row.pid, uid=named.get('uid'), tgid=named.get('tgid'),
        total_vm_pages=named.get('total_vm'), rss_pages=named.get('rss'),
        page_table_bytes=table_bytes, swap_entries=named.get('swapents'),
        oom_score_adj=named.get('oom_score_adj'), name=message.text(row.name))


def _table_pages(named: dict[str, int]) -> int | None:
    """Return nr_ptes and what 4.x printed beside it, in pages."""
    counts = [named[name] for name in _TABLES if name in named]
    return sum(counts) if counts else None


def _page_tables(killed: Killed, victim: OomTask | None) -> int | None:
    """
    Return the victim's page tables in bytes.

    Until 5.6 (and 5.4 stable) pgtables: printed bytes and called them kB: the table tells.
    """
    said = killed.sizes.get(b'pgtables')
    known = victim.page_table_bytes if victim is not None else None
    if said is None:
        return known
    if known is not None and known * 1024 == said:
        return known
    return said


def _prediction(draft: Draft, killed: Killed, tasks: tuple[OomTask, ...],
                rows: list[tuple[Row, dict[str, int]]], columns: tuple[str, ...],
                page_size: int | None,
                bounds: tuple[int, int] | None) -> tuple[int | None, str | None]:
    """Return the PID that the table predicts, and why the kernel's choice is another."""
    chosen = draft.choice.pid if draft.choice is not None else killed.pid
    if not rows and chosen != killed.pid:
        return None, _child(chosen, killed.pid)
    if not rows:
        return None, 'the log holds no task table (rate-limited, cut, or vm.oom_dump_tasks=0)'
    if draft.columns is None:
        return None, 'the head of the task table is cut off'
    if draft.cut:
        return None, 'the task table has more rows than are kept'
    rated = []
    for task, (_, named) in zip(tasks, rows):
        pages = _table_pages(named)
        if pages is None and task.page_table_bytes is not None and page_size is not None:
            pages = task.page_table_bytes // page_size
        pages = predict.held(task, pages)
        if pages is None:
            return None, ('the page size is unknown' if page_size is None else
                          'the task table of this kernel lacks swap or page tables')
        if task.pid not in draft.dead:
            rated.append(Rated(task, pages))
    rules = predict.rules_of(draft.scene.kernel, killed.kernel_format, columns)
    predicted, why = predict.predict(tuple(rated), bounds, rules, chosen)
    if predicted == killed.pid:
        return predicted, None
    if predicted is not None and predicted == chosen:
        return predicted, _child(chosen, killed.pid)
    return predicted, why or _why(draft, killed, chosen, predicted, rated)


def _child(chosen: int, victim: int) -> str:
    return f'PID {chosen} was chosen and its child {victim} sacrificed (kernels before 5.1)'


def _why(draft: Draft, killed: Killed, chosen: int, predicted: int | None,
         rated: list[Rated]) -> str:
    """Return why the kernel chose another than the table's worst."""
    said = killed.message or (draft.choice.message if draft.choice is not None else b'')
    if b'oom_kill_allocating_task' in said:
        return 'vm.oom_kill_allocating_task kills the task that asked for memory'
    if said.startswith(b'No available memory'):
        return 'the task that asked was bound to memory nodes and is killed itself'
    constraint = draft.parsed_summary().constraint
    if constraint in ('CONSTRAINT_CPUSET', 'CONSTRAINT_MEMORY_POLICY'):
        return f'{constraint}: only tasks that may use the short memory nodes are candidates'
    if not any(entry.task.pid == chosen for entry in rated):
        return f'PID {chosen} is not in the task table'
    return (f'PID {predicted} has more badness in the table; it may have been exiting, '
            'already reaped, or in vfork, or grown after the choice')
