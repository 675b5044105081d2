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

"""Who leaks, in words: node or memory that no process owns, pace, range, how sure."""

from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.sample import Sample
from oom_sentinel.risk.growth import Grown
from oom_sentinel.risk.growth import Growth
from oom_sentinel.risk.ownerless import Ownerless
from oom_sentinel.risk.trend import Trend

SURE = 0.5  # a range narrower than this share of the pace leaves little doubt
UNACCOUNTED = 'memory that no process owns (GPU, driver)'
SHARED = 'shared memory (tmpfs, /dev/shm)'


def suspects(grown: Growth, ownerless: Ownerless, sample: Sample,
             protection: Protection) -> tuple[str, ...]:
    """Return who leaks, the fastest first."""
    leaks = [(g.leak.middle, g, g.leak) for g in grown.processes if g.leak is not None]
    found = []
    if leaks:
        labels = _labels(sample, protection)
        found = [(middle, _suspect(f'{labels[g.identity]} (PID {g.identity.pid}, ', g, leak))
                 for middle, g, leak in leaks if g.identity in labels]
    for name, watched in ((UNACCOUNTED, ownerless.unaccounted), (SHARED, ownerless.shared)):
        if watched.leak is not None:
            found.append((watched.leak.middle, _suspect(f'{name} (', watched, watched.leak)))
    return tuple(text for _, text in sorted(found, reverse=True))


def _labels(sample: Sample, protection: Protection) -> dict[Identity, str]:
    labels = {t.process.identity: t.process.label for t in protection.targets}
    labels.update((p.identity, p.label) for p in sample.processes)
    return labels


def _suspect(who: str, grown: Grown, leak: Trend) -> str:
    low, middle, high = (3600 * pace / MIB for pace in (leak.shallow, leak.middle, leak.steep))
    sure = 'high' if high - low < SURE * middle else 'medium'
    return (f'{who}+{middle:.0f} MiB/h, {low:.0f} to {high:.0f}, confidence {sure}, over '
            f'{grown.leak_span_s / 60:.0f} min)')
