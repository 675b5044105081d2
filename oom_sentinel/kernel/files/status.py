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

from dataclasses import dataclass

from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.kernel.files.error import integer
from oom_sentinel.kernel.files.error import ParseError


@dataclass(frozen=True, slots=True)
class TaskStatus:
    """State, parent, effective uid and memory; memory None: no address space of its own."""

    state: str
    ppid: int
    uid: int
    memory: TaskMemory | None
    cap_eff: int


def _after(data: bytes, key: bytes, path: str) -> bytes | None:
    at = data.find(key)
    if at < 0:
        return None
    end = data.find(b'\n', at + 1)
    return data[at + len(key):end if end > 0 else len(data)]


def _number(data: bytes, key: bytes, path: str, index: int = 0) -> int | None:
    rest = _after(data, key, path)
    if rest is None:
        return None
    words = rest.split()
    if len(words) <= index:
        raise ParseError(path, key + rest, 'expected a number')
    return integer(path, key + rest, words[index])


def parse(data: bytes, path: str = '/proc/PID/status') -> TaskStatus:
    r"""
    Return the facts of /proc/PID/status.

    The name is the first line and has newlines escaped by the kernel, so keys are searched
    with the newline before them.  rss is anon + file + shmem where printed (since 4.5), else
    VmRSS.

    :raises ParseError: when a known line is malformed or uid and state are missing.
    """
    state = _after(data, b'\nState:', path)
    uid = _number(data, b'\nUid:', path, 1)
    ppid = _number(data, b'\nPPid:', path)
    if state is None or not state.strip() or uid is None or ppid is None:
        raise ParseError(path, data[:40], 'no State, PPid or Uid')
    capabilities = _after(data, b'\nCapEff:', path) or b'0'
    try:
        cap_eff = int(capabilities, 16)
    except ValueError as error:
        raise ParseError(path, capabilities, 'CapEff is no hexadecimal number') from error
    return TaskStatus(state.strip()[:1].decode('ascii', 'replace'), ppid, uid,
                      memory(data, path), cap_eff)


def memory(data: bytes, path: str) -> TaskMemory | None:
    """Return what the task holds, None without VmRSS (kernel thread, zombie)."""
    rss = _number(data, b'\nVmRSS:', path)
    if rss is None:
        return None
    anon, file = _number(data, b'\nRssAnon:', path), None
    if anon is not None:
        file = _number(data, b'\nRssFile:', path) or 0
        rss = anon + file + (_number(data, b'\nRssShmem:', path) or 0)
    return TaskMemory(rss * 1024, (_number(data, b'\nVmSwap:', path) or 0) * 1024,
                      (_number(data, b'\nVmPTE:', path) or 0) * 1024,
                      None if file is None else file * 1024)
