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

import pathlib

from oom_sentinel.kernel_log import Parser
from oom_sentinel.kernel_log import Stream
import pytest

LOGS = pathlib.Path(__file__).parents[1] / 'fixtures' / 'oom_logs'
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
