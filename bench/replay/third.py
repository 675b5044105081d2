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

"""
A third set of healthy hours and falls, apart from the other two: nothing was tuned on it.

It is told by what happens on a robot: each kind is a story of loads, heaps and caches, with
gamma, Weibull, triangular and Pareto distributions where the other sets have uniform ones.
"""

import math

from bench.replay.trace import MB
from bench.replay.trace import Trace

HEALTHY_S = 7200
STAYS = 0.165  # of the total, at least, on healthy robots


def machine(chance):
    """Return the total of a machine with what firmware and kernel leave of it."""
    return MB * chance.choice((750, 1900, 3800, 7600, 15500, 31000, 62000)) * chance.uniform(
        0.93, 1.0)


def noise(chance, total, count):
    """Return noise: small programs that come and go, a slow wave, and a daemon every minute."""
    size, busy = min(60 * MB, total * 10 ** chance.uniform(-4.5, -2.5)), chance.uniform(0.02, 0.5)
    wave, period = size * chance.random(), chance.uniform(40, 900)
    daemon, value, found = size * chance.choice((0, 3)), 0.0, []
    for i in range(count):
        value *= 1 - busy
        if chance.random() < busy:
            value += chance.triangular(-size, size, 0)
        found.append(value + wave * math.sin(2 * math.pi * i / period)
                     - (daemon if i % 60 < 2 else 0.0))
    return found


def _sum(count, parts):
    """Return the sum of functions of the seconds since each began."""
    held = [0.0] * count
    for begin, length, function in parts:
        for i in range(max(0, math.ceil(begin)), min(count, math.ceil(begin + length))):
            held[i] += function(i - begin)
    return held


def _smooth(share):
    share = min(1.0, max(0.0, share))
    return share * share * (3 - 2 * share)


def _hump(height, rise, stay, fall):
    """Return (length, function) of memory that is taken, kept and given back."""
    return rise + stay + fall, lambda t: height * min(
        _smooth(t / rise), _smooth((rise + stay + fall - t) / fall))


def _times(chance, count, mean_s, shape=0.8):
    """Return moments with Weibull pauses: often in bursts."""
    found, at = [], chance.weibullvariate(mean_s, shape)
    while at < count:
        found.append(at)
        at += 2 + chance.weibullvariate(mean_s, shape)
    return found


def _nothing(chance, count):
    return [0.0] * count


def _launch(chance, count):
    """Return a robot that is launched: its programs load one after the other, some in stages."""
    size, at, parts = chance.triangular(0.1, 0.6, 0.3), 3.0, []
    for _ in range(chance.randint(4, 25)):
        rise = 0.5 + chance.weibullvariate(5, 0.9)
        parts.append((at, rise, chance.gammavariate(0.7, 1)))
        at += chance.expovariate(0.3)
    total, pace = sum(weight for *_, weight in parts), 230 / max(230.0, at)
    return _sum(count, [(pace * at, count, lambda t, r=rise, w=weight: size * w / total
                         * _smooth(t / r)) for at, rise, weight in parts])


def _young_and_old(chance, count):
    """Return a heap of two generations: small teeth on large ones, both of uneven length."""
    young, old = chance.triangular(0.01, 0.1), chance.triangular(0.03, 0.3)
    rate, promoted = young / chance.gammavariate(3, 8), chance.uniform(0.02, 0.3)
    small = large = 0.0
    found, next_full = [], old
    for _ in range(count):
        small += rate * chance.gammavariate(4, 0.25)
        if small >= young:
            small, large = 0.0, large + promoted * young
        if large >= next_full:
            large, next_full = old * chance.uniform(0.1, 0.4), old * chance.uniform(0.7, 1.0)
        found.append(small + large)
    return found


def _reference_counted(chance, count):
    """Return a program that frees its garbage bit by bit for as long as it took it."""
    depth, up, down = (chance.triangular(0.04, 0.35), chance.uniform(10, 400),
                       chance.uniform(5, 200))
    return [depth * (t / up if t < up else 1 - (t - up) / down)
            for t in (i % (up + down) for i in range(count))]


def _slow_and_fast_walk(chance, count):
    """Return the sum of walks that are pulled back over ten seconds, minutes and half an hour."""
    parts = [[chance.uniform(0.005, 0.06), pull_s, 0.0] for pull_s in (10.0, 150.0, 1800.0)]
    found = []
    for _ in range(count):
        for part in parts:
            part[2] += -part[2] / part[1] + part[0] * math.sqrt(2 / part[1]) * chance.gauss(0, 1)
        found.append(max(0.0, 0.2 + sum(value for *_, value in parts)))
    return found


def _occupancy(chance, count):
    """Return load that jumps between levels, as users and missions come and go."""
    level, found = 0.1, []
    for _ in range(count):
        if chance.random() < 1 / 400:
            level = chance.betavariate(1.5, 4) * 0.6
        last = found[-1] if found else level
        found.append(last + (level - last) / 8)
    return found


def _batches(chance, count):
    """Return inference or planning jobs, of one size for each trace and with bursts."""
    height, rise = chance.triangular(0.02, 0.4, 0.1), chance.uniform(1, 30)
    return _sum(count, [(at, *_hump(height * chance.triangular(0.6, 1.2, 1), rise,
                                    chance.gammavariate(2, 8), chance.uniform(0.5, 6)))
                        for at in _times(chance, count, chance.uniform(120, 1200))])


def _errands(chance, count):
    """Return jobs of every size: most small, some half of what is free."""
    return _sum(count, [(at, *_hump(min(0.45, chance.betavariate(1, 5)),
                                    chance.triangular(1, 90, 10), chance.expovariate(1 / 40),
                                    chance.triangular(0.5, 15, 2)))
                        for at in _times(chance, count, chance.uniform(250, 1500))])


def _build(chance, count):
    """Return compilers in three processes, with a linker at the end of each build."""
    parts = []
    for begin in _times(chance, count, 1500):
        seconds = chance.uniform(60, 600)
        parts += [(begin + chance.random() * seconds, *_hump(
            min(0.15, chance.lognormvariate(-4.3, 0.9)), chance.uniform(1, 12),
            chance.uniform(0, 10), 0.5)) for _ in range(int(seconds / chance.uniform(2, 9)))]
        parts.append((begin + seconds, *_hump(chance.uniform(0.03, 0.25),
                                              chance.uniform(3, 30), 2, 0.5)))
    return _sum(count, parts)


def _map(chance, count):
    """Return a mapping run that finds ever less new, and is pruned now and then."""
    begin, size, tau = chance.uniform(30, 900), chance.triangular(0.05, 0.4), chance.uniform(
        200, 2400)
    value, found = 0.0, []
    for i in range(count):
        if i > begin:
            value += (size - value) / tau * chance.gammavariate(1, 1)
        if chance.random() < 1 / 1500:
            value *= chance.uniform(0.6, 0.95)
        found.append(value)
    return found


def _recording(chance, count):
    """Return recordings: a cache that fills evenly, stays, and is closed."""
    return _sum(count, [(at, *_hump(chance.triangular(0.03, 0.3), 10 ** chance.uniform(0.5, 3),
                                    chance.gammavariate(2, 150), 2))
                        for at in _times(chance, count, 2400)])


def _simulator(chance, count):
    """Return a simulator or browser that opens, and whose worlds or pages are changed."""
    held, found, want = 0.0, [], 0.0
    begin, pace = chance.uniform(20, 1200), chance.uniform(0.05, 0.4)
    for i in range(count):
        if i >= begin and (want == 0.0 or chance.random() < 1 / 500):
            want = chance.triangular(0.05, 0.35, 0.15)
        held += (want - held) * pace if want > held else (want - held) * 0.5
        found.append(held)
    return found


def _updates(chance, count):
    """Return a package manager: download, unpack, scripts; once or twice in two hours."""
    parts = []
    for begin in (chance.uniform(60, count) for _ in range(chance.randint(1, 3))):
        for _ in range(chance.randint(3, 12)):
            height, rise = chance.gammavariate(1.5, 0.03), chance.uniform(1, 40)
            parts.append((begin, *_hump(min(0.25, height), rise, chance.uniform(0, 30), 1)))
            begin += rise + chance.expovariate(1 / 15)
    return _sum(count, parts)


def _large_buffers(chance, count):
    """Return point clouds and models: allocations within a second, some given back at once."""
    return _sum(count, [(at, chance.choice((count, chance.uniform(10, 900))),
                         lambda t, h=chance.triangular(0.02, 0.3, 0.08): h)
                        for at in _times(chance, count, 2000)])


KINDS = {'nothing': _nothing, 'launch': _launch, 'launch in one process': _launch,
         'young and old': _young_and_old, 'counted references': _reference_counted,
         'walk of three speeds': _slow_and_fast_walk, 'occupancy': _occupancy,
         'lid closed': _slow_and_fast_walk, 'swapping': _nothing, 'batches': _batches,
         'errands': _errands, 'build': _build, 'map': _map, 'recording': _recording,
         'simulator': _simulator, 'updates': _updates, 'large buffers': _large_buffers}


def healthy(kind, chance, count=HEALTHY_S):
    """Return one trace of two hours, of which STAYS of the memory always stays."""
    total = machine(chance)
    held, jitter = KINDS[kind](chance, count), noise(chance, total, count)
    start = total * (chance.uniform(0.7, 0.92) if kind.startswith('launch')
                     else chance.triangular(0.4, 0.9, 0.7))
    scale = min(1.0, (start / total - STAYS - 0.01) / (max(held) or 1.0))
    left = tuple(max(STAYS * total, start - total * scale * h + j)
                 for h, j in zip(held, jitter))
    born, slept, swap = (), (), ()
    if kind.startswith('launch'):
        done = next(i for i, h in enumerate(held) if h >= 0.98 * max(held))
        nodes = chance.randint(3, 25) if kind == 'launch' else 1
        born = tuple(0.85 * done * i / nodes for i in range(nodes))
    elif kind == 'lid closed':
        slept = tuple(chance.weibullvariate(3000, 0.5) + 5 if chance.random() < 0.0015 else 0.0
                      for _ in range(count))
    elif kind == 'swapping':
        size, used = total * chance.uniform(0.05, 0.6), chance.gammavariate(2, 600)
        swap = tuple(size * max(0.03, 1 - i / used) for i in range(count))
    return Trace(kind, total, left, born=born, slept=slept, swap=swap)
