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

"""Levels of the machine's memory, of pressure, and of a memory control group."""

from collections.abc import Iterable

from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.risk.levels import Finding
from oom_sentinel.settings import Settings


def available_bytes(meminfo: MemInfo) -> int | None:
    """Return MemAvailable; kernels before 3.14 have none."""
    return meminfo.mem_available_bytes


def _graded(low: bool, very_low: bool, text: str) -> tuple[Finding, ...]:
    if very_low:
        return (Finding(Level.ERROR, text),)
    return (Finding(Level.WARN, text),) if low else ()


def memory(meminfo: MemInfo | Unavailable, policy: VmPolicy,
           settings: Settings) -> tuple[Finding, ...]:
    """Return what is wrong with the machine's memory; swap counts only when memory is low."""
    if isinstance(meminfo, Unavailable):
        return (Finding(Level.WARN, f'Memory is {meminfo}'),)
    found: tuple[Finding, ...] = ()
    low = False
    available = available_bytes(meminfo)
    if available is not None:
        percent = 100.0 * available / meminfo.mem_total_bytes
        low = percent < settings.memory_available_warn_percent
        found += _graded(low, percent < settings.memory_available_error_percent,
                         f'{percent:.0f} % of memory is available')
    if meminfo.swap_total_bytes and low:
        used = 100.0 * (1 - meminfo.swap_free_bytes / meminfo.swap_total_bytes)
        found += _graded(used > settings.swap_used_warn_percent,
                         used > settings.swap_used_error_percent,
                         f'{used:.0f} % of swap is used')
    limit, committed = meminfo.commit_limit_bytes, meminfo.committed_as_bytes
    if policy.overcommit_memory == 2 and limit and committed is not None:
        left = 100.0 * (limit - committed) / limit
        found += _graded(left < settings.memory_available_warn_percent,
                         left < settings.memory_available_error_percent,
                         f'{left:.0f} % of CommitLimit is left: with overcommit mode 2 malloc '
                         'fails there and no process is killed')
    return found


def pressure(reading: Pressure | Unavailable, settings: Settings) -> tuple[Finding, ...]:
    """Return what PSI says; without PSI there is nothing to say and nothing wrong."""
    if isinstance(reading, Unavailable):
        return ()
    found: tuple[Finding, ...] = ()
    if reading.some.avg10 > settings.pressure_some_avg10_warn:
        found += (Finding(Level.WARN,
                          f'some tasks waited for memory {reading.some.avg10:.0f} % of the '
                          'last 10 s'),)
    if reading.full is not None and reading.full.avg10 > settings.pressure_full_avg10_error:
        found += (Finding(Level.ERROR,
                          f'every task waited for memory {reading.full.avg10:.0f} % of the '
                          'last 10 s'),)
    return found


def cgroups(rooms: tuple[Headroom, ...],
            settings: Settings) -> tuple[tuple[str, Finding], ...]:
    """Return what is wrong with each limited control group, by the machine's thresholds."""
    found = []
    for room in rooms:
        group, label = room.group, room.group.label
        low = room.percent < settings.memory_available_warn_percent
        here = _graded(low, room.percent < settings.memory_available_error_percent,
                       f'{room.percent:.0f} % of the limit of {label} is left')
        if low and room.swap_used_percent is not None:
            used = room.swap_used_percent
            here += _graded(used > settings.swap_used_warn_percent,
                            used > settings.swap_used_error_percent,
                            f'{used:.0f} % of the swap of {label} is used')
        if group.oom_kill_disable and group.under_oom:
            here += (Finding(Level.ERROR, f'{label} is at its limit and has oom_kill_disable: '
                             'its tasks hang'),)
        elif group.oom_kill_disable:
            here += (Finding(Level.WARN, f'{label} has oom_kill_disable: at its limit its tasks '
                             'hang instead of one being killed'),)
        found += [(group.path, finding) for finding in here]
    return tuple(found)


def throttling(groups: Iterable[MemoryCgroup],
               throttled: frozenset[str]) -> tuple[Finding, ...]:
    """Return which groups are slowed down at memory.high; nobody is killed for that."""
    return tuple(Finding(Level.WARN, f'{group.label} is throttled: above memory.high '
                         f'({(group.high_bytes or 0) / MIB:.0f} MiB) its tasks are slowed down')
                 for group in groups if group.path in throttled)
