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

"""Falls of ten shapes: memory that really ends."""

import math

from bench.replay.trace import MB
from bench.replay.trace import noise
from bench.replay.trace import SIZES_MB
from bench.replay.trace import Trace


def _steady(chance, seconds):
    return [i / seconds for i in range(2 * seconds)]


def _scaled(steps, seconds):
    """Return the sum of the steps, scaled so that it reaches 1 after about `seconds`."""
    pace, total, found = sum(steps[:seconds]) or 1.0, 0.0, [0.0]
    for step in steps:
        total += step / pace
        found.append(total)
    return found


def _chunky(chance, seconds):
    every = chance.randint(2, max(3, min(20, seconds // 10)))
    return _scaled([chance.expovariate(1) if i % every == 0 else 0.0
                    for i in range(3 * seconds)], seconds)


def _heavy_tailed(chance, seconds):
    alpha = chance.uniform(1.3, 2.2)
    return _scaled([chance.paretovariate(alpha) for _ in range(3 * seconds)], seconds)


def _stop_and_go(chance, seconds):
    go, stop = (chance.uniform(3, max(4, min(40, seconds / 6))) for _ in range(2))
    steps = []
    while len(steps) < 3 * seconds:
        steps += [1.0] * round(chance.uniform(0.5, 1.5) * go)
        steps += [0.0] * round(chance.uniform(0.5, 1.5) * stop)
    return _scaled(steps, seconds)


def _sawtooth(chance, seconds):
    period, depth = chance.uniform(5, max(6, min(120, seconds / 5))), chance.uniform(0.05, 0.25)
    return [i / seconds * (1 - depth) + depth * ((i / period) % 1) for i in range(2 * seconds)]


def _stairs(chance, seconds):
    steps = chance.randint(5, 20)
    return [math.floor(i / seconds * steps + 0.5) / steps for i in range(2 * seconds)]


def _accelerating(chance, seconds):
    power = chance.uniform(1.3, 3.0)
    return [(i / seconds) ** power for i in range(2 * seconds)]


def _growing(chance, seconds):
    rate = chance.uniform(1.0, 4.0)
    return [(math.exp(rate * i / seconds) - 1) / (math.exp(rate) - 1)
            for i in range(2 * seconds)]


def _two_leaks(chance, seconds):
    when, share = chance.uniform(0.2, 0.6), chance.uniform(0.2, 0.6)
    return [share * i / seconds + (1 - share) * max(0.0, i / seconds - when) / (1 - when)
            for i in range(2 * seconds)]


def _walk(chance, seconds):
    wild = chance.uniform(1.0, 4.0)
    return _scaled([max(-wild, chance.gauss(1, wild)) for _ in range(4 * seconds)], seconds)


SHAPES = {'steady': _steady, 'chunky': _chunky, 'heavy-tailed': _heavy_tailed,
          'stop-and-go': _stop_and_go, 'sawtooth': _sawtooth, 'stairs': _stairs,
          'accelerating': _accelerating, 'exponential': _growing, 'two leaks': _two_leaks,
          'random walk': _walk}


def fall(shape, chance, longest_s=2000):
    """Return one fall of half a minute or longer: a rest, then memory goes."""
    total = chance.choice(SIZES_MB) * MB
    start = total * chance.uniform(0.25, 0.85)
    rest_s = chance.randint(20, 400)
    seconds = round(32 * (longest_s / 32) ** chance.random())
    gone = SHAPES[shape](chance, seconds)
    jitter = noise(chance, total, rest_s + len(gone))
    left = [start + jitter[i] for i in range(rest_s)]
    for i, share in enumerate(gone):
        value = start * (1 - share) + jitter[rest_s + i]
        if value <= 0:
            break
        left.append(value)
    return Trace(shape, total, tuple(left), float(len(left)), float(rest_s))
