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
The kernel's counters of OOM kills against the kills that a log explained.

__oom_kill_process() counts OOM_KILL in /proc/vmstat and in the victim's control group before
it sends the signal and prints "Killed process", so the counters are never behind the log.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace

from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.known_processes import inside
from oom_sentinel.kills.known_processes import Known
from oom_sentinel.kills.known_processes import with_victim_facts
from oom_sentinel.kills.known_processes import within
from oom_sentinel.risk import badness

SOURCE = 'counters'
NOBODY = 'unknown: a counter rose and no known process is missing'


@dataclass(frozen=True, slots=True)
class Counters:
    """Kills since boot: of the machine (None before Linux 4.13), and by control group."""

    machine: int | None = None
    groups: tuple[tuple[str, int], ...] = ()


def counters(sample: Sample) -> Counters:
    """Return the counters that a sample holds."""
    machine = None if isinstance(sample.vmstat, Unavailable) else sample.vmstat.oom_kill
    if isinstance(sample.chains, Unavailable):
        return Counters(machine)
    groups = {g.path: g.oom_kill for chain in sample.chains for g in chain.groups
              if g.oom_kill is not None}
    return Counters(machine, tuple(sorted(groups.items())))


def risen(before: Counters, now: Counters) -> tuple[tuple[str, int], ...]:
    """
    Return the innermost control groups whose counter rose, each with by how much.

    In v2 a kill counts in every ancestor too.  A group that is new counts from now on.
    """
    last = dict(before.groups)
    grown = {path: count - last[path] for path, count in now.groups
             if path in last and count > last[path]}
    return tuple((path, by) for path, by in sorted(grown.items())
                 if not any(other != path and within(other, path) for other in grown))


class UnexplainedKills:
    """Says how many kills no log has explained, once a log had time enough to."""

    def __init__(self) -> None:
        """Start without a baseline."""
        self._last: Counters | None = None
        self._counted = 0
        self._logged = 0
        self._inferred = 0
        self._open_since_s: float | None = None
        self.where: tuple[tuple[str, int], ...] = ()

    def count(self, now: Counters, now_s: float) -> None:
        """Take the counters; the first ones are the baseline."""
        before, self._last = self._last, now
        if before is None:
            return
        grown = risen(before, now)
        if now.machine is not None and before.machine is not None:
            self._counted += max(0, now.machine - before.machine)
        else:
            self._counted += sum(by for _, by in grown)
        if grown:
            self.where = grown
        if self.unexplained == 0:
            self._open_since_s = None
            self.where = ()
        elif self._open_since_s is None:
            self._open_since_s = now_s

    @property
    def unexplained(self) -> int:
        """Return how many counted kills neither a log nor an inference explains."""
        return max(0, self._counted - self._logged - self._inferred)

    def open_s(self, now_s: float) -> float:
        """Return for how many seconds something has been unexplained."""
        return 0.0 if self._open_since_s is None else now_s - self._open_since_s

    def log(self) -> bool:
        """
        Take a kill that a log holds; tell whether it is one that was inferred before.

        More explained than counted means that this one was inferred already.  Without an
        inference it only says that the baseline was read a moment after the kill.
        """
        self._logged += 1
        if self._logged + self._inferred <= self._counted:
            return False
        if self._inferred:
            self._inferred -= 1
            return True
        self._counted = self._logged
        return False

    def infer(self, count: int) -> None:
        """Take kills that were inferred and reported."""
        self._inferred += count
        if self.unexplained == 0:
            self._open_since_s = None
            self.where = ()


def infer(count: int, missing: Sequence[Known], where: Sequence[tuple[str, int]], *,
          limits: Sequence[str] = (), totalpages: int, page_size: int, wall_s: float
          ) -> tuple[tuple[OomKill, str], ...]:
    """
    Return kills with their victims, each with how sure that is.

    :param count: how many kills a counter showed and no log explained.
    :param missing: processes that vanished meanwhile.
    :param where: control groups whose own counter rose, each with by how much.
    :param limits: control groups that have a limit, when the machine itself has memory left.
    Of those missing the kernel would have taken the one of the highest badness.
    """
    # A group counts its members killed by any OOM, also the machine's (MEMCG_OOM_KILL).
    scopes: tuple[str | None, ...] = tuple(
        path for path, by in where for _ in range(by))[:count]
    scopes += (None,) * (count - len(scopes))
    left = list(missing)
    found = []
    for scope in scopes:
        candidates = [k for k in left if inside(k.process, scope)]
        if not candidates:
            found.append((_kill(None, scope, limits, wall_s), NOBODY))
            continue
        victim = max(candidates, key=lambda k: _points(k, totalpages, page_size))
        left.remove(victim)
        found.append((_kill(victim, scope, limits, wall_s), _how(len(candidates))))
    return tuple(found)


def _how(candidates: int) -> str:
    if candidates == 1:
        return 'inferred: it is the only process that vanished'
    return (f'inferred: of {candidates} processes that vanished the kernel would have taken '
            'this one')


def _points(known: Known, totalpages: int, page_size: int) -> int:
    found = badness.of(known.process, totalpages=totalpages, page_size=page_size)
    return -totalpages if found is None else found


def _kill(victim: Known | None, scope: str | None, limits: Sequence[str],
          wall_s: float) -> OomKill:
    path = scope if scope is not None or victim is None else victim.process.cgroup
    short = max((limit for limit in limits if path is not None and within(path, limit)),
                key=len, default=None)
    kill = OomKill(time=wall_s, constraint=None if short is None else 'CONSTRAINT_MEMCG',
                   oom_memcg=short, task_memcg=path, source=SOURCE, certainty=INFERRED)
    if victim is None:
        return kill
    process = victim.process
    held = process.memory
    return with_victim_facts(replace(
        kill, victim_pid=process.pid, victim_comm=process.program.comm,
        victim_uid=process.uid, oom_score_adj=process.oom_score_adj,
        page_table_bytes=None if held is None else held.page_table_bytes), victim)
