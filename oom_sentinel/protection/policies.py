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
What differs between the guard of the sentinel and the guard of a launch.

The sentinel looks after all of its user's processes and holds the one lock; a launch protects
what it has just started until the sentinel takes over.
"""

from typing import Protocol

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Launched
from oom_sentinel.kernel.root import Root
from oom_sentinel.protection.launch_record import LaunchRecord
from oom_sentinel.protection.launch_record import LaunchRecords
from oom_sentinel.protection.saved import StateDirectory
from oom_sentinel.settings import Settings


class Policy(Protocol):
    """Where a guard keeps its changes, and how far it goes."""

    # Whether what the guard does not see in a table has ended.
    sees_everything: bool

    def acquire(self) -> str | None:
        """Return None, or why nothing may be written."""

    def load(self) -> dict[Identity, Change]:
        """Return what was changed before."""

    def save(self, changes: dict[Identity, Change]) -> None:
        """Keep what was changed."""

    def release(self) -> None:
        """Give back what `acquire` took."""

    def launched(self) -> dict[Identity, Launched] | None:
        """Return what launches started, None when that is not news."""

    def forget_ended_launches(self) -> None:
        """Remove the records of launches that have ended."""

    @property
    def broken_records(self) -> tuple[str, ...]:
        """Return the records of launches that cannot be read, with the reason."""

    def yields(self, change: Change) -> bool:
        """Return whether to leave a process alone because another has changed its value."""

    def own_value(self, settings: Settings) -> int | None:
        """Return the oom_score_adj that this process gives itself, None to leave it."""


class SentinelPolicy:
    """The policy of a sentinel; only one sentinel of a user writes on a machine."""

    sees_everything = True

    def __init__(self, root: Root, boot_id: str | None) -> None:
        """Name the state directory and the launches' records in it; open nothing."""
        self._state = StateDirectory(boot_id=boot_id)
        self._records = LaunchRecords(self._state.path, boot_id, root)
        self._live = root.live

    def acquire(self) -> str | None:
        """
        Take the lock.

        :raises OSError: when the folder cannot be made or the lock not be opened.
        """
        return self._state.acquire()

    def load(self) -> dict[Identity, Change]:
        """
        Return what an earlier sentinel of this boot changed.

        :raises OSError: when the state file cannot be read.
        :raises ValueError: when it is no state file.
        """
        return self._state.load()

    def save(self, changes: dict[Identity, Change]) -> None:
        """
        Write the state file.

        :raises OSError: on a full disk or an unwritable folder.
        """
        self._state.save(changes)

    def release(self) -> None:
        """Give the lock back."""
        self._state.release()

    def launched(self) -> dict[Identity, Launched] | None:
        """Return what launches started, None when no record has changed."""
        if not self._live or not self._records.changed():
            return None
        return self._records.read()

    def forget_ended_launches(self) -> None:
        """
        Remove the records of launches that have ended; what they say is known here by now.

        :raises OSError: when a record cannot be removed.
        """
        self._records.forget_dead(keep_orphans=False)

    @property
    def broken_records(self) -> tuple[str, ...]:
        """Return the records that the last reading could not use, with the reason."""
        return self._records.broken

    def yields(self, _change: Change) -> bool:
        """Return False: a value that another program changed is put back."""
        return False

    def own_value(self, settings: Settings) -> int | None:
        """Return what protection.self_oom_score_adj says."""
        wanted = settings.protection_self_oom_score_adj
        return wanted if settings.protection_allow_unkillable else max(-999, wanted)


class LaunchPolicy:
    """The policy of a launch: it protects what it started, until the sentinel changes a value."""

    sees_everything = False  # it plans for a part of its processes, and is told of each death

    def __init__(self, root: Root, record: LaunchRecord) -> None:
        """Keep the launch's record, which the sentinel reads."""
        self._root = root
        self._record = record

    def acquire(self) -> str | None:
        """
        Make the folder of the record.  Launches share nothing, so there is no lock.

        :raises OSError: when it cannot be made.
        """
        return self._record.acquire()

    def load(self) -> dict[Identity, Change]:
        """Return nothing: a launch begins with its own processes."""
        return {}

    def save(self, changes: dict[Identity, Change]) -> None:
        """Keep what was changed for the record's next flush."""
        self._record.save(changes)

    def release(self) -> None:
        """Remove the record."""
        self._record.release()

    def launched(self) -> dict[Identity, Launched] | None:
        """Return None: only the sentinel reads what launches started."""
        return None

    def forget_ended_launches(self) -> None:
        """Do nothing: a launch removes no record but its own."""

    @property
    def broken_records(self) -> tuple[str, ...]:
        """Return nothing: no record is read."""
        return ()

    def yields(self, change: Change) -> bool:
        """Return whether the value is no longer the one that this launch wrote."""
        present = self._root.number(f'/proc/{change.identity.pid}/oom_score_adj')
        return present != change.written

    def own_value(self, _settings: Settings) -> int | None:
        """Return None: all that a launch starts would inherit its value."""
        return None
