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
Capture a live /proc and /sys into a tree for `--root`, so that a bug report becomes a fixture.

Only what the sentinel reads is taken.  Environments, memory maps and boot_id are never taken,
values that look secret are struck out of command lines; look through the tree all the same
before you publish it.
"""

import argparse
import glob
import json
import os
import pathlib
import socket
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from oom_sentinel import kernel  # noqa: E402,I100
from oom_sentinel.kernel.cgroups import MemoryCgroups  # noqa: E402,I100
from oom_sentinel.settings import outside  # noqa: E402,I100

HOST = (
    'meminfo', 'vmstat', 'pressure/memory', 'loadavg', 'self/cgroup', 'self/uid_map',
    'self/oom_score_adj', '1/cgroup', 'sys/kernel/panic', 'sys/kernel/dmesg_restrict',
    *(f'sys/vm/{name}' for name in (
        'overcommit_memory', 'overcommit_ratio', 'overcommit_kbytes', 'oom_kill_allocating_task',
        'panic_on_oom', 'min_free_kbytes', 'swappiness')))
# What the surroundings are told by: kept below the tree's root as they are, or as empty files.
CHOSEN = ('/sys/module/zswap/parameters/enabled', '/sys/module/zswap/parameters/max_pool_percent',
          '/sys/kernel/mm/lru_gen/enabled', '/sys/kernel/mm/lru_gen/min_ttl_ms',
          '/sys/block/zram[0-9]*/disksize', '/sys/block/zram[0-9]*/mm_stat',
          '/run/systemd/container')
PRESENT = ('/.dockerenv', '/run/.containerenv', '/var/run/secrets/kubernetes.io')
TASK = ('comm', 'cmdline', 'cgroup', 'oom_score_adj')
LINKS = ('exe', 'ns/pid')
CGROUP = (
    'cgroup.procs', 'cgroup.controllers', 'memory.stat', 'memory.limit_in_bytes',
    'memory.usage_in_bytes', 'memory.memsw.limit_in_bytes', 'memory.memsw.usage_in_bytes',
    'memory.oom_control', 'memory.max', 'memory.high', 'memory.current', 'memory.swap.max',
    'memory.swap.current', 'memory.events', 'memory.oom.group', 'memory.pressure')


def scrubbed(cmdline):
    """Return the bytes of a command line without the secrets in it."""
    words = cmdline.decode('utf-8', 'surrogateescape').split('\0')
    return '\0'.join(outside.scrubbed(words)).encode('utf-8', 'surrogateescape')


def read(path):
    """Return a file's bytes, None when it is absent or unreadable."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError:
        return None


def keep(target, data):
    """Write bytes into the tree; None is left out."""
    if data is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def link(source, target):
    """
    Keep the words of a symbolic link in a plain file; one that is absent is left out.

    A link of the tree would lead out of it, into the home of whoever looks through it.
    """
    try:
        keep(target, os.fsencode(os.readlink(source)))
    except OSError:
        return


def take_host(proc):
    """Take the host's files; of the mounts only those of control groups."""
    for name in HOST:
        keep(proc / name, read(f'/proc/{name}'))
    mounts = read('/proc/self/mountinfo') or b''
    keep(proc / 'self/mountinfo', b''.join(
        line for line in mounts.splitlines(keepends=True)
        if b' - cgroup' in line or line.split()[4:5] == [b'/']))
    link('/proc/self/ns/pid', proc / 'self/ns/pid')


def take_surroundings(root):
    """Take the administrator's choices, and that the files of a container are there."""
    for pattern in CHOSEN:
        for name in glob.glob(pattern):
            keep(pathlib.Path(str(root) + name), read(name))
    for name in PRESENT:
        if os.path.exists(name):
            keep(pathlib.Path(str(root) + name), b'')


def take_task(proc, pid):
    """Take a process; its score and what it holds are of the same moment."""
    live = f'/proc/{pid}/'
    for _ in range(20):
        before, stat, status, after = (
            read(live + name) for name in ('oom_score', 'stat', 'status', 'oom_score'))
        if before == after:
            break
    if None in (before, stat, status, after):
        return False
    for name, data in (('oom_score', before), ('stat', stat), ('status', status)):
        keep(proc / str(pid) / name, data)
    for name in TASK:
        data = read(live + name)
        keep(proc / str(pid) / name, scrubbed(data) if data and name == 'cmdline' else data)
    for name in LINKS:
        link(live + name, proc / str(pid) / name)
    return True


def take_cgroups(sys_cgroup, cgroups, paths):
    """Take control groups and their ancestors."""
    groups = {group.path for path in paths for group in cgroups.chain(path).groups}
    for path in groups:
        for name in CGROUP:
            below = f'{cgroups.mount.mount_point}{path.rstrip("/")}/{name}'
            keep(pathlib.Path(str(sys_cgroup) + below), read(below))


def chosen(cgroup, most, cgroups):
    """Return the PIDs to take, those that the kernel would kill first before the others."""
    found = {p.pid: p for p in kernel.Table(kernel.Root('/')).read(0.0, scores=True)}
    pids = found if cgroup is None else cgroups.members(cgroup) & set(found)
    return sorted(pids, key=lambda pid: -(found[pid].oom_score or 0))[:most]


def capture(folder, cgroup=None, most=10 ** 6, note=''):
    """Capture into a new folder and return how many processes it holds."""
    root = pathlib.Path(folder)
    root.mkdir(parents=True)
    cgroups = MemoryCgroups(kernel.Root('/'))
    pids = [pid for pid in chosen(cgroup, most, cgroups) if take_task(root / 'proc', pid)]
    take_host(root / 'proc')
    take_surroundings(root)
    if cgroups.mount is not None:
        paths = {cgroups.path_of(pid) for pid in [*pids, 'self']} - {None}
        take_cgroups(root, cgroups, paths)
    now = time.time()
    (root / 'capture.json').write_text(json.dumps({
        'page_size': os.sysconf('SC_PAGE_SIZE'), 'clock_ticks': os.sysconf('SC_CLK_TCK'),
        'wall_s': now, 'boot_time': now - time.clock_gettime(time.CLOCK_BOOTTIME),
        'kernel': os.uname().release, 'hostname': socket.gethostname(), 'note': note},
        indent=2) + '\n')
    return len(pids)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('folder', help='a new folder, named BOARD-DISTRO-KERNEL')
    parser.add_argument('--cgroup', help='only the processes in this memory control group')
    parser.add_argument('-n', type=int, default=10 ** 6, help='at most so many processes')
    parser.add_argument('--note', default='', help='what runs there, for capture.json')
    given = parser.parse_args()
    print(capture(given.folder, given.cgroup, given.n, given.note), 'processes captured')
