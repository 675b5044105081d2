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
How fast a log is read: lines that do not matter beside grep, 1 GB in how much memory, 1 MB lines.

`python -m bench.kernel_log` runs it alone.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report import Stream

MB = 1000000
BLOCK = 1 << 18
FILE_BYTES = 200 * MB
LONG_BYTES = 1000 * MB
LINES = {
    'syslog': b'Nov 26 08:30:48 robot ros2[1234]: [INFO] [1732609848.123456789] '
              b'[controller_server]: Passing new path to controller, number %d.\n',
    'dmesg': b'[%12d.123456] usb 1-1: new high-speed USB device number 5 using xhci_hcd\n',
    'journal JSON': b'{"__REALTIME_TIMESTAMP":"1732609848123456","_TRANSPORT":"stdout",'
                    b'"MESSAGE":"Passing new path to controller %d","_PID":"1234"}\n',
    'journal export': b'__CURSOR=s=1;i=1\n__REALTIME_TIMESTAMP=1732609848123456\n'
                      b'_TRANSPORT=stdout\n_PID=1234\n_COMM=controller_serv\n'
                      b'MESSAGE=Passing new path to controller %d\n\n'}
REPORT = (
    b'[  100.000000] amcl invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0\n'
    b'[  100.000001] Tasks state (memory values in pages):\n'
    b'[  100.000002] [  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents '
    b'oom_score_adj name\n' + b''.join(
        b'[  100.000003] [%7d]  1000 %5d    42815    39936   368640        0             0 '
        b'node_%d\n' % (pid, pid, pid) for pid in range(1000, 1300))
    + b'[  100.000004] Out of memory: Killed process 1000 (node_1000) total-vm:171260kB, '
    b'anon-rss:153084kB, file-rss:6660kB, shmem-rss:0kB, UID:0 pgtables:360kB '
    b'oom_score_adj:0\n')
# What makes a regular expression try again: see test/core/kills/test_oom_report_fuzz.py for more.
HOSTILE = {'spaces': b' ', 'brackets': b'[', 'Killed process 1 (a': b'Killed process 1 (a',
           ') total-vm:1kB': b') total-vm:1kB', ',task=a,pid=1': b',task=a,pid=1',
           'Tainted: G': b'Tainted: G ', '\\x41': b'\\x41', '{"MESSAGE":[': b'{"MESSAGE":['}


def lines(kind, total):
    """Yield blocks of numbered lines of a kind, about `total` bytes."""
    number = made = 0
    while made < total:
        block = b''.join(LINES[kind] % n for n in range(number, number + 2000))
        number += 2000
        made += len(block)
        yield block


def cpu_s():
    """Return the CPU seconds of this process and of its ended children."""
    return sum(os.times()[:4])


def read(path):
    """Stream a file; return the kills, the seconds and the CPU seconds."""
    stream, found = Stream(Parser('bench')), 0
    started, worked = time.perf_counter(), cpu_s()
    with open(path, 'rb', buffering=0) as file:
        while block := file.read(BLOCK):
            found += len(stream.feed(block))
    return found + len(stream.end()), time.perf_counter() - started, cpu_s() - worked


def throughput(runs):
    """Return rows (kind, MB/s: ours, grep's; MB per CPU second: ours, grep's)."""
    rows = []
    for kind in LINES:
        with tempfile.NamedTemporaryFile() as file:
            size = sum(file.write(block) for block in lines(kind, FILE_BYTES))
            file.flush()
            ours, grep, our_cpu, grep_cpu = [], [], [], []
            for _ in range(runs):
                found, seconds, cpu = read(file.name)
                assert found == 0
                ours.append(seconds)
                our_cpu.append(cpu)
                started, worked = time.perf_counter(), cpu_s()
                subprocess.run(['grep', '-c', '-i', 'killed process', file.name],
                               stdout=subprocess.DEVNULL)
                grep.append(time.perf_counter() - started)
                grep_cpu.append(cpu_s() - worked)
        rows.append((kind, *(size / MB / sorted(x)[runs // 2]
                             for x in (ours, grep, our_cpu, grep_cpu))))
    return rows


def reports(runs):
    """Return MB/s on nothing but reports of 300 tasks, and how many a second."""
    data = b''.join(REPORT.replace(b'[  100.', b'[%5d.' % at) for at in range(100, 9000, 178))
    seconds = []
    for _ in range(runs):
        stream = Stream(Parser('bench'))
        started = time.perf_counter()
        assert len(stream.feed(data) + stream.end()) == 50
        seconds.append(time.perf_counter() - started)
    middle = sorted(seconds)[runs // 2]
    return len(data) / MB / middle, 50 / middle


def _grown_while_reading():
    """Print how much this process grows over 1 GB with a report in each 10 MB, in MiB."""
    stream, made, since, found = Stream(Parser('bench')), 0, 0, 0
    before = None
    for block in lines('syslog', LONG_BYTES):
        if since > 10 * MB:
            block, since = block + REPORT.replace(b'[  100.', b'[%5d.' % (made // MB)), 0
        found += len(stream.feed(block))
        made, since = made + len(block), since + len(block)
        if before is None and made > 50 * MB:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(made / MB, found, (after - before) / 1024, after / 1024)


def memory():
    """Return MB read, kills, growth of peak RSS and peak RSS in MiB, in a process of its own."""
    said = subprocess.run([sys.executable, '-m', 'bench.kernel_log', 'memory'],
                          capture_output=True, check=True)
    return tuple(float(word) for word in said.stdout.split())


def hostile(runs):
    """Return rows (what repeats, ms) for one line of 1 MB while a report is open."""
    rows = []
    for name, piece in HOSTILE.items():
        line, seconds = piece * ((1 << 20) // len(piece)), []
        for _ in range(runs):
            parser = Parser('bench')
            started = time.perf_counter()
            parser.feed(line)
            parser.end()
            seconds.append(time.perf_counter() - started)
        rows.append((name, 1e3 * sorted(seconds)[runs // 2]))
    return rows


def tables(runs):
    """Print the figures as Markdown."""
    print('| lines that do not matter | MB/s | grep -i | MB per CPU second | grep -i |\n'
          '|---|---|---|---|---|')
    for kind, *speeds in throughput(runs):
        print(f'| {kind} | {" | ".join(f"{speed:.0f}" for speed in speeds)} |')
    speed, rate = reports(runs)
    print(f'\nNothing but reports of 300 tasks: {speed:.1f} MB/s, {rate:.0f} reports a second.')
    made, kills, grown, peak = memory()
    print(f'{made:.0f} MB with {kills:.0f} reports: peak RSS {peak:.0f} MiB, '
          f'{grown:.1f} MiB more than after the first 50 MB.\n')
    print('| a line of 1 MB that repeats | time |\n|---|---|')
    for name, milliseconds in hostile(runs):
        print(f'| `{name}` | {milliseconds:.2f} ms |')


if __name__ == '__main__':
    if sys.argv[1:] == ['memory']:
        _grown_while_reading()
    else:
        tables(int(os.environ.get('BENCH_RUNS', '5')))
