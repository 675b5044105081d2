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
from dataclasses import dataclass
import os

from oom_sentinel.cli import output
from oom_sentinel.cli import params
from oom_sentinel.cli.output import Reading
from oom_sentinel.facts.protection import Target
from oom_sentinel.kernel import libc
from oom_sentinel.kernel.host import own_domain_id
from oom_sentinel.kernel.host import ros_prefixes
from oom_sentinel.protection import plan

NAME = 'plan'
DENIED = ('{count} may be denied: lowering needs CAP_SYS_RESOURCE, or a floor granted at the '
          "start, such as OOMScoreAdjust= in the robot's systemd unit.")
# user_namespaces(7): what the initial namespace shows.
WHOLE_UID_MAP = [b'0', b'0', b'4294967295']
HELP = 'What protection would change with a parameter file, changing nothing.'


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('--params-file', required=True, metavar='FILE',
                      help='the ROS parameter file of the node')


def run(arguments: argparse.Namespace) -> int:
    """Print the adjustments; return 1 when something would be denied."""
    settings = params.load(arguments.params_file)
    reading = output.read(arguments.root, ros_prefixes())
    view = view_of(reading)
    may = _permission(reading)
    planned = plan.plan(reading.processes, settings, view, {}, {})
    changes = tuple(t for t in planned.targets if t.process.oom_score_adj != t.value)
    found = [_adjustment(t, may) for t in changes]
    doubtful = sum(entry['achievable'] != entry['wanted'] for entry in found)
    if arguments.json:
        output.as_json({'adjustments': found})
    else:
        _print(changes, found, output.colored(arguments.color))
        if doubtful:
            output.say(DENIED.format(count=doubtful))
        for note in planned.lost_order + planned.notes:
            output.say(f'Note: {note}.')
    return int(doubtful > 0)


def view_of(reading: Reading) -> plan.View:
    """Return the live user's view; in a captured tree every user's process counts as ours."""
    uid = os.geteuid()
    if not reading.root.live:
        uids = [p.uid for p in reading.processes if p.program.ros]
        uid = uids[0] if uids else 0
    return plan.View(uid, os.getpid() if reading.root.live else 0, own_domain_id())


@dataclass(frozen=True, slots=True)
class Permission:
    """What can be known of it without writing; `uid` is None in a captured tree."""

    uid: int | None
    lower: bool

    def achievable(self, target: Target) -> tuple[int | None, str]:
        """Return the value that a write would come to, None when unknown, and why."""
        present = target.process.oom_score_adj
        if self.uid not in (None, 0, target.process.uid):
            return present, f'; the process belongs to uid {target.process.uid}, denied'
        if present is None or target.value >= present or self.lower:
            return target.value, ''
        return None, '; whether lowering is permitted only a write can tell'


def _permission(reading: Reading) -> Permission:
    """Return this user's; a capability counts in the initial user namespace only."""
    if not reading.root.live:
        return Permission(None, False)
    try:
        initial = reading.root.read('/proc/self/uid_map').split() == WHOLE_UID_MAP
    except OSError:
        initial = False
    return Permission(os.geteuid(), initial and libc.holds_sys_resource())


def _adjustment(target: Target, may: Permission) -> dict[str, object]:
    process = target.process
    achievable, doubt = may.achievable(target)
    return {'pid': process.pid, 'start_time': process.start_time, 'comm': process.program.comm,
            'node_names': list(process.node_names), 'group': target.group,
            'from': process.oom_score_adj, 'wanted': target.wanted, 'achievable': achievable,
            'why': target.why + doubt}


def _print(changes: tuple[Target, ...], found: list[dict[str, object]],
           color: bool) -> None:
    if not found:
        output.say('Nothing to change: every matching process has the value that is wanted.')
        return
    rows = [(str(entry['pid']), output.shown(target.process.label), target.group or '',
             str(entry['from']), str(entry['wanted']),
             'unknown' if entry['achievable'] is None else str(entry['achievable']),
             str(entry['why'])) for target, entry in zip(changes, found)]
    output.table(('PID', 'NODE OR PROGRAM', 'GROUP', 'FROM', 'WANTED', 'ACHIEVABLE', 'WHY'),
                 rows, (0, 3, 4, 5), color)
