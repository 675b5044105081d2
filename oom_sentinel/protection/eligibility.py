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
Which processes protection may touch, and which of them it may raise.

Pure.  Raising a process makes the kernel kill it sooner, so everything that a robot or a user's
session depends on is left out.
"""

from collections.abc import Iterable
import re

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Process
from oom_sentinel.settings import programs
from oom_sentinel.settings import Settings

_WORDS = re.compile('[a-z0-9]+')


@frozen
class View:
    """The process that looks: its uid, PID, ROS_DOMAIN_ID and the PIDs of its ancestors."""

    uid: int
    pid: int
    ros_domain_id: int = 0
    ancestors: frozenset[int] = frozenset()


def ancestors(processes: Iterable[Process], *pids: int) -> frozenset[int]:
    """Return these PIDs, their parents, and so on, as far as they are known."""
    parents = {p.pid: p.ppid for p in processes}
    found: set[int] = set()
    for first in pids:
        pid = first
        while pid > 0 and pid not in found:
            found.add(pid)
            pid = parents.get(pid, 0)
    return frozenset(found)


def eligible(process: Process, settings: Settings, view: View) -> bool:
    """Return whether the sentinel may write this process's value at all."""
    if process.pid in (1, view.pid) or process.kernel_thread or process.state in ('Z', 'X'):
        return False
    if process.uid != view.uid and not settings.protection_other_users:
        return False
    if process.same_pid_namespace is False:
        return False
    domain = process.program.ros_domain_id
    return not (process.program.ros and domain is not None and domain != view.ros_domain_id)


def is_launch(process: Process) -> bool:
    """
    Return whether this process is `ros2 launch`.

    All that it starts inherits its value, so it is neither lowered nor raised.
    """
    return 'ros2 launch ' in ' '.join(process.program.cmdline[:6]) + ' ' and \
        process.program.executable not in programs.BYSTANDERS


def is_infrastructure(process: Process) -> bool:
    """Return whether the robot, the session or a container depends on this program."""
    program = process.program
    names = {program.executable, program.comm}
    if not names.isdisjoint(programs.INFRASTRUCTURE | programs.SESSION
                            | programs.PACKAGE_MANAGERS):
        return True
    if program.executable.startswith((programs.DISCOVERY_SERVER, *programs.CONTAINER_SHIMS)):
        return True
    if program.comm.lower().startswith(programs.MULTIPLEXERS):
        return True
    words = program.cmdline
    login_shell = bool(words) and words[0].startswith('-') \
        and program.executable.lstrip('-') in programs.SHELLS
    return login_shell or 'fastdds.py discovery' in ' '.join(words[:6])


def never_raised(process: Process, view: View) -> bool:
    """Return whether raising this process could take the robot or the session down."""
    return process.pid in view.ancestors or is_launch(process) or is_infrastructure(process)


def ours(process: Process, view: View) -> bool:
    """Return whether this is a ROS process of this user, namespace and domain."""
    return (process.program.ros and process.uid == view.uid
            and process.same_pid_namespace is True
            and process.program.ros_domain_id == view.ros_domain_id)


def drives_hardware(process: Process) -> bool:
    """Return whether a ROS package's or program's name says driver or controller."""
    if not process.program.ros:
        return False
    name = f'{process.program.package or ""} {process.program.executable}'.lower()
    return not programs.DRIVER_WORDS.isdisjoint(_WORDS.findall(name))


def raisable(process: Process, settings: Settings, view: View) -> bool:
    """
    Return whether this process may be raised in place of lowering another.

    `protection.raise` = user: every process of this user; ros: ROS processes only.
    """
    if process.uid != view.uid or process.same_pid_namespace is not True:
        return False
    if settings.protection_raise == 'ros' and not ours(process, view):
        return False
    return eligible(process, settings, view) and not never_raised(process, view)
