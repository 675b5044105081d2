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

"""Regular files of any user, read without waiting for a FIFO and never without end."""

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
