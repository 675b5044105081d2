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

"""What a page shows: moments of the machine, memory of each node, and what happened."""

from enum import Enum

from oom_sentinel.facts.frozen import frozen


@frozen
class Moment:
    """Memory, swap and pressure of the machine at `time` (seconds since the epoch)."""

    time: float
    available_bytes: float | None = None
    total_bytes: float | None = None
    swap_used_bytes: float | None = None
    some_percent: float | None = None
    full_percent: float | None = None


@frozen
class Curve:
    """What one node or group held in memory over time: (time, bytes)."""

    label: str
    points: tuple[tuple[float, float], ...]


class MarkKind(Enum):
    """What happened at a mark."""

    KILL = 'kill'
    STALL = 'stall'
    ALARM = 'alarm'


@frozen
class Mark:
    """Something that happened at a time, drawn into every plot."""

    time: float
    text: str
    kind: MarkKind


@frozen
class Task:
    """
    One process before a kill, as the kernel counts it.

    `wanted` is the oom_score_adj of its protection group, None without a group.  `badness` is
    in pages, None for a process that is never killed and where totalpages is unknown.
    """

    pid: int
    name: str
    rss_bytes: int
    swap_bytes: int
    page_table_bytes: int
    oom_score_adj: int
    badness: int | None
    group: str | None = None
    wanted: int | None = None
    killed: bool = False


@frozen
class Chapter:
    """One kill or stall: what happened, who held what, what would have changed it."""

    heading: str
    sentences: tuple[str, ...] = ()
    tasks: tuple[Task, ...] = ()
    what_if: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    log: tuple[str, ...] = ()


@frozen
class Story:
    """Everything on one page; `notes` say what is missing and why."""

    title: str
    source: str
    host: str = ''
    moments: tuple[Moment, ...] = ()
    curves: tuple[Curve, ...] = ()
    marks: tuple[Mark, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    notes: tuple[str, ...] = ()
