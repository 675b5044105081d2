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

"""Status Memory: the machine's memory, swap and commitments."""

from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.place import compressed
from oom_sentinel.report.place import place
from oom_sentinel.report.text import mib
from oom_sentinel.report.text import number
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment

NAME = 'Memory'
KEYS = ('MemTotal (MiB)', 'MemAvailable (MiB)', 'MemAvailable (%)', 'MemFree (MiB)',
        'SwapTotal (MiB)', 'SwapFree (MiB)', 'CommitLimit (MiB)', 'Committed_AS (MiB)')
NO_MEM_AVAILABLE = 'kernels before 3.14 have none'
OVERCOMMIT = {0: '0 (heuristic)', 1: '1 (always)', 2: '2 (never: malloc fails at CommitLimit)'}


def compose(sample: Sample, assessment: Assessment) -> Status:
    """Return the status."""
    verdict, info = assessment.memory, sample.meminfo
    chosen = (('unaccounted (MiB)', _unaccounted(info, assessment)),
              ('Shmem (MiB)', str(info) if isinstance(info, Unavailable)
               else mib(info.shmem_bytes)),
              ('Fast DDS segments of dead processes', _segments(sample.dds_segments)),
              ('overcommit_memory', _overcommit(sample.policy)),
              ('compressed swap (MiB)', compressed(sample.policy)),
              ('surroundings', place(sample.surroundings)))
    if isinstance(info, Unavailable):
        return Status(NAME, verdict.level, sentence(verdict.reasons or (f'Memory is {info}',)),
                      (*((key, str(info)) for key in KEYS), *chosen))
    available = info.mem_available_bytes
    percent = None if available is None else 100.0 * available / info.mem_total_bytes
    if verdict.reasons:
        message = sentence(verdict.reasons)
    elif percent is None:
        message = f'MemAvailable is unavailable ({NO_MEM_AVAILABLE}).'
    else:
        grows = assessment.unaccounted_grows
        message = sentence((
            f'enough memory: {percent:.0f} % of {mib(info.mem_total_bytes)} MiB available',
            *(() if grows is None else (
                f'memory that no process owns grows by {3600 * grows / MIB:.0f} MiB/h',))))
    values = (mib(info.mem_total_bytes), mib(available, NO_MEM_AVAILABLE),
              number(percent, NO_MEM_AVAILABLE), mib(info.mem_free_bytes),
              mib(info.swap_total_bytes), mib(info.swap_free_bytes),
              mib(info.commit_limit_bytes), mib(info.committed_as_bytes))
    return Status(NAME, verdict.level, message, (*zip(KEYS, values), *chosen))


def _unaccounted(info: MemInfo | Unavailable, assessment: Assessment) -> str:
    """Return the memory that no process owns, and what is known to be in it."""
    if isinstance(info, Unavailable):
        return str(info)
    parts = [mib(assessment.unaccounted_bytes)]
    if info.nv_map_mem_used_bytes is not None:
        parts.append(f'of it GPU (NvMap) {mib(info.nv_map_mem_used_bytes)}')
    if info.cma_total_bytes and info.cma_free_bytes is not None:
        parts.append(f'CMA in use {mib(info.cma_total_bytes - info.cma_free_bytes)}')
    return ', '.join(parts)


def _segments(found: DdsSegments | Unavailable) -> str:
    if isinstance(found, Unavailable):
        return str(found)
    if not found.dead:
        return 'none'
    return f'{found.dead} ({found.dead_bytes / MIB:.1f} MiB); fastdds shm clean removes them'


def _overcommit(policy: VmPolicy) -> str:
    mode = policy.overcommit_memory
    if mode is None:
        return 'unavailable (/proc/sys/vm/overcommit_memory was not readable)'
    return OVERCOMMIT.get(mode, str(mode))
