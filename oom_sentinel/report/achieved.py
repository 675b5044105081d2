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
    """Tell whether this process stays above what is wanted because lowering is denied."""
    found = outcome(target, protection)
    return found is not None and found.result == Result.DENIED and (
        found.achieved is None or found.achieved > target.wanted)
