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
The processes of a round: a control loop that notes when it ran, a recorder that leaks.

python actor.py loop FILE MIB: 50 times a second, until it is killed.  FILE is mapped: a count
and the monotonic times, so that they outlive the process.
python actor.py recorder FILE MIB PACE GO: leaks PACE MiB/s once GO is there, and writes FILE
when it is asked to end, as rosbag2 does.
python actor.py idle - MIB: holds memory.
"""

import mmap
import os
import random
import signal
import struct
import sys
import time

PERIOD_S = 0.02
MIB = 1 << 20
PAGE = 4096
TIMES_MAX = 50 * 240
PAGES_EACH = 64  # that a period works on


def held(mib):
    """Return memory of random pages, which nothing can merge or compress away."""
    return bytearray(os.urandom(MIB)) * mib


def loop(file, mib):
    """Run a period after the other; one that comes late is not made up for."""
    memory = held(mib)
    pages = len(memory) // PAGE
    with open(file, 'r+b') as stream:
        times = mmap.mmap(stream.fileno(), 8 * (1 + TIMES_MAX))
    print('ready', flush=True)
    count, due_s = 0, time.monotonic()
    while count < TIMES_MAX:
        now_s = time.monotonic()
        struct.pack_into('d', times, 8 * (1 + count), now_s)
        count += 1
        struct.pack_into('q', times, 0, count)
        first = random.randrange(max(1, pages - PAGES_EACH))
        for page in range(first, min(pages, first + PAGES_EACH)):
            memory[page * PAGE] ^= 1
        due_s = max(due_s + PERIOD_S, now_s)
        time.sleep(max(0.0, due_s - time.monotonic()))


def times(file):
    """Return the times that a loop noted."""
    with open(file, 'rb') as stream:
        count = struct.unpack('q', stream.read(8))[0]
        return struct.unpack(f'{count}d', stream.read(8 * count))


def recorder(file, mib, pace, go):
    """Leak, and close the file at SIGINT or SIGTERM."""
    def close(_number, _frame):
        raise KeyboardInterrupt
    signal.signal(signal.SIGTERM, close)
    kept = [held(mib)]
    print('ready', flush=True)
    try:
        while not os.path.exists(go):
            time.sleep(0.02)
        began_s, leaked = time.monotonic(), 0
        while True:
            kept.append(b'x' * MIB)
            leaked += 1
            time.sleep(max(0.0, began_s + leaked / pace - time.monotonic()))
    except KeyboardInterrupt:
        kept.clear()
        with open(file, 'w', encoding='ascii') as stream:
            stream.write('closed')


def main():
    """Be one of them."""
    kind, file, mib = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if kind == 'loop':
        loop(file, mib)
    elif kind == 'recorder':
        recorder(file, mib, float(sys.argv[4]), sys.argv[5])
    else:
        memory = held(mib)
        print('ready', flush=True)
        while memory:
            time.sleep(1.0)


if __name__ == '__main__':
    main()
