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
Words from outside are data: made printable, bounded in length, their secrets struck out.

Names of processes and nodes, command lines and log lines come from other programs.  They pass
`printable` before they reach a terminal, a log line, a status, JSON or HTML, and command lines
pass `scrubbed` before they reach a file or a document.
"""

from collections.abc import Iterable
import re

STRUCK = 'STRUCK_OUT'
NAME_MAX = 200  # of a name in a sentence; the longest legal node name has 255 bytes
LINE_MAX = 2000  # of a line of a log or a whole command line in a file
# Names of options and variables whose value is secret: --password=, MY_API_KEY=, token:=.
_NAME = (r'[\w.-]*(?:pass|passwd|password|passphrase|passcode|secret|token|key|auth|credential)'
         r's?')
_ASSIGNED = re.compile(rf'(?i)(?<![\w.-])({_NAME}["\']?\s*:?=\s*)("[^"]*"|\'[^\']*\'|[^\s&;,]+)')
_FOLLOWED = re.compile(rf'(?i)((?<!\S)--?{_NAME}\s+)(?!-)(\S+)')
_OPTION = re.compile(rf'(?i)--?{_NAME}\Z')
_USER_OPTION = ('-u', '--user', '--proxy-user')  # curl's and wget's USER:PASSWORD
_USER_PASSWORD = re.compile(r'((?<!\S)(?:-u|--user|--proxy-user)\s+[^\s:]+):\S+')
_URL_PASSWORD = re.compile(r'(://[^/\s@:]*):[^/\s@]*@')
_URL_TOKEN = re.compile(r'://[^/\s@:]{20,}@')  # https://TOKEN@github.com
_HEADER = re.compile(r'(?i)((?:authorization|x-api-key|cookie)\s*:\s*(?:(?:basic|bearer|token)'
                     r'\s+)?)[^\s"\']+')
_SEPARATOR = re.compile(r'[:=\s]')  # without one a word holds no name and value
_KNOWN_TOKEN = re.compile(
    r'\b(?:gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}'
    r'|AKIA[0-9A-Z]{16}|sk-[\w-]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)')


def printable(text: str, most: int = NAME_MAX) -> str:
    """
    Return the text on one line, without control, escape and bidi characters.

    Each of them is shown by its number in hexadecimal.  More than `most` characters
    end in an ellipsis.
    """
    cut = text[:most + 1]
    if not cut.isprintable():
        cut = ''.join(c if c.isprintable() else _escaped(c) for c in cut)
    return cut if len(cut) <= most else cut[:most - 1] + '…'


def _escaped(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f'\\x{code:02x}'
    return f'\\u{code:04x}' if code < 0x10000 else f'\\U{code:08x}'


def scrubbed(words: Iterable[str]) -> tuple[str, ...]:
    """
    Return the words of a command line with STRUCK in place of each secret.

    Secret are the values of options and variables that are named so, passwords and tokens in
    URLs and headers, and tokens of known form, also inside of one word (`sh -c '...'`).
    """
    found: list[str] = []
    before = ''
    for word in words:
        if _OPTION.match(before) and word and not word.startswith('-'):
            found.append(STRUCK)
        elif before in _USER_OPTION and ':' in word:
            found.append(f'{word.partition(":")[0]}:{STRUCK}')
        else:
            found.append(_scrubbed_inside(word))
        before = word
    return tuple(found)


def _scrubbed_inside(word: str) -> str:
    if not _SEPARATOR.search(word):  # 1 us; the others take 12 us a word
        return _KNOWN_TOKEN.sub(STRUCK, word)
    word = _USER_PASSWORD.sub(rf'\1:{STRUCK}', word)
    word = _URL_PASSWORD.sub(rf'\1:{STRUCK}@', word)
    word = _URL_TOKEN.sub(f'://{STRUCK}@', word)
    word = _HEADER.sub(rf'\1{STRUCK}', word)
    word = _ASSIGNED.sub(rf'\1{STRUCK}', word)
    word = _FOLLOWED.sub(rf'\1{STRUCK}', word)
    return _KNOWN_TOKEN.sub(STRUCK, word)
