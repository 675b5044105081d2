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

"""What every verb starts from: the live machine or a captured tree, and the parameter file."""

import os
import time

from oom_sentinel import kernel
from oom_sentinel.cli import output
from oom_sentinel.cli.output import Unusable
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.host import own_domain_id
from oom_sentinel.kernel.host import ros_prefixes
from oom_sentinel.kernel.private_files import read_regular
from oom_sentinel.kernel.root import CaptureError
from oom_sentinel.protection.eligibility import View
from oom_sentinel.settings import parameter_file
from oom_sentinel.settings import Settings
from oom_sentinel.settings.parameter_file import ParamsError
from oom_sentinel.settings.programs import OWN_NODE

GROWN_UP_S = 1e6


@frozen
class Reading:
    """The tree, the host, memory and the whole process table; wall_s is when it was read."""

    root: kernel.Root
    table: kernel.Table
    host: Host
    meminfo: MemInfo
    processes: tuple[Process, ...]
    wall_s: float

    @property
    def sentinel(self) -> Process | None:
        """Return the process of this user's running sentinel, None when there is none."""
        mine = os.geteuid() if self.root.live else None
        return next((p for p in self.processes if p.program.executable == OWN_NODE
                     and mine in (None, p.uid)), None)


def read(path: str) -> Reading:
    """
    Read a tree.

    :param path: '/' for the live machine, or the folder of a captured tree.
    :raises Unusable: when it is no captured tree or lacks /proc/meminfo.
    """
    try:
        root = kernel.Root(path)
        host = root.host()
        meminfo = root.meminfo()
        if isinstance(meminfo, Unavailable):
            raise Unusable(f'--root {path}: memory is {meminfo}')
        table = kernel.Table(root, ros_prefixes=ros_prefixes())
        table.read(0.0)
        # At the second reading no process is young: those that map librcl are recognised too.
        processes = table.read(GROWN_UP_S, scores=True)
    except CaptureError as error:
        raise Unusable(f'--root {path}: not a captured tree: {error}') from error
    except OSError as error:
        raise Unusable(f'--root {path}: {error.filename}: {error.strerror}') from error
    wall_s = time.time() if root.capture is None else root.capture.wall_s
    return Reading(root, table, host, meminfo, processes, wall_s)


def view_of(reading: Reading) -> View:
    """Return the live user's view; in a captured tree that of the robot's own user."""
    if reading.root.live:
        return View(os.geteuid(), os.getpid(), own_domain_id())
    uids = [p.uid for p in reading.processes if p.program.ros]
    return View(uids[0] if uids else 0, 0, own_domain_id())


def read_settings(path: str | None) -> Settings:
    """
    Return the settings of a parameter file, the defaults without one.

    :raises Unusable: naming file and key, when it is unreadable, a value is refused, or it
        has parameters for other nodes only: the defaults would be a wrong answer.
    """
    try:
        loaded = parameter_file.load(
            *([] if path is None else [path]), read=read_regular)
    except ParamsError as error:
        raise Unusable(str(error)) from error
    if loaded.warnings and not loaded.named:
        raise Unusable(loaded.warnings[0])
    for warning in loaded.warnings:
        output.complain(f'oom_sentinel: {warning}')
    return loaded.settings
