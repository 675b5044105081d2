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
One cycle: sample, assess, plan, apply, compose; the sentinel without ROS.

Node, tests and benches run the same one.  It holds the history between cycles and decides
when the process table is worth reading; everything it concludes comes from the pure rooms.
"""

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import replace
import os
import time

from oom_sentinel import kernel
from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.sample import Waking
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Report
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.host import own_domain_id
from oom_sentinel.kernel.host import ros_prefixes
from oom_sentinel.kills import kill_log
from oom_sentinel.protection import plan
from oom_sentinel.protection.guard import Guard
from oom_sentinel.settings import selector
from oom_sentinel.settings import Settings

# While memory is plentiful the whole table's memory is read this seldom, in seconds: it only
# feeds the kill order shown; new processes are met at every scan all the same.
PLENTIFUL_SWEEP_S = 40.0
LISTING_S = 10.0  # a listing comes this often even when nothing was forked
PLENTIFUL_SHARE = 2.0  # times memory.available_warn_percent

_NOBODY = Process(0, 0, 0, 0, Program(''))  # what a node without a process is matched as


class Sentinel:
    """Knows and protects; call `cycle` every publish_period, `scan` when something forked."""

    def __init__(self, settings: Settings, *, root: str = '/',
                 node_name: str = '/oom_sentinel', watching: str | None = None,
                 monotonic: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time) -> None:
        """Open the tree and take over what an earlier sentinel of this boot left."""
        self.settings = settings
        self.node_name = node_name
        self._monotonic = monotonic
        self._wall = wall
        self.root = kernel.Root(root)
        self.host = self.root.host()
        self._lookout = kernel.Lookout(self.root)
        self.table = kernel.Table(self.root, ros_prefixes=ros_prefixes())
        self._chains = kernel.Chains(self.table.cgroups)
        self._swaps = kernel.Swaps(self.root)
        self._shm = kernel.SharedMemory(self.root)
        self._vmstat: VmStat | Unavailable | None = None
        self.guard = Guard(self.root, self.host, plan.View(
            os.geteuid(), os.getpid(), own_domain_id()), watching=watching)
        self._graph: dict[int, tuple[str, ...]] = {}
        self._missing: tuple[str, ...] = ()
        self._processes: tuple[Process, ...] = ()
        self._scanned_s = self._swept_s = self._listed_s = float('-inf')
        self._last_pid: int | None = None
        self.told_of_execs = False  # whether whoever begins a program is sure to be told to meet
        self._history = risk.History()
        self._assessment: risk.Assessment | None = None
        self._levels: tuple[tuple[str, Level], ...] = ()
        self._plentiful = False
        self._sample: Sample | None = None
        self.kill_log = kill_log.open_kill_log(
            self.root, self.table, settings.incident_directory, monotonic, wall)

    @property
    def hostname(self) -> str:
        """Return the host's name."""
        return self.host.hostname

    def configure(self, settings: Settings) -> None:
        """Take new settings; the next scan, due at once, follows them."""
        self.settings = settings
        self._scanned_s = self._listed_s = float('-inf')

    def learn(self, names: Mapping[int, tuple[str, ...]],
              missing: tuple[str, ...] = ()) -> bool:
        """Take node names by PID and nodes without a process; tell whether names changed."""
        self._missing = missing
        if dict(names) == self._graph:
            return False
        self._graph = dict(names)
        self._scanned_s = self._listed_s = float('-inf')  # the next scan is due at once
        return True

    def ros_processes(self) -> tuple[Process, ...]:
        """Return what looks like ROS, of this domain, the sentinel included."""
        view = self.guard.view
        return tuple(p for p in self._processes
                     if p.program.ros and p.program.ros_domain_id in (None, view.ros_domain_id))

    def forked(self) -> bool:
        """Tell, for a microsecond or two, whether a new process may have come."""
        last = self.root.last_pid()
        return last != self._last_pid or self.table.young(self._monotonic())

    def _sweep_due(self, now_s: float) -> bool:
        return not self._plentiful or now_s - self._swept_s >= PLENTIFUL_SWEEP_S

    def meet(self, pids: frozenset[int]) -> int:
        """
        Look at who began a program, scan if one of them matters; return how many live.

        :param pids: who; when none is named whoever came since the last reading is looked for.
        """
        now_s = self._monotonic()
        met = self.table.meet(pids or self.table.strangers(now_s), now_s)
        if any(plan.eligible(p, self.settings, self.guard.view) and (
                p.program.ros or p.oom_score_adj or plan.group_of(p, self.settings))
                for p in met):
            self.scan(new=True)
        return len(met)

    def scan(self, *, new: bool = False) -> None:
        """Read the process table and protect; `new` says that somebody is new for certain."""
        now_s = self._monotonic()
        names = self.guard.hear()
        if names is not None:
            self.table.learn(names)
        elif not new and self._nobody_came(now_s):
            self._scanned_s = now_s
            return
        self._last_pid = self.root.last_pid()
        everything = self._sweep_due(now_s)
        tracked = frozenset(t.process.pid for t in self.guard.planned.targets)
        processes = self.table.read(now_s, everything=everything, tracked=tracked)
        self._processes = tuple(
            replace(p, graph_node_names=self._graph[p.pid]) if p.pid in self._graph else p
            for p in processes)
        self._scanned_s = self._listed_s = now_s
        if everything:
            self._swept_s = now_s
        ancestors = plan.ancestors(self._processes, os.getppid())
        if ancestors != self.guard.view.ancestors:
            self.guard.view = replace(self.guard.view, ancestors=ancestors)
        if everything:
            self.guard.heed(self._processes, now_s)
        self.guard.protect(self._processes, self.settings, self._wall())
        self.kill_log.remember_processes(self._processes, self.guard.planned.targets)

    def _rescan(self) -> None:
        """Read the whole table now, also what is settled."""
        self._swept_s = self._listed_s = float('-inf')
        self.scan()

    def _nobody_came(self, now_s: float) -> bool:
        """
        Tell, while memory is plentiful, whether a listing would show nothing new.

        Without a fork there is no new process, and where execs are told `meet` has met it;
        the tracked ones are looked at all the same, so that a drift or a death is noticed
        within scan_period.
        """
        if not self._plentiful or now_s - self._listed_s >= LISTING_S:
            return False
        if self.table.ripen(now_s) if self.told_of_execs else self.forked():
            return False
        return not self.table.refresh(t.process.pid for t in self.guard.planned.targets)

    @property
    def cgroup_paths(self) -> frozenset[str]:
        """Return the control groups at stake and their ancestors, as last read."""
        return self._chains.paths

    def sample(self, woken_by: tuple[str, ...] = (), waking: Waking = Waking()) -> Sample:
        """Return a reading of the machine with the process table as last scanned."""
        now_s, meminfo, vmstat = self._monotonic(), self.root.meminfo(), self.root.vmstat()
        policy, surroundings = self._lookout.look(now_s, self._processes)
        own = self._chains.own(now_s)
        paths = dict.fromkeys([own] + [t.process.cgroup for t in self.guard.planned.targets
                                       if t.group is not None])
        killed, self._vmstat = vmstat != self._vmstat, vmstat
        chains = self._chains.read(tuple(p for p in paths if p is not None), now_s, killed)
        return Sample(
            now_s, self._wall(), self.host, meminfo, self.root.pressure(), vmstat,
            policy, chains, own, self._processes, self._swept_s,
            self._chains.members(chains, now_s, self._listed_s), woken_by, surroundings,
            boottime_s=self.root.boottime(), swaps=self._swaps.read(meminfo, now_s),
            dds_segments=self._shm.read(now_s), waking=waking)

    def protection(self, sample: Sample) -> Protection:
        """Return the state of protection against this sample."""
        chains = () if isinstance(sample.chains, Unavailable) else sample.chains
        at_stake = {t.process.cgroup for t in self.guard.planned.targets if t.wanted < 0}
        groups = tuple(dict.fromkeys(
            group.path for chain in chains if chain.path in at_stake or not at_stake
            for group in chain.groups if group.oom_group))
        missing = tuple(name for name in self._missing if self._named(name))
        return self.guard.protection(self.settings, missing, groups)

    def _named(self, node_name: str) -> bool:
        """Tell whether a node: selector of a group means this node."""
        return any(s.kind == 'node' and not s.exclude and selector.matches(
            (s,), _NOBODY, node_name) for g in self.settings.protection_groups for s in g.match)

    def cycle(self, woken_by: tuple[str, ...] = (), waking: Waking = Waking()) -> Report:
        """Sample, assess, protect when a scan is due, and return what there is to say."""
        # Whatever woke is told first (a scan takes 38 ms measured), but delays a scan only once.
        due_s = self._scanned_s + self.settings.scan_period * (2 if woken_by else 0.95)
        if self._monotonic() >= due_s:
            self.scan()
        self.kill_log.read_log()
        sample = self.sample(woken_by, waking)
        stalled, self._sample = sample.stalled(self._sample), sample
        protection = self.protection(sample)
        assessment, self._history = risk.assess(
            sample, self._history, self.settings, protection)
        self._assessment = assessment
        self._plentiful = self._is_plentiful(sample, assessment)
        keep = 0 if self.guard.watching else self.settings.incident_keep  # the first writes
        kills = self.kill_log.update(sample, self.guard.planned.targets, keep, self._rescan)
        statuses = report.compose(sample, assessment, protection, self.settings, kills)
        levels = tuple((s.name, s.level) for s in statuses)
        changed, self._levels = bool(self._levels) and levels != self._levels, levels
        return Report(statuses, sample.mem_available_percent, sample.some_avg10,
                      assessment.oom_risk, changed, tuple(map(report.kill, kills.fresh)),
                      stalled)

    def _is_plentiful(self, sample: Sample, assessment: risk.Assessment) -> bool:
        percent, room = sample.mem_available_percent, assessment.tightest
        share = PLENTIFUL_SHARE * self.settings.memory_available_warn_percent
        return (assessment.risk.level == Level.OK and percent is not None
                and (room is None or room.percent > share)
                and percent > share)

    def apply(self) -> tuple[bool, str]:
        """Rescan and apply now, asking anew for what was denied; say what was done."""
        if self.guard.watching:
            return False, f'Nothing was written: {self.guard.watching}.'
        if not self.settings.protection_enabled:
            return False, 'Nothing was written: protection.enabled is false.'
        self.guard.paused = False
        self.guard.forget_floors()
        self.guard.outcomes.clear()
        self._rescan()
        targets = self.guard.planned.targets
        denied = [o for o in self.guard.outcomes.values() if o.result == Result.DENIED]
        words = f'{len(targets)} processes have the value that protection wants'
        if denied:
            words = (f'{len(targets)} processes are looked after, lowering was denied for '
                     f'{len(denied)}; the others are raised by {self.guard.planned.shift}')
        return True, words + '.'

    def restore(self) -> tuple[bool, str]:
        """Give every changed process its old value back and stop protecting until apply."""
        if self.guard.watching:
            return False, f'Nothing was changed by this sentinel: {self.guard.watching}.'
        self.guard.paused = True
        done, total = self.guard.restore()
        return done == total, (f'{done} of {total} changed processes have their old value '
                               'again; protection rests until ~/apply.')

    def close(self, orderly: bool) -> str:
        """
        End: restore where that is safe, release the lock, return the line for the log.

        :param orderly: false after an exception; then every value stays.
        """
        try:
            if self.guard.watching or not self.guard.ledger:
                return 'No value to restore.'
            if not orderly:
                return 'Values stay as they are: the sentinel ends after an error.'
            if not self.settings.protection_restore_on_exit:
                return 'Values stay as they are: protection.restore_on_exit is false.'
            if self._assessment is not None and self._assessment.risk.level != Level.OK:
                return 'Values stay as they are: memory is at risk, protection outlives me.'
            done, total = self.guard.restore()
            return f'{done} of {total} changed processes have their old value again.'
        finally:
            self.guard.release()
            self.kill_log.close()
            # The last message still runs a cycle, which must not write anything again.
            self.guard.watching = self.guard.watching or 'the sentinel has ended'
