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

"""Status Group NAME: one protection group's processes and what they hold."""

from oom_sentinel import badness
from oom_sentinel.facts.level import Level
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Status
from oom_sentinel.report.text import counted
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import MIB
from oom_sentinel.report.text import mib
from oom_sentinel.risk import Assessment
from oom_sentinel.settings import Group


def compose(group: Group, sample: Sample, assessment: Assessment,
            protection: Protection) -> Status:
    """Return the status; a group that matches nothing yet is OK with a text."""
    targets = sorted((t for t in protection.targets if t.group == group.name),
                     key=lambda t: t.process.pid)
    name = f'Group {group.name}'
    if not targets:
        return Status(name, Level.OK, 'No process matches this group yet.',
                      _values((), sample, assessment))
    rss = sum(t.process.memory.rss_bytes for t in targets if t.process.memory)
    return Status(name, Level.OK,
                  f'{counted(len(targets))}, {mib(rss)} MiB resident, oom_score_adj '
                  f'{listed(sorted({str(t.value) for t in targets}))}.',
                  _values(tuple(targets), sample, assessment))


def _values(targets: 'tuple[Target, ...]', sample: Sample,
            assessment: Assessment) -> 'tuple[tuple[str, str], ...]':
    processes = [t.process for t in targets]
    memories = [p.memory for p in processes if p.memory is not None]
    growth = dict(assessment.growth)
    rates = [growth[p.identity] for p in processes if p.identity in growth]
    return (
        ('processes', listed([f'{p.label} (PID {p.pid})' for p in processes])),
        ('nodes', listed([n for p in processes for n in p.node_names])),
        ('RSS (MiB)', mib(sum(m.rss_bytes for m in memories))),
        ('swap (MiB)', mib(sum(m.swap_bytes for m in memories))),
        ('oom_score', listed([str(p.oom_score) for p in processes if p.oom_score is not None])),
        ('oom_score_adj', listed([str(t.value) for t in targets])),
        ('head start left (MiB)', listed(_head_starts(targets, sample, assessment))),
        ('growth (MiB/h)', f'{sum(rates) * 3600 / MIB:.0f}' if rates else 'no trend'))


def _head_starts(targets: 'tuple[Target, ...]', sample: Sample,
                 assessment: Assessment) -> 'list[str]':
    """Return by how much each may grow until it weighs as much as an idle unprotected one."""
    found = []
    total, page = assessment.totalpages, sample.host.page_size
    for target in targets:
        memory = target.process.memory
        if target.value >= 0 or total is None or memory is None:
            continue
        points = badness.points(memory.rss_bytes // page, memory.swap_bytes // page,
                                memory.page_table_bytes, target.value,
                                totalpages=total, page_size=page)
        found.append('unkillable' if points is None
                     else f'{target.process.label} {-points * page / MIB:.0f}')
    return found
