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

"""The kernel's log to OOM kills: every kernel's words, every envelope, whatever lies between."""

from dataclasses import replace
from datetime import timezone
from itertools import zip_longest
import pathlib

from oom_sentinel.facts.kill import Killer
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report import Stream
from printk import BOOT_S
from printk import ENVELOPES
from printk import KERNELS
from printk import Report
from printk import SECONDS
from printk import STAMP
from printk import Task
from printk import wrapped
import pytest

LOGS = pathlib.Path(__file__).parents[2] / 'fixtures' / 'oom_logs'
NOW_S = 1795680000.0  # 26 November 2026


def kills(data, **options):
    """Feed a whole log line by line and return its kills."""
    parser = Parser('test', **{'now_s': NOW_S, **options})
    found = [kill for line in data.split(b'\n') for kill in parser.feed(line)]
    return found + list(parser.end())


def streamed(data, size, **options):
    """Feed a whole log in blocks of a size and return its kills."""
    stream = Stream(Parser('test', **{'now_s': NOW_S, **options}))
    found = [k for at in range(0, len(data), size) for k in stream.feed(data[at:at + size])]
    return found + list(stream.end())


def test_a_real_report_of_6_18_holds_every_fact():
    """Sizes in bytes, the table in the kernel's units, the limit as totalpages."""
    (kill,) = kills((LOGS / 'linux-6.18-cgroup1-one-kill.kmsg').read_bytes(), boot_wall_s=1e9)
    assert (kill.victim_pid, kill.victim_comm, kill.victim_uid) == (14999, 'python3', 0)
    assert (kill.time, kill.boot_time_s) == (1e9 + 959.010375, 959.010375)
    assert (kill.constraint, kill.oom_memcg, kill.task_memcg) == (
        'CONSTRAINT_MEMCG', '/roslab_x', '/roslab_x')
    assert (kill.total_vm_bytes, kill.anon_rss_bytes, kill.page_table_bytes) == (
        171260 << 10, 153084 << 10, 368640)
    assert (kill.page_size, kill.totalpages) == (4096, 153600 // 4)
    assert (kill.predicted_victim_pid, kill.disagreement) == (14999, None)
    (task,) = kill.tasks
    assert (task.rss_pages, task.swap_entries, task.oom_score_adj, task.name) == (
        39936, 0, 0, 'python3')


def test_the_seed_of_an_old_kernel_is_read():
    """EL6 has a score and the uid before the name, and syslog leaves the year out."""
    (kill,) = kills((LOGS / 'el6-seed.syslog').read_bytes())
    assert (kill.victim_pid, kill.victim_comm, kill.victim_uid, kill.score) == (
        9267, 'gmaster', 500, 485)
    assert kill.file_rss_bytes == 68979468 << 10
    assert kill.tasks == () and kill.predicted_victim_pid is None


@pytest.mark.parametrize('path', sorted(LOGS.iterdir()), ids=lambda p: p.name)
@pytest.mark.parametrize('size', [1, 77, 4096, 1 << 20])
def test_blocks_of_any_size_give_the_same_kills(path, size):
    """The reading of blocks is only a faster way to the same result."""
    data = path.read_bytes()
    assert streamed(data, size) == kills(data) != []


def test_every_real_kill_is_the_one_that_the_table_predicts():
    """The kernel is the oracle."""
    found = kills((LOGS / 'linux-6.18-cgroup1-several-kills.kmsg').read_bytes())
    assert [kill.victim_pid for kill in found] == [15734, 15777, 15820, 15863, 15906]
    assert [kill.predicted_victim_pid for kill in found] == [k.victim_pid for k in found]


# What each kernel prints, in every envelope (synthetic: test/printk.py).

TASKS = (Task(1, b'systemd', 0, 42000, 2500), Task(300, b'sshd', 0, 3000, 900, adj=-1000),
         Task(400, b'amcl', 1000, 90000, 30000, 80, adj=-300),
         Task(500, b'rviz2', 1000, 80000, 40000, 110, adj=100),
         Task(77, b'asker', 1000, 9000, 3000))


@pytest.mark.parametrize('kernel', KERNELS, ids=lambda k: k.name)
@pytest.mark.parametrize('memcg', [b'/robot', None], ids=['memcg', 'global'])
def test_every_kernels_report_holds_every_fact_that_it_prints(kernel, memcg):
    """Each version's words: sizes, table, limits, and the victim as the table predicts it."""
    report = Report(kernel, TASKS, memcg=memcg, swap_kb=1 << 20)
    (kill,) = kills(wrapped(report.lines()))
    victim = report.worst()
    assert (kill.victim_pid, kill.victim_comm, kill.victim_uid) == (500, 'rviz2', 1000)
    assert kill.kernel_format == kernel.kernel_format
    assert kill.trigger_comm == 'asker'
    assert kill.constraint == ('CONSTRAINT_MEMCG' if memcg else
                               'CONSTRAINT_NONE' if kernel.summary else None)
    assert kill.oom_memcg == ('/robot' if memcg else None)
    assert kill.task_memcg == ('/robot/nav' if memcg or kernel.summary else None)
    assert (kill.total_vm_bytes, kill.anon_rss_bytes) == (80000 * 4096, 40000 * 4096)
    assert kill.shmem_rss_bytes == (None if kernel.kernel_format == '2.6.36' else 0)
    assert (kill.page_table_bytes, kill.oom_score_adj) == (110 * 4096, 100)
    assert kill.score == (report.badness(victim) * 1000 // report.totalpages
                          if kernel.choice else None)
    assert (kill.page_size, kill.totalpages) == (4096, report.totalpages)
    assert [(t.pid, t.uid, t.tgid, t.total_vm_pages, t.rss_pages, t.page_table_bytes,
             t.swap_entries, t.oom_score_adj, t.name) for t in kill.tasks] == [
        (t.pid, t.uid, t.pid, t.total_vm, t.rss, t.tables * 4096, t.swap, t.adj,
         t.comm.decode()) for t in TASKS]
    assert (kill.predicted_victim_pid, kill.disagreement) == (500, None)


@pytest.mark.parametrize('kernel', [KERNELS[0], KERNELS[4], KERNELS[-1]], ids=lambda k: k.name)
@pytest.mark.parametrize('envelope', ENVELOPES)
def test_every_envelope_gives_the_same_kill_and_the_times_it_holds(envelope, kernel):
    """Wall clock and the kernel's own time are facts of the envelope; the rest of the text."""
    report = Report(kernel, TASKS, trigger=b'a b: [x] (y)')
    _, has_wall, has_boot = ENVELOPES[envelope]
    data = wrapped(report.lines(), envelope)
    (kill,) = kills(data, zone=timezone.utc)
    (plain,) = kills(wrapped(report.lines(), 'bare'))
    assert kill.boot_time_s == (BOOT_S if has_boot else None)
    assert kill.time == (STAMP if has_wall else None)
    assert replace(kill, time=None, boot_time_s=None, lines=(), line=None) == replace(
        plain, lines=(), line=None)
    assert streamed(data, 100, zone=timezone.utc) == [kill]
    if has_boot and not has_wall:
        (kill,) = kills(data, boot_wall_s=1e9)
        assert kill.time == 1e9 + BOOT_S


@pytest.mark.parametrize('name', [
    b'a b', b'foo) Z ', b'()()())))', b'(sd-pam)', b'x) total-vm:1kB', b',pid=1,uid=2', b',task=y',
    b'"quoted"', b'[brackets]', b'kernel: x', b'12 34', b' lead', b'100%', b'a;b', b'{}', b'\\x41',
    'größe'.encode(), '木木木木木'.encode(), b'cut \xe6\x9c', b'\xff\xfe', b'tab\there', b''])
@pytest.mark.parametrize('envelope', ['kmsg', 'dmesg', 'rfc3164', 'journal-json',
                                      'journal-export'])
@pytest.mark.parametrize('kernel', [KERNELS[1], KERNELS[-1]], ids=lambda k: k.name)
def test_hostile_names_arrive_whole(name, envelope, kernel):
    """A process may call itself anything; 15 bytes of it are printed."""
    if name == b'\\x41' and envelope not in ('kmsg', 'journal-json', 'journal-export'):
        pytest.skip('without escapes of its own this envelope cannot tell it from A')
    tasks = (Task(77, b'asker'), Task(500, name, rss=40000))
    (kill,) = kills(wrapped(Report(kernel, tasks, trigger=b'asker').lines(), envelope))
    shown = name.decode('utf-8', 'backslashreplace')
    assert (kill.victim_pid, kill.victim_comm) == (500, shown)
    assert kill.tasks[1].name == shown and kill.tasks[1].oom_score_adj == 0
    assert kill.task_memcg == '/robot/nav' and kill.predicted_victim_pid == 500


@pytest.mark.parametrize('path', [
    b'/docker/' + b'a' * 64, b'/a b/c', b'/x,task=y,pid=1', b'/killed as a result of limit of /y',
    '/größe'.encode(), b'/user.slice/user-1000.slice/user@1000.service/app.slice/x'])
@pytest.mark.parametrize('kernel', [KERNELS[4], KERNELS[-1]], ids=lambda k: k.name)
def test_control_group_paths_may_hold_anything_but_newlines(path, kernel):
    """They are file names."""
    (kill,) = kills(wrapped(Report(kernel, TASKS, task_memcg=path).lines()))
    assert (kill.task_memcg, kill.oom_memcg) == (path.decode(), '/robot')


def test_a_kill_is_given_at_its_own_line():
    """The live reader's budget is 50 ms: nothing waits for what the kernel prints later."""
    lines = list(Report(KERNELS[-1], TASKS).lines())
    parser, given_at = Parser(), []
    for number, line in enumerate(lines):
        given_at += [number] * len(parser.feed(line))
    assert given_at == [len(lines) - 2] and b'Killed process' in lines[-2]
    assert parser.end() == ()


def test_the_raw_lines_are_those_of_the_report():
    """They go into the incident folder: nothing before the report, nothing of the next."""
    before = [b'usb 1-1: new device', b'wlan0: associated'] * 50
    lines = list(Report(KERNELS[-1], TASKS).lines())
    for log, told in ((lines, lines[:-1]), (lines[10:], lines[10:-1]), (lines[-2:], [lines[-2]])):
        (kill,) = kills(wrapped([*before, *log, *before]))
        assert [line.encode() for line in kill.lines] == wrapped(told).splitlines()


def test_lines_of_others_between_change_nothing():
    """Programs, other kernel messages, empty lines, and other programs' talk of kills."""
    report = Report(KERNELS[-1], TASKS)
    noise = [b'Nov 26 08:30:48 robot ros2[12]: Out of memory: Killed process 1 (x) total-vm:1kB, '
             b'anon-rss:1kB, file-rss:1kB', b'', b'\x00\xff', b'-- Boot 0123 --',
             b'Nov 26 08:30:48 robot kernel: usb 1-1: new device [ 123]',
             b'<30>Nov 26 08:30:48 robot kernel: Killed process 5 (y) total-vm:1kB',
             b'{"MESSAGE": "Killed process 9 (z) total-vm:1kB", "_TRANSPORT": "stdout"}',
             b'12,1,1,-;Killed process 7 (forged by user space) total-vm:1kB']
    mixed = b''
    for index, text in enumerate(report.lines()):
        mixed += ENVELOPES['rfc3164'][0](text) + b'\n' + noise[index % len(noise)] + b'\n'
    (kill,) = kills(mixed)
    (plain,) = kills(wrapped(report.lines(), 'rfc3164'))
    assert replace(kill, lines=(), line=None) == replace(plain, lines=(), line=None)


def test_two_interleaved_reports_are_told_apart_by_their_callers():
    """CONFIG_PRINTK_CALLER names the task; only the order of the kills remains."""
    one = Report(KERNELS[-1], TASKS, trigger=b'one', memcg=b'/one')
    two = Report(KERNELS[-1], (Task(77, b'asker'), Task(900, b'nav2', rss=99999)),
                 trigger=b'two', memcg=b'/two', limit_kb=1 << 20)
    mixed = b''.join(
        b'[%s][ T%d] %s\n' % (SECONDS, caller, text)
        for pair in zip_longest(one.lines(), two.lines())
        for caller, text in zip((100, 200), pair) if text is not None)
    found = kills(mixed)
    assert [(k.trigger_comm, k.oom_memcg, k.victim_pid, k.predicted_victim_pid, len(k.tasks))
            for k in sorted(found, key=lambda k: k.victim_pid)] == [
        ('one', '/one', 500, 500, len(TASKS)), ('two', '/two', 900, 900, 2)]


def test_a_report_inside_another_is_finished_by_the_pid_it_names():
    """Without callers a kill goes to the report whose summary names its PID."""
    one = list(Report(KERNELS[-1], TASKS, trigger=b'one', memcg=b'/one').lines())
    two = list(Report(KERNELS[-1], (Task(77), Task(900, rss=99999)), trigger=b'two',
                      memcg=b'/two').lines())
    found = kills(wrapped(one[:-2] + two + one[-2:]))
    assert [(k.trigger_comm, k.oom_memcg, k.victim_pid) for k in found] == [
        ('two', '/two', 900), ('one', '/one', 500)]


@pytest.mark.parametrize('kernel', KERNELS, ids=lambda k: k.name)
def test_a_truncated_start_loses_only_what_it_lacks(kernel):
    """A ring buffer has no beginning: at every cut the kill is there and nothing is invented."""
    lines = list(Report(kernel, TASKS).lines())
    (whole,) = kills(wrapped(lines))
    table = next(i for i, line in enumerate(lines) if b' total_vm ' in line)
    last = next(i for i, line in enumerate(lines) if b'Killed process' in line)
    for cut in range(last + 1):
        (kill,) = kills(wrapped(lines[cut:]))
        assert kill.victim_pid == 500
        for name in ('trigger_comm', 'oom_memcg', 'task_memcg', 'totalpages', 'page_size',
                     'victim_uid', 'oom_score_adj', 'constraint', 'score', 'page_table_bytes'):
            assert getattr(kill, name) in (getattr(whole, name), None)
        assert kill.predicted_victim_pid in (500, None)
        assert (kill.predicted_victim_pid is None) <= (kill.disagreement is not None)
        if cut > table:
            assert kill.predicted_victim_pid is None
            assert [t.pid for t in kill.tasks] == [
                t.pid for t in TASKS[max(0, cut - table - 1):]]
            assert all(t.rss_pages in [x.rss for x in TASKS] for t in kill.tasks)


def test_a_rate_limited_report_is_its_kill_alone():
    """Header, table and summary are limited to ten in five seconds, "Killed process" is not."""
    report = Report(KERNELS[-1], TASKS)
    later = Report(KERNELS[-1], (Task(900, b'nav2', rss=7),))
    found = kills(wrapped([*report.lines(), *later.killed(later.tasks[0])]))
    assert [(k.victim_pid, k.trigger_comm, len(k.tasks), k.oom_memcg) for k in found] == [
        (500, 'asker', len(TASKS), '/robot'), (900, None, 0, None)]
    assert found[1].constraint == 'CONSTRAINT_MEMCG' and 'rate-limited' in found[1].disagreement


def test_a_group_kill_names_every_member_and_the_group():
    """memory.oom.group: one report, several kills, its first victim told twice by the kernel."""
    report = Report(KERNELS[-1], TASKS)
    lines = list(report.lines())[:-1]
    lines.append(b'Tasks in /robot are going to be killed due to memory.oom.group set')
    lines += [line for task in TASKS[2:] for line in report.killed(task)]
    found = kills(wrapped(lines))
    assert [k.victim_pid for k in found] == [500, 400, 77]
    assert all(k.tasks == found[0].tasks and k.oom_memcg == '/robot' for k in found)
    assert found[1].predicted_victim_pid == 500
    assert 'whole control group /robot' in found[1].disagreement
    assert found[0].disagreement is None


def test_the_constraint_of_5_0_is_put_right():
    """Until 5.2 the summary of a control group's OOM says CONSTRAINT_NONE."""
    lines = [line.replace(b'CONSTRAINT_MEMCG', b'CONSTRAINT_NONE')
             for line in Report(KERNELS[9], TASKS).lines()]
    (kill,) = kills(wrapped(lines))
    assert (kill.constraint, kill.oom_memcg, kill.predicted_victim_pid) == (
        'CONSTRAINT_MEMCG', '/robot', 500)


def test_an_exiting_victim_is_no_kill():
    """Since 5.10 the kernel says when it had nothing to do."""
    lines = [line for line in Report(KERNELS[-1], TASKS).lines() if b'Killed' not in line]
    lines.insert(-1, b'Memory cgroup out of memory: OOM victim 500 (rviz2) is already exiting. '
                     b'Skip killing the task')
    later = Report(KERNELS[-1], (Task(900, b'nav2', rss=7),))
    (kill,) = kills(wrapped([*lines, *later.killed(later.tasks[0])]))
    assert (kill.victim_pid, kill.tasks) == (900, ())


@pytest.mark.parametrize('line', [
    b'Out of memory and no killable processes...',
    b'Memory cgroup out of memory: Killed process x (y) total-vm:1kB',
    b'Kill process 5 (x) sharing same memory', b'audit: Killed process 5 (x) total-vm:1kB',
    b'usb 1-1: Product: Out of memory: Killed process 5 (x) total-vm:1kB, anon-rss:1kB',
    b'lowmemorykiller: Killing x (5), adj 1000'])
def test_what_is_no_kill_gives_none(line):
    """Nobody died, or what is told is data inside another message."""
    report = list(Report(KERNELS[-1], TASKS).head())
    assert kills(wrapped([line])) == kills(wrapped([*report, line])) == []


@pytest.mark.parametrize('line', [
    b'Kernel panic - not syncing: System is deadlocked on memory',
    b'Kernel panic - not syncing: Out of memory: compulsory panic_on_oom is enabled'])
def test_a_panic_for_want_of_memory_is_told(line):
    """It has no victim, and its report explains no later kill."""
    report = Report(KERNELS[-1], TASKS)
    later = Report(KERNELS[-1], (Task(900, b'nav2', rss=7),))
    for lines in ([line], [*report.head(), line]):
        panic, kill = kills(wrapped([*lines, *later.killed(later.tasks[0])]))
        assert panic.kind is Killer.PANIC and panic.victim_pid is None
        assert panic.cause == 'the kernel panicked: ' + line.decode().partition('syncing: ')[2]
        assert (kill.victim_pid, kill.trigger_comm, kill.tasks) == (900, None, ())


@pytest.mark.parametrize('line', [
    b'oom_reaper: reaped process 5 (x), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB',
    b'oom_reaper: unable to reap pid:5 (x)'])
def test_a_lone_reaper_is_inferred(line):
    """Only victims are reaped; beside its own kill the line says nothing new."""
    (kill,) = kills(wrapped([line]))
    assert (kill.victim_pid, kill.victim_comm, kill.certainty) == (5, 'x', 'inferred')
    killed = b'Out of memory: Killed process 5 (x) total-vm:1kB, anon-rss:1kB, file-rss:0kB'
    (kill,) = kills(wrapped([killed, line]))
    assert kill.certainty == 'the kernel said so'


def test_a_lone_choice_is_inferred():
    """Whoever greps a log of an old kernel for "out of memory" has only the choice left."""
    lines = [line for n in (5, 6) for line in Report(KERNELS[4], (Task(n),)).lines()
             if b'sacrifice' in line]
    found = kills(wrapped(lines))
    assert [(k.victim_pid, k.certainty) for k in found] == [(5, 'inferred'), (6, 'inferred')]
    assert all('child' in k.disagreement for k in found)
