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
What was changed, kept beyond a crash: original values, and the lock of the one sentinel.

A sentinel that was killed and started again must know what the values were before.
"""

import fcntl
import json
import os
from typing import Protocol

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change


def default_directory() -> str:
    """Return XDG_RUNTIME_DIR/oom_sentinel, else ROS_HOME/oom_sentinel (~/.ros)."""
    base = os.environ.get('XDG_RUNTIME_DIR') or os.environ.get('ROS_HOME')
    return os.path.join(base or os.path.expanduser('~/.ros'), 'oom_sentinel')


def replace_file(path: str, text: str) -> None:
    """
    Write a file atomically.

    :raises OSError: on a full disk or an unwritable folder; the old file stays whole.
    """
    beside = f'{path}.{os.getpid()}'
    try:
        with open(beside, 'w', encoding='utf-8') as stream:
            stream.write(text)
        os.replace(beside, path)
    except OSError:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


class State(Protocol):
    """Where a guard keeps what it changed: a sentinel's directory, or a launch's record."""

    def acquire(self) -> str | None:
        """Return None, or why only to watch."""

    def load(self) -> dict[Identity, Change]:
        """Return what was changed before."""

    def save(self, entries: dict[Identity, Change]) -> None:
        """Keep what was changed."""

    def release(self) -> None:
        """End."""


class StateDirectory:
    """The folder with the state file and the lock beside it."""

    def __init__(self, path: str | None = None, boot_id: str | None = None) -> None:
        """Name the folder; nothing is opened yet."""
        self.path = path or default_directory()
        self.boot_id = boot_id
        self._lock: int | None = None

    def acquire(self) -> str | None:
        """
        Take the lock.

        :returns: None when it is ours, else a sentence that says who has it.
        :raises OSError: when the folder cannot be made or the lock not be opened.
        """
        os.makedirs(self.path, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(self.path, 'lock'),
                       os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(lock, 32).decode('ascii', 'replace').strip() or 'unknown'
            os.close(lock)
            return f'another sentinel of this user (PID {holder}) protects already'
        os.ftruncate(lock, 0)
        os.pwrite(lock, b'%d' % os.getpid(), 0)
        self._lock = lock
        return None

    def release(self) -> None:
        """Give the lock back; the file stays."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    @property
    def _file(self) -> str:
        return os.path.join(self.path, 'state.json')

    def load(self) -> dict[Identity, Change]:
        """
        Return what an earlier sentinel of this boot had changed.

        :raises OSError: when the file is there and cannot be read.
        :raises ValueError: when it is no state file; the caller says so and goes on.
        """
        try:
            with open(self._file, encoding='utf-8') as stream:
                said = json.load(stream)
        except FileNotFoundError:
            return {}
        if not isinstance(said, dict) or said.get('boot_id') != self.boot_id:
            return {}
        try:
            entries = [Change(Identity(int(e['pid']), int(e['start_time'])),
                              int(e['original']), int(e['written']))
                       for e in said['processes']]
        except (KeyError, TypeError) as error:
            raise ValueError(f'{self._file}: {error!r}') from error
        return {entry.identity: entry for entry in entries}

    def save(self, entries: dict[Identity, Change]) -> None:
        """
        Write the state atomically.

        :raises OSError: on a full disk or an unwritable folder; the old file stays whole.
        """
        text = json.dumps({'boot_id': self.boot_id, 'processes': [
            {'pid': e.identity.pid, 'start_time': e.identity.start_time,
             'original': e.original, 'written': e.written} for e in entries.values()]})
        replace_file(self._file, text)
