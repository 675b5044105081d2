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
Parts of small synthetic /proc and /sys trees, in the kernel's file formats.

A `Tree` is files by path; `meminfo`, `task`, `v1`, `v2` and `zram` make them.  Sizes are MiB
unless a name says otherwise.  The boards made from them are in trees.py.
"""

from dataclasses import dataclass
from dataclasses import field
import json
import os
import pathlib

MIB = 1 << 20
UNLIMITED_V1 = 9223372036854771712  # PAGE_COUNTER_MAX pages of 4 KiB
V2_MOUNT = '35 24 0:30 {root} /sys/fs/cgroup rw,nosuid,nodev - cgroup2 cgroup2 rw,nsdelegate\n'
V1_MOUNT = '36 31 0:32 {root} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n'
UNIFIED = '37 31 0:33 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n'
CALM = ('some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n'
        'full avg10=0.00 avg60=0.00 avg300=0.00 total=0\n')


@dataclass
class Tree:
    """Files by their path on the board, links, and what capture.json says."""

    kernel: str
    page_size: int = 4096
    hostname: str = 'robot'
    files: dict[str, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    def add(self, files):
        """Add files, or replace them; None removes one."""
        for name, text in files.items():
            if text is None:
                self.files.pop(name, None)
            else:
                self.files[name] = text
        return self

    def write(self, folder):
        """Write the tree into a folder and return it as a Path."""
        root = pathlib.Path(folder)
        for name, text in self.files.items():
            target = root / name.lstrip('/')
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        for name, target in self.links.items():
            place = root / name.lstrip('/')
            place.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(target, place)
        (root / 'capture.json').write_text(json.dumps({
            'page_size': self.page_size, 'clock_ticks': 100, 'wall_s': 1760000000.0,
            'boot_time': 1759990000.0, 'kernel': self.kernel, 'hostname': self.hostname,
            'note': 'synthetic: made by test/trees.py'}))
        return root


def meminfo(total=4096, available=2048, swap_total=0, swap_free=0, **more):
    """Return /proc/meminfo; what is used is anonymous, `more` are lines in kB by name."""
    cached, slab = available // 2, 64
    lines = {
        'MemTotal': total, 'MemFree': available - cached, 'MemAvailable': available,
        'Buffers': 0, 'Cached': cached, 'SwapCached': 0, 'SwapTotal': swap_total,
        'SwapFree': swap_free, 'AnonPages': total - available - slab - 16, 'Mapped': 32,
        'Shmem': 8, 'KReclaimable': 32, 'Slab': slab, 'SReclaimable': 32, 'SUnreclaim': 32,
        'KernelStack': 6, 'PageTables': 10, 'CommitLimit': swap_total + total // 2,
        'Committed_AS': total - available, 'VmallocTotal': 256 << 10, 'VmallocUsed': 6,
        'Percpu': 0}
    lines = {name: 1024 * value for name, value in lines.items()}
    lines.update(more)
    return ''.join(f'{name + ":":<16}{value:>8} kB\n' for name, value in lines.items()
                   if value is not None) + 'HugePages_Total:       0\nHugepagesize: 2048 kB\n'


def task(pid, comm, rss=30, *, swap=0, adj=0, score=666, ppid=1, uid=1000, cgroup='0::/\n',
         cmdline=None, exe=None, tables_kb=200, page_size=4096):
    """Return the files of one process."""
    kib = rss * 1024
    pages = kib * 1024 // page_size
    words = [exe or f'/usr/bin/{comm}'] if cmdline is None else cmdline
    return {
        f'/proc/{pid}/stat': f'{pid} ({comm}) S {ppid} {pid} {pid} 0 -1 4194560 0 0 0 0 0 0 0 0 '
                             f'20 0 1 0 {1000 + pid} {kib * 2048} {pages} ' + '0 ' * 27 + '0\n',
        f'/proc/{pid}/status': (
            f'Name:\t{comm}\nState:\tS (sleeping)\nTgid:\t{pid}\nPid:\t{pid}\nPPid:\t{ppid}\n'
            f'Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{uid}\t{uid}\t{uid}\t{uid}\n'
            f'NSpid:\t{pid}\nVmRSS:\t{kib} kB\nRssAnon:\t{kib} kB\nRssFile:\t0 kB\n'
            f'RssShmem:\t0 kB\nVmPTE:\t{tables_kb} kB\nVmSwap:\t{swap * 1024} kB\n'
            'CapEff:\t0000000000000000\n'),
        f'/proc/{pid}/comm': comm + '\n', f'/proc/{pid}/cmdline': '\0'.join(words) + '\0',
        f'/proc/{pid}/oom_score': f'{score}\n', f'/proc/{pid}/oom_score_adj': f'{adj}\n',
        f'/proc/{pid}/cgroup': cgroup}


def v2(path, *, limit=None, usage=0, high=None, swap_max=None, swap=0, file=0, events=None,
       group=0, pids=(), controllers='cpu memory pids'):
    """Return the files of a cgroup of version 2; the root has no limit files."""
    base = '/sys/fs/cgroup' + path.rstrip('/') + '/'
    said = {'low': 0, 'high': 0, 'max': 0, 'oom': 0, 'oom_kill': 0, 'oom_group_kill': 0}
    said.update(events or {})
    return {base + name: text + '\n' for name, text in {
        'cgroup.controllers': controllers, 'cgroup.procs': '\n'.join(map(str, pids)),
        'memory.max': _or_max(limit), 'memory.high': _or_max(high),
        'memory.current': str(usage * MIB), 'memory.swap.max': _or_max(swap_max),
        'memory.swap.current': str(swap * MIB), 'memory.oom.group': str(group),
        'memory.events': '\n'.join(f'{k} {v}' for k, v in said.items()),
        'memory.stat': f'anon {(usage - file) * MIB}\nfile {file * MIB}\n'
                       f'inactive_file {file * MIB}\nactive_file 0\nslab_reclaimable 0',
        'memory.pressure': CALM.rstrip()}.items()}


def v2_root(controllers='cpuset cpu io memory pids'):
    """Return the real root of a version 2 hierarchy: no limit, no usage, no events."""
    return {'/sys/fs/cgroup/cgroup.controllers': controllers + '\n',
            '/sys/fs/cgroup/cgroup.procs': '\n'}


def _or_max(mib):
    return 'max' if mib is None else str(mib * MIB)


def v1(path, *, limit=None, usage=0, memsw=None, swap=0, file=0, disable=0, under=0, kills=0,
       pids=(), swap_accounting=True):
    """Return the files of a memory cgroup of version 1."""
    base = '/sys/fs/cgroup/memory' + path.rstrip('/') + '/'
    files = {
        'cgroup.procs': '\n'.join(map(str, pids)),
        'memory.limit_in_bytes': str(UNLIMITED_V1 if limit is None else limit * MIB),
        'memory.usage_in_bytes': str(usage * MIB),
        'memory.oom_control': f'oom_kill_disable {disable}\nunder_oom {under}\n'
                              f'oom_kill {kills}',
        'memory.stat': f'cache {file * MIB}\nswap {swap * MIB}\ninactive_file {file * MIB}\n'
                       f'active_file 0\ntotal_cache {file * MIB}\ntotal_swap {swap * MIB}\n'
                       f'total_inactive_file {file * MIB}\ntotal_active_file 0'}
    if swap_accounting:
        files['memory.memsw.limit_in_bytes'] = str(
            UNLIMITED_V1 if memsw is None else memsw * MIB)
        files['memory.memsw.usage_in_bytes'] = str((usage + swap) * MIB)
    return {base + name: text + '\n' for name, text in files.items()}


def host(kernel, memory, *, mounts, own, pressure=CALM, page_size=4096, overcommit=0):
    """Return a tree with the host's files and three processes."""
    files = {
        '/proc/meminfo': memory, '/proc/vmstat': 'nr_free_pages 1000\noom_kill 0\n',
        '/proc/loadavg': '0.10 0.20 0.30 1/200 4242\n', '/proc/uptime': '10000.00 20000.00\n',
        '/proc/self/mountinfo': mounts, '/proc/self/cgroup': own,
        '/proc/self/uid_map': '         0          0 4294967295\n',
        '/proc/self/status': 'Name:\tpython3\nCapEff:\t0000000000000000\n',
        '/proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
        '/proc/version': f'Linux version {kernel} (builder@host) #1 SMP\n',
        '/proc/sys/kernel/osrelease': kernel + '\n', '/proc/sys/kernel/panic': '0\n',
        '/proc/sys/kernel/dmesg_restrict': '1\n',
        '/proc/sys/vm/overcommit_memory': f'{overcommit}\n',
        '/proc/sys/vm/overcommit_ratio': '50\n', '/proc/sys/vm/overcommit_kbytes': '0\n',
        '/proc/sys/vm/oom_kill_allocating_task': '0\n', '/proc/sys/vm/panic_on_oom': '0\n',
        '/proc/sys/vm/min_free_kbytes': '16384\n', '/proc/sys/vm/swappiness': '60\n'}
    if pressure is not None:
        files['/proc/pressure/memory'] = pressure
    made = Tree(kernel, page_size, files=files)
    return (made.add(task(1, 'systemd', 12, uid=0, cgroup=own, page_size=page_size))
            .add(task(400, 'amcl', 60, cgroup=own, page_size=page_size,
                      exe='/opt/ros/humble/lib/nav2_amcl/amcl'))
            .add(task(500, 'rviz2', 300, cgroup=own, page_size=page_size,
                      exe='/opt/ros/humble/lib/rviz2/rviz2')))


def zram(made, *, disk=2048, stored=0, ratio=0.4, limit=0, device='zram0', used=None):
    """Add a zram swap device that holds `stored` MiB in `stored * ratio`."""
    used_mib = int(stored * ratio)
    swapped = stored if used is None else used
    swap = f'/dev/{device}\t\t\t\tpartition\t{disk * 1024}\t\t{swapped * 1024}\t\t100\n'
    return made.add({
        f'/sys/block/{device}/disksize': f'{disk * MIB}\n',
        f'/sys/block/{device}/comp_algorithm': 'lzo lzo-rle [zstd]\n',
        f'/sys/block/{device}/mm_stat': f'{stored * MIB:8} {used_mib * MIB:8} '
                                        f'{used_mib * MIB:8} {limit * MIB:8} '
                                        f'{used_mib * MIB:8} 0 0 0 0\n',
        '/proc/swaps': made.files['/proc/swaps'] + swap})
