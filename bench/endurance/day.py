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
A day in simulated time: `python -m bench.endurance.day 24` (hours).

The sentinel's cycle runs on a clock that jumps from cycle to cycle, over a copy of a captured
tree in which processes grow, end and come again.  Prints RSS each simulated hour; returns 1 when
it grew by more than 1 MiB after the first hours, which fill what is remembered.
"""

import argparse
import itertools
import os
import pathlib
import re
import shutil
import sys
import tempfile

from bench.crowd import rss_mib
from oom_sentinel import settings
from oom_sentinel.sentinel import Sentinel

CAPTURED = pathlib.Path(__file__).parents[2] / 'test' / 'fixtures' / 'vm-debian12-6.18'
GROWTH_MIB = 1.0
WARM_HOURS = 2.2  # the longest series holds two hours
CHANGE_S = 20.0  # so often a process ends and another one starts
STARTTIME = 19  # among the words behind the name in /proc/PID/stat


class World:
    """A copy of the captured tree that goes on to live."""

    def __init__(self, folder):
        """Copy the tree."""
        self.root = pathlib.Path(folder) / 'tree'
        shutil.copytree(CAPTURED, self.root, symlinks=True)
        self.proc = self.root / 'proc'
        self.pids = itertools.cycle(range(30000, 30400))
        self.models = sorted(p for p in self.proc.iterdir() if p.name.isdigit())
        self.guests = []
        self.steps = 0

    def change(self):
        """Start a process, end the oldest of four, and let memory go up and down."""
        self.steps += 1
        pid, model = next(self.pids), self.models[self.steps % len(self.models)]
        guest = self.proc / str(pid)
        shutil.copytree(model, guest, symlinks=True)
        stat = (guest / 'stat').read_text(errors='replace')
        head, _, tail = stat.rpartition(') ')
        words = tail.split()
        words[STARTTIME] = str(1_000_000 + self.steps)
        (guest / 'stat').write_text(f'{pid} {head.partition(" ")[2]}) {" ".join(words)}\n')
        self.guests.append(guest)
        if len(self.guests) > 4:
            shutil.rmtree(self.guests.pop(0))
        loadavg = self.proc / 'loadavg'
        loadavg.write_text(f'{loadavg.read_text().rpartition(" ")[0]} {pid}\n')
        meminfo = self.proc / 'meminfo'
        available_kb = 4_000_000 + 10_000 * (self.steps % 100)
        meminfo.write_text(re.sub(r'(?m)^MemAvailable: .*', f'MemAvailable: {available_kb} kB',
                                  meminfo.read_text()))


def simulate(hours, step_s=1.0, folder=None):
    """
    Yield (simulated hour, RSS in MiB, processes known), about 24 times.

    :param step_s: simulated seconds between two cycles.
    """
    with tempfile.TemporaryDirectory(dir=folder) as home:
        world = World(home)
        os.environ['OOM_SENTINEL_STATE'] = os.path.join(home, 'state')
        now_s = [1000.0]
        sentinel = Sentinel(settings.build({}), root=str(world.root),
                            monotonic=lambda: now_s[0], wall=lambda: 1.8e9 + now_s[0])
        end_s = now_s[0] + 3600.0 * hours
        shown_s = changed_s = now_s[0]
        while now_s[0] < end_s:
            sentinel.cycle()
            now_s[0] += step_s
            if now_s[0] - changed_s >= CHANGE_S:
                changed_s = now_s[0]
                world.change()
            if now_s[0] - shown_s >= 3600.0 * hours / 24:
                shown_s = now_s[0]
                yield ((now_s[0] - 1000.0) / 3600.0, rss_mib(os.getpid()),
                       len(sentinel.scanner.processes))
        sentinel.close(True)


def grown_mib(figures):
    """Return by how much RSS grew from WARM_HOURS to the end."""
    return figures[-1][1] - next(mib for hour, mib, _ in figures if hour >= WARM_HOURS)


def main():
    """Print the figures; 0 when RSS stayed."""
    parser = argparse.ArgumentParser(prog='python -m bench.endurance.day', description=__doc__)
    parser.add_argument('hours', nargs='?', type=float, default=24.0)
    parser.add_argument('--step', type=float, default=1.0, help='seconds between two cycles')
    given = parser.parse_args()
    figures = []
    for figure in simulate(given.hours, given.step):
        figures.append(figure)
        print('hour {:5.1f}  {:6.2f} MiB  {} processes'.format(*figure), flush=True)
    grown = grown_mib(figures)
    print(f'RSS grew by {grown:+.2f} MiB after hour {WARM_HOURS}')
    return int(grown > GROWTH_MIB)


if __name__ == '__main__':
    sys.exit(main())
