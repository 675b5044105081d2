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

"""Memory control groups of the tree: v1, v2 and both at once (hybrid)."""

from collections.abc import Iterator
from dataclasses import replace
import errno
from itertools import islice
import os

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.cgroup import OomEvents
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.files import cgroup
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import pressure
from oom_sentinel.kernel.files import vmstat
from oom_sentinel.kernel.root import DIGITS
from oom_sentinel.kernel.root import reason
from oom_sentinel.kernel.root import Root

# page_counter's "no limit" in v1 is PAGE_COUNTER_MAX pages: some exabytes.
UNLIMITED_BYTES = 1 << 60
FOLDERS = 10000  # below one group; of the rest the members are not known
# include/linux/proc_ns.h PROC_CGROUP_INIT_INO
INITIAL_NAMESPACE = 'cgroup:[4026531835]'
CONTAINER_MARKS = ('/.dockerenv', '/run/.containerenv',
                   '/var/run/secrets/kubernetes.io/serviceaccount')
REFAULTS_V1 = tuple(b'total_' + name for name in vmstat.REFAULTS)


class MemoryCgroups:
    """The hierarchy that holds the memory controller."""

    def __init__(self, root: Root) -> None:
        """Find the mount; without one `mount` is None and `unavailable` says why."""
        self.root = root
        self.mount: cgroup.MemoryMount | None = None
        self.hidden: str | None = None
        self.unavailable = Unavailable('no memory controller is mounted; on a Raspberry Pi '
                                       'boot with cgroup_enable=memory')
        try:
            mounts = cgroup.memory_mounts(root.read('/proc/self/mountinfo', whole=True))
        except OSError as error:
            self.unavailable = Unavailable(reason(error))
            return
        for mount in mounts:
            if mount.version == 1 or self._controls_memory(mount):
                self.mount = mount
                self.hidden = self._hidden(mount)
                return

    def _controls_memory(self, mount: cgroup.MemoryMount) -> bool:
        try:
            return b'memory' in self.root.read(
                mount.mount_point + '/cgroup.controllers').split()
        except OSError:
            return False

    def _hidden(self, mount: cgroup.MemoryMount) -> str | None:
        """
        Return why the root of the mount is not the root of the hierarchy, None when it is.

        In a container it is the container's own group; in v2 the real root has no memory.max.
        """
        marked = any(self.root.exists(mark) for mark in CONTAINER_MARKS)
        namespaced = self.root.link('/proc/self/ns/cgroup') not in (None, INITIAL_NAMESPACE)
        below = mount.root != '/' or (
            mount.version == 2 and self.root.exists(mount.mount_point + '/memory.max'))
        if not (below or namespaced or (marked and self._number('/', 'memory.limit_in_bytes'))):
            return None
        return ('limits above this container are not visible from inside it' if marked
                else 'limits above the mounted control group are not visible from here')

    def path_of(self, pid: int | str, known: dict[bytes, str | None] | None = None) -> str | None:
        """
        Return a process's path below the mount, None when unknown or not below it.

        :param known: paths by the contents of the file, found and added during one reading.
        """
        if self.mount is None:
            return None
        try:
            data = self.root.read(f'/proc/{pid}/cgroup')
            if known is not None and data in known:
                return known[data]
            path = cgroup.memory_path(data, self.mount.version)
        except (OSError, ParseError):
            return None
        found = None if path is None else self._below_mount(path)
        if known is not None:
            known[data] = found
        return found

    def _below_mount(self, path: str) -> str | None:
        """Return the path as the mount shows it; in a container the mount's root is not /."""
        assert self.mount is not None
        base = self.mount.root.rstrip('/')
        if base and (path == base or path.startswith(base + '/')):
            path = path[len(base):] or '/'
        if path == '/..' or path.startswith('/../'):
            return None  # a sibling of our namespace's root: its limits are not ours
        return path if self.exists(path) else '/'

    def _folder(self, path: str) -> str:
        """Return the folder of a control group, as on the live machine."""
        assert self.mount is not None
        return self.mount.mount_point + path.rstrip('/')

    def _file(self, path: str, name: str) -> bytes | None:
        """Return the bytes of a file of a control group, None when it is not readable."""
        try:
            return self.root.read(f'{self._folder(path)}/{name}')
        except OSError:
            return None

    def _number(self, path: str, name: str) -> int | None:
        """Return the bytes that a file holds, None for `max`, no limit, and what is unknown."""
        return _bytes(self._file(path, name))

    def _limit(self, path: str, name: str) -> tuple[int | None, str | None]:
        """Return a limit, and why it is unknown when it is; an absent file is no limit."""
        place = f'{self._folder(path)}/{name}'
        try:
            data = self.root.read(place)
        except OSError as error:
            gone = error.errno in (errno.ENOENT, errno.ENODEV)
            return None, None if gone else reason(error)
        value = _bytes(data)
        if value is None and not data.strip().isdigit() and data.strip() != b'max':
            return None, f'{place}: neither a number nor max'
        return value, None

    def _keyed(self, path: str, file: str, *names: bytes) -> dict[bytes, int]:
        """Return the values of these names in a file, none when it is not readable."""
        data = self._file(path, file)
        if data is None:
            return {}
        try:
            return vmstat.keyed(data, names, file)
        except ParseError:
            return {}

    def exists(self, path: str) -> bool:
        """Return whether there is a control group at this path."""
        return self.mount is not None and self.root.is_folder(self._folder(path))

    def group(self, path: str) -> MemoryCgroup:
        """Return the limits, usage and counters of this control group."""
        assert self.mount is not None
        if self.mount.version == 1:
            limit, why = self._limit(path, 'memory.limit_in_bytes')
            return self.refreshed(MemoryCgroup(
                path, 1, limit_bytes=limit, unreadable=why,
                swappiness=self._number(path, 'memory.swappiness'),
                memsw_limit_bytes=self._number(path, 'memory.memsw.limit_in_bytes')))
        limit, why = self._limit(path, 'memory.max')
        return self.refreshed(MemoryCgroup(
            path, 2, limit_bytes=limit, unreadable=why,
            high_bytes=self._number(path, 'memory.high'),
            swap_max_bytes=self._number(path, 'memory.swap.max'),
            oom_group=bool(self._number(path, 'memory.oom.group'))))

    def has_limit(self, path: str) -> bool:
        """Return whether memory.max, or v1's memory.limit_in_bytes, holds a limit now."""
        if self.mount is None:
            return False
        name = 'memory.limit_in_bytes' if self.mount.version == 1 else 'memory.max'
        return self._number(path, name) is not None

    def refreshed(self, group: MemoryCgroup) -> MemoryCgroup:
        """Return the group with usage and counters read again and its known limits."""
        path = group.path
        if group.version == 1:
            stat = self._keyed(path, 'memory.stat', b'total_inactive_file',
                               b'total_active_file', *REFAULTS_V1)
            control = self._keyed(path, 'memory.oom_control', b'oom_kill', b'oom_kill_disable',
                                  b'under_oom')
            return replace(
                group, usage_bytes=self._number(path, 'memory.usage_in_bytes'),
                memsw_usage_bytes=self._number(path, 'memory.memsw.usage_in_bytes')
                if group.memsw_limit_bytes is not None else None,
                refaults=_sum(stat, REFAULTS_V1),
                inactive_file_bytes=stat.get(b'total_inactive_file'),
                active_file_bytes=stat.get(b'total_active_file'),
                oom_kill=control.get(b'oom_kill'), under_oom=bool(control.get(b'under_oom')),
                oom_kill_disable=bool(control.get(b'oom_kill_disable')))
        stat = self._keyed(path, 'memory.stat', b'inactive_file', b'active_file',
                           b'slab_reclaimable', *vmstat.REFAULTS) if group.limited else {}
        events = self._keyed(path, 'memory.events', b'oom_kill', b'high')
        throttled: dict[bytes, int] = {}
        if group.high_bytes is not None:  # memory.events counts the groups below it too
            throttled = self._keyed(path, 'memory.events.local', b'high') or events  # Linux 5.2
        return replace(
            group, usage_bytes=self._number(path, 'memory.current'),
            swap_usage_bytes=self._number(path, 'memory.swap.current')
            if group.swap_max_bytes != 0 else None,
            refaults=_sum(stat, vmstat.REFAULTS),
            full_avg10=self._full_avg10(path) if group.limited else None,
            inactive_file_bytes=stat.get(b'inactive_file'),
            active_file_bytes=stat.get(b'active_file'),
            slab_reclaimable_bytes=stat.get(b'slab_reclaimable'),
            oom_kill=events.get(b'oom_kill'), high=throttled.get(b'high'))

    def _full_avg10(self, path: str) -> float | None:
        """Return how long all tasks of a group waited for memory, in percent of 10 s."""
        data = self._file(path, 'memory.pressure')
        if data is None:
            return None
        try:
            full = pressure.parse(data, 'memory.pressure').full
        except ParseError:
            return None
        return None if full is None else full.avg10

    def oom_kill(self, path: str) -> int | None:
        """Return how many members of this control group the OOM killer killed, None if unknown."""
        assert self.mount is not None
        file = 'memory.oom_control' if self.mount.version == 1 else 'memory.events'
        return self._keyed(path, file, b'oom_kill').get(b'oom_kill')

    def oom_events(self, path: str) -> OomEvents | None:
        """Return the counters of OOMs of this control group, None if it has none or is gone."""
        if self.mount is None:
            return None
        file = 'memory.oom_control' if self.mount.version == 1 else 'memory.events'
        found = self._keyed(path, file, b'oom_kill', b'oom')
        kills = found.get(b'oom_kill')
        return None if kills is None else OomEvents(kills, found.get(b'oom'))

    def chain(self, path: str) -> CgroupChain:
        """Return the control group and its ancestors, the innermost first."""
        return CgroupChain(path, tuple(self.group(at) for at in ancestry(path)), self.hidden)

    def members(self, path: str) -> frozenset[int]:
        """Return the PIDs in this control group and below it."""
        pids: set[int] = set()
        top = self.root.prefix + self._folder(path)
        for folder, _, files in islice(os.walk(top or '/'), FOLDERS):
            if 'cgroup.procs' not in files:
                continue
            try:
                data = self.root.read(
                    folder.removeprefix(self.root.prefix) + '/cgroup.procs', whole=True)
            except OSError:
                continue  # removed meanwhile: its processes are gone or elsewhere
            pids.update(int(word) for word in data.split() if word.isdigit() and len(word) < 20)
        return frozenset(pids)


def _sum(stat: dict[bytes, int], names: tuple[bytes, ...]) -> int | None:
    known = [stat[name] for name in names if name in stat]
    return sum(known) if known else None


def _bytes(data: bytes | None) -> int | None:
    """Return a number of bytes, None for `max`, for no limit, and for anything else."""
    text = b'' if data is None else data.strip()
    if not text.isdigit() or len(text) > DIGITS:
        return None
    value = int(text)
    return value if value < UNLIMITED_BYTES else None


def ancestry(path: str) -> Iterator[str]:
    """Yield this path and those of its ancestors, down to /."""
    while path not in ('/', ''):
        yield path
        path = path.rstrip('/').rpartition('/')[0]
    yield '/'
