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

"""Descriptors by which the kernel tells of memory: PSI triggers, cgroup events of v1 and v2."""

import ctypes
import errno
import os

from oom_sentinel.kernel.root import Root

# Unprivileged windows are multiples of 2 s (psi_trigger_create(), kernel/sched/psi.c, Linux
# 6.4); before, every trigger took CAP_SYS_RESOURCE.
WINDOWS_US = (1_000_000, 2_000_000)
IN_MODIFY = 0x2


def arm(root: Root, path: str, stall_us: int) -> tuple[int, int]:
    """
    Return a descriptor that polls EPOLLPRI after such a stall, and the window in microseconds.

    :param path: a PSI file.
    :raises OSError: EPERM or EACCES where it is refused, EOPNOTSUPP where PSI is off.
    """
    refused: OSError | None = None
    for window_us in WINDOWS_US:
        descriptor = os.open(root.prefix + path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(descriptor, b'some %d %d\0' % (stall_us, window_us))
            return descriptor, window_us
        except OSError as error:
            os.close(descriptor)
            refused = error
            if error.errno not in (errno.EINVAL, errno.EPERM):
                break
    assert refused is not None
    raise refused


def notify_oom(root: Root, folder: str, event: int) -> None:
    """
    Let an eventfd count the OOMs of a cgroup v1, and its removal (cgroup.event_control).

    :raises OSError: EACCES for whoever is not its owner.
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


class Changes:
    """An inotify descriptor on memory.events of many cgroups v2 (inotify(7))."""

    def __init__(self) -> None:
        """
        Open it.

        :raises OSError: EMFILE beyond fs.inotify.max_user_instances.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.descriptor = self._checked(self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))

    def _checked(self, answer: int) -> int:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return answer

    def add(self, path: str) -> int:
        """
        Watch a file and return its number.

        :raises OSError: ENOENT, or ENOSPC beyond fs.inotify.max_user_watches.
        """
        return self._checked(self._libc.inotify_add_watch(
            self.descriptor, os.fsencode(path), IN_MODIFY))

    def remove(self, number: int) -> None:
        """Watch a file no longer; one whose cgroup is gone is left alone."""
        self._libc.inotify_rm_watch(self.descriptor, number)

    def drain(self) -> bool:
        """Read what is there; tell whether there was something."""
        try:
            return bool(os.read(self.descriptor, 65536))
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)
