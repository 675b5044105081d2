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

"""Arguments, exit codes, and the one line on standard error."""

import argparse
import os
import sys
from typing import NoReturn
from typing import Sequence

from oom_sentinel.cli import kills
from oom_sentinel.cli import order
from oom_sentinel.cli import plan
from oom_sentinel.cli.output import Unusable

VERBS = (order, plan, kills)
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        """End with exit code 2."""
        self.exit(2, f'{self.prog}: {" ".join(message.split())}\n')


def _common(parser: argparse.ArgumentParser, default: 'dict[str, object]') -> None:
    """Add the options that every verb has, before the verb or after it."""
    def given(name: str) -> object:
        return default.get(name, argparse.SUPPRESS)

    parser.add_argument('--json', action='store_true', default=given('json'),
                        help='print one JSON document')
    parser.add_argument('--root', default=given('root'), metavar='DIR',
                        help='read a captured /proc and /sys tree instead of the live one')
    parser.add_argument('--color', choices=('auto', 'always', 'never'), default=given('color'))


def parser() -> argparse.ArgumentParser:
    """Return the parser with every verb."""
    top = Parser(
        prog='oom_sentinel', description='Who dies when memory runs out, and how to change it.',
        epilog='Exit codes: 0 fine, 1 a finding or something denied, 2 usage or unreadable '
               'input.')
    _common(top, {'json': False, 'root': '/', 'color': 'auto'})
    verbs = top.add_subparsers(dest='verb', metavar='VERB')
    for module in VERBS:
        verb = verbs.add_parser(module.NAME, help=module.HELP, description=module.HELP)
        _common(verb, {})
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)
    return top


def _arguments(argv: 'Sequence[str] | None') -> argparse.Namespace:
    top = parser()
    arguments = top.parse_args(argv)
    if arguments.verb is None:
        top.error(f'which verb? There are: {", ".join(m.NAME for m in VERBS)}')
    return arguments


def main(argv: 'Sequence[str] | None' = None) -> int:
    """
    Run a verb and return the exit code.

    :raises SystemExit: from argparse, for --help and for usage errors.
    """
    arguments = _arguments(argv)
    try:
        code = int(arguments.run(arguments))
        sys.stdout.flush()
        return code
    except Unusable as error:
        print(f'oom_sentinel {arguments.verb}: {error}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has enough; the interpreter must not fail on its last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
