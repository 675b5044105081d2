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
Print the tables of docs/foresight.md: python -m bench.replay [seed [traces of each kind]].

The forecasts were tuned with seeds below 1000; those from 1000 on judge them.
"""

import random
from statistics import median
import sys

from bench.replay import falls
from bench.replay import healthy
from bench.replay import peers
from bench.replay import score

WHO = {'oom_sentinel': peers.ours, 'fixed 15 and 5 %': peers.fixed,
       'earlyoom, 10 and 5 %': peers.earlyoom, 'linear regression, 60 s': peers.regression}


def main(seed=1000, each=12, falls_each=31):
    """Print false alarms of healthy hours, then leads and coverage of falls."""
    traces = [healthy.healthy(kind, random.Random(f'{seed} {kind} {i}'))
              for kind in healthy.KINDS for i in range(each)]
    hours = sum(len(t.left) for t in traces) / 3600
    print(f'{len(traces)} healthy traces, {hours:.0f} h\n')
    print('| healthy hours | WARN an hour | ERROR an hour |\n|---|---|---|')
    ours = {}
    for name, said_of in WHO.items():
        said = [said_of(t) for t in traces]
        warns, errors = ([score.episodes(s, level) for s in said] for level in (1, 2))
        print(f'| {name} | {sum(warns) / hours:.3f} | {sum(errors) / hours:.3f} |', flush=True)
        if name == 'oom_sentinel':
            ours = {kind: (sum(w for w, t in zip(warns, traces) if t.kind == kind),
                           sum(e for e, t in zip(errors, traces) if t.kind == kind))
                    for kind in healthy.KINDS}
    print('\n| kind | WARN | ERROR | hours |\n|---|---|---|---|')
    for kind, (warn, error) in ours.items():
        print(f'| {kind} | {warn} | {error} | {2 * each} |')
    traces = [falls.fall(shape, random.Random(f'{seed} {shape} {i}'))
              for shape in falls.SHAPES for i in range(falls_each)]
    print('\n| falls | WARN too late | median lead | p10 |\n|---|---|---|---|')
    for name, said_of in WHO.items():
        found = [score.fell(t, said_of(t)) for t in traces]
        leads = sorted(f.lead_s or 0.0 for f in found)
        print(f'| {name} | {sum(f.late for f in found)} of {len(found)} | '
              f'{median(leads):.0f} s | {leads[len(leads) // 10]:.0f} s |', flush=True)
        if name == 'oom_sentinel':
            kept = found
    print('\n| shape | too late | inside the range | told | half way: median error | '
          'width |\n|---|---|---|---|---|---|')
    for shape in falls.SHAPES:
        _print_shape(shape, [f for f, t in zip(kept, traces) if t.kind == shape])
    _print_shape('all', kept)


def _print_shape(shape, found):
    told, errors = sum(f.told for f in found), [f.half_error for f in found
                                                if f.half_error is not None]
    share = 100 * sum(f.inside for f in found) / max(1, told)
    per = [f.inside / f.told for f in found if f.told]
    wide = median([f.wide for f in found if f.wide] or [0])
    print(f'| {shape} | {sum(f.late for f in found)} of {len(found)} | {share:.0f} % '
          f'(a fall: {100 * sum(per) / max(1, len(per)):.0f} %) | {told} | '
          f'{100 * median(errors or [0]):.0f} % of {len(errors)} | x {wide:.1f} |')


if __name__ == '__main__':
    main(*map(int, sys.argv[1:]))
