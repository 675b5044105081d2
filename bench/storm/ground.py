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

"""What a storm stands on: a memory cgroup, the kernel's log, processes of another user."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time

from bench.confined import usable

MIB = 1 << 20
KILLED = re.compile(r'Killed process (\d+) \((.*?)\)')
# The system's own, which every user may run; a guest has but one.
PYTHON = next(p for p in ('/usr/bin/python3', sys.executable) if os.access(p, os.X_OK))
SPAWNER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'spawner.py')


def put(path, value):
    """Write a value with one system call."""
    with open(path, 'wb', buffering=0) as stream:
        stream.write(str(value).encode())


def number(path):
    """Return the number in a file, None when it cannot be read."""
    try:
        with open(path, 'rb', buffering=0) as stream:
            return int(stream.read(32))
    except (OSError, ValueError):
        return None


def lives(pid):
    """Return whether a process still holds memory; a zombie holds none."""
    try:
        with open(f'/proc/{pid}/statm', encoding='ascii') as stream:
            return int(stream.read().split()[0]) > 0
    except (OSError, IndexError):
        return False


def until(condition, timeout_s, pause_s=0.02):
    """Wait until the condition holds; return whether it did in time."""
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(pause_s)
    return False


class Cgroup:
    """A memory cgroup of the storm's own, without a limit until it is set; v1 and v2."""

    def __init__(self, name, uid):
        """Make it; this user may join it."""
        found = usable()
        if found is None:
            raise SystemExit('a storm needs root and a memory controller')
        mount, self.version = found
        self.path = f'{mount}/{name}'
        os.mkdir(self.path)
        os.chown(f'{self.path}/cgroup.procs', uid, uid)

    def limit(self, mib):
        """Set the limit, swap included."""
        names = (('memory.limit_in_bytes', 'memory.memsw.limit_in_bytes')
                 if self.version == 1 else ('memory.max',))
        for name in names:
            with contextlib.suppress(FileNotFoundError, PermissionError):
                put(f'{self.path}/{name}', int(mib * MIB))
        if self.version == 2:
            put(f'{self.path}/memory.swap.max', 0)

    def used_mib(self):
        """Return what it holds."""
        name = 'memory.usage_in_bytes' if self.version == 1 else 'memory.current'
        return number(f'{self.path}/{name}') / MIB

    def pids(self):
        """Return the PIDs in it."""
        with open(f'{self.path}/cgroup.procs', encoding='ascii') as stream:
            return [int(line) for line in stream]

    def remove(self):
        """Kill what is in it and remove it."""
        def gone():
            for pid in self.pids():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
            return not os.path.exists(self.path)
        if not until(gone, 10):
            print('cannot remove', self.path, file=sys.stderr)


class KernelLog:
    """The kills of this machine from now on, in the kernel's order: (monotonic, PID)."""

    def __init__(self):
        """Open the log at its end."""
        self._file = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK)
        os.lseek(self._file, 0, os.SEEK_END)
        self._kills = []

    def kills(self):
        """Return all of them so far."""
        while select.select([self._file], [], [], 0)[0]:
            try:
                text = os.read(self._file, 8192).decode(errors='replace')
            except BlockingIOError:
                break
            except BrokenPipeError:
                continue  # the ring went over what was not read
            found = KILLED.search(text.partition(';')[2].partition('\n')[0])
            if found:
                self._kills.append((time.monotonic(), int(found[1])))
        return list(self._kills)

    def close(self):
        """Close it."""
        os.close(self._file)


class Spawner:
    """Starts processes as another user, so that none of them is ever seen as root."""

    def __init__(self, uid):
        """Start it."""
        self._process = subprocess.Popen(
            ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups', PYTHON, '-IS',
             SPAWNER], stdin=subprocess.PIPE, text=True, bufsize=1)

    def start(self, command, cgroup, stdout):
        """Start a command in a cgroup."""
        self._process.stdin.write(json.dumps(
            {'command': command, 'cgroup': cgroup, 'stdout': stdout}) + '\n')

    def move(self, cgroup):
        """Move the children that may not move themselves: cgroup v2 wants root for it."""
        pid = self._process.pid
        with open(f'/proc/{pid}/task/{pid}/children', encoding='ascii') as stream:
            for child in stream.read().split():
                with contextlib.suppress(OSError), \
                        open(f'/proc/{child}/cgroup', encoding='utf-8') as line:
                    if os.path.basename(cgroup) not in line.read():
                        put(f'{cgroup}/cgroup.procs', child)

    def close(self):
        """End it."""
        self._process.stdin.close()
        self._process.wait(10)
