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

"""The table's prediction: it is the kernel's choice, or the report says why not."""

from dataclasses import replace

from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oom_sentinel.kills.oom_report import draft
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report.record import Record
from printk import KERNELS
from printk import Report
from printk import Task
from printk import UNLIMITED_KB
from printk import wrapped
import pytest

NEWEST = KERNELS[-1]
OLD = KERNELS[4]


def kills(lines):
    """Return the kills of these messages."""
    parser = Parser('test')
    found = [kill for line in wrapped(lines).split(b'\n') for kill in parser.feed(line)]
    return found + list(parser.end())


def one(lines):
    """Return the only kill of these messages."""
    (kill,) = kills(lines)
    return kill


comms = st.binary(max_size=15).filter(lambda b: not {0, 10, 13} & set(b)).map(
    lambda b: b.decode('latin-1').replace('\\', '/').encode('utf-8')[:15])
tasks = st.lists(
    st.builds(Task, pid=st.integers(1, 1 << 22), comm=comms,
              uid=st.sampled_from((0, 1000, 4294967294)), total_vm=st.integers(1, 1 << 30),
              rss=st.integers(0, 1 << 24), tables=st.integers(0, 5000),
              swap=st.integers(0, 1 << 20),
              adj=st.one_of(st.just(0), st.integers(-1000, 1000))),
    min_size=1, max_size=12, unique_by=lambda t: t.pid).filter(
        lambda ts: any(t.adj != -1000 and t.pid != 1 for t in ts)).map(tuple)


@settings(deadline=None, max_examples=50)
@given(kernel=st.sampled_from(KERNELS), tasks=tasks, ram=st.integers(1 << 15, 1 << 24),
       swap_kb=st.integers(0, 1 << 26), page_kb=st.sampled_from((4, 16, 64)))
def test_the_prediction_is_the_choice_on_every_machine(kernel, tasks, ram, swap_kb, page_kb):
    """A second implementation of oom_badness() chooses, for any table, page size and swap."""
    report = Report(kernel, tasks, memcg=None, ram_pages=ram, reserved=ram // 50,
                    swap_kb=swap_kb * 64, page_kb=page_kb)
    kill = one(report.lines())
    assert kill.page_size == page_kb * 1024
    assert (kill.totalpages, kill.victim_pid) == (report.totalpages, report.worst().pid)
    assert (kill.predicted_victim_pid, kill.disagreement) == (kill.victim_pid, None)
    assert [t.name for t in kill.tasks] == [
        t.comm.decode('utf-8', 'backslashreplace') for t in tasks]


@settings(deadline=None, max_examples=50)
@given(kernel=st.sampled_from(KERNELS), tasks=tasks, limit=st.integers(1 << 12, 1 << 28))
def test_the_prediction_is_the_choice_in_every_control_group(kernel, tasks, limit):
    """With nothing swapped the limit is totalpages."""
    tasks = tuple(replace(t, swap=0) for t in tasks)
    report = Report(kernel, tasks, limit_kb=limit * 4)
    kill = one(report.lines())
    assert (kill.totalpages, kill.predicted_victim_pid, kill.disagreement) == (
        report.totalpages, report.worst().pid, None)


def swapped(**usages):
    """Return a report of two tasks of which the swap decides, and the usage lines changed."""
    report = Report(NEWEST, (Task(10, rss=30000, swap=1), Task(20, rss=10000, adj=100)),
                    limit_kb=400000)
    lines = []
    for line in report.lines():
        name = line.split(b':')[0].decode()
        if name == 'memory+swap' and 'swap' in usages:
            line, name = line.replace(b'memory+swap', b'swap'), 'swap'
        if name in usages:
            line = b'%s: usage %dkB, limit %dkB, failcnt 0' % (name.encode(), *usages[name])
        lines.append(line)
    return one(lines)


@pytest.mark.parametrize('usages, totalpages, predicted', [
    ({'memory+swap': (400000, 400000)}, 100000, 10),
    ({'swap': (4, 0)}, 100000, 10),
    ({'memory+swap': (400000, UNLIMITED_KB)}, None, None),
    ({'swap': (4, UNLIMITED_KB)}, None, None),
    ({'swap': (4, 40000)}, None, 10),
    ({'swap': (800000, 800000)}, 300000, 20),
    ({'memory+swap': (1200000, 1200000)}, 300000, 20)])
def test_the_swap_of_a_control_group_bounds_totalpages(usages, totalpages, predicted):
    """The report does not tell the machine's swap: where it decides, nothing is claimed."""
    kill = swapped(**usages)
    assert (kill.totalpages, kill.predicted_victim_pid) == (totalpages, predicted)
    if predicted is None:
        assert "machine's swap" in kill.disagreement


def test_a_sacrificed_child_is_told():
    """Before 5.1 the worst child of the chosen task dies in its place."""
    report = Report(OLD, (Task(10, b'launch', rss=90000), Task(20, b'child', rss=50)))
    kill = one(report.lines(victim=report.tasks[1]))
    assert (kill.victim_pid, kill.victim_comm, kill.predicted_victim_pid) == (20, 'child', 10)
    assert 'child 20 sacrificed' in kill.disagreement
    limited = one([line for line in report.lines(victim=report.tasks[1]) if b'rocess' in line])
    assert limited.predicted_victim_pid is None
    assert 'child 20 sacrificed' in limited.disagreement


@pytest.mark.parametrize('kernel', [OLD, NEWEST], ids=lambda k: k.name)
def test_the_allocating_task_is_told(kernel):
    """vm.oom_kill_allocating_task ignores badness."""
    report = Report(kernel, (Task(10, rss=90000), Task(77, b'asker', rss=50)), memcg=None)
    lines = [line.replace(b'Out of memory: ', b'Out of memory (oom_kill_allocating_task): ')
             .replace(b'Kill process 10 (python3)', b'Kill process 77 (asker)')
             .replace(b'task=python3,pid=10', b'task=asker,pid=77')
             for line in report.lines(victim=report.tasks[1])]
    kill = one(lines)
    assert (kill.victim_pid, kill.predicted_victim_pid) == (77, 10)
    assert 'oom_kill_allocating_task' in kill.disagreement


@pytest.mark.parametrize('constraint', ['CONSTRAINT_CPUSET', 'CONSTRAINT_MEMORY_POLICY'])
def test_memory_nodes_bound_the_candidates(constraint):
    """The nodes' pages are totalpages, and tasks of other nodes are passed over."""
    report = Report(NEWEST, (Task(10, rss=90000), Task(20, rss=50)), memcg=None)
    lines = []
    for line in report.lines(victim=report.tasks[1]):
        line = line.replace(b'CONSTRAINT_NONE', constraint.encode()).replace(
            b'pid=10', b'pid=20').replace(b'mems_allowed=0', b'mems_allowed=1')
        if line.startswith(b'Node 0'):
            lines.append(b'Node 1 Normal free:1kB min:5kB present:400000kB managed:399999kB')
        lines.append(line)
    kill = one(lines)
    assert kill.constraint == constraint and kill.totalpages == 100000
    assert (kill.victim_pid, kill.predicted_victim_pid) == (20, 10)
    assert constraint in kill.disagreement


def test_an_earlier_victim_is_passed_over():
    """A reaped task is still in the table (MMF_OOM_SKIP); a later one with its PID is not."""
    first = Report(NEWEST, (Task(10, rss=90000), Task(20, rss=50)))
    lines = list(first.lines())
    again = [line.replace(b'pid=10', b'pid=20') for line in first.lines(victim=first.tasks[1])]
    found = kills([*lines, *again])
    assert [(k.victim_pid, k.predicted_victim_pid, k.disagreement) for k in found] == [
        (10, 10, None), (20, 20, None)]


def test_a_victim_that_the_table_does_not_explain_is_told():
    """Nothing is hidden: the kernel's choice stands beside the table's."""
    report = Report(NEWEST, (Task(10, rss=90000, tables=21), Task(20, rss=50)))
    kill = one([line.replace(b'pid=10', b'pid=20')
                for line in report.lines(victim=report.tasks[1])])
    assert (kill.victim_pid, kill.predicted_victim_pid) == (20, 10)
    assert 'PID 10 has more badness' in kill.disagreement
    absent = one([line.replace(b'pid=10', b'pid=30') for line in report.lines(victim=Task(30))])
    assert (absent.page_size, absent.predicted_victim_pid) == (4096, 10)
    assert 'PID 30 is not in the task table' in absent.disagreement


@pytest.mark.parametrize('dropped, why', [
    (b'swapents', 'lacks swap'), (b' total_vm ', 'head of the task table'),
    (b'[', 'no task table'), (b'memory: usage', 'size of the memory')])
def test_what_keeps_from_predicting_is_said(dropped, why):
    """No prediction without its ground."""
    report = Report(NEWEST, (Task(10, rss=90000), Task(20, rss=50, adj=5)))
    kill = one([line.replace(b'swapents', b'newthing') if dropped == b'swapents' else line
                for line in report.lines()
                if dropped == b'swapents' or dropped not in line[:100 if dropped != b'[' else 1]])
    assert kill.predicted_victim_pid is None and why in kill.disagreement


def test_roots_bonus_before_4_17_counts():
    """3 percent of what it holds (since 3.14): so the other one dies."""
    report = Report(OLD, (Task(10, uid=0, rss=10000), Task(20, uid=1000, rss=9900)))
    kill = one(report.lines())
    assert kill.victim_pid == kill.predicted_victim_pid == 20
    container = one([line.replace(b'process 20', b'process 10') for line in report.lines()])
    assert container.predicted_victim_pid == 10  # root without CAP_SYS_ADMIN has no bonus


def test_page_tables_that_5_4_printed_in_bytes_are_recognised():
    """pgtables: held bytes and said kB until 5.6 and 5.4's stable."""
    report = Report(KERNELS[10], (Task(10, tables=20),))
    assert KERNELS[10].name == '5.4'
    kill = one([line.replace(b'pgtables:80kB', b'pgtables:81920kB') for line in report.lines()])
    assert kill.page_table_bytes == 20 * 4096


def test_a_machine_without_swap_support_has_none():
    """Without CONFIG_SWAP no line speaks of swap."""
    report = Report(NEWEST, (Task(10, adj=5),), memcg=None, swap_kb=0)
    kill = one([line for line in report.lines() if b'swap  =' not in line
                and b'Total swap' not in line])
    assert kill.totalpages == report.totalpages


def test_an_endless_table_is_bounded(monkeypatch):
    """65536 rows are kept; what more means for the prediction is said."""
    monkeypatch.setattr(draft, 'MAX_TASKS', 10)
    drafted = draft.Draft()
    for pid in range(50):
        drafted.take(Record(Report(NEWEST, ()).row(Task(pid))), b'')
    assert len(drafted.rows) == 10 and drafted.cut
    kill = one(Report(NEWEST, tuple(Task(pid, rss=pid) for pid in range(2, 52))).lines())
    assert len(kill.tasks) == 10 and 'more rows' in kill.disagreement
