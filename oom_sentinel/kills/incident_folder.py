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

"""One folder on the disk: written beside and renamed, the oldest removed."""

import contextlib
import os
import re
import shutil
import time

from oom_sentinel.kills.incident import Incident

NAME = re.compile(r'\d{8}T\d{6}Z_pid[^/]*\Z')
PARTIAL = re.compile(r'\.partial_(\d+)_')
UNSAFE = re.compile(r'[^A-Za-z0-9_.-]+')


def expanded(directory: str) -> str:
    """Return the directory with ~ resolved; ~/.ros is ROS_HOME where that is set."""
    home = os.environ.get('ROS_HOME')
    if home and (directory == '~/.ros' or directory.startswith('~/.ros/')):
        return home + directory[len('~/.ros'):]
    return os.path.expanduser(directory)


def name_of(incident: Incident) -> str:
    """Return the folder's name: when, which PID, which node or program."""
    kill = incident.seen.kill
    at = time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(
        incident.sample.wall_s if kill.time is None else kill.time))
    label = kill.node_names[0].strip('/') if kill.node_names else kill.victim_comm or ''
    pid = 'unknown' if kill.victim_pid is None else kill.victim_pid
    return f'{at}_pid{pid}_{UNSAFE.sub("_", label)[:60]}'.rstrip('_')


def write(directory: str, keep: int, incident: Incident) -> str:
    """
    Write the incident and return its folder; it is there whole or not at all.

    :param keep: how many folders stay, this one included.
    :raises OSError: on a full disk or an unwritable directory; nothing partial stays.
    """
    os.makedirs(directory, exist_ok=True)
    remove_oldest(directory, keep - 1)
    name = name_of(incident)
    beside = os.path.join(directory, f'.partial_{os.getpid()}_{name}')
    try:
        os.mkdir(beside)
        for file, content in incident.files():
            _write(os.path.join(beside, file), content)
        path = _free(os.path.join(directory, name))
        os.rename(beside, path)
    except OSError:
        shutil.rmtree(beside, ignore_errors=True)
        raise
    return path


def _write(path: str, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left):]
        os.fsync(descriptor)  # the machine may well go down next
    finally:
        os.close(descriptor)


def _free(path: str) -> str:
    number, found = 1, path
    while os.path.exists(found):
        number += 1
        found = f'{path}_{number}'
    return found


def remove_oldest(directory: str, keep: int) -> None:
    """Remove the oldest incident folders beyond `keep`, and what a dead writer left behind."""
    names = os.listdir(directory)
    stale = [n for n in names if (m := PARTIAL.match(n)) is not None
             and not _lives(int(m.group(1)))]
    kept = sorted(n for n in names if NAME.match(n))
    old = kept[:max(0, len(kept) - keep)]
    for name in (*stale, *old):
        with contextlib.suppress(OSError):  # someone looks into it: removed the next time
            shutil.rmtree(os.path.join(directory, name))


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
