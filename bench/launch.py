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
From a process's start to its value, as a launch gives it; and what oom_exec gives 50 of 50.

Needs launch and launch_ros (a ROS installation); says so and measures nothing without them.
"""

import os
import re
from statistics import median
import subprocess
import sys
import tempfile

RUNS = int(os.environ.get('BENCH_RUNS', '5'))
SMALL, BUSY, MANY = 3, 60, 300
PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable
# Each takes the time at its first instruction, waits for a value and prints how long it took;
# with one more argument it only sleeps.
C_SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
static double now(void) {
  struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}
int main(int argc, char **argv) {
  (void)argv; if (argc > 2) return sleep(3);
  double first = now(); char text[16]; int value = 0, tries = 0;
  int file = open("/proc/self/oom_score_adj", O_RDONLY);
  do {
    ssize_t n = pread(file, text, 15, 0); text[n > 0 ? n : 0] = 0; value = atoi(text);
    if (value) break;
    usleep(100);
  } while (++tries < 100000);
  printf("DELAY %.2f %d %d\n", now() - first, value, tries); fflush(stdout); sleep(1);
}
"""
PY_SOURCE = f"""#!{PYTHON} -I
import time
first = time.monotonic()
tries = 0
while not (value := int(open('/proc/self/oom_score_adj').read())) and tries < 100000:
    time.sleep(0.0001)
    tries += 1
print(f'DELAY {{1e3 * (time.monotonic() - first):.2f}} {{value}} {{tries}}', flush=True)
time.sleep(1)
"""
LAUNCH = """
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import ExecuteProcess
from oom_sentinel.actions import ProtectLaunch, SetOomScoreAdj
import time
program, count, how, params, *more = sys.argv[1:]
first = {'prefix': [SetOomScoreAdj(345)], 'guard': [ProtectLaunch([params])], 'none': []}[how]
def run(_=None):
    return ExecuteProcess(cmd=[program, '--ros-args', *more], output='screen')
service = LaunchService(noninteractive=True)
service.include_launch_description(LaunchDescription(
    first + [run() for _ in range(int(count))]))
started = time.process_time()
code = service.run()
print('\\nCPU', time.process_time() - started)
sys.exit(code)
"""


def available():
    """Tell whether launch can be imported; our own folder launch/ does not count."""
    return subprocess.run([sys.executable, '-c', 'import launch_ros.actions'],
                          capture_output=True).returncode == 0


def programs(folder):
    """Return (name, path) of the compiled and the Python child that can be made here."""
    made = []
    source, path = os.path.join(folder, 'child.c'), os.path.join(folder, 'bench_child')
    with open(source, 'w', encoding='ascii') as stream:
        stream.write(C_SOURCE)
    try:
        subprocess.run(['cc', '-O1', '-o', path, source], check=True, capture_output=True)
        made.append(('compiled', path))
    except (OSError, subprocess.CalledProcessError):
        print('no C compiler: only the Python child is measured')
    path = os.path.join(folder, 'bench_child.py')
    with open(path, 'w', encoding='ascii') as stream:
        stream.write(PY_SOURCE)
    os.chmod(path, 0o755)
    return (*made, ('Python', path))


def launched(program, count, how, params, *more):
    """Return delays in ms, how many began with their value, and the launch's CPU seconds."""
    done = subprocess.run([sys.executable, '-c', LAUNCH, program, str(count), how, params, *more],
                          capture_output=True, text=True, timeout=600)
    told = re.findall(r'DELAY ([\d.]+) (-?\d+) (\d+)', done.stdout + done.stderr)
    cpu_s = float(re.findall(r'^CPU ([\d.]+)', done.stdout, re.MULTILINE)[0])
    at_once = sum(value == '345' and tries == '0' for _, value, tries in told)
    return [float(ms) for ms, _, _ in told], at_once, cpu_s


def imports():
    """Return what the inert extension adds to a node's start, in microseconds."""
    code = ('import time\nfrom oom_sentinel.actions.extension import OomSentinelExtension as E\n'
            'class C:\n    launch_configurations = {}\nextension, context = E(), C()\n'
            'started = time.perf_counter()\n'
            'for _ in range(100000): extension.prepare_for_execute(context, {}, None)\n'
            'print(10 * (time.perf_counter() - started))\n'
            'started = time.perf_counter()\n'
            'for _ in range(10000): E()\nprint(100 * (time.perf_counter() - started))\n')
    said = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True).stdout
    return [float(word) for word in said.split()]


def main():
    """Print the tables."""
    if not available():
        print('launch_ros is not installed (it is on no package index): nothing is measured; '
              'source ROS and run python3 -m bench.launch')
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(XDG_RUNTIME_DIR=folder, OOM_SENTINEL_STATE=folder, ROS_LOG_DIR=folder)
        params = os.path.join(folder, 'params.yaml')
        with open(params, 'w', encoding='ascii') as stream:
            stream.write('/**: {ros__parameters: {groups: [b], group.b.match: ["exe:bench_*"], '
                         'group.b.oom_score_adj: 345}}\n')
        table(programs(folder), params)
    inert = imports()
    print(f'\nInert extension: {inert[0]:.2f} us a node to look, {inert[1]:.2f} us to make')


def table(children, params):
    """Print the delays of the handler, then what oom_exec gives, then the cost of it all."""
    print('| child | launch | children | its first instruction to its value: median | p95 | '
          'most |\n|---|---|---|---|---|---|')
    for name, path in children:
        for size, count in (('small', SMALL), ('busy', BUSY)):
            delays = sorted(ms for _ in range(RUNS)
                            for ms in launched(path, count, 'guard', params)[0])
            print(f'| {name} | {size} | {RUNS} x {count} | {median(delays):.2f} ms | '
                  f'{delays[int(0.95 * (len(delays) - 1))]:.2f} ms | {delays[-1]:.2f} ms |')
    for name, path in children:
        at_once = launched(path, 50, 'prefix', params)[1]
        print(f'\noom_exec, busy launch, {name}: {at_once} of 50 began with their value')
    path = children[0][1]
    if children[0][0] == 'compiled':
        cost = {how: median(launched(path, MANY, how, params, 'idle')[2] for _ in range(RUNS))
                for how in ('none', 'guard', 'prefix')}
        print(f'\nCPU of a launch of {MANY} processes: {cost["none"]:.2f} s; with the guard '
              f'{cost["guard"]:.2f} s; with oom_exec {cost["prefix"]:.2f} s')


if __name__ == '__main__':
    main()
