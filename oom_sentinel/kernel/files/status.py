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

"""/proc/PID/status (fs/proc/array.c proc_pid_status(), fs/proc/task_mmu.c task_mem())."""


from oom_sentinel.facts.frozen import frozen
from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError


@frozen
class TaskStatus:
    """
    Effective uid of a process, and the memory that only this file shows.

    `has_memory` is false for a kernel thread and a zombie.  `rss_bytes` is summed exactly, as
    oom_badness() does from 7.0 on; before, it counts the approximate value (files/stat.py).
    """

    uid: int
    has_memory: bool
    swap_bytes: int = 0
    page_table_bytes: int = 0
    file_bytes: int | None = None
    rss_bytes: int = 0


def _number(data: bytes, key: bytes, path: str, index: int = 0) -> int | None:
    """Return a number of the line that begins with this key, None without such a line."""
    at = data.find(key)
    if at < 0:
        return None
    end = data.find(b'\n', at + 1)
    line = data[at:end if end > 0 else len(data)]
    words = line[len(key):].split(None, index + 1)
    if len(words) <= index:
        raise ParseError(path, line, 'expected a number')
    return integer(path, line, words[index])


def parse(data: bytes, path: str = '/proc/PID/status') -> TaskStatus:
    r"""
    Return the facts of /proc/PID/status.

    The name is the first line and has newlines escaped by the kernel, so keys are searched
    with the newline before them.

    :raises ParseError: when a known line is malformed or the uid is missing.
    """
    uid = _number(data, b'\nUid:', path, 1)
    if uid is None:
        raise ParseError(path, data[:40], 'no Uid')
    if b'\nVmRSS:' not in data:
        return TaskStatus(uid, False)
    files_kb = _number(data, b'\nRssFile:', path)  # since Linux 4.5
    return TaskStatus(uid, True, 1024 * (_number(data, b'\nVmSwap:', path) or 0),
                      1024 * (_number(data, b'\nVmPTE:', path) or 0),
                      None if files_kb is None else 1024 * files_kb,
                      1024 * (_number(data, b'\nVmRSS:', path) or 0))
