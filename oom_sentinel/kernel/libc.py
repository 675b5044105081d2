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
Calls that Python does not offer: capget, capset, inotify, socket filters and malloc_trim.

This is the only file that uses ctypes.  Every function raises OSError with the kernel's errno.
"""

from collections.abc import Iterator
from collections.abc import Sequence
import contextlib
import ctypes
import os
import socket
import struct

CAP_SYS_RESOURCE = 24  # include/uapi/linux/capability.h
CAPABILITY_VERSION_3 = 0x20080522
SO_ATTACH_FILTER = 26  # include/uapi/asm-generic/socket.h
INOTIFY_READ_BYTES = 1 << 14
INOTIFY_READS = 64

# One instruction of a classic BPF program: code, jump if true, jump if false, operand.
Instruction = tuple[int, int, int, int]


class _CapabilityHeader(ctypes.Structure):
    _fields_ = [('version', ctypes.c_uint32), ('pid', ctypes.c_int)]


class _CapabilityData(ctypes.Structure):
    _fields_ = [('effective', ctypes.c_uint32), ('permitted', ctypes.c_uint32),
                ('inheritable', ctypes.c_uint32)]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int, call: str) -> int:
    """Return the result of a call of the C library, or raise the OSError of its errno."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), call)
    return result


def _read_capabilities() -> ctypes.Array[_CapabilityData]:
    data = (_CapabilityData * 2)()
    header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
    _checked(_libc().capget(ctypes.byref(header), data), 'capget')
    return data


def _write_capabilities(data: ctypes.Array[_CapabilityData]) -> None:
    header = _CapabilityHeader(CAPABILITY_VERSION_3, 0)
    _checked(_libc().capset(ctypes.byref(header), data), 'capset')


def holds_sys_resource() -> bool:
    """
    Return whether this thread holds CAP_SYS_RESOURCE effectively.

    :raises OSError: when the kernel refuses capget.
    """
    return bool(_read_capabilities()[0].effective & (1 << CAP_SYS_RESOURCE))


# mallopt(3).  By itself glibc raises its thresholds to the largest block that was ever freed, and
# keeps free memory of other threads' heaps whatever malloc_trim says: 27 MiB after one request of
# 28 MB.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
KEPT_BYTES = 1 << 17  # at the end of the heap
BLOCK_BYTES = 1 << 18  # a larger one is given back when it is freed


def keep_little_memory() -> None:
    """Let the heap keep little of what is freed; call it before there are other threads."""
    with contextlib.suppress(AttributeError):  # musl keeps little by itself
        for option, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, BLOCK_BYTES),
                              (M_TRIM_THRESHOLD, KEPT_BYTES)):
            _libc().mallopt(option, value)


def give_memory_back() -> None:
    """Return free memory of the heap to the kernel (malloc_trim(3)), where the C library can."""
    with contextlib.suppress(AttributeError):  # musl keeps no such memory and has no such call
        _libc().malloc_trim(0)


@contextlib.contextmanager
def without_sys_resource() -> Iterator[bool]:
    """
    Run the block without CAP_SYS_RESOURCE; the value says whether it was held before.

    :raises OSError: when the kernel refuses capget or capset.
    """
    before = _read_capabilities()
    held = bool(before[0].effective & (1 << CAP_SYS_RESOURCE))
    if not held:
        yield False
        return
    reduced = _read_capabilities()
    reduced[0].effective &= ~(1 << CAP_SYS_RESOURCE)
    _write_capabilities(reduced)
    try:
        yield True
    finally:
        _write_capabilities(before)


def attach_socket_filter(receiver: socket.socket, program: Sequence[Instruction]) -> None:
    """
    Attach a classic BPF program to a socket: only messages that it accepts are received.

    :raises OSError: when the kernel refuses the program.
    """
    code = ctypes.create_string_buffer(b''.join(
        struct.pack('=HBBI', *instruction) for instruction in program))
    receiver.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
        'HP', len(program), ctypes.addressof(code)))


class Inotify:
    """An inotify descriptor (inotify(7)); `descriptor` is readable after an event."""

    MODIFY = 0x2
    MOVED_TO = 0x80
    CREATE = 0x100

    def __init__(self) -> None:
        """
        Open the descriptor.

        :raises OSError: EMFILE beyond fs.inotify.max_user_instances.
        """
        self._libc = _libc()
        self.descriptor = _checked(
            self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), 'inotify_init1')

    def add(self, path: str, mask: int) -> int:
        """
        Watch a file or folder for the events of the mask and return the number of the watch.

        :raises OSError: ENOENT, or ENOSPC beyond fs.inotify.max_user_watches.
        """
        return _checked(self._libc.inotify_add_watch(
            self.descriptor, os.fsencode(path), mask), path)

    def remove(self, number: int) -> None:
        """Stop watching; a watch that ended because its file is gone is left alone (EINVAL)."""
        self._libc.inotify_rm_watch(self.descriptor, number)

    def drain(self) -> bool:
        """Discard the events that wait, at most 1 MiB; return whether there was one."""
        for reads in range(INOTIFY_READS):
            try:
                os.read(self.descriptor, INOTIFY_READ_BYTES)
            except BlockingIOError:
                return reads > 0
        return True

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)
