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

"""What the control groups at stake tell: a limit that was hit, an OOM, a kill."""

from collections.abc import Callable
import os
import select

from oom_sentinel.kernel import notices
from oom_sentinel.kernel.root import Root
from oom_sentinel.kernel.wake.loop import Watch

NAME = 'control group event'
# v1 tells of an OOM 1.5 to 4 ms before the kill is counted; and a group at its memory.high
# tells without end.
REST_S, REST_MAX_S = 0.02, 1.0
MOST = 256


class GroupEvents:
    """Wakes by NAME; one descriptor, however many groups."""

    def __init__(self, watch: Watch, root: Root, mount_point: str, version: int) -> None:
        """
        Follow nothing yet.

        :raises OSError: when the one descriptor cannot be had.
        """
        self._watch = watch
        self._root = root
        self._mount_point = mount_point
        self._version = version
        self._followed: dict[str, int] = {}
        self._here: dict[str, int] = {}
        self._open()

    def _open(self) -> None:
        self._changes = notices.Changes() if self._version == 2 else None
        read: Callable[[], bool]
        if self._changes is not None:
            self._descriptor, read = self._changes.descriptor, self._changes.drain
        else:
            event = self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

            def read() -> bool:
                return bool(os.eventfd_read(event))
        self._watch.add(self._descriptor, select.EPOLLIN, NAME, lambda _events: read(),
                        rest_s=REST_S, rest_max_s=REST_MAX_S, settle=True)

    @property
    def heard(self) -> int:
        """Return how many groups' events wake."""
        return len(self._followed)

    def follow(self, paths: frozenset[str]) -> None:
        """Follow these groups, given as paths below the mount, and no others."""
        here = {path: inode for path in paths - {'/'}
                if (inode := self._inode(path)) is not None}
        if here == self._here:
            return
        gone = [path for path, inode in self._here.items() if here.get(path) != inode]
        if gone and self._changes is None:
            self._close()  # an eventfd is let go of only as a whole
            self._open()
        for path in gone:
            number = self._followed.pop(path, None)
            if self._changes is not None and number is not None:
                self._changes.remove(number)
        self._here = here
        for path in sorted(here.keys() - self._followed.keys())[:MOST - len(self._followed)]:
            self._add(path)

    def _inode(self, path: str) -> int | None:
        """Return what tells a group from a later one of the same path, None without it."""
        try:
            return os.stat(self._root.prefix + self._mount_point + path).st_ino
        except OSError:
            return None

    def _add(self, path: str) -> None:
        folder = self._mount_point + path
        try:
            if self._changes is not None:
                self._followed[path] = self._changes.add(
                    f'{self._root.prefix}{folder}/memory.events')
            else:
                notices.notify_oom(self._root, folder, self._descriptor)
                self._followed[path] = -1
        except OSError:
            return  # removed meanwhile, or not ours: its counters are read every second

    def _close(self) -> None:
        self._watch.remove(self._descriptor)
        os.close(self._descriptor)
        self._followed.clear()

    def close(self) -> None:
        """Follow nothing any more."""
        self._close()
