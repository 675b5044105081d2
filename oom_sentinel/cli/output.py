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

"""JSON and text on standard output, one line on standard error, and how a verb gives up."""

import json
import os
import sys
import textwrap
from typing import Any

from oom_sentinel.settings import outside

SHOWN = 40


class Unusable(Exception):
    """Usage or input that no result can come from; the text says what and where."""


def shown(text: str, width: int = SHOWN) -> str:
    """Return a text from outside that cannot disturb a terminal, cut to a width."""
    return outside.printable(text, width)


def as_json(document: Any) -> None:
    """Print one JSON document; what is no plain ASCII is escaped."""
    write(json.dumps(document, indent=2) + '\n')


def colored(choice: str) -> bool:
    """Return whether to color: always, never, or on a terminal that wants it."""
    if choice == 'auto':
        return (sys.stdout is not None and sys.stdout.isatty()
                and not os.environ.get('NO_COLOR') and os.environ.get('TERM') != 'dumb')
    return choice == 'always'


def say(text: str) -> None:
    """Print a line; what the terminal's encoding lacks shows as backslash escapes."""
    write(text + '\n')


def write(text: str) -> None:
    """
    Write to standard output.

    :raises Unusable: when it is closed or takes no more, such as on a full disk.
    :raises BrokenPipeError: when the reader is gone.
    """
    if sys.stdout is None:
        raise Unusable('standard output is closed')
    encoding = sys.stdout.encoding or 'utf-8'
    try:
        sys.stdout.write(text.encode(encoding, 'backslashreplace').decode(encoding))
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unusable(f'standard output: {error.strerror}') from error


def complain(text: str) -> None:
    """
    Print one line on standard error, folded at words where that is a terminal.

    Nothing is printed where standard error is closed; then only the exit code is left.
    """
    if sys.stderr is None:
        return
    line = shown(' '.join(text.split()), 2000)
    if sys.stderr.isatty():
        line = _folded(line)
    print(line, file=sys.stderr)


def _folded(line: str) -> str:
    """Return a line folded at words to the width of the terminal, later lines indented."""
    try:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
    except (OSError, ValueError):
        return line
    return textwrap.fill(line, max(width, 20), subsequent_indent='  ', break_long_words=False,
                         break_on_hyphens=False)


def flush() -> None:
    """
    Write out what is buffered.

    :raises Unusable: naming why standard output takes no more, such as a full disk.
    """
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Unusable(f'standard output: {error.strerror}') from error


def discard() -> None:
    """Print what is buffered where that works, else drop it, so that nothing fails at exit."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        # The interpreter flushes once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
