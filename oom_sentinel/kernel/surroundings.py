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

"""Where the tree's software lives: container, WSL, systemd units, neighbours."""

from collections.abc import Iterable
import os
import re

from oom_sentinel.facts.host import Container
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.host import Unit
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import cgroup
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import unit
from oom_sentinel.kernel.policy import policy
from oom_sentinel.kernel.root import Root
from oom_sentinel.settings.programs import NEIGHBOURS

EVERY_S = 30.0
INITIAL_PID_NAMESPACE = 'pid:[4026531836]'  # PROC_PID_INIT_INO, include/linux/proc_ns.h
IN_CGROUP = (
    ('Kubernetes', re.compile(r'/kubepods')), ('Podman', re.compile(r'/libpod')),
    ('Docker', re.compile(r'/docker[-/]')), ('LXC', re.compile(r'/lxc(\.payload)?[./]')),
    ('systemd-nspawn', re.compile(r'/machine\.slice/systemd-nspawn')))
SAID = {'docker': 'Docker', 'podman': 'Podman', 'lxc': 'LXC', 'oci': 'container',
        'systemd-nspawn': 'systemd-nspawn', 'wsl': ''}
ETC, RUN, LIB = '/etc/systemd', '/run/systemd', ('/usr/lib/systemd', '/lib/systemd')
POLICIES = ('stop', 'continue', 'kill')


def surroundings(root: Root, processes: Iterable[Process]) -> Surroundings:
    """Return what changes the meaning of everything else; some 0.1 ms and a read per node."""
    table = tuple(processes)
    # A script that /usr/bin/env starts has python3 as its comm.
    running = {name for p in table for name in (p.program.comm, p.program.executable)}
    own = _systemd_path(root, 'self')
    adj = root.number('/proc/self/oom_score_adj')
    in_session = own is not None and unit.in_user_session(own) and adj in (100, 200)
    return Surroundings(
        container(root), _wsl(root), _units(root, table),
        adj if in_session else None, tuple(n for n in NEIGHBOURS if n in running))


class Lookout:
    """Policy and surroundings as last read; both change when an administrator acts."""

    def __init__(self, root: Root) -> None:
        """Read nothing yet."""
        self.root = root
        self._looked_s = float('-inf')
        self._found = VmPolicy(), Surroundings()

    def look(self, now_s: float,
             processes: Iterable[Process]) -> tuple[VmPolicy, Surroundings]:
        """Return both, read anew every EVERY_S; some 0.5 ms."""
        if now_s - self._looked_s >= EVERY_S:
            self._looked_s = now_s
            self._found = policy(self.root), surroundings(self.root, processes)
        return self._found


def _text(root: Root, path: str) -> str:
    try:
        return root.read(path, whole=True).decode('utf-8', 'replace')
    except OSError:
        return ''


def _exists(root: Root, path: str) -> bool:
    return os.path.exists(root.prefix + path)


def _wsl(root: Root) -> int | None:
    release = root.host().kernel_release.lower()
    if 'microsoft' not in release:
        return None
    return 2 if 'wsl2' in release or not release.startswith('4.4.') else 1


def container(root: Root) -> Container | None:
    """Return the container that this runs in; the most telling sign first."""
    for path in ('/proc/self/cgroup', '/proc/1/cgroup', '/proc/self/mountinfo'):
        text = _text(root, path)
        if path.endswith('mountinfo'):
            text = '\n'.join(line for line in text.split('\n') if ' - cgroup' in line)
        for kind, sign in IN_CGROUP:
            if sign.search(text):
                return Container(kind, f'{path} names it')
    if _exists(root, '/var/run/secrets/kubernetes.io') or (
            root.live and 'KUBERNETES_SERVICE_HOST' in os.environ):
        return Container('Kubernetes', 'its service account or KUBERNETES_SERVICE_HOST is there')
    if _exists(root, '/run/.containerenv'):
        return Container('Podman', '/run/.containerenv is there')
    for path in ('/run/systemd/container', '/proc/1/environ'):
        for word in _text(root, path).split('\0'):
            said = word.strip().removeprefix('container=')
            if SAID.get(said) and (said != word or path.startswith('/run')):
                return Container(SAID[said], f'{path} says container={said}')
    if _exists(root, '/.dockerenv') and not _on_a_machine_of_its_own(root):
        return Container('Docker', '/.dockerenv is there')
    return None


def _on_a_machine_of_its_own(root: Root) -> bool:
    """Tell a virtual machine that boots a container's image, with /.dockerenv left over."""
    try:
        namespace = os.readlink(root.prefix + '/proc/self/ns/pid')
    except OSError:
        return False
    mounts = [line for line in _text(root, '/proc/self/mountinfo').split('\n')
              if line.split(' ')[4:5] == ['/']]
    return (namespace == INITIAL_PID_NAMESPACE and bool(mounts)
            and not any(' - overlay ' in line for line in mounts))


def _systemd_path(root: Root, pid: int | str) -> str | None:
    try:
        return cgroup.systemd_path(root.read(f'/proc/{pid}/cgroup'))
    except (OSError, ParseError):
        return None


def _units(root: Root, processes: tuple[Process, ...]) -> tuple[Unit, ...]:
    """Return the services that ROS processes run in."""
    counted: dict[tuple[str, bool], int] = {}
    for process in processes:
        path = _systemd_path(root, process.pid) if process.program.ros else None
        found = unit.unit_of(path) if path is not None else None
        if found is not None:
            counted[found] = counted.get(found, 0) + 1
    return tuple(_unit(root, name, user, count) for (name, user), count in counted.items())


def _unit(root: Root, name: str, user: bool, count: int) -> Unit:
    kind = 'user' if user else 'system'
    said = unit.settings(_files(root, name, kind), 'Service')
    manager = unit.settings(
        [_bytes(root, f'{base}/{kind}.conf') for base in (*LIB[::-1], ETC)], 'Manager')
    default = 'continue' if said.get('Delegate', 'no') not in ('no', 'false', '0', 'off') \
        else manager.get('DefaultOOMPolicy', 'stop')
    chosen = said.get('OOMPolicy', default)
    try:
        adjust = int(said['OOMScoreAdjust']) if 'OOMScoreAdjust' in said else None
    except ValueError:
        adjust = None
    return Unit(name, chosen if chosen in POLICIES else default, adjust, user, count)


def _bytes(root: Root, path: str) -> bytes:
    try:
        return root.read(path, whole=True)
    except OSError:
        return b''


def _files(root: Root, name: str, kind: str) -> list[bytes]:
    """Return the unit's file and its drop-ins, each as systemd.unit(5) orders them."""
    folders = [f'{base}/{kind}' for base in (ETC, RUN, '/usr/local/lib/systemd', *LIB)]
    files = [_bytes(root, f'{folder}/{file}') for file in unit.names(name) for folder in folders]
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
                    drop_ins[entry] = _bytes(root, f'{below}/{entry}')
    return [main, *(drop_ins[entry] for entry in sorted(drop_ins))]
