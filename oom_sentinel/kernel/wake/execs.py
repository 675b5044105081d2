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
Which processes began another program, told by the kernel (drivers/connector/cn_proc.c).

A socket filter leaves the execs alone, so forks, threads and exits wake nobody; it works on
kernels before 6.6 too, which filter no event themselves and ask for CAP_NET_ADMIN.
"""

import ctypes
import errno
import os
import select
import socket
import struct
import time

NETLINK_CONNECTOR = 11
SO_ATTACH_FILTER = 26
CN_IDX_PROC = CN_VAL_PROC = 1
LISTEN, IGNORE = 1, 2
ACK, EXEC = 0, 2
HEADER = struct.Struct('=IHHII')  # struct nlmsghdr
MESSAGE = struct.Struct('=IIIIHH')  # struct cn_msg
WHAT = HEADER.size + MESSAGE.size  # where struct proc_event begins, with its `what`
ACKED = struct.Struct('=IIQI')  # what, cpu, timestamp_ns, err
EXECED = struct.Struct('=IIQII')  # what, cpu, timestamp_ns, process_pid, process_tgid
ANSWER_S = 0.5
MOST = 1024  # PIDs kept until somebody asks for them


def _filter() -> bytes:
    """Return struct sock_filter[]: pass whole what says ACK or EXEC; loads are big-endian."""
    load, equal, answer = 0x20, 0x15, 0x06
    return b''.join(struct.pack('=HBBI', *line) for line in (
        (load, 0, 0, WHAT), (equal, 1, 0, socket.htonl(ACK)),
        (equal, 0, 1, socket.htonl(EXEC)), (answer, 0, 0, 0xFFFFFFFF), (answer, 0, 0, 0)))


class Execs:
    """The PIDs of processes that began a program since they were last taken."""

    def __init__(self) -> None:
        """
        Ask the kernel to tell.

        :raises OSError: EPERM before Linux 6.6 without CAP_NET_ADMIN; ECONNREFUSED in another
            network namespace, ETIMEDOUT in another PID namespace, where nothing answers.
        """
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK,
            NETLINK_CONNECTOR)
        self._pids: set[int] = set()
        self._lost = False
        try:
            code = ctypes.create_string_buffer(_filter())
            self._socket.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack(
                'HP', len(_filter()) // 8, ctypes.addressof(code)))
            self._socket.bind((0, CN_IDX_PROC))
            self._ask(LISTEN)
            self._await_answer()
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor, readable when somebody began a program."""
        return self._socket.fileno()

    def _ask(self, operation: int) -> None:
        body = struct.pack('=I', operation)
        wanted = MESSAGE.pack(CN_IDX_PROC, CN_VAL_PROC, 0, os.getpid(), len(body), 0) + body
        self._socket.send(HEADER.pack(HEADER.size + len(wanted), 3, 0, 0, os.getpid()) + wanted)

    def _await_answer(self) -> None:
        """Wait for the answer to us: it goes to everybody, with our `ack` + 1."""
        until_s = time.monotonic() + ANSWER_S
        while select.select([self._socket], [], [], max(0.0, until_s - time.monotonic()))[0]:
            said = self._socket.recv(4096)
            what, _, _, error = ACKED.unpack_from(said, WHAT)
            if what == ACK and MESSAGE.unpack_from(said, HEADER.size)[3] == os.getpid() + 1:
                if error:
                    raise OSError(error, os.strerror(error))
                return
            if time.monotonic() > until_s:
                break
        raise OSError(errno.ETIMEDOUT, 'the kernel does not answer in this PID namespace')

    def read(self, _events: int) -> bool:
        """Take in what was told; tell whether a process began a program."""
        before, lost = len(self._pids), self._lost
        while len(self._pids) < MOST:
            try:
                said = self._socket.recv(4096)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._lost = True
                continue
            if len(said) >= WHAT + EXECED.size:
                what, _, _, _, pid = EXECED.unpack_from(said, WHAT)
                if what == EXEC:
                    self._pids.add(pid)
        return len(self._pids) > before or self._lost > lost

    def taken(self) -> frozenset[int]:
        """Return the PIDs since the last call, none when there were more than were kept."""
        pids, self._pids = self._pids, set()
        lost, self._lost = self._lost or len(pids) >= MOST, False
        return frozenset() if lost else frozenset(pids)

    def close(self) -> None:
        """Ask the kernel to stop telling; kernels before 6.8 would go on for nobody."""
        try:
            self._ask(IGNORE)
        finally:
            self._socket.close()
