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
Print how long before the kernel's kill each warns of real ramps: python -m bench.replay.ramps.

Each ramp fills a memory control group of its own at an even pace, with and without a reader that
needs its page cache again each second, and is read once a second until the kernel kills.  Needs
root and a memory controller.  Arguments: REPEATS, then the paces in MB/s.
"""

import os
from statistics import median
import sys
import tempfile
import time

from bench.confined import Confined
from bench.confined import MIB
from bench.replay import peers
from bench.replay.trace import MB
from bench.replay.trace import Trace
from oom_sentinel import kernel
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.risk.headroom import headroom

LIMIT_MIB = 300
CACHE_MIB = 40
REST_S = 12.0
PACES = (1, 2, 5, 10, 20, 50, 100)
SETTINGS = settings.build({})
WHO = {'fixed, 15 and 5 %': peers.fixed, 'earlyoom, 10 and 5 %': peers.earlyoom,
       'PSI some avg10 > 10': peers.psi, 'linear regression, 60 s': peers.regression}
OURS = 'oom_sentinel'


class Recording:
    """One reading a second of a ramp in a control group, and what we said of each."""

    def __init__(self, group):
        """Begin without any reading."""
        self.root, self.path = kernel.Root('/'), group.path
        self.chains = kernel.Chains(MemoryCgroups(self.root))
        self.history, self.at, self.left, self.psi, self.levels = risk.History(), [], [], [], []

    def read(self):
        """Take one reading."""
        now_s, pressure = time.monotonic(), self.root.pressure()
        taken = Sample(now_s, now_s, self.root.host(), self.root.meminfo(), pressure,
                       self.root.vmstat(), chains=self.chains.read((self.path,), now_s))
        found, self.history = risk.assess(taken, self.history, SETTINGS)
        mine = next(g for chain in taken.chains for g in chain.groups if g.path == self.path)
        self.at.append(now_s)
        self.left.append(float(headroom(mine).left_bytes))
        self.psi.append(0.0 if isinstance(pressure, Unavailable) else pressure.some.avg10)
        self.levels.append(int(found.cgroups.level))

    def leads(self, start_s, end_s):
        """Return {who: seconds from the first WARN of the ramp to the kill, 0 without one}."""
        trace = Trace('ramp', LIMIT_MIB * MIB, tuple(self.left), psi=tuple(self.psi))
        said = {OURS: self.levels}
        said |= {name: [level for level, _ in of(trace)] for name, of in WHO.items()}
        return {name: next((end_s - at for at, level in zip(self.at, levels)
                            if at >= start_s and level), 0.0) for name, levels in said.items()}


def ramp(pace, cached):
    """Return (seconds of the ramp, leads) of one ramp until the kernel killed."""
    group = Confined('oom_bench_ramp', LIMIT_MIB)
    recording = Recording(group)
    with tempfile.NamedTemporaryFile(dir=os.environ.get('BENCH_DIR', '/var/tmp')) as file:
        try:
            file.write(os.urandom(CACHE_MIB << 20))
            file.flush()
            os.fsync(file.fileno())
            reader, leaker = group.start(file=file.name), group.start(adj=500)
            next_s = time.monotonic()
            start_s, held = next_s + REST_S, 0
            while not group.dead():
                now_s = time.monotonic()
                due = int(max(0.0, now_s - start_s) * pace * MB / MIB) - held
                if due > 0:
                    held += due
                    if not group.tell(leaker, due):
                        break
                if now_s >= next_s:
                    next_s += 1.0
                    if cached:
                        group.tell(reader, f'r{CACHE_MIB}')
                    recording.read()
                time.sleep(min(0.02, 0.5 / pace))
            end_s = time.monotonic()
            return end_s - start_s, recording.leads(start_s, end_s)
        finally:
            group.end()


def main(repeats=3, *paces):
    """Print the median lead of each pace."""
    print(f'| MB/s into {LIMIT_MIB} MiB | page cache | ramp | {OURS} | {" | ".join(WHO)} |\n'
          f'|---|---|---|---|{"---|" * len(WHO)}', flush=True)
    for pace in paces or PACES:
        for cached in (False, True):
            found = [ramp(pace, cached) for _ in range(repeats)]
            words = [f'{median(by[name] for _, by in found):.1f} s' for name in (OURS, *WHO)]
            print(f'| {pace} | {"read again" if cached else "-"} | '
                  f'{median(took_s for took_s, _ in found):.1f} s | {" | ".join(words)} |',
                  flush=True)


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
