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

"""Tables and JSON on standard output, and reading the tree that all verbs start from."""

from collections.abc import Sequence
from dataclasses import dataclass
import json
import os
import sys
import time
from typing import Any

from oom_sentinel import kernel
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.root import CaptureError
from oom_sentinel.settings import parameter_file

GROWN_UP_S = 1e6
shown = parameter_file.shown  # a name that cannot disturb a terminal
RED, GREEN, YELLOW = '\x1b[31m', '\x1b[32m', '\x1b[33m'
BOLD, PLAIN = '\x1b[1m', '\x1b[0m'


class Unusable(Exception):
    """Usage or input that no result can come from; the text says what and where."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a verb reads first: the tree, the host, memory and the whole process table."""

    root: kernel.Root
    table: kernel.Table
    host: Host
    meminfo: MemInfo
    processes: tuple[Process, ...]
    wall_s: float


def read(path: str, ros_prefixes: tuple[str, ...]) -> Reading:
    """
    Read a tree.

    :raises Unusable: when it is no captured tree or lacks /proc/meminfo.
    """
    try:
        root = kernel.Root(path)
        host = root.host()
        meminfo = root.meminfo()
        if isinstance(meminfo, Unavailable):
            raise Unusable(f'--root {path}: memory is {meminfo}')
        table = kernel.Table(root, ros_prefixes=ros_prefixes)
        table.read(0.0)
        # Seen a second time, nobody is young: what maps librcl is recognised too.
        processes = table.read(GROWN_UP_S, scores=True)
    except CaptureError as error:
        raise Unusable(f'--root {path}: not a captured tree: {error}') from error
    except OSError as error:
        raise Unusable(f'--root {path}: {error.filename}: {error.strerror}') from error
    wall_s = time.time() if root.capture is None else root.capture.wall_s
    return Reading(root, table, host, meminfo, processes, wall_s)


def as_json(document: Any) -> None:
    """Print one JSON document."""
    json.dump(document, sys.stdout, indent=2, sort_keys=False)
    print()


def colored(choice: str) -> bool:
    """Tell whether to color: always, never, or on a terminal without NO_COLOR."""
    if choice == 'auto':
        return sys.stdout.isatty() and 'NO_COLOR' not in os.environ
    return choice == 'always'


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]],
            right: Sequence[int]) -> list[str]:
    """Return heading and rows as lines of columns; those in `right` are aligned to the right."""
    lines = [list(head), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return ['  '.join(cell.rjust(width) if i in right else cell.ljust(width)
                      for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines]


def table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int],
          color: bool, red_rows: int = 0) -> None:
    """Print columns, the first rows in red."""
    for index, text in enumerate(aligned(head, rows, right)):
        tint = BOLD if index == 0 else RED if index <= red_rows else ''
        say(f'{tint}{text}{PLAIN}' if color and tint else text)


def say(text: str) -> None:
    """Print a line; what the terminal's encoding lacks shows as backslash escapes."""
    encoding = sys.stdout.encoding or 'utf-8'
    print(text.encode(encoding, 'backslashreplace').decode(encoding))
