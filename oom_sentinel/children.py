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
The processes of one launch: protected as they start, looked after until they end.

The same plan and guard as the sentinel's, over the launch's own processes, with a record that
the sentinel reads.  Knows nothing of launch: PIDs and command lines come in.
"""

from collections import deque
from dataclasses import replace
import os
import time
from typing import Callable
from typing import Sequence

from oom_sentinel import death
from oom_sentinel import plan
from oom_sentinel import procfs
from oom_sentinel.facts.ledger import Ledger
from oom_sentinel.facts.level import Unavailable
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.guard import Guard
from oom_sentinel.parse import stat
from oom_sentinel.selector import BYSTANDERS
from oom_sentinel.settings import Settings

REMEMBERED = 12  # counters: with one reading in 2 s more than death.DEATH_S
NOBODY = 0  # no PID is left out of protection: a launch protects itself too


class Children:
    """What a launch started, and the guard over it; no method raises for a process's sake."""

    def __init__(self, settings: Settings, *, ros_prefixes: 'tuple[str, ...]' = (),
                 ros_domain_id: int = 0, monotonic: 'Callable[[], float]' = time.monotonic,
                 wall: 'Callable[[], float]' = time.time) -> None:
        """Look at ourselves and at the records of launches that have ended; write nothing."""
        self.settings = settings
        self._monotonic, self._wall = monotonic, wall
        self.root = procfs.Root('/')
        self.table = procfs.Table(self.root, ros_prefixes=ros_prefixes)
        host = self.root.host()
        directory = procfs.StateDirectory().path
        self.own = self._own()
        self._own_before = self.own.oom_score_adj
        procfs.LaunchRecords(directory, host.boot_id, self.root).forget_dead(keep_orphans=True)
        self.record = procfs.LaunchRecord(directory, host.boot_id, self.own.identity)
        self.guard = Guard(self.root, host, plan.View(
            os.geteuid(), NOBODY, ros_domain_id, self._ancestors()), state=self.record)
        self.known: 'dict[int, Process]' = {}
        self.matched: 'set[str]' = set()
        self._history: 'deque[death.Counters]' = deque(maxlen=REMEMBERED)
        self._claimed_s: 'deque[float]' = deque(maxlen=REMEMBERED)
        self.count()

    def _own(self) -> Process:
        """
        Return this process.

        :raises ProcessLookupError: when /proc does not show it, so shows nobody.
        """
        found = self.table.one(os.getpid())
        if found is None:
            raise ProcessLookupError('/proc does not show this process')
        return found

    def _ancestors(self) -> 'frozenset[int]':
        """Return our own PID and those of our parents: they are never raised."""
        found, pid = {os.getpid()}, os.getppid()
        while pid > 0 and pid not in found:
            found.add(pid)
            try:
                pid = stat.parse(self.root.read(f'/proc/{pid}/stat')).ppid
            except (OSError, ValueError):
                break
        return frozenset(found)

    # Starting

    def started(self, pid: int, cmdline: 'Sequence[str]' = (), *, wraps: bool = False,
                asked: 'int | None' = None) -> 'Process | None':
        """
        Protect a process that has just started, and its children; None when it is gone.

        :param cmdline: what it will run; empty: what /proc shows.
        :param wraps: the process is a shell around this command line.
        :param asked: the oom_score_adj that the launch file itself gave it.
        """
        found = self.table.one(pid, cmdline)
        if found is None:
            return None
        self.known[pid] = found
        if found.program.node_names and not wraps:
            self.record.node_names[found.identity] = found.program.node_names
        if asked is not None:
            self.record.asked[found.identity] = self.guard.asked[found.identity] = asked
        self.protect()
        self.sweep(pid)
        return self.known.get(pid)

    def sweep(self, pid: int) -> None:
        """Protect the descendants of a process that are not known yet, until none is new."""
        while True:
            fresh = [child for child in self.table.descendants(pid) if child not in self.known]
            met = [p for p in (self.table.one(child) for child in fresh) if p is not None]
            if not met:
                return
            self.known.update((p.pid, self._heir(p)) for p in met)
            self.protect()

    def _heir(self, process: Process) -> Process:
        """Count a process below a mere wrapper as the launch's child: it inherited from it."""
        parent = self.known.get(process.ppid)
        if parent is not None and plan.group_of(parent, self.settings) is None:
            return replace(process, ppid=self.own.pid)
        return process

    def look_again(self, pid: int) -> None:
        """Read a young process anew: its wrapper has become what it shall run by now."""
        before = self.known.get(pid)
        now = self.table.one(pid)
        if before is None or now is None or now.identity != before.identity:
            self.forget(pid)
            return
        if now.program.executable in BYSTANDERS:
            self.record.node_names.pop(now.identity, None)
        self.known[pid] = self._heir(now)
        self.protect()
        self.sweep(pid)

    def protect(self) -> None:
        """Write what the plan over all known processes wants."""
        value, before = self.root.number('/proc/self/oom_score_adj'), self._own_before
        self.own = replace(self.own, oom_score_adj=value)
        if value is not None and before not in (None, value):
            assert before is not None
            # The sentinel protects a launch too; our children inherit what it wrote.
            self.guard.ledger[self.own.identity] = Ledger(self.own.identity, before, value)
        self.guard.protect((self.own, *self.known.values()), self.settings, self._wall())
        self.matched.update(t.group for t in self.guard.planned.targets if t.group is not None)
        for target in self.guard.planned.targets:
            process = target.process
            if process.oom_score_adj != target.value and process.pid in self.known:
                self.known[process.pid] = replace(process, oom_score_adj=self.root.number(
                    f'/proc/{process.pid}/oom_score_adj'))

    def flush(self) -> 'str | None':
        """Write the record for the sentinel; return what hinders."""
        try:
            self.record.flush()
        except OSError as error:
            return f'the record for the sentinel cannot be written ({error}): it would take ' \
                   'our values for the original ones'
        return None

    @property
    def denied(self) -> 'tuple[Outcome, ...]':
        """Return what lowering was denied for."""
        return tuple(o for o in self.guard.outcomes.values() if o.result == 'denied')

    # Ending

    def count(self) -> None:
        """Read the oom_kill counters; call it every two seconds."""
        self._history.append(self._counters())

    def _counters(self) -> death.Counters:
        cgroups = self.table.cgroups
        paths = {p.cgroup for p in (self.own, *self.known.values()) if p.cgroup is not None}
        vmstat = self.root.vmstat()
        return death.Counters(
            self._monotonic(), None if isinstance(vmstat, Unavailable) else vmstat.oom_kill,
            () if cgroups.mount is None else tuple(
                (path, cgroups.oom_kill(path)) for path in sorted(paths)))

    def ended(self, pid: int, returncode: int, name: str) -> 'death.Verdict | None':
        """
        Forget a process; return what is known of its death when it died by signal 9.

        :param name: what to call it when it was never met.
        """
        process = self.known.get(pid)
        verdict = None
        if death.by_signal_9(returncode):
            now = self._counters()
            verdict = death.verdict(
                name if process is None else label(process), tuple(self._history), now,
                None if process is None else process.cgroup, claimed_s=self._claimed_s)
            if verdict.by_oom:
                self._claimed_s.append(now.monotonic_s)
        self.forget(pid)
        return verdict

    def forget(self, pid: int) -> None:
        """Drop a process that has ended and whoever ended with it."""
        gone = self.known.pop(pid, None)
        if gone is None:
            return
        self.record.node_names.pop(gone.identity, None)
        self.record.asked.pop(gone.identity, None)
        self.guard.asked.pop(gone.identity, None)
        for child in [p for p in self.known.values()
                      if p.ppid == pid and not procfs.alive(self.root, p.identity)]:
            self.forget(child.pid)

    def close(self) -> None:
        """Remove the record: the launch has ended."""
        self.guard.release()


def label(process: Process) -> str:
    """Return the program and, in brackets, its nodes."""
    names = ', '.join(name.lstrip('/') for name in process.node_names)
    return process.program.executable + (f' ({names})' if names else '')
