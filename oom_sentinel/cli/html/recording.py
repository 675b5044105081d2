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

"""A recording of /diagnostics (rosbag2, MCAP or sqlite3) as a story; read by rosbags."""

from collections.abc import Iterable
import contextlib
from dataclasses import dataclass
from dataclasses import field
import os
import pathlib
from typing import Any

from oom_sentinel.cli.html.story import Chapter
from oom_sentinel.cli.html.story import Curve
from oom_sentinel.cli.html.story import Mark
from oom_sentinel.cli.html.story import MarkKind
from oom_sentinel.cli.html.story import Moment
from oom_sentinel.cli.html.story import Story
from oom_sentinel.cli.output import Unusable
from oom_sentinel.facts.memory import MIB

METADATA = 'metadata.yaml'
KIND = 'diagnostic_msgs/msg/DiagnosticArray'
MESSAGES_MAX, MOMENTS_MAX, MARKS_MAX = 200_000, 20_000, 200
LEVELS = ('OK', 'WARN', 'ERROR')


@dataclass(slots=True)
class _Gathered:
    """What was found so far, by time; the last level and message of each status."""

    moments: dict[float, dict[str, float]] = field(default_factory=dict)
    curves: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    marks: list[Mark] = field(default_factory=list)
    last: dict[str, tuple[int, str, dict[str, str]]] = field(default_factory=dict)
    hosts: list[str] = field(default_factory=list)


def is_recording(path: str) -> bool:
    """Return whether this is a rosbag2 folder or a file of one."""
    return path.endswith(('.mcap', '.db3')) or os.path.isfile(os.path.join(path, METADATA))


def read(path: str) -> Story:
    """
    Return the story of a recording.

    :raises Unusable: when it cannot be read, or holds no status of a sentinel.
    """
    folder = os.path.dirname(os.path.abspath(path)) if path.endswith(
        ('.mcap', '.db3')) and not os.path.isdir(path) else path
    if not os.path.exists(path):
        raise Unusable(f'{path}: No such file or directory')
    if not os.path.isfile(os.path.join(folder, METADATA)):
        raise Unusable(f'{path}: no {METADATA} beside it, as after a killed recorder; write it '
                       f'with: ros2 bag reindex {folder}')
    gathered = _Gathered()
    for number, (time_s, message) in enumerate(_messages(folder)):
        if number >= MESSAGES_MAX:
            break
        _take(time_s, message, gathered)
    if not gathered.last:
        raise Unusable(f'{path}: no status of a sentinel in it; record /diagnostics')
    return _story(path, gathered)


def _messages(folder: str) -> Iterable[tuple[float, Any]]:
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import get_typestore
        from rosbags.typesys import Stores
    except ImportError as error:
        raise Unusable('reading a recording needs rosbags: pip install rosbags') from error
    try:
        with AnyReader([pathlib.Path(folder)],
                       default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            chosen = [c for c in reader.connections if c.msgtype == KIND]
            if not chosen:
                return
            for connection, stamp, raw in reader.messages(connections=chosen):
                yield stamp / 1e9, reader.deserialize(raw, connection.msgtype)
    except Unusable:
        raise
    # rosbags raises what its parsers raise: struct.error, KeyError, sqlite3.Error and its own.
    except Exception as error:
        raise Unusable(f'{folder}: not a recording that can be read: {error}') from error


def _take(time_s: float, message: Any, gathered: _Gathered) -> None:
    """Take the statuses of one message; those of other nodes are left out."""
    for status in message.status[:1000]:
        node, colon, name = str(status.name).partition(': ')
        if not colon or 'oom_sentinel' not in node:
            continue
        if status.hardware_id and status.hardware_id not in gathered.hosts:
            gathered.hosts.append(str(status.hardware_id))
        if gathered.hosts[:1] not in ([], [str(status.hardware_id)]):
            continue  # another machine: its page is made from a recording of its own
        level = status.level[0] if isinstance(status.level, bytes) else int(status.level)
        values = {str(v.key): str(v.value) for v in status.values[:200]}
        _number_series(time_s, name, values, gathered)
        before = gathered.last.get(name)
        gathered.last[name] = (level, str(status.message), values)
        if name == 'OOM kills':
            _kill_mark(time_s, before, gathered.last[name], gathered)
        elif level > (before[0] if before else 0) and len(gathered.marks) < MARKS_MAX:
            gathered.marks.append(Mark(time_s, f'{name}: {LEVELS[min(level, 2)]}',
                                       MarkKind.ALARM))


def _number_series(time_s: float, name: str, values: dict[str, str],
                   gathered: _Gathered) -> None:
    """Keep the numbers that are drawn."""
    if name in ('Memory', 'Memory pressure') and len(gathered.moments) < MOMENTS_MAX:
        moment = gathered.moments.setdefault(time_s, {})
        for key, drawn, unit in (
                ('MemAvailable (MiB)', 'available_bytes', MIB),
                ('MemTotal (MiB)', 'total_bytes', MIB),
                ('some avg10 (%)', 'some_percent', 1), ('full avg10 (%)', 'full_percent', 1)):
            with contextlib.suppress(KeyError, ValueError):  # unavailable
                moment[drawn] = float(values[key]) * unit
        with contextlib.suppress(KeyError, ValueError):
            moment['swap_used_bytes'] = MIB * (
                float(values['SwapTotal (MiB)']) - float(values['SwapFree (MiB)']))
    elif name.startswith('Group '):
        with contextlib.suppress(KeyError, ValueError):
            gathered.curves.setdefault(name, []).append(
                (time_s, float(values['RSS (MiB)']) * MIB))


def _kill_mark(time_s: float, before: tuple[int, str, dict[str, str]] | None,
               now: tuple[int, str, dict[str, str]], gathered: _Gathered) -> None:
    """Mark a kill when the count since the start rose."""
    count = now[2].get('since start', '0')
    known = before[2].get('since start', '0') if before else count
    if count != known and len(gathered.marks) < MARKS_MAX:
        gathered.marks.append(Mark(time_s, now[1][:120], MarkKind.KILL))


def _story(path: str, gathered: _Gathered) -> Story:
    kills = [m for m in gathered.marks if m.kind is MarkKind.KILL]
    chapters = [Chapter('The last OOM kill in this recording', (kills[-1].text,), facts=tuple(
        gathered.last['OOM kills'][2].items()))] if kills else []
    chapters += [Chapter(f'{name}: {LEVELS[min(level, 2)]}', (text,), facts=tuple(values.items()))
                 for name, (level, text, values) in gathered.last.items() if level > 0]
    if not chapters:
        chapters = [Chapter('Nothing alarming at the end of this recording', tuple(
            f'{name}: {text}' for name, (_, text, _v) in gathered.last.items()))]
    notes = ['Memory is that of the protection groups: diagnostics have no value for each node.',
             'A recording has no task table: what would have changed a kill is in the page of '
             'its incident folder.']
    if len(gathered.hosts) > 1:
        notes.append(f'Shown is {gathered.hosts[0]}; also recorded: '
                     f'{", ".join(gathered.hosts[1:10])}.')
    title = f'{len(kills)} OOM kill{"" if len(kills) == 1 else "s"} in a recording'
    return Story(title, path, gathered.hosts[0] if gathered.hosts else '',
                 tuple(Moment(t, **m) for t, m in sorted(gathered.moments.items())),
                 tuple(Curve(name, tuple(points)) for name, points in gathered.curves.items()),
                 tuple(gathered.marks), tuple(chapters), tuple(notes))
