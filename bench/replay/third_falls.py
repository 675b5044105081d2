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

"""Falls of the third set (third.py): ten shapes, whose lengths lie around five minutes."""

import math

from bench.replay.third import machine
from bench.replay.third import noise
from bench.replay.trace import Trace


def _in_bursts(chance, seconds, shape):
    """Return ones and zeros whose stretches have Weibull lengths of about a thirtieth."""
    found, on = [], True
    while len(found) < 4 * seconds:
        found += [float(on)] * (1 + round(chance.weibullvariate(seconds / 30, shape)))
        on = not on
    return found


def _teeth(chance, seconds):
    """Return a leak below a heap whose collections take a fifteenth to a fifth of the fall."""
    found, share = [], chance.triangular(0.2, 0.7)
    while len(found) < 4 * seconds:
        up = max(3, round(seconds * chance.triangular(0.03, 0.15)))
        found += [1.0] * up + [-share * up / 2] * 2
    return found


def _flights(chance, seconds):
    found, every = [], seconds / chance.triangular(5, 18)
    while len(found) < 4 * seconds:
        found += [0.0] * round(every * chance.triangular(0.6, 1.4)) + [chance.gammavariate(6, 1)]
    return found


def _chunks(chance, seconds):
    rate = chance.triangular(0.03, 0.4)
    return [chance.weibullvariate(1, 1.2) if chance.random() < rate else 0.0
            for _ in range(4 * seconds)]


def _faster(chance, seconds):
    power, begins = chance.triangular(0.3, 2.2), chance.triangular(0, 0.3)
    return [begins + (i / seconds) ** power for i in range(3 * seconds)]


def _doubling(chance, seconds):
    times = chance.triangular(1, 6)
    return [2 ** (times * i / seconds) for i in range(2 * seconds)]


def _second_leak(chance, seconds):
    when, more = chance.triangular(0.1, 0.7, 0.4) * seconds, chance.lognormvariate(0.6, 0.6)
    return [1.0 + more * (i > when) for i in range(3 * seconds)]


def _wandering(chance, seconds):
    wild, pull, value = chance.uniform(0.3, 1.2), chance.uniform(0.02, 1.0), 0.0
    found = []
    for _ in range(5 * seconds):
        value += -pull * value + wild * math.sqrt(2 * pull) * chance.gauss(0, 1)
        found.append(1 + value + chance.gauss(0, 1.5 * wild))
    return found


SHAPES = {
    'steady': lambda chance, n: [chance.triangular(0.7, 1.3) for _ in range(3 * n)],
    'chunky': _chunks,
    'heavy-tailed': lambda chance, n: [chance.gammavariate(0.15, 1) for _ in range(4 * n)],
    'stop-and-go': lambda chance, n: _in_bursts(chance, n, chance.uniform(0.8, 2)),
    'sawtooth': _teeth, 'stairs': _flights,
    'accelerating': _faster, 'exponential': _doubling,
    'two leaks': _second_leak, 'random walk': _wandering}


def fall(shape, chance, longest_s=2000):
    """Return one fall of about half a minute or longer, after an ordinary time on the robot."""
    total, seconds = machine(chance), round(longest_s ** chance.triangular(0.44, 1.0, 0.75))
    start, rest_s = total * chance.triangular(0.25, 0.9), chance.randint(40, 600)
    steps = SHAPES[shape](chance, seconds)
    pace = start / (sum(steps[:seconds]) or 1.0)
    jitter, value = noise(chance, total, rest_s + len(steps)), start
    left = [start + jitter[i] for i in range(rest_s)]
    for i, step in enumerate(steps):
        value -= pace * step
        if value <= 0:
            break
        left.append(max(4096.0, value + jitter[rest_s + i]))
    return Trace(shape, total, tuple(left), float(len(left)), float(rest_s))
