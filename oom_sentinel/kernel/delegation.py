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
Control groups of our own in the part of the cgroup v2 tree that is delegated to the sentinel.

Documentation/admin-guide/cgroup-v2.rst, "Delegation" and "No Internal Process Constraint": a
group that hands the memory controller to the groups in it may hold no process itself.  systemd
says what it delegates by an extended attribute, and by the owner of the folder.
"""

import errno
import os

from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import ancestry
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.root import reason

PREFIX = 'oom_sentinel-'  # of the name of every group that is made here
DELEGATED = ('user.delegate', 'trusted.delegate')  # cgroup_delegate in systemd, since 236
WRITTEN = ('', '/cgroup.procs', '/cgroup.subtree_control')


class Delegation:
    """Makes, fills and removes groups below one control group; decides nothing."""

    def __init__(self, cgroups: MemoryCgroups, uid: int) -> None:
        """Keep the tree and the user whose sentinel this is; look at nothing yet."""
        self._cgroups = cgroups
        self._root = cgroups.root
        self._uid = uid

    def find(self) -> str | Unavailable:
        """Return the path of the group that is delegated to this process, or why none is."""
        mount = self._cgroups.mount
        if mount is None:
            return self._cgroups.unavailable
        if mount.version == 1:
            return Unavailable('the memory controller is in cgroup v1, which has no delegation')
        path = self._cgroups.path_of('self')
        if path is None:
            return Unavailable('the control group of the sentinel is not known')
        if path.rpartition('/')[2].startswith(PREFIX):
            path = path.rpartition('/')[0] or '/'
        if path == '/' and self._cgroups.hidden is None:
            return Unavailable('the sentinel is in the root control group, not in a unit')
        try:
            if not self._is_delegated(path):
                return Unavailable(f'{path} is not delegated to user {self._uid}: put '
                                   'Delegate=yes into its systemd unit')
            if 'memory' not in self._words(path, 'cgroup.controllers'):
                return Unavailable(f'{path} has no memory controller: put Delegate=memory or '
                                   'Delegate=yes into its systemd unit')
        except OSError as error:
            return Unavailable(reason(error))
        denied = [name for name in WRITTEN if not os.access(self._place(path) + name, os.W_OK)]
        if denied:
            return Unavailable(f'{self._place(path)}{denied[0]} cannot be written')
        return path

    def _is_delegated(self, path: str) -> bool:
        """
        Return whether systemd or a container runtime leaves this group to the sentinel.

        :raises OSError: when it is gone.
        """
        folder = self._place(path)
        for name in DELEGATED:
            try:
                if os.getxattr(folder, name) == b'1':
                    return True
            except OSError:  # absent, not for this user, or no attributes at all
                continue
        if path == '/':
            return True  # a container's own: its name space hides all that is above
        owner = os.stat(folder).st_uid
        above = os.stat(self._place(path.rpartition('/')[0] or '/')).st_uid
        return self._uid != 0 and owner == self._uid and above != self._uid

    def _place(self, path: str) -> str:
        """Return where the folder of a control group is."""
        assert self._cgroups.mount is not None
        return self._root.place(self._cgroups.mount.mount_point + path.rstrip('/'))

    def _words(self, path: str, name: str) -> tuple[str, ...]:
        """
        Return the words of a file of a control group.

        :raises OSError: when it cannot be read.
        """
        assert self._cgroups.mount is not None
        data = self._root.read(f'{self._cgroups.mount.mount_point}{path.rstrip("/")}/{name}',
                               whole=True)
        return tuple(data.decode('utf-8', 'backslashreplace').split())

    def _write(self, path: str, name: str, text: str) -> None:
        descriptor = os.open(f'{self._place(path)}/{name}', os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(descriptor, text.encode())
        finally:
            os.close(descriptor)

    def made(self, path: str) -> tuple[str, ...]:
        """
        Return the paths of our groups below this one, also those of an earlier sentinel.

        :raises OSError: when it cannot be listed.
        """
        assert self._cgroups.mount is not None
        names = self._root.names(self._cgroups.mount.mount_point + path.rstrip('/'))
        return tuple(below(path, name) for name in sorted(names) if name.startswith(PREFIX))

    def shares_memory(self, path: str) -> bool:
        """
        Return whether the groups below this one have the memory controller.

        :raises OSError: when it cannot be read.
        """
        return 'memory' in self._words(path, 'cgroup.subtree_control')

    def share_memory(self, path: str, shared: bool) -> None:
        """
        Hand the memory controller to the groups below this one, or take it back.

        :raises OSError: EBUSY while this one holds processes.
        """
        self._write(path, 'cgroup.subtree_control', '+memory' if shared else '-memory')

    def make(self, path: str) -> None:
        """
        Make a group unless it is there.

        :raises OSError: when it cannot be made.
        """
        os.makedirs(self._place(path), exist_ok=True)

    def remove(self, path: str) -> None:
        """
        Remove an empty group.

        :raises OSError: EBUSY while it holds processes.
        """
        os.rmdir(self._place(path))

    def pids(self, path: str) -> tuple[int, ...]:
        """
        Return the PIDs in this group, without those in groups below it.

        :raises OSError: when it is gone.
        """
        return tuple(int(word) for word in self._words(path, 'cgroup.procs') if word.isdigit())

    def used_bytes(self, path: str) -> int | None:
        """Return what the group holds, None when that is not known."""
        return self._number(path, 'memory.current')

    def _number(self, path: str, name: str) -> int | None:
        assert self._cgroups.mount is not None
        return self._root.number(f'{self._cgroups.mount.mount_point}{path.rstrip("/")}/{name}')

    def set_limits(self, path: str, low_bytes: int, max_bytes: int | None) -> None:
        """
        Write memory.low and memory.max; None is no limit.

        :raises OSError: when one is refused.
        """
        self._write(path, 'memory.low', str(low_bytes))
        self._write(path, 'memory.max', 'max' if max_bytes is None else str(max_bytes))

    def least_low_above(self, path: str) -> int:
        """Return the smallest memory.low of this group and those above it, without the root."""
        return min((self._number(at, 'memory.low') or 0 for at in ancestry(path) if at != '/'),
                   default=0)

    def mem_total_bytes(self) -> int:
        """
        Return MemTotal.

        :raises OSError: when it cannot be read.
        """
        found = self._root.meminfo()
        if isinstance(found, Unavailable):
            raise OSError(errno.EIO, found.why, '/proc/meminfo')
        return found.mem_total_bytes

    def smallest_limit(self, path: str) -> int | None:
        """Return the smallest memory.max of this group and those above it, None for no limit."""
        found = [group.limit_bytes for group in self._cgroups.chain(path).groups]
        return min((limit for limit in found if limit is not None), default=None)

    def move(self, pid: int, start: str, end: str, start_time: int | None = None) -> bool:
        """
        Move a process from one group to another; return whether it was still there.

        :param start_time: of the process that is meant, where it is known.
        :raises OSError: when the kernel refuses.
        """
        before = self._start_time(pid)
        if before is None or start_time not in (None, before) \
                or self._cgroups.path_of(pid) != start:
            return False
        try:
            self._write(end, 'cgroup.procs', str(pid))
        except ProcessLookupError:
            return False
        if self._start_time(pid) in (before, None):
            return True
        if self._cgroups.path_of(pid) == end:  # another process got the PID in between
            self._write(start, 'cgroup.procs', str(pid))
        return False

    def _start_time(self, pid: int) -> int | None:
        try:
            return stat.parse(self._root.read(f'/proc/{pid}/stat')).start_time
        except (OSError, ParseError):
            return None


def below(path: str, name: str) -> str:
    """Return the path of a group of this name in another one."""
    return f'{path.rstrip("/")}/{name}'
