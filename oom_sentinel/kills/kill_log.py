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
Every OOM kill, from the kernel's word or its counters to a report with names and a folder.

Reads the kernel log that is open to this user, holds what is known of processes beyond their
death, and hands incidents to their writer.  Knows nothing of ROS.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from dataclasses import replace
import time

from oom_sentinel import kernel
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import log
from oom_sentinel.kills.counters import Counters
from oom_sentinel.kills.counters import counters
from oom_sentinel.kills.counters import infer
from oom_sentinel.kills.counters import UnexplainedKills
from oom_sentinel.kills.incident import History
from oom_sentinel.kills.incident import Incident
from oom_sentinel.kills.incident_folder import IncidentWriter
from oom_sentinel.kills.known_processes import KnownProcesses
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.risk import badness

KERNEL_LOG = 'kernel log'  # what a wake by a kill is called
KEPT = 20  # the depth of ~/oom_kills
# How long a log may take to tell what a counter shows: /dev/kmsg was 7 ms behind at most, a
# journal or syslog daemon on a machine out of memory takes its time.  Without any log the victim
# has its time to die, lest one that just ended by itself is taken for it.
GRACE_S = {'kmsg': 1.0, 'counters': 0.25}
GRACE_OTHER_S = 5.0
# A victim needs some 20 to 40 ms to die (measured), more when its memory is large or the
# machine is busy.
DEATH_S = 4.0
TWICE_S = 5.0
PLENTIFUL_PERCENT = 10.0  # of MemTotal: then it was a control group's limit


class KillLog:
    """
    Collects OOM kills from the kernel log and the kill counters.

    It names the process that each kill hit and returns new kills once per cycle.
    """

    def __init__(self, *, live: bool, foreign_pids: bool, directory: str,
                 monotonic: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time) -> None:
        """
        Start empty; `open` reads the past.

        :param live: false for a captured tree, which has no kernel log.
        :param directory: where incident folders go, '' for none.
        """
        self._monotonic = monotonic
        self._wall = wall
        self._live = live
        self._known = KnownProcesses(foreign_pids=foreign_pids)
        self._unexplained = UnexplainedKills()
        self._history = History()
        self.writer = IncidentWriter(directory if live else '')
        self.feed = log.Feed(log.Nothing())
        self._refused: tuple[str, ...] = ()
        self._parser: Parser | None = None
        self._repeated = 0
        self._past: tuple[OomKill, ...] = ()
        self._logged: list[OomKill] = []
        self._waiting: list[tuple[OomKill, bool, float]] = []
        self._seen: deque[SeenKill] = deque(maxlen=KEPT)
        self._since_start = 0
        self._opened_wall_s = wall()
        self._open_from_s = monotonic()

    def open(self, machine: Callable[[], int | None]) -> None:
        """
        Open the kernel's log and read its past.

        :param machine: returns /proc/vmstat's oom_kill; the past ends where it stands still
            while the log is read, so that no kill is counted twice or not at all.
        """
        if not self._live:
            return
        source, self._refused = log.best()
        self.feed = log.Feed(source)
        self._parser = Parser(source.name, self._wall() - self._monotonic())
        past: list[OomKill] = []
        while True:
            before = machine()
            past += self._parsed()
            now = machine()
            if before == now:
                break
        self._unexplained.count(Counters(now), self._monotonic())
        self._repeated = self._parser.repeated
        self._past = tuple(replace(kill, before_start=True) for kill in past)[-KEPT:]

    def _parsed(self) -> list[OomKill]:
        assert self._parser is not None
        feed = self._parser.feed
        return [kill for line in self.feed.take() for kill in feed(line)]

    def remember_processes(self, processes: Iterable[Process], targets: Iterable[Target]) -> None:
        """Remember the processes of a scan, so that a victim has a name after its death."""
        self._known.update(processes, targets, self._monotonic())

    def update(self, sample: Sample, targets: Iterable[Target], keep: int,
                 rescan: Callable[[], None]) -> Kills:
        """
        Return all known kills, and which of them are new in this cycle.

        :param keep: how many incident folders stay; 0 writes none.
        :param rescan: reads the process table and passes it to `remember_processes`.
        """
        now_s = self._monotonic()
        fresh = [self._attributed(kill, now_s) for kill in self._past]
        self._past = ()
        self._unexplained.count(counters(sample), now_s)
        self._credit_repeats()
        heard, self._logged = self._logged, []
        self._waiting += [(kill, not kill.before_start and self._unexplained.log(), now_s)
                          for kill in heard]
        for kill, again in self._ready(now_s, rescan):
            if self._killed_twice(kill, fresh):
                continue
            seen = self._attributed(kill, now_s)
            if again:
                self._replace_inferred(seen)
            else:
                fresh.append(seen)
        fresh += self._inferred(sample, now_s, rescan)
        for seen in fresh:
            self._keep(seen, sample, keep)
        self._history.add(sample, targets)
        return self._summary(tuple(fresh))

    def read_log(self) -> None:
        """
        Read new kills from the log; call it before the counters are read.

        The kernel counts a kill before it prints it, so counters that are read after the log
        are never behind it.
        """
        self.feed.source.tend(self._monotonic())
        if self._parser is not None:
            self._logged += [self._dated(kill) for kill in self._parsed()]

    def _credit_repeats(self) -> None:
        """Count what the parser left out: the kernel counts a group's first victim twice."""
        if self._parser is not None:
            for _ in range(self._parser.repeated - self._repeated):
                self._unexplained.log()
            self._repeated = self._parser.repeated

    def _ready(self, now_s: float,
               rescan: Callable[[], None]) -> list[tuple[OomKill, bool]]:
        """
        Return the kills that can be told, each with whether it was inferred before.

        In a PID namespace the death tells which process of the name was meant, if any of ours.
        """
        waiting, self._waiting = self._waiting, []
        if self._known.foreign_pids and waiting:
            rescan()
            self._waiting = [
                w for w in waiting if not w[0].before_start and now_s - w[2] < DEATH_S
                and not self._known.died_with_name(w[0].victim_comm, w[0].task_memcg)]
        return [(w[0], w[1]) for w in waiting if w not in self._waiting]

    def _dated(self, kill: OomKill) -> OomKill:
        """
        Return the kill with the wall clock's time.

        The kernel's stamps leave out suspend and drift; what is read live happened now.  A
        journal begins with the past, which its own time tells.
        """
        if self.feed.source.name == 'kmsg' or kill.time is None:
            return replace(kill, time=self._wall())
        return replace(kill, before_start=kill.time < self._opened_wall_s - 1.0)

    def _attributed(self, kill: OomKill, now_s: float, how: str = '') -> SeenKill:
        """Return the kill with its names; of one from before the start nobody is known."""
        if kill.before_start:
            return SeenKill(kill, now_s, 'not known: before the sentinel started',
                            self._known.largest_processes(kill, now_s))
        if not how:
            kill, how = self._known.attribute(kill)
        return SeenKill(kill, now_s, how, self._known.largest_processes(kill, now_s))

    def _inferred(self, sample: Sample, now_s: float,
                  rescan: Callable[[], None]) -> list[SeenKill]:
        """Return kills that only a counter shows, once a log had its time and who died is gone."""
        if not self._unexplained.unexplained:
            self._open_from_s = now_s
            return []
        grace_s = GRACE_S.get(self.feed.source.name, GRACE_OTHER_S)
        open_s = self._unexplained.open_s(now_s)
        if open_s < grace_s:
            return []
        rescan()
        count = self._unexplained.unexplained
        missing = self._known.died_since(self._open_from_s)
        page = sample.host.page_size
        total = 1 if isinstance(sample.meminfo, Unavailable) else badness.machine_totalpages(
            sample.meminfo, page)
        found = infer(count, missing, self._unexplained.where, limits=_limits(sample),
                      totalpages=total, page_size=page, wall_s=sample.wall_s)
        # Somebody may be missing and yet not be a member of the group whose counter rose.
        if any(k.victim_pid is None for k, _ in found) and open_s < grace_s + DEATH_S:
            return []
        self._unexplained.infer(count)
        self._open_from_s = now_s
        return [self._attributed(kill, now_s, how) for kill, how in found]

    def _killed_twice(self, kill: OomKill, fresh: list[SeenKill]) -> bool:
        """
        Tell whether the kernel says the same death again.

        memory.oom.group kills the victim first and then every member, the victim included;
        the kernel prints and counts that too.
        """
        return any(
            other.kill.victim_pid == kill.victim_pid and other.kill.source == kill.source
            and other.kill.victim_comm == kill.victim_comm
            and abs((other.kill.boot_time_s or 0.0) - (kill.boot_time_s or 0.0)) < TWICE_S
            for other in (*self._seen, *fresh))

    def _replace_inferred(self, seen: SeenKill) -> None:
        """Let the kernel's own word stand where an inference stood; it is one kill."""
        for index, other in enumerate(self._seen):
            if other.kill.source == 'counters' and (
                    other.kill.victim_pid in (None, seen.kill.victim_pid)):
                self._seen[index] = replace(seen, seen_s=other.seen_s)
                return

    def _keep(self, seen: SeenKill, sample: Sample, keep: int) -> None:
        self._seen.append(seen)
        if seen.kill.before_start:
            return
        self._since_start += 1
        if keep <= 0 or not self.writer.directory:
            return
        before = self._known.victims_possible_at(seen.seen_s)
        self.writer.write_later(Incident(
            seen, sample, self._history.rows(), tuple(k.process for k in before),
            {k.process.identity: k.target.group for k in before if k.target is not None}), keep)

    def _summary(self, fresh: tuple[SeenKill, ...]) -> Kills:
        writer, trouble = self.writer, self.writer.trouble
        if writer.left_out:
            trouble = f'{writer.left_out} incidents left out, the disk is too slow' + (
                f'; {trouble}' if trouble else '')
        better = self._refused + ((self.feed.trouble,) if self.feed.trouble else ())
        return Kills(tuple(self._seen), fresh, self._since_start, self.feed.source.name,
                     better, self.feed.missed,
                     writer.newest if writer.directory else 'incident.directory is empty',
                     trouble)

    def close(self) -> None:
        """Close the kernel log, and write the incidents that wait."""
        self.feed.close()
        self.writer.close()


def open_kill_log(root: kernel.Root, table: kernel.Table, directory: str,
                  monotonic: Callable[[], float], wall: Callable[[], float]) -> KillLog:
    """Return a kill log that has read the past; a captured tree has no past."""
    def machine() -> int | None:
        vmstat = root.vmstat()
        return None if isinstance(vmstat, Unavailable) else vmstat.oom_kill

    made = KillLog(live=root.live, foreign_pids=not table.initial_pid_namespace,
                   directory=directory, monotonic=monotonic, wall=wall)
    made.open(machine)
    return made


def _limits(sample: Sample) -> tuple[str, ...]:
    """Return the control groups with a limit, none when the machine itself is short."""
    if isinstance(sample.chains, Unavailable):
        return ()
    if (sample.mem_available_percent or 0.0) < PLENTIFUL_PERCENT:
        return ()
    return tuple({g.path for chain in sample.chains for g in chain.groups
                  if g.limit_bytes is not None or g.memsw_limit_bytes is not None})
