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

"""Everything that one cycle read, and why it was woken; time arrives inside it."""


from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable


@frozen
class Wake:
    """
    A source that asked for attention since it was last taken.

    `name` is the source's, `monotonic_s` when it first asked, `times` how often.  `ended` says
    that nothing more will come from it: its cgroup was removed, its writer is gone.
    """

    name: str
    monotonic_s: float
    times: int = 1
    ended: bool = False


@frozen
class Waking:
    """
    What about memory wakes the sentinel at once.

    `stall_us` within `window_us` does, unless `why` holds a reason against it; `groups`
    control groups have such a trigger of their own.
    """

    stall_us: int = 0
    window_us: int | None = None
    why: str | None = None
    groups: int = 0


@frozen
class Sample:
    """
    One reading of the machine.

    `chains` are the memory control groups of the sentinel (`own_cgroup`) and of the tracked
    processes, each path once.  `processes` is the whole table as last read, at
    `processes_monotonic_s`.  `members` maps a cgroup path to the PIDs below it.  `woken_by`
    names what asked for this reading before its time, nothing when the timer did.
    `boottime_s` is the clock that goes on while the machine is suspended (CLOCK_BOOTTIME).
    """

    monotonic_s: float
    wall_s: float
    host: Host
    meminfo: MemInfo | Unavailable
    pressure: Pressure | Unavailable
    vmstat: VmStat | Unavailable
    policy: VmPolicy = VmPolicy()
    chains: tuple[CgroupChain, ...] | Unavailable = ()
    own_cgroup: str | None = None
    processes: tuple[Process, ...] = ()
    processes_monotonic_s: float = 0.0
    members: tuple[tuple[str, frozenset[int]], ...] = ()
    woken_by: tuple[str, ...] = ()
    surroundings: Surroundings = Surroundings()
    boottime_s: float | None = None
    swaps: tuple[SwapDevice, ...] = ()
    dds_segments: DdsSegments | Unavailable = Unavailable('not read')
    waking: Waking = Waking()
    malformed: int = 0  # processes left out because a file of theirs is no kernel's

    def stalled(self, last: 'Sample | None') -> bool:
        """
        Return whether tasks waited for memory since the last sample as long as the trigger asks.

        The counter is compared in every cycle: an unprivileged trigger is looked at by the
        kernel only every 2 s, and there may be none.
        """
        if last is None or not self.waking.stall_us or isinstance(
                self.pressure, Unavailable) or isinstance(last.pressure, Unavailable):
            return False
        return (self.pressure.some.total_us - last.pressure.some.total_us
                >= self.waking.stall_us)

    @property
    def groups_at_stake(self) -> frozenset[str]:
        """Return the control groups of the processes at stake, and those above them."""
        if isinstance(self.chains, Unavailable):
            return frozenset()
        return frozenset(group.path for chain in self.chains for group in chain.groups)

    @property
    def mem_available_percent(self) -> float | None:
        """Return MemAvailable as a share of MemTotal, 0..100."""
        memory = self.meminfo
        if isinstance(memory, Unavailable) or memory.mem_available_bytes is None:
            return None
        return 100.0 * memory.mem_available_bytes / memory.mem_total_bytes

    @property
    def some_avg10(self) -> float | None:
        """Return PSI some avg10 of memory, 0..100."""
        return None if isinstance(self.pressure, Unavailable) else self.pressure.some.avg10
