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
Rounds of exhaustion inside the guest: who died, how long the control loop waited, what was lost.

python -m bench.acting.guest CELLS PACE SECONDS prints a line `ROUND {...}` for each round.  CELLS
is SCENE:CONTENDER:ROUNDS with commas between; no round begins after so many seconds.  Only in the
guest of python -m bench.acting: it runs the machine out of memory.
"""

import contextlib
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from bench.acting import actor

GROUP_MIB = 300
CRITICAL_SHARE = 0.55  # of what is available: without protection it is the kernel's choice
IDLE_S, AFTER_S, LONGEST_S = 2.0, 2.0, 60.0
SYSTEMD = os.path.exists('/run/systemd/system')
UNIT, OOMD = 'robot.service', 'systemd-oomd'
GROUP = f'/sys/fs/cgroup/system.slice/{UNIT}' if SYSTEMD else '/sys/fs/cgroup/robot'
SWAP = '/dev/vdd'
PARAMETERS = {
    'scan_period': 0.5, 'publish_period': 0.5, 'protection.raise': 'ros',
    'groups': ['critical', 'recorders'],
    'group.critical.match': ['exe:critical'], 'group.critical.oom_score_adj': -500,
    'group.recorders.match': ['exe:recorder'], 'group.recorders.oom_score_adj': 300,
    'group.recorders.shed': ['interrupt', 'terminate', 'kill']}


def read(path):
    """Return a small file's text."""
    with open(path, encoding='ascii') as stream:
        return stream.read()


def write(path, text):
    """Write a small file with one system call."""
    with open(path, 'wb', buffering=0) as stream:
        stream.write(str(text).encode())


def meminfo_mib(name):
    """Return a value of /proc/meminfo in MiB."""
    return next(int(line.split()[1]) >> 10 for line in read('/proc/meminfo').splitlines()
                if line.startswith(name + ':'))


def oom_kills():
    """Return how many processes the kernel killed for memory since boot."""
    return next(int(line.split()[1]) for line in read('/proc/vmstat').splitlines()
                if line.startswith('oom_kill '))


def until(condition, longest_s):
    """Wait for a condition; return whether it came."""
    end_s = time.monotonic() + longest_s
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.05)
    return True


class Contender:
    """What acts meanwhile: nothing, the sentinel, or a program of a Debian package."""

    def __init__(self, name, folder):
        """Start it and wait until it watches."""
        self.name = name
        self.log = open(f'{folder}/{name}.log', 'w+', encoding='utf-8')  # noqa: SIM115
        command = self._command(name, folder)
        self.child = command and subprocess.Popen(
            command, stdout=self.log, stderr=subprocess.STDOUT,
            preexec_fn=lambda: write('/proc/self/oom_score_adj', 0))
        ready = {'earlyoom': 'sending SIGTERM', 'nohang': 'Monitoring has started'}.get(
            name, 'watching')
        if self.child and not until(lambda: ready in self.said(), 90):
            raise RuntimeError(f'{name} does not start:\n{self.said()}')
        if name == OOMD:
            subprocess.run(['systemctl', 'start', OOMD], check=True)
        self.protects = name.startswith('sentinel')

    def _command(self, name, folder):
        if name == 'earlyoom':
            return ['/usr/bin/earlyoom', *shlex.split(os.environ.get('EARLYOOM_ARGS', '-r 3600'))]
        if name == 'nohang':
            return [sys.executable, '-u', '/usr/sbin/nohang', '--monitor', '--config',
                    '/etc/nohang/nohang.conf']
        if name in ('nothing', OOMD):
            return None
        mode = 'act' if name == 'sentinel-shedding' else 'off'
        file = f'{folder}/{name}.yaml'
        with open(file, 'w', encoding='ascii') as stream:
            json.dump({'/**': {'ros__parameters': {**PARAMETERS, 'shed.mode': mode}}}, stream)
        return [f'{os.path.dirname(sys.executable)}/oom_sentinel_node', '--ros-args',
                '--params-file', file]

    def said(self):
        """Return its log."""
        if self.name == OOMD:
            return subprocess.run(['journalctl', '--no-pager', '-o', 'cat', '-u', OOMD],
                                  capture_output=True, text=True).stdout
        return read_all(self.log.name)

    def end(self):
        """Stop it."""
        if self.child:
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(30)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        if self.name == OOMD:
            subprocess.run(['systemctl', 'stop', OOMD, f'{OOMD}.socket'])
        self.log.close()


def read_all(path):
    """Return a log's text, whatever bytes it holds."""
    with open(path, encoding='utf-8', errors='replace') as stream:
        return stream.read()


class Round:
    """One exhaustion of a scene."""

    def __init__(self, scene, folder, pace, contender):
        """Prepare it; start nothing yet."""
        self.limited, self.pace, self.protects = scene == 'group', pace, contender.protects
        self.small = scene in ('group', 'small')
        self.folder = pathlib.Path(folder)
        self.notes = {name: f'{folder}/{name}' for name in ('times', 'bag', 'go')}
        self.children = {}
        for path in self.notes.values():
            pathlib.Path(path).unlink(missing_ok=True)
        with open(self.notes['times'], 'wb') as stream:
            stream.truncate(8 * (1 + actor.TIMES_MAX))

    def run(self):
        """Play it and return what came of it."""
        try:
            return self._play()
        finally:
            for child in self.children.values():
                child.kill()
                child.wait()
                child.stdout.close()
            self._leave_group()

    def _play(self):
        self._make_group()
        critical_mib = 60 if self.small else int(CRITICAL_SHARE * meminfo_mib('MemAvailable'))
        self._start('base', 'critical', 'loop', self.notes['times'], critical_mib)
        for name in ('monitor', 'teleop'):
            self._start('tools', name, 'idle', '-', 80 if self.small and not self.limited else 20)
        self._start('rosbag', 'recorder', 'recorder', self.notes['bag'], 20, self.pace,
                    self.notes['go'])
        for name, child in self.children.items():
            if child.stdout.readline() != b'ready\n':
                raise RuntimeError(f'{name} does not start')
        if self.protects and not until(lambda: self._value('critical') == -500
                                       and self._value('recorder') == 300, 60):
            raise RuntimeError('the sentinel does not protect')
        time.sleep(0.5)
        idle_s, kills = time.monotonic(), oom_kills()
        time.sleep(IDLE_S)
        begun_s = time.monotonic()
        pathlib.Path(self.notes['go']).touch()
        until(lambda: not self._lives('recorder') or not self._lives('critical'), LONGEST_S)
        ended_s = time.monotonic()
        time.sleep(AFTER_S)
        return self._outcome(idle_s, begun_s, ended_s, oom_kills() - kills)

    def _start(self, package, name, *arguments):
        program = self.folder / 'lib' / package / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text(pathlib.Path(actor.__file__).read_text(encoding='utf-8'),
                           encoding='utf-8')
        command = [sys.executable, '-IS', str(program), *map(str, arguments), '--ros-args', '-r',
                   f'__node:={name}']
        self.children[name] = subprocess.Popen(command, stdout=subprocess.PIPE,
                                               preexec_fn=self._enter)

    def _enter(self):
        write('/proc/self/oom_score_adj', 0)
        if self.limited or SYSTEMD:
            write(f'{GROUP}/cgroup.procs', os.getpid())

    def _make_group(self):
        """Make the control group of the round: a service of its own where systemd runs."""
        if SYSTEMD:
            limit = f'MemoryMax={GROUP_MIB}M' if self.limited else 'MemoryMax=infinity'
            subprocess.run(['systemd-run', '-q', f'--unit={UNIT}', '-p', limit, '-p',
                            'OOMPolicy=continue', 'sleep', 'infinity'], check=True)
        elif self.limited:
            os.mkdir(GROUP)
            write(f'{GROUP}/memory.max', GROUP_MIB << 20)

    def _leave_group(self):
        if SYSTEMD:
            subprocess.run(['systemctl', 'stop', UNIT], stderr=subprocess.DEVNULL)
            subprocess.run(['systemctl', 'reset-failed'])
        elif self.limited:
            until(lambda: 'populated 0' in read(f'{GROUP}/cgroup.events'), 20)
            os.rmdir(GROUP)

    def _value(self, name):
        return int(read(f'/proc/{self.children[name].pid}/oom_score_adj'))

    def _lives(self, name):
        return self.children[name].poll() is None

    def _outcome(self, idle_s, begun_s, ended_s, kills):
        end_s = time.monotonic()
        alive = self._lives('critical')
        times = actor.times(self.notes['times'])
        idle = gaps(times, idle_s, begun_s, begun_s)
        storm = gaps(times, begun_s, end_s, end_s if alive else times[-1])
        code = self.children['recorder'].poll()
        at = max(range(len(storm)), key=storm.__getitem__, default=0)
        return {'longest_at_s': round(sum(storm[:at]), 1),
                'idle_longest_ms': longest_ms(idle), 'idle_p99_ms': p99_ms(idle),
                'longest_ms': longest_ms(storm), 'p99_ms': p99_ms(storm),
                'critical_died': not alive,
                'innocents_died': sum(not self._lives(name) for name in ('monitor', 'teleop')),
                'recorder': 'runs' if code is None else 'closed its file' if os.path.exists(
                    self.notes['bag']) else 'lost its file',
                'kernel_kills': kills, 'took_s': round(ended_s - begun_s, 1)}


def gaps(times, first_s, last_s, end_s):
    """Return the seconds between two periods, and from the last one to the end."""
    inside = [t for t in times if first_s <= t <= last_s] + [end_s]
    return [b - a for a, b in zip(inside, inside[1:])]


def longest_ms(found):
    """Return the longest gap in ms, None without one."""
    return round(1e3 * max(found), 1) if found else None


def p99_ms(found):
    """Return the gap in ms that 99 of 100 do not exceed, None without one."""
    return round(1e3 * sorted(found)[int(0.99 * (len(found) - 1))], 1) if found else None


def set_swap(wanted):
    """Let there be swap or none."""
    subprocess.run(['swapoff', SWAP], stderr=subprocess.DEVNULL)
    if wanted:
        subprocess.run(['mkswap', SWAP], check=True, stdout=subprocess.DEVNULL)
        subprocess.run(['swapon', SWAP], check=True)


def play(scene, name, rounds, pace, end_s):
    """Play a scene with a contender so many times, and print what came of each."""
    set_swap(scene == 'swap')
    with tempfile.TemporaryDirectory(dir='/tmp') as folder:
        contender = Contender(name, folder)
        try:
            for _ in range(rounds):
                if time.monotonic() > end_s:
                    return
                told = Round(scene, folder, pace, contender).run()
                print('ROUND ' + json.dumps({'scene': scene, 'contender': name, 'pace': pace,
                                             **told}), flush=True)
                until(lambda: meminfo_mib('SwapTotal') - meminfo_mib('SwapFree') < 40, 5)
        finally:
            contender.end()
            print(f'LOG of {name}:\n{contender.said()}', flush=True)


def main(cells, pace, seconds):
    """Play the cells, one after the other."""
    if not os.path.exists('/run/oom_sentinel_guest'):
        sys.exit('bench.acting.guest runs out of memory as a whole: only in the guest')
    write('/proc/self/oom_score_adj', -1000)
    end_s = time.monotonic() + float(seconds)
    for cell in cells.split(','):
        scene, name, rounds = cell.split(':')
        if time.monotonic() < end_s:
            play(scene, name, int(rounds), float(pace), end_s)
    with contextlib.suppress(OSError):
        set_swap(False)


if __name__ == '__main__':
    main(*sys.argv[1:4])
