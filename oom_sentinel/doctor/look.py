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

"""Reads what `oom_sentinel doctor` judges; the judging is in the other files of this room."""

import grp
import importlib.metadata
import importlib.util
import os
import shutil

from oom_sentinel import kernel
from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Ros
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.host import kernel_log
from oom_sentinel.kernel.host import limits
from oom_sentinel.kernel.oom_score_adj import floor
from oom_sentinel.kernel.swap import SharedMemory
from oom_sentinel.settings import Group
import psutil

LAUNCH_EXTENSIONS = 'launch.frontend.launch_extension'


def take(root: kernel.Root, table: kernel.Table, meminfo: MemInfo,
         processes: tuple[Process, ...], groups: tuple[Group, ...] = ()) -> Checkup:
    """
    Return what the doctor looks at; changes nothing but a child of its own.

    :param groups: the protection groups of the parameters.
    """
    mount = table.cgroups.mount
    return Checkup(
        host=root.host(), meminfo=meminfo, pressure=root.pressure(), policy=kernel.policy(root),
        surroundings=kernel.surroundings(root, processes),
        chains=_chains(table, processes), own_cgroup=table.cgroups.path_of('self'),
        cgroup_mount='/sys/fs/cgroup' if mount is None else mount.mount_point,
        processes=processes, kernel_command_line=_command_line(root),
        floor=floor(root), user=_user(root), kernel_log=kernel_log(root),
        limits=limits(root), ros=_ros(root), dds_segments=SharedMemory(root).read(0.0),
        groups=groups, user_groups=_user_groups(root),
        processors=len(os.sched_getaffinity(0)) if root.live else None,
        colcon=root.live and shutil.which('colcon') is not None,
        root_free_bytes=_free(root, '/'), home_free_bytes=_free(root, os.path.expanduser('~')))


def _chains(table: kernel.Table,
            processes: tuple[Process, ...]) -> tuple[CgroupChain, ...] | Unavailable:
    """Return the control groups of this process and of every ROS process."""
    if table.cgroups.mount is None:
        return table.cgroups.unavailable
    paths = dict.fromkeys([table.cgroups.path_of('self')]
                          + [p.cgroup for p in processes if p.program.ros])
    return tuple(table.cgroups.chain(path) for path in paths if path is not None)


def _command_line(root: kernel.Root) -> str:
    try:
        return root.read('/proc/cmdline').decode('utf-8', 'replace')
    except OSError:
        return ''


def _free(root: kernel.Root, path: str) -> int | None:
    """Return the free bytes of the file system at a path, None when it cannot be asked."""
    try:
        return psutil.disk_usage(path).free if root.live else None
    except OSError:
        return None


def _user(root: kernel.Root) -> str:
    """Return the name of this user, the number where the user database has none."""
    return psutil.Process().username() if root.live else ''


def _user_groups(root: kernel.Root) -> tuple[str, ...]:
    """Return the groups that the user database gives to this user, the session's or not."""
    user = _user(root)
    return tuple(group.gr_name for group in grp.getgrall() if user and user in group.gr_mem)


def _ros(root: kernel.Root) -> Ros:
    if not root.live:
        return Ros()
    integrated = None
    if importlib.util.find_spec('launch') is not None:
        integrated = any(point.value.startswith('oom_sentinel.') for point in
                         importlib.metadata.entry_points(group=LAUNCH_EXTENSIONS))
    return Ros(integrated, os.environ.get('RMW_IMPLEMENTATION', ''))
