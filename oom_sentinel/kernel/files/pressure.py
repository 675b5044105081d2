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

"""PSI files: /proc/pressure/memory, memory.pressure (kernel/sched/psi.c, psi_show())."""

from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError

KEYS = (b'avg10', b'avg60', b'avg300', b'total')


def _percent(path: str, line: bytes, text: bytes) -> float:
    whole, dot, rest = text.partition(b'.')
    if not whole.isdigit() or (dot and not rest.isdigit()) or len(text) > 12:
        raise ParseError(path, line, f'{text[:20]!r} is no percentage')
    return float(text)


def _line(path: str, line: bytes, words: list[bytes]) -> PressureLine:
    pairs = [word.partition(b'=') for word in words]
    if tuple(key for key, _, _ in pairs[:4]) != KEYS:
        raise ParseError(path, line, 'expected avg10= avg60= avg300= total=')
    values = [value for _, _, value in pairs]
    return PressureLine(_percent(path, line, values[0]), _percent(path, line, values[1]),
                        _percent(path, line, values[2]), integer(path, line, values[3]))


def parse(data: bytes, path: str = '/proc/pressure/memory') -> Pressure:
    """
    Return the facts of a PSI file.

    :raises ParseError: on a malformed line, or without a `some` line.
    """
    lines = {}
    for line in data.split(b'\n'):
        words = line.split()
        if words and words[0] in (b'some', b'full'):
            lines[words[0]] = _line(path, line, words[1:])
    if b'some' not in lines:
        raise ParseError(path, data[:40], 'no line "some"')
    return Pressure(lines[b'some'], lines.get(b'full'))
