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
What acting early is worth: the gaps of a 50 Hz loop while memory runs out, in an emulated guest.

python -m bench.acting [--scenes machine,swap,small,group] [--rounds 20] [--pace 20]
    [--contenders nothing,sentinel,sentinel-shedding,earlyoom,nohang] [--add FILE]
python -m bench.acting --contenders systemd-oomd boots Debian's systemd as process 1 for it.

Scenes: the machine, without swap and with it, where the critical process is the largest, as a SLAM
node often is; small, where the recorder is; a control group of 300 MiB.  Needs what make vm-test
needs.  The peers come from Debian's packages, with Debian's settings.  With --add, a turn of
--seconds plays what is missing of --rounds; --rounds 0 --write docs/acting.md only writes the
table.  Emulation makes everything slower: compare with the
guest's own gaps at rest, in the same table.
"""

import argparse
import collections
import json
import os
import pathlib
import shlex
import shutil
from statistics import median
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SCENES = 'machine,swap,small,group'
SWAP_MIB = 160
CONTENDERS = 'nothing,sentinel,sentinel-shedding,earlyoom,nohang'
NAMES = (*CONTENDERS.split(','), 'systemd-oomd')
PLACES = {'machine': 'machine', 'swap': f'{SWAP_MIB} MiB of swap',
          'small': 'machine, recorder largest',
          'group': 'group of 300 MiB, recorder largest'}
PACKAGES = ('earlyoom', 'nohang')
LEFT_OUT = ('usr/share/doc', 'usr/share/man', 'lib', 'etc/init.d', 'etc/logrotate.d')


def peers(folder):
    """Return a folder with the programs of the packages, downloaded by apt unless it is there."""
    target = folder / 'programs'
    if not target.exists():
        packages = folder / 'packages'
        packages.mkdir(parents=True, exist_ok=True)
        subprocess.run(['apt-get', '-q', 'download', *PACKAGES], cwd=packages, check=True,
                       stdout=subprocess.DEVNULL)
        for package in packages.glob('*.deb'):
            subprocess.run(['dpkg', '-x', str(package), str(target)], check=True)
        for name in LEFT_OUT:
            shutil.rmtree(target / name, ignore_errors=True)
    return target


def missing(found, arguments):
    """Return SCENE:CONTENDER:ROUNDS for each cell that has fewer rounds, the fewest first."""
    have = collections.Counter((r['scene'], r['contender']) for r in found
                               if r['pace'] == arguments.pace)
    wanted = [(have[scene, name], scene, name) for scene in arguments.scenes.split(',')
              for name in arguments.contenders.split(',') if have[scene, name] < arguments.rounds]
    return [f'{scene}:{name}:{min(arguments.each, arguments.rounds - count)}'
            for count, scene, name in sorted(wanted, key=lambda cell: cell[0])]


def rounds(arguments, cells):
    """Boot the guest, pass on what it prints and yield each round."""
    systemd = 'systemd-oomd' in arguments.contenders
    inside = [sys.executable, '-m', 'bench.acting.guest', ','.join(cells), str(arguments.pace),
              str(arguments.seconds)]
    env = {**os.environ, 'PYTHON': sys.executable, 'VM_COMMAND': shlex.join(inside),
           'VM_EXTRA': str(peers(ROOT / '.vm' / 'acting')), 'VM_SWAP_MIB': str(SWAP_MIB),
           'VM_TIMEOUT_S': str(arguments.seconds + 300), 'VM_SYSTEMD': 'systemd' * systemd}
    child = subprocess.Popen([str(ROOT / 'test/vm/run')], env=env, text=True,
                             stdout=subprocess.PIPE, errors='replace')
    for line in child.stdout:
        print(line, end='', flush=True)
        if line.startswith('ROUND '):
            yield json.loads(line.removeprefix('ROUND '))
    child.wait()


def table(found):
    """Yield the lines of the table: medians over the rounds, the longest gap of all, counts."""
    yield ('| where | MiB/s | with | rounds | longest gap: median, largest (ms) | p99 gap (ms) |'
           ' longest at rest (ms) | critical died | others died | recording lost |')
    yield '|' + '---|' * 10
    keys = {(r['scene'], r['pace'], r['contender']) for r in found}
    for key in sorted(keys, key=lambda k: (tuple(PLACES).index(k[0]), k[1], NAMES.index(k[2]))):
        these = [r for r in found if (r['scene'], r['pace'], r['contender']) == key]

        def middle(name, these=these):  # of a loop that died, its end is no gap
            known = [r[name] for r in these if r[name] is not None
                     and (name.startswith('idle') or not r['critical_died'])]
            return f'{median(known):.0f}' if known else '-'
        longest = [r['longest_ms'] for r in these if not r['critical_died']]
        lost = sum(r['recorder'] == 'lost its file' for r in these)
        yield (f'| {PLACES[key[0]]} | {key[1]:g} | {key[2].replace("-shedding", ", shedding")} | '
               f'{len(these)} | {middle("longest_ms")}, '
               f'{f"{max(longest):.0f}" if longest else "-"} | {middle("p99_ms")} | '
               f'{middle("idle_longest_ms")} | {sum(r["critical_died"] for r in these)} | '
               f'{sum(r["innocents_died"] for r in these)} | {lost} |')


def write(document, lines):
    """Put the table in the place of the one that a document has."""
    rows = document.read_text(encoding='utf-8').splitlines()
    first = next(number for number, row in enumerate(rows) if row.startswith('| where |'))
    rest = next(number for number, row in enumerate(rows[first:], first) if not row)
    document.write_text('\n'.join((*rows[:first], *lines, *rows[rest:], '')), encoding='utf-8')


def main():
    """Measure, and print the table; with --add, together with the rounds of earlier runs."""
    parser = argparse.ArgumentParser(prog='python -m bench.acting')
    parser.add_argument('--scenes', default=SCENES)
    parser.add_argument('--contenders', default=CONTENDERS)
    parser.add_argument('--rounds', type=int, default=20, help='of each cell, with those of --add')
    parser.add_argument('--each', type=int, default=5, help='rounds of a cell a boot')
    parser.add_argument('--pace', type=float, default=20.0, help='MiB/s')
    parser.add_argument('--seconds', type=float, default=14400.0, help='for all, in the guest')
    parser.add_argument('--add', type=pathlib.Path, help='file of rounds: read, and added to')
    parser.add_argument('--write', type=pathlib.Path, help='document whose table is made anew')
    arguments = parser.parse_args()
    found = []
    if arguments.add and arguments.add.exists():
        found = [json.loads(line) for line in arguments.add.read_text().splitlines()]
    cells = missing(found, arguments)
    for one in rounds(arguments, cells) if cells else ():
        found.append(one)
        if arguments.add:
            with open(arguments.add, 'a', encoding='ascii') as stream:
                stream.write(json.dumps(one) + '\n')
    lines = list(table(found))
    print('\n'.join(lines))
    if arguments.write:
        write(arguments.write, lines)


if __name__ == '__main__':
    main()
