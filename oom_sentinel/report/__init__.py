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

"""Compose the diagnostics statuses from an assessment; keys and names are stable."""

from collections.abc import Callable

from oom_sentinel.facts import parts as cycle
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.parts import Parts
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Report
from oom_sentinel.facts.status import Status
from oom_sentinel.report import cgroups
from oom_sentinel.report import group
from oom_sentinel.report import kills as kills_status
from oom_sentinel.report import memory
from oom_sentinel.report import pressure
from oom_sentinel.report import protection as protection_status
from oom_sentinel.report import risk as risk_status
from oom_sentinel.report.group import group_memory
from oom_sentinel.report.journal import Journal
from oom_sentinel.report.kills import one as kill
from oom_sentinel.report.protection import applied
from oom_sentinel.report.shedding import action
from oom_sentinel.risk import Assessment
from oom_sentinel.settings import Settings

__all__ = ['Journal', 'action', 'applied', 'compose', 'group_memory', 'kill']

Maker = Callable[[], Status]


def compose(sample: Sample, assessment: Assessment, protection: Protection,
            settings: Settings, kills: Kills = Kills(),
            running: Parts | None = None,
            shedding: Shedding = Shedding()) -> tuple[Status, ...]:
    """
    Return every status in its fixed order.

    :param running: the parts of the cycle; those that failed are shown in their statuses.
    """
    makers: list[tuple[str, Maker]] = [
        ('Memory', lambda: memory.compose(sample, assessment)),
        ('Memory pressure', lambda: pressure.compose(sample, assessment)),
        ('Control groups', lambda: cgroups.compose(sample, assessment)),
        ('OOM risk', lambda: risk_status.compose(sample, assessment, shedding)),
        ('Protection', lambda: protection_status.compose(
            assessment, protection, settings, sample.surroundings, sample.malformed)),
        ('OOM kills', lambda: kills_status.compose(kills, sample, settings))]
    makers += [(f'Group {g.name}', lambda g=g: group.compose(  # type: ignore[misc]
        g, sample, assessment, protection)) for g in settings.protection_groups]
    running = running or Parts()
    made = [running.run(cycle.status_part(name), maker, Status(name, Level.WARN, ''))
            for name, maker in makers]
    return tuple(marked(status, running) for status in made) if running.troubles else tuple(made)


def summary(sample: Sample, assessment: Assessment, protection: Protection,
            settings: Settings, kills: Kills, shedding: Shedding) -> Report:
    """Return the numbers, kills and actions of a cycle; its statuses are still missing."""
    exhaustion = assessment.exhaustion
    return Report(
        (), sample.mem_available_percent, sample.some_avg10, assessment.oom_risk,
        kills=tuple(map(kill, kills.fresh)),
        time_to_exhaustion_s=None if exhaustion is None else exhaustion.middle_s,
        groups=group_memory(settings, assessment, protection),
        actions=tuple(map(action, shedding.fresh)))


def why_values_stay(orderly: bool, settings: Settings,
                    assessment: Assessment | None) -> str | None:
    """Return why values are not given back at the end, None when they are."""
    if not orderly:
        return 'the sentinel ends after an error'
    if not settings.protection_restore_on_exit:
        return 'protection.restore_on_exit is false'
    if assessment is not None and assessment.risk.level != Level.OK:
        return f'OOM risk is {assessment.risk.level.name}, so protection stays'
    return None


def given_back(done: int, total: int) -> str:
    """Return how many of the changed processes have their old value again, as a sentence."""
    if not total:
        return 'No process was changed, so nothing is given back.'
    return f'{done} of {total} changed processes have their old value again.'


def marked(status: Status, running: Parts) -> Status:
    """Return the status with the failed parts of the cycle that belong to it."""
    failed = [(part, f'unavailable ({why})') for part, why in running.troubles.items()
              if any(status.name == name or (name == cycle.GROUPS and status.name.startswith(name))
                     for name in part.statuses)]
    if not failed:
        return status
    words = '; '.join(f'{part.name} {why}' for part, why in failed)
    kept = '' if any(part.replaces for part, _ in failed) else f'  {status.message}'
    return Status(status.name, max(status.level, Level.WARN), f'{words}.{kept}',
                  tuple((part.name, why) for part, why in failed) + status.values)
