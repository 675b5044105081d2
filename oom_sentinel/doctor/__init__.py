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
What on a host makes an OOM likely or protection impossible, each with its remedy.

Pure: a `Checkup` goes in, findings come out.  A remedy is a command to copy where one exists;
nothing here runs it.
"""

from dataclasses import replace

from oom_sentinel.doctor import limits
from oom_sentinel.doctor import memory
from oom_sentinel.doctor import place
from oom_sentinel.doctor import policy
from oom_sentinel.doctor import protection
from oom_sentinel.doctor import ros
from oom_sentinel.doctor import sight
from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.text import on_host

ROOMS = (memory, policy, limits, protection, sight, place, ros)
OF_THE_KERNEL = (memory, policy)  # what a container shares with its host and cannot change
OF_THE_CONTAINER = ('stale_shared_memory', 'disk_full')


def examine(checkup: Checkup) -> tuple[Finding, ...]:
    """Return the findings, the gravest first."""
    found = [replace(finding, remedy=on_host(checkup, finding.remedy))
             if room in OF_THE_KERNEL and finding.id not in OF_THE_CONTAINER else finding
             for room in ROOMS for finding in room.check(checkup)]
    return tuple(sorted(found, key=lambda finding: -finding.severity))


__all__ = ['examine']
