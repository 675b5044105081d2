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

"""Sentences about a plan: where the wanted order is lost, and what is worth knowing.  Pure."""

from collections.abc import Iterable
from collections.abc import Mapping

from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.foreign_growth import Foreign
from oom_sentinel.protection.known import Known
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.level import Protected
from oom_sentinel.settings import Settings

UNKILLABLE = -1000
ADVISED_MIN = -600
# From this ratio on a value that is right in a control group is absurd on the machine.
ABSURD_RATIO = 50
MIB = 1 << 20


def lost(denied: Iterable[Target], levels: Iterable[Level],
         foreign: Mapping[str | None, Foreign], settings: Settings) -> tuple[str, ...]:
    """Return where protected processes are no safer than others, so that someone must act."""
    if settings.protection_when_denied == 'report':
        refused = any(True for _ in denied)
        return ('lowering is denied and protection.when_denied is report: protected processes '
                'are no safer than the others',) * refused
    found = [_foreign(entry) for entry in foreign.values() if entry.cap_pages is not None]
    found += [f'in {made.domain.label} {made.largest} is so large that no value lifts a small '
              'process above it: it is no safer than the others' for made in levels
              if not made.reached]
    return tuple(found)


def _foreign(entry: Foreign) -> str:
    what = f'{entry.label}, which cannot be raised, uses up the memory of {entry.domain}: the ' \
           'other processes are raised only below it'
    if entry.cap_pages == 0:
        what = f'{entry.label}, which cannot be raised, uses up the memory of {entry.domain}: ' \
               'the other processes are not raised, because they would be killed before it'
    return what


def notes(denied: Iterable[Target], spared: tuple[Process, ...], known: Known,
          settings: Settings) -> tuple[str, ...]:
    """Return what is worth knowing while nobody must act."""
    found = []
    refused = list(denied)
    wanted = {t.wanted for t in refused}
    if len(wanted) > len({t.value for t in refused}):
        found.append('all negative groups are at the same value, the lowest permitted one')
    if refused:
        found.append('processes of other users and those that are never raised are as safe '
                     'as the protected ones')
    if spared:
        names = ', '.join(p.label for p in spared[:3]) + (', ...' if len(spared) > 3 else '')
        found.append(f'not raised, because no group names it and it looks like a driver or a '
                     f'controller: {names}')
    found += [f'{file.path} ({file.size_bytes // MIB} MiB) takes memory that counts for no '
              f'process; PID {identity.pid} holds it open and is raised by as much'
              for identity, files in known.unmapped.items() for file in files][:3]
    found += _absurd(known, settings)
    return tuple(found) + _values(settings)


def wide(levels: Iterable[Level], protected: Iterable[Protected], page_size: int
         ) -> tuple[str, ...]:
    """Name per domain the protected process whose head start is larger than what is left."""
    found = []
    members = [p for p in protected if not p.itself]
    for made in levels:
        widest = max((p for p in members if made.domain.holds(p.process)),
                     key=made.head_start, default=None)
        left = made.domain.left_pages
        if widest is not None and left is not None and made.head_start(widest) > left:
            found.append(
                f'{widest.process.label} may grow by '
                f'{made.head_start(widest) * page_size // MIB} MiB in {made.domain.label} before '
                f'it is killed first, but {left * page_size // MIB} MiB are left: when it leaks '
                'them within a second, others are killed before it')
    return tuple(found)


def _absurd(known: Known, settings: Settings) -> list[str]:
    """Name each control group in which a head start is next to nothing beside the machine's."""
    lowest = min((g.oom_score_adj for g in settings.protection_groups), default=0)
    machine = next((d for d in known.domains if d.path is None), None)
    if machine is None or lowest >= 0:
        return []

    def mib(domain: Domain) -> int:
        return -lowest * domain.point * known.page_size // MIB

    return [f'{lowest} is a head start of {mib(domain)} MiB in {domain.label} and of '
            f'{mib(machine)} MiB on this machine' for domain in known.domains
            if domain.path is not None and domain.totalpages * ABSURD_RATIO < machine.totalpages]


def _values(settings: Settings) -> tuple[str, ...]:
    found = []
    for group in settings.protection_groups:
        if group.oom_score_adj == UNKILLABLE and not settings.protection_allow_unkillable:
            found.append(f'group {group.name}: -1000 is written as -999, because an unkillable '
                         'leak takes everything else; protection.allow_unkillable permits it')
        elif group.oom_score_adj < ADVISED_MIN:
            found.append(f'group {group.name}: {group.oom_score_adj} is so low that a leak in '
                         'it kills every other node first; -500 is the advised limit')
    return tuple(found)
