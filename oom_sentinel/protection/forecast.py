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
What protection would do now, without writing.

A single reading shows no growth, so each process counts as resting at what it holds.
"""

from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.protection import plan
from oom_sentinel.protection import sizes
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.memory import Memory
from oom_sentinel.protection.plan import Plan
from oom_sentinel.settings import Settings

DomainsOf = Callable[[tuple[str, ...]], tuple[Domain, ...]]
Floor = Callable[[Target], int | None]
HoldsDevice = Callable[[int], bool]


def forecast(processes: Iterable[Process], settings: Settings, view: View, page_size: int, *,
             domains_of: DomainsOf, floor: Floor, holds_device: HoldsDevice) -> Plan:
    """
    Return the plan that protection would make, with those that it would raise.

    :param domains_of: gives the memory domains of these control group paths.
    :param floor: returns the value that a write of this target would come to, None where it
        is unknown or as wanted.
    :param holds_device: returns whether a PID holds a driver's device open.
    """
    table = tuple(processes)
    memory = Memory(page_size)
    domains = domains_of(memory.protected_cgroups(table, settings, view))
    made = _planned(table, settings, view, memory, domains, frozenset())
    for target in made.targets:
        lowest = floor(target)
        if lowest is not None and lowest > target.wanted:
            memory.floors[target.process.identity] = lowest
    if not memory.floors:
        return made
    made = _planned(table, settings, view, memory, domains, frozenset())
    spared = frozenset(t.process.identity for t in made.raised
                       if t.process.program.ros and holds_device(t.process.pid))
    return _planned(table, settings, view, memory, domains, spared)


def _planned(table: tuple[Process, ...], settings: Settings, view: View, memory: Memory,
             domains: tuple[Domain, ...], spared: frozenset[Identity]) -> Plan:
    known = replace(
        memory.known(table, domains, settings, {}), spared=spared,
        sizes={p.identity: replace(sizes.first(p.memory, 0.0), settled=True)
               for p in table if p.memory is not None})
    return plan.plan(table, settings, view, known, memory.group_of)
