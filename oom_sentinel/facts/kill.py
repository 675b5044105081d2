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

"""Facts about OOM kills: mm/oom_kill.c, dump_tasks() and __oom_kill_process()."""

from enum import Enum

from oom_sentinel.facts.frozen import frozen

THE_KERNEL_SAID_SO = 'the kernel said so'
INFERRED = 'inferred'
THE_KILLER_SAID_SO = 'the killer said so'
UNCONFIRMED = 'unconfirmed'


class Killer(str, Enum):
    """Who ended the process: the kernel alone, the kernel by a panic, or a program."""

    KERNEL = 'kernel'
    PANIC = 'panic'
    USERSPACE = 'userspace'


@frozen
class OomTask:
    """
    One row of the task table of a report.

    `total_vm_pages`, `rss_pages` and `swap_entries` count pages; `page_table_bytes` is None
    where the kernel printed numbers of page tables (nr_ptes) and the page size is unknown.
    """

    pid: int
    uid: int | None = None
    tgid: int | None = None
    total_vm_pages: int | None = None
    rss_pages: int | None = None
    page_table_bytes: int | None = None
    swap_entries: int | None = None
    oom_score_adj: int | None = None
    name: str = ''


@frozen
class OomKill:
    """
    One process killed for want of memory; a fact that the log lacks is None.

    `time` is the wall clock (seconds since the epoch), `boot_time_s` the kernel's own
    timestamp.  `kernel_format` names the format of the "Killed process" line by the first
    kernel that prints it so.  `constraint` is CONSTRAINT_NONE, CONSTRAINT_MEMCG...
    `oom_memcg` is the control group that was short, `task_memcg` the victim's.  `score` is
    what kernels before 5.1 print.  `totalpages` and `predicted_victim_pid` come from the task
    table, `disagreement` says why the kernel chose another.  `source` is where the report was
    read ('kmsg', 'journal', a file, 'counters'), `certainty` one of THE_KERNEL_SAID_SO,
    INFERRED, THE_KILLER_SAID_SO and UNCONFIRMED (a file that any program may write to says so
    and nothing else does).  `cause` is the reason in words, to follow "because"; `order` and
    `gfp_mask` are those of the allocation that failed, `free_bytes` is what was free then,
    `kernel_release` the kernel's version.  `line` is the line of the log, from 1 on.
    `kind` says who killed; for USERSPACE `program` is its name (systemd-oomd, earlyoom...)
    and `processes` how many it ended in `task_memcg`, for PANIC there is no victim.
    `node_names`, `group` and `wanted` (the group's oom_score_adj) are known only to a
    sentinel that ran.  `lines` are the raw lines of the report.
    """

    victim_pid: int | None = None
    victim_comm: str | None = None
    victim_uid: int | None = None
    time: float | None = None
    boot_time_s: float | None = None
    kernel_format: str | None = None
    trigger_comm: str | None = None
    constraint: str | None = None
    total_vm_bytes: int | None = None
    anon_rss_bytes: int | None = None
    file_rss_bytes: int | None = None
    shmem_rss_bytes: int | None = None
    page_table_bytes: int | None = None
    oom_score_adj: int | None = None
    score: int | None = None
    oom_memcg: str | None = None
    task_memcg: str | None = None
    tasks: tuple[OomTask, ...] = ()
    page_size: int | None = None
    totalpages: int | None = None
    predicted_victim_pid: int | None = None
    disagreement: str | None = None
    source: str | None = None
    certainty: str = THE_KERNEL_SAID_SO
    node_names: tuple[str, ...] = ()
    group: str | None = None
    wanted: int | None = None
    before_start: bool = False
    lines: tuple[str, ...] = ()
    cause: str | None = None
    order: int | None = None
    gfp_mask: str | None = None
    free_bytes: int | None = None
    kernel_release: str | None = None
    kind: Killer = Killer.KERNEL
    program: str | None = None
    processes: int | None = None
    line: int | None = None

    @property
    def printed_rss_bytes(self) -> int:
        """Return the resident memory of the victim as the kernel printed it, 0 when it did not."""
        return sum(size or 0 for size in (
            self.anon_rss_bytes, self.file_rss_bytes, self.shmem_rss_bytes))


@frozen
class SignalDeath:
    """A process that died by signal 9, and when (monotonic); its parent where that is known."""

    pid: int
    monotonic_s: float
    parent_pid: int | None = None


@frozen
class SeenKill:
    """
    A kill as a running sentinel met it.

    `seen_s` is monotonic.  `matched` says how the process was found ('by PID', by name,
    or why it is unknown).  `eaters` are the largest processes at that time, in words.
    `number` is another one for each report.  `count` is how many kills this stands for: more
    than one where victims are not told apart.  `elsewhere` says that the kill concerned none of
    this user's processes, `build` that the victim was a job of a build.  `limit_bytes` is the
    limit of the control group that was short.
    """

    kill: OomKill
    seen_s: float
    matched: str = ''
    eaters: tuple[str, ...] = ()
    number: int = 0
    count: int = 1
    elsewhere: bool = False
    build: bool = False
    limit_bytes: int | None = None


@frozen
class Kills:
    """
    What is known of OOM kills after a cycle.

    `seen` are the last ones, the newest last; `fresh` those that this cycle brought.
    `since_start` counts kills while the sentinel ran.  `source` is where the kernel's
    messages are read, `better` why no better source is open and what would open it,
    `missed` how many messages were lost.  `incident` is the newest folder or why there is
    none, `trouble` what keeps incidents from being written.

    `watched_s` is for how long kills have been watched, None where nobody watches.  `blind`
    says why no kill can be seen here at all.  `counted_here` is the number of kills that the
    visible control groups count, told in a container in place of the machine's counter.
    `stalled` describes a stall that the machine did not survive before this start.
    """

    seen: tuple[SeenKill, ...] = ()
    fresh: tuple[SeenKill, ...] = ()
    since_start: int = 0
    source: str = 'not opened'
    better: tuple[str, ...] = ()
    missed: int = 0
    incident: str = 'none'
    trouble: str | None = None
    watched_s: float | None = None
    blind: str | None = None
    counted_here: int | None = None
    stalled: str | None = None
