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

"""Why the sentinel was woken before its time."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wake:
    """
    A source that asked for attention since it was last taken.

    `name` is the source's, `monotonic_s` when it first asked, `times` how often.  `ended` says
    that nothing more will come from it: its cgroup was removed, its writer is gone.
    """

    name: str
    monotonic_s: float
    times: int = 1
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Waking:
    """
    What about memory wakes the sentinel at once.

    `stall_us` within `window_us` does, unless `why` tells what stands against it; `groups`
    control groups have such a trigger of their own.
    """

    stall_us: int = 0
    window_us: 'int | None' = None
    why: 'str | None' = None
    groups: int = 0
