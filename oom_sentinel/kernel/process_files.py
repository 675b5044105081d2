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
The files of one process below /proc/PID: links, command line, maps, environment, children.

Every read is bounded: a process can make its command line, its environment and its maps as long
as it likes (PR_SET_MM_MAP), at no cost for itself.
"""

import os
import re

from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import status
from oom_sentinel.kernel.files.stat import parse
from oom_sentinel.kernel.files.stat import text
from oom_sentinel.kernel.root import DIGITS
from oom_sentinel.kernel.root import Root
from oom_sentinel.settings import programs

# The words of a command line that are looked through; what is kept of them is shorter still
# (files/program.py).
CMDLINE_BYTES = 1 << 15
CMDLINE_WORDS = 1024
ENVIRONMENT_BYTES = 1 << 18
MAPS_BYTES = 1 << 20
LIBRCL = re.compile(rb'/librcl[-.][^/\n]*so')  # the wheels add a hash: librcl-1a2b3c4d.so
DOMAIN = b'ROS_DOMAIN_ID='
DESCENDANTS = 4096
DESCRIPTORS = 256  # of a process are looked at


def command_line(root: Root, pid: int) -> list[str]:
    """
    Return the words of a command line, none for a kernel thread or a zombie.

    :raises OSError: when the process is gone or may not be read.
    """
    raw = root.read(f'/proc/{pid}/cmdline', limit=CMDLINE_BYTES).rstrip(b'\0')
    return [text(word) for word in raw.split(b'\0', CMDLINE_WORDS)[:CMDLINE_WORDS]] if raw else []


def user(root: Root, pid: int) -> int:
    """
    Return the effective uid of a process: it owns /proc/PID (fs/proc/base.c task_dump_owner()).

    That takes 3 us, to read its status 30.

    :raises OSError: when the process is gone.
    """
    if root.live:
        return os.stat(f'/proc/{pid}').st_uid
    return status.parse(root.read(f'/proc/{pid}/status')).uid


def resident_pages(root: Root, pid: int) -> int | None:
    """Return how many pages of a process are resident (/proc/PID/statm), None when unknown."""
    try:
        words = root.read(f'/proc/{pid}/statm', limit=256).split(b' ', 2)
    except OSError:
        return None
    known = len(words) == 3 and words[1].isdigit() and len(words[1]) <= DIGITS
    return int(words[1]) if known else None


def started_s(root: Root, pid: int) -> float | None:
    """Return when a living process started, in seconds since boot; None when it has ended."""
    try:
        fields = root.read(f'/proc/{pid}/stat').rpartition(b')')[2].split()
    except OSError:
        return None
    if len(fields) < 20 or fields[0] in (b'Z', b'X') or not fields[19].isdigit():
        return None
    return int(fields[19]) / root.host().clock_ticks


def maps_librcl(root: Root, pid: int) -> bool:
    """Return whether a process maps librcl, as every program that uses ROS does."""
    try:
        maps = root.read(f'/proc/{pid}/maps', whole=True, limit=MAPS_BYTES)
    except OSError:
        return False
    return LIBRCL.search(maps) is not None


def domain_id(root: Root, pid: int) -> int | None:
    """
    Return the ROS_DOMAIN_ID that a process was started with, 0 without one, None if unreadable.

    In the midst of an exec the file is empty (environ_read(): no env_end yet).
    """
    try:
        environment = root.read(f'/proc/{pid}/environ', whole=True, limit=ENVIRONMENT_BYTES)
    except OSError:
        return None
    if not environment:
        return None
    at = (b'\0' + environment).find(b'\0' + DOMAIN)
    if at < 0:
        return 0 if len(environment) < ENVIRONMENT_BYTES else None
    value = environment[at + len(DOMAIN):at + len(DOMAIN) + 32].partition(b'\0')[0].strip()
    return int(value) if value.isdigit() and len(value) < 6 else 0


def children(root: Root, pid: int) -> list[int]:
    """Return the PIDs in /proc/PID/task/TID/children, none without CONFIG_PROC_CHILDREN."""
    base = f'/proc/{pid}/task'
    try:
        return [int(word) for task in root.names(base) for word in root.read(
            f'{base}/{task}/children', whole=True).split()]
    except (OSError, ValueError):
        return []


def ancestors(root: Root, pid: int) -> frozenset[int]:
    """Return this PID, its parent's and so on, as far as they can be read."""
    found: set[int] = set()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            pid = parse(root.read(f'/proc/{pid}/stat')).ppid
        except (OSError, ParseError):
            break
    return frozenset(found)


def descendants(root: Root, pid: int) -> tuple[int, ...]:
    """Return the children's PIDs, their children's and so on, the nearest first."""
    found = {pid: None}
    waiting = [pid]
    while waiting and len(found) <= DESCENDANTS:
        new = [child for child in children(root, waiting.pop(0)) if child not in found]
        found.update(dict.fromkeys(new))
        waiting += new
    return tuple(found)[1:]


def holds_device(root: Root, pid: int) -> bool:
    """Return whether a process holds a device of robot hardware open (serial, video, USB...)."""
    folder = f'/proc/{pid}/fd'
    try:
        names = os.listdir(root.place(folder))
    except OSError:
        return False  # it has ended, or it is another user's
    links = (root.link(f'{folder}/{name}') for name in names[:DESCRIPTORS])
    return any(link is not None and link.startswith(programs.DRIVER_DEVICES) for link in links)
