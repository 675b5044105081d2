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
A second set of healthy hours and falls, written apart from the first, to judge the forecasts by.

Other distributions, other noise (white, correlated, spikes, and pages in units of 4 KiB), other
lengths: what holds only for the first set does not hold here.
"""

import math

from bench.replay.trace import MB
from bench.replay.trace import Trace

HEALTHY_S = 7200
STAYS = 0.16  # of the total, at least, on healthy robots
PAGE = 4096.0


def _machine(chance):
    """Return the total of a machine, half a gigabyte to 64."""
    return MB * 500 * 2 ** chance.uniform(0, 7)


def _noise(chance, total, count):
    """Return noise of up to some MB: white and correlated, now and then a short spike."""
    white, slow = (min(40 * MB, total * 10 ** chance.uniform(-5, -2.6)) for _ in range(2))
    keep, spiky = chance.choice((0.8, 0.95, 0.99)), chance.choice((0.0, 0.0, 0.01))
    value, found = 0.0, []
    for _ in range(count):
        value = keep * value + chance.gauss(0, slow) * math.sqrt(1 - keep * keep)
        spike = -chance.uniform(0, 0.03) * total if chance.random() < spiky else 0.0
        found.append(value + chance.gauss(0, white) + spike)
    return found


def _held(count, parts):
    """Return the sum of (begin, height, rise, stay, fall) in seconds; stay None is for good."""
    held = [0.0] * count
    for begin, height, rise, stay, fall in parts:
        end = math.inf if stay is None else begin + rise + stay
        for i in range(max(0, int(begin)), min(count, int(min(count, end + fall)) + 1)):
            up = min(1.0, max(0.0, (i - begin) / max(rise, 1e-3)))
            down = 1.0 if i <= end else max(0.0, 1 - (i - end) / max(fall, 1e-3))
            held[i] += height * up * down
    return held


def _now_and_then(chance, count, pause_s):
    """Yield moments with exponential pauses between them."""
    at = chance.expovariate(1 / pause_s)
    while at < count:
        yield at
        at += 1 + chance.expovariate(1 / pause_s)


def _quiet(chance, count):
    return [0.0] * count


def _boot(chance, count):
    """Return a start whose steps become smaller, and that rests within five minutes."""
    nodes, loads_s = chance.randint(3, 40), math.exp(chance.uniform(math.log(15), math.log(250)))
    size = chance.uniform(0.15, 0.6)
    weights = [chance.lognormvariate(0, 1) for _ in range(nodes)]
    return _held(count, [(loads_s * 0.85 * i / nodes, size * w / sum(weights),
                          0.15 * loads_s, None, 0) for i, w in enumerate(weights)])


def _collector(chance, count):
    """Return a heap whose collections come when it is full; some of them free little."""
    size, fill_s = chance.uniform(0.03, 0.35), 10 ** chance.uniform(0.7, 2.9)
    old, found, value = 0.0, [], 0.0
    for _ in range(count):
        value += chance.expovariate(1) * size / fill_s
        if value >= size:
            old = chance.uniform(0, 0.5) * size if chance.random() < 0.8 else 0.0
            value = old
        found.append(value)
    return found


def _drunk(chance, count):
    """Return a reflected walk with jumps."""
    step, value, found = 10 ** chance.uniform(-3.7, -2.2), chance.random() * 0.4, []
    for _ in range(count):
        value += chance.gauss(0, step) * (8 if chance.random() < 0.01 else 1)
        value = abs(value) if value < 0.55 else 1.1 - value
        found.append(value)
    return found


def _reverting(chance, count):
    """Return a walk that is pulled back to its middle."""
    pull, size, value, found = 1 / chance.uniform(20, 900), chance.uniform(0.01, 0.08), 0.2, []
    for _ in range(count):
        value += pull * (0.2 - value) + size * math.sqrt(2 * pull) * chance.gauss(0, 1)
        found.append(max(0.0, value))
    return found


def _borrowed(chance, count):
    """Return jobs that take up to a third for seconds to minutes, and give it back."""
    pause_s = chance.uniform(200, 2500)
    return _held(count, [(at, min(0.4, chance.expovariate(1 / 0.12)), chance.uniform(1, 60),
                          chance.expovariate(1 / 60), chance.uniform(0, 5))
                         for at in _now_and_then(chance, count, pause_s)])


def _by_the_clock(chance, count):
    """Return one job that comes every few minutes and always takes about the same."""
    every_s, height, rise = (chance.uniform(60, 1200), chance.uniform(0.05, 0.45),
                             chance.uniform(2, 50))
    return _held(count, [(at, height * chance.uniform(0.9, 1.1), rise, chance.uniform(1, 10), 2)
                         for at in range(int(every_s), count, int(every_s))])


def _make(chance, count):
    """Return two compilers at a time, most of them small."""
    return _held(count, [(at, min(0.2, 0.01 * chance.paretovariate(1.3)), chance.uniform(0.5, 8),
                          chance.uniform(0, 20), 0.5)
                         for at in _now_and_then(chance, count, chance.uniform(4, 40))])


def _install(chance, count):
    """Return an installer: unpacking, byte-compiling, resolving."""
    return _held(count, [(at, chance.uniform(0.01, 0.18), chance.uniform(2, 45),
                          chance.uniform(0, 90), chance.uniform(0, 3))
                         for at in _now_and_then(chance, count, chance.uniform(90, 900))])


def _java(chance, count):
    """Return a virtual machine: quick start, then a heap that grows toward its maximum."""
    begin, size, tau = chance.uniform(20, 900), chance.uniform(0.08, 0.4), chance.uniform(5, 900)
    young, period = 0.3 * size, chance.uniform(3, 60)
    return [0.0 if i < begin else (size - young) * (1 - math.exp(-(i - begin) / tau))
            + young * (((i - begin) / period) % 1) for i in range(count)]


def _tabs(chance, count):
    """Return a browser: pages are opened, and some are closed again."""
    return _held(count, [(at, chance.uniform(0.005, 0.05), chance.uniform(1, 10),
                          chance.choice((None, chance.uniform(60, 1200))), 2)
                         for at in sorted(chance.uniform(30, count)
                                          for _ in range(chance.randint(3, 10)))])


def _models(chance, count):
    """Return one to four allocations, each within two seconds, for good."""
    return _held(count, [(chance.uniform(40, count), chance.uniform(0.03, 0.35),
                          chance.choice((0.0, 1.0, 2.0)), None, 0)
                         for _ in range(chance.randint(1, 4))])


def _settling(chance, count):
    """Return what fills up more and more slowly."""
    begin, tau, size = chance.uniform(0, 900), 10 ** chance.uniform(1.3, 3.6), chance.uniform(
        0.08, 0.5)
    power = chance.choice((1.0, 0.6))
    return [size * (1 - math.exp(-(max(0.0, i - begin) / tau) ** power)) for i in range(count)]


def _recorder(chance, count):
    """Return a buffer that is filled at an even pace until it is full, for good."""
    return _held(count, [(chance.uniform(0, 1500), chance.uniform(0.08, 0.4),
                          10 ** chance.uniform(1.6, 3.6), None, 0)])


KINDS = {'quiet': _quiet, 'start': _boot, 'start in one process': _boot,
         'collector': _collector, 'walk with jumps': _drunk, 'walk that reverts': _reverting,
         'sleeps': _reverting, 'swap in use': _quiet, 'borrowed': _borrowed,
         'by the clock': _by_the_clock, 'make': _make, 'install': _install, 'java': _java,
         'tabs': _tabs, 'models': _models, 'settling': _settling, 'recorder': _recorder}


def healthy(kind, chance, count=HEALTHY_S):
    """Return one trace of two hours, of which STAYS of the memory always stays."""
    total = _machine(chance)
    held, jitter = KINDS[kind](chance, count), _noise(chance, total, count)
    start = total * (chance.uniform(0.75, 0.95) if kind.startswith('start')
                     else chance.uniform(0.4, 0.9))
    room = start - (STAYS + 0.01) * total
    scale = min(1.0, room / total / (max(held) or 1.0))
    left = [max(STAYS * total, (start - total * scale * h + j) // PAGE * PAGE)
            for h, j in zip(held, jitter)]
    born, slept, swap = (), (), ()
    if kind.startswith('start'):
        done = next(i for i, h in enumerate(held) if h >= 0.99 * max(held))
        count_of = chance.randint(3, 30) if kind == 'start' else chance.randint(1, 2)
        over_s = 0.85 * done if kind == 'start' else 2.0
        born = tuple(over_s * i / count_of for i in range(count_of))
    elif kind == 'sleeps':
        slept = tuple(10 ** chance.uniform(0.5, 4.5) if chance.random() < 0.002 else 0.0
                      for _ in range(count))
    elif kind == 'swap in use':
        size, tau = total * chance.uniform(0.1, 1.0), 10 ** chance.uniform(1.5, 3.8)
        swap = tuple(size * (0.02 + 0.98 * math.exp(-i / tau)) for i in range(count))
    return Trace(kind, total, tuple(left), born=born, slept=slept, swap=swap)


def _fall_steady(chance, seconds):
    return [chance.gauss(1, 0.2) for _ in range(3 * seconds)]


def _fall_chunky(chance, seconds):
    rate = chance.uniform(0.04, 0.5)
    return [chance.gammavariate(2, 1) if chance.random() < rate else 0.0
            for _ in range(4 * seconds)]


def _fall_heavy(chance, seconds):
    wild = chance.uniform(0.8, 1.8)
    return [chance.lognormvariate(0, wild) for _ in range(4 * seconds)]


def _fall_stop_and_go(chance, seconds):
    go, stop, going, found = chance.uniform(0.05, 0.5), chance.uniform(0.05, 0.5), True, []
    for _ in range(4 * seconds):
        going = chance.random() > go if going else chance.random() < stop
        found.append(float(going))
    return found


def _fall_sawtooth(chance, seconds):
    """Return a leak below a collector, whose teeth are up to a fifth of what was left."""
    period = max(4, int(chance.uniform(0.02, 0.15) * seconds))
    tooth = chance.uniform(0.3, 2.0) * period
    return [1 + tooth / period - (tooth if i % period == period - 1 else 0.0)
            for i in range(4 * seconds)]


def _fall_stairs(chance, seconds):
    every = max(2, seconds // chance.randint(5, 16))
    return [chance.uniform(0.8, 1.2) if i % every == every // 2 else 0.0
            for i in range(4 * seconds)]


def _fall_accelerating(chance, seconds):
    power, begins = chance.uniform(0.3, 2.0), chance.uniform(0, 0.2)
    return [begins + (i / seconds) ** power for i in range(3 * seconds)]


def _fall_exponential(chance, seconds):
    rate = chance.uniform(0.8, 4.0)
    return [math.exp(rate * i / seconds) for i in range(2 * seconds)]


def _fall_two_leaks(chance, seconds):
    second, faster = chance.uniform(0.15, 0.65) * seconds, chance.uniform(0.5, 5.0)
    return [1.0 + (faster if i > second else 0.0) for i in range(3 * seconds)]


def _fall_walk(chance, seconds):
    wild, keep, value, found = chance.uniform(0.5, 3.0), chance.choice((0.0, 0.7)), 0.0, []
    for _ in range(5 * seconds):
        value = keep * value + chance.gauss(0, wild) * math.sqrt(1 - keep * keep)
        found.append(1 + value)
    return found


SHAPES = {'steady': _fall_steady, 'chunky': _fall_chunky, 'heavy-tailed': _fall_heavy,
          'stop-and-go': _fall_stop_and_go, 'sawtooth': _fall_sawtooth, 'stairs': _fall_stairs,
          'accelerating': _fall_accelerating, 'exponential': _fall_exponential,
          'two leaks': _fall_two_leaks, 'random walk': _fall_walk}


def fall(shape, chance, longest_s=2000):
    """Return one fall of about half a minute or longer, after a rest of up to five minutes."""
    total = _machine(chance)
    start, rest_s = total * chance.uniform(0.3, 0.9), chance.randint(30, 300)
    seconds = round(math.exp(chance.uniform(math.log(25), math.log(longest_s))))
    steps = SHAPES[shape](chance, seconds)
    pace = start / (sum(steps[:seconds]) or 1.0)
    jitter, left, value = _noise(chance, total, rest_s + len(steps)), [], start
    for i in range(rest_s):
        left.append(start + jitter[i])
    for i, step in enumerate(steps):
        value -= pace * step
        if value <= 0:
            break
        left.append(max(PAGE, value + jitter[rest_s + i]))
    return Trace(shape, total, tuple(left), float(len(left)), float(rest_s))
