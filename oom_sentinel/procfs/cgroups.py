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

"""Memory control groups of the tree: v1, v2 and both at once."""

import os

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.level import Unavailable
from oom_sentinel.parse import cgroup
from oom_sentinel.parse import ParseError
from oom_sentinel.parse import vmstat
from oom_sentinel.procfs.root import reason
from oom_sentinel.procfs.root import Root

# page_counter's "no limit" in v1 is PAGE_COUNTER_MAX pages: some exabytes.
UNLIMITED_BYTES = 1 << 60


class MemoryCgroups:
    """The hierarchy that holds the memory controller."""

    def __init__(self, root: Root) -> None:
        """Find the mount; without one every question is answered by `unavailable`."""
        self.root = root
        self.mount: 'cgroup.MemoryMount | None' = None
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
                return

    def _controls_memory(self, mount: cgroup.MemoryMount) -> bool:
        try:
            return b'memory' in self.root.read(
                mount.mount_point + '/cgroup.controllers').split()
        except OSError:
            return False

    def path_of(self, pid: 'int | str') -> 'str | None':
        """Return a process's path below the mount, None when unknown."""
        if self.mount is None:
            return None
        try:
            path = cgroup.memory_path(self.root.read(f'/proc/{pid}/cgroup'), self.mount.version)
        except (OSError, ParseError):
            return None
        return None if path is None else self._below_mount(path)

    def _below_mount(self, path: str) -> str:
        """Return the path as the mount shows it; in a container the mount's root is not /."""
        assert self.mount is not None
        base = self.mount.root.rstrip('/')
        if base and (path == base or path.startswith(base + '/')):
            path = path[len(base):] or '/'
        if '/..' in path or not os.path.isdir(self._folder(path)):
            return '/'
        return path

    def _folder(self, path: str) -> str:
        assert self.mount is not None
        return self.root.prefix + self.mount.mount_point + path.rstrip('/')

    def _file(self, path: str, name: str) -> 'bytes | None':
        assert self.mount is not None
        try:
            return self.root.read(f'{self.mount.mount_point}{path.rstrip("/")}/{name}')
        except OSError:
            return None

    def _bytes(self, path: str, name: str) -> 'int | None':
        data = self._file(path, name)
        if data is None or not data.strip().isdigit():
            return None
        value = int(data)
        return value if value < UNLIMITED_BYTES else None

    def _keyed(self, path: str, file: str, name: bytes) -> 'int | None':
        data = self._file(path, file)
        if data is None:
            return None
        try:
            return vmstat.keyed(data, (name,), file).get(name)
        except ParseError:
            return None

    def exists(self, path: str) -> bool:
        """Tell whether there is a control group at this path."""
        return self.mount is not None and os.path.isdir(self._folder(path))

    def group(self, path: str) -> MemoryCgroup:
        """Return what this control group allows and uses."""
        assert self.mount is not None
        if self.mount.version == 1:
            return MemoryCgroup(
                path, 1, limit_bytes=self._bytes(path, 'memory.limit_in_bytes'),
                usage_bytes=self._bytes(path, 'memory.usage_in_bytes'),
                memsw_limit_bytes=self._bytes(path, 'memory.memsw.limit_in_bytes'),
                inactive_file_bytes=self._keyed(path, 'memory.stat', b'total_inactive_file'),
                oom_kill=self.oom_kill(path),
                oom_kill_disable=bool(
                    self._keyed(path, 'memory.oom_control', b'oom_kill_disable')))
        return MemoryCgroup(
            path, 2, limit_bytes=self._bytes(path, 'memory.max'),
            usage_bytes=self._bytes(path, 'memory.current'),
            swap_max_bytes=self._bytes(path, 'memory.swap.max'),
            swap_usage_bytes=self._bytes(path, 'memory.swap.current'),
            inactive_file_bytes=self._keyed(path, 'memory.stat', b'inactive_file'),
            oom_kill=self.oom_kill(path),
            oom_group=bool(self._bytes(path, 'memory.oom.group')))

    def oom_kill(self, path: str) -> 'int | None':
        """Return how many members of this control group the OOM killer took, None if unknown."""
        assert self.mount is not None
        file = 'memory.oom_control' if self.mount.version == 1 else 'memory.events'
        return self._keyed(path, file, b'oom_kill')

    def chain(self, path: str) -> CgroupChain:
        """Return the control group and its ancestors, the innermost first."""
        groups, at = [], path
        while True:
            groups.append(self.group(at))
            if at in ('/', ''):
                return CgroupChain(path, tuple(groups))
            at = at.rstrip('/').rpartition('/')[0] or '/'

    def members(self, path: str) -> 'frozenset[int]':
        """Return the PIDs in this control group and below it."""
        pids: 'set[int]' = set()
        for folder, _, files in os.walk(self._folder(path) or '/'):
            if 'cgroup.procs' not in files:
                continue
            try:
                with open(os.path.join(folder, 'cgroup.procs'), 'rb') as stream:
                    pids.update(int(word) for word in stream.read().split() if word.isdigit())
            except OSError:
                continue  # removed meanwhile: its processes are gone or elsewhere
        return frozenset(pids)
