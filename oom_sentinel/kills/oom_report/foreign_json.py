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
Log lines inside JSON of others: docker's json-file, Loki, CloudWatch, GELF, fluentd...

Every text in the document is a candidate; its time, where the line itself has none, is the
first value beside it that reads as one.
"""

from collections.abc import Iterator
import json
from typing import Any

from oom_sentinel.kills.oom_report import dates
from oom_sentinel.kills.oom_report.record import Clock

MAX_DEPTH = 12
MAX_TEXTS = 2000
_UTC = Clock()
# Seconds, milliseconds, microseconds or nanoseconds since the epoch, of 2001 to 2128.
_FIRST_S, _LAST_S = 1e9, 5e9


def parsed(line: bytes) -> Any:
    """Return the JSON document in a line, or one element of an array; None when it is none."""
    start = line.find(b'{')
    if start < 0:
        return None
    if line.startswith(b'[', start - 1) and line.rstrip().endswith(b']'):
        start -= 1
    elif line.rstrip().endswith((b',', b']')):
        line = line.rstrip(b', \t\r]')
    try:
        return json.loads(line[start:])
    except (ValueError, RecursionError):
        return None


def texts(document: Any) -> Iterator[tuple[bytes, float | None]]:
    """Yield the texts of a document that may be log lines, with the time beside each."""
    waiting: list[tuple[Any, int, float | None]] = [(document, 0, None)]
    given = 0
    while waiting and given < MAX_TEXTS:
        value, depth, wall_s = waiting.pop(0)
        if isinstance(value, str):
            if ' ' in value:
                given += 1
                yield value.encode('utf-8', 'surrogatepass'), wall_s
        elif depth < MAX_DEPTH and isinstance(value, (dict, list)):
            parts = list(value.values()) if isinstance(value, dict) else value
            beside = next((at for at in map(_time, parts[:50]) if at is not None), wall_s)
            waiting.extend((part, depth + 1, beside) for part in parts[:MAX_TEXTS])


def _time(value: object) -> float | None:
    """Return a value as seconds since the epoch, None when it is no time."""
    if isinstance(value, str):
        if len(value) > 40 or not value.isascii():
            return None
        if not value.isdigit():
            return dates.find(value.encode(), _UTC) if 'T' in value else None
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    for unit in (1, 1e3, 1e6, 1e9):
        if _FIRST_S <= value / unit < _LAST_S:
            return value / unit
    return None
