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
Sources of wake-ups: a thread sleeps until the kernel reports something.

The sources know descriptors, moments and names; what a wake-up means is decided elsewhere.
"""

from oom_sentinel.kernel.wake.cgroup_events import GroupEvents
from oom_sentinel.kernel.wake.cgroup_events import NAME as GROUP_EVENT
from oom_sentinel.kernel.wake.loop import ALARM
from oom_sentinel.kernel.wake.loop import Watch
from oom_sentinel.kernel.wake.new_programs import NAME as NEW_PROGRAMS
from oom_sentinel.kernel.wake.new_programs import NewPrograms
from oom_sentinel.kernel.wake.stalls import NAME as STALL
from oom_sentinel.kernel.wake.stalls import Stalls
from oom_sentinel.kernel.wake.tmpfs import NAME as TMPFS_WRITE
from oom_sentinel.kernel.wake.tmpfs import TmpfsWrites

__all__ = ['ALARM', 'GROUP_EVENT', 'NEW_PROGRAMS', 'STALL', 'TMPFS_WRITE', 'GroupEvents',
           'NewPrograms', 'Stalls', 'TmpfsWrites', 'Watch']
