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

"""Reads everything that one cycle needs of the machine; each reading under its own guard."""

from collections.abc import Callable
from collections.abc import Iterable
import os

from oom_sentinel.facts import parts
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import SwapDevice
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.parts import Parts
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.sample import Waking
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.chains import Chains
from oom_sentinel.kernel.host import Lookout
from oom_sentinel.kernel.host import own_domain_id
from oom_sentinel.kernel.host import swappiness
from oom_sentinel.kernel.scanning import Scanner
from oom_sentinel.kernel.swap import SharedMemory
from oom_sentinel.kernel.swap import Swaps


class Sampler:
    """Reads samples of the machine, with the process table as the scanner last read it."""

    def __init__(self, scanner: Scanner, host: Host, running: Parts,
                 wall: Callable[[], float]) -> None:
        """Read nothing yet."""
        self._scanner = scanner
        self._root = scanner.table.root
        self._host = host
        self._parts = running
        self._wall = wall
        self._lookout = Lookout(self._root)
        self._chains = Chains(scanner.table.cgroups)
        self._swaps = Swaps(self._root)
        self._shm = SharedMemory(self._root)
        self._vmstat: VmStat | Unavailable | None = None
        self._surroundings = VmPolicy(swappiness=swappiness(self._root)), Surroundings()
        self._own_cgroup: str | None = None
        self._ros_cgroups: tuple[str, ...] = ()
        self._ros_cgroups_of: tuple[Process, ...] = ()

    @property
    def cgroup_paths(self) -> frozenset[str]:
        """Return the control groups at stake and their ancestors, as last read."""
        return self._chains.paths

    def limits(self, now_s: float, cgroups: Iterable[str]) -> tuple[
            tuple[CgroupChain, ...] | Unavailable, MemInfo | Unavailable,
            tuple[SwapDevice, ...], int | None]:
        """
        Return what bounds memory in these control groups and in the sentinel's own.

        :returns: the control groups, memory, swap devices and vm.swappiness.
        """
        meminfo = self._parts.read(parts.MEMORY, self._root.meminfo)
        own = self._own_cgroup = self._parts.run(
            parts.OWN_CGROUP, lambda: self._chains.own(now_s), self._own_cgroup)
        paths = tuple(path for path in dict.fromkeys([own, *cgroups]) if path is not None)
        return (self._parts.read(parts.CGROUPS, lambda: self._chains.read(paths, now_s)), meminfo,
                self._parts.run(parts.SWAP, lambda: self._swaps.read(meminfo, now_s), ()),
                self._surroundings[0].swappiness)

    def ros_cgroups(self) -> tuple[str, ...]:
        """
        Return the control groups of this user's ROS processes; for root, of all users.

        A process of another ROS domain belongs to another robot.
        """
        processes, user = self._scanner.processes, os.geteuid()
        domains = (None, own_domain_id())
        if processes is not self._ros_cgroups_of:
            self._ros_cgroups_of = processes
            self._ros_cgroups = tuple(dict.fromkeys(
                p.cgroup for p in processes
                if p.program.ros and p.program.ros_domain_id in domains
                and (user == 0 or p.uid == user) and p.cgroup is not None))
        return self._ros_cgroups

    def read(self, now_s: float, cgroups: Iterable[str | None], woken_by: tuple[str, ...],
             waking: Waking) -> Sample:
        """
        Return a reading of the machine.

        :param cgroups: control groups of protected processes; those of ROS processes are added.
        """
        read, run, scanner = self._parts.read, self._parts.run, self._scanner
        meminfo = read(parts.MEMORY, self._root.meminfo)
        vmstat = read(parts.COUNTERS, self._root.vmstat)
        policy, surroundings = self._surroundings = run(
            parts.SETTINGS_OF_KERNEL, lambda: self._lookout.look(now_s, scanner.processes),
            self._surroundings)
        own = self._own_cgroup = run(
            parts.OWN_CGROUP, lambda: self._chains.own(now_s), self._own_cgroup)
        paths = tuple(path for path in dict.fromkeys([own, *cgroups, *self.ros_cgroups()])
                      if path is not None)
        killed, self._vmstat = _kills(vmstat) != _kills(self._vmstat), vmstat
        chains = read(parts.CGROUPS, lambda: self._chains.read(paths, now_s, killed))
        return Sample(
            now_s, self._wall(), self._host, meminfo, read(parts.PRESSURE, self._root.pressure),
            vmstat, policy, chains, own, scanner.processes, scanner.swept_s,
            run(parts.MEMBERS,
                lambda: self._chains.members(chains, now_s, scanner.listed_s), ()),
            woken_by, surroundings, boottime_s=self._root.boottime(),
            swaps=run(parts.SWAP, lambda: self._swaps.read(meminfo, now_s), ()),
            dds_segments=read(parts.SHARED_MEMORY, lambda: self._shm.read(now_s)),
            waking=waking, malformed=scanner.table.malformed)


def _kills(vmstat: VmStat | Unavailable | None) -> int | None:
    return vmstat.oom_kill if isinstance(vmstat, VmStat) else None
