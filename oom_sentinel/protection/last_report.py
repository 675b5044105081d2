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
The last report of the running node, for other programs of this user.

The node writes one JSON file beside its lock, every 4 s and with every news; `read`
returns it as long as the node that wrote it runs.  The file:

    {"version": 1, "pid": 123, "start_time": 4567, "boottime_s": 89.0, "wall_s": 1.8e9,
     "publish_period_s": 1.0, "node_name": "/oom_sentinel", "hardware_id": "robot",
     "statuses": [{"name": "Memory", "level": 0, "message": "...", "values": [["key", "value"]]}]}

`boottime_s` is CLOCK_BOOTTIME, `start_time` the one of /proc/PID/stat, in clock ticks.
"""

import json
import os
import time

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel.private_files import own_directory
from oom_sentinel.kernel.private_files import read_private
from oom_sentinel.kernel.private_files import replace_private
from oom_sentinel.kernel.root import Root
from oom_sentinel.protection import saved
from oom_sentinel.protection.launch_record import alive

NAME = 'report.json'
REPORT_BYTES = 1 << 19
STATUSES_MAX = 200
VALUES_MAX = 200
TEXT_MAX = 4000


@frozen
class LastReport:
    """What the running node published last, and when: `age_s` seconds ago."""

    pid: int
    node_name: str
    hardware_id: str
    wall_s: float
    age_s: float
    publish_period_s: float
    statuses: tuple[Status, ...]


def folder() -> str:
    """
    Return where the report belongs: in memory where that can be had, for it is written often.

    OOM_SENTINEL_STATE names the folder, as for the lock.
    """
    if os.environ.get(saved.VARIABLE):
        return saved.directories()[0]
    uid = os.geteuid()
    places = (f'/run/user/{uid}/oom_sentinel', f'/dev/shm/oom_sentinel-{uid}')
    found = [path for path in places if os.path.isdir(os.path.dirname(path))]
    return next((path for path in found if saved.usable(path)), saved.default_directory())


class Writer:
    """Writes the report of this process."""

    def __init__(self, root: Root) -> None:
        """Write nothing yet."""
        self._root = root
        self._path: str | None = None
        self._start_time: int | None = None

    def write(self, statuses: tuple[Status, ...], node_name: str, hardware_id: str,
              publish_period_s: float) -> None:
        """
        Write the statuses, atomically.

        :raises OSError: on a full disk or an unwritable folder; the old file stays whole.
        """
        if self._path is None:
            where = folder()
            own_directory(where)
            self._path = os.path.join(where, NAME)
            self._start_time = saved.own_identity(self._root).start_time
        replace_private(self._path, json.dumps({
            'version': 1, 'pid': os.getpid(), 'start_time': self._start_time,
            'boottime_s': time.clock_gettime(time.CLOCK_BOOTTIME), 'wall_s': time.time(),
            'publish_period_s': publish_period_s, 'node_name': node_name,
            'hardware_id': hardware_id, 'statuses': [
                {'name': s.name, 'level': int(s.level), 'message': s.message[:TEXT_MAX],
                 'values': [(key[:TEXT_MAX], value[:TEXT_MAX]) for key, value
                            in s.values[:VALUES_MAX]]}
                for s in statuses[:STATUSES_MAX]]}).encode(errors='replace'))

    def remove(self) -> None:
        """
        Remove the file at the end.

        :raises OSError: when it cannot be removed.
        """
        if self._path is not None and os.path.lexists(self._path):
            os.unlink(self._path)
        self._path = None


def read(root: Root) -> LastReport | None:
    """
    Return what the running node of this user published last, None when none runs.

    :raises OSError: when the file cannot be read.
    :raises ValueError: when it is no report.
    """
    path = os.path.join(folder(), NAME)
    try:
        found = saved.document(read_private(path, REPORT_BYTES))
    except FileNotFoundError:
        return None
    except RecursionError as error:
        raise ValueError(f'{path}: nested too deeply') from error
    writer: Identity = saved.identity(found)
    if not alive(root, writer):
        return None
    try:
        statuses = tuple(_status(one) for one in found['statuses'][:STATUSES_MAX])
        return LastReport(
            writer.pid, str(found['node_name']), str(found['hardware_id']),
            float(found['wall_s']),
            max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - float(found['boottime_s'])),
            float(found['publish_period_s']), statuses)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: {error!r}') from error


def _status(found: dict[str, object]) -> Status:
    values = found['values']
    if not isinstance(values, list):
        raise TypeError('values is no list')
    return Status(str(found['name']), Level(saved.integer(found['level'], 0, 2)),
                  str(found['message'])[:TEXT_MAX],
                  tuple((str(key)[:TEXT_MAX], str(value)[:TEXT_MAX])
                        for key, value in values[:VALUES_MAX]))
