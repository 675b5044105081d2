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
The arguments of `oom_exec`, which starts a command with an oom_score_adj.

Pure.  Parses `oom_exec VALUE --match SELECTOR... --else VALUE ... -- COMMAND` into rules and
composes it from rules; the script scripts/oom_exec reads the same arguments.
"""

from collections.abc import Sequence

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Process
from oom_sentinel.settings import selector
from oom_sentinel.settings.selector import Selector

NAME = 'oom_exec'
LOW, HIGH = -999, 1000  # -1000, unkillable, takes everything else when it leaks


class ValueRefused(ValueError):
    """A text that is no valid oom_score_adj; the message names it and what is allowed."""


@frozen
class Rule:
    """A value for the commands that the selectors match; for all when there are none."""

    value: int
    match: tuple[Selector, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """Return the rule as the script takes it."""
        words = [str(self.value)]
        for one in self.match:
            # A backslash is plain in our globs and an escape in the shell's patterns.
            pattern = one.pattern.replace('\\', '\\\\')
            words += ['--match', f'{"!" if one.exclude else ""}{one.kind}:{pattern}']
        return tuple(words)


def value(text: str) -> int:
    """
    Return the value that this text spells; -1000 becomes -999.

    :raises ValueRefused: when it is no integer in -1000..1000.
    """
    try:
        number = int(text.strip())
    except ValueError:
        number = None
    if number is None or not -1000 <= number <= HIGH:
        raise ValueRefused(f'{text!r} refused, allowed: an integer in -1000..1000')
    return max(LOW, number)


def split(words: Sequence[str]) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """Return the rules before a command and the command; no rules without our prefix."""
    if not words or words[0].rpartition('/')[2] != NAME:
        return (), tuple(words)
    rules: list[Rule] = []
    rest = list(words[1:])
    try:
        while True:
            number, match = int(rest.pop(0)), []
            while rest[:1] == ['--match']:
                match.append(selector.parse(rest[1].replace('\\\\', '\\')))
                rest = rest[2:]
            rules.append(Rule(number, tuple(match)))
            if rest[:1] != ['--else']:
                break
            rest.pop(0)
    except (ValueError, IndexError):
        return (), tuple(words)  # written by hand: the script will refuse it
    return tuple(rules), tuple(rest[1:] if rest[:1] == ['--'] else rest)


def nested(inner: Rule, outer: tuple[Rule, ...]) -> tuple[Rule, ...]:
    """Return the rules of a scope inside another: the innermost that matches counts."""
    return (inner, *outer) if inner.match else (inner,)


def join(program: str, rules: Sequence[Rule], command: Sequence[str]) -> tuple[str, ...]:
    """Return the words: the script, its rules and the command."""
    words = [program]
    for index, rule in enumerate(rules):
        words += ['--else'] * (index > 0) + list(rule.words)
    return (*words, '--', *command)


def chosen(rules: Sequence[Rule], process: Process) -> int | None:
    """Return the value that a process starts with, None when no rule means it."""
    names = process.program.node_names or (None,)
    return next((rule.value for rule in rules if not rule.match or any(
        selector.matches(rule.match, process, name) for name in names)), None)
