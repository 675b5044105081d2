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

"""Healthy hours of 15 kinds: memory moves, at least 15 percent stays, nothing ends."""

import math

from bench.replay.trace import MB
from bench.replay.trace import noise
from bench.replay.trace import SIZES_MB
from bench.replay.trace import Trace

HEALTHY_S = 7200
FREE = 0.155  # of the total always stays


def _rest(chance, count):
    return [0.0] * count


def _jobs(chance, count, sizes, seconds, pause_s):
    """Return what jobs hold that take memory, keep it a while and give it back."""
    held, at = [0.0] * count, chance.uniform(60, pause_s)
    while at < count:
        size, up, keep, down = (chance.uniform(*sizes), chance.uniform(*seconds),
                                chance.uniform(0, 60), chance.uniform(1, 10))
        for i in range(int(at), min(count, int(at + up + keep + down))):
            t = i - at
            held[i] += size * min(1.0, t / up, max(0.0, (up + keep + down - t) / down))
        at += up + keep + down + chance.expovariate(1 / pause_s)
    return held


def _garbage(chance, count):
    depth, period = chance.uniform(0.05, 0.3), chance.uniform(5, 300)
    return [depth * ((i / period) % 1) for i in range(count)]


def _walk(chance, count):
    size, value, found = 10 ** chance.uniform(-4, -2.3), 0.3, []
    for _ in range(count):
        value = min(1.0, max(0.0, value + chance.gauss(0, size)))
        found.append(0.6 * value)
    return found


def _allocate_and_free(chance, count):
    return _jobs(chance, count, (0.05, 0.5), (1, 90), chance.uniform(300, 1800))


def _compiler(chance, count):
    return _jobs(chance, count, (0.01, 0.15), (0.5, 15), chance.uniform(5, 60))


def _pip(chance, count):
    return _jobs(chance, count, (0.02, 0.2), (5, 60), chance.uniform(60, 600))


def _jvm(chance, count):
    found, at = [0.0] * count, chance.uniform(30, 600)
    for _ in range(chance.randint(1, 3)):
        heap, up, period = chance.uniform(0.05, 0.2), chance.uniform(3, 20), chance.uniform(5, 90)
        for i in range(int(at), count):
            t = i - at
            found[i] += heap * (min(1.0, t / up) * 0.6 + 0.4 * min(1.0, t / up)
                                * ((t / period) % 1))
        at += chance.uniform(300, 3000)
    return found


def _browser(chance, count):
    found = []
    opens = sorted(chance.uniform(30, count) for _ in range(chance.randint(3, 12)))
    sizes = [chance.uniform(0.01, 0.05) for _ in opens]
    for i in range(count):
        held = sum(size * min(1.0, (i - at) / 6) for at, size in zip(opens, sizes) if i > at)
        found.append(held)
    return found


def _loads(chance, count):
    """Return single allocations: models and maps, each within a second or two."""
    whens = [(chance.uniform(30, count), chance.uniform(0.05, 0.3)) for _ in range(3)]
    return [sum(size for when, size in whens if i >= when) for i in range(count)]


def _warm_up(chance, count):
    size, settle_s = chance.uniform(0.1, 0.45), 10 ** chance.uniform(1.5, 3.5)
    at = chance.uniform(0, 600)
    return [size * (1 - math.exp(-max(0, i - at) / settle_s)) for i in range(count)]


def _ring_buffer(chance, count):
    size, seconds, at = chance.uniform(0.1, 0.4), 10 ** chance.uniform(1.7, 3.5), 120
    return [size * min(1.0, max(0, i - at) / seconds) for i in range(count)]


def _cycle(chance, count):
    depth, period = chance.uniform(0.1, 0.5), chance.uniform(600, 3600)
    return [depth * (0.5 - 0.5 * math.cos(2 * math.pi * i / period)) for i in range(count)]


def _bring_up(chance, count):
    """Return a start in uneven steps that comes to rest after 20 s to 4 min."""
    seconds, size = chance.uniform(20, 240), chance.uniform(0.2, 0.6)
    paces = [chance.expovariate(1) for _ in range(int(seconds) + 1)]
    if chance.random() < 0.5:
        paces = [1.0] * len(paces)
    total, held, found = sum(paces), 0.0, []
    for i in range(count):
        held += paces[i] / total if i < len(paces) else 0.0
        found.append(size * min(1.0, held))
    return found


KINDS = {'idle': _rest, 'bring-up': _bring_up, 'container': _bring_up, 'garbage': _garbage,
         'walk': _walk, 'suspends': _walk, 'swap fills': _rest,
         'allocate and free': _allocate_and_free, 'compiler': _compiler, 'pip': _pip,
         'jvm': _jvm, 'browser': _browser, 'loads': _loads, 'warm-up': _warm_up,
         'ring buffer': _ring_buffer, 'cycle': _cycle}


def healthy(kind, chance, count=HEALTHY_S):
    """Return one trace of two hours."""
    total = chance.choice(SIZES_MB) * MB
    start = total * (0.9 if kind in ('bring-up', 'container') else chance.uniform(0.45, 0.85))
    jitter, held = noise(chance, total, count), KINDS[kind](chance, count)
    left = [max(FREE * total, start - total * h + j) for h, j in zip(held, jitter)]
    if kind == 'warm-up' or kind == 'ring buffer' or kind == 'loads' or kind == 'bring-up' \
            or kind == 'container':
        most = max(held) or 1.0
        room = (start - FREE * total) / total - 0.01
        left = [start - total * h * min(1.0, room / most) + j for h, j in zip(held, jitter)]
        left = [max(FREE * total, value) for value in left]
    born, slept, swap = (), (), ()
    if kind == 'bring-up':
        seconds = next(i for i, h in enumerate(held) if h >= 0.99 * max(held))
        nodes = chance.randint(4, 20)
        born = tuple(0.9 * seconds * i / nodes for i in range(nodes))
    elif kind == 'container':
        born = tuple(float(i) for i in range(chance.randint(1, 2)))
    elif kind == 'suspends':
        slept = tuple(chance.uniform(10, 20000) if chance.random() < 0.001 else 0.0
                      for _ in range(count))
    elif kind == 'swap fills':
        full_s = chance.uniform(60, 5000)
        swap = tuple(0.25 * total * max(0.0, 1 - i / full_s) for i in range(count))
    return Trace(kind, total, tuple(left), born=born, slept=slept, swap=swap)
