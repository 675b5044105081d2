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
What OOM kills elsewhere cost: `python -m bench.elsewhere 500 2000` (processes beside it).

Every five seconds the kernel kills a process in a control group outside of the PID namespace
in which the sentinel, a bare node and the processes are.  Needs root and a memory controller.
"""

import argparse
import contextlib
import os
from statistics import median
import subprocess
import sys
import threading
import time

from bench import confined
from bench import idle
from bench import namespace
from bench import programs
from bench.crowd import crowd
from bench.crowd import load

EVERY_S, LIMIT_MIB = 5.0, 24
SETTLE_S = 125.0  # the first whole readings are over
RUNS, SECONDS = 3, 20.0


@contextlib.contextmanager
def killing():
    """Let the kernel kill a process every EVERY_S; yield a list that grows with each."""
    kills, ended = [], threading.Event()

    def run():
        while not ended.wait(EVERY_S):
            group = confined.Confined('oom_sentinel_elsewhere', LIMIT_MIB)
            try:
                if not group.tell(group.start(), 2 * LIMIT_MIB):
                    kills.append(time.monotonic())
            finally:
                group.end()
    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield kills
    finally:
        ended.set()
        thread.join()


def measure(count, settle_s):
    """Print the percent of one core of the sentinel and of a bare node beside `count` others."""
    namespace.surroundings()
    with crowd(count):
        nodes = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for command in (
            [programs.program()], [sys.executable, '-c', idle.BARE])]
        try:
            time.sleep(settle_s)
            runs = [load([node.pid for node in nodes], SECONDS) for _ in range(RUNS)]
        finally:
            for node in nodes:
                node.kill()
                node.wait()
    for name, shares in zip(('sentinel', 'bare'), zip(*runs)):
        print(f'{count} processes: {name} {median(shares):.2f} % ('
              + ' '.join(f'{share:.2f}' for share in shares) + ')', flush=True)


def main():
    """Kill outside, measure inside; 0 when it ran."""
    parser = argparse.ArgumentParser(prog='python -m bench.elsewhere', description=__doc__)
    parser.add_argument('counts', nargs='*', type=int, default=[500, 2000])
    parser.add_argument('--settle', type=float, default=SETTLE_S, help='seconds')
    given = parser.parse_args()
    if namespace.INSIDE in os.environ:
        for count in given.counts:
            measure(count, given.settle)
        return 0
    with killing() as kills:
        code = subprocess.run(
            ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', sys.executable, '-m',
             'bench.elsewhere', *sys.argv[1:]], env={**os.environ, namespace.INSIDE: '1'}
        ).returncode
    print(f'kills elsewhere: {len(kills)}')
    return code


if __name__ == '__main__':
    sys.exit(main())
