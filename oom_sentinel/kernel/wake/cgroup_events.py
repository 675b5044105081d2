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

"""Events of memory control groups: a limit that was hit, an OOM, a kill."""

import os
import select

from oom_sentinel.kernel.libc import Inotify
from oom_sentinel.kernel.root import Root
from oom_sentinel.kernel.wake.loop import Watch

NAME = 'control group event'
# v1 reports an OOM 1.5 to 4 ms before the kill is counted; a group at its memory.high reports
# without end.
REST_S, REST_MAX_S = 0.02, 1.0
MOST_GROUPS = 256


def notify_oom(root: Root, folder: str, event: int) -> None:
    """
    Let an eventfd count the OOMs of a cgroup v1, and its removal (cgroup.event_control).

    :raises OSError: EACCES when this user does not own the cgroup.
    """
    watched = os.open(f'{root.prefix}{folder}/memory.oom_control', os.O_RDONLY | os.O_CLOEXEC)
    try:
        control = os.open(f'{root.prefix}{folder}/cgroup.event_control',
                          os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(control, b'%d %d' % (event, watched))
        finally:
            os.close(control)
    finally:
        os.close(watched)


class GroupEvents:
    """
    Wakes by NAME when a followed control group reports an event.

    It uses one descriptor for all groups: inotify on memory.events in v2, an eventfd in v1.
    """

    def __init__(self, watch: Watch, root: Root, mount_point: str, version: int) -> None:
        """
        Open the descriptor; no group is followed yet.

        :raises OSError: when the descriptor cannot be opened or watched.
        """
        self._watch = watch
        self._root = root
        self._mount_point = mount_point
        self._version = version
        self._followed: dict[str, int] = {}
        self._inodes: dict[str, int] = {}
        self.why: str | None = None
        self._inotify: Inotify | None = None
        self._descriptor: int | None = None
        self._open()

    def _open(self) -> None:
        """Open the descriptor and add it to the watch; on an error nothing stays open."""
        if self._version == 2:
            self._inotify = Inotify()
            descriptor = self._inotify.descriptor
        else:
            descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            self._watch.add(descriptor, select.EPOLLIN, NAME, self._read_events,
                            rest_s=REST_S, rest_max_s=REST_MAX_S, settle=True)
        except OSError:
            os.close(descriptor)
            self._inotify = None
            raise
        self._descriptor = descriptor

    def _read_events(self, _events: int) -> bool:
        """Take the events that wait, in the thread of the watch; return whether to wake."""
        if self._inotify is not None:
            return self._inotify.drain()
        return self._descriptor is not None and bool(os.eventfd_read(self._descriptor))

    @property
    def followed(self) -> int:
        """Return how many groups are followed."""
        return len(self._followed)

    def follow(self, paths: frozenset[str]) -> None:
        """
        Follow these groups, given as paths below the mount, and no others.

        Where the descriptor must be opened again and cannot be (EMFILE), `why` holds the reason,
        nothing is followed and the next call tries it again.
        """
        found = {path: self._inode(path) for path in paths - {'/'}}
        inodes = {path: inode for path, inode in found.items() if inode is not None}
        if inodes == self._inodes and self._descriptor is not None:
            return
        gone = [path for path, inode in self._inodes.items() if inodes.get(path) != inode]
        if gone and self._inotify is None:
            self.close()  # an eventfd can only be released for all groups at once
        if self._descriptor is None:
            try:
                self._open()
            except OSError as error:
                self.why, self._inodes = error.strerror or str(error), {}
                return
        self.why = None
        for path in gone:
            number = self._followed.pop(path, None)
            if self._inotify is not None and number is not None:
                self._inotify.remove(number)
        self._inodes = inodes
        new = sorted(inodes.keys() - self._followed.keys())
        for path in new[:MOST_GROUPS - len(self._followed)]:
            self._add(path)

    def _inode(self, path: str) -> int | None:
        """Return the inode of a group, which a later group of this path does not share."""
        try:
            return os.stat(self._root.prefix + self._mount_point + path).st_ino
        except OSError:
            return None  # removed: it is not followed

    def _add(self, path: str) -> None:
        """Follow one group; a group that cannot be followed is read every second anyway."""
        folder = self._mount_point + path
        assert self._descriptor is not None
        try:
            if self._inotify is not None:
                self._followed[path] = self._inotify.add(
                    f'{self._root.prefix}{folder}/memory.events', Inotify.MODIFY)
            else:
                notify_oom(self._root, folder, self._descriptor)
                self._followed[path] = -1
        except OSError:
            return  # removed meanwhile, or it belongs to another user

    def close(self) -> None:
        """Follow nothing any more and close the descriptor, once."""
        if self._descriptor is None:
            return
        self._watch.remove(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = self._inotify = None
        self._followed.clear()
