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

"""The facts that `oom_sentinel doctor` judges, and its findings."""

from enum import IntEnum

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.host import KernelLog
from oom_sentinel.facts.host import Limits
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.settings import Group


class Severity(IntEnum):
    """How much a finding matters; JSON carries the name in lower case."""

    INFO = 0
    WARNING = 1
    ERROR = 2


@frozen
class Finding:
    """
    One thing that makes an OOM likely or protection impossible.

    `remedy` is a script for a shell: one command a line, remarks begin with `#`.
    """

    id: str
    severity: Severity
    evidence: str
    remedy: str


@frozen
class Ros:
    """
    What is known of ROS without it running.

    `launch_integrated` is None where ros2 launch is not installed.  `middleware` is
    RMW_IMPLEMENTATION, '' when unset.
    """

    launch_integrated: bool | None = None
    middleware: str = ''


@frozen
class Checkup:
    """
    One look at a host.

    `floor` is the lowest oom_score_adj permitted to what this user starts here, `user` is who
    asks and `user_groups` the groups that the user database gives to them, `processors` how
    many this process may use, `colcon` says that it is installed, `root_free_bytes` and
    `home_free_bytes` are the free space for a swap file and for ~/.ros; all of them, `kernel_log`,
    `limits` and `ros` are None or empty in a captured tree.  `groups` are the protection groups
    of the parameters.  `kernel_command_line` is /proc/cmdline.
    """

    host: Host
    meminfo: MemInfo
    pressure: Pressure | Unavailable
    policy: VmPolicy
    surroundings: Surroundings
    chains: tuple[CgroupChain, ...] | Unavailable = ()
    own_cgroup: str | None = None
    cgroup_mount: str = '/sys/fs/cgroup'
    processes: tuple[Process, ...] = ()
    kernel_command_line: str = ''
    floor: int | Unavailable = Unavailable('not tried')
    user: str = ''
    kernel_log: KernelLog | None = None
    limits: Limits = Limits()
    ros: Ros = Ros()
    dds_segments: DdsSegments | Unavailable = Unavailable('not read')
    groups: tuple[Group, ...] = ()
    user_groups: tuple[str, ...] = ()
    processors: int | None = None
    colcon: bool = False
    root_free_bytes: int | None = None
    home_free_bytes: int | None = None
