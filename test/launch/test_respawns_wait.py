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
"""While memory is short launch respawns later what may be shed, and nothing else."""

import os
import signal
import time

from conftest import wait_for
from oom_sentinel.protection import respawn_hold
from oom_sentinel.protection import saved
import pytest

pytest.importorskip('launch_ros', reason='needs launch_ros, which is on no package index: '
                    'source ROS; CI runs it in the ROS containers')
SHED = """
    /**:
      ros__parameters:
        groups: [eyes]
        group.eyes.match: ['exe:cam_node']
        group.eyes.oom_score_adj: 250
        group.eyes.shed: [interrupt]
"""


def test_a_respawn_waits_while_the_sentinel_says_that_memory_is_short(launch, program, params):
    """And says so; a process that may not be shed is respawned at once."""
    cam, other = program('cam', 'cam_node'), program('base', 'base_node')
    made = launch(f"""
        ProtectLaunch([{params(SHED)!r}]),
        run({cam!r}, '--ros-args', name='cam', respawn=True),
        run({other!r}, '--ros-args', name='base', respawn=True),
    """)
    first, base = made.pid('cam'), made.pid('base')
    os.makedirs(saved.default_directory(), mode=0o700, exist_ok=True)

    def held():
        respawn_hold.hold_respawns(saved.default_directory(), time.monotonic())
        return 'would be respawned after 10 s' in made.text
    wait_for(held, 'the launch says that respawns wait')
    assert made.text.count('would be respawned after') == 1
    os.kill(first, signal.SIGTERM)
    os.kill(base, signal.SIGTERM)
    made.pid('base', 1)
    assert len(made.pids('cam')) == 1
    made.pid('cam', 1)
    wait_for(lambda: made.text.count('[cam-1] first') == 2, 'it runs again')
