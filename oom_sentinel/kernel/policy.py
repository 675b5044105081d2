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

"""The administrator's choices in the tree: /proc/sys, zram, zswap, MGLRU."""

import os

from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.memory import ZramDevice
from oom_sentinel.kernel.root import Root

ZSWAP = '/sys/module/zswap/parameters/'
LRU_GEN = '/sys/kernel/mm/lru_gen/'


def policy(root: Root) -> VmPolicy:
    """Return what decides over an OOM; what this kernel lacks is None."""
    vm = '/proc/sys/vm/'
    return VmPolicy(
        overcommit_memory=root.number(vm + 'overcommit_memory'),
        oom_kill_allocating_task=root.number(vm + 'oom_kill_allocating_task'),
        panic_on_oom=root.number(vm + 'panic_on_oom'),
        panic_timeout_s=root.number('/proc/sys/kernel/panic'),
        overcommit_ratio=root.number(vm + 'overcommit_ratio'),
        overcommit_kbytes=root.number(vm + 'overcommit_kbytes'),
        min_free_kbytes=root.number(vm + 'min_free_kbytes'),
        swappiness=root.number(vm + 'swappiness'),
        dmesg_restrict=root.number('/proc/sys/kernel/dmesg_restrict'),
        zram=_zram(root),
        zswap_enabled=_switch(root, ZSWAP + 'enabled'),
        zswap_max_pool_percent=root.number(ZSWAP + 'max_pool_percent'),
        lru_gen_enabled=_switch(root, LRU_GEN + 'enabled'),
        lru_gen_min_ttl_ms=root.number(LRU_GEN + 'min_ttl_ms'))


def _switch(root: Root, path: str) -> bool | None:
    """Return Y, 1 or a bit mask (lru_gen prints 0x0007) as true, None when it is not there."""
    try:
        word = root.read(path).strip()
    except OSError:
        return None
    if word in (b'Y', b'y', b'N', b'n'):
        return word in (b'Y', b'y')
    try:
        return int(word, 0) != 0
    except ValueError:
        return None


def _zram(root: Root) -> tuple[ZramDevice, ...]:
    """Return the zram devices that hold a disk; an unused one has size 0."""
    try:
        names = sorted(n for n in os.listdir(root.prefix + '/sys/block') if n.startswith('zram'))
    except OSError:
        return ()
    return tuple(found for found in (_device(root, name) for name in names) if found is not None)


def _device(root: Root, name: str) -> ZramDevice | None:
    base = f'/sys/block/{name}/'
    size = root.number(base + 'disksize')
    if not size:
        return None
    try:
        words = [int(word) for word in root.read(base + 'mm_stat').split()]
    except (OSError, ValueError):
        words = []
    # orig_data_size compr_data_size mem_used_total mem_limit ...
    if len(words) < 4:
        return ZramDevice(name, size)
    return ZramDevice(name, size, words[0], words[2], words[3] or None)
