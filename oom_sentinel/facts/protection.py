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

"""What protection wants, writes, changes and finds."""

from enum import Enum

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process


@frozen
class Target:
    """
    The oom_score_adj that a process shall have.

    `wanted` is what the parameters ask for, `value` what is written now: the same unless
    lowering is denied (`value` is then the lowest permitted) or the process is raised so that
    the order is kept.  `group` is None for a process that no group matches.
    """

    process: Process
    group: str | None
    wanted: int
    value: int
    why: str


@frozen
class Adjustment:
    """One write to do: from one value to another, on exactly this process."""

    identity: Identity
    group: str | None
    old: int
    value: int
    why: str


class Result(Enum):
    """
    The outcome of writing one oom_score_adj.

    DENIED: the value is below the floor, and the lowest permitted one was written instead.
    NOT_OWNER: the file belongs to another user, or the process is not dumpable.  DEAD: a
    zombie, which holds no memory.
    """

    WRITTEN = 'written'
    DENIED = 'denied'
    NOT_OWNER = 'not_owner'
    VANISHED = 'vanished'
    DEAD = 'dead'
    FAILED = 'failed'


@frozen
class Outcome:
    """The result of a write; `found` is the value before it, `achieved` the one after it."""

    adjustment: Adjustment
    result: Result
    achieved: int | None = None
    why: str = ''
    found: int | None = None


@frozen
class UnmappedFile:
    """A file in memory that a process holds open and does not map, and its bytes."""

    path: str
    size_bytes: int


@frozen
class Drift:
    """A value that another program changed and that was put back."""

    label: str
    pid: int
    expected: int
    found: int
    wall_s: float


@frozen
class Protection:
    """
    The state of protection after a cycle.

    `targets` are the processes of the groups and those that get their old value back; `raised`
    those of no group that are raised so that the order is kept, `outgrown` the protected ones
    that were raised because they outgrew their head start.  `head_starts` are the bytes by which
    a protected process may still grow until it weighs as much as the raised ones.
    `outcomes` holds the latest outcome per process that is not simply in order, `drifts` the
    recent ones.  `watching` is the reason why nothing is written (disabled, restored, a second
    sentinel), None while protecting.  `lost_order` says where the wanted order does not hold
    and someone must act, `notes` what is worth knowing while nobody must.
    `nodes_without_process` are graph nodes that a node: selector matches but whose process
    can't be found.  `self_value` is the sentinel's own oom_score_adj.
    """

    targets: tuple[Target, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    drifts: tuple[Drift, ...] = ()
    raised: tuple[Target, ...] = ()
    outgrown: tuple[Process, ...] = ()
    head_starts: tuple[tuple[Identity, int], ...] = ()
    watching: str | None = None
    nodes_without_process: tuple[str, ...] = ()
    self_value: int | None = None
    lost_order: tuple[str, ...] = ()
    oom_group_paths: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@frozen
class Change:
    """One changed process: its oom_score_adj before, and what was written last."""

    identity: Identity
    original: int
    written: int


@frozen
class Launched:
    """
    A process that a launch started: its oom_score_adj before and as written, its node names.

    `original` and `written` are None where nothing was written.  `asked` is the value that the
    launch file itself gave it with set_oom_score_adj.
    """

    identity: Identity
    original: int | None = None
    written: int | None = None
    node_names: tuple[str, ...] = ()
    asked: int | None = None
