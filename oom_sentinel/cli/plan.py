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

"""`oom_sentinel plan`: what protection would change, changing nothing."""

import argparse
import os

from oom_sentinel.cli import output
from oom_sentinel.cli import tree
from oom_sentinel.cli.printer import Column
from oom_sentinel.cli.printer import Printer
from oom_sentinel.cli.tree import read
from oom_sentinel.cli.tree import Reading
from oom_sentinel.cli.tree import view_of
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import libc
from oom_sentinel.kernel.oom_score_adj import floor
from oom_sentinel.kernel.process_files import holds_device
from oom_sentinel.protection.forecast import forecast
from oom_sentinel.protection.limits import DomainReader

NAME = 'plan'
HELP = 'What protection would change with a parameter file, changing nothing.'
DENIED = ('{count} may be denied: lowering needs CAP_SYS_RESOURCE, or a floor granted at the '
          "start, such as OOMScoreAdjust= in the robot's systemd unit; `oom_sentinel doctor` "
          'prints the command.')
RUNNING = ('a sentinel runs (PID {}) with its own parameters; this plan is what one with the '
           'parameters given here would do.')
# user_namespaces(7): what the initial namespace shows.
WHOLE_UID_MAP = [b'0', b'0', b'4294967295']
COLUMNS = (
    Column('NODE OR PROGRAM', least=14), Column('PID', right=True, drop=1),
    Column('GROUP', drop=2), Column('FROM', right=True), Column('WANTED', right=True),
    Column('POSSIBLE', right=True), Column('WHY', least=12, wraps=True, drop=3))


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('--params-file', required=True, metavar='FILE',
                      help='the ROS parameter file of the node')


def run(arguments: argparse.Namespace) -> int:
    """Print the adjustments; return 1 when something would be denied."""
    settings = tree.read_settings(arguments.params_file)
    reading = read(arguments.root)
    may = _permission(reading)
    planned = forecast(
        reading.processes, settings, view_of(reading), reading.host.page_size,
        domains_of=DomainReader(
            reading.root, reading.table.cgroups, reading.host.page_size).of,
        floor=lambda target: may.achievable(target)[0],
        holds_device=lambda pid: holds_device(reading.root, pid))
    changes = tuple(t for t in planned.targets + planned.raised
                    if t.process.oom_score_adj not in (t.value, _wanted(t))
                    or _wanted(t) < t.value)
    found = [_adjustment(t, may) for t in changes]
    doubtful = sum(entry['achievable'] != entry['wanted'] for entry in found)
    if arguments.json:
        output.as_json({'adjustments': found})
        return int(doubtful > 0)
    printer = Printer(arguments.color)
    _print(printer, changes, found)
    if doubtful:
        printer.line(DENIED.format(count=doubtful))
    for note in planned.lost_order + planned.notes:
        printer.line(f'Note: {note}.', indent=6)
    if reading.sentinel is not None:
        printer.line(f'Note: {RUNNING.format(reading.sentinel.pid)}', indent=6)
    return int(doubtful > 0)


@frozen
class Permission:
    """
    What is known of permission without writing to the process.

    `uid` is None in a captured tree.  `lower` says that CAP_SYS_RESOURCE is there.  `floor` is
    the lowest value that is permitted to what this user starts here, None when unknown; a
    process that another service started may have another one.
    """

    uid: int | None
    lower: bool
    floor: int | None = None

    def achievable(self, target: Target) -> tuple[int | None, str]:
        """Return the value that a write would come to, None when unknown, and why."""
        present = target.process.oom_score_adj
        if self.uid not in (None, 0, target.process.uid):
            return present, f'; the process belongs to uid {target.process.uid}, denied'
        if present is None or target.value >= present or self.lower:
            return target.value, ''
        if self.floor is None:
            return None, '; only a write shows whether lowering is permitted'
        if target.value >= self.floor:
            return target.value, f'; permitted to what is started here (floor {self.floor})'
        return min(present, self.floor), f'; the floor here is {self.floor}'


def _permission(reading: Reading) -> Permission:
    """Return this user's; a capability counts in the initial user namespace only."""
    if not reading.root.live:
        return Permission(None, False)
    try:
        initial = reading.root.read('/proc/self/uid_map').split() == WHOLE_UID_MAP
    except OSError:
        initial = False
    lowest = floor(reading.root)
    return Permission(os.geteuid(), initial and libc.holds_sys_resource(),
                      None if isinstance(lowest, Unavailable) else lowest)


def _wanted(target: Target) -> int:
    """Return what protection wants; of what is raised for the sake of others that value."""
    return target.wanted if target.wanted < 0 else target.value


def _adjustment(target: Target, may: Permission) -> dict[str, object]:
    process = target.process
    achievable, doubt = may.achievable(target)
    wanted = _wanted(target)
    return {'pid': process.pid, 'start_time': process.start_time, 'comm': process.program.comm,
            'node_names': list(process.node_names), 'group': target.group,
            'from': process.oom_score_adj, 'wanted': wanted, 'achievable': achievable,
            'why': target.why + doubt}


def _print(printer: Printer, changes: tuple[Target, ...],
           found: list[dict[str, object]]) -> None:
    if not found:
        printer.line('Nothing to change: every matching process has the value that is wanted.')
        return
    printer.table(COLUMNS, [
        (target.process.label, str(entry['pid']), target.group or '', str(entry['from']),
         str(entry['wanted']),
         'unknown' if entry['achievable'] is None else str(entry['achievable']),
         target.why) for target, entry in zip(changes, found)])
