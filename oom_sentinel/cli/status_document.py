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

"""Statuses as JSON: the keys of /diagnostics in snake_case with units, numbers as numbers."""

from collections.abc import Sequence
import re

from oom_sentinel.facts.status import Status

_UNIT = re.compile(r'\s*\(([^()]*)\)\s*$')
_NUMBER = re.compile(r'-?\d{1,15}(\.\d{1,9})?')
_UNITS = {'%': 'percent', '0..1': '', 'MiB/min': 'mib_per_min', 'MiB/s': 'mib_per_s',
          'MiB/h': 'mib_per_h', '%/min': 'percent_per_min'}


def document(statuses: Sequence[Status], node: str = 'oom_sentinel') -> dict[str, object]:
    """Return the JSON document of `oom_sentinel status`, as INTERFACE.md has it."""
    return {'statuses': [
        {'name': f'{node}: {status.name}', 'level': status.level.name,
         'message': status.message, 'values': _values(status)} for status in statuses]}


def _values(status: Status) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in status.values:
        name, number = snake_case(key), 1
        while name in made:
            number += 1
            name = f'{snake_case(key)}_{number}'
        made[name] = plain(value)
    return made


def snake_case(key: str) -> str:
    """Return 'MemAvailable (MiB)' as 'mem_available_mib'."""
    unit = _UNIT.search(key)
    words = _UNIT.sub('', key)
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', words)
    if unit is not None:
        words += '_' + _UNITS.get(unit.group(1), unit.group(1))
    return re.sub(r'[^a-z0-9]+', '_', words.lower()).strip('_')


def plain(value: str) -> int | float | str:
    """Return a number where the text is one, else the text."""
    if not _NUMBER.fullmatch(value):
        return value
    return float(value) if '.' in value else int(value)
