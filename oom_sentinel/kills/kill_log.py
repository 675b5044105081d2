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
Every OOM kill, from the kernel's record or its counters to a report with names and a folder.

Reads the kernel log that is open to this user and queues incidents.  Knows nothing of ROS.
"""

from collections import deque
from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import replace
import time

from oom_sentinel import kernel
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.kill import SignalDeath
from oom_sentinel.facts.kill import THE_KERNEL_SAID_SO
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel import log
from oom_sentinel.kernel.pidfds import ExitCodes
from oom_sentinel.kills import records
from oom_sentinel.kills.action_log import ActionLog
from oom_sentinel.kills.action_log import rows_of
from oom_sentinel.kills.attribution import Attribution
from oom_sentinel.kills.counter_reader import CounterReader
from oom_sentinel.kills.counters import Counters
from oom_sentinel.kills.counters import UnexplainedKills
from oom_sentinel.kills.incident import History
from oom_sentinel.kills.incident import Incident
from oom_sentinel.kills.incident_folder import IncidentWriter
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.records import Records
from oom_sentinel.kills.stall import StallWatch
from oom_sentinel.kills.told import KEPT
from oom_sentinel.kills.told import ToldKills
from oom_sentinel.kills.userspace_log import UserspaceLog

KERNEL_LOG = 'kernel log'  # the name of the wake by a kill
# How long a log may take to tell what a counter shows: /dev/kmsg was 7 ms behind at most.
# Without a log the watch needs 0.3 s to read how processes ended.
GRACE_S = {'kmsg': 1.0, 'counters': 0.5}
GRACE_OTHER_S = 5.0


class KillLog:
    """Collects OOM kills from log and counters, names the victims, returns each kill once."""

    def __init__(self, *, live: bool, foreign_pids: bool, directory: str,
                 monotonic: Callable[[], float] = time.monotonic,
                 wall: Callable[[], float] = time.time,
                 counters: CounterReader | None = None, exits: ExitCodes | None = None,
                 lives: Callable[[OomKill], bool] = lambda kill: False) -> None:
        """
        Start empty; `open` reads the past.

        :param live: false for a captured tree, which has no kernel log.
        :param foreign_pids: the kernel log counts PIDs of another namespace than ours.
        :param directory: where incident folders go, '' for none.
        :param counters: reads the counters; None: a sample's own are used.
        :param exits: says how processes ended.
        :param lives: returns whether the victim of a kill still lives.
        """
        self._monotonic = monotonic
        self._wall = wall
        self._live = live
        self.attribution = Attribution(
            foreign_pids=foreign_pids, reader=counters, exits=exits)
        self._unexplained = UnexplainedKills()
        self._history = History()
        self.writer = IncidentWriter(directory if live else '')
        self.stalls = StallWatch(self.writer)
        self.actions = ActionLog(self.writer)
        self.feed = log.Feed(log.Nothing())
        self._userspace = UserspaceLog()
        self._refused: tuple[str, ...] = ()
        self._parser: Parser | None = None
        self._repeated = 0
        self._past: tuple[OomKill, ...] = ()
        self._logged: list[OomKill] = []
        self._told = ToldKills()
        self._records = Records(self.attribution, self._unexplained, self._told, lives)
        self._opened_wall_s = wall()
        self._opened_s = monotonic()

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
        past: deque[OomKill] = deque(maxlen=KEPT)
        while True:
            before = machine()
            past.extend(replace(kill, before_start=True, lines=()) for kill in self._parsed())
            now = machine()
            if before == now:
                break
        self._unexplained.count(
            Counters(now if self.attribution.counts_machine else None), self._monotonic())
        self._repeated = self._parser.repeated
        self._past = tuple(past)

    def _parsed(self) -> Iterator[OomKill]:
        """Yield the kills of the lines that came."""
        if self._parser is None:
            return
        for line in self.feed.take():
            for kill in self._parser.feed(line):
                # What the log only lets infer, the counters know better; what a program ended
                # is no kill of the kernel.
                if kill.kind is Killer.KERNEL and kill.certainty == THE_KERNEL_SAID_SO:
                    yield kill

    def remember_processes(self, processes: Iterable[Process],
                           targets: Iterable[Target]) -> None:
        """Remember the processes of a scan, so that a victim has a name after its death."""
        self.attribution.remember_processes(processes, targets, self._monotonic())

    def remember_new(self, met: Iterable[Process]) -> None:
        """Remember processes that began between two scans: they may die before the next one."""
        self.attribution.known.add(met, self._monotonic())

    def use_written_values(self, written: Callable[[Identity], tuple[int, ...]]) -> None:
        """Take what returns the last values of oom_score_adj that were written to a process."""
        self.attribution.known.written = written

    def use_signal_deaths(
            self, deaths: Callable[[float], tuple[SignalDeath, ...] | None]) -> None:
        """Take what returns who died by signal 9 since a time, None where it is unknown."""
        self.attribution.signal_deaths = deaths

    def read_log(self) -> None:
        """
        Read new kills from the log; call it before the counters are read.

        The kernel counts a kill before it prints it, so counters that are read after the log
        are never behind it.
        """
        self.feed.source.tend(self._monotonic())
        self._logged += [self._dated(kill) for kill in self._parsed()]

    def _dated(self, kill: OomKill) -> OomKill:
        """
        Return the kill with the wall clock's time.

        The kernel's stamps leave out suspend and drift; what is read live from its own buffer
        happened now.  A journal begins with the past; its own time shows which lines those are.
        """
        if self.feed.source.name == 'kmsg' or kill.time is None:
            return replace(kill, time=self._wall())
        return replace(kill, before_start=kill.time < self._opened_wall_s - 1.0)

    def update(self, sample: Sample, targets: Iterable[Target], keep: int,
               rescan: records.Rescan, full_avg10_error: float = float('inf')) -> Kills:
        """
        Return all known kills, and which of them are new in this cycle.

        :param keep: how many incident folders stay; 0 writes none.
        :param rescan: reads which processes ended and the memory of these, None: of all, and
            passes them to `remember_processes`.
        :param full_avg10_error: the full pressure above which the machine stalls.
        """
        now_s = self._monotonic()
        fresh = [self.attribution.attributed(kill, None, now_s, sample, now_s)
                 for kill in self._past]
        self._past = ()
        self._unexplained.count(
            self.attribution.read_counters(sample, self._unexplained.open), now_s)
        self._match_records(now_s)
        for record in self._records.ready(now_s, rescan, sample.groups_at_stake):
            if record.kill.certainty == UNCONFIRMED:
                fresh.append(self.attribution.unconfirmed(record.kill, now_s))
                continue
            seen = self.attribution.attributed(
                record.kill, record.counted, record.at_s, sample, now_s)
            counted = record.counted
            if not self._told.replace_inference(
                    seen, None if counted is None else counted.told_as):
                fresh.append(seen)
        fresh += self._inferred(sample, now_s, rescan)
        fresh += [self.attribution.ended_by_program(kill, sample, now_s)
                  for kill in self._userspace.read(
                      sample.surroundings.neighbours if self._live else (), now_s, self._wall())]
        for seen in fresh:
            self._keep(seen, sample, keep)
        self._history.add(sample, targets)
        self.stalls.update(sample, self._history.rows(), full_avg10_error, keep)
        return self._summary(tuple(fresh), now_s)

    def _match_records(self, now_s: float) -> None:
        """Match each new record with the counted kill that it is about."""
        if self._parser is not None:
            # The kernel prints and counts the first victim of memory.oom.group twice.
            for _ in range(self._parser.repeated - self._repeated):
                self._unexplained.explain(None, now_s)
            self._repeated = self._parser.repeated
        logged, self._logged = self._logged, []
        self._records.add(logged, self.feed.source.name, now_s, self._wall())

    def _inferred(self, sample: Sample, now_s: float,
                  rescan: records.Rescan) -> list[SeenKill]:
        """Return kills that only a counter shows, each after its own grace."""
        grace_s = GRACE_S.get(self.feed.source.name, GRACE_OTHER_S)
        due = self._unexplained.due(now_s, grace_s)
        if not due:
            return []
        new = {counted.group for counted in due if not counted.looked}
        whole = not self.attribution.counters.groups or new & {None, *sample.groups_at_stake}
        rescan(None if whole else self.attribution.may_be_missing(due))
        for counted in due:
            counted.looked = True
        return self.attribution.infer(self._unexplained.untold, grace_s, sample, now_s)

    def _keep(self, seen: SeenKill, sample: Sample, keep: int) -> None:
        self._told.add(seen)
        if seen.kill.before_start or seen.kill.certainty == UNCONFIRMED:
            return
        if keep <= 0 or not self.writer.directory:
            return
        possible = self.attribution.known.possible_victims(
            seen.seen_s, seen.kill.oom_memcg if seen.elsewhere else None)
        self.writer.write_later(Incident(
            seen, sample, self._history.rows(), tuple(k.process for k in possible),
            {k.process.identity: k.target.group for k in possible if k.target is not None},
            tuple(rows_of(self.actions.recent(sample.wall_s)))), keep)

    def note_actions(self, shedding: Shedding, sample: Sample, keep: int) -> None:
        """Take what shedding did in this cycle; `keep` is how many incident folders stay."""
        if shedding.fresh or shedding.mode == 'act':
            self.actions.add(shedding, sample, self._history.rows(), keep)

    def _summary(self, fresh: tuple[SeenKill, ...], now_s: float) -> Kills:
        writer, name = self.writer, self.feed.source.name
        refused = self._refused + ((self.feed.trouble,) if self.feed.trouble else ())
        return Kills(
            self._told.seen, fresh, self._told.since_start, name, refused, self.feed.missed,
            writer.newest if writer.directory else 'incident.directory is empty',
            writer.all_trouble,
            watched_s=now_s - self._opened_s if self._live else None,
            blind=self.attribution.why_blind if name == 'counters' else None,
            counted_here=self.attribution.counted_here, stalled=self.stalls.earlier)

    def close(self) -> None:
        """Close the kernel log, and write the incidents that wait."""
        self.stalls.end_orderly()
        self.feed.close()
        self._userspace.close()
        self.attribution.close()
        self.writer.close()


def open_kill_log(root: kernel.Root, table: kernel.Table, directory: str,
                  monotonic: Callable[[], float], wall: Callable[[], float]) -> KillLog:
    """Return a kill log that has read the past; a captured tree has no past."""
    def machine() -> int | None:
        vmstat = root.vmstat()
        return None if isinstance(vmstat, Unavailable) else vmstat.oom_kill

    host = root.host()
    made = KillLog(
        live=root.live, foreign_pids=not table.initial_pid_namespace, directory=directory,
        monotonic=monotonic, wall=wall, exits=ExitCodes(root, host.kernel_version),
        lives=lambda kill: records.victim_lives(root, kill, wall()),
        counters=CounterReader(table.cgroups, machine_counts=(
            table.initial_pid_namespace and table.cgroups.hidden is None)))
    made.stalls.look_back(host.boot_id)
    made.open(machine)
    return made
