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

"""An argument parser that says in one line what is wrong and what was probably meant."""

import argparse
from collections.abc import Iterable
import difflib
from importlib import metadata
import re
from typing import Any
from typing import NoReturn

from oom_sentinel.cli import output

_CHOICE = re.compile(r"argument (.+?): invalid choice: '?(.*?)'? \(choose from (.*)\)$")
_UNKNOWN = re.compile(r'unrecognized arguments: (.*)$')


class Parser(argparse.ArgumentParser):
    """The parser of the program and of each verb."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        """Take what argparse takes; options are never abbreviated, so that new ones may come."""
        super().__init__(*arguments, **{'allow_abbrev': False, **options})

    def error(self, message: str) -> NoReturn:
        """End with exit code 2 and one line on standard error."""
        text = ' '.join(message.split())
        output.complain(f'{self.prog}: {_helpful(text, _options_of(self))}')
        raise SystemExit(2)

    def print_help(self, file: Any = None) -> None:
        """Print the help where our own output goes."""
        if file is None:
            output.write(self.format_help())
        else:
            super().print_help(file)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the program; what cannot be printed is exit code 2."""
        if message:
            output.complain(message)
        try:
            output.flush()
        except output.Unusable as error:
            output.discard()
            output.complain(f'{self.prog}: {error}')
            status = 2
        raise SystemExit(status)


class Version(argparse.Action):
    """Print the version of the installed package and end; looked up only when asked for."""

    def __init__(self, option_strings: list[str], dest: str, **_given: Any) -> None:
        """Take no value."""
        super().__init__(option_strings, argparse.SUPPRESS, nargs=0,
                         default=argparse.SUPPRESS, help='print the version and end')

    def __call__(self, parser: argparse.ArgumentParser, *_given: Any) -> NoReturn:
        """Print the name and the version."""
        try:
            version = metadata.version('oom_sentinel')
        except metadata.PackageNotFoundError:
            version = 'of an unknown version: the package is not installed'
        output.say(f'oom_sentinel {version}')
        parser.exit(0)
        raise SystemExit(0)  # for mypy: argparse does not say that exit() never returns


def _helpful(message: str, options: Iterable[str]) -> str:
    """Return the message of argparse with the nearest word that is known."""
    choice, unknown = _CHOICE.match(message), _UNKNOWN.match(message)
    if choice is not None:
        name, given, listed = choice.groups()
        known = re.findall(r'[\w-]+', listed)
        listed = ', '.join(map(repr, known))
        return f'{name}: {given!r} is unknown{_nearest(given, known)} (choose from {listed})'
    if unknown is not None:
        return message + _nearest(unknown.group(1).split(' ')[0].split('=')[0], options)
    return message


def _nearest(given: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(given, list(known), 1)
    return f', did you mean {found[0]}?' if found else ''


def _options_of(parser: argparse.ArgumentParser) -> set[str]:
    """Return every option of a parser and of its verbs."""
    found: set[str] = set()
    for action in parser._actions:
        found.update(action.option_strings)
        if isinstance(action, argparse._SubParsersAction):
            for verb in action.choices.values():
                found |= _options_of(verb)
    return found
