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

"""Statuses Memory, Memory pressure and Control groups."""

from oom_sentinel.facts.level import Unavailable
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Status
from oom_sentinel.report.text import mib
from oom_sentinel.report.text import number
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment

OVERCOMMIT = {0: '0 (heuristic)', 1: '1 (always)', 2: '2 (never: malloc fails at CommitLimit)'}


def memory(sample: Sample, assessment: Assessment) -> Status:
    """Return the machine's memory and swap."""
    verdict, info = assessment.memory, sample.meminfo
    if isinstance(info, Unavailable):
        return Status('Memory', verdict.level, f'Memory is {info}.')
    available = info.mem_available_bytes
    percent = None if available is None else 100.0 * available / info.mem_total_bytes
    if verdict.reasons:
        message = sentence(verdict.reasons)
    elif percent is None:
        message = 'MemAvailable is unavailable (kernels before 3.14 have none).'
    else:
        message = f'{percent:.0f} % of {mib(info.mem_total_bytes)} MiB is available.'
    mode = sample.policy.overcommit_memory
    return Status('Memory', verdict.level, message, (
        ('MemTotal (MiB)', mib(info.mem_total_bytes)),
        ('MemAvailable (MiB)', mib(available, 'kernels before 3.14 have none')),
        ('MemAvailable (%)', number(percent, 'kernels before 3.14 have none')),
        ('MemFree (MiB)', mib(info.mem_free_bytes)),
        ('SwapTotal (MiB)', mib(info.swap_total_bytes)),
        ('SwapFree (MiB)', mib(info.swap_free_bytes)),
        ('CommitLimit (MiB)', mib(info.commit_limit_bytes)),
        ('Committed_AS (MiB)', mib(info.committed_as_bytes)),
        ('overcommit_memory', OVERCOMMIT.get(mode, str(mode)) if mode is not None
         else 'unavailable (/proc/sys/vm/overcommit_memory)')))


def pressure(sample: Sample, assessment: Assessment) -> Status:
    """Return PSI, or the reason why there is none."""
    verdict, found = assessment.pressure, sample.pressure
    if isinstance(found, Unavailable):
        return Status('Memory pressure', verdict.level, f'Not available: {found.why}.', (
            ('some avg10 (%)', str(found)), ('full avg10 (%)', str(found))))
    values = []
    for name, line in (('some', found.some), ('full', found.full)):
        if line is None:
            continue
        values += [(f'{name} avg10 (%)', f'{line.avg10:.2f}'),
                   (f'{name} avg60 (%)', f'{line.avg60:.2f}'),
                   (f'{name} total (ms)', f'{line.total_us / 1000:.0f}')]
    message = sentence(verdict.reasons) if verdict.reasons else (
        f'Tasks waited for memory {found.some.avg10:.0f} % of the last 10 s.')
    return Status('Memory pressure', verdict.level, message, tuple(values))


def cgroups(sample: Sample, assessment: Assessment) -> Status:
    """Return the tightest limit over the sentinel and every protected process."""
    verdict, room, chains = assessment.cgroups, assessment.tightest, sample.chains
    name = 'Control groups'
    if isinstance(chains, Unavailable):
        return Status(name, verdict.level, f'Not available: {chains.why}.', (
            ('tightest', str(chains)),))
    groups = {g.path: g for chain in chains for g in chain.groups}
    kills = [g.oom_kill for g in groups.values() if g.path != '/' and g.oom_kill is not None]
    total = ('oom_kill', str(sum(kills)) if kills else 'unavailable (no counter readable)')
    own = ('own control group', sample.own_cgroup or 'unavailable (/proc/self/cgroup)')
    if room is None:
        return Status(name, verdict.level,
                      sentence(verdict.reasons or ('no memory limit applies to the sentinel or '
                                                   'a protected process',)),
                      (('tightest', 'none'), own, total))
    group = room.group
    message = sentence(verdict.reasons) if verdict.reasons else (
        f'{room.percent:.0f} % of the tightest limit ({group.path}) is left.')
    return Status(name, verdict.level, message, (
        ('tightest', group.path), ('version', f'v{group.version}'),
        ('limit (MiB)', mib(group.limit_bytes)), ('usage (MiB)', mib(group.usage_bytes)),
        ('headroom (MiB)', mib(room.left_bytes)), own, total))
