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
Run it for so many minutes and print what it cost: `python -m bench.endurance 30`.

Returns 1 when RSS grew, a descriptor or thread was left over, messages came late or the log
holds an error.
"""

import argparse
from statistics import median
import sys
import tempfile
import time

from bench import namespace
from bench.endurance.around import Surroundings
from bench.endurance.watched import PERIOD_S
from bench.endurance.watched import Watched

STEP_S = 10.0
GROWTH = {'rss_mib': 1.0, 'descriptors': 1.0, 'threads': 0.0}
CPU_PERCENT, LATE = 2.0, 1.5
WARM_S = 300.0  # allocators and tables have their size by then
FORBIDDEN = ('a cycle failed', 'Traceback (most recent call last)')


def live(watched, around, minutes):
    """
    Let it live: its own death in the first tenth, then stops, kills and a vanishing node.

    :returns: how often its wall clock was set.
    """
    end = time.monotonic() + 60 * minutes
    watched.wait_for_message()
    watched.wait(6 * minutes - 1)
    watched.respawn()
    step = steps = 0
    while time.monotonic() < end:
        watched.wait(min(STEP_S, max(0.1, end - time.monotonic())))
        step += 1
        if step % 3 == 0:
            around.kill_one()
        if step % 4 == 0:
            around.replace_peer()
        if step % 6 == 0:
            watched.stop(2.0)
        if step % 5 == 0 and watched.clock:
            watched.step_clock()
            steps += 1
    return steps


def show(figures):
    """Print about twelve lines over time."""
    print('| minute | life | RSS (MiB) | descriptors | threads | CPU (%) |')
    print('|---|---|---|---|---|---|')
    before = None
    for figure in figures[::max(1, len(figures) // 12)]:
        cpu = ''
        if before is not None and before.life == figure.life:
            cpu = f'{100 * (figure.cpu_s - before.cpu_s) / (figure.at_s - before.at_s):.2f}'
        print(f'| {figure.at_s / 60:.1f} | {figure.life + 1} | {figure.rss_mib:.1f} | '
              f'{figure.descriptors} | {figure.threads} | {cpu} |')
        before = figure


def grown(figures, name):
    """Return by how much the last quarter's median is above the first quarter's."""
    values = [getattr(figure, name) for figure in figures]
    quarter = max(1, len(values) // 4)
    return median(values[-quarter:]) - median(values[:quarter])


def missed(watched, said, code):
    """Print the totals of the last life and return the targets that were missed."""
    last = [f for f in watched.figures if f.life == watched.life]
    warm = [f for f in last if f.at_s - last[0].at_s >= min(WARM_S, (last[-1].at_s) / 3)]
    cpu = 100 * (warm[-1].cpu_s - warm[0].cpu_s) / (warm[-1].at_s - warm[0].at_s)
    gaps = watched.gaps()
    p99 = gaps[min(len(gaps) - 1, int(0.99 * len(gaps)))]
    print(f'\nFrom minute {warm[0].at_s / 60:.1f} to {warm[-1].at_s / 60:.1f}: CPU {cpu:.2f} %; '
          f'gaps of {len(gaps)} messages: p99 {p99:.2f} s, longest {gaps[-1]:.2f} s')
    growth = {name: grown(warm, name) for name in ('rss_mib', 'descriptors', 'threads')}
    print('grown from its first to its last quarter (medians): '
          + ', '.join(f'{name} {value:+.2f}' for name, value in growth.items()))
    late = [f'{until - since:.1f}' for since, until in watched.excused]
    print(f'first message after its stops (2 s each) and its respawn: {", ".join(late)} s')
    found = [f'{words!r} is in the log' for words in FORBIDDEN if words in said]
    found += [f'{name} grew by {value:.2f}' for name, value in growth.items()
              if value > GROWTH[name]]
    found += [f'CPU {cpu:.2f} %'] if cpu > CPU_PERCENT else []
    found += [f'gap p99 {p99:.2f} s'] if p99 > LATE * PERIOD_S else []
    return found + ([f'exit code {code}'] if code != 0 else [])


def main():
    """Run it; 0 when all targets were kept."""
    parser = argparse.ArgumentParser(prog='python -m bench.endurance', description=__doc__)
    parser.add_argument('minutes', nargs='?', type=float, default=30.0)
    parser.add_argument('--own-pids', action='store_true', help='in a PID namespace of its own, '
                        'where the kernel does not report exec events')
    parser.add_argument('--clock-steps', action='store_true', help='let its wall clock jump an '
                        'hour ahead and back, by faketime, which costs CPU of its own')
    given = parser.parse_args()
    minutes = given.minutes
    if given.own_pids:
        namespace.enter('bench.endurance')
    namespace.surroundings()
    with tempfile.TemporaryFile('w+b') as log:
        watched = Watched(log, clock_steps=given.clock_steps)
        around = Surroundings()
        code, steps = None, 0
        try:
            steps = live(watched, around, minutes)
        finally:
            around.end()
            code = watched.end()
            log.seek(0)
            said = log.read().decode(errors='replace')
        show(watched.figures)
        found = missed(watched, said, code)
        print(f'kills by the kernel: {around.kills}; its wall clock was set {steps} times')
        print('\n'.join(f'MISSED: {text}' for text in found) or 'All targets were kept.')
        if found:
            print(said[-4000:])
    return int(bool(found))


if __name__ == '__main__':
    sys.exit(main())
