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
The kills that were told, the last ones kept, each counted once.

Pure.  A record of the kernel takes the place of the report that was inferred before it.  Task
tables and lines of the log are in the folder of an incident alone.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.kill import UNCONFIRMED

KEPT = 20  # the depth of ~/oom_kills
TWICE_S = 5.0


def _without_report(seen: SeenKill) -> SeenKill:
    """Return the kill without task table and lines: 40 MB for 20 among 5000 processes."""
    return replace(seen, kill=replace(seen.kill, tasks=(), lines=()))


class ToldKills:
    """The last kills and how many there were since the start."""

    def __init__(self) -> None:
        """Start without kills."""
        self._seen: deque[SeenKill] = deque(maxlen=KEPT)
        self.since_start = 0

    @property
    def seen(self) -> tuple[SeenKill, ...]:
        """Return the last kills, the newest last."""
        return tuple(self._seen)

    def add(self, seen: SeenKill) -> None:
        """Add a kill; only confirmed ones of the kernel since the start are counted."""
        self._seen.append(_without_report(seen))
        if not seen.kill.before_start and seen.kill.kind is Killer.KERNEL \
                and seen.kill.certainty != UNCONFIRMED:
            self.since_start += seen.count

    def replace_inference(self, seen: SeenKill, told_as: int | None) -> bool:
        """
        Put the kernel's record in the place of the report that was inferred for its counter.

        :param told_as: the number of that report, None when there was none.
        :returns: whether nothing new remains to be told: the inference named the same process.
        """
        for index, other in enumerate(self._seen):
            if told_as is None or other.number != told_as:
                continue
            if other.count == 1 and other.kill.victim_pid is not None and (
                    other.kill.victim_pid == seen.kill.victim_pid):
                self._seen[index] = replace(_without_report(seen), seen_s=other.seen_s)
                return True
            self.since_start -= 1  # the record is added as a kill of its own
            if other.count > 1:
                self._seen[index] = replace(other, count=other.count - 1)
            else:
                del self._seen[index]
            return False
        return False

    def is_repeated(self, kill: OomKill, waiting: Iterable[OomKill]) -> bool:
        """
        Return whether the log reports the same death again.

        memory.oom.group kills the victim first and then every member, the victim included;
        the kernel prints and counts that too.
        """
        return any(
            other.victim_pid == kill.victim_pid and other.source == kill.source
            and other.victim_comm == kill.victim_comm
            and abs((other.boot_time_s or 0.0) - (kill.boot_time_s or 0.0)) < TWICE_S
            for other in (*(s.kill for s in self._seen), *waiting)
            if other.certainty != UNCONFIRMED)
