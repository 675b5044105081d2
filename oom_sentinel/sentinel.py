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

"""One cycle: sample, assess, plan, write, compose; the sentinel without ROS."""

from collections.abc import Callable
from dataclasses import replace
import os
import time

from oom_sentinel import kernel
from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel.facts import parts
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.sample import Waking
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.status import Report
from oom_sentinel.kernel import host
from oom_sentinel.kernel import scanning
from oom_sentinel.kernel.delegation import Delegation
from oom_sentinel.kernel.sampling import Sampler
from oom_sentinel.kernel.scanning import NamesByPid
from oom_sentinel.kernel.wake.tmpfs import unmapped_files
from oom_sentinel.kills import kill_log
from oom_sentinel.protection import eligibility
from oom_sentinel.protection import grouping
from oom_sentinel.protection import limits
from oom_sentinel.protection import saved
from oom_sentinel.protection.guard import Guard
from oom_sentinel.protection.memory_groups import MemoryGroups
from oom_sentinel.protection.policies import SentinelPolicy
from oom_sentinel.protection.shedder import Shedder
from oom_sentinel.risk.assess import is_plentiful
from oom_sentinel.settings import Settings


class Sentinel:
    """The sentinel without ROS: call `cycle` every second, `meet` when a program began."""

    def __init__(self, settings: Settings, *, root: str = '/',
                 node_name: str = '/oom_sentinel', watching: str | None = None,
                 view: eligibility.View | None = None,
                 monotonic: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time) -> None:
        """Open the tree and take over what an earlier sentinel of this boot left."""
        self.settings = settings
        self.node_name = node_name
        self._monotonic = monotonic
        self._wall = wall
        self.root = kernel.Root(root)
        self.host = self.root.host()
        self.parts = parts.Parts()
        self.table = kernel.Table(self.root, ros_prefixes=host.ros_prefixes())
        self.scanner = scanning.Scanner(self.table)
        self.sampler = Sampler(self.scanner, self.host, self.parts, wall)
        self.guard = Guard(self.root, self.host, view or eligibility.View(
            os.geteuid(), os.getpid(), host.own_domain_id()),
            SentinelPolicy(self.root, self.host.boot_id), watching=watching,
            memory_groups=MemoryGroups(Delegation(self.table.cgroups, os.geteuid())))
        self._limits = limits.Limits(self._read_limits, self.host.page_size)
        self.kill_log = kill_log.open_kill_log(
            self.root, self.table, settings.incident_directory, monotonic, wall)
        self.kill_log.use_written_values(self.guard.values_written)
        self.shedder = Shedder(self.root, os.geteuid(), saved.default_directory())
        self._missing_nodes: tuple[str, ...] = ()
        self._unproven_nodes: tuple[str, ...] = ()
        self._history = risk.History()
        self._assessment: risk.Assessment | None = None
        self._sample: Sample | None = None
        self._kills = Kills()
        self._journal = report.Journal()

    def configure(self, settings: Settings) -> None:
        """Set new settings; the next scan, due at once, follows them."""
        self.settings = settings
        self.scanner.hasten()

    def set_graph_names(self, names: NamesByPid, missing: tuple[str, ...] = (),
                        listed: NamesByPid = scanning.NO_NAMES) -> bool:
        """
        Set the node names by PID that the ROS graph knows; return whether they changed.

        :param missing: nodes of this host whose process is not known.
        :param listed: the nodes by PID that component containers list themselves.
        """
        self._missing_nodes = missing
        return self.scanner.set_graph_names(names, listed)

    def ros_processes(self) -> tuple[Process, ...]:
        """Return the processes that look like ROS, of this domain, the sentinel included."""
        domain = self.guard.view.ros_domain_id
        return tuple(p for p in self.scanner.processes
                     if p.program.ros and p.program.ros_domain_id in (None, domain))

    def meet(self, pids: frozenset[int]) -> int:
        """
        Read processes that began a program and scan if one matters; return how many live.

        :param pids: their PIDs; when empty, those that came since the last reading.
        """
        now_s = self.parts.now_s = self._monotonic()
        met = self.parts.run(parts.NEW_PROGRAMS, lambda: self.table.read_started(
            pids or self.table.new_pids(now_s), now_s), tuple[Process, ...]())
        fresh = tuple(p for p in met if eligibility.eligible(p, self.settings, self.guard.view))
        group_of, planned = self.guard.group_of, self.guard.planned
        if any(planned.outdated_by(p, group_of(p, self.settings)) for p in fresh):
            self.scan(new=True)
        elif fresh:
            self.scanner.meet(fresh)
            self.parts.run(parts.PROTECTION, lambda: self.guard.protect_new(
                fresh, self.settings, now_s, self._wall()), 0)
            self.parts.run(parts.KNOWN_PROCESSES, lambda: self.kill_log.remember_new(fresh), None)
        return len(met)

    def read_young_again(self) -> None:
        """Read user, control group and program of young processes; scan if one changed."""
        now_s = self.parts.now_s = self._monotonic()
        if self.parts.run(parts.NEW_PROGRAMS, lambda: self.table.read_young_again(now_s), False):
            self.scan(new=True)

    def scan(self, *, new: bool = False, only: frozenset[int] | None = None) -> None:
        """Read the process table and protect; the parameters are those of Scanner.read."""
        now_s = self.parts.now_s = self._monotonic()
        self.parts.run(parts.PROTECTION, self.guard.take_over, False)
        names = self.parts.run(parts.LAUNCHES, self.guard.launched, None)
        if names is not None:
            self.scanner.set_launched_names(names)
        if self.parts.run(parts.PROCESSES, lambda: self.scanner.read(
                now_s, self.guard.tracked, new=new or names is not None, only=only), False):
            self.parts.run(parts.PROTECTION, lambda: self._protect(now_s), None)
            self.parts.run(parts.KNOWN_PROCESSES, lambda: self.kill_log.remember_processes(
                self.scanner.processes, self.guard.planned.targets), None)

    def _protect(self, now_s: float) -> None:
        """Plan which value each process gets, and write those that differ."""
        processes, reread = self.scanner.processes, self.scanner.take_reread()
        ancestors = eligibility.ancestors(processes, os.getppid())
        if ancestors != self.guard.view.ancestors:
            self.guard.view = replace(self.guard.view, ancestors=ancestors)
        self.guard.protect(processes, self.settings, self._limits.of, now_s, self._wall(), reread)
        self.scanner.starting = self.guard.starting
        self._unproven_nodes = grouping.unproven_nodes(processes, self.settings)

    def _read_limits(self, paths: tuple[str, ...]) -> limits.Reading:
        return self.sampler.limits(self._monotonic(), (*paths, *self.guard.planned.cgroups))

    def _look_at_limits(self, now_s: float) -> None:
        """Let a scan be due at once when a limit changed, and soon where one is nearly reached."""
        if not self.guard.planned.targets or self.guard.watching:
            return
        changed, nearly = self._limits.look(now_s)
        if changed:
            self.scanner.hasten(everything=True)
        self.scanner.nearly_used_up = nearly and self.guard.planned.may_raise

    def look_at_tmpfs(self) -> None:
        """Plan anew when an unprotected process fills /dev/shm with files that it does not map."""
        now_s = self.parts.now_s = self._monotonic()
        if self.parts.run(parts.PROTECTION, lambda: self.guard.look_for_unmapped_files(
                lambda pid: unmapped_files(self.root, pid)), False):
            self.parts.run(parts.PROTECTION, lambda: self._protect(now_s), None)

    def look_soon(self) -> None:
        """Scan between two cycles, while a process is starting or memory is nearly used up."""
        now_s = self._monotonic()
        self.parts.run(parts.LIMITS, lambda: self._look_at_limits(now_s), None)
        if self.scanner.due_soon(now_s):
            self.scan()

    def _rescan(self, only: frozenset[int] | None = None) -> None:
        """Read the whole table now, also what is settled; or `only` these PIDs and who ended."""
        if only is None:
            self.scanner.hasten(everything=True)
        self.scan(only=only)

    def sample(self, woken_by: tuple[str, ...] = (), waking: Waking = Waking()) -> Sample:
        """Return a reading of the machine with the process table as last scanned."""
        return self.sampler.read(self._monotonic(), self.guard.planned.cgroups, woken_by, waking)

    def protection(self, sample: Sample) -> Protection:
        """Return the state of protection against this sample."""
        missing = grouping.selected_nodes(self._missing_nodes, self.settings)
        return self.guard.protection(
            self.settings, missing + self._unproven_nodes,
            grouping.oom_group_paths(sample.chains, self.guard.planned.targets))

    def cycle(self, woken_by: tuple[str, ...] = (), waking: Waking = Waking()) -> Report:
        """Sample, assess, plan and write when a scan is due, compose; return the report."""
        run, now_s = self.parts.run, self._monotonic()
        self.parts.now_s = now_s  # what woke the node is reported first: a scan takes 38 ms
        run(parts.LIMITS, lambda: self._look_at_limits(now_s), None)
        if run(parts.LOCK, self.guard.take_over, False):
            self.scanner.hasten(everything=True)
        if self.scanner.due(now_s, self.settings.scan_period, bool(woken_by)) \
                or self.scanner.due_soon(now_s):
            self.scan()
        run(parts.KERNEL_LOG, self.kill_log.read_log, None)
        sample = self.sample(woken_by, waking)
        protection = run(parts.OUTCOMES, lambda: self.protection(sample), Protection())
        assessment = run(parts.RISK, lambda: self._assess(sample, protection),
                         self._assessment or risk.Assessment())
        kills = run(parts.KILLS, lambda: self._update_kills(sample),
                    replace(self._kills, fresh=()))
        shedding = run(parts.SHEDDING, lambda: self.shedder.update(
            sample, assessment, self._sheddable(), self.settings), Shedding())
        run(parts.ACTIONS, lambda: self.kill_log.note_actions(
            shedding, sample, self.settings.incident_keep), None)
        self._history = risk.relieved(self._history, shedding, now_s)
        self.scanner.plentiful = is_plentiful(sample, self._sample, assessment, self.settings)
        stalled = sample.stalled(self._sample)
        self._sample, self._assessment, self._kills = sample, assessment, kills
        statuses = report.compose(sample, assessment, protection, self.settings, kills,
                                  self.parts, shedding)
        changed = self._journal.update(statuses, protection, now_s)
        made = report.summary(sample, assessment, protection, self.settings, kills, shedding)
        return replace(made, statuses=statuses, level_changed=changed, stalled=stalled,
                       log=self.parts.log_lines() + self._journal.log_lines())

    def _assess(self, sample: Sample, protection: Protection) -> risk.Assessment:
        found, self._history = risk.assess(sample, self._history, self.settings, protection)
        return found

    def _update_kills(self, sample: Sample) -> Kills:
        keep = 0 if self.guard.watching else self.settings.incident_keep  # the first one writes
        return self.kill_log.update(sample, self.guard.planned.targets, keep, self._rescan,
                                    self.settings.pressure_full_avg10_error)

    def apply(self) -> tuple[bool, str]:
        """Rescan and apply now, asking anew for what was denied; say what was done."""
        if self.guard.watching:
            return False, f'Nothing was written: {self.guard.watching}.'
        if not self.settings.protection_enabled:
            return False, 'Nothing was written: protection.enabled is false.'
        self.guard.ask_again()
        self._rescan()
        return True, report.applied(self.guard.protection(self.settings, (), ()))

    def shed(self) -> tuple[bool, str]:
        """Shed one process now, in the place where memory is shortest; say which."""
        if self._sample is None or self._assessment is None:
            return False, 'Nothing was shed: memory has not been read yet.'
        return self.shedder.shed_now(
            self._sample, self._assessment, self._sheddable(), self.settings)

    def _sheddable(self) -> tuple[Target, ...]:
        """Return what may be shed: nothing while another sentinel protects."""
        return () if self.guard.watching else self.guard.planned.targets

    def restore(self) -> tuple[bool, str]:
        """Give every changed process its old value back and stop protecting until apply."""
        if self.guard.watching:
            return False, f'Nothing was changed by this sentinel: {self.guard.watching}.'
        self.guard.paused = True
        done, total = self._give_back()
        return done == total, f'{report.given_back(done, total)}  Protection is off until ~/apply.'

    def _give_back(self) -> tuple[int, int]:
        """Restore every value, of processes that began since the last scan too, if they show."""
        return self.guard.restore(self.parts.run(parts.PROCESSES, lambda: self.table.read(
            self._monotonic()), self.scanner.processes), self.settings)

    def close(self, orderly: bool) -> str:
        """
        End: restore where that is safe, release the lock, return the line for the log.

        Where it is not `orderly`, after an exception, every value stays.
        """
        try:
            if self.guard.watching or not (self.guard.changes or self.guard.memory_groups.made):
                return 'No value to restore.'
            why = report.why_values_stay(orderly, self.settings, self._assessment)
            if why is not None:
                return f'Values stay as they are: {why}.'
            done, total = self._give_back()
            return report.given_back(done, total)
        finally:
            self.guard.release()
            self.kill_log.close()
            self.shedder.close()
            # The last message still runs a cycle, which must not write anything again.
            self.guard.only_watch('the sentinel has ended')
