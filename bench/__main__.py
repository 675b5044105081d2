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

"""Run every measurement and print the tables as Markdown."""

import os
import platform
from statistics import median
import tempfile

from bench import idle
from bench import kernel_log
from bench import kills
from bench import launch
from bench import protect
from bench import scan
from bench import wake
import psutil

RUNS = int(os.environ.get('BENCH_RUNS', '5'))


def main():
    """Print the tables."""
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('ROS_DOMAIN_ID', str(60 + os.getpid() % 40))
    home = tempfile.mkdtemp(prefix='oom_sentinel_bench_')
    for name in ('XDG_RUNTIME_DIR', 'OOM_SENTINEL_STATE', 'ROS_LOG_DIR'):
        os.environ[name] = home
    print(f'{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, '
          f'Python {platform.python_version()}, psutil {psutil.__version__}, medians of '
          f'{RUNS} runs\n')
    rows = idle.measure(RUNS)
    middle = [median(column) for column in zip(*rows)]
    print(f'forks of others while idle was measured: {middle[4]:.1f} a second\n')
    print('| idle, 500 other processes | sentinel | bare node | difference |\n|---|---|---|---|')
    print(f'| CPU of one core | {middle[0]:.3f} % | {middle[1]:.3f} % | '
          f'x {middle[0] / max(middle[1], 1e-9):.1f} |')
    print(f'| RSS | {middle[2]:.1f} MiB | {middle[3]:.1f} MiB | '
          f'+{middle[2] - middle[3]:.1f} MiB |')
    print(f'| wake-ups a second, all threads | {middle[5]:.1f} | {middle[6]:.1f} | '
          f'+{middle[5] - middle[6]:.1f} |\n')
    print('| processes | full scan | us each | idle scan | psutil the same | times faster |\n'
          '|---|---|---|---|---|---|')
    for count, full, light, peer in scan.measure(RUNS):
        print(f'| {count} | {1e3 * full:.1f} ms | {1e6 * full / count:.1f} | '
              f'{1e3 * light:.1f} ms | {1e3 * peer:.1f} ms | {peer / full:.1f} |')
    print()
    protect.main()
    wake.main()
    print()
    kernel_log.tables(RUNS)
    kills.report(6 * RUNS)
    print()
    launch.main()


main()
