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

"""`oom_sentinel order`: the order in which the kernel would kill now."""

import argparse
from collections.abc import Callable

from oom_sentinel.cli import output
from oom_sentinel.cli import tree
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.printer import Column
from oom_sentinel.cli.printer import Printer
from oom_sentinel.cli.printer import RED
from oom_sentinel.cli.tree import read
from oom_sentinel.cli.tree import Reading
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.host import swappiness
from oom_sentinel.protection import grouping
from oom_sentinel.report import kill_order as order_document
from oom_sentinel.risk import badness
from oom_sentinel.risk.badness import Candidate
from oom_sentinel.settings import Settings

NAME = 'order'
HELP = 'The order in which the kernel would kill now, on the machine or inside a cgroup.'
COLUMNS = (
    Column('RANK', right=True), Column('NODE OR PROGRAM', least=14),
    Column('PID', right=True, drop=2), Column('BADNESS', right=True, drop=3),
    Column('SHARE', right=True), Column('ADJ', right=True), Column('RSS', right=True),
    Column('SWAP', right=True, drop=5), Column('SCORE', right=True, drop=6),
    Column('GROUP', drop=4))
LEGEND = ('BADNESS in pages of {page_size} bytes, SHARE of the {totalpages} pages of {where}; '
          'ADJ is oom_score_adj, SCORE is oom_score; RSS and SWAP in MiB.')


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('-n', type=_count, default=None, metavar='N',
                      help='only the first N (default: 20 in a table, all in JSON)')
    verb.add_argument('--cgroup', metavar='PATH',
                      help='inside this memory control group, a path below its mount')
    verb.add_argument('--params-file', metavar='FILE', help='groups as this file defines them')


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10) or int(text) < 1:
        raise argparse.ArgumentTypeError(
            f'{output.shown(text, 40)!r} is no number of at least 1')
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Print the order; return 0."""
    settings = tree.read_settings(arguments.params_file)
    reading = read(arguments.root)
    page = reading.host.page_size
    totalpages = badness.machine_totalpages(reading.meminfo, page)
    processes = reading.processes
    if arguments.cgroup is not None:
        processes, totalpages = inside(arguments.cgroup, reading)
    order = badness.kill_order(processes, totalpages=totalpages, page_size=page)
    if arguments.json:
        output.as_json(document(order[:arguments.n], reading, totalpages, settings))
        return 0
    printer = Printer(arguments.color)
    printer.table(COLUMNS, rows(order[:arguments.n or 20], totalpages, group_namer(settings)),
                  (RED,))
    printer.line(LEGEND.format(
        page_size=page, totalpages=totalpages,
        where='memory and swap' if arguments.cgroup is None else 'the control group'))
    return 0


def group_namer(settings: Settings) -> Callable[[Process], str | None]:
    """
    Return a function that names the group of a process, None where no group matches.

    A process of another PID namespace, a container's, has none: the node leaves it alone.
    """
    def name_of(process: Process) -> str | None:
        if process.same_pid_namespace is False:
            return None
        group = grouping.group_of(process, settings)
        return group.name if group else None
    return name_of


def inside(path: str, reading: Reading) -> tuple[tuple[Process, ...], int]:
    """
    Return the processes in a control group and its own totalpages.

    :raises Unusable: when there is no such group.
    """
    cgroups = reading.table.cgroups
    if cgroups.mount is None:
        raise Unusable(f'--cgroup {path}: {cgroups.unavailable.why}')
    if path.startswith(cgroups.mount.mount_point + '/'):
        path = path[len(cgroups.mount.mount_point):]
    path = '/' + path.strip('/')
    if '\0' in path or '..' in path.split('/') or not cgroups.exists(path):
        raise Unusable(f'--cgroup {path}: no such control group below '
                       f'{cgroups.mount.mount_point}')
    members = cgroups.members(path)
    totalpages = badness.cgroup_totalpages(
        cgroups.group(path), reading.meminfo, reading.host.page_size, swappiness(reading.root))
    return tuple(p for p in reading.processes if p.pid in members), totalpages


def document(order: tuple[Candidate, ...], reading: Reading, totalpages: int,
             settings: Settings) -> dict[str, object]:
    """Return the JSON document of INTERFACE.md."""
    machine = badness.machine_totalpages(reading.meminfo, reading.host.page_size)
    return order_document.document(
        order, host=reading.host, wall_s=reading.wall_s, totalpages=totalpages,
        machine_totalpages=machine, group_of=group_namer(settings))


def rows(order: tuple[Candidate, ...], totalpages: int,
         group_of: Callable[[Process], str | None]) -> list[tuple[str, ...]]:
    """Return the order as rows below COLUMNS."""
    made: list[tuple[str, ...]] = []
    for candidate in order:
        process, memory = candidate.process, candidate.process.memory
        points = candidate.badness
        made.append((
            '-' if candidate.rank is None else str(candidate.rank), process.label,
            str(process.pid), 'never' if points is None else str(points),
            share(points, totalpages), _known(process.oom_score_adj),
            f'{memory.rss_bytes / MIB:.0f}' if memory else '?',
            f'{memory.swap_bytes / MIB:.0f}' if memory else '?',
            _known(process.oom_score), group_of(process) or ''))
    return made


def share(points: int | None, totalpages: int) -> str:
    """Return a badness as a share of the memory at stake, '-' for none."""
    return '-' if points is None or totalpages <= 0 else f'{100 * points / totalpages:.1f} %'


def _known(value: int | None) -> str:
    return '?' if value is None else str(value)
