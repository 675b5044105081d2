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
The envelopes of text logs: /dev/kmsg, dmesg in its formats, syslog, journalctl's short forms.

Sources: Documentation/ABI/testing/dev-kmsg, util-linux dmesg(1), RFC 3164, RFC 5424,
systemd's logs-show.c.  Lines of other programs give None: whoever may write to a log must not
be able to forge a kill, so facility and tag are checked wherever the format has them.
"""

import re

from oom_sentinel.kills.oom_report import dates
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.record import Record

# Power loss leaves NULs, a bug report indents, files begin with a byte order mark, journalctl's
# json-seq entries with RS.
PADDING = b'\0 \t\x1e\xef\xbb\xbf'
_COLOR = re.compile(rb'\x1b\[[0-9;]{0,20}[mK]')
_DROPPED = re.compile(rb'\*\* \d{1,10} printk messages dropped \*\* ?')
_TIME = rb'\d\d:\d\d:\d\d(?:[.,]\d{1,9})?'
_KMSG = re.compile(rb'(\d{1,4}),\d{1,20},(\d{1,18}),([^;\s]{0,80});')
_KMSG_CALLER = re.compile(rb',caller=([TC]\d{1,10})')
_PRIORITY = re.compile(rb'<(\d{1,4})>')
# dmesg -x: facility and level, padded.
_FACILITY = re.compile(rb'([a-z]{3,8}\d?) *:(?:emerg|alert|crit|err|warn|notice|info|debug) *: ?')
_BOOT = re.compile(rb'\[ *(\d{1,10}\.\d{1,9})(?: *<[ +]*\d{1,10}\.\d{1,9}>)?\] ?')
_DELTA = re.compile(rb'\[ *[+<] *\d{1,10}\.\d{1,9}>?\] ?')
_CALLER = re.compile(rb'\[ *([TC]\d{1,10})\] ?')
_CTIME = re.compile(rb'\[\S{1,24} (\S.{0,20}?\.?) +(\d{1,2}) (' + _TIME + rb') (\d{4})\] ?')
_RELTIME = re.compile(rb'\[([^\s\d\[\]]{2,24}) ?(\d{1,2}) (\d\d:\d\d)\] ?')
_ISO = re.compile(rb'(\d{4}-\d\d-\d\d)[T ](' + _TIME + rb') ?'
                  rb'([Zz]|[A-Z]{2,5}|[+-]\d\d:?\d\d)?(?= )')
_WEEKDAY_ISO = re.compile(rb'\S{2,12} (?=\d{4}-\d\d-\d\d )')
_RFC3164 = re.compile(rb'((?:\d{1,2}[^\s\d:]{3,6}|[^\s\d]{1,24})) +(\d{1,2}) '
                      rb'(?:(\d{4}) )?(' + _TIME + rb') ')
_UNIX = re.compile(rb'(\d{9,11}\.\d{6}) ')
# The tag must be the kernel's own; the words before it are a host name and busybox's priority.
_KERNEL = re.compile(rb' ?(?:[^\s]{0,255}[^\s:] ){0,2}kernel(?:\[\d{1,10}\])?: ?')
_MONOTONIC_KERNEL = re.compile(rb'[^\s\[\]]{1,255} kernel: ?')
_RFC5424 = re.compile(rb'1 (\d{4}-\d\d-\d\d)T(' + _TIME + rb')([Zz]|[+-]\d\d:\d\d) '
                      rb'\S{1,255} kernel \S{1,128} \S{1,32} ')
_RFC5424_DATA = re.compile(rb'(?:-|(?:\[(?:[^\]\\]|\\.){0,2000}\])+) ?')
# Vendor kernels print CPU and task: Mediatek `(0)[123:name]`, Samsung `[0: name: 123]`,
# Qualcomm `c0 123 `.
_VENDOR = re.compile(rb' *(?:(?:[(-]\d{1,2}\)?)?\[ ?\d{1,7}: ?[^\[\]]{1,40}\] ?|'
                     rb'c\d{1,2} +\d{1,7} )')
_ESCAPE = re.compile(rb'\\x([0-9a-f]{2})')


def unescape(text: bytes) -> bytes:
    r"""Undo the kernel's \xNN (kernel/printk/printk.c msg_add_ext_text())."""
    if b'\\x' not in text:
        return text
    return _ESCAPE.sub(lambda m: bytes((int(m.group(1), 16),)), text)


def read(line: bytes, clock: Clock) -> Record | None:
    """Return the kernel's message in a line, None when the line is another program's."""
    if b'\x1b[' in line:  # dmesg --color=always
        line = _COLOR.sub(b'', line)
    if line.startswith(b'** '):  # consoles of 3.x and 4.x
        m = _DROPPED.match(line)
        line = line if m is None else line[m.end():]
    if line[:1].isdigit():
        m = _KMSG.match(line)
        if m is not None:
            return _kmsg(line, m, clock)
    m = _PRIORITY.match(line)
    if m is not None:
        if int(m.group(1)) >> 3:
            return None
        line = line[m.end():]
        m = _RFC5424.match(line)
        if m is not None:
            return _rfc5424(line, m, clock)
    m = _FACILITY.match(line)
    if m is not None:
        if m.group(1) != b'kern':
            return None
        line = line[m.end():]
    if line[:1] == b'[':
        return _bracket(line, clock)
    return _dated(line, clock)


def _kmsg(line: bytes, m: re.Match[bytes], clock: Clock) -> Record | None:
    """Take a record of /dev/kmsg: what user space writes there has another facility than 0."""
    if int(m.group(1)) >> 3:
        return None
    boot_s = int(m.group(2)) / 1e6
    caller = _KMSG_CALLER.search(m.group(3))
    text = line[m.end():].split(b'\n', 1)[0]
    return Record(text, clock.wall_s(boot_s), boot_s, caller.group(1) if caller else b'')


def _rfc5424(line: bytes, m: re.Match[bytes], clock: Clock) -> Record | None:
    data = _RFC5424_DATA.match(line, m.end())
    if data is None:
        return None
    wall_s = dates.iso(m.group(1), m.group(2), m.group(3), clock)
    return _message(line[data.end():].removeprefix(b'\xef\xbb\xbf'), wall_s, clock)


def _bracket(line: bytes, clock: Clock) -> Record | None:
    """Take dmesg's [seconds], [ctime], [reltime] or [+delta], and short-monotonic."""
    m = _BOOT.match(line)
    if m is not None:
        rest = line[m.end():]
        tag = _MONOTONIC_KERNEL.match(rest)
        if tag is not None:
            rest = rest[tag.end():]
        boot_s = float(m.group(1))
        return _behind_stamps(rest, clock.wall_s(boot_s), boot_s)
    m = _CTIME.match(line)
    if m is not None:
        wall_s = dates.with_year(m.group(4), m.group(1), m.group(2), m.group(3), clock)
        return _behind_stamps(line[m.end():], wall_s, None)
    m = _DELTA.match(line)
    if m is not None:
        return _behind_stamps(line[m.end():], None, None)
    m = _RELTIME.match(line)
    if m is not None:
        wall_s = dates.without_year(m.group(1), m.group(2), m.group(3), clock)
        return _behind_stamps(line[m.end():], wall_s, None)
    return _behind_stamps(line, None, None)


def _dated(line: bytes, clock: Clock) -> Record | None:
    """Take a date and a tag, or a bare message."""
    weekday = _WEEKDAY_ISO.match(line)
    if weekday is not None:
        line = line[weekday.end():]
    m = _ISO.match(line)
    if m is not None:
        wall_s = dates.iso(m.group(1), m.group(2), m.group(3) or b'', clock)
        if b',' in m.group(2):  # dmesg --time-format iso; it has no tag
            return _behind_stamps(line[m.end() + 1:], wall_s, None)
        return _tagged(line[m.end():], wall_s, clock)
    m = _RFC3164.match(line)
    if m is not None:
        name, day, year, time_words = m.groups()
        wall_s = (dates.without_year(name, day, time_words, clock) if year is None
                  else dates.with_year(year, name, day, time_words, clock))
        return _tagged(line[m.end():], wall_s, clock)
    m = _UNIX.match(line)
    if m is not None:
        return _tagged(line[m.end():], float(m.group(1)), clock)
    tag = _KERNEL.match(line)
    if tag is not None:
        return _message(line[tag.end():], None, clock)
    return Record(line)


def _tagged(rest: bytes, wall_s: float | None, clock: Clock) -> Record | None:
    tag = _KERNEL.match(rest)
    return None if tag is None else _message(rest[tag.end():], wall_s, clock)


def _message(text: bytes, wall_s: float | None, clock: Clock) -> Record:
    """Take what follows a tag: syslog keeps the kernel's own [seconds]."""
    m = _BOOT.match(text)
    if m is None:
        return _behind_stamps(text, wall_s, None)
    boot_s = float(m.group(1))
    if wall_s is None:
        wall_s = clock.wall_s(boot_s)
    return _behind_stamps(text[m.end():], wall_s, boot_s)


def _behind_stamps(text: bytes, wall_s: float | None, boot_s: float | None) -> Record:
    caller = b''
    m = _CALLER.match(text)
    if m is not None:
        caller, text = m.group(1), text[m.end():]
    elif text[:1] in b' (-[c':
        m = _VENDOR.match(text)
        if m is not None:
            caller, text = m.group(), text[m.end():]
    return Record(text, wall_s, boot_s, caller)
