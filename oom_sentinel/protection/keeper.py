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
Keeps what protection changed across a crash, and the lock that permits writing.

A sentinel that was killed and started again must know what the values were before.
"""

from collections.abc import Iterable

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.protection.memory import Memory
from oom_sentinel.protection.policies import Policy

# The change of a raised process is saved together with later ones: otherwise each program that
# a shell starts would cost a file.
SAVE_S = 2.0
UNKNOWN_LATER = 'after a crash the old values would be unknown'


class Keeper:
    """Holds the lock and saves the changes; `watching` is why nothing may be written."""

    def __init__(self, policy: Policy, memory: Memory, watching: str | None) -> None:
        """
        Take the lock and what an earlier sentinel of this boot left.

        :param watching: why nothing shall ever be written; the lock is then left alone.
        """
        self._policy = policy
        self._memory = memory
        self.watching = watching
        self.trouble: str | None = None
        self._locked_out = False
        self._unsaved_s: float | None = None
        if watching is None:
            self._begin()

    def _begin(self) -> None:
        try:
            self.watching = self._policy.acquire()
            self._locked_out = self.watching is not None
            if self.watching is None:
                self._memory.changes.update(self._policy.load())
        except (OSError, ValueError) as error:
            self.trouble = f'the state file cannot be used ({error}): {UNKNOWN_LATER}'

    def take_over(self) -> bool:
        """Take the lock when another sentinel held it and is gone; return whether it did."""
        if not self._locked_out:
            return False
        self.watching, self._locked_out = None, False
        self._begin()
        return self.watching is None

    @property
    def notes(self) -> tuple[str, ...]:
        """Return what hinders saving, and the records of launches that cannot be read."""
        broken = tuple(f'the record of a launch cannot be read: {text}'
                       for text in self._policy.broken_records[:3])
        return ((self.trouble,) if self.trouble else ()) + broken

    def note(self, before: dict[Identity, Change], grouped: Iterable[Identity],
             now_s: float) -> None:
        """
        Save changes at once where a group's process is among them, else soon.

        :param before: the changes before this plan was written.
        """
        now = self._memory.changes
        if now != before and any(now.get(i) != before.get(i) for i in grouped):
            self.save()
        elif now != before and self._unsaved_s is None:
            self._unsaved_s = now_s
        elif self._unsaved_s is not None and not 0 <= now_s - self._unsaved_s < SAVE_S:
            self.save()

    def save(self) -> None:
        """Save the changes; what hinders is reported as trouble."""
        if self.watching:
            return
        self._unsaved_s = None
        try:
            self._policy.save(dict(self._memory.changes))
            self.trouble = None
        except OSError as error:
            self.trouble = f'the state file cannot be written ({error}): {UNKNOWN_LATER}'

    def forget_ended_launches(self) -> None:
        """Remove the records of launches that have ended; what they say is saved here by now."""
        try:
            self._policy.forget_ended_launches()
        except OSError as error:
            self.trouble = f'the record of an ended launch cannot be removed ({error})'

    def release(self) -> None:
        """Give the lock back; changes that were not saved yet are saved first."""
        if self._unsaved_s is not None:
            self.save()
        self._policy.release()
