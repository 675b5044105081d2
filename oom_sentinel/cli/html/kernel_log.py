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

"""The kills in a kernel log, as chapters with their task tables."""

import time

from oom_sentinel.cli import logs
from oom_sentinel.cli.html import what_if
from oom_sentinel.cli.html.story import Chapter
from oom_sentinel.cli.html.story import Story
from oom_sentinel.cli.html.story import Task
from oom_sentinel.cli.output import Unusable
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.protection.grouping import group_of
from oom_sentinel.report import kills as words
from oom_sentinel.settings import Settings

CHAPTERS_MAX = 50


def read(path: str, settings: Settings) -> Story:
    """
    Return the story of a kernel log.

    :raises Unusable: when it cannot be read or holds no OOM kill.
    """
    found = logs.named(path)
    if not found.kills:
        raise Unusable(found.refused[0] if found.refused else f'{path}: no OOM kill in it')
    kills = sorted(found.kills, key=lambda k: (k.time is None, -(k.time or 0.0)))
    notes = ['A kernel log has no history: for plots take an incident folder or a recording.',
             *found.refused]
    if len(kills) > CHAPTERS_MAX:
        notes.append(f'{len(kills) - CHAPTERS_MAX} older kills are left out.')
    chapters = tuple(chapter(kill, settings) for kill in kills[:CHAPTERS_MAX])
    title = chapters[0].heading if len(kills) == 1 else f'{len(kills)} OOM kills'
    return Story(title, path, chapters=chapters, notes=tuple(notes))


def local_time(wall_s: float) -> str:
    """Return a moment in this machine's time zone, which is named."""
    try:
        return time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(wall_s))
    except (OverflowError, ValueError, OSError):
        return 'an unknown time'


def name_of(kill: OomKill) -> str:
    """Return the victim in a few words: its first node, else its program."""
    return kill.node_names[0] if kill.node_names else kill.victim_comm or 'an unknown process'


def chapter(kill: OomKill, settings: Settings) -> Chapter:
    """Return a kill with its task table, sorted by badness."""
    when = '' if kill.time is None else f' at {local_time(kill.time)}'
    tasks = _tasks(kill, settings)
    what = () if kill.page_size is None or kill.totalpages is None else what_if.sentences(
        tasks, kill.totalpages, kill.page_size)
    return Chapter(f'{name_of(kill)} was killed{when}', (words.one(SeenKill(kill, 0.0)).message,),
                   tuple(what_if.ranked(tasks)), what, tuple(_facts(kill)), kill.lines)


def _facts(kill: OomKill) -> list[tuple[str, str]]:
    facts = [('victim', words.victim(kill)), ('constraint', kill.constraint),
             ('control group that was short', kill.oom_memcg),
             ('control group of the victim', kill.task_memcg),
             ('process that asked for memory', kill.trigger_comm),
             ('oom_score_adj', kill.oom_score_adj), ('certainty', kill.certainty),
             ('differs from the task table', kill.disagreement), ('source', kill.source)]
    return [(name, str(value)) for name, value in facts if value is not None]


def _tasks(kill: OomKill, settings: Settings) -> list[Task]:
    """Return the task table; nothing where the log does not hold the page size."""
    page = kill.page_size
    if page is None or not 0 < page < 1 << 30:
        return []
    made = []
    for row in kill.tasks:
        killed = row.pid == kill.victim_pid
        node = name_of(kill) if killed else row.name
        group = kill.group if killed and kill.group is not None else None
        wanted = kill.wanted if group is not None else None
        if group is None:
            found = group_of(Process(row.pid, 0, 0, row.uid or 0, Program(
                row.name, executable=row.name)), settings)
            group, wanted = (found.name, found.oom_score_adj) if found else (None, None)
        task = Task(row.pid, node or '?', (row.rss_pages or 0) * page,
                    (row.swap_entries or 0) * page, row.page_table_bytes or 0,
                    row.oom_score_adj or 0, None, group, wanted, killed)
        made.append(task if kill.totalpages is None
                    else what_if.scored(task, kill.totalpages, page))
    return made
