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
Wakes when a program began: the kernel's exec events, or the PID given last.

Where the kernel reports nothing, the last word of /proc/loadavg is compared many times a second.
"""

import contextlib
import os
import select

from oom_sentinel.facts.kill import SignalDeath
from oom_sentinel.kernel.wake.execs import ExecEvents
from oom_sentinel.kernel.wake.loop import Watch

NAME = 'new programs'
# Most of what a shell starts has ended after 0.04 s and then costs nothing.  While programs go on
# to begin, the rest grows to 0.08 s and no further: a node that is respawned in a loop, among
# sixty others, is still read within 0.1 s of its exec.
REST_S = 0.04
REST_MAX_S = 0.08
# How often the PID given last is compared: while values depend on it, so that a new process has
# its own within 0.1 s, and else.  A wake-up costs 55 us.
QUICK_PERIOD_S, SLOW_PERIOD_S = 0.06, 0.52


class LastPid:
    """The PID given last, as the kernel prints it: 1 us, opening the file each time 7 us."""

    def __init__(self, path: str = '/proc/loadavg') -> None:
        """Open the file."""
        self._file: int | None = None
        with contextlib.suppress(OSError):  # then it is unknown, and scans find new programs
            self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __call__(self) -> bytes:
        """Return the last word of /proc/loadavg, empty when unknown (an lxcfs that has ended)."""
        if self._file is None:
            return b''
        try:
            return os.pread(self._file, 128, 0).rpartition(b' ')[2]
        except OSError:
            return b''

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class NewPrograms:
    """Wakes by NAME when a process began a program or, without exec events, was forked."""

    def __init__(self, watch: Watch, last_pid: LastPid | None = None, *,
                 ask_kernel: bool = True) -> None:
        """
        Add the exec events to the watch, or the comparison of the last PID.

        :param last_pid: is closed by `close`; None: it is opened where it is needed.
        :param ask_kernel: whether to ask the kernel for exec events.
        """
        self._watch = watch
        self._last_pid = last_pid
        self._known_last_pid = b''
        self._changed = self._quick = False
        self._events: ExecEvents | None = None
        self.why = 'not asked for'
        if ask_kernel:
            try:
                self._events = ExecEvents()
            except OSError as error:
                self.why = error.strerror or str(error)
        if self._events is None:
            self._last_pid = last_pid or LastPid()
            self._known_last_pid = self._last_pid()
            watch.glance(SLOW_PERIOD_S, NAME, self._last_pid_changed)
        else:
            watch.add(self._events.fileno(), select.EPOLLIN, NAME, self._events.read,
                      rest_s=REST_S, rest_max_s=REST_MAX_S, settle=True)

    @property
    def reported(self) -> bool:
        """Return whether the kernel reports every exec; else `why` holds the reason."""
        return self._events is not None

    def hurry(self, quick: bool) -> None:
        """Compare the PID given last quickly or slowly, where the kernel reports no execs."""
        if quick != self._quick and self._last_pid is not None:
            self._quick = quick
            self._watch.glance(
                QUICK_PERIOD_S if quick else SLOW_PERIOD_S, NAME, self._last_pid_changed)

    def _last_pid_changed(self) -> bool:
        assert self._last_pid is not None
        known, self._known_last_pid = self._known_last_pid, self._last_pid()
        changed, self._changed = self._changed, known != self._known_last_pid
        return changed or self._changed  # what was just forked runs its program a moment later

    def taken(self) -> frozenset[int]:
        """Return the PIDs that began a program since the last call; empty when unknown."""
        return frozenset() if self._events is None else self._events.taken()

    def deaths(self, since_s: float) -> tuple[SignalDeath, ...] | None:
        """
        Return the processes that died by signal 9 since then, None where that is unknown.

        The events are read by the watch, so that the last REST_MAX_S may be missing.
        """
        if self._events is None:
            return None
        return self._events.deaths(since_s)

    def close(self) -> None:
        """Stop watching and close the descriptor."""
        if self._events is not None:
            self._watch.remove(self._events.fileno())
            self._events.close()
            self._events = None
        if self._last_pid is not None:
            self._watch.never(NAME)
            self._last_pid.close()
            self._last_pid = None
