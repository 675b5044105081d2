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

"""Lines that a terminal, a mail or a form has wrapped, put together again."""

import re

from oom_sentinel.kills.oom_report import envelope
from oom_sentinel.kills.oom_report import locate
from oom_sentinel.kills.oom_report.record import Clock

# Shorter lines are not wrapped; of one message there are a few pieces.
MIN_LINE, MAX_JOINED = 50, 4096
_CUT_SUMMARY = re.compile(rb'\boom-kill:')
_WHOLE_SUMMARY = re.compile(rb',pid=\d{1,10},uid=\d')
_CUT_MESSAGE = re.compile(rb'(?:Memory cgroup o|\bO)ut of memory:?(?: [KOk][a-zO]{0,5}'
                          rb'(?: [a-z]{0,7}(?: \d{0,10}(?: \([^)]{0,64})?)?)?)?$')
_KILLED = re.compile(rb'[Kk]illed process \d{1,10}[^(]{0,20}\(.{1,64}\)[^:]{0,24} ')
_CUT_TAIL = re.compile(rb'[ ,](?:[a-z_-]{1,20}|UI?D?:?|[a-z_-]{2,20}:\d{0,20}k?)$')
_WORD_END = re.compile(rb'(?:memory:|[Kk]illed|[Oo]ut|\bof|cgroup|process|process \d{1,10}|,|\)|'
                       rb'UID:\d{1,10}|kB)$')


def is_cut(line: bytes) -> bool:
    """Return whether a line is a message that may go on in the next line."""
    if not MIN_LINE <= len(line) <= MAX_JOINED:
        return False
    summary = _CUT_SUMMARY.search(line) if b'oom-kill:' in line else None
    if summary is not None:
        return _WHOLE_SUMMARY.search(line, summary.end()) is None
    if b'emory' not in line[-80:] and b'illed process' not in line:
        return False
    if _CUT_MESSAGE.search(line[-160:]):
        return True
    killed = _KILLED.search(line)
    return killed is not None and b'oom_score_adj:' not in line and \
        _CUT_TAIL.search(line, max(killed.end(), len(line) - 60)) is not None


def joined(held: bytes, line: bytes, clock: Clock) -> bytes | None:
    """Return the held piece with its continuation, None when the line is one of its own."""
    if not line or len(held) + len(line) > MAX_JOINED or locate.begins(line):
        return None
    record = envelope.read(line, clock)
    if record.speaker or record.text != line or line.startswith(b'['):
        return None
    apart = _WORD_END.search(held[-40:]) and not (held[-1:].isdigit() and line[:1].isdigit())
    return held + (b' ' if apart and b'oom-kill:' not in held else b'') + line
