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
How well the end of memory is foretold: simulated ramps, real ones in a memory cgroup, no ramp.

The error is taken half way down, against the moment when memory ended: in the simulation when
nothing is left, in the cgroup when the kernel killed.  Alarms of healthy robots are false.
"""

import math
import os
import random
from statistics import median
import tempfile
import time

from bench.confined import Confined
from oom_sentinel import kernel
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import MemoryCgroups

MB = 1e6
PACES = (1, 2, 5, 10, 20, 35, 50)
RAMPS = int(os.environ.get('BENCH_RAMPS', '20'))  # simulated ones of each pace
HEALTHY = int(os.environ.get('BENCH_HEALTHY', '10'))  # traces of two hours
# MB/s, and whether a reader keeps the page cache of the same cgroup full
REAL = ((1, True), (2, False), (2, True), (3, False), (3, True), (5, False), (5, True),
        (8, False), (8, True), (10, False), (10, True))
LIMIT_MIB = 250
CACHE_MIB = 80
SETTINGS = settings.build({})
HOST = Host('bench', 4096, '6.1')
OFF = Unavailable('not in this bench')


def sample(at, left, total, processes=()):
    """Return a sample of a machine with so many bytes left."""
    info = MemInfo(int(total), int(left / 2), max(0, int(left)))
    return Sample(at, at, HOST, info, OFF, VmStat(0), processes=processes, boottime_s=at)


def error(told, end_s, started_s):
    """Return the relative error half way, None when nothing was told; told: (at, forecast)."""
    half_s = (started_s + end_s) / 2
    at_s, forecast = next((t for t in told if t[0] >= half_s), told[-1])
    if forecast is None:
        return None
    left_s = end_s - at_s
    return abs(forecast.middle_s - left_s) / left_s


def simulated(pace, chance):
    """Return the error of one ramp on a machine of 1 to 4 GB, after some rest, with noise."""
    total = chance.choice((1000, 2000, 4000)) * MB
    start = total * chance.uniform(0.4, 0.9)
    rest_s, noise = chance.uniform(0, 100), chance.choice((0, 5, 20)) * MB
    end_s = rest_s + start / (pace * MB)
    history, told = risk.History(), []
    for at in range(int(rest_s + (end_s - rest_s) / 2) + 2):
        left = start - max(0.0, at - rest_s) * pace * MB + chance.gauss(0, noise)
        found, history = risk.assess(sample(float(at), left, total), history, SETTINGS)
        told.append((at, found.exhaustion))
    return error(told, end_s, rest_s)


def real(pace, cached):
    """Return (error, seconds it took) of a ramp in a memory cgroup until the kernel killed."""
    root = kernel.Root('/')
    group = Confined('oom_bench_exhaustion', LIMIT_MIB)
    chains = kernel.Chains(MemoryCgroups(root))
    history, told = risk.History(), []
    with tempfile.NamedTemporaryFile(dir=os.environ.get('BENCH_DIR', '/var/tmp')) as file:
        try:
            reader = group.start(file=file.name)
            leaker = group.start(adj=500)
            if cached:
                file.write(os.urandom(CACHE_MIB << 20))
                file.flush()
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            started_s, held, next_s = time.monotonic(), 0, 0.0
            while not group.dead():
                now_s = time.monotonic()
                due = int((now_s - started_s) * pace * MB / (1 << 20)) - held
                if due > 0:
                    held += due
                    if not group.tell(leaker, due):
                        break
                if now_s >= next_s:
                    next_s = now_s + 1.0
                    if cached:
                        group.tell(reader, f'r{CACHE_MIB}')
                    taken = Sample(now_s, now_s, HOST, root.meminfo(), OFF, VmStat(0),
                                   chains=chains.read((group.path,), now_s))
                    found, history = risk.assess(taken, history, SETTINGS)
                    told.append((now_s, found.exhaustion))
                time.sleep(0.05)
            end_s = time.monotonic()
            return error(told, end_s, started_s), end_s - started_s
        finally:
            group.end()


def trace(seed):
    """
    Yield two hours of what is left on a healthy robot each second, and its processes.

    It starts up within a minute; then nodes allocate and free in cycles of 3 s to 10 min, load
    maps, and one grows a little.  A quarter of memory always stays.
    """
    chance = random.Random(seed)
    total = chance.choice((2000, 4000, 8000)) * MB
    work, settle_s = total * chance.uniform(0.45, 0.6), chance.uniform(8, 25)
    cycles = [(total * chance.uniform(0.01, 0.06), chance.choice((3, 7, 20, 40, 90, 180, 600)),
               chance.random(), chance.randrange(3)) for _ in range(3)]
    loads = [(chance.uniform(300, 7000), total * chance.uniform(0.005, 0.02),
              chance.uniform(0.5, 15)) for _ in range(4)]
    nodes = tuple(Process(pid, 100 * pid, 1, 0, Program('node', ros=True))
                  for pid in range(8, 20))
    drift = 0.0
    for at in range(7200):
        drift = 0.98 * drift + chance.gauss(0, 2 * MB)
        left = work + (0.85 * total - work) * math.exp(-max(0, at - 10) / settle_s)
        for depth, period_s, phase, kind in cycles:
            turn = (at / period_s + phase) % 1
            shape = (turn, float(turn < 0.5), 0.5 + 0.5 * math.sin(2 * math.pi * turn))[kind]
            left -= min(1.0, at / 60) * depth * shape
        for when, size, takes_s in loads:
            left -= size * min(1.0, max(0.0, (at - when) / takes_s))
        yield sample(float(at), max(0.25 * total, left - 20 * MB * at / 3600 + drift), total,
                     tuple(n for n in nodes if n.start_time <= 100 * at))


def false_alarms(seed):
    """Return how often the level rose by what was foretold in two hours of a healthy robot."""
    history, alarms, before = risk.History(), 0, Level.OK
    for taken in trace(seed):
        found, history = risk.assess(taken, history, SETTINGS)
        alarms += found.risk.level > before
        before = found.risk.level
    return alarms


def measure_simulated(seed=20260101):
    """Return (errors, ramps of which nothing was told half way)."""
    chance = random.Random(seed)
    errors = [simulated(pace, chance) for pace in PACES for _ in range(RAMPS)]
    told = sorted(e for e in errors if e is not None)
    return told, len(errors) - len(told)


def main():
    """Print the tables."""
    told, silent = measure_simulated()
    print('| ramps | told half way | median error | p90 |\n|---|---|---|---|')
    print(f'| simulated, 1 to 50 MB/s | {len(told)} of {len(told) + silent} | '
          f'{100 * median(told):.1f} % | {100 * told[int(0.9 * len(told))]:.1f} % |', flush=True)
    rows = [(pace, cached, *real(pace, cached)) for pace, cached in REAL]
    errors = sorted(e for *_, e, _ in rows if e is not None)
    print(f'| real, in a cgroup of {LIMIT_MIB} MiB | {len(errors)} of {len(rows)} | '
          f'{100 * median(errors):.1f} % | {100 * errors[int(0.9 * len(errors))]:.1f} % |')
    for pace, cached, wrong, took_s in rows:
        words = 'nothing told' if wrong is None else f'{100 * wrong:.0f} %'
        print(f'  {pace} MB/s{", page cache" if cached else ""}: {words} ({took_s:.0f} s)')
    alarms = [false_alarms(seed) for seed in range(HEALTHY)]
    print(f'\nHealthy robots, two hours each: {sum(alarms)} false alarms in {len(alarms)} traces')


if __name__ == '__main__':
    main()
