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

"""A thread of its own that writes incidents, so that a slow SD card never stops the cycle."""

from collections.abc import Callable
import queue
import threading

from oom_sentinel.kills import incident_folder
from oom_sentinel.kills.incident import Incident

# In a storm of kills this many wait for the disk; more are counted and left out.
WAITING_MAX = 32
# Building a folder's text takes some 10 ms of the interpreter: the message goes out first.
COURTESY_S = 0.2


class Writer:
    """Takes incidents and writes them one after the other; starts its thread with the first."""

    def __init__(self, directory: str,
                 write: Callable[[str, int, Incident], str] = incident_folder.write) -> None:
        """
        Name the directory.

        :param directory: '' writes none; ~ is resolved, ~/.ros to ROS_HOME where set.
        """
        self.directory = incident_folder.expanded(directory) if directory else ''
        self._write = write
        self._waiting: queue.Queue[tuple[Incident, int] | None] = queue.Queue(WAITING_MAX)
        self._thread: threading.Thread | None = None
        self.newest = 'none'
        self.trouble: str | None = None
        self.left_out = 0
        self._closing = threading.Event()

    def take(self, incident: Incident, keep: int) -> bool:
        """Take an incident to write, at once and without waiting; tell whether it was taken."""
        if not self.directory or keep <= 0:
            return False
        try:
            self._waiting.put_nowait((incident, keep))
        except queue.Full:
            self.left_out += 1
            return False
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name='incident', daemon=True)
            self._thread.start()
        return True

    def _run(self) -> None:
        while True:
            taken = self._waiting.get()
            if taken is None:
                return
            self._closing.wait(COURTESY_S)
            try:
                self.newest = self._write(self.directory, taken[1], taken[0])
                self.trouble = None
            except OSError as error:
                self.trouble = f'{error.filename or self.directory}: {error.strerror}'
            except Exception as error:  # noqa: B902 - the next incident is written all the same
                self.trouble = f'{type(error).__name__}: {error}'

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, as far as the time allows."""
        if self._thread is None:
            return
        self._closing.set()
        try:
            self._waiting.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout=timeout_s)
