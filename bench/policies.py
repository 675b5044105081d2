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
What is foretold against what happened where the kernel was set differently: in a guest.

python -m bench.policies [SCENE...]

Compressed and plain swap, a large reserve, the working set protection of the multi-generational
LRU, memory.high.  Boots the guest of make vm-test and runs each scene with a process that takes
BENCH_PACE MiB a second, half of it random, until the kernel kills it.
"""

import contextlib
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import time

from oom_sentinel import settings
from oom_sentinel.doctor import examine
from oom_sentinel.doctor import look
from oom_sentinel.sentinel import Sentinel

PACE = float(os.environ.get('BENCH_PACE', '6'))
ROOT = pathlib.Path(__file__).resolve().parent.parent
EIGHTH, HARDLY = 'zram, data of an eighth', 'zram, data of seven eighths'  # when compressed
RANDOM = {EIGHTH: 1 / 8, HARDLY: 7 / 8}
GUEST = '/run/oom_sentinel_guest'
VM = '/proc/sys/vm/'
LRU_GEN = '/sys/kernel/mm/lru_gen/'
ZRAM = '/sys/block/zram0/'
SHOWN_S = (60, 30, 10)  # before the kill
CALM = 8  # cycles
GIVE_UP_S = 300.0
MIB = 1 << 20
LEAK = """
import os, sys, time
MIB, RANDOM, PACE = 1 << 20, int(sys.argv[1]), float(sys.argv[2])
held, began = [], time.monotonic()
while True:
    if len(held) < (time.monotonic() - began) * PACE:
        held.append(os.urandom(RANDOM) + bytes([len(held) % 255 + 1]) * (MIB - RANDOM))
    else:
        time.sleep(0.02)
"""


def write(path, text):
    """Write a small file with one system call."""
    with open(path, 'wb', buffering=0) as stream:
        stream.write(str(text).encode())


def read(path):
    """Return a small file's text."""
    with open(path, encoding='ascii') as stream:
        return stream.read().strip()


@contextlib.contextmanager
def set_to(path, value):
    """Write a value, and the old one in the end."""
    old = read(path)
    write(path, value)
    try:
        yield
    finally:
        write(path, old.split()[0])


@contextlib.contextmanager
def zram(mib):
    """Swap to compressed memory."""
    write(f'{ZRAM}disksize', mib << 20)
    subprocess.run(['mkswap', '/dev/zram0'], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(['swapon', '/dev/zram0'], check=True)
    try:
        yield
    finally:
        subprocess.run(['swapoff', '/dev/zram0'], check=True)
        write(f'{ZRAM}reset', 1)


@contextlib.contextmanager
def swap_file(mib):
    """Swap to a file of the root disk."""
    path = '/swap'
    subprocess.run(['dd', 'if=/dev/zero', f'of={path}', 'bs=1M', f'count={mib}'], check=True,
                   stderr=subprocess.DEVNULL)
    subprocess.run(['mkswap', path], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(['swapon', path], check=True)
    try:
        yield
    finally:
        subprocess.run(['swapoff', path], check=True)
        os.unlink(path)


@contextlib.contextmanager
def group(**values):
    """Make a control group and yield its path; dots are written as two underscores."""
    path = '/sys/fs/cgroup/policies'
    os.mkdir(path)
    for name, value in values.items():
        write(f'{path}/{name.replace("__", ".")}', value)
    try:
        yield path
    finally:
        os.rmdir(path)


@contextlib.contextmanager
def working_set(milliseconds):
    """Switch the multi-generational LRU on, which keeps what was used so long ago."""
    with set_to(f'{LRU_GEN}enabled', 'y'), set_to(f'{LRU_GEN}min_ttl_ms', milliseconds), \
            swap_file(120):
        yield


SCENES = {
    'no swap': contextlib.nullcontext,
    'zram of 256 MiB': lambda: zram(256),
    EIGHTH: lambda: zram(256),
    HARDLY: lambda: zram(256),
    'swap file of 120 MiB': lambda: swap_file(120),
    'min_free_kbytes 200 MiB': lambda: set_to(f'{VM}min_free_kbytes', 200 << 10),
    'swap file, MGLRU': lambda: working_set(0),
    'swap file, min_ttl_ms 1000': lambda: working_set(1000),
    'memory.high 200, max 300 MiB': lambda: group(
        memory__high=200 << 20, memory__max=300 << 20, memory__swap__max=0)}


def leak(path, random_share, pace):
    """Start the leaking process, in a control group where one is given, as first to die."""
    def before():
        write('/proc/self/oom_score_adj', 500)
        if path:
            write(f'{path}/cgroup.procs', os.getpid())
    return subprocess.Popen([sys.executable, '-IS', '-c', LEAK, str(int(MIB * random_share)),
                             str(pace)], preexec_fn=before)


def risk_of(report):
    """Return the status OOM risk."""
    return next(s for s in report.statuses if s.name.endswith('OOM risk'))


def told(scene, random_share=0.5, pace=PACE):
    """
    Return when the kernel killed, what was told before it, and the doctor's findings.

    Told is (seconds, level of OOM risk, forecast) each second, from the start of the leak on.
    """
    with scene() as path:
        sentinel = Sentinel(settings.build({
            'incident.directory': '', 'protection.enabled': False}))
        try:
            calm = 0
            while calm < CALM:  # without the pressure of the scene before
                calm = 0 if risk_of(sentinel.cycle()).level else calm + 1
                time.sleep(1.0)
            found = look.take(sentinel.root, sentinel.table, sentinel.root.meminfo(), ())
            child = leak(path if isinstance(path, str) else None, random_share, pace)
            began_s, said = time.monotonic(), []
            while child.poll() is None and time.monotonic() - began_s < GIVE_UP_S:
                risk = risk_of(sentinel.cycle())
                said.append((time.monotonic() - began_s, risk.level.name,
                             dict(risk.values)['time to exhaustion (s)']))
                time.sleep(1.0)
            end_s = time.monotonic() - began_s
            killed = child.poll() == -signal.SIGKILL
            child.kill()
            child.wait()
            return end_s, killed, said, [f.id for f in examine(found)]
        finally:
            sentinel.close(orderly=True)


def main():
    """Print the rows of the table, of the scenes that are named."""
    wanted = sys.argv[1:] or list(SCENES)
    if not os.path.exists(GUEST):
        inside = [sys.executable, '-m', 'bench.policies', *wanted]
        sys.exit(subprocess.run([f'{ROOT}/test/vm/run'], env={
            'VM_TIMEOUT_S': '3600', **os.environ, 'PYTHON': sys.executable,
            'VM_COMMAND': f'BENCH_PACE={PACE:g} {shlex.join(inside)}'}).returncode)
    print('| scene | killed after (s) | WARN, ERROR so long before (s) |'
          + ''.join(f' {s} s before it said (s) |' for s in SHOWN_S) + ' doctor |\n'
          + '|---' * (4 + len(SHOWN_S)) + '|')
    for name in wanted:
        end_s, killed, said, findings = told(SCENES[name], RANDOM.get(name, 0.5))
        shown = [next((forecast for at_s, _, forecast in said if at_s >= end_s - before_s), '-')
                 for before_s in SHOWN_S]
        print(f'| {name} | {end_s:.0f}{"" if killed else " NOT killed"} | '
              f'{_first(said, end_s, "WARN")}, {_first(said, end_s, "ERROR")} | '
              f'{" | ".join(shown)} | {", ".join(findings)} |', flush=True)


def _first(said, end_s, level):
    """Return how many seconds before the end this level or a higher one was told at first."""
    first = next((at for at, risk, _ in said if risk in (level, 'ERROR')), None)
    return 'never' if first is None else f'{end_s - first:.0f}'


if __name__ == '__main__':
    main()
