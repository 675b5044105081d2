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

"""A memory cgroup of a bench's own, and processes in it that hold and let go as they are told."""

import contextlib
import os
import subprocess
import sys
import time

MIB = 1 << 20
# Reads lines: N takes so many MiB, -N gives them back, rN reads N MiB of a file anew.
HOLDER = """
import mmap, sys
held = []
for line in sys.stdin:
    word = line.strip()
    if word.startswith('r'):
        with open(sys.argv[1], 'rb', buffering=0) as stream:
            for _ in range(int(word[1:])):
                stream.read(1 << 20)
    else:
        for _ in range(int(word)):
            held.append(mmap.mmap(-1, 1 << 20))
            for at in range(0, 1 << 20, 4096):
                held[-1][at] = 1
        for _ in range(-int(word)):
            held.pop().close()
    print('done', flush=True)
"""


def usable():
    """Return the folder of the memory hierarchy and its version, None where we may not."""
    if os.geteuid() != 0:
        return None
    for folder, version in (('/sys/fs/cgroup/memory', 1), ('/sys/fs/cgroup', 2)):
        name = 'memory.limit_in_bytes' if version == 1 else 'cgroup.subtree_control'
        with contextlib.suppress(OSError), open(f'{folder}/{name}', encoding='ascii') as stream:
            if version == 1 or 'memory' in stream.read().split():
                return folder, version
    return None


class Confined:
    """A memory cgroup with a limit and without swap, and the holders in it."""

    def __init__(self, name, limit_mib):
        """Make it below the hierarchy's root."""
        found = usable()
        if found is None:
            raise SystemExit('a memory cgroup of our own needs root and a memory controller')
        self.mount, self.version = found
        self.path = f'/{name}_{os.getpid()}_{time.monotonic_ns()}'
        self.folder = self.mount + self.path
        os.mkdir(self.folder)
        self.holders = []
        names = (('memory.limit_in_bytes', 'memory.memsw.limit_in_bytes')
                 if self.version == 1 else ('memory.max',))
        for file in names:
            with contextlib.suppress(FileNotFoundError):
                self.write(file, limit_mib * MIB)
        if self.version == 2:
            self.write('memory.swap.max', 0)

    def write(self, name, value):
        """Write one of its files."""
        with open(f'{self.folder}/{name}', 'w', encoding='ascii') as stream:
            stream.write(str(value))

    def start(self, adj=0, file='/dev/null'):
        """Start a holder in it with this oom_score_adj."""
        def join():
            self.write('cgroup.procs', os.getpid())
            with open('/proc/self/oom_score_adj', 'w', encoding='ascii') as stream:
                stream.write(str(adj))
        holder = subprocess.Popen(
            ['/usr/bin/python3', '-S', '-E', '-c', HOLDER, file], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=join, bufsize=0)
        self.holders.append(holder)
        return holder

    def tell(self, holder, word):
        """Let a holder do something and wait; return whether it lived through it."""
        with contextlib.suppress(BrokenPipeError):
            holder.stdin.write(f'{word}\n'.encode())
            return bool(holder.stdout.readline())
        return False

    def dead(self):
        """Return the holders that are dead."""
        return [holder for holder in self.holders if holder.poll() is not None]

    def end(self):
        """Kill the holders and remove the cgroup."""
        for holder in self.holders:
            holder.kill()
            holder.wait()
            holder.stdin.close()
            holder.stdout.close()
        end = time.monotonic() + 10
        while time.monotonic() < end:
            try:
                os.rmdir(self.folder)
                return
            except OSError:
                time.sleep(0.02)
        print(f'{self.folder} could not be removed', file=sys.stderr)
