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

"""A real memory stall: writers of dirty pages in a small control group of their own."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time

from bench import confined

MIB = 1 << 20
LIMIT_MIB = 16
WRITERS = 2
# Dirty pages beyond the limit: reclaim waits for the disk (cgroup v1), or the kernel throttles
# processes that write above memory.high (v2).  The file is written over and over.
WRITER = ('import os, sys\n'
          'os.nice(10)\n'
          'fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n'
          'block = os.urandom(1 << 20)\n'
          'while True:\n'
          '    os.lseek(fd, 0, 0)\n'
          '    for _ in range(64):\n'
          '        os.write(fd, block)\n')


def total_us():
    """Return how long some task has waited for memory since boot, in microseconds."""
    with open('/proc/pressure/memory', encoding='ascii') as stream:
        return int(stream.read().split('total=')[1].split()[0])


def _write(path, text):
    with open(path, 'w', encoding='ascii') as stream:
        stream.write(text)


@contextlib.contextmanager
def stalling():
    """Let tasks wait for memory for as long as the block runs; yields the control group."""
    base, version = confined.usable()
    group = f'{base}/oom_sentinel_stall_{os.getpid()}'
    os.mkdir(group)
    limit = 'memory.limit_in_bytes' if version == 1 else 'memory.high'
    children = []
    with tempfile.TemporaryDirectory(dir='/var/tmp') as home:
        try:
            _write(f'{group}/{limit}', str(LIMIT_MIB * MIB))
            for index in range(WRITERS):
                child = subprocess.Popen([sys.executable, '-I', '-S', '-c', WRITER,
                                          f'{home}/{index}'])
                children.append(child)
                _write(f'{group}/cgroup.procs', str(child.pid))
            yield group
        finally:
            for child in children:
                child.send_signal(signal.SIGKILL)
                child.wait()
            _remove(group)


def _remove(group):
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            os.rmdir(group)
            return
        time.sleep(0.05)
    os.rmdir(group)
