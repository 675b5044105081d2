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
Which value a process had before anybody protected it.

Pure.  A value is inherited by fork, and a launch writes before the sentinel looks: what is
found on a process is not always its own.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import replace

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Drift
from oom_sentinel.facts.protection import Launched
from oom_sentinel.protection import plan

Entries = Mapping[Identity, Change]


def believed(launched: Launched, own: Change | None) -> Change | None:
    """Return the entry with a launch's original, also where its write was taken for one."""
    if launched.original is None or launched.written is None:
        return own
    if own is None:
        return Change(launched.identity, launched.original, launched.written)
    if own.original == launched.written:
        return replace(own, original=launched.original)
    return own


def original(process: Process, parents: Mapping[int, Process], entries: Entries) -> int:
    """Return the value from before: its parent's, where it inherited what we wrote."""
    assert process.oom_score_adj is not None
    parent = parents.get(process.ppid)
    entry = entries.get(parent.identity) if parent is not None else None
    if entry is not None and entry.written == process.oom_score_adj:
        return entry.original
    return process.oom_score_adj


def inherited(table: Iterable[Process], parents: Mapping[int, Process], entries: Entries,
              view: plan.View) -> dict[Identity, int]:
    """
    Return what processes had without the lowered value of a launch, their parent.

    A launch is lowered for itself; what it starts afterwards shall not profit.  Children of
    nodes are workers and keep what they inherit.
    """
    lowered = {i.pid: e for i, e in entries.items() if e.written < e.original
               and i.pid in parents and plan.never_raised(parents[i.pid], view)}
    if not lowered:
        return {}
    return {p.identity: lowered[p.ppid].original for p in table
            if p.ppid in lowered and p.oom_score_adj == lowered[p.ppid].written}


def drift(adjustment: Adjustment, entries: Entries, label: str,
          wall_s: float) -> Drift | None:
    """Return what another program changed, None when it was the parameters that changed."""
    entry = entries.get(adjustment.identity)
    if entry is None or adjustment.old in (entry.written, adjustment.value):
        return None
    if entry.written != adjustment.value:
        return None
    return Drift(label, adjustment.identity.pid, entry.written, adjustment.old, wall_s)
