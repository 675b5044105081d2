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
The value that a process had before it was protected.

Pure.  A value is inherited by fork, and a launch writes before the sentinel looks: what is
found on a process is not always its own.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import replace

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Drift
from oom_sentinel.facts.protection import Launched

Changes = Mapping[Identity, Change]
# The values that were written to a process, the newest last.
Written = Mapping[Identity, tuple[int, ...]]


def believed(launched: Launched, own: Change | None) -> Change | None:
    """Return the change with a launch's original, also where its write was taken for one."""
    if launched.original is None or launched.written is None:
        return own
    if own is None:
        return Change(launched.identity, launched.original, launched.written)
    if own.original == launched.written:
        return replace(own, original=launched.original)
    return own


def inherited(processes: Iterable[Process], by_pid: Mapping[int, Process], changes: Changes,
              written: Written, foreign: Callable[[Process], bool]) -> tuple[Change, ...]:
    """
    Return those of these processes that carry a value of ours only because their parent does.

    :param by_pid: all processes, for their parents.
    :param written: the last values of each changed process: a child keeps an older one.
    :param foreign: whether a process is none that we may write to.

    Each has as its original what its parent had.  A child of such a child is found too.
    """
    ours = {change.written for change in changes.values()}.union(*written.values())
    carriers = [p for p in processes if p.oom_score_adj in ours]
    found: dict[Identity, Change] = {}

    def change_of(process: Process) -> Change | None:
        return changes.get(process.identity) or found.get(process.identity)

    # A child has started after its parent, so the parent has been looked at before.
    for process in sorted(carriers, key=lambda p: (p.start_time, p.pid)):
        value = process.oom_score_adj
        parent = by_pid.get(process.ppid)
        if value is None or parent is None or change_of(process) is not None:
            continue
        change = change_of(parent)
        if change is None or value == change.original or foreign(process):
            continue
        if value == change.written or value in written.get(parent.identity, ()):
            found[process.identity] = Change(process.identity, change.original, value)
    return tuple(found.values())


def drift(adjustment: Adjustment, changes: Changes, label: str,
          wall_s: float) -> Drift | None:
    """Return what another program changed, None when it was the plan that changed."""
    change = changes.get(adjustment.identity)
    if change is None or adjustment.old in (change.written, adjustment.value):
        return None
    if change.written != adjustment.value:
        return None
    return Drift(label, adjustment.identity.pid, change.written, adjustment.old, wall_s)
