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

"""Which part of a robot is being started: what memory falls for that is expected."""

from collections.abc import Iterable

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.sample import Sample

YOUNG_S = 60.0  # a robot's nodes load within a minute
FORGOTTEN_S = 60.0  # after so long without it, a program that starts again is a start


@frozen
class Seen:
    """The largest number of processes of one label, and when that many were last seen."""

    label: str
    most: int
    at_s: float


@frozen
class Starts:
    """
    When something last started, for each place: (path, seconds), the machine's path is None.

    `table` is the process table that was last looked at; the same object is not looked at again.
    """

    table: tuple[Process, ...] = ()
    seen: tuple[Seen, ...] = ()
    at_s: tuple[tuple[str | None, float], ...] = ()

    def last(self, path: str | None) -> float:
        """Return when something last started in this place."""
        return dict(self.at_s).get(path, float('-inf'))


def update(last: Starts, sample: Sample, paths: Iterable[str]) -> Starts:
    """
    Return the starts after this sample.

    A process counts that is young and one more of its label than before: a node that is
    respawned replaces the one that died.
    """
    if sample.processes is last.table or sample.boottime_s is None:
        return last
    now_s = sample.monotonic_s
    alive: dict[str, list[Process]] = {}
    for process in sample.processes:
        if process.program.ros:
            alive.setdefault(process.label, []).append(process)
    known = {s.label: s for s in last.seen if now_s - s.at_s < FORGOTTEN_S}
    young: list[Process] = []
    born = (sample.boottime_s - YOUNG_S) * sample.host.clock_ticks
    for label, processes in alive.items():
        before = known.get(label)
        if before is None or len(processes) >= before.most:
            known[label] = Seen(label, len(processes), now_s)
        if before is None or len(processes) > before.most:
            young += [p for p in processes if p.start_time > born]
    at_s = dict(last.at_s)
    if young:
        pids = {p.pid for p in young}
        at_s[None] = now_s
        members = dict(sample.members)
        for path in paths:
            if pids & members.get(path, frozenset()) or any(_below(p.cgroup, path) for p in young):
                at_s[path] = now_s
    return Starts(sample.processes, tuple(known.values()), tuple(at_s.items()))


def _below(cgroup: str | None, path: str) -> bool:
    return cgroup is not None and (cgroup == path or cgroup.startswith(path.rstrip('/') + '/'))
