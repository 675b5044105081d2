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
A log file that a syslog daemon writes, followed through rotation.

inotify(7) reports when the file or its folder changed.
"""

import os
import stat

from oom_sentinel.kernel.libc import Inotify
from oom_sentinel.kernel.log.source import Refused

LOG_FILES = ('/var/log/kern.log', '/var/log/syslog', '/var/log/messages')
GRANT = 'group adm gives the right (usermod -aG adm USER)'
PENDING_MAX = 1 << 20
READ_MAX = 1 << 22  # of a burst longer than this only the end is read


class LogFile:
    """The lines that come to a log file from now on."""

    def __init__(self, path: str) -> None:
        """
        Open the file at its end and watch it and its folder.

        :raises Refused: when it is there and may not be read; empty when there is none.
        """
        self.name = path
        self.missed = 0
        self.descriptor: int | None = None
        self._inotify: Inotify | None = None
        self._file: int | None = None
        self._file_watch: int | None = None
        self._pending = b''
        try:
            self._open(at_end=True)
        except FileNotFoundError as error:
            raise Refused('') from error
        except OSError as error:
            raise Refused(f'{path}: {error.strerror}; {GRANT}') from error
        try:
            self._inotify = Inotify()
            self.descriptor = self._inotify.descriptor
            self._watch_file()
            self._inotify.add(os.path.dirname(path), Inotify.CREATE | Inotify.MOVED_TO)
        except OSError as error:
            self.close()
            raise Refused(f'inotify on {path}: {error.strerror}') from error

    def _open(self, at_end: bool) -> None:
        descriptor = os.open(self.name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(22, 'no plain file')
        if at_end:
            os.lseek(descriptor, 0, os.SEEK_END)
        if self._file is not None:
            os.close(self._file)
        self._file = descriptor

    def _watch_file(self) -> None:
        assert self._inotify is not None
        self._file_watch = self._inotify.add(self.name, Inotify.MODIFY)

    def read(self) -> list[bytes]:
        """Return the whole lines that came, of the old file and of the one that follows it."""
        assert self._inotify is not None
        self._inotify.drain()
        text = self._grown()
        if self._rotated():
            text += self._follow()
        lines = (self._pending + text).split(b'\n')
        self._pending = lines.pop()
        if len(self._pending) > PENDING_MAX:
            self._pending = b''
        return [line for line in lines if line]

    def _grown(self) -> bytes:
        assert self._file is not None
        size = os.fstat(self._file).st_size
        at = os.lseek(self._file, 0, os.SEEK_CUR)
        if size < at:  # logrotate's copytruncate
            at = os.lseek(self._file, 0, os.SEEK_SET)
            self._pending = b''
        if size - at > READ_MAX:
            os.lseek(self._file, size - READ_MAX, os.SEEK_SET)
        parts: list[bytes] = []
        while True:
            part = os.read(self._file, 1 << 16)
            if not part:
                return b''.join(parts)
            parts.append(part)

    def _rotated(self) -> bool:
        assert self._file is not None
        try:
            now, mine = os.stat(self.name), os.fstat(self._file)
        except OSError:
            return False  # between rename and create; the folder's event says when it is there
        return (now.st_ino, now.st_dev) != (mine.st_ino, mine.st_dev)

    def _follow(self) -> bytes:
        assert self._inotify is not None
        try:
            self._open(at_end=False)
            if self._file_watch is not None:
                self._inotify.remove(self._file_watch)
            self._watch_file()
        except OSError:
            return b''  # not readable yet (rsyslog sets the mode after creating): next event
        return self._grown()

    def tend(self, now_s: float) -> None:
        """Do nothing: `read` looks at everything."""

    def close(self) -> None:
        """Close both descriptors."""
        if self._inotify is not None:
            self._inotify.close()
        if self._file is not None:
            os.close(self._file)
        self.descriptor = self._inotify = self._file = None
