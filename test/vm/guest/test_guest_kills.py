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

"""A sentinel that missed the kernel's words about a kill."""

import os
import signal

from conftest import wait_for
from machine import cgroup
from machine import MIB
from machine import oom_kills
from machine import write


def test_an_overrun_of_the_kernel_log_is_said_and_the_kill_inferred(watched, robot, tmp_path):
    """Messages that were overwritten unread are counted; the counters tell the kill."""
    ear, before = watched.observer, oom_kills()
    with cgroup('unheard', memory__max=120 * MIB, memory__swap__max=0) as path:
        leaky = robot.start('rosbag', 'recorder', node='leaky', leak_mib_s=500.0,
                            go=tmp_path / 'go',
                            preexec=lambda: write(f'{path}/cgroup.procs', os.getpid()))
        ear.until(lambda: '/leaky' in ear.values('Group expendable').get('nodes', ''), 'known')
        watched.child.send_signal(signal.SIGSTOP)
        try:
            (tmp_path / 'go').touch()
            wait_for(lambda: leaky.poll() is not None, 'the kernel kills it')
            flood()
        finally:
            watched.child.send_signal(signal.SIGCONT)
        (told, values), = ear.until(lambda: ear.told(leaky.pid), 'the counters tell it')
        missed = ear.values('OOM kills')['missed messages']
    assert values['how sure'] == 'inferred' and values['nodes'] == '/leaky'
    assert told.level == b'\x01' and int(missed) > 1000 and oom_kills() == before + 1


def flood():
    """Write more than the kernel's buffer holds."""
    write('/proc/sys/kernel/printk_devkmsg', 'on\n')
    with open('/dev/kmsg', 'wb', buffering=0) as log:
        for number in range(20_000):
            log.write(b'<7>flood %d %s\n' % (number, b'x' * 100))
