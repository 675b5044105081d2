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
"""A report between two regular ones does not put off the second."""

from oom_sentinel.node.wakes import Pace
import pytest


@pytest.mark.parametrize('woken_s', [0.01, 0.3, 0.6, 0.94, 0.97])
def test_no_gap_is_longer_than_a_period_after_a_wake(woken_s):
    """The timer ticks once a second; a wake comes at any time between two ticks."""
    pace, told = Pace(), []
    for at_s, woken in sorted([(0.0, False), (1.0, False), (2.0, False), (3.0, False),
                               (1.0 + woken_s, True)]):
        if pace.publishes(at_s, 1.0, at_once=woken):
            told.append(at_s)
    assert 1.0 + woken_s in told
    assert max(b - a for a, b in zip(told, told[1:])) <= 1.05


def test_cycles_that_come_more_often_publish_once_a_period():
    """As while a process is being ended, five a second."""
    pace = Pace()
    told = [at_s for at_s in range(50) if pace.publishes(at_s / 5, 1.0, at_once=False)]
    assert len(told) == 10
