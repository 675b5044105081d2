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
Files in /dev/shm that a process writes and does not map: memory that no process's size shows.

A robot's log or a video buffer written there with write(2) is charged to the machine and to the
control group, and stays when the process is killed; but then it grows no more.
"""

import os
import select

from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.kernel.libc import Inotify
from oom_sentinel.kernel.process_files import DESCRIPTORS
from oom_sentinel.kernel.process_files import MAPS_BYTES
from oom_sentinel.kernel.root import Root
from oom_sentinel.kernel.wake.loop import Watch

FOLDER = '/dev/shm'
NAME = 'write to /dev/shm'
BLOCK = 512  # of st_blocks, stat(2)
# A program that goes on writing wakes twice a second at most.
REST_S, REST_MAX_S = 0.03, 0.5


def unmapped_files(root: Root, pid: int) -> tuple[UnmappedFile, ...]:
    """
    Return the files in /dev/shm that a process holds open and does not map.

    None when it has ended or belongs to another user.
    """
    folder = f'/proc/{pid}/fd'
    try:
        names = os.listdir(root.place(folder))
    except OSError:
        return ()
    found: dict[str, int] = {}
    for name in names[:DESCRIPTORS]:
        path = root.link(f'{folder}/{name}')
        if path is None or not path.startswith(FOLDER + '/'):
            continue
        try:
            found[path] = os.stat(root.place(f'{folder}/{name}')).st_blocks * BLOCK
        except OSError:
            continue  # closed meanwhile
    if not found:
        return ()
    try:
        maps = root.read(f'/proc/{pid}/maps', whole=True, limit=MAPS_BYTES)
    except OSError:
        return ()
    return tuple(UnmappedFile(path, size) for path, size in found.items()
                 if os.fsencode(path) not in maps)


class TmpfsWrites:
    """Wakes by NAME when a file in /dev/shm is written with write(2)."""

    def __init__(self, watch: Watch, folder: str = FOLDER) -> None:
        """
        Begin to watch.

        :raises OSError: when inotify has no instance left or the folder cannot be watched.
        """
        self._watch = watch
        self._inotify = Inotify()
        try:
            # A write(2) or a new length; never a store to a mapped file.
            self._inotify.add(folder, Inotify.MODIFY)
            watch.add(self._inotify.descriptor, select.EPOLLIN, NAME,
                      lambda _events: self._inotify.drain(), rest_s=REST_S,
                      rest_max_s=REST_MAX_S)
        except OSError:
            self._inotify.close()
            raise

    def close(self) -> None:
        """Watch no longer."""
        self._watch.remove(self._inotify.descriptor)
        self._inotify.close()
