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

"""Storms of real kills where lowering is permitted: the values of the groups themselves."""

import pathlib
import sys

from conftest import TIMEOUT_S
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parents[3]))
scenes = pytest.importorskip('bench.storm.scenes')
play = pytest.importorskip('bench.storm.play')
stages = pytest.importorskip('bench.storm.stage')
simulate = pytest.importorskip('bench.storm.simulate')

MIB_S = 50  # a guest without hardware support is slow
# Not a fork family: where lowering is permitted nobody raises it, and innocents die before it.
PAIRS = ((2, 'unmatched'), (6, 'nonros'), (3, 'fork_nonros'))


@pytest.fixture(scope='module')
def stage():
    """Return the sentinel of these storms, which may lower; in the end its log is clean."""
    stages.START_S = TIMEOUT_S  # a guest of a busy host
    made = stages.Stage(lowering=True)
    yield made
    said = made.said().decode()
    made.close()
    assert 'a cycle failed' not in said and 'Traceback' not in said, said


@pytest.mark.parametrize('seed, kind', PAIRS)
def test_with_lowering_permitted_no_critical_node_dies_and_no_more_bystanders(stage, seed, kind):
    """-500, -400 and -300 are written, and the leaker dies, also one that forks small children."""
    scene = scenes.build(seed, kind, MIB_S)
    without, guarded = stage.pair(scene)
    lowered = [value for value in stage.values.values() if value < 0]
    assert len(lowered) == sum(actor.protected for actor in scene.actors), stage.values
    assert set(lowered) <= {-500, -400, -300}
    without, guarded = play.count(without), play.count(guarded)
    assert not simulate.broken(without, guarded), (without, guarded)
    assert guarded['critical'] == 0
