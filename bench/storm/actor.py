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

"""A process of a storm's scene: MODE MIB RATE GO EXTRA [--ros-args ...]; needs no package."""

import mmap
import os
import sys
import time

MIB = 1 << 20


def grab(mib):
    """Return so many MiB that are really held."""
    return b'\x5a' * int(mib * MIB) if mib else b''


def steps(rate, until=None):
    """Yield MiB to take now so that RATE MiB a second is kept, until so many in all."""
    began, given = time.monotonic(), 0
    while until is None or given < until:
        due = min(int((time.monotonic() - began) * rate) - given, 64)
        if due < 1:
            time.sleep(min(0.02, 1 / rate))
            continue
        given += due
        yield due


def leak(rate, _extra):
    """Take memory and keep it."""
    held = []
    for mib in steps(rate):
        held.append(grab(mib))


def fork(rate, extra):
    """Fork COUNT children that hold MIB each, and write their PIDs: EXTRA is COUNT:MIB:FILE."""
    count, each, path = extra.split(':', 2)
    log = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    for _ in range(int(count)):
        if os.fork() == 0:
            os.write(log, b'%d\n' % os.getpid())
            held = [grab(float(each))]
            while held:
                time.sleep(1)
        time.sleep(float(each) / rate)
    os.write(log, b'done\n')


def child(rate, extra):
    """Start another program that leaks: EXTRA is PROGRAM:FILE for its PID."""
    program, path = extra.split(':', 1)
    if os.fork() == 0:
        with open(path, 'w', encoding='ascii') as stream:
            stream.write(f'{os.getpid()}\n')
        os.execv(sys.executable, [sys.executable, '-IS', program, 'leak', '0', str(rate), '-',
                                  '-'])


def shm(rate, extra, mapped=False):
    """Fill a file in memory, which is mapped or not: EXTRA is FILE:MIB."""
    path, bound = extra.rsplit(':', 1)
    mib, at = int(float(bound)), 0
    file = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    block, area = grab(1), None
    if mapped:
        os.ftruncate(file, mib * MIB)
        area = mmap.mmap(file, mib * MIB)
    for due in steps(rate, mib - 1):
        for _ in range(due):
            if area is None:
                os.write(file, block)
            else:
                area[at:at + MIB] = block
                at += MIB
    with open(path + '.done', 'w', encoding='ascii'):
        pass


def cache(rate, extra):
    """Write RATE to a file as a recorder does, and leak a quarter of it: EXTRA is FILE."""
    file = os.open(extra, os.O_CREAT | os.O_RDWR, 0o600)
    block, written, held = grab(1), 0, []
    for due in steps(rate * 1.25):
        for _ in range(due):
            written += 1
            if written % 5 == 0:
                held.append(grab(1))
                continue
            if written % 400 == 0:
                os.ftruncate(file, 0)
                os.lseek(file, 0, 0)
            os.write(file, block)


MODES = {'leak': leak, 'fork': fork, 'child': child, 'shm': shm,
         'shmmap': lambda rate, extra: shm(rate, extra, True), 'cache': cache}


def main():
    """Hold MIB, wait for the file GO unless it is -, then do what MODE says."""
    mode, mib, rate, go, extra = sys.argv[1:6]
    held = [grab(float(mib))]
    print('ready', flush=True)
    while go != '-' and not os.path.exists(go):
        time.sleep(0.01)
    if mode in MODES:
        MODES[mode](float(rate), extra)
    while held:
        time.sleep(1)


if __name__ == '__main__':
    main()
