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
Processes held by a pidfd (pidfd_open(2)), and how they ended (PIDFD_GET_INFO).

Since Linux 6.15 a pidfd that was opened while the process lived gives its exit code after it
was reaped (fs/pidfs.c, PIDFD_INFO_EXIT).  This works in a PID namespace, where the exit events
of the proc connector do not come.
"""

from collections.abc import Sequence
import fcntl
import os
import resource
import select
import signal
import struct

from oom_sentinel.facts.process import Identity
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.root import Root


class Pidfds:
    """The processes that are held now."""

    def __init__(self, root: Root) -> None:
        """Keep the tree; hold nothing yet."""
        self._root = root
        self._held: dict[Identity, int] = {}

    @property
    def held(self) -> frozenset[Identity]:
        """Return which processes are held, ended ones too."""
        return frozenset(self._held)

    def hold(self, identity: Identity) -> None:
        """
        Hold a process from now on.

        :raises ProcessLookupError: when it is gone or its PID belongs to another process.
        :raises OSError: when there is no descriptor left, or the kernel has no pidfds (5.3).
        """
        if identity in self._held:
            return
        descriptor = os.pidfd_open(identity.pid)
        try:
            started = stat.parse(self._root.read(f'/proc/{identity.pid}/stat')).start_time
        except (OSError, ValueError):
            started = None
        if started != identity.start_time:
            os.close(descriptor)
            raise ProcessLookupError(identity.pid)
        self._held[identity] = descriptor

    def send(self, identity: Identity, number: signal.Signals) -> None:
        """
        Send a signal to a process that is held.

        :raises ProcessLookupError: when it has ended.
        :raises PermissionError: when it belongs to another user by now.
        """
        signal.pidfd_send_signal(self._held[identity], number)

    def running(self) -> frozenset[Identity]:
        """Return which of the processes that are held still run."""
        poll = select.poll()
        for descriptor in self._held.values():
            poll.register(descriptor, select.POLLIN)
        ended = {descriptor for descriptor, _ in poll.poll(0)}
        return frozenset(identity for identity, descriptor in self._held.items()
                         if descriptor not in ended)

    def keep(self, identities: frozenset[Identity]) -> None:
        """Let go of every other process."""
        for identity in set(self._held) - identities:
            os.close(self._held.pop(identity))


# struct pidfd_info: mask, cgroupid, eleven ids, exit_code.
INFO = struct.Struct('=QQ11Ii')
PIDFD_GET_INFO = (3 << 30) | (INFO.size << 16) | (0xFF << 8) | 11  # _IOWR(PIDFS_IOCTL_MAGIC, 11)
PIDFD_INFO_EXIT = 1 << 3
SINCE = (6, 15)
EXIT_CODE_FIELD = 49  # of /proc/PID/stat behind the name (proc(5), field 52)
MOST = 128
DESCRIPTORS_SHARE = 8  # no more than this part of the soft limit of descriptors
GONE_MAX = 256  # pidfds of the dead that are kept until somebody asks


class ExitCodes:
    """Keeps a pidfd of each process that it was told to follow."""

    def __init__(self, root: Root, kernel_version: tuple[int, int]) -> None:
        """Follow nothing yet; on a kernel before 6.15 or a captured tree it never will."""
        self._root = root
        self._works = root.live and kernel_version >= SINCE
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._most = min(MOST, soft // DESCRIPTORS_SHARE) if soft > 0 else MOST
        self._followed: dict[Identity, int] = {}
        self._signals: dict[Identity, int] = {}

    def follow(self, wanted: Sequence[Identity]) -> None:
        """Follow these processes, the first ones when they are too many, and no others."""
        if not self._works:
            return
        keep = frozenset(wanted[:self._most])
        for identity in [i for i in self._followed if i not in keep]:
            self._remember(identity)
        for identity in wanted[:self._most]:
            if identity not in self._followed:
                self._open(identity)

    def _open(self, identity: Identity) -> None:
        try:
            descriptor = os.pidfd_open(identity.pid)
        except OSError:
            return  # it has ended, or no descriptor is left: its end stays unknown
        try:
            found = stat.parse(self._root.read(f'/proc/{identity.pid}/stat'))
        except (OSError, ParseError):
            os.close(descriptor)
            return
        if found.start_time == identity.start_time:
            self._followed[identity] = descriptor
        else:
            os.close(descriptor)

    def _remember(self, identity: Identity) -> None:
        """Keep how a process ended and close its descriptor."""
        signal = self._ask(identity, self._followed[identity])
        os.close(self._followed.pop(identity))
        if signal is not None:
            self._signals[identity] = signal
            while len(self._signals) > GONE_MAX:
                del self._signals[next(iter(self._signals))]

    def _ask(self, identity: Identity, descriptor: int) -> int | None:
        """Return the signal that ended the process, 0 for an exit, None while it is not known."""
        request = bytearray(INFO.pack(PIDFD_INFO_EXIT, 0, *(0,) * 11, 0))
        try:
            fcntl.ioctl(descriptor, PIDFD_GET_INFO, request)
        except OSError:
            return self._ask_zombie(identity)
        mask, *_, code = INFO.unpack(request)
        return code & 0x7F if mask & PIDFD_INFO_EXIT else self._ask_zombie(identity)

    def _ask_zombie(self, identity: Identity) -> int | None:
        """Return the signal of one that its parent has not reaped, None when it is no zombie."""
        try:
            data = self._root.read(f'/proc/{identity.pid}/stat')
            found = stat.parse(data)
            code = int(data.rpartition(b')')[2].split()[EXIT_CODE_FIELD])
        except (OSError, ParseError, ValueError, IndexError):
            return None
        return code & 0x7F if (found.state, found.start_time) == (
            'Z', identity.start_time) else None

    def signal(self, identity: Identity) -> int | None:
        """Return the signal that ended a process, 0 when it exited, None when that is unknown."""
        if identity in self._followed:
            return self._ask(identity, self._followed[identity])
        return self._signals.get(identity)

    def close(self) -> None:
        """Close every descriptor."""
        for descriptor in self._followed.values():
            os.close(descriptor)
        self._followed.clear()
