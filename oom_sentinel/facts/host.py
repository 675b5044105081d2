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

"""What a machine is, and where the robot's software lives on it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Host:
    """What does not change while the sentinel runs; page_size in bytes."""

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


@dataclass(frozen=True, slots=True)
class Container:
    """What kind ('Docker', 'Podman', 'Kubernetes', 'LXC', 'container'), and what tells so."""

    kind: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Unit:
    """
    A systemd service that ROS processes run in (systemd.service(5), systemd.exec(5)).

    `oom_policy` is 'stop', 'continue' or 'kill', defaults included; `oom_score_adjust` is None
    when the unit sets none.  `user` tells a unit of a user's own service manager.
    """

    name: str
    oom_policy: str
    oom_score_adjust: int | None = None
    user: bool = False
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """
    What changes the meaning of everything else; read seldom.

    `wsl` is 1 or 2 in the Windows Subsystem for Linux.  `user_session_adj` is the
    oom_score_adj that user@.service gave to everything in this user's session, None outside
    one.  `neighbours` are the programs that kill before the kernel does, by comm.
    """

    container: Container | None = None
    wsl: int | None = None
    units: tuple[Unit, ...] = ()
    user_session_adj: int | None = None
    neighbours: tuple[str, ...] = ()
