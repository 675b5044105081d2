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

"""What protection came to for one process."""

from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.protection import Target


def outcome(target: Target, protection: Protection) -> Outcome | None:
    """Return the latest outcome that keeps this process from what it shall have."""
    return next((o for o in protection.outcomes
                 if o.adjustment.identity == target.process.identity
                 and o.result != Result.WRITTEN), None)


def achieved(target: Target, protection: Protection) -> int | None:
    """Return the oom_score_adj that a process has after this cycle, None when unknown."""
    found = outcome(target, protection)
    if protection.watching is not None or (found is not None and found.result != Result.DENIED):
        return target.process.oom_score_adj
    if found is not None and target.value != target.wanted:
        return found.achieved
    return target.value


def denied(target: Target, protection: Protection) -> bool:
    """Return whether this process stays above what is wanted because lowering is denied."""
    if protection.watching is None and target.wanted < 0 and target.value > target.wanted:
        return True
    found = outcome(target, protection)
    return found is not None and found.result == Result.DENIED and (
        found.achieved is None or found.achieved > target.wanted)


def out_of_reach(protection: Protection) -> tuple[tuple[Target, str], ...]:
    """Return the processes that a write does not reach, and why; a zombie is none of them."""
    found = [(t, outcome(t, protection)) for t in (*protection.targets, *protection.raised)]
    return tuple((t, o.why or o.result.value) for t, o in found
                 if o is not None and o.result in (Result.NOT_OWNER, Result.FAILED))


def raised(protection: Protection) -> tuple[Target, ...]:
    """Return the processes that are raised because lowering was denied, the largest first."""
    found = [t for t in (*protection.targets, *protection.raised)
             if t.wanted >= 0 and t.value > t.wanted and outcome(t, protection) is None]
    return tuple(sorted(found, key=held_bytes, reverse=True))


def held_bytes(target: Target) -> int:
    """Return what a target's process holds, resident and swapped; 0 when that is unknown."""
    memory = target.process.memory
    return 0 if memory is None else memory.rss_bytes + memory.swap_bytes
