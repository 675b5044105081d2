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
The lines that report a kill, one regular expression each, with the kernel's own words.

Sources: mm/oom_kill.c and mm/memcontrol.c from 2.6.9 (EL4) and 3.10 to 6.18.  Every expression
is anchored and has no nested repetition, so a hostile line costs linear time; lines are cut to
MAX_LINE before.  People cut lines and edit numbers: what is missing is None.
"""

import re

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.kills.oom_report.record import unescape

MAX_LINE = 8192
OUT = rb'(?:Out of [Mm]emory|Memory cgroup out of memory|No available memory)'
_MESSAGE = rb'(' + OUT + rb'[^:]{0,80}): '

INVOKED = b' invoked oom-killer: '
SUMMARY = b'oom-kill:'
# pr_cont() pieces of the summary that another record has torn off.
SUMMARY_REST = (b',cpuset=', b',mems_allowed=', b',global_oom', b',oom_memcg=', b',task_memcg=',
                b',task=')
_CHOICE = re.compile(_MESSAGE + rb'[Kk]ill process (\d{1,10}):? \((.{0,80})\)'
                     rb'(?: score (-?\d{1,20})| or sacrifice child)')
_CUT_CHOICE = re.compile(_MESSAGE + rb'[Kk]ill process (\d{1,10}) '
                         rb'\(([^()]{1,64})\)(?: s(?:c(?:o(?:r(?:e ?)?)?)?)?)?(?:>|\xe2\x80\xa6)?'
                         rb'$')
_KILLED = re.compile(rb'(?:' + _MESSAGE + rb')?(?:OOM k|K)illed process (\d{1,10})'
                     rb'(?:, UID (\d{1,10}),)? ?')
_SIZED_NAME = re.compile(rb'\((.{0,80})\)(?:,? UID (\d{1,10}),)? (?:score \d{1,20} )?'
                         rb'(?=(?:total-vm|vsz|vm):)')
_PLAIN_NAME = re.compile(rb'\((.{0,80})\)(?:,? UID (\d{1,10}),?)?[.,]?\s*$')
_LOOSE_NAME = re.compile(rb'\(([^()]{0,64})\)')
_TOTAL_VM = re.compile(rb'(?:total-vm|vsz|vm):(\d{1,3}(?:[,.\']\d{3}){1,6}|\d{1,20})kB')
GROUP = re.compile(rb'Tasks in (.{1,4096}) are going to be killed due to memory\.oom\.group set')
NOT_KILLED = re.compile(rb'(?:' + _MESSAGE + rb'OOM victim (\d{1,10}) \(.{0,80}\) is already '
                        rb'exiting|(?:Memory cgroup o|O)ut of memory and no killable process)')
_REAPED = re.compile(rb'oom_reaper *: (?:reaped process|unable to reap pid:) ?(\d{1,10}) '
                     rb'\((.{0,80})\)(.{0,200})')
_PANIC = re.compile(rb'Kernel panic - not syncing: ((?:Out of memory|out of memory|'
                    rb'System is deadlocked on memory).{0,200})')
ASKED_FOR = re.compile(rb'sys[Rr]q ?: (?:Manual OOM execution|HELP|OOM request)|'
                       rb'SysRq ?: Manual OOM execution')
_SIZE = re.compile(rb'([a-z-]{1,20}):(\d{1,3}(?:[,.\']\d{3}){1,6}|\d{1,20})kB')
_UID = re.compile(rb' UID:(\d{1,10})\b')
_ADJ = re.compile(rb'\boom_score_adj:(-?\d{1,5})\b')
# Behind the uid a quote mark or other punctuation of a paste may follow.
_TASK = re.compile(rb'(.{0,8000}),task=(.{0,80}),pid=(\d{1,10}),uid=(\d{1,10})'
                   rb'(?:[\s"\'`<&\\|].{0,400})?$')
CONSTRAINT = re.compile(rb'constraint=(\w{1,40})')
# What any line must begin with to tell of a kill; `locate` looks for it anywhere in a line.
STARTS = (OUT + rb'[^:]{0,80}: (?:OOM victim \d|(?:OOM k|K|k)ill(?:ed)? process \d)',
          rb'(?:OOM k|K)illed process \d{1,10}(?:, UID \d{1,10},)? \(', rb'oom-kill:constraint=',
          rb'oom_reaper *: (?:reaped process|unable to reap pid:)',
          rb'Kernel panic - not syncing: (?:[Oo]ut of memory|System is deadlocked on memory)',
          rb'Tasks in /.{0,400} are going to be killed due to memory\.oom\.group',
          rb'(?:Memory cgroup o|O)ut of memory and no killable process',
          rb'[Ss]ys[Rr]q ?: Manual OOM')


def text(data: bytes) -> str:
    """Return bytes of the kernel as text; what is no UTF-8 shows as backslash escapes."""
    return data.decode('utf-8', 'backslashreplace')


def _kilobytes(digits: bytes) -> int:
    """Return the bytes of a size in kB; people set separators between thousands."""
    return int(re.sub(rb'[,.\']', b'', digits)) * 1024


@frozen
class Killed:
    """
    The "Killed process" line, with sizes in bytes.

    `printed` is the name as it stands there, both names are None where it is cut off;
    `message` is None where another line has it, `kernel_format` where there is no such line.
    """

    message: bytes | None
    pid: int
    comm: bytes | None
    printed: bytes | None
    uid: int | None
    total_vm_bytes: int | None
    sizes: dict[bytes, int]
    oom_score_adj: int | None
    kernel_format: str | None


def killed(line: bytes, escaped: bool) -> Killed | None:
    """Return what a "Killed process" line says, None when it is none."""
    m = _KILLED.match(line)
    if m is None:
        return None
    message, pid, uid_before = m.groups()
    name = (_SIZED_NAME.match(line, m.end()) or _PLAIN_NAME.match(line, m.end())
            or _LOOSE_NAME.match(line, m.end()))
    if name is None and not line.startswith(b'(', m.end()) and len(line) > m.end():
        return None
    comm = uid_behind = total_vm = None
    rest = b''
    if name is not None:
        comm = name.group(1)
        uid_behind = name.group(2) if name.re is not _LOOSE_NAME else None
        rest = line[name.end():]
        total_vm = _TOTAL_VM.match(rest.lstrip())
    sizes = {name: _kilobytes(value) for name, value in _SIZE.findall(rest)}
    uid, adj = _UID.search(rest), _ADJ.search(rest)
    uid_text = uid_before or uid_behind or (uid.group(1) if uid else None)
    return Killed(
        message, int(pid), unescape(comm) if escaped and comm is not None else comm, comm,
        None if uid_text is None else int(uid_text),
        None if total_vm is None else _kilobytes(total_vm.group(1)), sizes,
        int(adj.group(1)) if adj else None,
        _kernel_format(line, message, uid_before, uid_behind, total_vm is not None, sizes))


def _kernel_format(line: bytes, message: bytes | None, uid_before: bytes | None,
                   uid_behind: bytes | None, sized: bool, sizes: dict[bytes, int]) -> str:
    """Return the first kernel that prints the line so."""
    if b'pgtables' in sizes:
        return '5.4'
    if uid_before is not None:
        return '2.6.32-el6'
    if uid_behind is not None:
        return '3.10.0-el7'
    if message is not None:
        return '5.1' if sized else '2.6.9'
    if b'shmem-rss' in sizes:
        return '4.5'
    if not sized or b' vsz:' in line:
        return '2.6.32'
    return '2.6.36'


@frozen
class Choice:
    """The "Kill process N (c) score S or sacrifice child" line, before 5.1."""

    message: bytes
    pid: int
    comm: bytes
    score: int | None


def choice(line: bytes, escaped: bool) -> Choice | None:
    """Return whom a kernel before 5.1 chose, None for any other line."""
    m = _CHOICE.match(line)
    if m is not None:
        said, pid, comm, score = m.groups()
    else:
        m = _CUT_CHOICE.match(line)
        if m is None:
            return None
        (said, pid, comm), score = m.groups(), None
    return Choice(said, int(pid), unescape(comm) if escaped else comm,
                  None if score is None else int(score))


@frozen
class Reaped:
    """The "oom_reaper:" line: the memory of this victim was taken (or could not be)."""

    pid: int
    comm: bytes


def reaped(line: bytes, escaped: bool) -> Reaped | None:
    """Return whose memory the reaper took, None for any other line."""
    m = _REAPED.match(line)
    if m is None:
        return None
    comm = m.group(2)
    return Reaped(int(m.group(1)), unescape(comm) if escaped else comm)


def panic(line: bytes) -> bytes | None:
    """Return why the kernel panicked for want of memory, None for any other line."""
    m = _PANIC.match(line)
    return None if m is None else m.group(1).strip()


@frozen
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
    whole = head is not line  # else the line is cut, and its last path may be
    oom_memcg = task_memcg = None
    head, found, rest = head.partition(b',task_memcg=')
    if found:
        task_memcg, whole = rest if whole else None, True
    head, found, rest = head.partition(b',oom_memcg=')
    if found:
        oom_memcg = rest if whole else None
    return Summary(text(constraint.group(1)) if constraint else None, oom_memcg, task_memcg,
                   tail.group(2) if tail else None, int(tail.group(3)) if tail else None,
                   int(tail.group(4)) if tail else None)
