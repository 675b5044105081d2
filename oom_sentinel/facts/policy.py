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

"""What the administrator decided: /proc/sys/vm, compressed swap, MGLRU."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Zram:
    """
    One zram device (Documentation/admin-guide/blockdev/zram.rst), sizes in bytes.

    `disksize_bytes` is what it promises, `original_bytes` what is stored in it,
    `used_bytes` the memory that this takes; `limit_bytes` of None means no mem_limit.
    """

    name: str
    disksize_bytes: int
    original_bytes: 'int | None' = None
    used_bytes: 'int | None' = None
    limit_bytes: 'int | None' = None


@dataclass(frozen=True, slots=True)
class VmPolicy:
    """
    What decides over an OOM (Documentation/admin-guide/sysctl/vm.rst, kernel.rst).

    `overcommit_kbytes` of 0 leaves CommitLimit to `overcommit_ratio` (percent of memory).
    `panic_timeout_s` is kernel.panic: 0 hangs for ever after a panic, a negative value reboots
    at once.  `dmesg_restrict` of 1 keeps the kernel log from users without CAP_SYSLOG.
    `zswap_enabled` and `lru_gen_enabled` are None where the kernel has no such thing.
    """

    overcommit_memory: 'int | None' = None
    oom_kill_allocating_task: 'int | None' = None
    panic_on_oom: 'int | None' = None
    panic_timeout_s: 'int | None' = None
    overcommit_ratio: 'int | None' = None
    overcommit_kbytes: 'int | None' = None
    min_free_kbytes: 'int | None' = None
    swappiness: 'int | None' = None
    dmesg_restrict: 'int | None' = None
    zram: 'tuple[Zram, ...]' = ()
    zswap_enabled: 'bool | None' = None
    zswap_max_pool_percent: 'int | None' = None
    lru_gen_enabled: 'bool | None' = None
    lru_gen_min_ttl_ms: 'int | None' = None
