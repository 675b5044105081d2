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

"""/proc/PID/cgroup and the cgroup mounts of /proc/self/mountinfo (cgroups(7), proc(5))."""


from oom_sentinel.facts.frozen import frozen
from oom_sentinel.kernel.files.error import ParseError
from oom_sentinel.kernel.files.stat import text


@frozen
class MemoryMount:
    """Where memory control groups are: mount point, the path mounted there, version."""

    mount_point: str
    root: str
    version: int


def memory_path(data: bytes, version: int, path: str = '/proc/PID/cgroup') -> str | None:
    """
    Return the path of the memory control group in this hierarchy, None when not in one.

    :raises ParseError: on a line without two colons.
    """
    for line in data.split(b'\n'):
        if not line:
            continue
        parts = line.split(b':', 2)
        if len(parts) != 3:
            raise ParseError(path, line, 'expected hierarchy:controllers:path')
        if version == 2 and parts[0] == b'0' and not parts[1]:
            return text(parts[2])
        if version == 1 and b'memory' in parts[1].split(b','):
            return text(parts[2])
    return None


def systemd_path(data: bytes, path: str = '/proc/PID/cgroup') -> str | None:
    """
    Return the path that systemd gave, from its own hierarchy in v1 and hybrid, else from v2.

    :raises ParseError: on a line without two colons.
    """
    unified = None
    for line in data.split(b'\n'):
        if not line:
            continue
        parts = line.split(b':', 2)
        if len(parts) != 3:
            raise ParseError(path, line, 'expected hierarchy:controllers:path')
        if parts[1] == b'name=systemd':
            return text(parts[2])
        if parts[0] == b'0' and not parts[1]:
            unified = text(parts[2])
    return unified


def _unescape(field: bytes) -> str:
    for code, char in ((b'\\040', b' '), (b'\\011', b'\t'), (b'\\012', b'\n'),
                       (b'\\134', b'\\')):
        field = field.replace(code, char)
    return text(field)


def memory_mounts(data: bytes) -> tuple[MemoryMount, ...]:
    """Return the mounts that may hold memory control groups, v1 before v2."""
    found = []
    for line in data.split(b'\n'):
        left, dash, right = line.partition(b' - ')
        fields, kind = left.split(b' '), right.split(b' ')
        if not dash or len(fields) < 6 or len(kind) < 3:
            continue
        if not fields[4].startswith(b'/') or b'..' in fields[4].split(b'/'):
            continue  # the kernel prints absolute paths; a captured tree may hold anything
        if kind[0] == b'cgroup2':
            found.append(MemoryMount(_unescape(fields[4]), _unescape(fields[3]), 2))
        elif kind[0] == b'cgroup' and b'memory' in kind[2].split(b','):
            found.append(MemoryMount(_unescape(fields[4]), _unescape(fields[3]), 1))
    return tuple(sorted(found, key=lambda mount: mount.version))
