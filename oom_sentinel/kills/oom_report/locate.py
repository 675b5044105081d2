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
Finds the kernel's message in a line whose beginning no known envelope explains.

The message is found by its own grammar; whatever stands before it is envelope: quote marks,
numbers of grep, stamps of a console or a container's log, code fences, labels.  Two things in
it count: a mark of the kernel (its tag, its stamp), behind which nothing but stamps may stand
before the message, and the tag of another program, whose words are no kill.
"""

import re

from oom_sentinel.kills.oom_report import dates
from oom_sentinel.kills.oom_report import envelope
from oom_sentinel.kills.oom_report import message
from oom_sentinel.kills.oom_report import table
from oom_sentinel.kills.oom_report.record import Clock
from oom_sentinel.kills.oom_report.record import Record

# Power loss leaves NULs, a bug report indents and quotes, files begin with a byte order mark,
# journalctl's json-seq entries with RS, pages hold no-break spaces.
_PADDING = b'\0 \t\x1e\xef\xbb\xbf>|`\xc2\xa0'
_COLOR = re.compile(rb'\x1b\[[0-9;]{0,20}[mK]')
_BARE_COLOR = re.compile(rb'\[(?:\d{1,3}(?:;\d{1,3}){0,4}m|m(?![A-Za-z]))')
_ESCAPED_COLOR = re.compile(rb'\\(?:u001b|x1b|033|e)\[[0-9;]{0,20}m', re.IGNORECASE)
_MARKDOWN = re.compile(rb'\\([][_()*`~<>#-])')
_ROW = re.compile(rb'\[ *\d{1,10}\] +\d')
_ENTITY = re.compile(rb'&(?:[a-z]{2,6}|#\d{1,5}|#x[0-9a-f]{1,4});')
_SEARCH = re.compile(b'|'.join(b'(?:%s)' % start for start in message.STARTS))
_WORDS = re.compile(rb'emory|oom|[Kk]ill')
_MARK = re.compile(rb'\bkernel(?:\[\d{1,10}\])?: ?|\[ *\d{1,10}\.\d{1,9}\] ?|'
                   rb'\[[^\[\]]{0,100}\d[:.]\d\d[^\[\]]{0,40}\]:? ?')
# What may stand between a mark of the kernel and its message: stamps, callers, levels.
_GAP = re.compile(rb'(?:[\s\d|>:*`"\'.,=-]|[cCT](?=\d)|\[[^\[\]]{0,64}\]|'
                  rb'\([^()\[\]]{0,64}\)|<[^<>]{0,24}>)*')
# A number is that of a line (grep -n), no program's tag.
_TAG = re.compile(rb'\d\d:\d\d:\d\d[^\s]{0,24}'
                  rb'\s{1,4}(?:[^\s:\[]{1,255}\s{1,4}){0,3}?'
                  rb'(?!\d{1,9}:\s)([^\s:\[\]"{}]{1,64})(?:\[[^\]\s]{0,24}\])?:\s')
# Programs that kill, behind an envelope that is not known.
_KILLER = re.compile(rb'\b(systemd-oomd|earlyoom|nohang|lmkd|lowmemorykiller)'
                     rb'(?:\[\d{1,10}\]|\( {0,10}\d{1,10}\))? {0,8}: ')
# earlyoom and nohang, behind a date without their name.
_SENT = re.compile(rb'sending SIG[A-Z]{4} to process \d|Send(?:ing)? SIG[A-Z]{4} to the victim')
_LINE_NUMBER = re.compile(rb'(?:[^\s:]{1,255}[:-])?\d{1,9}[:-](?=[^\d])')
_DATED = re.compile(rb'\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d')
_PREFIX_MAX = 2048
_STAMPS_MAX = 250


def cleaned(line: bytes) -> bytes:
    """Return the line without colours, indentation, quote marks and carriage return."""
    if b'\x1b[' in line:
        line = _COLOR.sub(b'', line)
    if b'\\_' in line or b'\\[' in line:
        line = _MARKDOWN.sub(rb'\1', line)
    return line.lstrip(_PADDING).rstrip(b'\r')


def is_json_behind_date(line: bytes) -> bool:
    """Return whether JSON follows a date, with the kernel's tag or none, as fluentd prints it."""
    at = line.find(b'{"') if line.endswith(b'}') else -1
    if not 0 < at <= _PREFIX_MAX:
        return False
    tag = _TAG.search(line[:at])
    return _DATED.match(line) is not None and (
        tag is None or tag.group(1) in (*envelope.KERNEL_TAGS, b'kern.log'))


def _plain(line: bytes) -> bytes:
    """Return the line without what pages and editors add: colours, entities, spaces."""
    line = _BARE_COLOR.sub(b'', _ESCAPED_COLOR.sub(b'', line)).replace(b'\xc2\xa0', b' ')
    if b'&' in line and _ENTITY.search(line):
        import html  # 0.25 MB, for logs saved from a web page
        line = html.unescape(line.decode('utf-8', 'surrogateescape')).encode(
            'utf-8', 'surrogateescape').replace(b'\xc2\xa0', b' ')
    return line.lstrip(_PADDING)


def read(line: bytes, clock: Clock) -> Record:
    """
    Return the message of a cleaned line, with the time and writer from its envelope.

    Where the line holds the words of a kill that the kernel did not say, the record's speaker
    is the program that said them, or envelope.OTHER.
    """
    record = envelope.read(line, clock)
    if record.text[:1] == b'[' and record.boot_s is not None and not record.speaker \
            and _ROW.match(record.text):
        return record
    if _understood(record):
        return record
    bare = record.text == line
    if bare and table.ROW.match(line):
        return record
    if (bare or _WORDS.search(line)) and (b'[' in line or b'&' in line or b'\xc2' in line):
        plain = _plain(line)
        if plain != line:
            line, record = plain, envelope.read(plain, clock)
            if _understood(record):
                return record
    found = _SEARCH.search(line)
    invoked = line.find(message.INVOKED)
    if found is not None and not 0 <= invoked < found.start():
        return _in(line, found.start(), clock)
    if invoked >= 0:
        return _in(line, _begin_of_comm(line, invoked), clock)
    if record.text != line:
        # A console's date before another envelope.
        return record if record.boot_s is not None else _body(record.text, record, clock)
    killer = _KILLER.search(line[:_PREFIX_MAX])
    if killer is not None:
        tag = _TAG.search(line[:killer.end()])
        speaker = killer.group(1) if tag is None else tag.group(1)
        return Record(line[killer.end():], dates.find(line[:killer.start()], clock),
                      speaker=speaker)
    sent = _SENT.search(line[:_PREFIX_MAX])
    return _body(line, record, clock) if sent is None else _in(line, sent.start(), clock)


def _understood(record: Record) -> bool:
    """Return whether the fast way has found another program's words or a known message."""
    if record.speaker or begins(record.text):
        return True
    return 0 <= record.text.find(message.INVOKED) <= _comm_max(record)


def begins(text: bytes) -> bool:
    """Return whether a message begins like a kill or like the end of a report."""
    return text[:1] != b'[' and _SEARCH.match(text) is not None


def _comm_max(record: Record) -> int:
    """Return how long a name may be before "invoked": longer ones are part of an envelope."""
    escapes = record.escaped and b'\\x' in record.text[:4 * table.TASK_COMM_LEN]
    return 4 * table.TASK_COMM_LEN if escapes else table.TASK_COMM_LEN - 1


def _begin_of_comm(line: bytes, invoked: int) -> int:
    """Return where the name before "invoked oom-killer" begins: behind the last delimiter."""
    head = line[:invoked]
    at = max((head.rfind(mark) + len(mark) for mark in (b'] ', b': ', b'> ', b'| ', b'"', b'\t')
              if mark in head), default=0)
    if invoked - at >= table.TASK_COMM_LEN:
        at = head.rfind(b' ') + 1
    return at


def _in(line: bytes, at: int, clock: Clock) -> Record:
    """Return the message that begins at `at`, when its envelope is not another program's."""
    prefix = line[max(0, at - _PREFIX_MAX):at]
    tag = _TAG.search(prefix)
    if tag is not None and tag.group(1) not in envelope.KERNEL_TAGS:
        return Record(line[at:], dates.find(prefix, clock), speaker=tag.group(1))
    marks = list(_MARK.finditer(prefix))
    if not marks:
        return Record(line[at:], dates.find(prefix, clock))
    if (not _GAP.fullmatch(prefix, marks[-1].end())
            or envelope.names_other_facility(prefix[:marks[0].start()])):
        return Record(line[at:], speaker=envelope.OTHER)
    last = marks[-1].start()
    inner = envelope.read(prefix[last:] + line[at:], clock)
    wall_s = dates.find(prefix[:last], clock)
    return Record(line[at:], inner.wall_s if wall_s is None else wall_s, inner.boot_s,
                  inner.caller)


def _body(line: bytes, bare: Record, clock: Clock) -> Record:
    """Return a line of a report's body behind an envelope that is not known."""
    marks = [] if line.startswith(b'[') else list(_MARK.finditer(line[:_STAMPS_MAX]))
    if marks:
        at = marks[-1].start()
        inner = envelope.read(line[at:], clock)
        if not inner.speaker and inner.text != line[at:]:
            tag = _TAG.search(line[:at])
            return bare if tag is not None and tag.group(1) not in envelope.KERNEL_TAGS else inner
    number = _LINE_NUMBER.match(line) if bare.wall_s is None else None
    return bare if number is None else Record(line[number.end():])
