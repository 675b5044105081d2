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

"""A memory control group of the tests' own, in which the kernel kills for real."""

import fcntl
import os
import select
import time

from conftest import wait_for
import pytest

LIMIT_MIB = 300
# mm/oom_kill.c, oom_rs: after ten kills within so many seconds the kernel leaves tables out.
TABLES_S, TABLES = 5.0, 10


def _recent_kills():
    """Return how many kills the kernel's log holds of the last five seconds."""
    log, found = os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), 0
    since_us = (time.monotonic() - TABLES_S) * 1e6
    try:
        while select.select([log], [], [], 0)[0]:
            try:
                facts, _, text = os.read(log, 8192).partition(b';')
            except BrokenPipeError:
                continue  # the ring went over what was not read
            found += b'Killed process' in text and int(facts.split(b',')[2]) > since_us
    finally:
        os.close(log)
    return found


@pytest.fixture
def whole_reports():
    """Wait until a test's own kills are reported with their tables; skip without the log."""
    try:
        wait_for(lambda: _recent_kills() < TABLES // 3, 'the kernel prints tables again')
    except OSError as error:
        pytest.skip(f'/dev/kmsg cannot be read: {error.strerror}')


@pytest.fixture
def raising_alone():
    """Wait until no other test's sentinel raises all processes of this user."""
    lock = os.open(f'/tmp/oom_sentinel_test_raising_{os.geteuid()}',
                   os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    yield
    os.close(lock)


class Cgroup:
    """A memory control group of our own, v1 or v2, with a limit and without swap."""

    def __init__(self, path, version):
        """Make it."""
        self.path, self.version = path, version
        os.mkdir(path)
        limit = str(LIMIT_MIB << 20)
        if version == 1:
            self._write('memory.limit_in_bytes', limit)
            if os.path.exists(os.path.join(path, 'memory.memsw.limit_in_bytes')):
                self._write('memory.memsw.limit_in_bytes', limit)
        else:
            self._write('memory.max', limit)
            self._write('memory.swap.max', '0')

    def _write(self, name, text):
        with open(os.path.join(self.path, name), 'w', encoding='ascii') as stream:
            stream.write(text)

    def join(self):
        """Move the calling process in."""
        self._write('cgroup.procs', str(os.getpid()))

    def remove(self):
        """Remove it; its processes are gone."""
        wait_for(self._removed, f'{self.path} is empty and removed')

    def _removed(self):
        try:
            os.rmdir(self.path)
            return True
        except OSError:
            return False


def memory_folder():
    """Return the folder of the memory hierarchy and its version, None where none is usable."""
    if os.geteuid() != 0:
        return None
    if os.path.isdir('/sys/fs/cgroup/memory'):
        return '/sys/fs/cgroup/memory', 1
    control = '/sys/fs/cgroup/cgroup.subtree_control'
    if os.path.exists(control):
        with open(control, encoding='ascii') as stream:
            if 'memory' in stream.read().split():
                return '/sys/fs/cgroup', 2
    return None


@pytest.fixture(name='cgroup')
def limited_cgroup():
    """Return a memory control group of our own."""
    folder = memory_folder()
    if folder is None:
        pytest.skip('no memory controller that we may use: needs root and cgroup v1 or v2 '
                    'with memory')
    name = f'{folder[0]}/oom_sentinel_test_{os.getpid()}_{time.monotonic_ns()}'
    try:
        made = Cgroup(name, folder[1])
    except OSError as error:
        pytest.skip(f'a memory control group cannot be made here: {error}')
    yield made
    made.remove()
