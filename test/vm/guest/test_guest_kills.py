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

"""OOM kills that only a machine of one's own allows: all of its memory, and whole groups."""

import os
import pathlib
import signal
import sys

from conftest import oom_score_adj
from conftest import running_sentinel
from conftest import TIMEOUT_S
from conftest import wait_for
import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', '..', 'ros'))
from ear import Ear  # noqa: E402,I100

PARAMETERS = {
    'scan_period': 0.2, 'publish_period': 0.5, 'groups': ['critical', 'expendable'],
    'group.critical.match': ['exe:critical'], 'group.critical.oom_score_adj': -300,
    'group.expendable.match': ['exe:leaky'], 'group.expendable.oom_score_adj': 300,
}


@pytest.fixture
def ear():
    """Return an ear that is closed in the end."""
    made = Ear()
    yield made
    made.close()


@pytest.fixture
def limited():
    """Return a control group of 120 MiB whose members die together."""
    path = pathlib.Path(f'/sys/fs/cgroup/kills_{os.getpid()}')
    path.mkdir()
    (path / 'memory.max').write_text(str(120 << 20))
    (path / 'memory.oom.group').write_text('1')
    yield path
    wait_for(lambda: not (path / 'cgroup.procs').read_text(), 'it is empty')
    path.rmdir()


def test_when_the_whole_machine_is_short_it_says_so(ear, robot, tmp_path):
    """A global OOM kill: name, group, reason and source."""
    go = tmp_path / 'go'
    with running_sentinel(PARAMETERS):
        leaky = robot.start('demo', 'leaky', node='leaky', leak_mib_s=500.0, go=go)
        ear.until(lambda: '/leaky' in ear.values('Group expendable').get('nodes', ''), 'known')
        go.touch()
        wait_for(lambda: leaky.poll() is not None, 'the kernel kills it', 4 * TIMEOUT_S)
        (told, values), = ear.until(lambda: ear.told(leaky.pid), 'the topic names it')
    assert told.level == b'\x01' and values['nodes'] == '/leaky'
    assert values['why'] == 'The whole machine ran out of memory.'
    assert values['source'] == 'kmsg' and '/leaky' in values['what ate the memory']
    assert values['protected'] == 'it is expendable in group expendable (oom_score_adj 300)'


def test_all_victims_of_a_group_kill_are_told_once_each(ear, robot, limited, tmp_path):
    """memory.oom.group=1 takes the protected node along, which is an ERROR."""
    go = tmp_path / 'go'

    def join():
        (limited / 'cgroup.procs').write_text(str(os.getpid()))
    with running_sentinel(PARAMETERS):
        critical = robot.start('base', 'critical', node='critical', mib=5, preexec=join)
        leaky = robot.start('demo', 'leaky', node='leaky', leak_mib_s=500.0, go=go,
                            preexec=join)
        wait_for(lambda: oom_score_adj(critical.pid) == -300, 'it is protected')
        ear.until(lambda: '/critical' in ear.values('Group critical').get('nodes', '')
                  and '/leaky' in ear.values('Group expendable').get('nodes', ''), 'known')
        go.touch()
        for child in (leaky, critical):
            wait_for(lambda child=child: child.poll() is not None, 'both die')
            ear.until(lambda child=child: ear.told(child.pid), 'each is told')
        status = ear.until(lambda: ear.shown(critical.pid), 'the worst is shown')
        before = len(ear.arrays)
        ear.until(lambda: len(ear.arrays) > before + 6, 'some seconds more')
    assert status.level == b'\x02' and 'group critical protected it' in status.message
    assert [len(ear.told(child.pid)) for child in (leaky, critical)] == [1, 1]
    assert limited.name in ear.told(critical.pid)[0][1]['why']


def test_an_overrun_of_the_kernel_log_is_said_and_the_kill_inferred(
        ear, robot, limited, tmp_path):
    """Messages that were overwritten unread are counted; the counters tell the kill."""
    go = tmp_path / 'go'

    def join():
        (limited / 'cgroup.procs').write_text(str(os.getpid()))
    with running_sentinel(PARAMETERS) as sentinel:
        leaky = robot.start('demo', 'leaky', node='leaky', leak_mib_s=500.0, go=go,
                            preexec=join)
        ear.until(lambda: '/leaky' in ear.values('Group expendable').get('nodes', ''), 'known')
        sentinel.send_signal(signal.SIGSTOP)
        go.touch()
        wait_for(lambda: leaky.poll() is not None, 'the kernel kills it', 2 * TIMEOUT_S)
        flood()
        sentinel.send_signal(signal.SIGCONT)
        (told, values), = ear.until(lambda: ear.told(leaky.pid), 'the counters tell it')
        missed = ear.values('OOM kills')['missed messages']
    assert values['how sure'] == 'inferred' and values['nodes'] == '/leaky'
    assert int(missed) > 1000


def flood():
    """Write more than the kernel's buffer holds."""
    pathlib.Path('/proc/sys/kernel/printk_devkmsg').write_text('on\n')
    with open('/dev/kmsg', 'wb', buffering=0) as log:
        for number in range(20_000):
            log.write(b'<7>flood %d %s\n' % (number, b'x' * 100))
