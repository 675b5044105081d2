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
CAP_SYS_RESOURCE of the calling thread, switched off for a while.

A write to oom_score_adj with the capability also moves the floor oom_score_adj_min
(__set_oom_adj(), fs/proc/base.c), so whatever can be written without it must be.
Python has no capset(); glibc's wrappers are called through ctypes.
"""

from collections.abc import Iterator
import contextlib
import ctypes
import os

CAP_SYS_RESOURCE = 24
_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = [('version', ctypes.c_uint32), ('pid', ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [('effective', ctypes.c_uint32), ('permitted', ctypes.c_uint32),
                ('inheritable', ctypes.c_uint32)]


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _get() -> ctypes.Array[_Data]:
    data = (_Data * 2)()
    header = _Header(_VERSION_3, 0)
    if _libc().capget(ctypes.byref(header), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), 'capget')
    return data


def _set(data: ctypes.Array[_Data]) -> None:
    header = _Header(_VERSION_3, 0)
    if _libc().capset(ctypes.byref(header), data) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), 'capset')


def effective() -> bool:
    """Tell whether this thread holds CAP_SYS_RESOURCE effectively."""
    return bool(_get()[0].effective & (1 << CAP_SYS_RESOURCE))


@contextlib.contextmanager
def switched_off() -> Iterator[bool]:
    """
    Run the block without CAP_SYS_RESOURCE; the value tells whether it was held before.

    :raises OSError: when the kernel refuses capget or capset.
    """
    before = _get()
    held = bool(before[0].effective & (1 << CAP_SYS_RESOURCE))
    if not held:
        yield False
        return
    without = _get()
    without[0].effective &= ~(1 << CAP_SYS_RESOURCE)
    _set(without)
    try:
        yield True
    finally:
        _set(before)
