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

"""One past OOM kill in words: a row of the list, and the whole story."""

from datetime import datetime

from oom_sentinel.cli.printer import Column
from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.memory import MIB
from oom_sentinel.report import kills as words

EATERS = 5
COLUMNS = (Column('TIME'), Column('VICTIM', least=16, wraps=True),
           Column('CAUSE', least=24, wraps=True), Column('CERTAINTY', least=8, drop=1))
CAUSE_MAX = 120
SURE = {INFERRED: 'inferred', 'the kernel said so': 'certain', 'the killer said so': 'certain'}


def row(kill: OomKill) -> tuple[str, str, str, str]:
    """Return time, victim, cause and certainty of a kill for the list."""
    return when(kill), victim(kill), _short(cause(kill)), SURE.get(kill.certainty, kill.certainty)


def _short(text: str) -> str:
    return text if len(text) <= CAUSE_MAX else text[:CAUSE_MAX - 3] + '...'


def local_time(wall_s: float) -> str:
    """Return a time of this machine's zone, with the zone's name."""
    return datetime.fromtimestamp(wall_s).astimezone().strftime('%Y-%m-%d %H:%M:%S %Z')


def when(kill: OomKill) -> str:
    """Return when the kill was, in local time or in seconds after the boot."""
    if kill.time is not None:
        return local_time(kill.time)
    return 'unknown' if kill.boot_time_s is None else f'{kill.boot_time_s:.3f} s after boot'


def victim(kill: OomKill) -> str:
    """Return who was killed: a process, the members of a control group, or the machine."""
    if kill.kind is Killer.PANIC:
        return 'the whole machine (panic)'
    if kill.kind is Killer.USERSPACE and kill.victim_pid is None:
        count = 'the processes' if kill.processes is None else f'{kill.processes} processes'
        return f'{count} of {kill.task_memcg}' if kill.task_memcg else 'a process'
    return words.victim(kill)


def cause(kill: OomKill) -> str:
    """Return why, to follow "because"; the log's own words where another program killed."""
    if kill.cause is not None:
        return kill.cause
    if kill.constraint == 'CONSTRAINT_MEMCG' or kill.oom_memcg is not None:
        return 'a control group reached its memory limit'
    return 'the log does not say why'


def told(kill: OomKill) -> list[str]:
    """Return the sentences that explain a kill; what the log lacks is left out."""
    asked = '' if kill.trigger_comm is None else f'; {kill.trigger_comm} asked for memory'
    if kill.kind is not Killer.KERNEL:
        return [f'Because {cause(kill)}{asked}.', _source(kill)]
    said = [f'Killed because {cause(kill)}{_with_swap(kill)}{asked}.'
            if kill.cause or kill.constraint or kill.oom_memcg
            else f'The log does not say why it was killed{asked}.']
    held = [f'{_mib(value)} {what}' for what, value in (
        ('anonymous', kill.anon_rss_bytes), ('of files', kill.file_rss_bytes),
        ('shared', kill.shmem_rss_bytes), ('of page tables', kill.page_table_bytes))
        if value is not None]
    if held:
        said.append(f'It held {", ".join(held)}.')
    eaters = _eaters(kill)
    if eaters:
        said.append(f'What ate the memory: {", ".join(eaters)}.')
    said += [_protection(kill), *_checked(kill), _source(kill)]
    return said


def _checked(kill: OomKill) -> list[str]:
    """Return whether the victim is the one that the task table predicts."""
    if kill.disagreement is not None:
        return [f'Not as the task table predicts: {kill.disagreement}.'
                if kill.predicted_victim_pid is not None
                else f'Cannot be checked: {kill.disagreement}.']
    return [] if kill.predicted_victim_pid is None else ['The task table predicts this victim.']


def _source(kill: OomKill) -> str:
    at = '' if kill.line is None else f', line {kill.line}'
    kernel = '' if kill.kernel_release is None else f'; Linux {kill.kernel_release}'
    boot = '' if kill.boot_time_s is None or kill.time is None else (
        f'; {kill.boot_time_s:.3f} s after boot')
    return f'Source: {kill.source}{at} ({kill.certainty}){boot}{kernel}.'


def _mib(value: int) -> str:
    return f'{value / MIB:.1f} MiB' if value < 100 * MIB else f'{value / MIB:.0f} MiB'


def _with_swap(kill: OomKill) -> str:
    if kill.totalpages is None or kill.page_size is None or (
            kill.oom_memcg is None and not cause(kill).startswith('the whole machine')):
        return ''
    return f' ({_mib(kill.totalpages * kill.page_size)} with swap)'


def _eaters(kill: OomKill) -> list[str]:
    """Return the largest of the table, with what they had in swap."""
    if kill.page_size is None:
        return []
    ranked = sorted(kill.tasks, key=lambda t: -((t.rss_pages or 0) + (t.swap_entries or 0)))
    return [f'{task.name or "?"} (PID {task.pid}) '
            f'{_mib(((task.rss_pages or 0) + (task.swap_entries or 0)) * kill.page_size)}'
            for task in ranked[:EATERS]]


def _protection(kill: OomKill) -> str:
    """Return whether it was protected, by its own value and by a sentinel's group."""
    adj = kill.oom_score_adj
    group = '' if kill.group is None else f'; group {kill.group} wanted {kill.wanted}'
    if adj is None:
        return f'The log does not say whether it was protected{group}.'
    if adj < 0:
        # Scores count neither for the members of a killed group nor for the one that asked.
        chosen = 'memory.oom.group' not in (kill.disagreement or '') and (
            'oom_kill_allocating_task' not in (kill.cause or ''))
        ending = 'and outgrew that' if chosen else 'which does not count here'
        return f'It was protected (oom_score_adj {adj}) {ending}{group}.'
    if adj > 0:
        return f'It was expendable (oom_score_adj {adj}){group}.'
    return f'It was not protected (oom_score_adj 0){group}.'
