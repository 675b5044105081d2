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

"""The rules of protection on hundreds of simulated storms (bench/storm), in seconds."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(ROOT))
scenes = pytest.importorskip('bench.storm.scenes')
simulate = pytest.importorskip('bench.storm.simulate')

SEEDS = range(1, 9)


@pytest.mark.parametrize('kind', scenes.KINDS)
def test_simulated_storms_keep_the_promises(kind):
    """No critical node dies needlessly, no more bystanders than without the sentinel."""
    innocent = [0, 0]
    for seed in SEEDS:
        scene = scenes.build(seed, kind)
        without, guarded = simulate.pair(scene)
        marks = simulate.broken(without, guarded)
        assert 'C' not in marks, (seed, without, guarded)
        assert 'H' not in marks or scene.several_protected_leak, (seed, without, guarded)
        innocent[0] += without['innocent']
        innocent[1] += guarded['innocent']
    assert kind == 'protected' or innocent[1] <= innocent[0]


@pytest.mark.parametrize('kind', scenes.KINDS)
def test_simulated_storms_keep_the_promises_where_lowering_is_permitted(kind):
    """A leak that inherits or has a low value is seen at 10 and 50 MiB/s, too late at 1000."""
    innocent = [0, 0]
    for seed in (seed for number in SEEDS for seed in (4 * number - 3, 4 * number - 2)):
        without, guarded = simulate.pair(scenes.build(seed, kind), lowering=True)
        assert not set(simulate.broken(without, guarded)) & {'C', 'H'}, (seed, without, guarded)
        innocent[0] += without['innocent']
        innocent[1] += guarded['innocent']
    assert kind == 'protected' or innocent[1] <= innocent[0]


def test_the_simulation_can_fail():
    """Without the sentinel critical nodes die needlessly in these very scenes."""
    found = [simulate.Simulation(scenes.build(seed, 'unmatched'), False).run()
             for seed in SEEDS]
    assert sum(entry['needless'] for entry in found) >= 3
