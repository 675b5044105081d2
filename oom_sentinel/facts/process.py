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

"""Facts about processes: identity, what runs in them, what they hold."""

from typing import NamedTuple

from oom_sentinel.facts.frozen import frozen


class Identity(NamedTuple):
    """
    A process that cannot be mistaken for another: PID and start time in clock ticks.

    A tuple, because it is made and hashed for each process of each scan: 0.3 us in place of 2.2.
    """

    pid: int
    start_time: int


@frozen
class Program:
    """
    What a process runs; changes only with exec.

    `executable` is the program's base name: of the executable itself where readable, for
    an interpreter the script's.  `package` is PKG of a path below lib/PKG/.  `node_names`
    are fully qualified and come from the command line.  `ros` says that it runs from
    lib/PKG of a ROS prefix, carries --ros-args or maps librcl.
    """

    comm: str
    cmdline: tuple[str, ...] = ()
    exe: str | None = None
    executable: str = ''
    package: str | None = None
    node_names: tuple[str, ...] = ()
    ros: bool = False
    ros_domain_id: int | None = None


@frozen
class TaskMemory:
    """
    What a task holds, as oom_badness() counts it: resident, swapped, page tables.

    `file_bytes` is the part of the resident memory that maps files (since Linux 4.5).
    """

    rss_bytes: int
    swap_bytes: int
    page_table_bytes: int
    file_bytes: int | None = None


@frozen
class Process:
    """
    One process as read now.

    `memory` is None for kernel threads and zombies, and where it was not read this time.
    `graph_node_names` come from the ROS graph, where any peer can forge them: they lower no
    value.  `listed_node_names` are what a component container itself says that it runs.
    `same_pid_namespace` is None when the link could not be read.  `initial_init` is true for
    PID 1 of the initial PID namespace, which the kernel never kills; a container's PID 1 is
    killed as any other process.
    """

    pid: int
    start_time: int
    ppid: int
    uid: int
    program: Program
    state: str = 'S'
    memory: TaskMemory | None = None
    oom_score: int | None = None
    oom_score_adj: int | None = None
    cgroup: str | None = None
    kernel_thread: bool = False
    same_pid_namespace: bool | None = None
    graph_node_names: tuple[str, ...] = ()
    initial_init: bool = False
    listed_node_names: tuple[str, ...] = ()

    @property
    def identity(self) -> Identity:
        """Return the identity, which a later process with the same PID does not share."""
        return Identity(self.pid, self.start_time)

    @property
    def node_names(self) -> tuple[str, ...]:
        """Return every known node name, those of the command line first."""
        trusted = self.trusted_node_names
        if not self.graph_node_names and len(trusted) < 2:
            return trusted
        return tuple(dict.fromkeys((*trusted, *self.graph_node_names)))

    @property
    def trusted_node_names(self) -> tuple[str, ...]:
        """Return the names that the process itself says: command line, then list_nodes."""
        return self.program.node_names + self.listed_node_names

    @property
    def label(self) -> str:
        """Return the name that an operator knows: its first node, else its executable."""
        names = self.node_names
        return names[0] if names else (self.program.executable or self.program.comm)
