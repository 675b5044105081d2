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

"""Findings about swap, zram, the reserve, shared memory left behind, and the disk."""

from collections.abc import Iterator
from math import isqrt

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import board
from oom_sentinel.doctor.text import mib
from oom_sentinel.doctor.text import PI
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import sysctl
from oom_sentinel.doctor.text import wsl_memory
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.status import Unavailable

# Documentation/admin-guide/sysctl/vm.rst: below 1024 KB the system becomes subtly broken.
MIN_FREE_BROKEN_KB = 1024
MIN_FREE_MUCH = 0.10  # of memory; the kernel's own choice is at most 256 MiB (mm/page_alloc.c)
# What khugepaged asks for on a machine with one zone of 2 MiB pages (mm/khugepaged.c).
MIN_FREE_HUGE_PAGES_KB = 65536
LEFT_BEHIND_MUCH = 0.01  # of memory, in segments that nobody uses
ZRAM_MUCH = 2.0  # times memory: what zram's usual 2:1 to 3:1 could hold with nothing else
SWAP_FILE_BYTES = 2 << 30
DISK_SPARE_BYTES = 1 << 30  # what a swap file shall leave
DISK_FULL_BYTES = 64 << 20
SWAP_FILE = (
    'sudo fallocate -l 2G /swapfile && sudo chmod 600 /swapfile && sudo mkswap /swapfile',
    "sudo swapon /swapfile && echo '/swapfile none swap sw 0 0' | sudo tee -a /etc/fstab")
ZRAM_TOOLS = (
    'sudo apt-get install -y zram-tools',
    "sudo sed -i 's/^#*PERCENT=.*/PERCENT=50/' /etc/default/zramswap && "
    'sudo systemctl restart zramswap')
# zram-tools, else systemd's generator.
ZRAM_HALF = (
    'if test -e /etc/default/zramswap; '
    "then sudo sed -i 's/^#*PERCENT=.*/PERCENT=50/' /etc/default/zramswap && "
    'sudo systemctl restart zramswap; '
    'else sudo mkdir -p /etc/systemd/zram-generator.conf.d && '
    "printf '[zram0]\\nzram-size = ram / 2\\n' | "
    'sudo tee /etc/systemd/zram-generator.conf.d/60-oom-sentinel.conf && '
    'sudo systemctl daemon-reload && sudo systemctl restart systemd-zram-setup@zram0; fi')


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what is wrong with swap and the reserve."""
    yield from _swap(checkup)
    yield from _reserve(checkup)
    yield from _zswap(checkup)
    for device in checkup.policy.zram:
        yield _zram(device, checkup.meminfo.mem_total_bytes)
    yield from _left_behind(checkup)
    yield from _disk(checkup)


def _swap(checkup: Checkup) -> Iterator[Finding]:
    info, policy = checkup.meminfo, checkup.policy
    if not info.swap_total_bytes:
        yield Finding('no_swap', Severity.WARNING,
                      f'SwapTotal is 0 with {mib(info.mem_total_bytes)} of memory: a short peak '
                      'is enough for an OOM kill',
                      _swap_remedy(checkup))
    elif policy.swappiness == 0:
        yield Finding('swappiness', Severity.INFO,
                      'vm.swappiness is 0: swap is used only when memory is nearly exhausted',
                      sysctl('vm.swappiness', 60))


def _swap_remedy(checkup: Checkup) -> str:
    if checkup.surroundings.wsl is not None:
        return wsl_memory(checkup.meminfo.mem_total_bytes)
    if checkup.surroundings.container is not None:
        return remedy(*SWAP_FILE)
    if board(checkup, PI):
        return remedy(remark('Compressed memory as swap, which spares the SD card:'), *ZRAM_TOOLS)
    free = checkup.root_free_bytes
    if free is not None and free < SWAP_FILE_BYTES + DISK_SPARE_BYTES:
        return remedy(remark(f'Compressed memory as swap: the disk has only {mib(free)} free:'),
                      *ZRAM_TOOLS)
    return remedy(*SWAP_FILE)


def _reserve(checkup: Checkup) -> Iterator[Finding]:
    reserve = checkup.policy.min_free_kbytes
    if reserve is None:
        return
    total = checkup.meminfo.mem_total_bytes
    if reserve < MIN_FREE_BROKEN_KB:
        yield Finding('min_free_kbytes_low', Severity.ERROR,
                      f'vm.min_free_kbytes is {reserve}: below {MIN_FREE_BROKEN_KB} the kernel '
                      'can deadlock under load', sysctl('vm.min_free_kbytes', 16384))
    elif reserve * 1024 > MIN_FREE_MUCH * total:
        yield Finding('min_free_kbytes_high', Severity.WARNING,
                      f'vm.min_free_kbytes is {reserve}, {100 * reserve * 1024 / total:.0f} % of '
                      'memory: processes cannot use it, reclaim and kills begin that much '
                      'earlier', sysctl('vm.min_free_kbytes', min_free_default(total)))


def min_free_default(total_bytes: int) -> int:
    """Return the kernel's own choice in kB (init_per_zone_wmark_min()), with huge pages."""
    return min(262144, max(isqrt(total_bytes // 1024 * 16), MIN_FREE_HUGE_PAGES_KB))


def _zswap(checkup: Checkup) -> Iterator[Finding]:
    if checkup.policy.zswap_enabled and checkup.meminfo.swap_total_bytes:
        yield Finding('zswap', Severity.INFO,
                      'zswap keeps what is swapped out compressed in up to '
                      f'{checkup.policy.zswap_max_pool_percent} % of memory before it goes to '
                      'the disk', remedy(
                          remark('Nothing to do.  To switch it off:'),
                          'echo N | sudo tee /sys/module/zswap/parameters/enabled'))


def _zram(device: Zram, total: int) -> Finding:
    held = '' if device.original_bytes is None or device.used_bytes is None else (
        f', holds {mib(device.original_bytes)} in {mib(device.used_bytes)} of memory')
    if device.disksize_bytes > ZRAM_MUCH * total:
        return Finding('zram_too_large', Severity.WARNING,
                       f'{device.name} promises {mib(device.disksize_bytes)} of swap with '
                       f'{mib(total)} of memory{held}: memory is full before SwapFree is 0',
                       ZRAM_HALF)
    return Finding('zram', Severity.INFO,
                   f'{device.name} gives {mib(device.disksize_bytes)} of swap in compressed '
                   f'memory{held}: what is swapped out still takes memory, a half to a third',
                   remark('There is nothing to do.'))


def _left_behind(checkup: Checkup) -> Iterator[Finding]:
    found = checkup.dds_segments
    if isinstance(found, Unavailable) or not found.dead:
        return
    much = found.dead_bytes > LEFT_BEHIND_MUCH * checkup.meminfo.mem_total_bytes
    yield Finding('stale_shared_memory', Severity.WARNING if much else Severity.INFO,
                  f'{found.dead} shared memory segments of Fast DDS in /dev/shm were left by '
                  f'processes that died: {mib(found.dead_bytes)} that no process gives back',
                  'fastdds shm clean')


def _disk(checkup: Checkup) -> Iterator[Finding]:
    free = checkup.home_free_bytes
    if free is None or free >= DISK_FULL_BYTES:
        return
    yield Finding('disk_full', Severity.WARNING,
                  f'the disk of the home directory has {mib(free)} free: incident folders, the '
                  'saved oom_score_adj values and ROS logs cannot be written',
                  remedy(remark('What takes most below ~/.ros; logs of old runs may go:'),
                         'du -sh ~/.ros/* ~/.ros/log/* | sort -h | tail -n 20'))
