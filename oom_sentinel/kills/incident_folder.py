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
Incident folders on the disk, written by a thread of their own.

A folder is written under another name and renamed, so that it is there whole or not at all; the
oldest ones are removed.  A slow SD card never stops the cycle.
"""

from collections.abc import Callable
import os
import queue
import re
import threading
import time
from typing import Protocol

NAME = re.compile(r'\d{8}T\d{6}Z_(pid|stall|shed)[^/]*\Z')
NAME_MAX = 75
PARTIAL = re.compile(r'\.partial_(\d+)_')
UNSAFE = re.compile(r'[^A-Za-z0-9_.-]+')
# In a storm of kills so many incidents wait for the disk; more are counted and left out.
QUEUE_MAX = 32
# Building a folder's text takes some 10 ms of the interpreter: the message goes out first.
DELAY_S = 0.2


class Written(Protocol):
    """
    What a folder is written of.

    `label` names it, `wall_s` is when it happened, in seconds since the epoch.
    """

    @property
    def label(self) -> str:
        """Return what the folder is named after."""

    @property
    def wall_s(self) -> float:
        """Return when it happened."""

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """Return name and content of each file."""


def expanded(directory: str) -> str:
    """Return the directory with ~ resolved; ~/.ros is ROS_HOME where that is set."""
    home = os.environ.get('ROS_HOME')
    if home and (directory == '~/.ros' or directory.startswith('~/.ros/')):
        return home + directory[len('~/.ros'):]
    return os.path.expanduser(directory)


def name_of(incident: Written) -> str:
    """Return the folder's name: when, and which PID and node or program."""
    at = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(incident.wall_s))
    return f'{at}_{UNSAFE.sub("_", incident.label)[:NAME_MAX]}'.rstrip('_')


def write(directory: str, keep: int, incident: Written) -> str:
    """
    Write the incident and return its folder; it is there whole or not at all.

    :param keep: how many folders stay, this one included.
    :raises OSError: on a full disk or an unwritable directory; nothing partial stays.
    """
    os.makedirs(directory, mode=0o700, exist_ok=True)
    remove_oldest(directory, keep - 1)
    name = name_of(incident)
    beside = os.path.join(directory, f'.partial_{os.getpid()}_{name}')
    try:
        os.mkdir(beside, 0o700)
        for file, content in incident.files():
            write_file(os.path.join(beside, file), content)
        path = _unused(os.path.join(directory, name))
        os.rename(beside, path)
        _sync(directory)
    except OSError:
        _remove_folder(beside)
        raise
    return path


def write_file(path: str, content: bytes) -> None:
    """
    Write a new file for this user alone and wait until it is on the disk.

    :raises OSError: also when there is such a file.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left):]
        os.fsync(descriptor)  # the machine may well go down next
    finally:
        os.close(descriptor)


def _sync(directory: str) -> None:
    """Wait until the names in a directory are on the disk."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unused(path: str) -> str:
    number, found = 1, path
    while os.path.exists(found):
        number += 1
        found = f'{path}_{number}'
    return found


def remove_oldest(directory: str, keep: int) -> None:
    """Remove the oldest incident folders beyond `keep`, and partial folders of dead writers."""
    names = os.listdir(directory)
    stale = [n for n in names if (m := PARTIAL.match(n)) is not None
             and not _is_alive(int(m.group(1)))]
    kept = sorted(n for n in names if NAME.match(n))
    old = kept[:max(0, len(kept) - keep)]
    for name in (*stale, *old):
        _remove_folder(os.path.join(directory, name))


def _remove_folder(path: str) -> None:
    """Remove a folder; what is in use is removed the next time."""
    import shutil  # 0.4 MB, and few nodes ever remove one
    shutil.rmtree(path, ignore_errors=True)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True


class IncidentWriter:
    """Writes queued incidents one after the other; starts its thread with the first one."""

    def __init__(self, directory: str,
                 write_folder: Callable[[str, int, Written], str] = write) -> None:
        """
        Take the directory; nothing is written yet.

        :param directory: '' writes none; ~ is resolved, ~/.ros to ROS_HOME where set.
        """
        self.directory = expanded(directory) if directory else ''
        self._write_folder = write_folder
        self._queue: queue.Queue[Callable[[], str | None] | None] = queue.Queue(QUEUE_MAX)
        self._thread: threading.Thread | None = None
        self.newest = 'none'
        self.trouble: str | None = None
        self.left_out = 0
        self._closing = threading.Event()

    def write_later(self, incident: Written, keep: int) -> bool:
        """Queue an incident without waiting; return whether there was room for it."""
        if not self.directory or keep <= 0:
            return False
        return self.run_later(lambda: self._write_folder(self.directory, keep, incident))

    @property
    def all_trouble(self) -> str | None:
        """Return what keeps incidents from being written, None when nothing does."""
        if not self.left_out:
            return self.trouble
        words = f'{self.left_out} incidents left out, the disk is too slow'
        return f'{words}; {self.trouble}' if self.trouble else words

    def run_later(self, job: Callable[[], str | None]) -> bool:
        """
        Queue work on the disk without waiting; return whether there was room for it.

        :param job: returns the folder that it wrote, None when it wrote none.
        """
        try:
            self._queue.put_nowait(job)
        except queue.Full:
            self.left_out += 1
            return False
        if self._thread is None:
            self._start()
        return True

    def _start(self) -> None:
        """Start the thread; where there may be no more of them, it is tried with the next job."""
        thread = threading.Thread(target=self._run, name='incident', daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # pids.max, or no memory for its stack
            self.trouble = f'{self.directory}: {error}'
        else:
            self._thread = thread

    def _run(self) -> None:
        while True:
            job = self._queue.get()
            if job is None:
                return
            self._closing.wait(DELAY_S)
            try:
                self.newest = job() or self.newest
                self.trouble = None
            except OSError as error:
                self.trouble = f'{error.filename or self.directory}: {error.strerror}'
            except Exception as error:  # noqa: B902 - the next incident is written all the same
                self.trouble = f'{type(error).__name__}: {error}'

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what is queued, as far as the time allows."""
        if self._thread is None:
            return
        self._closing.set()
        try:
            self._queue.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout=timeout_s)
