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
Which process the kernel would have chosen instead, by its own badness.

Pure: tasks go in, sentences come out.
"""

from collections.abc import Callable
from collections.abc import Sequence
from dataclasses import replace

from oom_sentinel.cli.html.story import Task
from oom_sentinel.risk import badness

LOWEST = -999  # -1000 makes a process unkillable: it takes the innocent with it


def scored(task: Task, totalpages: int, page_size: int) -> Task:
    """Return the task with its badness."""
    return replace(task, badness=None if task.pid == 1 else badness.points(
        task.rss_bytes // page_size, task.swap_bytes // page_size, task.page_table_bytes,
        task.oom_score_adj, totalpages=totalpages, page_size=page_size))


def ranked(tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks in the order of their badness, those that are never killed last."""
    return sorted(tasks, key=lambda t: (t.badness is not None, t.badness or 0,
                                        t.rss_bytes + t.swap_bytes), reverse=True)


def sentences(tasks: Sequence[Task], totalpages: int, page_size: int) -> tuple[str, ...]:
    """Return what would have changed the kernel's choice; nothing where no victim is known."""
    victim = next((t for t in tasks if t.killed), None)
    if victim is None or victim.badness is None or totalpages < 1000:
        return ()

    def first(adj_of: Callable[[Task], int]) -> Task:
        return ranked([scored(replace(t, oom_score_adj=adj_of(t)), totalpages, page_size)
                       for t in tasks])[0]

    found = [_agreement(victim, tasks)]
    if victim.group is not None and victim.wanted is not None \
            and victim.wanted != victim.oom_score_adj:
        other = first(lambda t: victim.wanted or 0 if t.group == victim.group
                      else t.oom_score_adj)
        found.append(f'With {victim.group} at {victim.wanted} (it had {victim.oom_score_adj}) '
                     f'the kernel would {_taken(other, victim)}.')
    if any(t.wanted not in (None, t.oom_score_adj) for t in tasks):
        other = first(lambda t: t.oom_score_adj if t.wanted is None else t.wanted)
        values = {t.group: t.wanted for t in tasks if t.wanted is not None}
        words = ', '.join(f'{group} at {value}' for group, value in sorted(
            values.items(), key=lambda item: item[1] or 0))
        found.append(f'With every group at its value ({words}) the kernel would '
                     f'{_taken(other, victim)}.')
    if any(t.oom_score_adj for t in tasks):
        other = first(lambda t: 0)
        found.append('Without any protection (every oom_score_adj 0) the kernel would '
                     f'{_taken(other, victim)}.')
    found.append(_spared(victim, tasks, totalpages))
    return tuple(dict.fromkeys(found))


def _taken(other: Task, victim: Task) -> str:
    if other.pid == victim.pid:
        return f'still have taken {victim.name}'
    return f'have taken {other.name} (PID {other.pid})'


def _agreement(victim: Task, tasks: Sequence[Task]) -> str:
    order = ranked(tasks)
    if order[0].pid == victim.pid:
        if len(order) < 2 or order[1].badness is None:
            return f'{victim.name} was the only process that the kernel could kill.'
        return (f'The kernel took the process with the highest badness: {victim.name} with '
                f'{victim.badness} pages, before {order[1].name} (PID {order[1].pid}) with '
                f'{order[1].badness}.')
    return (f'By this table {order[0].name} (PID {order[0].pid}) had a higher badness '
            f'({order[0].badness} pages) than {victim.name} ({victim.badness}): memory changed '
            'after the table was made, or a rule other than badness chose.')


def _spared(victim: Task, tasks: Sequence[Task], totalpages: int) -> str:
    """Return from which oom_score_adj on the victim would have lived."""
    rest = [t for t in ranked(tasks) if t.pid != victim.pid and t.badness is not None]
    if not rest or victim.badness is None or rest[0].badness is None:
        return f'No oom_score_adj would have saved {victim.name}: nothing else could be killed.'
    per_point = totalpages // 1000
    held = victim.badness - victim.oom_score_adj * per_point
    value = (rest[0].badness - held - 1) // per_point
    if value < LOWEST:
        return (f'No oom_score_adj would have saved {victim.name}: it held '
                f'{100 * held / totalpages:.0f} % of the memory itself.')
    if value >= victim.oom_score_adj:
        return f'{rest[0].name} (PID {rest[0].pid}) was next.'
    return (f'With oom_score_adj {value} or lower {victim.name} would have lived and '
            f'{rest[0].name} (PID {rest[0].pid}) would have been taken.')
