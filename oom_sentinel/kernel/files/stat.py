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

"""/proc/PID/stat (fs/proc/array.c, do_task_stat())."""

from typing import NamedTuple

from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError

PF_KTHREAD = 0x00200000  # include/linux/sched.h
FIELDS = 22  # after the name, up to rss
DIGITS = 20


class TaskStat(NamedTuple):
    """
    Identity and resident memory of a process, from /proc/PID/stat.

    `start_time` is in clock ticks since boot.  `rss_pages` is get_mm_rss(), the same value that
    oom_badness() counts up to 6.19: approximate from 6.2 on, where VmRSS of status is exact.
    `work` is the sum of page faults and CPU ticks so far: while it stays the same, the process
    has hardly run.
    """

    pid: int
    comm: str
    state: str
    ppid: int
    flags: int
    start_time: int
    rss_pages: int = 0
    work: int = 0

    @property
    def kernel_thread(self) -> bool:
        """Return whether this is a kernel thread (PF_KTHREAD)."""
        return bool(self.flags & PF_KTHREAD)


def parse(data: bytes, path: str = '/proc/PID/stat') -> TaskStat:
    """
    Return the identity and resident memory; the name ends at the last `)`, whatever it holds.

    :raises ParseError: when it is not a stat line.
    """
    opening, closing = data.find(b' ('), data.rfind(b') ')
    # Field 22 is start_time, field 24 rss; the last part is not looked at.
    fields = data[closing + 2:].split(None, FIELDS) if closing > opening > 0 else []
    if len(fields) < FIELDS:
        raise ParseError(path, data, 'expected pid (comm) state and 49 numbers')
    # minflt, utime and stime stand at 7, 11 and 12.
    words = (data[:opening], *(fields[at] for at in (1, 6, 19, 21, 7, 11, 12)))
    if not all(map(bytes.isdigit, words)) or max(map(len, words)) > DIGITS:
        for word in words:
            integer(path, data, word)  # the first that is no number raises
    pid, ppid, flags, start_time, rss, *work = map(int, words)
    return TaskStat(pid, text(data[opening + 2:closing]), text(fields[0][:1]), ppid, flags,
                    start_time, rss, sum(work))


def text(data: bytes) -> str:
    """Return bytes as text; what is not UTF-8 shows as backslash escapes."""
    return data.decode('utf-8', 'backslashreplace')
