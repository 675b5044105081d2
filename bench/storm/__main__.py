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

    python -m bench.storm [--seeds 1-8] [--kinds all] [--simulate] [--out FILE]

Needs root, a memory controller and setpriv; below 400 MiB at a time.  Exit status 1 when a promise
was broken:
  C  a critical node that did not leak died while something unprotected was left to kill
  H  more critical nodes and innocents died with the sentinel than without
and, told but no failure: h (as H, but fewer critical ones died), e (more expendable ones died).
"""

import argparse
import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from bench import programs
from bench.storm import play
from bench.storm import scenes
from bench.storm import simulate
from bench.storm.ground import KernelLog
from bench.storm.ground import Spawner
from bench.storm.ground import until

# Users of this run's own: a sentinel touches only its user's processes, and a second one of the
# same user only watches.
UID = 61000 + 2 * (os.getpid() % 1000)
ROLES = ('critical', 'innocent', 'expendable')


class Stage:
    """The folder, the users and the sentinel of a run of storms."""

    def __init__(self, parameters=None):
        """Start the sentinel as a user of its own and wait until it watches."""
        self.folder = tempfile.mkdtemp(prefix='oom_sentinel_storm_')
        for name in ('', '/run', '/log', '/home'):
            os.makedirs(self.folder + name, exist_ok=True)
            os.chown(self.folder + name, UID, UID)
            os.chmod(self.folder + name, 0o700 if name == '/run' else 0o777)
        self.log = KernelLog()
        self.beside, self.ours = Spawner(UID + 1), Spawner(UID)
        self._output = open(f'{self.folder}/sentinel.log', 'wb')  # noqa: SIM115 - until close
        self.sentinel = self._start({**scenes.PARAMETERS, **(parameters or {})})
        if not until(lambda: b'watching' in self.said(), 30):
            said = self.said().decode()
            self.close()
            raise SystemExit(f'the sentinel does not start: {said}')

    def _start(self, parameters):
        path = f'{self.folder}/parameters.yaml'
        with open(path, 'w', encoding='utf-8') as stream:
            json.dump({'/**': {'ros__parameters': parameters}}, stream)
        env = {**os.environ, 'HOME': f'{self.folder}/home', 'ROS_LOG_DIR': f'{self.folder}/log',
               'XDG_RUNTIME_DIR': f'{self.folder}/run'}
        env.pop('ROS_HOME', None)
        program = programs.program()
        return subprocess.Popen(
            ['setpriv', f'--reuid={UID}', f'--regid={UID}', '--clear-groups', program,
             '--ros-args', '--params-file', path], env=env, stdout=self._output,
            stderr=self._output)

    def said(self):
        """Return the sentinel's log."""
        with open(f'{self.folder}/sentinel.log', 'rb') as stream:
            return stream.read()

    def pair(self, scene):
        """Play a scene without and with the sentinel; return the deaths of both."""
        without, limit_mib = play.Play(scene, self.folder, self.beside, self.log, UID + 1,
                                       watched=False).run()
        guarded, _ = play.Play(scene, self.folder, self.ours, self.log, UID,
                               watched=True).run(limit_mib)
        return without, guarded

    def close(self):
        """End all and remove the folder."""
        if self.sentinel.poll() is None:
            self.sentinel.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.sentinel.wait(15)
            self.sentinel.kill()
            self.sentinel.wait()
        self._output.close()
        self.beside.close()
        self.ours.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


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


def played(jobs, simulated):
    """Yield the record of each pair."""
    if simulated:
        for scene in jobs:
            yield record(scene, *simulate.pair(scene))
        return
    stage = Stage()
    try:
        for scene in jobs:
            without, guarded = stage.pair(scene)
            yield record(scene, play.count(without), play.count(guarded))
    finally:
        stage.close()


def main():
    """Play or simulate, print a line for each pair and the table; return the exit status."""
    parser = argparse.ArgumentParser(
        prog='python -m bench.storm', description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--seeds', default='1-8', help='FIRST-LAST')
    parser.add_argument('--kinds', default='all', help='all, or some of: '
                        + ' '.join(scenes.KINDS + scenes.MORE_KINDS))
    parser.add_argument('--simulate', action='store_true', help='without a kernel, in seconds')
    parser.add_argument('--out', help='append each pair to this file, as JSON lines')
    arguments = parser.parse_args()
    first, _, last = arguments.seeds.partition('-')
    kinds = scenes.KINDS if arguments.kinds == 'all' else arguments.kinds.replace(
        ',', ' ').split()
    jobs = [scenes.build(seed, kind) for seed in range(int(first), int(last or first) + 1)
            for kind in kinds]
    entries, began = [], time.monotonic()
    for entry in played(jobs, arguments.simulate):
        entries.append(entry)
        print(line(entry), flush=True)
        if arguments.out:
            with open(arguments.out, 'a', encoding='utf-8') as stream:
                stream.write(json.dumps(entry) + '\n')
    print(f'\n{len(entries)} pairs in {time.monotonic() - began:.0f} s\n\n{table(entries)}')
    return int(any(set(entry['broken']) & {'C', 'H'} for entry in entries))


if __name__ == '__main__':
    sys.exit(main())
