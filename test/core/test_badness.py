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

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import badness
from oom_sentinel import procfs
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MemInfo
import pytest

PAGES = st.integers(0, 1 << 24)
ADJ = st.integers(-999, 1000)


def read_score(pid):
    """Return /proc/PID/oom_score, None when the process is gone."""
    try:
        with open(f'/proc/{pid}/oom_score', encoding='ascii') as stream:
            return int(stream.read())
    except OSError:
        return None


def test_predicts_the_oom_score_of_every_process_of_this_machine():
    """Those that changed between the two reads are left out, and most must not be."""
    root = procfs.Root('/')
    host, meminfo = root.host(), root.meminfo()
    total = badness.machine_totalpages(meminfo, host.page_size)
    before = {p.pid: p for p in procfs.Table(root).read(float('inf'), scores=True)}
    after = {p.pid: p for p in procfs.Table(root).read(float('inf'), scores=True)}
    # Since 6.2 the kernel counts rss per CPU and lazily: what it sums up for oom_score may
    # lag behind status by a batch per CPU and counter.
    slack_pages = 3 * 64 * 64
    compared = 0
    for pid, process in before.items():
        again = after.get(pid)
        if process.kernel_thread or again is None or again.memory != process.memory \
                or again.oom_score != process.oom_score or process.pid == 1 \
                or process.memory is None or again.oom_score_adj != process.oom_score_adj:
            continue
        points = badness.of(process, totalpages=total, page_size=host.page_size)
        near = {badness.oom_score(p, totalpages=total, kernel_version=host.kernel_version)
                for p in ((points,) if points is None
                          else (points - slack_pages, points, points + slack_pages))}
        exact = badness.oom_score(points, totalpages=total,
                                  kernel_version=host.kernel_version)
        assert process.oom_score in near, (process.label, points)
        if len(near) == 1:
            assert process.oom_score == exact
        compared += 1
    assert compared >= 3


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
    (-700, (5, 10), 200), (500, (5, 4), 500), (-700, (5, 4), 1)])
def test_oom_score_rounds_as_c_does(points, version, expected):
    """Since 5.9 an idle task shows 666; before, negatives were clamped to 1."""
    assert badness.oom_score(points, totalpages=1000, kernel_version=version) == expected


@pytest.mark.parametrize('group, pages', [
    (MemoryCgroup('/a', 1, limit_bytes=400 << 12, memsw_limit_bytes=500 << 12), 500),
    (MemoryCgroup('/a', 1, limit_bytes=400 << 12), 450),
    (MemoryCgroup('/a', 2, limit_bytes=400 << 12), 450),
    (MemoryCgroup('/a', 2, limit_bytes=400 << 12, swap_max_bytes=0), 400),
    (MemoryCgroup('/a', 2), 1050)])
def test_totalpages_of_a_cgroup_counts_the_swap_it_may_use(group, pages):
    """mem_cgroup_get_max(): with v1's memsw limit, or with memory.swap.max."""
    swap = (100 if group.memsw_limit_bytes else 50) << 12
    meminfo = MemInfo(1000 << 12, 0, swap_total_bytes=swap)
    assert badness.cgroup_totalpages(group, meminfo, 4096) == pages
