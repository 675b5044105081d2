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

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import replace
import os
import time

from oom_sentinel import kernel
from oom_sentinel.actions.oom_exec import chosen
from oom_sentinel.actions.oom_exec import Rule
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Result
from oom_sentinel.kernel import process_files
from oom_sentinel.kernel.files import program
from oom_sentinel.kills import child_verdict
from oom_sentinel.kills.child_death import ChildDeaths
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import saved
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.grouping import group_of
from oom_sentinel.protection.guard import Guard
from oom_sentinel.protection.limits import DomainReader
from oom_sentinel.protection.policies import LaunchPolicy
from oom_sentinel.settings import Settings
from oom_sentinel.settings.programs import BYSTANDERS

NOBODY = 0  # no PID is left out of protection: a launch protects itself too


class Children:
    """What a launch started, and the guard over it; no method raises for a process's sake."""

    def __init__(self, settings: Settings, *, ros_prefixes: tuple[str, ...] = (),
                 ros_domain_id: int = 0,
                 wall: Callable[[], float] = time.time) -> None:
        """Read this process and the records of launches that have ended; write nothing."""
        self.settings = settings
        self._wall = wall
        self.root = kernel.Root('/')
        self.table = kernel.Table(self.root, ros_prefixes=ros_prefixes)
        host = self.root.host()
        directory = saved.StateDirectory().path
        self.own = self._own()
        self._own_before = self.own.oom_score_adj
        launch_record.LaunchRecords(
            directory, host.boot_id, self.root).forget_dead(keep_orphans=True)
        self.record = launch_record.LaunchRecord(directory, host.boot_id, self.own.identity)
        self.guard = Guard(self.root, host, View(
            os.geteuid(), NOBODY, ros_domain_id, process_files.ancestors(self.root, os.getpid())),
            LaunchPolicy(self.root, self.record))
        self._domains = DomainReader(self.root, self.table.cgroups, host.page_size)
        self.known: dict[int, Process] = {}
        self.matched: set[str] = set()
        self._later: set[int] = set()
        self._protected: frozenset[int] | None = None
        self._levels: tuple[tuple[str | None, int], ...] = ()
        self._shells: set[Identity] = set()
        self._deaths = ChildDeaths(self.table)
        self.count()

    def _own(self) -> Process:
        """
        Return this process.

        :raises ProcessLookupError: when /proc does not show it: then it shows no process.
        """
        found = self.table.one(os.getpid())
        if found is None:
            raise ProcessLookupError('/proc does not show this process')
        return found

    # Starting

    def started(self, pid: int, cmdline: Sequence[str] = (), *, wraps: bool = False,
                rules: tuple[Rule, ...] = ()) -> Process | None:
        """
        Protect a process that has just started, and its children; None when it is gone.

        :param cmdline: what it will run; empty: what /proc shows.
        :param wraps: the process is a shell around this command line.
        :param rules: of oom_exec, by which the launch file itself gives it a value: that
            holds until `look_again`, for the script may not have written it yet.
        """
        found = self.table.one(pid, cmdline)
        if found is None:
            return None
        if found.program.ros and found.program.ros_domain_id is None:  # in the midst of an exec
            found = replace(found, program=replace(
                found.program, ros_domain_id=self.guard.view.ros_domain_id))
        self._meet(found)
        if wraps:
            self._shells.add(found.identity)
        elif found.program.node_names:
            self.record.name(found.identity, found.program.node_names)
        asked = chosen(rules, found)
        if asked is not None:
            self.record.ask(found.identity, asked)
            self.guard.asked_by_launch(found.identity, asked)
            self._later.add(pid)
        self.protect([pid])
        self.sweep(pid)
        return self.known.get(pid)

    def fresh(self) -> tuple[int, ...]:
        """Return the PIDs of our own children that are not known yet."""
        return tuple(pid for pid in kernel.children(self.root, self.own.pid)
                     if pid not in self.known)

    def would_match(self, cmdline: Sequence[str]) -> bool:
        """Return whether a group matches a process that runs this command line."""
        found = program.classify('', tuple(cmdline), None)
        return group_of(Process(0, 0, 0, 0, found), self.settings) is not None

    def may_be_shed(self, pid: int) -> bool:
        """Return whether this child is of a group that has steps of shedding."""
        process = self.known.get(pid)
        group = None if process is None else group_of(process, self.settings)
        return group is not None and bool(group.shed)

    def sweep(self, pid: int) -> None:
        """Protect the descendants of a process that are not known yet, until none is new."""
        while True:
            fresh = [child for child in self.table.descendants(pid) if child not in self.known]
            met = [p for p in (self.table.one(child) for child in fresh) if p is not None]
            if not met:
                return
            for process in met:
                self._meet(self._heir(process))
            self.protect([p.pid for p in met])

    def _meet(self, process: Process) -> None:
        """Take a process; the counters of a control group that is new are read now."""
        self.known[process.pid] = process
        if not self._deaths.counted(process.cgroup):
            self.count()

    def _heir(self, process: Process) -> Process:
        """Count a process below a mere wrapper as the launch's child: it inherited from it."""
        parent = self.known.get(process.ppid)
        if parent is not None and group_of(parent, self.settings) is None:
            return replace(process, ppid=self.own.pid)
        return process

    def look_again(self, *pids: int, settled: bool = True) -> None:
        """
        Read young processes and their children again: a wrapper runs its program by now.

        :param settled: false: a wrapper may still be at work, so what no group means is not
            believed yet.
        """
        looked = [known for pid in pids for known in (pid, *self.table.descendants(pid))
                  if known in self.known]
        for pid in looked:
            self._refresh(pid, settled)
        self.protect(looked)
        for pid in pids:
            self.sweep(pid)

    def _refresh(self, pid: int, settled: bool) -> None:
        before, now = self.known[pid], self.table.one(pid)
        if now is None or now.identity != before.identity:
            self.forget(pid)
            return
        self._later.discard(pid)
        if now.program.executable in BYSTANDERS:
            self.record.name(now.identity, ())
        if not settled and group_of(now, self.settings) is None and now.identity \
                not in self._shells:
            now = replace(now, program=before.program)
        self._meet(self._heir(now))

    def protect(self, pids: Sequence[int] | None = None) -> None:
        """
        Write what the plan wants for these processes; for all when others are concerned too.

        A launch of 300 would else plan for 300 at each start.  Of the others only the protected
        ones matter: they decide how far the rest is raised.
        """
        self._look_at_own()
        if pids is not None and self._protected is not None:
            some = {*pids, *self._protected}
            some.update(self.known[pid].ppid for pid in pids if pid in self.known)
            self._apply(some & self.known.keys())
            if self._levels_now() == self._levels:
                return
        self._apply(self.known.keys())
        self._levels = self._levels_now()

    def _levels_now(self) -> tuple[tuple[str | None, int], ...]:
        return tuple((made.domain.path, made.pages) for made in self.guard.planned.levels)

    def _look_at_own(self) -> None:
        value, before = self.root.number('/proc/self/oom_score_adj'), self._own_before
        self.own = replace(self.own, oom_score_adj=value)
        if value is not None and before is not None and before != value:
            # The sentinel may have changed our value; our children inherit what it wrote.
            self.guard.changed_by_other(self.own.identity, before, value)

    def _apply(self, pids: Iterable[int]) -> None:
        self.guard.protect(
            (self.own, *(self.known[pid] for pid in pids if pid not in self._later)),
            self.settings, self._domains.of, time.monotonic(), self._wall())
        planned = self.guard.planned
        protected = {t.process.pid for t in planned.targets if t.wanted < 0}
        self._protected = frozenset(protected | (self._protected or frozenset()))
        for target in planned.targets + planned.raised:
            process = target.process
            if target.group is not None:
                self.matched.add(target.group)
            if process.oom_score_adj != target.value and process.pid in self.known:
                self.known[process.pid] = replace(process, oom_score_adj=self.root.number(
                    f'/proc/{process.pid}/oom_score_adj'))

    def flush(self) -> str | None:
        """Write the record for the sentinel; return what hinders."""
        try:
            self.record.flush()
        except OSError as error:
            return f'the record for the sentinel cannot be written ({error}): it would take ' \
                   'our values for the original ones'
        return None

    @property
    def denied(self) -> tuple[Outcome, ...]:
        """Return what lowering was denied for."""
        return tuple(o for o in self.guard.refused if o.result == Result.DENIED)

    # Ending

    def count(self) -> None:
        """Read the oom_kill counters; call it every two seconds."""
        self._deaths.count({p.cgroup for p in (self.own, *self.known.values())
                            if p.cgroup is not None})

    def ended(self, pid: int, returncode: int, name: str) -> child_verdict.Verdict | None:
        """
        Forget a process; return what is known of its death when a signal ended it.

        :param name: what to call it when it was never met.
        """
        process = self.known.get(pid)
        verdict = self._deaths.explain(
            pid, returncode, name if process is None else label(process),
            None if process is None else process.cgroup)
        self.forget(pid)
        return verdict

    def forget(self, pid: int) -> None:
        """Drop a process that has ended, and its children that ended with it."""
        gone = self.known.pop(pid, None)
        if gone is None:
            return
        self._later.discard(pid)
        self._shells.discard(gone.identity)
        self.record.forget(gone.identity)
        self.guard.forget(gone.identity)
        if self._protected is not None and pid in self._protected:
            self._protected -= {pid}
        for child in [p for p in self.known.values()
                      if p.ppid == pid and not launch_record.alive(self.root, p.identity)]:
            self.forget(child.pid)

    def close(self) -> None:
        """Remove the record: the launch has ended."""
        self._deaths.close()
        self.guard.release()


def label(process: Process) -> str:
    """Return the program and, in brackets, its nodes."""
    names = ', '.join(name.lstrip('/') for name in process.node_names)
    return process.program.executable + (f' ({names})' if names else '')
