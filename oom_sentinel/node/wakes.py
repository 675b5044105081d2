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
What wakes the node, what it does then, and when it publishes.

New programs are looked at, with their nodes in the graph; a stall of memory, an event of a
control group and the kernel's log run the cycle before its time.
"""

from collections.abc import Callable
import contextlib
import time

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.sample import Wake
from oom_sentinel.facts.sample import Waking
from oom_sentinel.kernel.wake import ALARM
from oom_sentinel.kernel.wake import GroupEvents
from oom_sentinel.kernel.wake import NEW_PROGRAMS
from oom_sentinel.kernel.wake import NewPrograms
from oom_sentinel.kernel.wake import Stalls
from oom_sentinel.kernel.wake import TMPFS_WRITE
from oom_sentinel.kernel.wake import TmpfsWrites
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.kills.kill_log import KERNEL_LOG
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import Settings


CYCLE = 'cycle'  # its time has come
SCAN = 'scan'
SHEDDING = 'shedding'  # a cycle, while a process is being ended
# A storm of wakes runs the cycle no more often than this; the first one at once.
HURRY_S = 0.1
# After a process of ROS began a program the graph is looked at this often for so long, because
# its nodes come up meanwhile; 8.5 us each time unless their number changed.
YOUNG_LOOK_S = 0.2
YOUNG_S = 6.0
# Another program is looked at less often.  On a small board a node takes many seconds to come up:
# while one is expected, for so long.
SLOW_LOOK_S = 0.4
MET_S = 0.15  # new processes that were looked for so long ago are not looked for again yet
SLOW_S = 20.0


class Wakes:
    """Registers what wakes with the watch and answers it."""

    def __init__(self, watch: Watch, sentinel: Sentinel, learn: Callable[[], None],
                 cycle: Callable[[], None]) -> None:
        """
        Begin to notice new programs; `follow` adds the rest.

        :param learn: asks the graph where that could bring news.
        :param cycle: runs a cycle, which calls `begin`.
        """
        self._watch = watch
        self._sentinel = sentinel
        self._learn = learn
        self._cycle = cycle
        # Source name -> what to do; it returns whether the cycle runs at once.
        # A source without an answer always runs it.
        self.answers: dict[str, Callable[[Wake], bool]] = {
            ALARM: self._read_young_again, NEW_PROGRAMS: self._read_new_programs,
            TMPFS_WRITE: self._look_at_tmpfs, 'signal': lambda wake: False, SCAN: self._scan}
        self._new_programs = NewPrograms(watch)
        sentinel.scanner.reports_execs = self._new_programs.reported
        sentinel.kill_log.use_signal_deaths(self._new_programs.deaths)
        self._stalls = Stalls(watch, sentinel.root)
        self._mount = sentinel.table.cgroups.mount
        self._groups: GroupEvents | None = None
        if self._mount is not None:
            with contextlib.suppress(OSError):  # no inotify instance left: counters are read
                self._groups = GroupEvents(watch, sentinel.root, self._mount.mount_point,
                                           self._mount.version)
        self._tmpfs: TmpfsWrites | None = None
        with contextlib.suppress(OSError):  # then such files are missing from the plan
            self._tmpfs = TmpfsWrites(watch)
        self._woken_by: tuple[str, ...] = ()
        self._hurried_s = self._urgent_s = self._young_since_s = float('-inf')
        self._met_s = float('-inf')
        self._protected_s = float('-inf')  # when there was a process of a group last
        self._has_run = False  # in this answer

    @property
    def waking(self) -> Waking:
        """Return which changes of memory wake the node."""
        return self._stalls.waking

    def answer(self) -> None:
        """Do what the wakes ask for; run the cycle in its time, and at once where that is due."""
        wakes = self._watch.taken()
        regular = any(wake.name in (CYCLE, SHEDDING) for wake in wakes)
        self._has_run = False
        try:
            self._answer_news(tuple(w for w in wakes if w.name not in (CYCLE, SHEDDING)))
        finally:  # whatever failed, the cycle has its time
            if regular and not self._has_run:
                self._cycle()

    def _run_at_once(self) -> None:
        self._has_run = True
        self._cycle()

    def _answer_news(self, wakes: tuple[Wake, ...]) -> None:
        now_s = time.monotonic()
        # A kill is reported before anything else is answered: a scan took 80 ms on a busy machine.
        # Nor is it delayed by a cycle that something else has just run.
        if any(w.name == KERNEL_LOG for w in wakes) and now_s >= self._urgent_s + HURRY_S:
            self._urgent_s = now_s
            if KERNEL_LOG not in self._woken_by:
                self._woken_by += (KERNEL_LOG,)
            self._run_at_once()
            wakes = tuple(w for w in wakes if w.name != KERNEL_LOG)
        for wake in wakes:
            answer = self.answers.get(wake.name)
            if (answer is None or answer(wake)) and wake.name not in self._woken_by:
                self._woken_by += (wake.name,)
        if not self._woken_by:
            return
        now_s = time.monotonic()
        if now_s < self._hurried_s + HURRY_S:
            self._watch.alarm(self._hurried_s + HURRY_S)
        else:
            self._hurried_s = now_s
            self._run_at_once()

    def begin(self) -> tuple[str, ...]:
        """Return the names of the wakes that asked for this cycle before its time."""
        woken_by, self._woken_by = self._woken_by, ()
        return woken_by

    def follow(self, settings: Settings, paths: frozenset[str]) -> None:
        """Wait for stalls as the settings want, and for events of these control groups."""
        self._set_alarm()
        now_s = time.monotonic()
        if self._sentinel.guard.planned.targets:
            self._protected_s = now_s
        self._new_programs.hurry(now_s - self._protected_s < SLOW_S)
        files: frozenset[str] = frozenset()
        if self._mount is not None and self._mount.version == 2:
            files = frozenset(f'{self._mount.mount_point}{path}/memory.pressure'
                              for path in paths if path != '/')
        self._stalls.arm(settings.pressure_trigger_stall_ms, files)
        if self._groups is not None:
            self._groups.follow(paths)

    def _read_new_programs(self, _wake: Wake) -> bool:
        """Read the processes that began a program; their nodes are in the graph a little later."""
        self._met_s = time.monotonic()
        if self._sentinel.meet(self._new_programs.taken()):
            self._young_since_s = time.monotonic()
            self._watch.alarm(self._young_since_s + YOUNG_LOOK_S)
        return False

    def _read_young_again(self, _wake: Wake) -> bool:
        self._sentinel.look_soon()
        self._set_alarm()
        now_s = time.monotonic()
        age_s = now_s - self._young_since_s
        expected = age_s < SLOW_S and self._node_expected()
        if age_s < YOUNG_S or expected:
            if not self._new_programs.reported and due(now_s, self._met_s, MET_S):
                self._met_s = now_s
                self._sentinel.meet(frozenset())  # what was forked runs its own program by now
            self._sentinel.read_young_again()  # a service changes its user after its start
            self._learn()
            self._watch.alarm(now_s + (YOUNG_LOOK_S if expected and age_s < YOUNG_S
                                       else SLOW_LOOK_S))
        return False

    def _scan(self, _wake: Wake) -> bool:
        self._sentinel.scan()
        return False

    def _look_at_tmpfs(self, _wake: Wake) -> bool:
        """Let the sentinel look for files in memory that no process's size shows."""
        self._sentinel.look_at_tmpfs()
        return False

    def _set_alarm(self) -> None:
        """Set the alarm for what the sentinel wants to look at before its next cycle."""
        soon_s = self._sentinel.scanner.next_look_s
        if soon_s is not None:
            self._watch.alarm(soon_s)

    def _node_expected(self) -> bool:
        """Return whether a ROS process has no node yet that is known."""
        return any(not process.node_names for process in self._sentinel.ros_processes())

    def close(self) -> None:
        """Wait for nothing any more."""
        self._stalls.close()
        if self._groups is not None:
            self._groups.close()
        if self._tmpfs is not None:
            self._tmpfs.close()
        self._new_programs.close()


EARLY_S = 0.05  # a cycle that comes so much too early still publishes


class Pace:
    """Keeps the period of the diagnostics, whatever is published in between."""

    def __init__(self) -> None:
        """Let the first report be due."""
        self._last_s = NEVER_S

    def publishes(self, now_s: float, period_s: float, *, at_once: bool) -> bool:
        """
        Return whether the report of this moment is published.

        What goes out at once does not put off the next regular report: the gap would be nearly
        two periods.
        """
        regular = due(now_s, self._last_s, period_s - EARLY_S)
        if regular:
            self._last_s = now_s
        return regular or at_once
