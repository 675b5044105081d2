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

"""Run a verb: arguments, exit codes, and one line on standard error when something is wrong."""

import argparse
from collections.abc import Sequence
import os

from oom_sentinel.cli import doctor
from oom_sentinel.cli import kills
from oom_sentinel.cli import order
from oom_sentinel.cli import output
from oom_sentinel.cli import plan
from oom_sentinel.cli import protect
from oom_sentinel.cli import report
from oom_sentinel.cli import status
from oom_sentinel.cli.parser import Parser
from oom_sentinel.cli.parser import Version
from oom_sentinel.kernel.root import CaptureError

VERBS = (order, plan, status, protect, kills, doctor, report)
ABOUT = 'Shows which process dies when memory runs out, and changes it.'
EXIT_CODES = 'Exit codes: 0 fine, 1 a finding or something denied, 2 usage or unreadable input.'
INTERRUPTED = 130


def _common(parser: argparse.ArgumentParser, default: dict[str, object]) -> None:
    """Add the options that every verb has, before the verb or after it."""
    def given(name: str) -> object:
        return default.get(name, argparse.SUPPRESS)

    parser.add_argument('--json', action='store_true', default=given('json'),
                        help='print one JSON document')
    parser.add_argument('--root', default=given('root'), metavar='DIR',
                        help='read a captured /proc and /sys tree instead of the live one')
    parser.add_argument('--color', choices=('auto', 'always', 'never'), default=given('color'),
                        help='color the output; auto: on a terminal, unless NO_COLOR is set or '
                             'TERM is dumb')
    parser.add_argument('--version', action=Version)


def add_verbs(top: argparse.ArgumentParser) -> None:
    """Add the common options and every verb: to our own parser, or to that of `ros2 oom`."""
    _common(top, {'json': False, 'root': '/', 'color': 'auto'})
    verbs = top.add_subparsers(dest='verb', metavar='VERB', parser_class=Parser)
    for module in VERBS:
        verb = verbs.add_parser(module.NAME, help=module.HELP, description=module.HELP,
                                epilog=EXIT_CODES)
        _common(verb, {})
        module.add_arguments(verb)
        verb.set_defaults(run=module.run)


def parser() -> argparse.ArgumentParser:
    """Return the parser with every verb."""
    top = Parser(prog='oom_sentinel', description=ABOUT, epilog=EXIT_CODES)
    add_verbs(top)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run a verb and return the exit code.

    :raises SystemExit: from argparse, for --help and for usage errors.
    """
    top = parser()
    if '_ARGCOMPLETE' in os.environ:
        _complete(top)
    try:
        arguments = top.parse_args(argv)
    except output.Unusable as error:  # --help or --version on a full disk
        output.discard()
        output.complain(f'oom_sentinel: {error}')
        return 2
    return run(arguments, 'oom_sentinel')


def _complete(top: argparse.ArgumentParser) -> None:
    """Let argcomplete answer the shell and end the process, where it is installed."""
    try:
        import argcomplete
    except ImportError:
        return  # the shell shows no completions
    argcomplete.autocomplete(top)


def run(arguments: argparse.Namespace, program: str) -> int:
    """
    Run the verb that was parsed, and return the exit code; its errors are one line.

    :raises SystemExit: when there is no verb.
    """
    if arguments.verb is None:
        Parser(prog=program).error(
            f'which verb? One of {", ".join(m.NAME for m in VERBS)}')
    try:
        code = int(arguments.run(arguments))
        output.flush()
        return code
    except output.Unusable as error:
        said = str(error)
    except CaptureError as error:  # a FIFO, or a link out of it, met while the verb reads on
        said = f'--root {arguments.root}: not a captured tree: {error}'
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        output.discard()  # the reader has enough
        return 0
    except OSError as error:
        said = f'{error.filename}: {error.strerror}' if error.filename else str(error)
    output.discard()
    output.complain(f'{program} {arguments.verb}: {said}')
    return 2
