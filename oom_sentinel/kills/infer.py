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

"""Who the victim of a kill was that only a counter shows: who is missing and was largest."""

from collections.abc import Sequence
from dataclasses import replace

from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.known_processes import inside
from oom_sentinel.kills.known_processes import Known
from oom_sentinel.kills.known_processes import told_of
from oom_sentinel.kills.known_processes import within
from oom_sentinel.risk import badness

SOURCE = 'counters'
NOBODY = 'unknown: a counter rose and no known process is missing'


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
    return told_of(replace(
        kill, victim_pid=process.pid, victim_comm=process.program.comm,
        victim_uid=process.uid, oom_score_adj=process.oom_score_adj,
        page_table_bytes=None if held is None else held.page_table_bytes), victim)
