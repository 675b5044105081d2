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

"""/proc/meminfo (fs/proc/meminfo.c)."""

from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError

FIELDS = {
    b'MemTotal': 'mem_total_bytes', b'MemFree': 'mem_free_bytes',
    b'MemAvailable': 'mem_available_bytes', b'Buffers': 'buffers_bytes',
    b'Cached': 'cached_bytes', b'SwapTotal': 'swap_total_bytes',
    b'SwapFree': 'swap_free_bytes', b'Shmem': 'shmem_bytes', b'Slab': 'slab_bytes',
    b'SReclaimable': 's_reclaimable_bytes', b'KernelStack': 'kernel_stack_bytes',
    b'PageTables': 'page_tables_bytes', b'AnonPages': 'anon_pages_bytes',
    b'CommitLimit': 'commit_limit_bytes', b'Committed_AS': 'committed_as_bytes',
    b'SwapCached': 'swap_cached_bytes', b'KReclaimable': 'k_reclaimable_bytes',
    b'SecPageTables': 'sec_page_tables_bytes', b'Percpu': 'percpu_bytes',
    b'VmallocUsed': 'vmalloc_used_bytes', b'Hugetlb': 'hugetlb_bytes', b'Zswap': 'zswap_bytes',
    b'Balloon': 'balloon_bytes', b'CmaTotal': 'cma_total_bytes', b'CmaFree': 'cma_free_bytes',
    b'NvMapMemUsed': 'nv_map_mem_used_bytes'}


def parse(data: bytes, path: str = '/proc/meminfo') -> MemInfo:
    """
    Return the facts of /proc/meminfo.

    :raises ParseError: on a malformed known line, or without MemTotal and MemFree.
    """
    found: dict[str, int] = {}
    for line in data.split(b'\n'):
        name, colon, rest = line.partition(b':')
        field = FIELDS.get(name)
        if field is None or not colon:
            continue
        words = rest.split()
        if len(words) != 2 or words[1] != b'kB':
            raise ParseError(path, line, 'expected a number of kB')
        found[field] = integer(path, line, words[0]) * 1024
    for needed in ('mem_total_bytes', 'mem_free_bytes'):
        if (not found.get(needed) and needed == 'mem_total_bytes') or needed not in found:
            raise ParseError(path, data[:40], f'no {needed}')
    return MemInfo(**found)
