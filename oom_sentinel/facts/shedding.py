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
"""Ending processes before the kernel must: what is short, what was done, what it brought."""

from enum import Enum

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process


class Step(Enum):
    """A way to make a process give memory back, as `group.NAME.shed` names it."""

    DEACTIVATE = 'deactivate'
    INTERRUPT = 'interrupt'
    TERMINATE = 'terminate'
    KILL = 'kill'


@frozen
class Shortage:
    """
    A place whose memory ends soon: the machine (`path` None) or a control group.

    `pace_bytes_per_s` is how fast memory goes, None where only pressure says that it is short.
    `due_s` is how many seconds are left until something is shed, 0 when it is time.
    """

    path: str | None
    total_bytes: int
    left_bytes: int
    pace_bytes_per_s: float | None
    due_s: float
    why: str

    @property
    def name(self) -> str:
        """Return the place in words."""
        return 'this machine' if self.path is None else self.path


@frozen
class Candidate:
    """
    A process that may be shed; `frees_bytes` is its anonymous memory, swap included.

    `nodes` are those of its nodes that belong to the group: a container may hold others.
    """

    process: Process
    group: str
    group_value: int
    steps: tuple[Step, ...]
    frees_bytes: int
    grows_bytes_per_s: float = 0.0
    nodes: tuple[str, ...] = ()

    def label(self, step: Step) -> str:
        """Return whom a step means: the nodes that are asked, else the process."""
        if step == Step.DEACTIVATE and self.nodes:
            return ', '.join(self.nodes)
        return self.process.label

    @property
    def kind(self) -> tuple[str, str]:
        """Return what makes candidates alike: their group and program."""
        return (self.group, self.process.program.executable)


class Brought(Enum):
    """The outcome of a step."""

    ENDED = 'ended'
    DEACTIVATED = 'deactivated'
    UNLOADED = 'unloaded'
    NO_ANSWER = 'no answer'
    STILL_RUNS = 'still runs'
    REFUSED = 'refused'
    WOULD = 'would be done'


@frozen
class Action:
    """
    One step of shedding that is over.

    `brought_bytes` is by how much the memory left in the place rose until `took_s` seconds
    after the step began; None where nothing was done.
    """

    wall_s: float
    identity: Identity
    label: str
    group: str
    step: Step
    place: str
    why: str
    result: Brought
    brought_bytes: int | None = None
    took_s: float | None = None

    @property
    def freed(self) -> bool:
        """Return whether the step did what it is for: somebody ended, or gave memory back."""
        return self.result in (Brought.ENDED, Brought.DEACTIVATED, Brought.UNLOADED)


@frozen
class Shedding:
    """
    The state of shedding for the report.

    `mode` is the parameter's.  `intent` says in words what is about to happen, '' when nothing
    is.  `fresh` are the actions of this cycle, `ongoing` says that a process is being ended.
    `deactivated` nodes wait to be activated again, `unloaded` components can be loaded again by
    their launch file alone.
    """

    mode: str = 'off'
    intent: str = ''
    fresh: tuple[Action, ...] = ()
    done: int = 0
    last: Action | None = None
    deactivated: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()
    ongoing: bool = False
