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

"""Whom the task table predicts, and why the kernel chose another, in words."""

from oom_sentinel.facts.kill import OomTask
from oom_sentinel.kills.oom_report import predict
from oom_sentinel.kills.oom_report.draft import Draft
from oom_sentinel.kills.oom_report.message import Killed
from oom_sentinel.kills.oom_report.predict import Rated
from oom_sentinel.kills.oom_report.table import Row
from oom_sentinel.kills.oom_report.tasks import table_pages


def verdict(draft: Draft, killed: Killed, tasks: tuple[OomTask, ...],
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
        pages = table_pages(named)
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
