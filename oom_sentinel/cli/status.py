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

"""`oom_sentinel status [--watch]`: all statuses in the terminal or as JSON."""

import argparse
from collections.abc import Sequence
import re
import time

from oom_sentinel.cli import output
from oom_sentinel.cli import tree
from oom_sentinel.cli import watch
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.printer import LEVEL_STYLES
from oom_sentinel.cli.printer import Printer
from oom_sentinel.cli.tree import read
from oom_sentinel.cli.tree import Reading
from oom_sentinel.cli.tree import view_of
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel.root import CaptureError
from oom_sentinel.kernel.root import Root
from oom_sentinel.protection import last_report
from oom_sentinel.protection.last_report import LastReport
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import Settings

_UNIT = re.compile(r'\s*\(([^()]*)\)\s*$')
_NUMBER = re.compile(r'-?\d{1,15}(\.\d{1,9})?')
_UNITS = {'%': 'percent', '0..1': '', 'MiB/min': 'mib_per_min', 'MiB/s': 'mib_per_s',
          'MiB/h': 'mib_per_h', '%/min': 'percent_per_min'}


def document(statuses: Sequence[Status], node: str = 'oom_sentinel') -> dict[str, object]:
    """Return the JSON document of `oom_sentinel status`, as INTERFACE.md has it."""
    return {'statuses': [
        {'name': f'{node}: {status.name}', 'level': status.level.name,
         'message': status.message, 'values': _values(status)} for status in statuses]}


def _values(status: Status) -> dict[str, object]:
    made: dict[str, object] = {}
    for key, value in status.values:
        name, number = snake_case(key), 1
        while name in made:
            number += 1
            name = f'{snake_case(key)}_{number}'
        made[name] = plain(value)
    return made


def snake_case(key: str) -> str:
    """Return 'MemAvailable (MiB)' as 'mem_available_mib'."""
    unit = _UNIT.search(key)
    words = _UNIT.sub('', key)
    words = re.sub(r'(?<=[a-z0-9])(?=[A-Z])', '_', words)
    if unit is not None:
        words += '_' + _UNITS.get(unit.group(1), unit.group(1))
    return re.sub(r'[^a-z0-9]+', '_', words.lower()).strip('_')


def plain(value: str) -> int | float | str:
    """Return a number where the text is one, else the text."""
    if not _NUMBER.fullmatch(value):
        return value
    return float(value) if '.' in value else int(value)


NAME = 'status'
HELP = ('All statuses: those of the running node, else as the node would publish them; '
        'writes nothing.')
WATCHING = 'this command changes nothing'
PROTECTING = ', the sentinel with PID {} protects'
LATE = 5  # periods without a report: then its age is shown


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('--watch', action='store_true',
                      help='go on until q or ctrl-c, a live table on a terminal')
    verb.add_argument('-v', '--values', action='store_true',
                      help='print the values of every status, not only of alarming ones')
    verb.add_argument('--params-file', metavar='FILE',
                      help='thresholds and groups as this file defines them')


def run(arguments: argparse.Namespace) -> int:
    """Print the statuses; return 1 when one is not OK."""
    if arguments.watch and arguments.json:
        raise Unusable('--watch and --json exclude each other: JSON is one document')
    settings = tree.read_settings(arguments.params_file)
    reading = read(arguments.root)
    look = _source(arguments, settings, reading)
    if arguments.json:
        statuses = look.statuses()
        output.as_json(document(statuses, look.name))
    elif arguments.watch and watch.can_draw():
        statuses = watch.draw(look.statuses, look.title, watch.KillOrder(reading, settings),
                              settings.publish_period, arguments.color)
    elif arguments.watch:
        statuses = _repeat(look, arguments, settings.publish_period)
    else:
        statuses = _print(Printer(arguments.color), look, arguments.values)
    return int(any(s.level > Level.OK for s in statuses))


def _source(arguments: argparse.Namespace, settings: Settings,
            reading: Reading) -> 'Look | RunningNode':
    """Return the running node; for a tree or other parameters a look by this command."""
    if reading.root.live and arguments.params_file is None:
        try:
            found = last_report.read(reading.root)
        except (OSError, ValueError) as error:
            output.complain(f'oom_sentinel status: the last report of the node is left out: '
                            f'{error}')
        else:
            if found is not None:
                return RunningNode(reading.root, found)
    return Look(settings, reading)


class RunningNode:
    """What the running node of this user published last."""

    def __init__(self, root: Root, found: LastReport) -> None:
        """Take its first report; later ones are read as they are asked for."""
        self._root = root
        self._found = found
        self.name = found.node_name.lstrip('/')
        self._unread: LastReport | None = found

    def statuses(self) -> tuple[Status, ...]:
        """
        Return the statuses of its last report.

        :raises Unusable: when the node has ended meanwhile or its report cannot be read.
        """
        try:
            found = self._unread or last_report.read(self._root)
        except (OSError, ValueError) as error:
            raise Unusable(f'the last report of the node: {error}') from error
        if found is None:
            raise Unusable(f'the node {self._found.node_name} (PID {self._found.pid}) has ended')
        self._found, self._unread = found, None
        return found.statuses

    def title(self) -> str:
        """Return which node says this, on which machine, and when."""
        found = self._found
        late = f', {found.age_s:.0f} s ago' if found.age_s > LATE * found.publish_period_s else ''
        return (f'{found.node_name} (PID {found.pid}) on {found.hardware_id}, '
                f'{local_time(found.wall_s)}{late}')


class Look:
    """What a sentinel of our own sees, which writes nothing."""

    name = 'oom_sentinel'

    def __init__(self, settings: Settings, reading: Reading) -> None:
        """
        Start it.

        :raises Unusable: when the tree is no captured one.
        """
        self._reading = reading
        running = reading.sentinel
        why = WATCHING + ('' if running is None else PROTECTING.format(running.pid))
        path = reading.root.path
        try:
            self._sentinel = Sentinel(settings, root=path, watching=why,
                                      view=view_of(reading))
        except CaptureError as error:
            raise Unusable(f'--root {path}: not a captured tree: {error}') from error

    def statuses(self) -> tuple[Status, ...]:
        """Return the statuses as of now."""
        return self._sentinel.cycle().statuses

    def title(self) -> str:
        """Return host and time, with the time zone named."""
        root = self._reading.root
        wall_s = time.time() if root.live else self._reading.wall_s
        return f'oom_sentinel on {self._reading.host.hostname}, {local_time(wall_s)}'


def local_time(wall_s: float) -> str:
    """Return a moment in this machine's time zone, which is named."""
    try:
        return time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(wall_s))
    except (OverflowError, ValueError, OSError):
        return f'{wall_s:g} s after 1970-01-01'


def _print(printer: Printer, look: 'Look | RunningNode', values: bool) -> tuple[Status, ...]:
    """Print what is seen now and return it."""
    statuses = look.statuses()
    printer.line(look.title())
    for status in statuses:
        printer.entry(f'{status.level.name:<5}  ', f'{status.name}: {status.message}',
                      LEVEL_STYLES[status.level])
        if values or status.level > Level.OK:
            for key, value in status.values:
                printer.line(f'         {key}: {value}', indent=11)
    return statuses


def _repeat(look: 'Look | RunningNode', arguments: argparse.Namespace,
            period_s: float) -> tuple[Status, ...]:
    """Print what is seen every period until ctrl-c; return what was seen last."""
    printer = Printer(arguments.color)
    statuses: tuple[Status, ...] = ()
    try:
        while True:
            statuses = _print(printer, look, arguments.values)
            printer.line('')
            output.flush()
            time.sleep(period_s)
    except KeyboardInterrupt:
        return statuses
