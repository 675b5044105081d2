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
ChildDeaths by signal 9 in a launch: the kernel's counters and its log, read when somebody dies.

What they mean is told by `death`.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
import os
import time

from oom_sentinel import kernel
from oom_sentinel.facts.host import INITIAL_PID_NAMESPACE
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import THE_KERNEL_SAID_SO
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import log
from oom_sentinel.kills import child_verdict
from oom_sentinel.kills.oom_report import Parser

REMEMBERED = 64  # counters: one reading in 2 s, and one for each new control group


class ChildDeaths:
    """The counters over time, and the log from now on where this user may read it."""

    def __init__(self, table: kernel.Table,
                 monotonic: Callable[[], float] = time.monotonic) -> None:
        """Open the log at its end; read nothing."""
        self._table = table
        self._monotonic = monotonic
        self._history: deque[child_verdict.Counters] = deque(maxlen=REMEMBERED)
        self._claimed_s: deque[float] = deque(maxlen=REMEMBERED)
        self._parser = Parser('kmsg')
        self._victims: set[int] = set()
        self._log = self._open()

    def _open(self) -> log.Kmsg | None:
        """Return the kernel's log behind its last record, None where its PIDs mean nothing."""
        try:
            if os.readlink('/proc/self/ns/pid') != INITIAL_PID_NAMESPACE:
                return None
            kmsg = log.Kmsg()
            assert kmsg.descriptor is not None
            os.lseek(kmsg.descriptor, 0, os.SEEK_END)
        except (OSError, log.Refused):
            return None
        return kmsg

    def counted(self, path: str | None) -> bool:
        """Tell whether this control group's counter is among those read last."""
        return bool(self._history) and (
            path is None or any(path == known for known, _ in self._history[-1].cgroups))

    def count(self, paths: Iterable[str]) -> None:
        """Read the counters of the machine and of these control groups, some 60 us."""
        self._history.append(self._counters(paths))

    def _counters(self, paths: Iterable[str]) -> child_verdict.Counters:
        cgroups = self._table.cgroups
        vmstat = self._table.root.vmstat()
        return child_verdict.Counters(
            self._monotonic(), None if isinstance(vmstat, Unavailable) else vmstat.oom_kill,
            () if cgroups.mount is None else tuple(
                (path, cgroups.oom_kill(path)) for path in sorted(paths)))

    def verdict(self, pid: int, label: str, path: str | None) -> child_verdict.Verdict:
        """Return what is known of this process, which died by signal 9 just now."""
        now = self._counters([] if path is None else [path])
        found = child_verdict.verdict(label, tuple(self._history), now, path,
                                      claimed_s=self._claimed_s, logged=self._logged(pid))
        if found.by_oom:
            self._claimed_s.append(now.monotonic_s)
        return found

    def _logged(self, pid: int) -> bool | None:
        """Tell whether the kernel's log names this process; None: it does not, or not here."""
        if self._log is not None:
            self._victims.update(kill.victim_pid for line in self._log.read()
                                 for kill in self._parser.feed(line) if kill.victim_pid
                                 and kill.kind is Killer.KERNEL
                                 and kill.certainty == THE_KERNEL_SAID_SO)
        if pid not in self._victims:
            return None
        self._victims.discard(pid)  # PIDs are given again
        return True

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
