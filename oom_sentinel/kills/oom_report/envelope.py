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
systemd's logs-show.c.  What other programs say is marked with their name: a program that may
write to a log must not be able to forge a kill, so facility and tag are checked wherever the
format has them.  This is the fast way for lines that begin with a known stamp; `locate` finds
the message in all others.
"""

from dataclasses import replace
import re

from oom_sentinel.kills.oom_report import dates
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.record import Record

KERNEL_TAGS = (b'kernel', b'klogd', b'kern', b'dmesg')
# Words of the kernel's own messages that look like a tag behind a date without one.
_NO_TAGS = (b'memory', b'oom_reaper', b'oom-kill', b'sysrq', b'SysRq', b'syncing')
OTHER = b'?'  # a speaker without a name: another facility than the kernel's
_DROPPED = re.compile(rb'\*\* \d{1,10} printk messages dropped \*\* ?')
_TIME = rb'\d\d:\d\d:\d\d(?:[.,]\d{1,9})?'
_KMSG = re.compile(rb'(\d{1,4}),\d{1,20},(\d{1,18}),([^;\s]{0,80});')
_KMSG_CALLER = re.compile(rb',caller=([TC]\d{1,10})')
_PRIORITY = re.compile(rb'<(\d{1,4})>')
# dmesg -x (facility and level, padded); Talos pads the other side.
_FACILITY = re.compile(rb'([a-z]{3,8}\d?) *: *'
                       rb'(?:emerg|alert|crit|err|warn|warning|notice|info|debug) *: ?')
_BOOT = re.compile(rb'\[ *(\d{1,10}\.\d{1,9})(?: *<[ +]*\d{1,10}\.\d{1,9} ?>)?\] ?')
_DELTA = re.compile(rb'\[ *[+<] *\d{1,10}\.\d{1,9} ?>?\] ?')
_CALLER = re.compile(rb'\[ *([TC]\d{1,10})\] ?')
_BRACKET = re.compile(rb'\[([^\[\]]{5,120})\]:? ?')
_CLOCK = re.compile(rb'\d[:.]\d\d')
_ISO = re.compile(rb'(\d{4}-\d\d-\d\d[T ]' + _TIME + rb' ?'
                  rb'(?:[Zz]|[A-Z]{2,5}|[+-]\d\d:?\d\d)?)(?= )')
_WEEKDAY_ISO = re.compile(rb'\S{2,12} (?=\d{4}-\d\d-\d\d )')
_RFC3164 = re.compile(rb'((?:\d{1,2}[^\s\d:]{3,6}|[^\s\d\[({"]{1,24}) +\d{1,2} '
                      rb'(?:\d{4} )?' + _TIME + rb') ')
# busybox and OpenWrt name facility and priority before the tag.
_OTHER_FACILITY = re.compile(
    rb'(?:^| )(?:user|mail|daemon|auth|authpriv|syslog|lpr|news|uucp|cron|ftp|local\d)'
    rb'\.(?:emerg|panic|alert|crit|err|error|warn|warning|notice|info|debug) ')
_UNIX = re.compile(rb'(\d{9,11}\.\d{6}) ')
# The words before a tag are a host name and busybox's priority.
_TAG = re.compile(rb' ?(?:[^\s\[]{0,255}[^\s:\[] ){0,2}?([^\s:\[\]]{1,64})'
                  rb'(?:\[[^\s\]]{0,24}\])?:(?: |$)')
_KERNEL = re.compile(rb' ?(?:[^\s]{0,255}[^\s:] ){0,2}(kernel)(?:\[\d{1,10}\])?: ?')
_RFC5424 = re.compile(rb'(?:1 )?(\d{4}-\d\d-\d\dT' + _TIME + rb'(?:[Zz]|[+-]\d\d:\d\d)) '
                      rb'\S{1,255} ([^\s:\[]{1,48}) [^\s:\[]{1,128} [^\s:\[]{1,32} '
                      rb'(?=-|\[[A-Za-z])')
_RFC5424_DATA = re.compile(rb'(?:-|(?:\[(?:[^\]\\]|\\.){0,2000}\])+) ?')
# Vendor kernels print CPU and task: Mediatek `(0)[123:name]`, Samsung `[0: name: 123]`,
# Qualcomm `c0 123 `.
_VENDOR = re.compile(rb' *(?:(?:[(-]\d{1,2}\)?)?\[ ?\d{1,7}: ?[^\[\]]{1,40}\] ?|'
                     rb'c\d{1,2} +\d{1,7} )')


def read(line: bytes, clock: Clock) -> Record:
    """Return the message in a line, of the kernel or with the name of its speaker."""
    if line.startswith(b'** '):  # consoles of 3.x and 4.x
        m = _DROPPED.match(line)
        line = line if m is None else line[m.end():]
    if line[:1].isdigit():
        m = _KMSG.match(line)
        if m is not None:
            return _kmsg(line, m, clock)
    m = _PRIORITY.match(line)
    if m is not None:
        record = _dated(line[m.end():], clock)
        return _of_facility(record, b'kern' if int(m.group(1)) < 8 else OTHER)
    m = _FACILITY.match(line)
    if m is not None:
        return _of_facility(_dated(line[m.end():], clock), m.group(1))
    return _dated(line, clock)


def _of_facility(record: Record, facility: bytes) -> Record:
    """Return the record as one of another program when its facility is not the kernel's."""
    if facility == b'kern' or record.speaker:
        return record
    return replace(record, speaker=OTHER)


def _kmsg(line: bytes, m: re.Match[bytes], clock: Clock) -> Record:
    """Take a record of /dev/kmsg: what user space writes there has another facility than 0."""
    boot_s = int(m.group(2)) / 1e6
    caller = _KMSG_CALLER.search(m.group(3))
    text = line[m.end():].split(b'\n', 1)[0]
    return Record(text, clock.wall_s(boot_s), boot_s, caller.group(1) if caller else b'',
                  speaker=OTHER if int(m.group(1)) >> 3 else b'')


def _dated(line: bytes, clock: Clock) -> Record:
    """Take what begins with a date in brackets, a date and a tag, or a bare message."""
    if line[:1] == b'[':
        return _bracket(line, clock)
    m = _RFC5424.match(line)
    if m is not None:
        data = _RFC5424_DATA.match(line, m.end())
        if data is not None:
            text = line[data.end():].removeprefix(b'\xef\xbb\xbf')
            return _said_by(m.group(2), text, dates.find(m.group(1), clock), clock)
    weekday = _WEEKDAY_ISO.match(line)
    if weekday is not None:
        line = line[weekday.end():]
    m = _ISO.match(line)
    if m is not None:
        wall_s = dates.find(m.group(1), clock)
        if b',' in m.group(1):  # dmesg --time-format iso; it has no tag
            return _behind_stamps(line[m.end() + 1:], wall_s, None)
        return _tagged(line, m.end(), wall_s, clock)
    m = _RFC3164.match(line) or _UNIX.match(line)
    if m is not None:
        return _tagged(line, m.end(), dates.find(m.group(1), clock), clock)
    tag = _KERNEL.match(line)
    return Record(line) if tag is None else _message(line[tag.end():], None, clock)


def _bracket(line: bytes, clock: Clock) -> Record:
    """Take dmesg's [seconds], [date] or [+delta], and what may follow it."""
    m = _BOOT.match(line)
    if m is not None:
        boot_s = float(m.group(1))
        rest = line[m.end():]
        tag = _KERNEL.match(rest) if b'kernel' in rest[:300] else None  # short-monotonic
        return _behind_stamps(rest if tag is None else rest[tag.end():], clock.wall_s(boot_s),
                              boot_s)
    m = _DELTA.match(line)
    if m is not None:
        return _behind_stamps(line[m.end():], None, None)
    m = _BRACKET.match(line)
    if m is not None and _CLOCK.search(m.group(1)):
        rest = line[m.end():]
        tag = _KERNEL.match(rest) if b'kernel' in rest[:300] else None
        return _message(rest if tag is None else rest[tag.end():], dates.find(m.group(1), clock),
                        clock)
    return _behind_stamps(line, None, None)


def _tagged(line: bytes, at: int, wall_s: float | None, clock: Clock) -> Record:
    """Take host and tag behind a date; without a tag the whole line is left to `locate`."""
    tag = _KERNEL.match(line, at) or _TAG.match(line, at)
    if tag is None or tag.group(1) in _NO_TAGS or tag.group(1).isdigit():
        return Record(line)
    if names_other_facility(line[at:tag.start(1)]):
        return Record(line[tag.end():], wall_s, speaker=OTHER)
    return _said_by(tag.group(1), line[tag.end():], wall_s, clock)


def names_other_facility(prefix: bytes) -> bool:
    """Return whether what stands before a tag names another facility than the kernel's."""
    return _OTHER_FACILITY.search(prefix) is not None


def _said_by(tag: bytes, text: bytes, wall_s: float | None, clock: Clock) -> Record:
    if tag in KERNEL_TAGS:
        return _message(text, wall_s, clock)
    return Record(text, wall_s, speaker=tag)


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
    elif text[:1] in b' (-[c' and (text[:1] != b'[' or b':' in text[:10]):
        m = _VENDOR.match(text)
        if m is not None:
            caller, text = m.group(), text[m.end():]
    return Record(text, wall_s, boot_s, caller)
