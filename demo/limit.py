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
"""A memory control group of the demo's own, v1 or v2, with a limit and without swap."""

import contextlib
import errno
import os
import time

MIB = 1 << 20
PATIENCE_S = 10.0


def hierarchy():
    """
    Return the folder and the version of the memory hierarchy.

    :raises OSError: saying why no group can be made here.
    """
    if os.path.exists('/sys/fs/cgroup/memory/memory.limit_in_bytes'):
        return '/sys/fs/cgroup/memory', 1
    try:
        with open('/sys/fs/cgroup/cgroup.subtree_control', encoding='ascii') as stream:
            controllers = stream.read().split()
    except FileNotFoundError:
        raise OSError(errno.ENOENT, 'no control groups are mounted below /sys/fs/cgroup') from None
    if 'memory' not in controllers:
        raise OSError(errno.ENOENT, 'the memory controller is off (cgroup.subtree_control)')
    return '/sys/fs/cgroup', 2


class Limit:
    """The group; a context manager that removes it."""

    def __init__(self, mib):
        """
        Make the group.

        :param mib: its limit in MiB.
        :raises OSError: when this user may not, or no memory controller is there.
        """
        mount, self.version = hierarchy()
        self.mib = mib
        self.name = f'demo_{os.getpid()}_{time.monotonic_ns() % 10**6}'
        self.folder = f'{mount}/{self.name}'
        os.mkdir(self.folder)
        try:
            if self.version == 1:
                self._write('memory.limit_in_bytes', mib * MIB)
                with contextlib.suppress(FileNotFoundError):  # without swap accounting
                    self._write('memory.memsw.limit_in_bytes', mib * MIB)
            else:
                self._write('memory.max', mib * MIB)
                with contextlib.suppress(FileNotFoundError):
                    self._write('memory.swap.max', 0)
        except OSError:
            os.rmdir(self.folder)
            raise

    def _write(self, name, value):
        with open(f'{self.folder}/{name}', 'w', encoding='ascii') as stream:
            stream.write(str(value))

    def join(self):
        """Move the calling process in."""
        self._write('cgroup.procs', os.getpid())

    def left_mib(self):
        """Return how many MiB are left, page cache that can be dropped counted as free."""
        used_name, drop = (('memory.usage_in_bytes', 'total_inactive_file')
                           if self.version == 1 else ('memory.current', 'inactive_file'))
        with open(f'{self.folder}/{used_name}', encoding='ascii') as stream:
            used = int(stream.read())
        with open(f'{self.folder}/memory.stat', encoding='ascii') as stream:
            stat = dict(line.split() for line in stream)
        return max(0, self.mib - (used - int(stat[drop])) // MIB)

    def __enter__(self):
        """Return the group."""
        return self

    def __exit__(self, *_exception):
        """Remove it; its processes have been ended before."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                os.rmdir(self.folder)
                return
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
