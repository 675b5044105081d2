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
The lines of a report, one regular expression each, with the kernel's own words.

Sources: mm/oom_kill.c and mm/memcontrol.c from 2.6.32 (EL6) and 3.10 to 6.18, lib/show_mem.c and
mm/page_alloc.c show_free_areas(), lib/dump_stack.c.  Every expression is anchored and has no
nested repetition, so a hostile line costs linear time; lines are cut to MAX_LINE before.
"""

from dataclasses import dataclass
from functools import lru_cache
import re

from oom_sentinel.kills.oom_report.envelope import unescape

MAX_LINE = 8192
TASK_COMM_LEN = 16
_MESSAGE = rb'((?:Out of memory|Memory cgroup out of memory|No available memory)[^:]{0,80}): '

INVOKED = b' invoked oom-killer: '
SUMMARY = b'oom-kill:'
# pr_cont() pieces of the summary that another record has torn off.
SUMMARY_REST = (b',cpuset=', b',mems_allowed=', b',global_oom', b',oom_memcg=', b',task_memcg=',
                b',task=')
TABLE = re.compile(rb'\[ *pid *\] +(uid .{0,400})')
ROW = re.compile(rb'\[ *(\d{1,10})\]')
KILL = re.compile(_MESSAGE + rb'Kill process (\d{1,10}) \((.{0,80})\) score (-?\d{1,20}) or ')
KILLED = re.compile(rb'(?:' + _MESSAGE + rb')?Killed process (\d{1,10})(?:, UID (\d{1,10}),)? '
                    rb'\((.{0,80})\)(?:,? UID (\d{1,10}),)?'
                    rb'(?: (?:total-vm|vsz):(\d{1,20})kB(.*)|$)')
GROUP = re.compile(rb'Tasks in (.{1,4096}) are going to be killed due to memory\.oom\.group set')
LIMIT = re.compile(rb'Task in (.{1,4096}) killed as a result of limit of (.{1,4096})')
LIMIT_BEGIN = re.compile(rb'Task in (.{1,4096}) killed *$')
LIMIT_REST = re.compile(rb' ?(?:killed )?as a result of limit of (.{1,4096})')
STATS = re.compile(rb'Memory cgroup stats for (.{1,4096}?): ?')
USAGE = re.compile(rb'(memory|memory\+swap|swap): usage (\d{1,20})kB, limit (\d{1,20})kB')
# ARM's own show_mem() of 3.10 said "pages of RAM" and "reserved pages".
RAM = re.compile(rb'(\d{1,20}) (?:pages (?:of )?(?:RAM|reserved)|reserved pages)\b')
# It ends the list of areas; without CONFIG_SWAP no line about swap follows.
PAGECACHE = re.compile(rb'\d{1,20} total pagecache pages')
SWAP = re.compile(rb'Total swap = (\d{1,20})kB')
PRESENT = re.compile(rb'(?:Node (\d{1,5}) )?[A-Za-z0-9]{1,16} free:\d.{0,900}?'
                     rb' present:(\d{1,20})kB')
NODES = re.compile(rb'(?:nodemask|mems_allowed)=([\d,-]{1,400})')
VERSION = re.compile(rb'(?:CPU|Pid): ?\d.{0,200}?'
                     rb'(?:Not tainted|Tainted: .{0,120}?) (\d)\.(\d{1,3})[.\- ]')
NOT_KILLED = re.compile(_MESSAGE + rb'OOM victim \d{1,10} \(.{0,80}\) is already exiting')
_SIZE = re.compile(rb'([a-z-]{1,20}):(\d{1,20})kB')
_UID = re.compile(rb' UID:(\d{1,10})\b')
_ADJ = re.compile(rb'\boom_score_adj:(-?\d{1,5})\b')
_TASK = re.compile(rb'(.{0,8000}),task=(.{0,80}),pid=(\d{1,10}),uid=(\d{1,10})\s*$')
CONSTRAINT = re.compile(rb'constraint=(\w{1,40})')


def text(data: bytes) -> str:
    """Return bytes of the kernel as text; what is no UTF-8 shows as backslash escapes."""
    return data.decode('utf-8', 'backslashreplace')


@dataclass(frozen=True, slots=True)
class Killed:
    """
    The "Killed process" line, with sizes in bytes.

    `printed` is the name as it stands there; `message` is None where another line has it.
    """

    message: bytes | None
    pid: int
    comm: bytes
    printed: bytes
    uid: int | None
    total_vm_bytes: int | None
    sizes: dict[bytes, int]
    oom_score_adj: int | None
    kernel_format: str


def killed(line: bytes, escaped: bool) -> Killed | None:
    """Return what a "Killed process" line says, None when it is none."""
    m = KILLED.match(line)
    if m is None:
        return None
    message, pid, uid_before, comm, uid_behind, total_vm, rest = m.groups()
    rest = rest or b''
    sizes = {name: int(value) * 1024 for name, value in _SIZE.findall(rest)}
    uid, adj = _UID.search(rest), _ADJ.search(rest)
    uid_text = uid_before or uid_behind or (uid.group(1) if uid else None)
    return Killed(
        message, int(pid), unescape(comm) if escaped else comm, comm,
        None if uid_text is None else int(uid_text),
        None if total_vm is None else int(total_vm) * 1024, sizes,
        int(adj.group(1)) if adj else None,
        _kernel_format(line, message, uid_before, uid_behind, total_vm, sizes))


def _kernel_format(line: bytes, message: bytes | None, uid_before: bytes | None,
                   uid_behind: bytes | None, total_vm: bytes | None,
                   sizes: dict[bytes, int]) -> str:
    """Return the first kernel that prints the line so."""
    if b'pgtables' in sizes:
        return '5.4'
    if message is not None:
        return '5.1'
    if uid_before is not None:
        return '2.6.32-el6'
    if uid_behind is not None:
        return '3.10.0-el7'
    if b'shmem-rss' in sizes:
        return '4.5'
    if total_vm is None or b' vsz:' in line:
        return '2.6.32'
    return '2.6.36'


@dataclass(frozen=True, slots=True)
class Summary:
    """The "oom-kill:" line since 5.0; control group paths as the kernel wrote them."""

    constraint: str | None
    oom_memcg: bytes | None
    task_memcg: bytes | None
    comm: bytes | None
    pid: int | None
    uid: int | None


def summary(line: bytes, comm: bytes | None = None) -> Summary:
    """
    Return what a summary says, read from both ends: names and paths may hold commas.

    :param comm: the victim's name as printed elsewhere, where that is known.
    """
    constraint = CONSTRAINT.search(line)
    tail = _TASK.match(line)
    head = tail.group(1) if tail else line
    if comm is not None and (at := line.rfind(b',task=' + comm + b',pid=')) >= 0:
        head = line[:at]
    oom_memcg = task_memcg = None
    head, found, rest = head.partition(b',task_memcg=')
    if found:
        task_memcg = rest
    head, found, rest = head.partition(b',oom_memcg=')
    if found:
        oom_memcg = rest
    return Summary(text(constraint.group(1)) if constraint else None, oom_memcg, task_memcg,
                   tail.group(2) if tail else None, int(tail.group(3)) if tail else None,
                   int(tail.group(4)) if tail else None)


def nodes(mask: bytes) -> frozenset[int]:
    """Return the node numbers of a list such as 0-1,3; at most 4096."""
    found: set[int] = set()
    for part in mask.split(b','):
        first, _, last = part.partition(b'-')
        if not (first.isdigit() and len(first) <= 5 and len(last) <= 5):
            continue
        end = int(last) if last.isdigit() else int(first)
        found.update(range(int(first), min(end, 4096) + 1))
    return frozenset(found)


@lru_cache(maxsize=32)
def _row(columns: int) -> re.Pattern[bytes]:
    return re.compile(rb'\[ *(\d{1,10})\]((?:\s+-?\d{1,20}){%d})(?: (.*)|$)' % columns)


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the task table: PID, the numbers of its columns, and the name."""

    pid: int
    numbers: tuple[int, ...]
    name: bytes


def row(line: bytes, columns: int | None, escaped: bool) -> Row | None:
    """
    Return a row of the table, None for any other line.

    :param columns: how many numbers follow the PID; None when the head of the table is cut off:
    then one of the layouts with 10, 8 or 7 columns, the widest that fits.
    """
    for count in (10, 8, 7) if columns is None else (columns,):
        m = _row(count).match(line)
        if m is not None:
            name = (m.group(3) or b'')[:4 * TASK_COMM_LEN]
            return Row(int(m.group(1)), tuple(map(int, m.group(2).split())),
                       unescape(name) if escaped else name)
    return None
