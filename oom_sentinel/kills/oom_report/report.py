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
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.kill import THE_KERNEL_SAID_SO
from oom_sentinel.kills.oom_report import cause
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import predict
from oom_sentinel.kills.oom_report import table as tasks_of
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.message import Reaped
from oom_sentinel.kills.oom_report.predict import verdict
from oom_sentinel.kills.oom_report.record import Record
from oom_sentinel.kills.oom_report.record import unescape

MEMCG = 'CONSTRAINT_MEMCG'


def finish(draft: Draft, killed: Killed, record: Record, source: str | None) -> OomKill:
    """Return the facts of a kill."""
    columns = draft.columns or ()
    total_vm = killed.total_vm_bytes
    rows = [(row, tasks_of.named(draft.columns, row)) for row in draft.rows]
    tasks = tuple(tasks_of.task(row, named, None) for row, named in rows)
    page_size = predict.page_size_of(total_vm, _found(tasks, killed.pid), tasks, draft.scene)
    if page_size is not None and 'pgtables_bytes' not in columns:
        tasks = tuple(tasks_of.task(row, named, page_size) for row, named in rows)
    victim = _found(tasks, killed.pid)
    said = draft.parsed_summary(killed.printed)
    choice = draft.choice
    memcg = (draft.scene.memcg or _of_memcg(killed.message)
             or (choice is not None and _of_memcg(choice.message)))
    draft.scene.memcg = memcg
    page_tables = _page_tables(killed, victim)
    bounds = predict.totalpages_of(draft.scene, tasks, page_size)
    predicted, disagreement = verdict(draft, killed, tasks, rows, columns, page_size,
                                          bounds)
    return OomKill(
        victim_pid=killed.pid, victim_comm=_text(killed.comm),
        victim_uid=_first(killed.uid, said.uid if said.pid == killed.pid else None,
                          victim.uid if victim else None),
        time=record.wall_s, boot_time_s=record.boot_s, kernel_format=killed.kernel_format,
        trigger_comm=_text(draft.trigger),
        constraint=MEMCG if memcg else said.constraint,  # 5.0 to 5.2 say CONSTRAINT_NONE
        total_vm_bytes=total_vm, anon_rss_bytes=killed.sizes.get(b'anon-rss'),
        file_rss_bytes=killed.sizes.get(b'file-rss'),
        shmem_rss_bytes=killed.sizes.get(b'shmem-rss'),
        page_table_bytes=page_tables,
        oom_score_adj=_first(killed.oom_score_adj, victim.oom_score_adj if victim else None),
        score=choice.score if choice is not None else None,
        oom_memcg=_text(said.oom_memcg or draft.limit or (draft.stats if memcg else None)),
        task_memcg=_text(said.task_memcg or draft.limited),
        tasks=tasks, page_size=page_size,
        totalpages=bounds[0] if bounds is not None and bounds[0] == bounds[1] else None,
        predicted_victim_pid=predicted, disagreement=disagreement, source=source,
        certainty=THE_KERNEL_SAID_SO, cause=cause.of(draft, killed, page_size, tasks),
        order=draft.scene.order, gfp_mask=draft.scene.request,
        free_bytes=cause.free_bytes(draft.scene, page_size),
        kernel_release=draft.scene.release, line=draft.line, lines=_lines(draft.lines))


def member(draft: Draft, first: OomKill, killed: Killed, record: Record) -> OomKill:
    """Return the facts of another kill of the report: of its control group's members."""
    row = draft.by_pid.get(killed.pid)
    named = {} if row is None else tasks_of.named(draft.columns, row)
    task = None if row is None else tasks_of.task(row, named, first.page_size)
    group = '' if draft.group is None else message.text(draft.group)
    return replace(
        first, victim_pid=killed.pid, victim_comm=_text(killed.comm),
        victim_uid=_first(killed.uid, task.uid if task else None),
        time=record.wall_s, boot_time_s=record.boot_s, kernel_format=killed.kernel_format,
        total_vm_bytes=killed.total_vm_bytes, anon_rss_bytes=killed.sizes.get(b'anon-rss'),
        file_rss_bytes=killed.sizes.get(b'file-rss'),
        shmem_rss_bytes=killed.sizes.get(b'shmem-rss'),
        page_table_bytes=_page_tables(killed, task),
        oom_score_adj=_first(killed.oom_score_adj, task.oom_score_adj if task else None),
        score=None, task_memcg=group or None,
        disagreement=f'killed with its whole control group {group} (memory.oom.group)',
        line=draft.line, lines=_lines(draft.lines[-1:]))


def _lines(lines: list[bytes]) -> tuple[str, ...]:
    return tuple(line.decode('utf-8', 'backslashreplace') for line in lines)


def inferred(draft: Draft, record: Record, source: str | None) -> OomKill | None:
    """
    Return the kill that a report without its "Killed process" line lets infer.

    The choice of an old kernel (a child may have died), or the summary since 5.0; None where
    the report names nobody.
    """
    choice, said = draft.choice, draft.parsed_summary()
    if choice is not None:
        killed = Killed(choice.message, choice.pid, choice.comm, choice.comm, None, None, {},
                        None, None)
        why = 'the log holds only the choice: a child may have died in its place'
    elif said.pid is not None and said.comm is not None:
        comm = unescape(said.comm) if record.escaped else said.comm
        killed = Killed(None, said.pid, comm, said.comm, said.uid, None, {}, None, None)
        why = 'the log holds only the summary: the line of the kill is missing'
    else:
        return None
    kill = finish(draft, killed, record, source)
    return replace(kill, certainty=INFERRED, disagreement=kill.disagreement
                   if kill.disagreement is not None and kill.tasks else why)


def only_reaped(reaped: Reaped, record: Record, source: str | None, line: int,
                raw: bytes) -> OomKill:
    """Return the kill that a lone "oom_reaper:" line lets infer: only victims are reaped."""
    return OomKill(
        victim_pid=reaped.pid, victim_comm=message.text(reaped.comm), time=record.wall_s,
        boot_time_s=record.boot_s, source=source, certainty=INFERRED, line=line,
        disagreement='the log holds only the line of the reaper, which reaps only victims',
        lines=_lines([raw]))


def panicked(draft: Draft, why: bytes, record: Record, source: str | None) -> OomKill:
    """Return the entry of a panic for want of memory: the whole machine is the victim."""
    asked = ' (asked for by SysRq f)' if draft.scene.asked_for else ''
    return OomKill(
        kind=Killer.PANIC, time=record.wall_s, boot_time_s=record.boot_s, source=source,
        trigger_comm=_text(draft.trigger), constraint=draft.parsed_summary().constraint,
        cause=f'the kernel panicked: {message.text(why)}{asked}', order=draft.scene.order,
        gfp_mask=draft.scene.request, kernel_release=draft.scene.release, line=draft.line,
        lines=_lines(draft.lines))


def _found(tasks: tuple[OomTask, ...], pid: int) -> OomTask | None:
    return next((task for task in tasks if task.pid == pid), None)


def _first(*values: int | None) -> int | None:
    return next((value for value in values if value is not None), None)


def _text(data: bytes | None) -> str | None:
    return None if data is None else message.text(data)


def _of_memcg(said: bytes | None) -> bool:
    return said is not None and said.startswith(b'Memory cgroup')


def _page_tables(killed: Killed, victim: OomTask | None) -> int | None:
    """
    Return the victim's page tables in bytes.

    Until 5.6 (and 5.4 stable) pgtables: printed bytes and called them kB: the table decides.
    """
    said = killed.sizes.get(b'pgtables')
    known = victim.page_table_bytes if victim is not None else None
    if said is None:
        return known
    if known is not None and known * 1024 == said:
        return known
    return said
