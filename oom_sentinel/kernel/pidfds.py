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
"""Processes held by a pidfd, which cannot come to mean another process (pidfd_open(2))."""

import os
import select
import signal

from oom_sentinel.facts.process import Identity
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
