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
The journal's JSON and export entries (systemd's JOURNAL_EXPORT_FORMATS).

An export entry is a block of NAME=value lines that an empty line ends; a value that is no text
follows as eight bytes of length and raw data, newlines included.
"""

import re

from oom_sentinel.kills.oom_report.envelope import OTHER
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.record import Record

FIELDS = frozenset((
    'MESSAGE', '_TRANSPORT', 'SYSLOG_IDENTIFIER', 'SYSLOG_FACILITY', '__REALTIME_TIMESTAMP',
    '__MONOTONIC_TIMESTAMP', '_SOURCE_MONOTONIC_TIMESTAMP', '_BOOT_ID', '_SYSTEMD_UNIT'))
# An entry has at least one of these.
_MARKS = frozenset(('MESSAGE', '_TRANSPORT', '__REALTIME_TIMESTAMP', '__CURSOR'))
MAX_VALUE = 1 << 16
_MAX_BINARY = 1 << 32
FIRST = b'__CURSOR='  # an export entry begins with it
# Names, a little narrower than what `Export` takes.
_NAME = rb'[A-Za-z0-9_]{1,64}'
_TEXTS = re.compile(rb'(?:' + _NAME + rb'=[^\n]*\n)*')
_BINARY = re.compile(_NAME + rb'\n')
_ENTRIES = re.compile(rb'(?:' + FIRST + rb'[^\n]*\n' + _TEXTS.pattern + rb'\n)*')


def json_entry(entry: object) -> dict[str, bytes] | None:
    """Return the fields of a JSON entry that matter, None when it is none of the journal."""
    if not isinstance(entry, dict) or not _MARKS.intersection(entry):
        return None
    found = {}
    for name in FIELDS:
        value = _value(entry.get(name))
        if value is not None:
            found[name] = value
    return found


def _value(value: object) -> bytes | None:
    """Take a text, an array of bytes, or the first of several values of a field."""
    if isinstance(value, list) and value and not isinstance(value[0], int):
        value = value[0]
    if isinstance(value, str):
        return value.encode('utf-8', 'surrogatepass')
    if isinstance(value, list) and all(type(x) is int and 0 <= x < 256 for x in value):
        return bytes(value)
    return None


def record(fields: dict[str, bytes], clock: Clock) -> Record | None:
    """Return the message, with its speaker where that is another than the kernel."""
    text = fields.get('MESSAGE')
    if text is None:
        return None
    boot_us = _number(fields.get('_SOURCE_MONOTONIC_TIMESTAMP'))
    seen_us = _number(fields.get('__MONOTONIC_TIMESTAMP'))
    real_us = _number(fields.get('__REALTIME_TIMESTAMP'))
    if boot_us is None:
        boot_us = seen_us
    boot_s = None if boot_us is None else boot_us / 1e6
    wall_s = clock.wall_s(boot_s)
    if real_us is not None:
        # The journal's time is that of its reading; the kernel's own is a little earlier.
        late = 0 if boot_us is None or seen_us is None else max(0, seen_us - boot_us)
        wall_s = (real_us - late) / 1e6
    # Mem-Info's sums are one record of several lines.
    text = text.replace(b'\n', b' ') if text.startswith(b'active_anon:') \
        else text.split(b'\n', 1)[0]
    return Record(text, wall_s, boot_s, escaped=False,
                  speaker=b'' if _from_kernel(fields) else _speaker(fields))


def _speaker(fields: dict[str, bytes]) -> bytes:
    """
    Return the program that wrote an entry.

    Any program may call itself systemd-oomd; the unit is what journald itself knows.
    """
    name = fields.get('SYSLOG_IDENTIFIER', OTHER)
    unit = fields.get('_SYSTEMD_UNIT')
    if unit is None or unit.startswith(name) or (
            name == b'systemd' and (unit == b'init.scope' or unit.startswith(b'user@'))):
        return name or OTHER
    return OTHER


def _from_kernel(fields: dict[str, bytes]) -> bool:
    transport = fields.get('_TRANSPORT')
    if transport is not None:
        # Whatever a program writes to /dev/kmsg arrives with another facility.
        return transport == b'kernel' and fields.get('SYSLOG_FACILITY', b'0') == b'0'
    return fields.get('SYSLOG_IDENTIFIER', b'kernel') == b'kernel'


def _number(value: bytes | None) -> int | None:
    return int(value) if value is not None and value.isdigit() and len(value) <= 18 else None


def skip(block: bytes, at: int, end: int) -> int:
    """Return the end of the export entries at `at` that are sound and end at `end` or before."""
    while True:
        texts = _ENTRIES.match(block, at, end)
        at = at if texts is None else texts.end()
        behind = _end(block, at, end) if block.startswith(FIRST, at) else -1
        if behind < 0:
            return at
        at = behind


def _end(block: bytes, at: int, end: int) -> int:
    """Return where the export entry at `at` ends, -1 when it is damaged or ends behind `end`."""
    while True:
        texts = _TEXTS.match(block, at, end)
        at = at if texts is None else texts.end()
        if block.startswith(b'\n', at, end):
            return at + 1
        name = _BINARY.match(block, at, end)
        if name is None:
            return -1
        data = name.end() + 8
        at = data + int.from_bytes(block[name.end():data], 'little')
        if not block.startswith(b'\n', min(at, end), end):
            return -1
        at += 1


class Export:
    """Puts the lines of an export stream together to entries."""

    def __init__(self) -> None:
        """Begin outside any entry."""
        self.inside = False
        self._fields: dict[str, bytes] = {}
        self._name = ''
        self._wanted = 0
        self._data = b''

    @property
    def in_binary(self) -> bool:
        """Return whether raw data is being read."""
        return bool(self._name)

    def feed(self, line: bytes) -> dict[str, bytes] | None:
        """Take a line without its newline; return the fields at the end of an entry."""
        if self._name:
            self.feed_binary(line + b'\n')
            return None
        if not line:
            fields, self._fields, self.inside = self._fields, {}, False
            return fields
        self.inside = True
        name, equals, value = line.partition(b'=')
        if not (name.isascii() and name.replace(b'_', b'').isalnum() and len(name) <= 64):
            self.inside, self._fields = False, {}
            return None
        if equals:
            self._keep(name.decode(), value)
        else:
            self._name, self._wanted, self._data = name.decode(), -1, b''
        return None

    def _keep(self, name: str, value: bytes) -> None:
        if name in FIELDS:
            self._fields.setdefault(name, value[:MAX_VALUE])

    def feed_binary(self, piece: bytes) -> None:
        """Take the next bytes of length and data; only what matters is kept in memory."""
        self._data += piece
        if self._wanted < 0:
            if len(self._data) < 8:
                return
            self._wanted = int.from_bytes(self._data[:8], 'little')
            self._data = self._data[8:]
            if self._wanted > _MAX_BINARY:
                self.inside, self._fields, self._name = False, {}, ''
                return
        if len(self._data) <= self._wanted:
            excess = len(self._data) - MAX_VALUE
            if excess > 0:
                self._data = self._data[:MAX_VALUE]
                self._wanted -= excess
            return
        self._keep(self._name, self._data[:self._wanted])
        self._name, self._data = '', b''
