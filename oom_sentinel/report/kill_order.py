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

"""The kill order as one JSON document: `oom_sentinel order` and an incident's processes.json."""

from collections.abc import Callable
from collections.abc import Sequence

from oom_sentinel.facts.host import Host
from oom_sentinel.facts.process import Process
from oom_sentinel.risk import badness
from oom_sentinel.risk.badness import Candidate
from oom_sentinel.settings.outside import scrubbed


def document(order: Sequence[Candidate], *, host: Host, wall_s: float, totalpages: int,
             machine_totalpages: int, group_of: Callable[[Process], str | None]
             ) -> dict[str, object]:
    """
    Return the document of INTERFACE.md.

    :param totalpages: those of the domain that the order is for, in pages.
    :param machine_totalpages: the machine's, by which /proc/PID/oom_score is made.
    """
    return {'host': host.hostname, 'time': wall_s, 'totalpages': totalpages,
            'page_size': host.page_size,
            'processes': [_process(c, host, machine_totalpages, group_of(c.process))
                          for c in order]}


def _process(candidate: Candidate, host: Host, machine: int,
             group: str | None) -> dict[str, object]:
    process, memory = candidate.process, candidate.process.memory
    globally = badness.of(process, totalpages=machine, page_size=host.page_size)
    return {
        'rank': candidate.rank, 'pid': process.pid, 'start_time': process.start_time,
        'comm': process.program.comm, 'cmdline': list(scrubbed(process.program.cmdline)),
        'node_names': list(process.node_names), 'package': process.program.package,
        'executable': process.program.executable, 'group': group,
        'rss_bytes': memory.rss_bytes if memory else None,
        'swap_bytes': memory.swap_bytes if memory else None,
        'page_table_bytes': memory.page_table_bytes if memory else None,
        'oom_score_adj': process.oom_score_adj, 'badness': candidate.badness,
        'oom_score': process.oom_score,
        'predicted_oom_score': badness.oom_score(
            globally, totalpages=machine, kernel_version=host.kernel_version),
        'cgroup': process.cgroup}
