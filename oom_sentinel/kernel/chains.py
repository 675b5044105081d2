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
The control groups of the sentinel and of protected processes, read again at little cost.

The usage of a limited group is read at every call, limits and groups without a limit only every
REREAD_S: an idle robot without limits then pays 3 us a cycle instead of 344 (measured, v1, three
groups).
"""

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import ancestry
from oom_sentinel.kernel.cgroups import MemoryCgroups

REREAD_S = 10.0


class Chains:
    """Reads chains of control groups, and remembers the groups of the last call."""

    def __init__(self, cgroups: MemoryCgroups) -> None:
        """Read nothing yet."""
        self.cgroups = cgroups
        self._groups: dict[str, MemoryCgroup] = {}
        self._read_s = self._own_s = NEVER_S
        self._own: str | None = None
        self._members: tuple[tuple[str, frozenset[int]], ...] = ()
        self._members_of: tuple[object, ...] = ()
        self._members_s = NEVER_S

    @property
    def paths(self) -> frozenset[str]:
        """Return the groups of the last chains, below the mount."""
        return frozenset(self._groups)

    def own(self, now_s: float) -> str | None:
        """Return the sentinel's own path, None when unknown, read again every REREAD_S."""
        if due(now_s, self._own_s, REREAD_S):
            self._own, self._own_s = self.cgroups.path_of('self'), now_s
        return self._own

    def read(self, paths: tuple[str, ...], now_s: float,
             anew: bool = False) -> tuple[CgroupChain, ...] | Unavailable:
        """
        Return the chain of each path.

        :param anew: read limits and usage of all groups, because a process was killed.
        """
        if self.cgroups.mount is None:
            return self.cgroups.unavailable
        last = self._groups
        if anew or due(now_s, self._read_s, REREAD_S):
            last, self._read_s = {}, now_s
        now: dict[str, MemoryCgroup] = {}
        chains = []
        for path in paths:
            for at in ancestry(path):
                if at not in now:
                    now[at] = self._group(last.get(at), at)
            chains.append(CgroupChain(path, tuple(now[at] for at in ancestry(path)),
                                      self.cgroups.hidden))
        self._groups = now
        return tuple(chains)

    def _group(self, last: MemoryCgroup | None, path: str) -> MemoryCgroup:
        if last is None:
            return self.cgroups.group(path)
        if last.limited:
            return self.cgroups.refreshed(last)
        # Values that protect depend on a limit: one that is set meanwhile counts at once (7 us).
        return self.cgroups.group(path) if self.cgroups.has_limit(path) else last

    def members(self, chains: tuple[CgroupChain, ...] | Unavailable, now_s: float,
                came: object) -> tuple[tuple[str, frozenset[int]], ...]:
        """
        Return the PIDs below each limited group.

        :param came: any value that differs when there may be a new process; while it is the
            same, the groups are walked through only every REREAD_S.
        """
        if isinstance(chains, Unavailable):
            return ()
        limited = tuple(dict.fromkeys(
            group.path for chain in chains for group in chain.groups
            if group.limit_bytes is not None or group.memsw_limit_bytes is not None))
        key = (limited, came)
        if key != self._members_of or due(now_s, self._members_s, REREAD_S):
            self._members = tuple((path, self.cgroups.members(path)) for path in limited)
            self._members_of, self._members_s = key, now_s
        return self._members
