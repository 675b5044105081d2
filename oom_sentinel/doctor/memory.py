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

"""Swap, zram and the reserve."""

from collections.abc import Iterator

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import mib
from oom_sentinel.doctor.text import sysctl
from oom_sentinel.facts.status import Unavailable

# Documentation/admin-guide/sysctl/vm.rst: below 1024 KB the system becomes subtly broken.
MIN_FREE_BROKEN_KB = 1024
MIN_FREE_MUCH = 0.10  # of memory; the kernel's own choice is at most 256 MiB (mm/page_alloc.c)
LEFT_BEHIND_MUCH = 0.01  # of memory, in segments that nobody uses
ZRAM_MUCH = 2.0  # times memory: what zram's usual 2:1 to 3:1 could hold with nothing else
SWAP_FILE = ('sudo fallocate -l 2G /swapfile && sudo chmod 600 /swapfile && sudo mkswap '
             "/swapfile && sudo swapon /swapfile && echo '/swapfile none swap sw 0 0' | "
             'sudo tee -a /etc/fstab')
ZRAM = 'on an SD card rather compressed memory: sudo apt-get install zram-tools'


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what is wrong with swap and the reserve."""
    yield from _swap(checkup)
    yield from _reserve(checkup)
    yield from _zram(checkup)
    yield from _left_behind(checkup)


def _swap(checkup: Checkup) -> Iterator[Finding]:
    info, policy = checkup.meminfo, checkup.policy
    if not info.swap_total_bytes:
        yield Finding('no_swap', Severity.WARNING,
                      f'SwapTotal is 0 with {mib(info.mem_total_bytes)} of memory: nothing '
                      'softens a peak, memory is exhausted within moments',
                      _swap_remedy(checkup))
    elif policy.swappiness == 0:
        yield Finding('swappiness', Severity.INFO,
                      'vm.swappiness is 0: swap is used only when memory is nearly exhausted',
                      sysctl('vm.swappiness', 60))


def _swap_remedy(checkup: Checkup) -> str:
    if checkup.surroundings.wsl is not None:
        return ('in Windows, write [wsl2] and swap=4GB into %UserProfile%\\.wslconfig, then: '
                'wsl --shutdown')
    if checkup.surroundings.container is not None:
        return f'on the host, outside the container: {SWAP_FILE}'
    return f'{SWAP_FILE}; {ZRAM}'


def _reserve(checkup: Checkup) -> Iterator[Finding]:
    reserve = checkup.policy.min_free_kbytes
    if reserve is None:
        return
    if reserve < MIN_FREE_BROKEN_KB:
        yield Finding('min_free_kbytes_low', Severity.ERROR,
                      f'vm.min_free_kbytes is {reserve}: below {MIN_FREE_BROKEN_KB} the kernel '
                      'can deadlock under load', sysctl('vm.min_free_kbytes', 16384))
    elif reserve * 1024 > MIN_FREE_MUCH * checkup.meminfo.mem_total_bytes:
        yield Finding('min_free_kbytes_high', Severity.WARNING,
                      f'vm.min_free_kbytes is {reserve}, {_percent(reserve, checkup)} % of '
                      'memory: so much stays unusable, and kills come early',
                      sysctl('vm.min_free_kbytes', 65536))


def _percent(kbytes: int, checkup: Checkup) -> str:
    return f'{100 * kbytes * 1024 / checkup.meminfo.mem_total_bytes:.0f}'


def _zram(checkup: Checkup) -> Iterator[Finding]:
    total = checkup.meminfo.mem_total_bytes
    if checkup.policy.zswap_enabled and checkup.meminfo.swap_total_bytes:
        yield Finding('zswap', Severity.INFO,
                      'zswap keeps what is swapped out compressed in up to '
                      f'{checkup.policy.zswap_max_pool_percent} % of memory before it goes to '
                      'the disk', 'nothing to do; to switch it off: echo N | sudo tee '
                      '/sys/module/zswap/parameters/enabled')
    for device in checkup.policy.zram:
        held = '' if device.original_bytes is None or device.used_bytes is None else (
            f', holds {mib(device.original_bytes)} in {mib(device.used_bytes)}')
        if device.disksize_bytes > ZRAM_MUCH * total:
            yield Finding('zram_too_large', Severity.WARNING,
                          f'{device.name} promises {mib(device.disksize_bytes)} of swap with '
                          f'{mib(total)} of memory{held}: SwapFree shows what is not there',
                          'in /etc/default/zramswap set PERCENT=50, then: '
                          'sudo systemctl restart zramswap')
        else:
            yield Finding('zram', Severity.INFO,
                          f'{device.name} gives {mib(device.disksize_bytes)} of swap in '
                          f'compressed memory{held}: free swap there is free memory too',
                          'nothing to do; what compresses badly fills memory all the same')


def _left_behind(checkup: Checkup) -> Iterator[Finding]:
    found = checkup.dds_segments
    if isinstance(found, Unavailable) or not found.dead:
        return
    much = found.dead_bytes > LEFT_BEHIND_MUCH * checkup.meminfo.mem_total_bytes
    yield Finding('stale_shared_memory', Severity.WARNING if much else Severity.INFO,
                  f'{found.dead} shared memory segments of Fast DDS in /dev/shm were left by '
                  f'processes that died: {mib(found.dead_bytes)} that no process gives back',
                  'fastdds shm clean')
