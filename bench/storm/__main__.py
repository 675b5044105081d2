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
Play storms of real OOM kills, each scene without and with the sentinel, or simulate them.

    python -m bench.storm [--seeds 1-8] [--kinds all] [--simulate] [--out FILE] [--inside]
        [--trouble kill|stop|set] [--crowd 60] [--descriptors 256] [--compiler] [--lowering]

Needs root, a memory controller and setpriv; below 400 MiB at a time.  Exit status 1 when a promise
was broken:
  C  a critical node that did not leak died while something unprotected was left to kill
  H  more critical nodes and innocents died with the sentinel than without
and, told but no failure: h (as H, but fewer critical ones died), e (more expendable ones died).
"""

import argparse
import collections
import json
import sys
import time

from bench.storm import play
from bench.storm import scenes
from bench.storm import simulate
from bench.storm.stage import Stage
from bench.storm.stage import TROUBLES

ROLES = ('critical', 'innocent', 'expendable')


def marks_of(without, guarded):
    """Return the promises that a pair broke."""
    found = simulate.broken(without, guarded)
    return found + ('e' if guarded['expendable'] > without['expendable'] else '')


def record(scene, without, guarded):
    """Return what is printed and kept of a pair."""
    return {'kind': scene.kind, 'seed': scene.seed, 'mib_s': scene.speed, 'without': without,
            'with': guarded, 'broken': marks_of(without, guarded),
            'several_protected_leak': scene.several_protected_leak}


def line(entry):
    """Return a pair in one line."""
    counts = ' '.join(f'{role} {entry["without"][role]}/{entry["with"][role]}' for role in ROLES)
    return (f'{entry["kind"]:11} seed {entry["seed"]:3} {entry["mib_s"]:4g} MiB/s {counts} broken '
            f'{entry["broken"] or "-"}')


def table(entries):
    """Return the sums by kind as a Markdown table."""
    rows = ['| kind | pairs | critical without/with | innocent | expendable | C | H | h | e |',
            '|---|---|---|---|---|---|---|---|---|']
    kinds = collections.defaultdict(list)
    for entry in entries:
        kinds[entry['kind']].append(entry)
        kinds['all'].append(entry)
    for kind, found in kinds.items():
        if kind != 'all':
            rows.append(_row(kind, found))
    return '\n'.join([*rows, _row('all', kinds['all'])])


def _row(kind, found):
    sums = ' | '.join('/'.join(str(sum(e[side][role] for e in found))
                               for side in ('without', 'with')) for role in ROLES)
    marks = ' | '.join(str(sum(mark in e['broken'] for e in found)) for mark in 'CHhe')
    return f'| {kind} | {len(found)} | {sums} | {marks} |'


def played(jobs, simulated, asked):
    """
    Yield the record of each pair.

    :param asked: what the stage shall be like.
    :raises SystemExit: when the sentinel died or a part of it failed.
    """
    if simulated:
        for scene in jobs:
            yield record(scene, *simulate.pair(scene, lowering=asked['lowering']))
        return
    stage = Stage(**asked)
    try:
        for scene in jobs:
            without, guarded = stage.pair(scene)
            yield record(scene, play.count(without), play.count(guarded))
    finally:
        said = stage.said()
        stage.close()
    if stage.deaths or b'a cycle failed' in said or b'Traceback' in said:
        raise SystemExit(f'the sentinel died {stage.deaths} times; it said\n{said.decode()}')


def main():
    """Play or simulate, print a line for each pair and the table; return the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m bench.storm', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', default='1-8', help='FIRST-LAST')
    parser.add_argument('--kinds', default='all', help='all, or some of: '
                        + ' '.join(scenes.KINDS + scenes.MORE_KINDS))
    parser.add_argument('--simulate', action='store_true', help='without a kernel, in seconds')
    parser.add_argument('--inside', action='store_true',
                        help='the sentinel lives in the control group of each scene')
    parser.add_argument('--trouble', choices=TROUBLES, help='what happens to the sentinel when '
                        'the leak begins: kill -9 and start, stop for 3 s, parameters are set')
    parser.add_argument('--crowd', type=int, default=0, metavar='N',
                        help='so many programs of its user that end and start again')
    parser.add_argument('--descriptors', type=int, metavar='N', help='the most it may have open')
    parser.add_argument('--compiler', action='store_true', help='another user compiles')
    parser.add_argument('--lowering', action='store_true',
                        help='the sentinel may lower; played for real that needs CAP_SYS_RESOURCE')
    parser.add_argument('--out', help='append each pair to this file, as JSON lines')
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition('-')
    kinds = scenes.KINDS if arguments.kinds == 'all' else arguments.kinds.replace(
        ',', ' ').split()
    jobs = [scenes.build(seed, kind) for seed in range(int(first), int(last or first) + 1)
            for kind in kinds]
    entries, began = [], time.monotonic()
    asked = {name: getattr(arguments, name) for name in (
        'inside', 'trouble', 'crowd', 'descriptors', 'compiler', 'lowering')}
    for entry in played(jobs, arguments.simulate, asked):
        entries.append(entry)
        print(line(entry), flush=True)
        if arguments.out:
            with open(arguments.out, 'a', encoding='utf-8') as stream:
                stream.write(json.dumps(entry) + '\n')
    print(f'\n{len(entries)} pairs in {time.monotonic() - began:.0f} s\n\n{table(entries)}')
    return int(any(set(entry['broken']) & {'C', 'H'} for entry in entries))


if __name__ == '__main__':
    sys.exit(main())
