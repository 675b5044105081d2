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
Measure the peers and print the tables: `python -m bench.peers --counts 50,500 --seconds 20`.

It starts itself anew in a PID namespace of its own, so that only the stand-in processes count.
"""

import argparse
import contextlib
import os
import pathlib

from bench import namespace
from bench.crowd import crowd
from bench.peers import measure
from bench.peers import peer
from bench.peers import table

# Discovery is over, and the sentinel's last look at the libraries of a young process (60 s).
SETTLE_S = 65.0
HEAD = """# Benchmarks

Made by `make bench PEERS='--write docs/benchmarks.md'`; make it on your own machine: figures of
another one are only a hint. A count at a time is measured anew and the others stay
(`PEERS='--counts 500 --write docs/benchmarks.md'`). The peers run at once beside sleeping
stand-in processes, and are measured over the same seconds; `free` and `top` after the others,
which would have to look at what they start. All are in a PID namespace of their own, so
that nobody else's processes count. The kernel reports exec events in the initial PID namespace
only: in another one the sentinel compares the PID given last twice a second. With `--host` they
stay in the initial one, beside what else runs there. A line below each table says how busy the
machine was meanwhile: above a few percent the figures are too high, by stalls and caches.
CPU comes from the scheduler's nanoseconds (schedstat) and, for children, from /proc/PID/stat;
wake-ups are voluntary context switches of all threads; memory is read at the end of each run.
Peers and stand-ins have run for a minute before the first run.

"""
TAIL = """
## What each does for that

{jobs}

The peers send no ROS message about a kill of the kernel or a stall, so kill to message (`python -m
bench.kills`) and stall to message (`python -m bench.wake`) have nothing beside them here.
What each of them is good at: [comparison](comparison.md).
"""


def arguments():
    """Return what was asked for."""
    parser = argparse.ArgumentParser(prog='python -m bench.peers', description=__doc__)
    parser.add_argument('--counts', default='50,500,2000,5000', help='stand-in processes')
    parser.add_argument('--seconds', type=float, default=60.0, help='of one run')
    parser.add_argument('--runs', type=int, default=5, help='whose medians are taken')
    parser.add_argument('--settle', type=float, default=SETTLE_S, help='seconds before the first')
    parser.add_argument('--host', action='store_true',
                        help='stay in this PID namespace, where exec events reach the sentinel')
    parser.add_argument('--write', metavar='FILE', help='the page to write, too; it '
                        'keeps its tables of other counts')
    given = parser.parse_args()
    given.counts = sorted({int(count) for count in given.counts.split(',')})
    return given


def main():
    """Print the tables, and write the page when asked."""
    given = arguments()
    if not given.host:
        namespace.enter('bench.peers')
    namespace.surroundings()
    peers = peer.everybody()
    machine = table.machine(peers, own_namespace=namespace.INSIDE in os.environ)
    print(machine, flush=True)
    page = pathlib.Path(given.write) if given.write else None
    tables = table.kept(page.read_text(encoding='utf-8')) if page and page.exists() else {}
    how = f'{given.seconds:g} s, medians of {given.runs} runs'
    with contextlib.ExitStack() as stack:
        there = 0
        for count in given.counts:
            stack.enter_context(crowd(count - there))
            there = count
            tables[count] = table.of_count(count, peers, measure.measure(
                peers, given.settle, given.seconds, given.runs), how)
            print(f'\n{tables[count]}', flush=True)
            if page:
                shown = [machine, *(tables[at] for at in sorted(tables))]
                page.write_text(HEAD + '\n\n'.join(shown) + '\n'
                                + TAIL.format(jobs=table.jobs(peers)), encoding='utf-8')


main()
