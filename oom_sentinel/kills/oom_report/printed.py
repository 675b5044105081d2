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
Entries of the journal over several lines: `-o json-pretty`, jq's output, and `-o verbose`.

Only a whole entry shows who wrote its message, so the lines are held until the entry ends.
"""

import re

from oom_sentinel.kills.oom_report import dates
from oom_sentinel.kills.oom_report import foreign_json
from oom_sentinel.kills.oom_report import journal
from oom_sentinel.kills.oom_report.record import Clock

MAX_ENTRY = 1 << 15
_HEADER = re.compile(rb'(\S{1,20} \d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{1,6})? \S{1,8}) '
                     rb'\[s=[0-9a-f]{1,40};i=[0-9a-f]{1,20};[^\]]{0,400}\]\s*$')
_FIELD = re.compile(rb'\s{1,16}(_{0,2}[A-Z0-9][A-Z0-9_]{0,63})=(.*)', re.DOTALL)
_MEMBER = re.compile(rb'"MESSAGE" ?: ?["\[]')


def begins(line: bytes) -> bool:
    """Return whether a line begins such an entry."""
    return line.endswith((b'{', b']')) and (
        line.strip() == b'{' or _HEADER.match(line) is not None)


def begin_of(block: bytes, least: int, line: int) -> int:
    """
    Return where the entry begins that holds the line at `line`, else `line`.

    :param least: where to stop looking.
    """
    first = block[line:line + 1]
    if first not in (b' ', b'\t', b'"'):
        return line
    least = max(least, line - MAX_ENTRY)
    brace, header = block.rfind(b'{\n', least, line), block.rfind(b'[s=', least, line)
    at = max(block.rfind(b'\n', least, max(brace, header)) + 1, least)
    end = block.find(b'\n', at)
    return at if max(brace, header) >= 0 and begins(block[at:end]) else line


def is_member(line: bytes) -> bool:
    """Return whether a line is the message of an entry; its other lines show who wrote it."""
    return line.startswith(b'MESSAGE=') or _MEMBER.match(line) is not None


class Printed:
    """Puts the lines of an entry together."""

    def __init__(self) -> None:
        """Begin outside any entry."""
        self._lines: list[bytes] = []
        self._size = 0

    @property
    def inside(self) -> bool:
        """Return whether an entry is being read."""
        return bool(self._lines)

    def feed(self, line: bytes) -> tuple[list[bytes], bool]:
        """
        Take a line of the entry, the first one too.

        :returns: the lines of the entry when it is at its end or too long, else none; and
            whether the line belongs to it.
        """
        if self._lines and _HEADER.match(self._lines[0]) and not _FIELD.match(line):
            return self.end(), False
        first = self._lines[0] if self._lines else line
        self._lines.append(line)
        self._size += len(line)
        indent = first[:len(first) - len(first.lstrip())]
        closed = first.endswith(b'{') and line.startswith(indent + b'}')
        return self.end() if closed or self._size > MAX_ENTRY else [], True

    def end(self) -> list[bytes]:
        """Return the lines that are held, and begin anew."""
        held, self._lines, self._size = self._lines, [], 0
        return held


def entry(lines: list[bytes], clock: Clock) -> dict[str, bytes] | None:
    """Return the fields of an entry of the journal, None when the lines are none."""
    header = _HEADER.match(lines[0])
    if header is None:
        return journal.json_entry(document(lines))
    fields: dict[str, bytes] = {}
    for line in lines[1:]:
        m = _FIELD.match(line)
        if m is not None and m.group(1).decode() in journal.FIELDS:
            fields.setdefault(m.group(1).decode(), m.group(2))
    wall_s = dates.find(header.group(1), clock)
    if wall_s is not None:
        fields.setdefault('__REALTIME_TIMESTAMP', b'%d' % round(wall_s * 1e6))
    return fields if 'MESSAGE' in fields else None


def document(lines: list[bytes]) -> object:
    """Return the JSON document of the lines, None when they are none."""
    return foreign_json.parsed(b''.join(lines).strip().rstrip(b','))
