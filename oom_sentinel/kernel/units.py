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

"""The systemd services that ROS processes run in, from their unit files (systemd.unit(5))."""

import os

from oom_sentinel.facts.host import Unit
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import cgroup
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import unit
from oom_sentinel.kernel.root import Root

ETC, RUN, LIB = '/etc/systemd', '/run/systemd', ('/usr/lib/systemd', '/lib/systemd')
POLICIES = ('stop', 'continue', 'kill')


def systemd_path(root: Root, pid: int | str) -> str | None:
    try:
        return cgroup.systemd_path(root.read(f'/proc/{pid}/cgroup'))
    except (OSError, ParseError):
        return None


def units(root: Root, processes: tuple[Process, ...]) -> tuple[Unit, ...]:
    """Return the services that ROS processes run in."""
    counted: dict[tuple[str, bool], int] = {}
    for process in processes:
        path = systemd_path(root, process.pid) if process.program.ros else None
        found = unit.unit_of(path) if path is not None else None
        if found is not None:
            counted[found] = counted.get(found, 0) + 1
    return tuple(_unit(root, name, user, count) for (name, user), count in counted.items())


def _unit(root: Root, name: str, user: bool, count: int) -> Unit:
    kind = 'user' if user else 'system'
    said = unit.settings(_files(root, name, kind), 'Service')
    manager = unit.settings(
        [_read(root, f'{base}/{kind}.conf') for base in (*LIB[::-1], ETC)], 'Manager')
    default = 'continue' if said.get('Delegate', 'no') not in ('no', 'false', '0', 'off') \
        else manager.get('DefaultOOMPolicy', 'stop')
    chosen = said.get('OOMPolicy', default)
    try:
        adjust = int(said['OOMScoreAdjust']) if 'OOMScoreAdjust' in said else None
    except ValueError:
        adjust = None
    return Unit(name, chosen if chosen in POLICIES else default, adjust, user, count)


def _read(root: Root, path: str) -> bytes:
    try:
        return root.read(path, whole=True)
    except OSError:
        return b''


def _files(root: Root, name: str, kind: str) -> list[bytes]:
    """Return the unit's file and its drop-ins, each as systemd.unit(5) orders them."""
    folders = [f'{base}/{kind}' for base in (ETC, RUN, '/usr/local/lib/systemd', *LIB)]
    files = [_read(root, f'{folder}/{file}') for file in unit.names(name) for folder in folders]
    main = next((data for data in files if data), b'')
    drop_ins: dict[str, bytes] = {}
    for file in reversed(unit.names(name)):
        for folder in reversed(folders):
            below = f'{folder}/{file}.d'
            try:
                entries = os.listdir(root.prefix + below)
            except OSError:
                continue  # most units have none
            for entry in entries:
                if entry.endswith('.conf'):
                    drop_ins[entry] = _read(root, f'{below}/{entry}')
    return [main, *(drop_ins[entry] for entry in sorted(drop_ins))]
