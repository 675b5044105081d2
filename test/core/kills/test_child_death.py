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

"""What a launch reads when a child has died."""

import subprocess
import sys

from oom_sentinel import kernel
from oom_sentinel.kills import child_death
import pytest

KILLED = (b'3,%d,5000000,-;Out of memory: Killed process %d (node) total-vm:9kB, anon-rss:4kB, '
          b'file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:8kB oom_score_adj:0')


class Kmsg:
    """A kernel log that the test writes."""

    descriptor = None

    def __init__(self):
        """Start empty."""
        self.lines = []

    def rest(self):
        """Yield the new lines."""
        while self.lines:
            yield self.lines.pop(0)

    def close(self):
        """Do nothing."""


@pytest.fixture
def deaths(monkeypatch):
    """Return what reads deaths, with a clock and a log of the test's own."""
    kmsg = Kmsg()
    monkeypatch.setattr(child_death.log, 'Kmsg', lambda: kmsg)
    monkeypatch.setattr(child_death.ChildDeaths, '_open', lambda self: kmsg)
    now = [100.0]
    made = child_death.ChildDeaths(kernel.Table(kernel.Root('/')), lambda: now[0])
    made.kmsg, made.now = kmsg, now
    return made


def test_a_victim_in_the_log_is_known_and_its_pid_is_forgotten(deaths):
    """A later process that is given the same PID was not killed by the kernel."""
    deaths.count([])
    deaths.kmsg.lines.append(KILLED % (1, 4711))
    assert deaths.explain(4711, -9, 'node', None).by_oom is True
    assert deaths.explain(4711, -9, 'node', None).by_oom is not True
    deaths.kmsg.lines.append(KILLED % (2, 4712))
    deaths.count([])
    deaths.now[0] += child_death.VICTIM_S + 1
    assert deaths.explain(4712, -9, 'node', None).by_oom is not True


def test_an_abort_is_told_with_this_machines_memory(deaths):
    """The numbers are read at that moment."""
    child = subprocess.run([sys.executable, '-c', 'import os; os.abort()'])
    said = deaths.explain(1, child.returncode, 'amcl', None).text
    assert said.startswith('amcl aborted') and 'MemAvailable unknown' not in said


def test_other_ends_are_no_news(deaths, monkeypatch):
    """Nor is a SIGTERM where no program sends it for want of memory."""
    monkeypatch.setattr(child_death.host, 'running_killers', lambda: ())
    for code in (0, 1, -2, -15):
        assert deaths.explain(1, code, 'amcl', None) is None
    monkeypatch.setattr(child_death.host, 'running_killers', lambda: ('earlyoom',))
    assert 'earlyoom' in deaths.explain(1, -15, 'amcl', None).text


def test_a_running_killer_is_found_by_its_name_and_as_a_script(tmp_path):
    """Whatever starts it."""
    script = tmp_path / 'nohang'
    script.write_text('import time\nprint(1, flush=True)\ntime.sleep(60)\n')
    child = subprocess.Popen([sys.executable, '-IS', str(script)], stdout=subprocess.PIPE)
    try:
        child.stdout.readline()
        assert 'nohang' in child_death.host.running_killers()
    finally:
        child.kill()
        child.wait()
