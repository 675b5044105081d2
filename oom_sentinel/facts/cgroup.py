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

"""Facts about memory control groups, v1 and v2."""

from oom_sentinel.facts.frozen import frozen


@frozen
class MemoryCgroup:
    """
    One memory control group (Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst).

    `path` is below the controller's mount.  A limit of None means none is set; in v1
    `memsw_limit_bytes` bounds memory and swap together, in v2 `swap_max_bytes` swap alone.
    `high` counts how often tasks were throttled because usage passed `high_bytes`, None where
    that is not set; `oom_kill` counts the kills.  `unreadable` says why the limit is not known:
    then it may well have one.
    `swappiness` is the group's own in v1; 0 keeps it from swapping.  `refaults` counts pages
    that were read again soon after the kernel had taken them back.  `full_avg10` is the group's
    own pressure in percent, in v2.
    """

    path: str
    version: int
    limit_bytes: int | None = None
    usage_bytes: int | None = None
    swap_max_bytes: int | None = None
    swap_usage_bytes: int | None = None
    memsw_limit_bytes: int | None = None
    inactive_file_bytes: int | None = None
    oom_kill: int | None = None
    oom_group: bool = False
    oom_kill_disable: bool = False
    active_file_bytes: int | None = None
    slab_reclaimable_bytes: int | None = None
    memsw_usage_bytes: int | None = None
    high_bytes: int | None = None
    high: int | None = None
    under_oom: bool = False
    unreadable: str | None = None
    swappiness: int | None = None
    refaults: int | None = None
    full_avg10: float | None = None

    @property
    def limited(self) -> bool:
        """Return whether anything bounds this group's memory."""
        return (self.limit_bytes is not None or self.memsw_limit_bytes is not None
                or self.high_bytes is not None)

    @property
    def label(self) -> str:
        """Return how an operator knows it; only a container's own group is a root with a limit."""
        if self.path == '/':
            return 'this container'
        return f'control group {self.path}'


@frozen
class OomEvents:
    """
    Counters of a memory control group: memory.events (v2), memory.oom_control (v1).

    `oom_kill` counts the members that any OOM killed, `oom` how often the limits of this group
    or of one below it were reached without memory to reclaim; None in v1.
    """

    oom_kill: int
    oom: int | None = None


@frozen
class CgroupChain:
    """
    A task's memory control group and its ancestors, the innermost first.

    `hidden` says why there may be more ancestors, with limits, that cannot be seen from here.
    """

    path: str
    groups: tuple[MemoryCgroup, ...] = ()
    hidden: str | None = None

    @property
    def container_group(self) -> MemoryCgroup | None:
        """
        Return the group of the container whose process this chain is of, None without any.

        Where the root of the mount is the container's own, it is that; where the whole
        hierarchy is visible, its outer groups count the kills of other containers too.
        """
        if not self.groups:
            return None
        outermost = self.groups[-1]
        return outermost if self.hidden and outermost.oom_kill is not None else self.groups[0]


def within(path: str | None, ancestor: str) -> bool:
    """Return whether a control group is this one or below it; unknown is never."""
    return path is not None and (
        ancestor == '/' or path == ancestor or path.startswith(ancestor + '/'))
