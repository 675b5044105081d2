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
A stand-in for the kernel's printk: reports in the words of each version, in every envelope.

Synthetic: the format strings are those of mm/oom_kill.c and mm/memcontrol.c at the versions
named, the values are made up.  Badness is computed here a second time, from the source.
"""

from dataclasses import dataclass
from dataclasses import field
import json

STAMP = 1795681848  # Thu Nov 26 08:30:48 UTC 2026
BOOT_S = 12345.678901
UNLIMITED_KB = 9007199254740988


@dataclass(frozen=True)
class Task:
    """A process as the table shows it; page tables in pages."""

    pid: int
    comm: bytes = b'python3'
    uid: int = 1000
    total_vm: int = 50000
    rss: int = 1000
    tables: int = 20
    swap: int = 0
    adj: int = 0


@dataclass(frozen=True)
class Kernel:
    """What a version prints: see KERNELS."""

    name: str
    release: str
    columns: str
    choice: bool = False
    oneline: bool = False
    summary: bool = False
    pid_width: int = 5
    bonus: str = ''
    floor: bool = True
    kernel_format: str = '5.4'


PTES = 'uid  tgid total_vm      rss nr_ptes swapents oom_score_adj name'
PMDS = 'uid  tgid total_vm      rss nr_ptes nr_pmds swapents oom_score_adj name'
BYTES = 'uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name'
SPLIT = ('uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents '
         'oom_score_adj name')
KERNELS = (
    Kernel('3.10', '3.10.0-generic', PTES, choice=True, bonus='adj', kernel_format='2.6.36'),
    Kernel('el7', '3.10.0-1160.el7.x86_64', PTES, choice=True, bonus='usage',
           kernel_format='3.10.0-el7'),
    Kernel('3.16', '3.16.0-4-amd64', PTES, choice=True, bonus='usage', kernel_format='2.6.36'),
    Kernel('4.4', '4.4.0-97-generic', PMDS, choice=True, bonus='usage', kernel_format='2.6.36'),
    Kernel('l4t-4.9', '4.9.253-tegra', PMDS, choice=True, bonus='usage', kernel_format='4.5'),
    Kernel('4.15', '4.15.0-23-generic', BYTES, choice=True, bonus='usage', kernel_format='4.5'),
    Kernel('4.18', '4.18.0-25-generic', BYTES, choice=True, kernel_format='4.5'),
    Kernel('4.19', '4.19.0-27-amd64', BYTES, choice=True, pid_width=7, kernel_format='4.5'),
    Kernel('5.0', '5.0.0-29-generic', BYTES, choice=True, summary=True, pid_width=7,
           kernel_format='4.5'),
    Kernel('5.1', '5.1.21-050121-generic', BYTES, oneline=True, summary=True, pid_width=7,
           kernel_format='5.1'),
    Kernel('5.4', '5.4.0-150-generic', BYTES, oneline=True, summary=True, pid_width=7),
    Kernel('5.15', '5.15.148-tegra', BYTES, oneline=True, summary=True, pid_width=7,
           floor=False),
    Kernel('6.12', '6.12.25+rpt-rpi-v8', SPLIT, oneline=True, summary=True, pid_width=7,
           floor=False),
)


@dataclass(frozen=True)
class Report:
    """One OOM: whose memory, who asked, who is there."""

    kernel: Kernel
    tasks: tuple[Task, ...]
    memcg: bytes | None = b'/robot'
    task_memcg: bytes = b'/robot/nav'
    limit_kb: int = 512 << 10
    ram_pages: int = 1 << 20
    reserved: int = 30000
    swap_kb: int = 0
    page_kb: int = 4
    trigger: bytes = b'asker'
    extra: tuple[bytes, ...] = field(default=())

    @property
    def totalpages(self):
        """Return what the kernel would use."""
        if self.memcg is not None:
            return self.limit_kb // self.page_kb
        return self.ram_pages - self.reserved + self.swap_kb // self.page_kb

    def badness(self, task):
        """Compute the points of this kernel, None for never."""
        if task.adj == -1000 or task.pid == 1:
            return None
        points, adj = task.rss + task.swap + task.tables, task.adj
        if task.uid == 0 and self.kernel.bonus == 'usage':
            points -= points * 3 // 100
        elif task.uid == 0 and self.kernel.bonus == 'adj':
            adj -= 30
        points += adj * (self.totalpages // 1000)
        return max(1, points) if self.kernel.floor else points

    def worst(self):
        """Return the task that the kernel chooses; the later of equals."""
        rated = [(self.badness(t), i, t) for i, t in enumerate(self.tasks)
                 if self.badness(t) is not None]
        return max(rated)[2]

    def row(self, task):
        """Return a row of the table."""
        head = b'[%*d] %5d %5d %8d %8d ' % (self.kernel.pid_width, task.pid, task.uid, task.pid,
                                            task.total_vm, task.rss)
        size = task.tables * self.page_kb * 1024
        middle = {PTES: b'%7d ' % task.tables,
                  PMDS: b'%7d %7d ' % (task.tables - task.tables // 4, task.tables // 4),
                  BYTES: b'%8d ' % size,
                  SPLIT: b'%8d %8d %9d %8d ' % (task.rss, 0, 0, size)}[self.kernel.columns]
        return head + middle + b'%8d         %5d %s' % (task.swap, task.adj, task.comm)

    def head(self):
        """Return the lines before the table."""
        yield (b'%s invoked oom-killer: gfp_mask=0xcc0(GFP_KERNEL), order=0, oom_score_adj=0'
               % self.trigger)
        yield b'asker cpuset=/ mems_allowed=0'
        yield (b'CPU: 1 PID: 77 Comm: %s Not tainted %s #1-Ubuntu' %
               (self.trigger, self.kernel.release.encode()))
        yield b'Call Trace:'
        yield b' dump_stack+0x63/0x8b'
        if self.memcg is None:
            yield b'Mem-Info:'
            yield (b'Node 0 DMA32 free:122644kB min:5000kB low:9000kB active_anon:1kB '
                   b'present:%dkB managed:%dkB mlocked:0kB' % (
                       self.ram_pages * self.page_kb,
                       (self.ram_pages - self.reserved) * self.page_kb))
            yield b'1234 total pagecache pages'
            yield b'Free swap  = 0kB'
            yield b'Total swap = %dkB' % self.swap_kb
            yield b'%d pages RAM' % self.ram_pages
            yield b'0 pages HighMem/MovableOnly'
            yield b'%d pages reserved' % self.reserved
            return
        if not self.kernel.summary:
            yield (b'Task in %s killed as a result of limit of %s'
                   % (self.task_memcg, self.memcg))
        yield b'memory: usage %dkB, limit %dkB, failcnt 3' % (self.limit_kb, self.limit_kb)
        yield (b'memory+swap: usage %dkB, limit %dkB, failcnt 0'
               % (self.limit_kb, UNLIMITED_KB))
        yield b'kmem: usage 400kB, limit %dkB, failcnt 0' % UNLIMITED_KB
        yield b'Memory cgroup stats for %s: cache:0KB rss:1KB' % self.memcg

    def table(self):
        """Return the table, its head first."""
        if self.kernel.pid_width == 7:
            yield b'Tasks state (memory values in pages):'
        yield b'[%spid%s] ' % ((b'  ', b'  ') if self.kernel.pid_width == 7 else (b' ', b' ')) \
            + b'  ' + self.kernel.columns.encode()
        for task in self.tasks:
            yield self.row(task)

    def killed(self, task, message=None):
        """Return the lines of a kill."""
        message = message or (b'Out of memory' if self.memcg is None
                              else b'Memory cgroup out of memory')
        page = self.page_kb
        sizes = b'total-vm:%dkB, anon-rss:%dkB, file-rss:0kB' % (
            task.total_vm * page, task.rss * page)
        if self.kernel.kernel_format not in ('2.6.36',):
            sizes += b', shmem-rss:0kB'
        if self.kernel.kernel_format == '5.4':
            sizes += b', UID:%d pgtables:%dkB oom_score_adj:%d' % (
                task.uid, task.tables * page, task.adj)
        name = b'(%s)' % task.comm
        if self.kernel.kernel_format == '3.10.0-el7':
            name += b', UID %d,' % task.uid
        prefix = message + b': ' if self.kernel.oneline else b''
        yield prefix + b'Killed process %d %s %s' % (task.pid, name, sizes)

    def lines(self, victim=None):
        """Return the whole report."""
        chosen = self.worst()
        victim = victim or chosen
        message = b'Out of memory' if self.memcg is None else b'Memory cgroup out of memory'
        yield from self.head()
        yield from self.table()
        if self.kernel.summary:
            where = b',global_oom' if self.memcg is None else b',oom_memcg=' + self.memcg
            yield (b'oom-kill:constraint=%s,nodemask=(null),cpuset=/,mems_allowed=0%s,'
                   b'task_memcg=%s,task=%s,pid=%d,uid=%d' % (
                       b'CONSTRAINT_NONE' if self.memcg is None else b'CONSTRAINT_MEMCG', where,
                       self.task_memcg, chosen.comm, chosen.pid, chosen.uid))
        if self.kernel.choice:
            score = self.badness(chosen) * 1000 // self.totalpages
            yield b'%s: Kill process %d (%s) score %d or sacrifice child' % (
                message, chosen.pid, chosen.comm, score)
        yield from self.killed(victim, message)
        yield (b'oom_reaper: reaped process %d (%s), now anon-rss:0kB, file-rss:0kB, '
               b'shmem-rss:0kB' % (victim.pid, victim.comm))


def _escaped(text):
    return b''.join(bytes((c,)) if 32 <= c < 127 and c != 92 else b'\\x%02x' % c for c in text)


def _json(text, at_us):
    plain = text.decode('utf-8', 'surrogateescape')
    message = plain if plain.isprintable() else list(text)
    return json.dumps({
        '__REALTIME_TIMESTAMP': str(STAMP * 1000000 + 250), 'MESSAGE': message,
        '__MONOTONIC_TIMESTAMP': str(at_us + 250), '_TRANSPORT': 'kernel', 'PRIORITY': '4',
        '_SOURCE_MONOTONIC_TIMESTAMP': str(at_us), 'SYSLOG_IDENTIFIER': 'kernel',
        '_BOOT_ID': 'ab' * 16}).encode()


def _export(text, at_us):
    printable = all(c >= 32 for c in text)
    message = b'MESSAGE=' + text if printable else (
        b'MESSAGE\n' + len(text).to_bytes(8, 'little') + text)
    return b'\n'.join((
        b'__CURSOR=s=abc;i=1', b'__REALTIME_TIMESTAMP=%d' % (STAMP * 1000000 + 250),
        b'__MONOTONIC_TIMESTAMP=%d' % (at_us + 250), b'_BOOT_ID=' + b'ab' * 16,
        b'_SOURCE_MONOTONIC_TIMESTAMP=%d' % at_us, b'_TRANSPORT=kernel', message, b''))


SECONDS = b'%.6f' % BOOT_S
US = round(BOOT_S * 1e6)
# name -> (line of a message, knows the wall clock, knows the kernel's own time)
ENVELOPES = {
    'kmsg': (lambda t: b'4,1234,%d,-;%s' % (US, _escaped(t)), False, True),
    'kmsg-caller': (lambda t: b'4,1234,%d,-,caller=T77;%s' % (US, _escaped(t)), False, True),
    'dmesg': (lambda t: b'[%s] %s' % (SECONDS, t), False, True),
    'dmesg-caller': (lambda t: b'[%s][   T77] %s' % (SECONDS, t), False, True),
    'dmesg-x': (lambda t: b'kern  :warn  : [%s] %s' % (SECONDS, t), False, True),
    'dmesg-raw': (lambda t: b'<4>[%s] %s' % (SECONDS, t), False, True),
    'dmesg-color': (lambda t: b'\x1b[32m[%s] \x1b[0m\x1b[31m%s\x1b[0m' % (SECONDS, t), False,
                    True),
    'dropped': (lambda t: b'** 3 printk messages dropped ** [%s] %s' % (SECONDS, t), False,
                True),
    'indented': (lambda t: b'    [%s] %s\r' % (SECONDS, t), False, True),
    'after-power-loss': (lambda t: b'\0' * 99 + b'[%s] %s' % (SECONDS, t), False, True),
    'dmesg-delta': (lambda t: b'[%s <    0.000012>] %s' % (SECONDS, t), False, True),
    'dmesg-T': (lambda t: b'[Thu Nov 26 08:30:48 2026] ' + t, True, False),
    'dmesg-T-de': (lambda t: b'[Do Nov 26 08:30:48 2026] ' + t, True, False),
    'dmesg-T-fr': (lambda t: b'[jeu. nov. 26 08:30:48 2026] ' + t, True, False),
    'dmesg-T-pl': (lambda t: b'[czw lis 26 08:30:48 2026] ' + t, True, False),
    'dmesg-T-ja': (lambda t: '[木 11月 26 08:30:48 2026] '.encode() + t, True, False),
    'dmesg-T-ru': (lambda t: '[Чт ноя 26 08:30:48 2026] '.encode() + t, True, False),
    'dmesg-iso': (lambda t: b'2026-11-26T08:30:48,000000+00:00 ' + t, True, False),
    'rfc3164': (lambda t: b'Nov 26 08:30:48 robot-1 kernel: ' + t, True, False),
    'rfc3164-stamped': (lambda t: b'Nov 26 08:30:48 robot kernel: [%s] %s' % (SECONDS, t),
                        True, True),
    'rfc3164-priority': (lambda t: b'<4>Nov 26 08:30:48 robot kernel: ' + t, True, False),
    'busybox': (lambda t: b'Nov 26 08:30:48 robot kern.warn kernel: [%s] %s' % (SECONDS, t),
                True, True),
    'rsyslog-iso': (lambda t: b'2026-11-26T08:30:48.000000+00:00 robot kernel: [%s] %s'
                    % (SECONDS, t), True, True),
    'rfc5424': (lambda t: b'<4>1 2026-11-26T08:30:48.000Z robot kernel - - - ' + t, True, False),
    'rfc5424-data': (lambda t: b'<4>1 2026-11-26T09:30:48+01:00 robot kernel - - '
                               b'[a@1 b="\\"\\]"][c@2] ' + t, True, False),
    'journal-short': (lambda t: b'Nov 26 08:30:48 robot kernel: ' + t, True, False),
    'journal-precise': (lambda t: b'Nov 26 08:30:48.000000 robot kernel: ' + t, True, False),
    'journal-full': (lambda t: b'Thu 2026-11-26 08:30:48 UTC robot kernel: ' + t, True, False),
    'journal-iso': (lambda t: b'2026-11-26T08:30:48+0000 robot kernel: ' + t, True, False),
    'journal-monotonic': (lambda t: b'[%s] robot kernel: %s' % (SECONDS, t), False, True),
    'journal-unix': (lambda t: b'%d.000000 robot kernel: %s' % (STAMP, t), True, False),
    'journal-json': (lambda t: _json(t, US), True, True),
    'journal-export': (lambda t: _export(t, US), True, True),
    'mediatek': (lambda t: b'[%s]  (0)[77:kworker/0:1]%s' % (SECONDS, t), False, True),
    'samsung': (lambda t: b'<4>[%s]  [1:  kworker/0:1:  123] %s' % (SECONDS, t), False, True),
    'qualcomm': (lambda t: b'<6>[%s] c0    123 %s' % (SECONDS, t), False, True),
    'bare': (lambda t: t, False, False),
}


def wrapped(lines, envelope='dmesg'):
    """Return a log of these messages."""
    line = ENVELOPES[envelope][0]
    return b''.join(line(text) + b'\n' for text in lines)
