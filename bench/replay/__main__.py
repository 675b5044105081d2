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
Print the tables of docs/foresight.md: python -m bench.replay [SEED [HEALTHY [FALLS [SET]]]].

HEALTHY traces of two hours of each kind, and FALLS of each shape, of set 1 (falls.py, healthy.py),
2 (second.py) or 3 (third.py, third_falls.py).  The forecasts were tuned with seeds below 1000 of
sets 1 and 2; seeds from 1000 on judge them.
"""

from multiprocessing import Pool
import os
import random
from statistics import median
import sys

from bench.replay import falls
from bench.replay import healthy
from bench.replay import peers
from bench.replay import score
from bench.replay import second
from bench.replay import third
from bench.replay import third_falls

OURS = 'oom_sentinel'
WHO = {OURS: peers.ours, 'fixed, 15 and 5 %': peers.fixed,
       'earlyoom, 10 and 5 %': peers.earlyoom,
       'PSI some avg10 > 10 (modelled)': peers.psi,
       'linear regression, 60 s': peers.regression}
SETS = {1: (healthy, falls), 2: (second, second), 3: (third, third_falls)}
PROCESSES = int(os.environ.get('BENCH_PROCESSES', '2'))


def alarms(job):
    """Return (kind, hours, {who: (WARN, ERROR)}) of one healthy trace."""
    seed, kind, number, of_set = job
    trace = SETS[of_set][0].healthy(kind, random.Random(f'{seed} {kind} {number}'))
    found = {}
    for name, said_of in WHO.items():
        said = said_of(trace)
        found[name] = score.episodes(said, 1), score.episodes(said, 2)
    return kind, len(trace.left) / 3600, found


def leads(job):
    """Return (shape, {who: scores}) of one fall."""
    seed, shape, number, of_set = job
    trace = SETS[of_set][1].fall(shape, random.Random(f'{seed} {shape} {number}'))
    return shape, {name: score.fell(trace, said_of(trace)) for name, said_of in WHO.items()}


def main(seed=1000, each=12, falls_each=31, of_set=1):
    """Print false alarms of healthy hours, then leads and coverage of falls."""
    kinds, shapes = SETS[of_set][0].KINDS, SETS[of_set][1].SHAPES
    with Pool(PROCESSES) as pool:
        print_alarms(kinds, pool.map(alarms, [(seed, kind, number, of_set) for kind in kinds
                                              for number in range(each)], 1))
        print_leads(shapes, pool.map(leads, [(seed, shape, number, of_set) for shape in shapes
                                             for number in range(falls_each)], 1))


def print_alarms(kinds, found):
    """Print who alarms how often, and ours by kind."""
    hours = sum(h for _, h, _ in found)
    print(f'| {len(found)} healthy traces, {hours:.0f} h | WARN an hour | ERROR an hour |\n'
          '|---|---|---|')
    for name in WHO:
        warns, errors = (sum(by[name][level] for *_, by in found) for level in (0, 1))
        print(f'| {name} | {warns / hours:.3f} | {errors / hours:.3f} |')
    print('\n| kind | hours | WARN | ERROR |\n|---|---|---|---|')
    for kind in kinds:
        mine = [(h, *by[OURS]) for k, h, by in found if k == kind]
        print(f'| {kind} | {sum(h for h, *_ in mine):.0f} | {sum(w for _, w, _ in mine)} | '
              f'{sum(e for *_, e in mine)} |')


def print_leads(shapes, found):
    """Print who warns how late, and ours by shape."""
    print(f'\n| {len(found)} falls | WARN too late | median lead | p10 |\n|---|---|---|---|')
    for name in WHO:
        mine = [by[name] for _, by in found]
        lead = sorted(f.lead_s or 0.0 for f in mine)
        print(f'| {name} | {sum(f.late for f in mine)} | {median(lead):.0f} s | '
              f'{lead[len(lead) // 10]:.0f} s |')
    print('\n| shape | too late | end inside the range | forecasts | half way: median error | '
          'latest / soonest |\n|---|---|---|---|---|---|')
    for shape in shapes:
        print_shape(shape, [by[OURS] for s, by in found if s == shape])
    print_shape('all', [by[OURS] for _, by in found])


def print_shape(shape, mine):
    """Print the scores of one shape."""
    told = sum(f.told for f in mine)
    errors = [f.half_error for f in mine if f.half_error is not None]
    inside = 100 * sum(f.inside for f in mine) / max(1, told)
    wide = median([f.wide for f in mine if f.wide] or [0.0])
    print(f'| {shape} | {sum(f.late for f in mine)} of {len(mine)} | {inside:.0f} % | {told} | '
          f'{100 * median(errors or [0.0]):.0f} % of {len(errors)} | {wide:.1f} |')


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
