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

"""Generated falls are warned of in time, generated healthy hours are left in peace."""

import random

from bench.replay import falls
from bench.replay import healthy
from bench.replay import peers
from bench.replay import score
import pytest

FALLS = 4  # of each shape; python -m bench.replay plays more
HEALTHY_S = 1200


def test_few_falls_are_warned_of_too_late_and_the_range_holds_their_end():
    """WARN comes a minute before the end, of short falls half of the fall before."""
    found = [score.fell(trace, peers.ours(trace)) for trace in (
        falls.fall(shape, random.Random(f'test {shape} {number}'), longest_s=500)
        for shape in falls.SHAPES for number in range(FALLS))]
    assert sum(f.late for f in found) <= 0.1 * len(found)
    assert 0.8 <= sum(f.inside for f in found) / sum(f.told for f in found) <= 0.97


@pytest.mark.parametrize('kind', sorted(set(healthy.KINDS) - {'allocate and free'}))
def test_healthy_hours_raise_no_error(kind):
    """Starts, collectors, warm-ups, suspends, cold starts: not more than one WARN in an hour."""
    said = [peers.ours(healthy.healthy(kind, random.Random(f'test {kind} {number}'), HEALTHY_S))
            for number in range(3)]
    assert sum(score.episodes(s, 2) for s in said) == 0
    assert sum(score.episodes(s, 1) for s in said) <= 1


@pytest.mark.parametrize('kind', ['bring-up', 'container', 'loads', 'idle'])
def test_starts_and_single_allocations_raise_nothing(kind):
    """However long a start takes, up to four minutes."""
    for number in range(6):
        trace = healthy.healthy(kind, random.Random(f'start {kind} {number}'), 600)
        assert score.episodes(peers.ours(trace), 1) == 0
