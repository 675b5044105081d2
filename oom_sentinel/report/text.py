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

"""Numbers and lists as an operator reads them."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache

from oom_sentinel.facts.memory import MIB

LISTED_MAX = 10


def mib(value: int | None, why: str = 'not printed by this kernel') -> str:
    """Return bytes as whole MiB, `unavailable (why)` for None."""
    return f'unavailable ({why})' if value is None else f'{value / MIB:.0f}'


def number(value: float | int | None, why: str, form: str = '.1f') -> str:
    """Return a number, `unavailable (why)` for None."""
    return f'unavailable ({why})' if value is None else format(value, form)


def listed(items: Sequence[str], most: int = LISTED_MAX) -> str:
    """Return the items with commas, the tail as a count, `none` for no item."""
    if not items:
        return 'none'
    more = len(items) - most
    return ', '.join(items[:most]) + (f', +{more} more' if more > 0 else '')


def counted(count: int) -> str:
    """Return a number of processes in words."""
    return '1 process' if count == 1 else f'{count} processes'


def sentence(parts: Sequence[str]) -> str:
    """Return the parts as one sentence that begins with a capital and ends with a stop."""
    joined = '; '.join(parts)
    first = joined.split(' ')[0]
    if not ('.' in first or '/' in first):  # names of files and nodes keep their spelling
        joined = joined[:1].upper() + joined[1:]
    return joined + ('' if joined.endswith('.') else '.')


@lru_cache(maxsize=64)  # the same kills are shown in each cycle, and strftime takes 10 us
def clock(wall_s: float, date: bool = False) -> str:
    """Return the local time with its zone, with the date where that is asked for."""
    try:
        at = datetime.fromtimestamp(wall_s).astimezone()
    except (ValueError, OverflowError, OSError):
        return 'a time out of range'
    return at.strftime('%Y-%m-%d %H:%M:%S %Z' if date else '%H:%M:%S %Z')
