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

"""
The systemd services that ROS processes run in, from their unit files (systemd.unit(5)).

The files are read where the service manager reads them: units of the system and of a user's own
manager, transient ones, drop-ins of the unit, of its prefixes and of all services, and the
manager's own configuration with its drop-ins.
"""

import pwd
import re

from oom_sentinel.facts.host import Unit
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import cgroup
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import unit
from oom_sentinel.kernel.root import Root

POLICIES = ('stop', 'continue', 'kill')
DROP_INS = 256  # of one folder
CONFIGURATION = ('/etc/systemd', '/run/systemd', '/usr/local/lib/systemd', '/usr/lib/systemd',
                 '/lib/systemd')
SYSTEM_FOLDERS = (
    '/etc/systemd/system.control', '/run/systemd/system.control', '/run/systemd/transient',
    '/run/systemd/generator.early', '/etc/systemd/system', '/etc/systemd/system.attached',
    '/run/systemd/system', '/run/systemd/system.attached', '/run/systemd/generator',
    '/usr/local/lib/systemd/system', '/usr/lib/systemd/system', '/lib/systemd/system',
    '/run/systemd/generator.late')
MANAGER_OF_USER = re.compile(r'/user@(\d{1,10})\.service/')


def systemd_path(root: Root, pid: int | str) -> str | None:
    """Return the control group path that systemd gave a process, None when it is unreadable."""
    try:
        return cgroup.systemd_path(root.read(f'/proc/{pid}/cgroup'))
    except (OSError, ParseError):
        return None


def units(root: Root, processes: tuple[Process, ...]) -> tuple[Unit, ...]:
    """Return the services that ROS processes run in, with the number of these processes."""
    counted: dict[tuple[str, bool, int | None], int] = {}
    for process in processes:
        path = systemd_path(root, process.pid) if process.program.ros else None
        found = unit.unit_of(path) if path is not None else None
        if found is None or path is None:
            continue
        manager = MANAGER_OF_USER.search(path + '/')
        key = (*found, int(manager.group(1)) if manager else None)
        counted[key] = counted.get(key, 0) + 1
    return tuple(_unit(root, name, user, uid, count)
                 for (name, user, uid), count in counted.items())


def _unit(root: Root, name: str, user: bool, uid: int | None, count: int) -> Unit:
    """Read the files of a service; `uid` is that of its user's manager."""
    folders = _user_folders(root, uid) if user else SYSTEM_FOLDERS
    found = unit.settings(_unit_files(root, name, folders), 'Service')
    delegates = found.get('Delegate', 'no').lower() not in ('no', 'n', 'f', 'false', '0', 'off')
    default = 'continue' if delegates else _manager(root, user).get('DefaultOOMPolicy', 'stop')
    policy = found.get('OOMPolicy', default)
    adjust = found.get('OOMScoreAdjust', '')
    number = re.fullmatch(r'[+-]?\d{1,4}', adjust)
    return Unit(name, policy if policy in POLICIES else default,
                int(adjust) if number else None, user, count)


def _user_folders(root: Root, uid: int | None) -> tuple[str, ...]:
    """Return the folders of a user manager's units, the first that counts first."""
    runtime, home = f'/run/user/{uid}/systemd', _home(root, uid)
    own = f'{home}/.config/systemd'
    return (f'{own}/user.control', f'{runtime}/user.control', f'{runtime}/transient',
            f'{runtime}/generator.early', f'{own}/user', '/etc/xdg/systemd/user',
            '/etc/systemd/user', f'{runtime}/user', '/run/systemd/user', f'{runtime}/generator',
            f'{home}/.local/share/systemd/user', '/usr/local/share/systemd/user',
            '/usr/share/systemd/user', '/usr/local/lib/systemd/user', '/usr/lib/systemd/user',
            '/lib/systemd/user', f'{runtime}/generator.late')


def _home(root: Root, uid: int | None) -> str:
    """Return a user's home directory; a captured tree has it in its /etc/passwd."""
    for line in _read(root, '/etc/passwd').decode('utf-8', 'replace').split('\n'):
        words = line.split(':')
        if len(words) > 5 and words[2] == str(uid) and words[5].startswith('/'):
            return words[5].rstrip('/')
    try:
        if uid is not None and root.live:
            return pwd.getpwuid(uid).pw_dir.rstrip('/')
    except KeyError:
        return '/nonexistent'
    return '/nonexistent'


def _manager(root: Root, user: bool) -> dict[str, str]:
    """Return the settings of the service manager: system.conf or user.conf with drop-ins."""
    file = 'user.conf' if user else 'system.conf'
    main = next((data for folder in CONFIGURATION
                 if (data := _read(root, f'{folder}/{file}'))), b'')
    return unit.settings([main, *_drop_ins(root, [f'{folder}/{file}.d'
                                                  for folder in CONFIGURATION])], 'Manager')


def _read(root: Root, path: str) -> bytes:
    """Return the bytes of a file, none when it is absent or unreadable: most are absent."""
    try:
        return root.read(path, whole=True)
    except OSError:
        return b''


def _unit_files(root: Root, name: str, folders: tuple[str, ...]) -> list[bytes]:
    """Return the unit's file and then its drop-ins, the last one counts most."""
    main = next((data for file in unit.names(name) for folder in folders
                 if (data := _read(root, f'{folder}/{file}'))), b'')
    return [main, *_drop_ins(root, [f'{folder}/{file}.d' for folder in folders
                                    for file in unit.drop_in_names(name)])]


def _drop_ins(root: Root, folders: list[str]) -> list[bytes]:
    """
    Return the drop-ins in the order of their names, whichever folder they are in.

    :param folders: of two files with the same name the one of the earlier folder counts.
    """
    found: dict[str, str] = {}
    for folder in folders:
        try:
            names = root.names(folder)
        except OSError:
            continue  # most units have none
        for file in sorted(names)[:DROP_INS]:
            if file.endswith('.conf'):
                found.setdefault(file, f'{folder}/{file}')
    return [_read(root, found[file]) for file in sorted(found)]
