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
What a launch changed and learnt, for the sentinel of the same user: one file for each launch.

Without it a sentinel would take the values that a launch wrote for the original ones.
"""

from collections.abc import Mapping
import contextlib
import json
import os
import time

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.facts.protection import Launched
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.private_files import own_directory
from oom_sentinel.kernel.private_files import read_private
from oom_sentinel.kernel.private_files import replace_private
from oom_sentinel.kernel.root import Root
from oom_sentinel.protection import saved

# What is read of other programs' files: more launches than a robot has, and larger ones.
RECORDS_MAX = 256
RECORD_BYTES = 1 << 18
PROCESSES_MAX = 4096
NODES_MAX = 64
NODE_NAME_MAX = 255
# File systems stamp with the tick of the clock (4 ms at 250 Hz): a folder that changed this
# recently may change again with the same stamp.
STAMP_NS = 50_000_000


def alive(root: Root, identity: Identity) -> bool:
    """Return whether exactly this process still runs."""
    try:
        found = stat.parse(root.read(f'/proc/{identity.pid}/stat'))
    except (OSError, ParseError):
        return False
    return found.start_time == identity.start_time


def _document(boot_id: str | None, launcher: Identity,
              entries: Mapping[Identity, Launched]) -> str:
    return json.dumps({
        'boot_id': boot_id, 'pid': launcher.pid, 'start_time': launcher.start_time,
        'processes': [
            {'pid': e.identity.pid, 'start_time': e.identity.start_time,
             'original': e.original, 'written': e.written, 'node_names': e.node_names,
             'asked': e.asked} for e in entries.values()]})


def _entry(said: object) -> Launched:
    """
    Return what a record says of a process.

    :raises ValueError: when it says nothing of the kind.
    """
    identity = saved.identity(said)
    assert isinstance(said, dict)
    names = said.get('node_names')
    if not isinstance(names, list) or len(names) > NODES_MAX or not all(
            isinstance(name, str) and len(name) <= NODE_NAME_MAX for name in names):
        raise ValueError('node_names is no list of node names')
    original, written, asked = (
        None if said.get(key) is None else saved.adj(said[key])
        for key in ('original', 'written', 'asked'))
    return Launched(identity, original, written, tuple(names), asked)


class LaunchRecord:
    """The file of one launch, which its guard uses in place of the state directory."""

    def __init__(self, directory: str, boot_id: str | None, launcher: Identity) -> None:
        """Name the file; nothing is written yet."""
        self.path = os.path.join(directory, 'launch', f'{launcher.pid}.json')
        self.boot_id = boot_id
        self.launcher = launcher
        self._node_names: dict[Identity, tuple[str, ...]] = {}
        self._asked: dict[Identity, int] = {}
        self._changed = False
        self._entries: dict[Identity, Change] = {}

    def acquire(self) -> str | None:
        """
        Make the folder.  Launches share nothing, so there is no lock.

        :raises OSError: when it cannot be made.
        """
        folder = os.path.dirname(self.path)
        own_directory(os.path.dirname(folder))
        own_directory(folder)
        return None

    def load(self) -> dict[Identity, Change]:
        """Return nothing: a launch begins with its own processes."""
        return {}

    def save(self, entries: dict[Identity, Change]) -> None:
        """Keep what was changed for the next `flush`: a launch starts many at once."""
        self._entries = dict(entries)
        self._changed = True

    def name(self, identity: Identity, node_names: tuple[str, ...]) -> None:
        """Keep the nodes of a process for the next `flush`; empty: it runs none."""
        if self._node_names.pop(identity, ()) != node_names:
            self._changed = True
        if node_names:
            self._node_names[identity] = node_names

    def ask(self, identity: Identity, oom_score_adj: int) -> None:
        """Keep the value that the launch file itself gives a process for the next `flush`."""
        self._asked[identity] = oom_score_adj
        self._changed = True

    def forget(self, identity: Identity) -> None:
        """Leave out at the next `flush` what is known of a process that has ended."""
        self._node_names.pop(identity, None)
        self._asked.pop(identity, None)
        self._changed = True

    def flush(self) -> None:
        """
        Write the file atomically, if something has changed.

        :raises OSError: on a full disk or an unwritable folder.
        """
        if not self._changed:
            return
        found = {i: Launched(i, e.original, e.written, self._node_names.get(i, ()),
                             self._asked.get(i)) for i, e in self._entries.items()}
        for identity in (*self._node_names, *self._asked):
            found.setdefault(identity, Launched(
                identity, node_names=self._node_names.get(identity, ()),
                asked=self._asked.get(identity)))
        replace_private(self.path, _document(self.boot_id, self.launcher, found).encode())
        self._changed = False

    def release(self) -> None:
        """Remove the file, when there is one."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)


class LaunchRecords:
    """The files of all launches of this user."""

    def __init__(self, directory: str, boot_id: str | None, root: Root) -> None:
        """Name the folder; nothing is read yet."""
        self.folder = os.path.join(directory, 'launch')
        self.boot_id = boot_id
        self.root = root
        self.broken: tuple[str, ...] = ()
        self._seen_ns: int | None = None

    def changed(self) -> bool:
        """Return, after one stat, whether a file came, went or was written since the last read."""
        try:
            return os.stat(self.folder).st_mtime_ns != self._seen_ns
        except OSError:
            return False  # no launch has used the folder yet

    def read(self) -> dict[Identity, Launched]:
        """Return what every file of this boot says; a broken one is named in `broken`."""
        found: dict[Identity, Launched] = {}
        broken = []
        try:
            stamp = os.stat(self.folder).st_mtime_ns
            names = os.listdir(self.folder)
        except OSError:
            return found
        self._seen_ns = stamp if time.time_ns() - stamp > STAMP_NS else None
        for name in sorted(names)[:RECORDS_MAX]:
            if not name.endswith('.json'):
                continue
            try:
                found.update((e.identity, e) for e in self._entries(name)[1])
            except (OSError, ValueError, RecursionError) as error:
                broken.append(f'{name}: {error}')
        self.broken = tuple(broken)
        return found

    def _entries(self, name: str) -> tuple[Identity | None, tuple[Launched, ...]]:
        """Return launcher and processes, no launcher for a file of another boot."""
        said = saved.document(read_private(os.path.join(self.folder, name), RECORD_BYTES))
        if said.get('boot_id') != self.boot_id:
            return None, ()
        processes = said.get('processes')
        if not isinstance(processes, list) or len(processes) > PROCESSES_MAX:
            raise ValueError('processes is no list, or too long')
        return saved.identity(said), tuple(_entry(e) for e in processes)

    def forget_dead(self, *, keep_orphans: bool) -> None:
        """
        Remove the files of launches that have ended.

        :param keep_orphans: leave those of which a process still runs: its original value is
            known nowhere else.
        """
        try:
            names = os.listdir(self.folder)
        except OSError:
            return
        for name in names:
            try:
                launcher, entries = self._entries(name)
            except (OSError, ValueError, RecursionError):
                continue  # half a file, or gone: `read` says so
            if launcher is not None and (alive(self.root, launcher) or (
                    keep_orphans and any(alive(self.root, e.identity) for e in entries))):
                continue
            with contextlib.suppress(FileNotFoundError):  # its launch was faster
                os.unlink(os.path.join(self.folder, name))
