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

from collections.abc import Mapping

from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import GroupMemory
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.protection import achieved
from oom_sentinel.report.text import counted
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import mib
from oom_sentinel.risk import Assessment
from oom_sentinel.risk import badness
from oom_sentinel.settings import Group
from oom_sentinel.settings import Settings

NOT_READ = 'unavailable (not read yet)'


def compose(group: Group, sample: Sample, assessment: Assessment,
            protection: Protection) -> Status:
    """Return the status; a group that matches nothing yet is OK with a text."""
    targets = sorted((t for t in protection.targets if t.group == group.name),
                     key=lambda t: t.process.pid)
    present = [achieved(t, protection) for t in targets]
    name = f'Group {group.name}'
    values = _values(tuple(targets), present, sample, assessment, protection)
    if not targets:
        return Status(name, Level.OK, 'No process matches this group yet.', values)
    rss = sum(t.process.memory.rss_bytes for t in targets if t.process.memory)
    adj = [str(v) for v in sorted({v for v in present if v is not None})]
    return Status(name, Level.OK,
                  f'{counted(len(targets))}, {mib(rss)} MiB resident, oom_score_adj '
                  f'{listed(adj) if adj else NOT_READ}.', values)


def group_memory(settings: Settings, assessment: Assessment,
                 protection: Protection) -> tuple[GroupMemory, ...]:
    """Return what each group holds and by how much it grows; a group without process holds 0."""
    growth = dict(assessment.growth)
    found = []
    for group in settings.protection_groups:
        processes = [t.process for t in protection.targets if t.group == group.name]
        memories = [p.memory for p in processes if p.memory is not None]
        rates = [growth[p.identity] for p in processes if p.identity in growth]
        found.append(GroupMemory(
            group.name,
            sum(m.rss_bytes for m in memories) / MIB if memories or not processes else None,
            sum(rates) * 60 / MIB if rates or not processes else None))
    return tuple(found)


def _values(targets: tuple[Target, ...], present: list[int | None], sample: Sample,
            assessment: Assessment, protection: Protection) -> tuple[tuple[str, str], ...]:
    raised = dict(protection.head_starts)
    processes = [t.process for t in targets]
    memories = [p.memory for p in processes if p.memory is not None]
    unread = bool(processes) and not memories
    growth = dict(assessment.growth)
    rates = [growth[p.identity] for p in processes if p.identity in growth]
    return (
        ('processes', listed([f'{p.label} (PID {p.pid})' for p in processes])),
        ('nodes', listed([n for p in processes for n in p.node_names])),
        ('RSS (MiB)', NOT_READ if unread else mib(sum(m.rss_bytes for m in memories))),
        ('swap (MiB)', NOT_READ if unread else mib(sum(m.swap_bytes for m in memories))),
        ('oom_score', listed([_known(p.oom_score) for p in processes])),
        ('oom_score_adj', listed([_known(value) for value in present])),
        ('head start left (MiB)', listed([
            text for t, value in zip(targets, present)
            for text in _head_start(t, value, sample, assessment, raised)])),
        ('growth (MiB/h)', f'{sum(rates) * 3600 / MIB:.0f}' if rates else 'no trend'))


def _known(value: int | None) -> str:
    return 'unknown' if value is None else str(value)


def _head_start(target: Target, value: int | None, sample: Sample, assessment: Assessment,
                raised: Mapping[Identity, int]) -> tuple[str, ...]:
    """
    Return by how much a process may grow until it weighs as much as an idle unprotected one.

    That is the head start its oom_score_adj gives less what it holds, or, where lowering was
    denied, what is missing to the raised ones; below 0 it has outgrown its protection.
    """
    process, page = target.process, sample.host.page_size
    if process.identity in raised:
        return (f'{process.label} {raised[process.identity] / MIB:.0f}',)
    total = _totalpages(process.pid, sample, assessment)
    if value is None or value >= 0 or total is None or process.memory is None:
        return ()
    points = badness.points(process.memory.rss_bytes // page, process.memory.swap_bytes // page,
                            process.memory.page_table_bytes, value,
                            totalpages=total, page_size=page)
    left = 'unkillable' if points is None else f'{-points * page / MIB:.0f}'
    return (f'{process.label} {left}',)


def _totalpages(pid: int, sample: Sample, assessment: Assessment) -> int | None:
    """Return those of the control group that is short when it holds the process."""
    if pid in dict(sample.members).get(assessment.domain, frozenset()):
        return assessment.totalpages
    if isinstance(sample.meminfo, Unavailable):
        return None
    return badness.machine_totalpages(sample.meminfo, sample.host.page_size)
