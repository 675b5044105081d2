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

"""`oom_sentinel status [--watch]`: all statuses in the terminal, as the node publishes them."""

import argparse
import contextlib
import sys
import time

from oom_sentinel.cli import order
from oom_sentinel.cli import output
from oom_sentinel.cli import params
from oom_sentinel.cli import screen
from oom_sentinel.cli import terminal
from oom_sentinel.cli.output import Reading
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.plan import view_of
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.host import ros_prefixes
from oom_sentinel.kernel.root import CaptureError
from oom_sentinel.report.risk import KILL_ORDER_OF
from oom_sentinel.risk import badness
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import Settings
from oom_sentinel.settings.programs import OWN_NODE

NAME = 'status'
HELP = 'All statuses, as the node would publish them; writes nothing.'
WATCHING = 'this command only looks'
PROTECTING = ', the sentinel with PID {} protects'


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
    settings = params.load(arguments.params_file)
    watcher = _sentinel(settings, arguments.root)
    color = output.colored(arguments.color)
    if not arguments.watch:
        statuses = watcher.cycle().statuses
        if arguments.json:
            output.as_json({'statuses': [_status(s) for s in statuses]})
        else:
            _print(watcher, statuses, arguments.values, color)
    elif sys.stdout.isatty():
        statuses = _live(watcher, settings, color)
    else:
        statuses = _again_and_again(watcher, settings, arguments.values, color)
    return int(any(s.level > Level.OK for s in statuses))


def _sentinel(settings: Settings, root: str) -> Sentinel:
    reading = output.read(root, ros_prefixes())
    running = next((p.pid for p in reading.processes
                    if p.program.executable == OWN_NODE), None)
    why = WATCHING + ('' if running is None else PROTECTING.format(running))
    try:
        watcher = Sentinel(settings, root=root, watching=why)
        # A captured tree is seen as its own robot's user, not as whoever looks at it.
        watcher.guard.view = view_of(reading)
        return watcher
    except CaptureError as error:
        raise Unusable(f'--root {root}: not a captured tree: {error}') from error
    except OSError as error:
        raise Unusable(f'--root {root}: {error.filename}: {error.strerror}') from error


def _status(status: Status) -> dict[str, object]:
    return {'name': f'oom_sentinel: {status.name}', 'level': status.level.name,
            'message': status.message, 'values': dict(status.values)}


def _title(watcher: Sentinel) -> str:
    capture = watcher.root.capture
    wall_s = time.time() if capture is None else capture.wall_s
    when = time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(wall_s))
    return f'oom_sentinel on {watcher.hostname}, {when}'


def _print(watcher: Sentinel, statuses: tuple[Status, ...], values: bool, color: bool) -> None:
    output.say(_title(watcher))
    for status in statuses:
        level = f'{status.level.name:<5}'
        tint = screen.TINT[status.level]
        output.say((f'{tint}{level}{output.PLAIN}' if color else level)
                   + f'  {status.name}: {output.shown(status.message, 2000)}')
        if values or status.level > Level.OK:
            for key, value in status.values:
                output.say(f'         {key}: {output.shown(value, 2000)}')


def _again_and_again(watcher: Sentinel, settings: Settings, values: bool,
                     color: bool) -> tuple[Status, ...]:
    """Print the statuses every publish_period until interrupted."""
    statuses: tuple[Status, ...] = ()
    try:
        while True:
            statuses = watcher.cycle().statuses
            _print(watcher, statuses, values, color)
            output.say('')
            sys.stdout.flush()
            time.sleep(settings.publish_period)
    except KeyboardInterrupt:
        return statuses


def _live(watcher: Sentinel, settings: Settings, color: bool) -> tuple[Status, ...]:
    """Draw the statuses every publish_period and on a new size, until q or a signal."""
    with terminal.taken() as screen_of:
        while True:
            statuses = watcher.cycle().statuses
            title = f'{_title(watcher)}   (q ends)'
            size = screen_of.size()
            order_now = _victims(watcher, settings, statuses, size.rows)
            screen_of.draw(screen.picture(title, statuses, order_now, size, color))
            screen_of.wait(settings.publish_period)
            if screen_of.ended:
                return statuses


def _victims(watcher: Sentinel, settings: Settings, statuses: tuple[Status, ...],
             most: int) -> list[str]:
    """Return the kill order where memory is shortest as lines of a table, with its heading."""
    meminfo, page = watcher.root.meminfo(), watcher.host.page_size
    if isinstance(meminfo, Unavailable):
        return []
    processes = watcher.table.read(time.monotonic(), scores=True)
    totalpages = badness.machine_totalpages(meminfo, page)
    short = next((value for s in statuses for key, value in s.values
                  if key == KILL_ORDER_OF), '')
    if short.startswith('/'):
        reading = Reading(watcher.root, watcher.table, watcher.host, meminfo, processes, 0.0)
        with contextlib.suppress(Unusable):  # the group may be gone by now
            processes, totalpages = order.inside(short, reading)
    candidates = badness.kill_order(processes, totalpages=totalpages, page_size=page)
    return output.aligned(order.HEAD, order.rows(candidates[:most], settings), order.RIGHT)
