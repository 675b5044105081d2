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

"""Facts about the machine, and about the place where the robot's software runs on it."""

from oom_sentinel.facts.frozen import frozen


# /proc/PID/ns/pid of the initial PID namespace (PROC_PID_INIT_INO, include/linux/proc_ns.h).
INITIAL_PID_NAMESPACE = 'pid:[4026531836]'


@frozen
class Host:
    """Facts that do not change while the sentinel runs; `page_size` is in bytes."""

    hostname: str
    page_size: int
    kernel_release: str
    clock_ticks: int = 100
    boot_id: str | None = None

    @property
    def kernel_version(self) -> tuple[int, int]:
        """Return major and minor of the kernel release, (0, 0) when it is not readable."""
        parts = self.kernel_release.split('-')[0].split('.')
        if len(parts) < 2 or not (parts[0].isdigit() and parts[1].isdigit()):
            return (0, 0)
        return (int(parts[0]), int(parts[1]))


@frozen
class Container:
    """The kind ('Docker', 'Podman', 'Kubernetes', 'LXC', 'container') and the evidence for it."""

    kind: str
    evidence: str


@frozen
class Unit:
    """
    A systemd service that ROS processes run in (systemd.service(5), systemd.exec(5)).

    `oom_policy` is 'stop', 'continue' or 'kill', defaults included; `oom_score_adjust` is None
    when the unit sets none.  `user` is true for a unit of a user's own service manager.
    """

    name: str
    oom_policy: str
    oom_score_adjust: int | None = None
    user: bool = False
    processes: int = 0


@frozen
class KernelLog:
    """
    Where this user can read the kernel's log.

    `readable` is None when nowhere; then `why_not` holds the reason and `group` the group whose
    members may read it.
    """

    readable: str | None = None
    why_not: str = ''
    group: str | None = None


@frozen
class Limits:
    """Soft limits of getrlimit(2); None is unlimited or unknown."""

    address_space_bytes: int | None = None
    data_bytes: int | None = None
    open_files: int | None = None


@frozen
class Surroundings:
    """
    The place where the software runs, which changes the meaning of other facts; read seldom.

    `wsl` is 1 or 2 in the Windows Subsystem for Linux.  `user_session_adj` is the
    oom_score_adj that user@.service gave to everything in this user's session, None outside
    one.  `neighbours` are the programs that kill before the kernel does, by comm.
    """

    container: Container | None = None
    wsl: int | None = None
    units: tuple[Unit, ...] = ()
    user_session_adj: int | None = None
    neighbours: tuple[str, ...] = ()
