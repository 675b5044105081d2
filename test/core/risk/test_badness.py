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

"""The kernel is the oracle of the arithmetic: this machine's, and the rounding of C."""

from dataclasses import replace
import os
import subprocess
import time

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import kernel
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.risk import badness
import pytest

PAGES = st.integers(0, 1 << 24)
ADJ = st.integers(-999, 1000)


def slack_pages(kernel_version):
    """
    Return by how many pages oom_score may differ from status, 0 on older kernels.

    Since 6.2 rss is summed up per CPU: each of the four counters may lag behind by one batch
    a CPU (percpu_counter_batch, lib/percpu_counter.c).
    """
    cpus = os.cpu_count() or 1
    return 4 * cpus * max(32, 2 * cpus) if kernel_version >= (6, 2) else 0


@pytest.fixture
def sleepers():
    """Run a few processes that do not change, also where a container has no other."""
    children = [subprocess.Popen(['sleep', '60']) for _ in range(5)]
    time.sleep(0.1)  # exec is over: what they hold stays
    yield
    for child in children:
        child.kill()
        child.wait()


def test_predicts_the_oom_score_of_every_process_of_this_machine(sleepers):
    """Those that changed between the two reads are left out, and most must not be."""
    root = kernel.Root('/')
    host, meminfo = root.host(), root.meminfo()
    total = badness.machine_totalpages(meminfo, host.page_size)
    before, after = ({p.pid: p for p in kernel.Table(root).read(scores=True)
                      if p.memory is not None and p.pid != 1} for _ in range(2))
    slack = slack_pages(host.kernel_version)
    quiet = [p for pid, p in before.items() if pid in after
             and (p.memory, p.oom_score, p.oom_score_adj) == (
                 after[pid].memory, after[pid].oom_score, after[pid].oom_score_adj)]
    exact = 0
    for process in quiet:
        points = badness.of(process, totalpages=total, page_size=host.page_size)
        low, score, high = (badness.oom_score(
            points if points is None else points + off, totalpages=total,
            kernel_version=host.kernel_version) for off in (-slack, 0, slack))
        assert low <= process.oom_score <= high, (process.label, points, process.oom_score)
        exact += score == process.oom_score
    assert len(quiet) >= max(5, len(set(before) & set(after)) // 2), 'too few compared'
    assert exact >= 0.9 * len(quiet), 'the formula is right only by its slack'


@given(PAGES, PAGES, ADJ, ADJ)
def test_is_monotone_in_oom_score_adj(rss, swap, a, b):
    """A higher value never makes a process less likely to die."""
    low, high = sorted((a, b))
    of = [badness.points(rss, swap, 8192, adj, totalpages=1_000_000, page_size=4096)
          for adj in (low, high)]
    assert of[0] <= of[1]


def test_counts_page_tables_in_pages_and_divides_totalpages_first():
    """oom_badness() divides totalpages by 1000 before it multiplies."""
    assert badness.points(10, 5, 3 * 4096 + 1, 0, totalpages=999, page_size=4096) == 18
    assert badness.points(10, 0, 0, 500, totalpages=1999, page_size=4096) == 510
    assert badness.points(10, 0, 0, -1000, totalpages=1999, page_size=4096) is None


@pytest.mark.parametrize('points, version, expected', [
    (0, (6, 1), 666), (None, (6, 1), 0), (-1500, (6, 1), 0), (500, (6, 1), 1000),
    (-700, (5, 10), 200), (-700, (5, 9), 200), (-700, (5, 8), 1), (500, (5, 4), 500),
    (-700, (5, 4), 1), (0, (5, 4), 1)])
def test_oom_score_rounds_as_c_does(points, version, expected):
    """Since 5.9 an idle task shows 666; before, negatives were clamped to 1."""
    assert badness.oom_score(points, totalpages=1000, kernel_version=version) == expected


@pytest.mark.parametrize('points, version, expected', [
    (9999, (6, 1), 1332), (-1, (6, 1), 666), (-3333, (6, 1), 444), (9999, (5, 4), 999)])
def test_oom_score_truncates_toward_zero_twice(points, version, expected):
    """Of 10007 pages; Python would round the negative ones down."""
    found = badness.oom_score(points, totalpages=10007, kernel_version=version)
    assert found == expected and isinstance(found, int)


def test_a_machine_has_a_page_at_least():
    """A captured /proc/meminfo may say 1 kB; nothing divides by 0."""
    assert badness.machine_totalpages(MemInfo(1024, 0), 4096) == 1


@pytest.mark.parametrize('group, pages', [
    (MemoryCgroup('/a', 1, limit_bytes=400 << 12, memsw_limit_bytes=500 << 12), 500),
    (MemoryCgroup('/a', 1, limit_bytes=400 << 12), 450),
    (MemoryCgroup('/a', 2, limit_bytes=400 << 12), 450),
    (MemoryCgroup('/a', 2, limit_bytes=400 << 12, swap_max_bytes=0), 400),
    (MemoryCgroup('/a', 2, limit_bytes=(400 << 12) + 7, swap_max_bytes=0), 400),
    (MemoryCgroup('/a', 1, limit_bytes=(400 << 12) + 7, swappiness=0), 400),
    (MemoryCgroup('/a', 1, limit_bytes=400 << 12, memsw_limit_bytes=300 << 12), 400),
    (MemoryCgroup('/a', 1, limit_bytes=400 << 12, memsw_limit_bytes=430 << 12), 430),
    (MemoryCgroup('/a', 1, limit_bytes=(401 << 12) - 1, memsw_limit_bytes=1), 400),
    (MemoryCgroup('/a', 2, limit_bytes=1, swap_max_bytes=0), 1),
    (MemoryCgroup('/a', 1, limit_bytes=1, swappiness=0), 1),
    (MemoryCgroup('/a', 2), 1050)])
def test_totalpages_of_a_cgroup_counts_the_swap_it_may_use(group, pages):
    """mem_cgroup_get_max(): with v1's memsw limit, or with memory.swap.max."""
    swap = (100 if group.memsw_limit_bytes else 50) << 12
    meminfo = MemInfo(1000 << 12, 0, swap_total_bytes=swap)
    found = badness.cgroup_totalpages(group, meminfo, 4096)
    assert found == pages and isinstance(found, int)


@pytest.mark.parametrize('version, own, of_the_machine, pages', [
    (2, None, 0, 400), (2, 0, 60, 450), (2, None, None, 450), (1, 60, 0, 450), (1, 0, 60, 400)])
def test_vm_swappiness_counts_in_v2_and_the_groups_own_in_v1(version, own, of_the_machine, pages):
    """mem_cgroup_swappiness(); what is unknown counts as one that swaps."""
    group = MemoryCgroup('/a', version, limit_bytes=400 << 12, swappiness=own)
    meminfo = MemInfo(1000 << 12, 0, swap_total_bytes=50 << 12)
    assert badness.cgroup_totalpages(group, meminfo, 4096, of_the_machine) == pages


def task(pid, rss_pages=100, adj=0, start_time=None, **more):
    """Return a process that holds so many pages."""
    return Process(pid, pid if start_time is None else start_time, 1, 1000, Program('x'),
                   memory=TaskMemory(rss_pages << 12, 0, 0), oom_score_adj=adj, **more)


def ranked(*processes):
    """Return (rank, PID) of the kill order on a machine of a million pages."""
    order = badness.kill_order(processes, totalpages=1_000_000, page_size=4096)
    return [(c.rank, c.process.pid) for c in order]


def test_among_equals_the_younger_dies():
    """select_bad_process() keeps the later task of the list."""
    assert ranked(task(10), task(12), task(11)) == [(1, 12), (2, 11), (3, 10)]
    assert ranked(task(10, start_time=9), task(11, start_time=5)) == [(1, 10), (2, 11)]


def test_the_unkillable_come_last_and_kernel_threads_not_at_all():
    """The machine's PID 1 and -1000 have no rank; a kernel thread holds no memory."""
    assert ranked(replace(task(1, 9000), initial_init=True), task(9, 8000, -1000), task(2, 1),
                  Process(3, 3, 2, 0, Program('kswapd0'), kernel_thread=True)) == [
        (1, 2), (None, 1), (None, 9)]


def test_what_has_no_memory_is_no_candidate():
    """A process that ended meanwhile, and a kernel thread that uses a process's memory."""
    assert ranked(replace(task(5), memory=None), replace(task(6), kernel_thread=True)) == []


def test_a_containers_pid_1_is_killable():
    """Only PID 1 of the initial PID namespace is spared (is_global_init())."""
    assert ranked(task(1, 9000), task(2, 1)) == [(1, 1), (2, 2)]


def test_a_head_start_is_tenths_of_a_percent_of_totalpages():
    """-300 on a million pages outweighs 300 000 of them, and not one more."""
    assert ranked(task(5, 300_000, -300), task(6, 0))[0] == (1, 6)
    assert ranked(task(5, 300_001, -300), task(6, 0))[0] == (1, 5)


@given(st.lists(st.tuples(PAGES, ADJ), max_size=20), st.integers(1, 1 << 26))
def test_the_order_is_the_order_of_badness(held, totalpages):
    """Whatever is held, every process stands in it once, the worst first."""
    table = [task(pid, rss, adj) for pid, (rss, adj) in enumerate(held, 2)]
    order = badness.kill_order(table, totalpages=totalpages, page_size=4096)
    assert [c.rank for c in order] == list(range(1, len(table) + 1))
    assert sorted(c.badness for c in order)[::-1] == [c.badness for c in order]
