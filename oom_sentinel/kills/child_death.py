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
Deaths of a launch's children: the kernel's counters, its log and memory, read when one dies.

What they mean is decided by `child_verdict`.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
import os
import time

from oom_sentinel import kernel
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import THE_KERNEL_SAID_SO
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import host
from oom_sentinel.kernel import log
from oom_sentinel.kills import child_verdict
from oom_sentinel.kills.child_verdict import MemoryThen
from oom_sentinel.kills.child_verdict import Verdict
from oom_sentinel.kills.oom_report import Parser

REMEMBERED = 64  # counters: one reading in 2 s, and one for each new control group
# A record names a PID.  A later process that is given the same PID was not killed.
VICTIM_S = 10.0
VICTIMS_MAX = 256


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
        self._victims: deque[tuple[int, float]] = deque(maxlen=VICTIMS_MAX)
        self._log = self._open()

    def _open(self) -> log.Kmsg | None:
        """Return the kernel's log behind its last record, None where its PIDs mean nothing."""
        if not self._table.initial_pid_namespace:
            return None
        try:
            kmsg = log.Kmsg()
        except log.Refused:
            return None
        if kmsg.descriptor is not None:
            os.lseek(kmsg.descriptor, 0, os.SEEK_END)
        return kmsg

    def counted(self, path: str | None) -> bool:
        """Return whether this control group's counter is among those read last."""
        return bool(self._history) and (
            path is None or any(path == known for known, _ in self._history[-1].cgroups))

    def count(self, paths: Iterable[str]) -> None:
        """Read the counters of the machine and of these control groups, some 60 us."""
        self._history.append(self._counters(paths))
        self._read_log()

    def _counters(self, paths: Iterable[str]) -> child_verdict.Counters:
        cgroups = self._table.cgroups
        machine = None
        if self._table.initial_pid_namespace and cgroups.hidden is None:
            # In a container it counts the kills of others too.
            vmstat = self._table.root.vmstat()
            machine = None if isinstance(vmstat, Unavailable) else vmstat.oom_kill
        return child_verdict.Counters(
            self._monotonic(), machine, () if cgroups.mount is None else tuple(
                (path, cgroups.oom_kill(path)) for path in sorted(paths)))

    def explain(self, pid: int, returncode: int, label: str,
                path: str | None) -> Verdict | None:
        """
        Return what is known of a child that ended just now, None when it is no news.

        :param returncode: as subprocess gives it, or a shell.
        :param path: the child's memory control group.
        """
        signal = child_verdict.signal_of(returncode)
        if signal == child_verdict.SIGKILL:
            return self._killed(pid, label, path)
        if signal == child_verdict.SIGTERM:
            return child_verdict.terminated(label, host.running_killers())
        if signal == child_verdict.SIGABRT:
            return child_verdict.aborted(label, self._memory(path))
        return None

    def _killed(self, pid: int, label: str, path: str | None) -> Verdict:
        now = self._counters([] if path is None else [path])
        found = child_verdict.killed(
            label, tuple(self._history), now, path, claimed_s=self._claimed_s,
            logged=self._is_logged(pid), killers=host.running_killers())
        if found.by_oom:
            self._claimed_s.append(now.monotonic_s)
        return found

    def _read_log(self) -> None:
        """Collect the PIDs of new records, and forget the old ones."""
        now_s = self._monotonic()
        while self._victims and now_s - self._victims[0][1] > VICTIM_S:
            self._victims.popleft()
        if self._log is not None:
            self._victims.extend(
                (kill.victim_pid, now_s) for line in self._log.rest()
                for kill in self._parser.feed(line) if kill.victim_pid is not None
                and kill.kind is Killer.KERNEL and kill.certainty == THE_KERNEL_SAID_SO)

    def _is_logged(self, pid: int) -> bool | None:
        """Return whether the kernel's log names this process, None when it does not."""
        self._read_log()
        for victim in tuple(self._victims):
            if victim[0] == pid:
                self._victims.remove(victim)  # PIDs are given again
                return True
        return None

    def _memory(self, path: str | None) -> MemoryThen:
        """Return what bounds an allocation now."""
        root, cgroups = self._table.root, self._table.cgroups
        meminfo, limits = root.meminfo(), host.limits(root)
        headroom, group = None, None
        if path is not None and cgroups.mount is not None:
            rooms = [(g.limit_bytes - g.usage_bytes, g.path)
                     for g in cgroups.chain(path).groups
                     if g.limit_bytes is not None and g.usage_bytes is not None]
            headroom, group = min(rooms, default=(None, None))
        known = None if isinstance(meminfo, Unavailable) else meminfo
        return MemoryThen(
            None if known is None else known.mem_available_bytes,
            None if known is None else known.mem_total_bytes, headroom, group,
            None if known is None else known.commit_limit_bytes,
            None if known is None else known.committed_as_bytes,
            host.policy(root).overcommit_memory == 2,
            limits.address_space_bytes, limits.data_bytes)

    def close(self) -> None:
        """Close the log."""
        if self._log is not None:
            self._log.close()
            self._log = None
