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

A sentinel that was killed and started again must know what the values were before.  The folders
are found without asking XDG_RUNTIME_DIR or HOME: a service and a login of the same user must
meet the same lock.
"""

import errno
import fcntl
import json
import os
import pwd
import socket
from typing import Any

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.private_files import own_directory
from oom_sentinel.kernel.private_files import read_private
from oom_sentinel.kernel.private_files import Refused
from oom_sentinel.kernel.private_files import replace_private
from oom_sentinel.kernel.private_files import set_aside
from oom_sentinel.kernel.root import Root

STATE_BYTES = 1 << 20
ENTRIES_MAX = 1 << 14
PID_MAX = 1 << 22  # PID_MAX_LIMIT, include/linux/threads.h
LOWEST = -999  # no file makes a process unkillable
VARIABLE = 'OOM_SENTINEL_STATE'


def directories() -> tuple[str, ...]:
    """
    Return the folders that may hold the state, the best first.

    OOM_SENTINEL_STATE names the only one.  Else below the home of the password database, which a
    service without HOME has too; some services see no home: then /run/user, then /tmp.
    """
    named = os.environ.get(VARIABLE)
    if named:
        return (os.path.abspath(named),)
    uid = os.geteuid()
    found = [f'/tmp/oom_sentinel-{uid}']
    if os.path.isdir(f'/run/user/{uid}'):  # made at a login, never by us
        found.insert(0, f'/run/user/{uid}/oom_sentinel')
    try:
        home = pwd.getpwuid(uid).pw_dir
    except KeyError:  # a container whose user has no entry
        home = ''
    if os.path.isdir(home) and home != '/':
        # Machines may share a home directory: each has a folder of its own.
        found.insert(0, os.path.join(home, '.ros', 'oom_sentinel_state', socket.gethostname()))
    return tuple(found)


def usable(path: str) -> bool:
    """Return whether this folder is, or can be made, this user's own; makes nothing."""
    if os.path.lexists(path):
        found = os.lstat(path)
        return (os.path.isdir(path) and not os.path.islink(path)
                and found.st_uid == os.geteuid() and not found.st_mode & 0o022
                and os.access(path, os.W_OK))
    above = os.path.dirname(path)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    return os.path.isdir(above) and os.access(above, os.W_OK)


def default_directory() -> str:
    """Return the folder for the state: the first that can be used."""
    found = directories()
    return next((path for path in found if usable(path)), found[0])


class StateDirectory:
    """The folder with the state file and the lock beside it."""

    def __init__(self, path: str | None = None, boot_id: str | None = None) -> None:
        """Name the folder; nothing is opened yet."""
        self.path = path or default_directory()
        self.boot_id = boot_id
        self._candidates = (path,) if path else directories()
        self._locks: list[int] = []

    def acquire(self) -> str | None:
        """
        Take the lock in every folder that can be used: one of them is seen by every sentinel.

        :returns: None when it is ours, else a sentence that says why only to watch.
        :raises OSError: when no lock can be opened, as on a full disk.
        """
        refused: Refused | None = None
        failed: OSError | None = None
        for path in self._candidates:
            try:
                self._locks.append(_lock(path))
            except BlockingIOError as error:
                self.release()
                return f'another sentinel of this user (PID {error.filename}) protects already'
            except Refused as error:
                refused = error
            except OSError as error:
                failed = error
        if self._locks:
            return None
        if refused is not None:
            return f'the state directory is refused: {refused}'
        assert failed is not None
        raise failed

    def release(self) -> None:
        """Give the lock back; the files stay."""
        while self._locks:
            os.close(self._locks.pop())

    @property
    def holds_lock(self) -> bool:
        """Return whether this is the one sentinel that protects."""
        return bool(self._locks)

    @property
    def _file(self) -> str:
        return os.path.join(self.path, 'state.json')

    def load(self) -> dict[Identity, Change]:
        """
        Return what an earlier sentinel of this boot had changed.

        :raises ValueError: when the file is no state file; it is set aside as state.json.bad,
            and the caller says so and goes on.
        """
        try:
            return _entries(read_private(self._file, STATE_BYTES), self.boot_id)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f'{self._file} is not readable: {_reason(error)}; '
                             + _kept_aside(self._file)) from error

    def save(self, entries: dict[Identity, Change]) -> None:
        """
        Write the state atomically.

        :raises OSError: on a full disk or an unwritable folder; the old file stays whole.
        """
        own_directory(self.path)
        text = json.dumps({'boot_id': self.boot_id, 'processes': [
            {'pid': e.identity.pid, 'start_time': e.identity.start_time,
             'original': e.original, 'written': e.written} for e in entries.values()]})
        replace_private(self._file, text.encode())


def _lock(path: str) -> int:
    """
    Return the descriptor of the lock in this folder, which is ours then.

    :raises BlockingIOError: when another process has it, whose PID is the `filename`.
    """
    own_directory(path)
    lock = os.open(os.path.join(path, 'lock'), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW
                   | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 32).decode('ascii', 'replace').strip()
        os.close(lock)
        raise BlockingIOError(errno.EWOULDBLOCK, 'locked', holder if holder.isdigit()
                              else 'unknown') from None
    except OSError:
        os.close(lock)
        raise
    os.ftruncate(lock, 0)
    os.pwrite(lock, b'%d' % os.getpid(), 0)
    return lock


def _kept_aside(path: str) -> str:
    try:
        return f'kept aside as {os.path.basename(set_aside(path))}'
    except OSError as error:
        return f'it cannot be moved aside ({error.strerror})'


def _reason(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return 'nested too deeply'
    return getattr(error, 'strerror', None) or ' '.join(str(error).split())[:200]


def document(content: bytes) -> dict[str, Any]:
    """
    Return the JSON object that a file of ours holds.

    :raises ValueError: when it is no JSON object of ours, or has a number that is not finite.
    :raises RecursionError: when it is nested too deeply.
    """
    found = json.loads(content, parse_constant=_no_constant)
    if not isinstance(found, dict):
        raise ValueError('no JSON object')
    if 'boot_id' not in found and 'version' not in found:
        raise ValueError('boot_id is missing')
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f'{text} is no number of ours')


def integer(value: object, low: int, high: int) -> int:
    """
    Return the value, an integer of this range.

    :raises ValueError: when it is none; true is no integer here.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f'{str(value)[:40]!r} is no integer in {low}..{high}')
    return value


def adj(value: object) -> int:
    """
    Return an oom_score_adj of a file, -1000 as -999.

    :raises ValueError: when it is none.
    """
    return max(LOWEST, integer(value, -1000, 1000))


def identity(entry: object) -> Identity:
    """
    Return the process that an entry of a file names.

    :raises ValueError: when it names none.
    """
    if not isinstance(entry, dict):
        raise ValueError('an entry is no JSON object')
    return Identity(integer(entry.get('pid'), 1, PID_MAX),
                    integer(entry.get('start_time'), 0, 1 << 62))


def _entries(content: bytes, boot_id: str | None) -> dict[Identity, Change]:
    found = document(content)
    if found.get('boot_id') != boot_id:
        return {}
    processes = found.get('processes')
    if not isinstance(processes, list) or len(processes) > ENTRIES_MAX:
        raise ValueError('processes is no list, or too long')
    entries = {}
    for entry in processes:
        process = identity(entry)
        entries[process] = Change(process, adj(entry.get('original')), adj(entry.get('written')))
    return entries


def own_identity(root: Root) -> Identity:
    """
    Return the identity of this process.

    :raises OSError: when /proc cannot be read.
    """
    found = stat.parse(root.read('/proc/self/stat'))
    return Identity(os.getpid(), found.start_time)
