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

"""Limits as the kernel holds them: from inside a cgroup namespace, and with page cache."""

import json
import os
import shutil
import subprocess
import sys

from conftest import program
from limited import LIMIT_MIB
from limited import limited_cgroup  # noqa: F401 (a fixture)
from oom_sentinel import kernel
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.risk import headroom
import pytest

MIB = 1 << 20


def test_a_container_finds_its_own_limit_in_a_cgroup_namespace(cgroup):
    """Its group is the root of what it sees; what lies above is said to be hidden."""
    if cgroup.version != 1 or not shutil.which('unshare'):
        pytest.skip('mounts the memory controller of cgroup v1 anew, with unshare')
    inner = ('mount --make-rprivate / && umount /sys/fs/cgroup/memory && '
             'mount -t cgroup -o memory cgroup /sys/fs/cgroup/memory || exit 77; '
             'exec "$0" status --json')
    done = subprocess.run(
        ['unshare', '--cgroup', '--mount', 'sh', '-c', inner, program('oom_sentinel')],
        preexec_fn=cgroup.join, capture_output=True, text=True, timeout=60)
    if done.returncode == 77 or 'unshare' in done.stderr:
        pytest.skip(f'not possible here: {done.stderr.strip()[-120:]}')
    statuses = {s['name']: s for s in json.loads(done.stdout)['statuses']}
    values = statuses['oom_sentinel: Control groups']['values']
    assert (values['tightest'], values['limit_mib']) == ('/', LIMIT_MIB)
    assert 'not visible' in values['limits_above']


def test_page_cache_is_headroom_and_the_kernel_agrees(cgroup, tmp_path):
    """A group full of page cache gives four fifths of its limit to a process, and kills none."""
    file = tmp_path / 'big'
    with open(file, 'wb') as stream:
        for _ in range(LIMIT_MIB + 50):
            stream.write(os.urandom(MIB))
        os.fsync(stream.fileno())
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    words = ('import sys\nfor _ in range(3):\n'
             '    with open(sys.argv[1], "rb", buffering=0) as stream:\n'
             '        while stream.read(1 << 20):\n            pass\n'
             'print("read", flush=True)\nsys.stdin.readline()\n'
             'held = [bytearray(b"x" * (1 << 20)) for _ in range(int(sys.argv[2]))]\n'
             'print("holds", len(held), flush=True)\nsys.stdin.readline()\n')
    child = subprocess.Popen(
        [sys.executable, '-S', '-c', words, str(file), str(LIMIT_MIB * 4 // 5)],
        preexec_fn=cgroup.join, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert child.stdout.readline() == b'read\n'
        cgroups = MemoryCgroups(kernel.Root('/'))
        path = '/' + os.path.relpath(cgroup.path, cgroups.mount.mount_point)
        full = cgroups.group(path)
        if full.usage_bytes < 0.8 * full.limit_bytes:
            pytest.skip('this file system keeps no page cache in the control group')
        assert headroom.headroom(full).percent > 85
        child.stdin.write(b'go\n')
        child.stdin.flush()
        assert child.stdout.readline().startswith(b'holds')
        assert headroom.headroom(cgroups.group(path)).percent < 25
        assert cgroups.group(path).oom_kill == 0
    finally:
        child.kill()
        child.wait()
        child.stdin.close()
        child.stdout.close()


def test_a_group_that_is_removed_is_no_error(cgroup):
    """Between two readings it is gone: nothing is limited any more."""
    cgroups = MemoryCgroups(kernel.Root('/'))
    chains = kernel.Chains(cgroups)
    path = '/' + os.path.relpath(cgroup.path, cgroups.mount.mount_point) + '/inner'
    os.mkdir(cgroup.path + '/inner')
    assert chains.read((path,), 0.0)[0].groups[1].limit_bytes == LIMIT_MIB * MIB
    os.rmdir(cgroup.path + '/inner')
    for now_s in (1.0, 20.0):
        found = chains.read((path,), now_s)[0].groups
        assert headroom.headroom(found[0]) is None and found[1].limited
