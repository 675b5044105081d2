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
Regular files read without waiting, and files that belong to this user alone.

A link is never followed, a FIFO never waited for, and a file of more than the given size never
read.  What belongs to somebody else, or can be written by somebody else, is refused.
"""

import contextlib
import errno
import os
import stat


def read_regular(path: str, most: int) -> bytes:
    """
    Return the content of a regular file, its first `most` bytes and one more where it is larger.

    :raises OSError: when it cannot be opened, or is a directory, a FIFO or a device.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, 'Not a regular file', path)
        return read_all(descriptor, most)
    finally:
        os.close(descriptor)


def read_all(descriptor: int, most: int) -> bytes:
    """Return what an open file holds, its first `most` bytes and one more where it is larger."""
    content = bytearray()
    while len(content) <= most:
        part = os.read(descriptor, most + 1 - len(content))
        if not part:
            break
        content += part
    return bytes(content)


class Refused(PermissionError):
    """A file or folder that another user could have made or can change."""


def own_directory(path: str) -> None:
    """
    Make the folder when it is missing, and see to it that it is this user's alone.

    :raises Refused: when it is a link, belongs to somebody else or others may write to it.
    :raises OSError: when it can be neither made nor opened.
    """
    os.makedirs(path, mode=0o700, exist_ok=True)
    if os.path.islink(path):
        raise Refused(f'{path} is a link')
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid():
            raise Refused(f'{path} belongs to user {found.st_uid}, not to {os.geteuid()}')
        if found.st_mode & 0o022:
            raise Refused(f'{path} can be written by others (mode {found.st_mode & 0o777:04o}); '
                          f'chmod 700 {path}')
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(descriptor)


def read_private(path: str, most: int) -> bytes:
    """
    Return the content of a file of this user.

    :param most: bytes; a larger file is refused unread.
    :raises Refused: when it is no regular file, or somebody else's.
    :raises OSError: when it cannot be opened; FileNotFoundError when there is none.
    :raises ValueError: when it is too large.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise Refused(f'{path} is no regular file')
        if found.st_uid != os.geteuid():
            raise Refused(f'{path} belongs to user {found.st_uid}')
        if found.st_size > most:
            raise ValueError(f'{path} has {found.st_size} bytes, more than {most}')
        content = read_all(descriptor, most)
        if len(content) > most:
            raise ValueError(f'{path} has more than {most} bytes')
        return content
    finally:
        os.close(descriptor)


def replace_private(path: str, content: bytes) -> None:
    """
    Write a file of this user (mode 0600) atomically.

    :raises OSError: on a full disk or an unwritable folder; the old file stays whole.
    """
    beside = f'{path}.{os.getpid()}'
    with contextlib.suppress(FileNotFoundError):
        os.unlink(beside)  # of an earlier process with this PID that was killed meanwhile
    descriptor = os.open(
        beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            left = memoryview(content)
            while left:
                left = left[os.write(descriptor, left):]
        finally:
            os.close(descriptor)
        os.replace(beside, path)
    except OSError:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        raise


def set_aside(path: str) -> str:
    """
    Rename a file that is of no use to `path.bad`, and return that name.

    :raises OSError: when it cannot be renamed.
    """
    bad = f'{path}.bad'
    if os.path.isdir(bad) and not os.path.islink(bad):
        bad = f'{path}.{os.getpid()}.bad'
    os.rename(path, bad)
    return bad
