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

"""What runs in one process, where /proc tells it: links, maps, environment, children."""

import os
import re

from oom_sentinel.kernel.root import Root

LIBRCL = re.compile(rb'/librcl[-.][^/\n]*so')  # the wheels add a hash: librcl-1a2b3c4d.so


def link(root: Root, pid: int | str, name: str) -> str | None:
    """Return where a link below /proc/PID leads, None when it is gone or may not be read."""
    try:
        return os.readlink(f'{root.prefix}/proc/{pid}/{name}')
    except OSError:
        return None


def maps_librcl(root: Root, pid: int) -> bool:
    """Tell whether the process maps librcl, as whatever uses ROS does."""
    try:
        return LIBRCL.search(root.read(f'/proc/{pid}/maps', whole=True)) is not None
    except OSError:
        return False


def domain_id(root: Root, pid: int) -> int | None:
    """
    Return the ROS_DOMAIN_ID a ROS process started with, None when unreadable.

    In the midst of an exec the file is empty (environ_read(): no env_end yet).
    """
    try:
        environ = root.read(f'/proc/{pid}/environ')
    except OSError:
        return None
    if not environ:
        return None
    for word in environ.split(b'\0'):
        if word.startswith(b'ROS_DOMAIN_ID='):
            value = word[14:].strip()
            return int(value) if value.isdigit() and len(value) < 6 else 0
    return 0


def children(root: Root, pid: int) -> list[int]:
    """Return the PIDs in /proc/PID/task/TID/children, none without CONFIG_PROC_CHILDREN."""
    base = f'/proc/{pid}/task'
    try:
        return [int(word) for task in os.listdir(root.prefix + base) for word in root.read(
            f'{base}/{task}/children', whole=True).split()]
    except (OSError, ValueError):
        return []


def descendants(root: Root, pid: int) -> tuple[int, ...]:
    """Return the children's PIDs, their children's and so on, the nearest first."""
    found, at = [pid], 0
    while at < len(found):
        found += [child for child in children(root, found[at]) if child not in found]
        at += 1
    return tuple(found[1:])


def inode(root: Root, pid: int) -> int | None:
    """Return the inode number of /proc/PID as a listing shows it, None when it is gone."""
    try:
        return os.stat(f'{root.prefix}/proc/{pid}').st_ino
    except OSError:
        return None
