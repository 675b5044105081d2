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

from dataclasses import dataclass

from oom_sentinel.kernel.files.error import ParseError

PF_KTHREAD = 0x00200000  # include/linux/sched.h


@dataclass(frozen=True, slots=True)
class TaskStat:
    """The fields of /proc/PID/stat that tell who this is; start_time in clock ticks."""

    pid: int
    comm: str
    state: str
    ppid: int
    flags: int
    start_time: int

    @property
    def kernel_thread(self) -> bool:
        """Tell whether this is a kernel thread (PF_KTHREAD)."""
        return bool(self.flags & PF_KTHREAD)


def parse(data: bytes, path: str = '/proc/PID/stat') -> TaskStat:
    """
    Return who this is; the name ends at the last `)`, whatever stands in it.

    :raises ParseError: when it is not a stat line.
    """
    opening, closing = data.find(b' ('), data.rfind(b') ')
    fields = data[closing + 2:].split() if closing > opening > 0 else []
    if len(fields) < 20:
        raise ParseError(path, data, 'expected pid (comm) state and 49 numbers')
    try:
        return TaskStat(int(data[:opening]), text(data[opening + 2:closing]),
                        fields[0].decode('ascii'), int(fields[1]), int(fields[6]),
                        int(fields[19]))
    except ValueError as error:
        raise ParseError(path, data, 'expected numbers after the name') from error


def text(data: bytes) -> str:
    """Return bytes as text; what is not UTF-8 shows as backslash escapes."""
    return data.decode('utf-8', 'backslashreplace')
