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
Processes that began another program, reported by the kernel (drivers/connector/cn_proc.c).

A socket filter passes only the exec events and the ends by signal 9, so forks and threads wake
nobody; it works on kernels before 6.6 too, which filter no event themselves and ask for
CAP_NET_ADMIN.
"""

from collections import deque
import errno
import os
import select
import socket
import struct
import time

from oom_sentinel.facts.kill import SignalDeath
from oom_sentinel.kernel.libc import attach_socket_filter

NETLINK_CONNECTOR = 11
CN_IDX_PROC = CN_VAL_PROC = 1
LISTEN, IGNORE = 1, 2
ACK, EXEC, EXIT = 0, 2, 0x80000000
HEADER = struct.Struct('=IHHII')  # struct nlmsghdr
MESSAGE = struct.Struct('=IIIIHH')  # struct cn_msg
WHAT = HEADER.size + MESSAGE.size  # where struct proc_event begins, with its `what`
ACKED = struct.Struct('=IIQI')  # what, cpu, timestamp_ns, err
# what, cpu, timestamp_ns, process_pid, process_tgid, exit_code, exit_signal, parent_pid,
# parent_tgid (since 4.18)
EXITED = struct.Struct('=IIQIIIIII')
NLMSG_DONE = 3
ANSWER_S = 0.5
MOST_PIDS = 1024  # kept until they are taken
MOST_MESSAGES = 4096  # read at one wake
MOST_DEATHS = 1024

BPF_LOAD_WORD, BPF_JUMP_IF_EQUAL, BPF_RETURN = 0x20, 0x15, 0x06
BPF_AND, BPF_TO_X, BPF_JUMP_IF_EQUAL_X = 0x54, 0x07, 0x1D
# Pass ACK, EXEC, and EXIT of a whole process by signal 9 (the low seven bits of its exit code);
# a BPF load is big-endian.
FILTER = (
    (BPF_LOAD_WORD, 0, 0, WHAT),
    (BPF_JUMP_IF_EQUAL, 9, 0, socket.htonl(ACK)),
    (BPF_JUMP_IF_EQUAL, 8, 0, socket.htonl(EXEC)),
    (BPF_JUMP_IF_EQUAL, 0, 8, socket.htonl(EXIT)),
    (BPF_LOAD_WORD, 0, 0, WHAT + 24),
    (BPF_AND, 0, 0, socket.htonl(0x7F)),
    (BPF_JUMP_IF_EQUAL, 0, 5, socket.htonl(9)),
    (BPF_LOAD_WORD, 0, 0, WHAT + 16),
    (BPF_TO_X, 0, 0, 0),
    (BPF_LOAD_WORD, 0, 0, WHAT + 20),
    (BPF_JUMP_IF_EQUAL_X, 0, 1, 0),
    (BPF_RETURN, 0, 0, 0xFFFFFFFF),
    (BPF_RETURN, 0, 0, 0))


class ExecEvents:
    """The kernel's exec events: collects the PIDs of processes that began a program."""

    def __init__(self) -> None:
        """
        Ask the kernel for the events.

        :raises OSError: EPERM before Linux 6.6 without CAP_NET_ADMIN; ECONNREFUSED in another
            network namespace, ETIMEDOUT in another PID namespace, where nothing answers.
        """
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_CONNECTOR)
        self._pids: set[int] = set()
        self._lost = False
        self._deaths: deque[SignalDeath] = deque(maxlen=MOST_DEATHS)
        self._deaths_lost_s = float('-inf')
        try:
            attach_socket_filter(self._socket, FILTER)
            self._socket.bind((0, CN_IDX_PROC))
            self._ask(LISTEN)
            self._await_answer()
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor; it is readable when a process began a program."""
        return self._socket.fileno()

    def _ask(self, operation: int) -> None:
        """Send LISTEN or IGNORE to the kernel."""
        body = struct.pack('=I', operation)
        wanted = MESSAGE.pack(CN_IDX_PROC, CN_VAL_PROC, 0, os.getpid(), len(body), 0) + body
        self._socket.send(HEADER.pack(
            HEADER.size + len(wanted), NLMSG_DONE, 0, 0, os.getpid()) + wanted)

    def _await_answer(self) -> None:
        """
        Wait for the kernel's answer; it goes to every listener, ours carries our `ack` + 1.

        :raises OSError: when the kernel refuses, or ETIMEDOUT.
        """
        until_s = time.monotonic() + ANSWER_S
        while select.select([self._socket], [], [], max(0.0, until_s - time.monotonic()))[0]:
            message = self._socket.recv(4096)
            if len(message) >= WHAT + ACKED.size:
                what, _, _, error = ACKED.unpack_from(message, WHAT)
                ack = MESSAGE.unpack_from(message, HEADER.size)[3]
                if what == ACK and ack == os.getpid() + 1:
                    if error:
                        raise OSError(error, os.strerror(error))
                    return
            if time.monotonic() > until_s:
                break
        raise OSError(errno.ETIMEDOUT, 'the kernel does not answer in this PID namespace')

    def read(self, _events: int) -> bool:
        """
        Collect the events that wait; return whether a process began a program and still lives.

        Most of what a shell starts has ended when this is called, at the end of the rest.

        :raises OSError: when the socket fails; a lost event (ENOBUFS) is no failure, `taken`
            then returns nothing.
        """
        began: set[int] = set()
        lost = self._lost
        for _ in range(MOST_MESSAGES):
            if len(self._pids) + len(began) >= MOST_PIDS:
                break
            try:
                message = self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._lost = True
                self._deaths_lost_s = time.monotonic()
                continue
            if len(message) < WHAT + EXITED.size:
                continue
            what, _, at_ns, _, pid, code, _, _, parent = EXITED.unpack_from(message, WHAT)
            if what == EXEC:
                began.add(pid)
            elif what == EXIT and code & 0x7F == 9:
                self._deaths.append(SignalDeath(pid, at_ns / 1e9, parent or None))
        alive = {pid for pid in began if _lives(pid)}
        self._pids.update(alive)
        return bool(alive) or self._lost > lost

    def taken(self) -> frozenset[int]:
        """Return the PIDs since the last call; empty when there were more than are kept."""
        pids, self._pids = self._pids, set()
        lost, self._lost = self._lost or len(pids) >= MOST_PIDS, False
        return frozenset() if lost else frozenset(pids)

    def deaths(self, since_s: float) -> tuple[SignalDeath, ...] | None:
        """
        Return the processes that died by signal 9 since then; the last MOST_DEATHS are kept.

        :param since_s: monotonic seconds, the clock of the events (ktime_get_ns()).
        :returns: None when events were lost since then.
        """
        if self._deaths_lost_s >= since_s or (
                len(self._deaths) == MOST_DEATHS and self._deaths[0].monotonic_s >= since_s):
            return None
        return tuple(d for d in tuple(self._deaths) if d.monotonic_s >= since_s)

    def close(self) -> None:
        """Ask the kernel to stop; kernels before 6.8 would send events to no one."""
        try:
            self._ask(IGNORE)
        finally:
            self._socket.close()


def _lives(pid: int) -> bool:
    """Return whether there is a process of this PID, which may be a zombie (1 us)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
