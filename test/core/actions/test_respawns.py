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
"""Respawns wait while memory is short, and only those of processes that may be shed."""

from oom_sentinel.actions.respawns import DELAY
from oom_sentinel.actions.respawns import RESPAWN
from oom_sentinel.actions.respawns import Respawns
from oom_sentinel.protection import respawn_hold
import pytest


class Action:
    """An action of launch, as far as its respawn goes."""

    def __init__(self, respawn=True, delay_s=None):
        """Set what launch sets."""
        setattr(self, RESPAWN, respawn)
        setattr(self, DELAY, delay_s)
        self.name = 'recorder-1'

    @property
    def delay_s(self):
        """Return what launch waits for."""
        return getattr(self, DELAY)


def test_the_delay_grows_while_memory_is_short_and_is_given_back():
    """10, 20, 40, 60 s, each said; then what the launch file says."""
    said, action = [], Action(delay_s=2.0)
    respawns = Respawns(said.append)
    respawns.started(action, 'recorder-1')
    respawns.look(False)
    assert (action.delay_s, said) == (2.0, [])
    respawns.look(True)
    waits = [action.delay_s]
    for _ in range(4):
        respawns.started(action, 'recorder-1')
        waits.append(action.delay_s)
    assert waits == [10.0, 20.0, 40.0, 60.0, 60.0]
    assert said[0] == 'memory is short: recorder-1 would be respawned after 10 s'
    respawns.look(False)
    assert action.delay_s == 2.0


@pytest.mark.parametrize('action, delay_s', [
    (Action(respawn=False, delay_s=1.0), 1.0), (Action(delay_s=300.0), 300.0)])
def test_a_longer_delay_and_an_action_without_respawn_stay(action, delay_s):
    """Nothing is made shorter."""
    respawns = Respawns(lambda line: None)
    respawns.started(action, 'x')
    respawns.look(True)
    assert action.delay_s == delay_s


def test_the_word_of_the_sentinel_ends_by_itself(tmp_path):
    """After 30 s, when nobody renews it."""
    respawn_hold.hold_respawns(str(tmp_path), 1000.0)
    assert respawn_hold.held_s(str(tmp_path), 1010.0) == 20.0
    assert respawn_hold.held_s(str(tmp_path), 1031.0) == 0.0


@pytest.mark.parametrize('content', [
    '', '[]', '{"until_monotonic_s": "x"}', '{"until_monotonic_s": 1e999}', '[' * 3000,
    '{"until_monotonic_s": 99999}', '{"until_monotonic_s": NaN}', 'x' * 5000])
def test_a_file_that_is_no_use_holds_nobody(tmp_path, content):
    """Of an earlier boot, spoiled, or none at all."""
    (tmp_path / respawn_hold.NAME).write_text(content)
    assert respawn_hold.held_s(str(tmp_path), 1000.0) == 0.0
    assert respawn_hold.held_s(str(tmp_path / 'none'), 1000.0) == 0.0
