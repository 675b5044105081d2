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

"""Files of `name value` lines: /proc/vmstat, memory.stat, memory.events."""

from collections.abc import Collection

from oom_sentinel.facts.memory import VmStat
from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError


# One counter before Linux 5.9, two since then.
REFAULTS = (b'workingset_refault', b'workingset_refault_anon', b'workingset_refault_file')

# What the kernel does within a control group's limit is not counted here (mm/vmscan.c,
# cgroup_reclaim()).  Before Linux 4.8 there is one of each for every zone.
SCANNED = (b'pgscan_kswapd', b'pgscan_direct')


def keyed(data: bytes, names: Collection[bytes], path: str) -> dict[bytes, int]:
    """
    Return the values of these names; one that is absent is left out.

    :raises ParseError: on a malformed line of one of the names.
    """
    found = {}
    for line in data.split(b'\n'):
        name, _, value = line.partition(b' ')
        if name in names:
            found[name] = integer(path, line, value.strip())
    return found


def parse(data: bytes, path: str = '/proc/vmstat') -> VmStat:
    """
    Return the counters of /proc/vmstat that the sentinel uses.

    :raises ParseError: when the line of a counter is malformed.
    """
    return VmStat(_counter(data, b'oom_kill', path), _total(data, REFAULTS, path),
                  _total(data, SCANNED, path))


def _total(data: bytes, names: Collection[bytes], path: str) -> int | None:
    """Return the sum of those counters that there are, None when there is none."""
    found = [_counter(data, name, path) for name in names]
    known = [count for count in found if count is not None]
    return sum(known) if known else None


def _counter(data: bytes, name: bytes, path: str) -> int | None:
    """Return one counter without parsing the other lines, None when it is absent."""
    at = (b'\n' + data).find(b'\n' + name)
    while at >= 0 and data[at + len(name):at + len(name) + 1] not in (b' ', b'\n', b''):
        after = data.find(b'\n' + name, at)
        at = after + 1 if after >= 0 else -1
    if at < 0:
        return None
    end = data.find(b'\n', at)
    line = data[at:end if end > 0 else len(data)]
    words = line.split()
    if len(words) != 2:
        raise ParseError(path, line, f'expected {name.decode()} and a number')
    return integer(path, line, words[1])
