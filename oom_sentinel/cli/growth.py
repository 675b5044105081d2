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

"""How fast each process grew over the last minute, for a picture that is drawn again and again."""

from collections import deque
from collections.abc import Iterable

from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process

SPAN_S = 60.0
LEAST_S = 5.0  # two readings closer than this say nothing about a minute


class Growth:
    """Keeps what each process held (RSS and swap) for a minute; forgets those that ended."""

    def __init__(self) -> None:
        """Know nothing yet."""
        self._held: dict[Identity, deque[tuple[float, int]]] = {}

    def take(self, now_s: float, processes: Iterable[Process]) -> None:
        """Remember what these processes hold now; all others are forgotten."""
        kept: dict[Identity, deque[tuple[float, int]]] = {}
        for process in processes:
            if process.memory is None:
                continue
            points = self._held.get(process.identity, deque())
            points.append((now_s, process.memory.rss_bytes + process.memory.swap_bytes))
            while now_s - points[0][0] > SPAN_S:
                points.popleft()
            kept[process.identity] = points
        self._held = kept

    def mib_per_min(self, process: Process) -> float | None:
        """Return the growth, None while it was watched too shortly."""
        points = self._held.get(process.identity)
        if not points or points[-1][0] - points[0][0] < LEAST_S:
            return None
        (first_s, first), (last_s, last) = points[0], points[-1]
        return (last - first) / MIB / (last_s - first_s) * 60
