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
Selectors: which nodes and processes a group means.

Pure text matching with shell globs, case-sensitive; knows facts only.
"""

from collections.abc import Iterable
from collections.abc import Sequence
from fnmatch import translate
from functools import lru_cache
import re

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.settings.programs import BYSTANDERS

KINDS = ('node', 'exe', 'pkg', 'cgroup', 'cmd')
# A glob is tried on every process: these bound its cost (0.3 ms at worst on 4096 characters).
PATTERN_CHARACTERS = 256
STARS = 8
COMPILED = 1 << 10  # globs that are kept compiled: twice as many as all groups may have
PROGRAM = '*/'  # a cmd: pattern that begins so names the program first


class SelectorError(ValueError):
    """A selector that is empty or malformed."""


@frozen
class Selector:
    """One selector: its kind, its glob, and whether it excludes (leading `!`)."""

    kind: str
    pattern: str
    exclude: bool = False


def parse(text: str) -> Selector:
    """
    Return the selector that this text spells.

    :raises SelectorError: when it is empty, has an empty pattern or a relative node name.
    """
    if len(text) > PATTERN_CHARACTERS:
        raise SelectorError(f'selector {text[:40]!r}... has {len(text)} characters, allowed: '
                            f'at most {PATTERN_CHARACTERS}')
    body = text.strip()
    exclude = body.startswith('!')
    if exclude:
        body = body[1:].strip()
    if not body:
        raise SelectorError(f'selector {text!r} is empty')
    kind, colon, pattern = body.partition(':')
    if not colon or kind not in KINDS:
        if colon and kind.isidentifier() and '/' not in kind and '*' not in kind:
            raise SelectorError(
                f'selector {text!r}: unknown kind {kind!r}, allowed: {", ".join(KINDS)}')
        kind, pattern = ('node', body) if body.startswith('/') else ('exe', body)
    pattern = pattern.strip()
    if not pattern:
        raise SelectorError(f'selector {text!r} has an empty pattern')
    if kind in ('node', 'cgroup') and not pattern.startswith(('/', '*')):
        raise SelectorError(f'selector {text!r}: a {kind} pattern starts with / or *')
    if len(re.findall(r'\*+', pattern)) > STARS:
        raise SelectorError(f'selector {text[:40]!r}... has more than {STARS} stars, allowed: '
                            f'at most {STARS}')
    return Selector(kind, pattern, exclude)


@lru_cache(maxsize=COMPILED)
def _compiled(glob: str) -> re.Pattern[str]:
    return re.compile(translate(glob))


def glob_matches(text: str, glob: str) -> bool:
    """Return whether a shell glob matches the whole text, case-sensitive."""
    return _compiled(glob).match(text) is not None


def _program_onwards(program: Program) -> str:
    """Return the command line from the program's name on, without path and interpreter."""
    names = [word.rpartition('/')[2] for word in program.cmdline]
    at = names.index(program.executable) if program.executable in names else 0
    return ' '.join((*names[at:at + 1], *program.cmdline[at + 1:]))


def _cmd_glob_matches(pattern: str, program: Program) -> bool:
    """
    Return whether a cmd: pattern matches.

    One that begins with `*/NAME` means the program NAME: not another one, such as a test script,
    that carries the words further behind.
    """
    if program.executable in BYSTANDERS or program.comm in BYSTANDERS:
        return False
    if pattern.startswith(PROGRAM):
        return glob_matches(_program_onwards(program), pattern[len(PROGRAM):])
    return glob_matches(' '.join(program.cmdline), pattern)


def _glob_matches(selector: Selector, process: Process, node_name: str | None) -> bool:
    """Return whether the glob alone matches, `!` left aside."""
    program = process.program
    if selector.kind == 'node':
        return node_name is not None and glob_matches(node_name, selector.pattern)
    if selector.kind == 'exe':
        return glob_matches(program.executable, selector.pattern)
    if selector.kind == 'pkg':
        return program.package is not None and glob_matches(program.package, selector.pattern)
    if selector.kind == 'cgroup':
        return process.cgroup is not None and glob_matches(process.cgroup, selector.pattern)
    return _cmd_glob_matches(selector.pattern, program)


def matches(selectors: Sequence[Selector], process: Process, node_name: str | None) -> bool:
    """Return whether a process, seen as this node (None: as no node), is meant."""
    if any(s.exclude and _glob_matches(s, process, node_name) for s in selectors):
        return False
    return any(not s.exclude and _glob_matches(s, process, node_name) for s in selectors)


def plain_node_names(selectors: Iterable[Selector]) -> tuple[str, ...]:
    """Return the node names that node: selectors spell out, without a glob."""
    return tuple(s.pattern for s in selectors
                 if s.kind == 'node' and not s.exclude and not set(s.pattern) & set('*?['))
