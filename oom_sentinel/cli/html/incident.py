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

"""An incident folder of the sentinel as a story; every file in it may be missing or broken."""

from collections.abc import Iterator
import csv
from dataclasses import fields
import io
import json
import os
from typing import Any

from oom_sentinel.cli.html import kernel_log
from oom_sentinel.cli.html import what_if
from oom_sentinel.cli.html.story import Chapter
from oom_sentinel.cli.html.story import Curve
from oom_sentinel.cli.html.story import Mark
from oom_sentinel.cli.html.story import MarkKind
from oom_sentinel.cli.html.story import Moment
from oom_sentinel.cli.html.story import Story
from oom_sentinel.cli.html.story import Task
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.regular_file import read_regular
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.memory import MIB
from oom_sentinel.settings import Settings

REPORTS = ('incident.json', 'stall.json', 'actions.json')  # a kill, a stall, what was shed
ENDED = 'ended.json'  # written into the folder of a stall that passed
INCIDENT_MAX, CSV_MAX, LOG_LINES = 4 << 20, 8 << 20, 2000
ROWS_MAX, CURVES_MAX = 2000, 400
MACHINE = {
    'mem_available_bytes': 'available_bytes', 'mem_total_bytes': 'total_bytes',
    'swap_used_bytes': 'swap_used_bytes', 'some_avg10_percent': 'some_percent',
    'full_avg10_percent': 'full_percent'}
RSS = ' rss_bytes'


def read(folder: str, settings: Settings) -> Story:
    """
    Return the story of an incident folder.

    :raises Unusable: when it holds neither a kill nor a stall.
    """
    path = os.path.join(folder, next(
        (name for name in REPORTS if os.path.lexists(os.path.join(folder, name))), REPORTS[0]))
    said = _json(path)
    if not isinstance(said, dict):
        raise Unusable(f'{path}: not an incident: no JSON object')
    notes: list[str] = []
    moments, curves = _history(os.path.join(folder, 'history.csv'), notes)
    host = str(said['host']) if isinstance(said.get('host'), str) else ''
    if said.get('kind') == 'stall':
        return _stall(said, folder, host, moments, curves, notes)
    if said.get('kind') == 'shedding':
        return _shed(said, folder, host, moments, curves, notes)
    log = _log(os.path.join(folder, 'kernel.log'), notes)
    kill = kill_of(said, path)
    tasks, totalpages, page_size = _tasks(
        os.path.join(folder, 'processes.json'), kill, settings, notes)
    whole = kernel_log.chapter(kill, settings)
    if not whole.tasks and tasks:
        whole = Chapter(whole.heading, whole.sentences, tuple(what_if.ranked(tasks)),
                        what_if.sentences(tasks, totalpages, page_size), whole.facts)
    facts = (*whole.facts, *_texts(said, ('node_found', 'kernel_release', 'boot_id')),
             *_steps(said.get('actions')))
    chapter = Chapter(whole.heading, whole.sentences, whole.tasks, whole.what_if, facts, log)
    marks = () if kill.time is None else (
        Mark(kill.time, kernel_log.name_of(kill), MarkKind.KILL),)
    return Story(whole.heading, folder, host, moments, curves, marks, (chapter,), tuple(notes))


def _stall(said: dict[str, Any], folder: str, host: str, moments: tuple[Moment, ...],
           curves: tuple[Curve, ...], notes: list[str]) -> Story:
    """Return the story of a machine that stalled without a kill."""
    at = _number(said.get('time'))
    when = '' if at is None else f' at {kernel_log.local_time(at)}'
    facts = tuple((key, json.dumps(value) if isinstance(value, (dict, list)) else str(value))
                  for key, value in said.items() if key not in ('kind', 'growth'))[:60]
    ended = os.path.lexists(os.path.join(folder, ENDED))
    text = ('Tasks waited for memory nearly all the time, and the kernel killed no process.',
            'The stall passed.' if ended else
            'Nothing shows that it passed: the machine was reset, or stalls still.')
    marks = () if at is None else (Mark(at, 'stall', MarkKind.STALL),)
    title = f'The machine stalled for want of memory{when}'
    chapter = Chapter(title, text, what_if=(), facts=(*_grown(said.get('growth')), *facts))
    return Story(title, folder, host, moments, curves, marks, (chapter,), tuple(notes))


def _shed(said: dict[str, Any], folder: str, host: str, moments: tuple[Moment, ...],
          curves: tuple[Curve, ...], notes: list[str]) -> Story:
    """Return the story of processes that were ended before memory ran out."""
    at = _number(said.get('time'))
    when = '' if at is None else f' at {kernel_log.local_time(at)}'
    title = f'Processes were ended before memory ran out{when}'
    text = ('The sentinel acted before the kernel had to: shed.mode is act.',)
    marks = () if at is None else (Mark(at, 'shed', MarkKind.ALARM),)
    facts = (*_steps(said.get('actions')), *_texts(said, ('kernel_release', 'boot_id')))
    return Story(title, folder, host, moments, curves, marks,
                 (Chapter(title, text, what_if=(), facts=facts),), tuple(notes))


def _steps(rows: object) -> Iterator[tuple[str, str]]:
    """Return the steps of shedding in words."""
    for row in (rows if isinstance(rows, list) else ())[:100]:
        if isinstance(row, dict):
            brought, took_s = _number(row.get('brought_bytes')), _number(row.get('took_s'))
            came = '' if brought is None or took_s is None else (
                f'; brought {brought / MIB:.0f} MiB in {took_s:.1f} s')
            yield (f'{row.get("step")} {row.get("process")} (PID {row.get("pid")})',
                   f'{row.get("result")}: {row.get("why")}{came}')


def _grown(rows: object) -> Iterator[tuple[str, str]]:
    """Return the processes that grew most before a stall, in words."""
    for row in (rows if isinstance(rows, list) else ())[:20]:
        numbers = [_number(row.get(key)) for key in ('grown_bytes', 'rss_bytes')] if isinstance(
            row, dict) else [None]
        if None not in numbers:
            by, rss = (f'{(n or 0.0) / MIB:.0f} MiB' for n in numbers)
            yield f'{row.get("process")}', f'grew by {by} to {rss}'


def kill_of(said: dict[str, Any], path: str) -> OomKill:
    """
    Return the kill that incident.json describes.

    :raises Unusable: when a key has a wrong type.
    """
    values: dict[str, Any] = {}
    for field in fields(OomKill):
        if field.name not in said or field.name == 'lines':
            continue
        value = said[field.name]
        if field.name == 'tasks':
            values['tasks'] = tuple(_task_row(row, path) for row in _list(value, path, 'tasks'))
        elif field.name == 'node_names':
            values['node_names'] = tuple(
                str(name) for name in _list(value, path, 'node_names'))
        elif field.name == 'kind' and value in set(Killer):
            values['kind'] = Killer(value)
        elif not _fits(value, field.type):
            raise Unusable(f'{path}: {field.name} has a wrong type')
        else:
            values[field.name] = value
    return OomKill(**values)


def _list(value: object, path: str, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Unusable(f'{path}: {name} is no list')
    return value[:20000]


def _fits(value: object, kind: Any) -> bool:
    """Return whether a value has the type of a field; JSON writes whole floats as integers."""
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, (int, float)) and _number(value) is None:
        return False
    try:
        return isinstance(value, kind) or (isinstance(value, int) and isinstance(1.0, kind))
    except TypeError:  # a generic type such as tuple[str, ...]
        return False


def _task_row(row: object, path: str) -> OomTask:
    if not isinstance(row, dict):
        raise Unusable(f'{path}: tasks holds what is no object')
    values = {f.name: row[f.name] for f in fields(OomTask) if f.name in row}
    if not all(_fits(values[f.name], f.type) for f in fields(OomTask) if f.name in values) \
            or 'pid' not in values:
        raise Unusable(f'{path}: tasks has a key of a wrong type')
    return OomTask(**values)


def _tasks(path: str, kill: OomKill, settings: Settings, notes: list[str]
           ) -> tuple[list[Task], int, int]:
    """Return the processes of the last scan before the kill, with totalpages and page size."""
    try:
        said = _json(path)
    except Unusable as error:
        notes.append(str(error))
        return [], 0, 0
    total, page = (said.get('totalpages'), said.get('page_size')) if isinstance(
        said, dict) else (None, None)
    if not (isinstance(total, int) and isinstance(page, int) and total > 0 < page < 1 << 30):
        notes.append(f'{path}: no kill order in it')
        return [], 0, 0
    rows = said.get('processes')
    wanted = {g.name: g.oom_score_adj for g in settings.protection_groups}
    tasks = [_process(row, kill, wanted) for row in (rows if isinstance(rows, list) else ())
             if isinstance(row, dict)]
    return [what_if.scored(t, total, page) for t in tasks if t is not None], total, page


def _process(row: dict[str, Any], kill: OomKill, wanted: dict[str, int]) -> Task | None:
    numbers = [row.get(key) for key in ('pid', 'rss_bytes', 'swap_bytes', 'page_table_bytes',
                                        'oom_score_adj')]
    if any(not isinstance(n, int) or abs(n) > 1 << 60 for n in numbers):
        return None
    pid, rss, swap, tables, adj = (int(n) for n in numbers if n is not None)
    names = row.get('node_names')
    name = str(names[0]) if isinstance(names, list) and names else str(
        row.get('executable') or row.get('comm'))
    group = row.get('group') if isinstance(row.get('group'), str) else None
    killed = pid == kill.victim_pid
    value = kill.wanted if killed and kill.wanted is not None else wanted.get(group or '')
    return Task(pid, name, rss, swap, tables, adj, None, group, value, killed)


def _texts(said: dict[str, Any], keys: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for key in keys:
        if isinstance(said.get(key), str):
            yield key, said[key]


def _json(path: str) -> Any:
    try:
        return json.loads(read_regular(path, INCIDENT_MAX))
    except (ValueError, RecursionError) as error:
        raise Unusable(f'{path}: not JSON: {" ".join(str(error).split())}') from error


def _log(path: str, notes: list[str]) -> tuple[str, ...]:
    try:
        text = read_regular(path, INCIDENT_MAX).decode('utf-8', 'replace')
    except Unusable as error:
        notes.append(str(error))
        return ()
    return tuple(text.splitlines()[:LOG_LINES])


def _history(path: str, notes: list[str]) -> tuple[tuple[Moment, ...], tuple[Curve, ...]]:
    """Return the moments and the memory of each process from history.csv."""
    try:
        text = read_regular(path, CSV_MAX).decode('utf-8', 'replace')
        rows = list(csv.reader(io.StringIO(text.replace('\0', ''))))[:ROWS_MAX + 1]
    except (Unusable, csv.Error) as error:
        notes.append(f'{error}')
        return (), ()
    head, table = (rows[0], rows[1:]) if rows else ([], [])
    if not head or head[0] != 'time':
        notes.append(f'{path}: no history in it')
        return (), ()
    moments: list[Moment] = []
    points: dict[int, list[tuple[float, float]]] = {
        i: [] for i, name in enumerate(head) if name.endswith(RSS)}
    points = dict(list(points.items())[:CURVES_MAX])
    for row in table:
        cells = [_cell(text) for text in row]
        if not cells or cells[0] is None:
            continue
        known = dict(zip(head, cells))
        moments.append(Moment(cells[0], **{MACHINE[key]: known.get(key) for key in MACHINE}))
        for index, line in points.items():
            value = cells[index] if index < len(cells) else None
            if value is not None:
                line.append((cells[0], value))
    curves = tuple(Curve(head[i].removesuffix(RSS), tuple(line))
                   for i, line in points.items() if line)
    return tuple(moments), curves


def _cell(text: str) -> float | None:
    try:
        return _number(float(text))
    except ValueError:
        return None


def _number(value: object) -> float | None:
    """Return a number that can be drawn, None for everything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if abs(value) < 1e18 else None
    except OverflowError:
        return None
