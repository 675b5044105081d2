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

"""What goes on around the sentinel: starts, respawn loops, a node that vanishes, kills."""

import contextlib
import os
import signal
import subprocess
import sys

from bench import confined
from bench import idle

LOOPS = 60
LIMIT_MIB = 48
# Five starts ten times a second; each tenth waits for the five.
STARTS = 'while sleep 0.1; do for n in 1 2 3 4; do sleep 0 & done; wait; done'
# A node of a launch with respawn, by its arguments: it lives for two to nine seconds.  Sixty real
# ones in Python would take 30 s of CPU for each of their lives.
RESPAWN = ("while :; do sh -c 'sleep $((2 + $$ % 8)); :' talker --ros-args "
           '-r __node:=talker_$$; done')


class Surroundings:
    """Everything that runs beside the sentinel; `end` takes it back."""

    def __init__(self):
        """Start what runs all the time."""
        self.children = [self._shell(STARTS), *(self._shell(RESPAWN) for _ in range(LOOPS))]
        self.peer = self._node()
        self.kills = 0

    @staticmethod
    def _shell(script):
        return subprocess.Popen(['sh', '-c', script], start_new_session=True)

    @staticmethod
    def _node():
        return subprocess.Popen([sys.executable, '-c', idle.BARE], stderr=subprocess.DEVNULL,
                                start_new_session=True)

    def replace_peer(self):
        """Let a ROS node vanish without a farewell and another one come."""
        self.peer.kill()
        self.peer.wait()
        self.peer = self._node()

    def kill_one(self):
        """Let the kernel kill a process in a control group, where we may make one."""
        if confined.usable() is None:
            return
        group = confined.Confined('oom_sentinel_endurance', LIMIT_MIB)
        try:
            if not group.tell(group.start(), 2 * LIMIT_MIB):
                self.kills += 1
        finally:
            group.end()

    def end(self):
        """Kill everything and wait for it."""
        for child in (*self.children, self.peer):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
