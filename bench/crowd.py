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

"""Idle processes to scan, and how long a process has been on a CPU."""

import contextlib
import os
import subprocess
import time


@contextlib.contextmanager
def crowd(count):
    """Run this many sleeping processes."""
    children = [subprocess.Popen(['sleep', '3600']) for _ in range(count)]
    try:
        yield children
    finally:
        for child in children:
            child.kill()
        for child in children:
            child.wait()


def cpu_s(pid):
    """Return the CPU seconds of a process and its threads, from schedstat (nanoseconds)."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/schedstat', encoding='ascii') as stream:
            total += int(stream.read().split()[0])
    return total / 1e9


def rss_mib(pid):
    """Return the resident MiB of a process."""
    with open(f'/proc/{pid}/status', encoding='utf-8') as stream:
        for line in stream:
            if line.startswith('VmRSS'):
                return int(line.split()[1]) / 1024
    raise ValueError('no VmRSS')


def load(pids, seconds):
    """Return for each PID the percent of one core over the same seconds."""
    before = [cpu_s(pid) for pid in pids]
    started = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - started
    return [100 * (cpu_s(pid) - first) / passed for pid, first in zip(pids, before)]


def sleeps(pid):
    """Return how often the threads of a process went to sleep: as often they were woken."""
    total = 0
    for task in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{task}/status', encoding='utf-8') as stream:
            total += sum(int(line.split()[1]) for line in stream
                         if line.startswith('voluntary_ctxt_switches'))
    return total
