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
Real OOM kills, read from the real /dev/kmsg: the prediction is the kernel's own choice.

Other kills may happen on this machine meanwhile, so a test looks for its own victim's PID.
"""

import json
import os
import random
import subprocess
import sys

from conftest import wait_for
from limited import limited_cgroup  # noqa: F401
from limited import whole_reports  # noqa: F401
from oom_sentinel.cli import main
import pytest

ROUNDS = int(os.environ.get('OOM_SENTINEL_STORMS', '3'))
NAME = b'm\xc3\xa4h) [1] "x" '  # 15 bytes, of which printk escapes two
# argv: MiB to hold, MiB a step to grow by, name in hexadecimal, oom_score_adj.
HOLDER = """
import sys, time
hold, step, name, adj = int(sys.argv[1]), int(sys.argv[2]), bytes.fromhex(sys.argv[3]), sys.argv[4]
open('/proc/self/comm', 'wb', buffering=0).write(name)
open('/proc/self/oom_score_adj', 'w').write(adj)
held = [b'x' * (hold << 20)]
print('ready', flush=True)
sys.stdin.readline()
while step:
    held.append(b'x' * (step << 20))
time.sleep(600)
"""


def holder(cgroup, mib, step, name, adj):
    """Start a process that holds memory in the control group, and wait until it does."""
    process = subprocess.Popen(
        [sys.executable, '-S', '-E', '-c', HOLDER, str(mib), str(step), name.hex(), str(adj)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=cgroup.join,
        env={'_ROS_WHEELS_BOOTSTRAP_COMPLETE': '1'})
    assert process.stdout.readline() == b'ready\n'
    return process


def told(capsys, pid):
    """Return what `oom_sentinel kills` says of this PID, None while it says nothing."""
    main(['kills', '--json', '--since', '1h'])
    found = [k for k in json.loads(capsys.readouterr().out)['kills'] if k['victim_pid'] == pid]
    return found[-1] if found else None


@pytest.mark.usefixtures('whole_reports')
@pytest.mark.parametrize('number', range(ROUNDS))
def test_the_predicted_victim_is_the_one_that_died(number, cgroup, capsys):
    """Random sizes and values; whoever dies, the table names it, with every fact."""
    chance = random.Random(number)
    processes = [holder(cgroup, chance.randint(1, 40), 0, NAME, chance.choice((0, 0, 100, 300)))
                 for _ in range(3)]
    processes.append(holder(cgroup, 1, 2, b'leak er', chance.choice((0, 0, 50))))
    try:
        processes[-1].stdin.write(b'\n')
        processes[-1].stdin.flush()
        dead = wait_for(lambda: [p for p in processes if p.poll() is not None], 'a kill')[0]
        kill = wait_for(lambda: told(capsys, dead.pid), 'the report of it')
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    names = {NAME.decode(), 'leak er'}
    assert kill['predicted_victim_pid'] == dead.pid and kill['disagreement'] is None
    assert kill['victim_comm'] in names and kill['victim_uid'] == 0
    assert kill['oom_memcg'].endswith(os.path.basename(cgroup.path))
    assert kill['page_size'] == os.sysconf('SC_PAGE_SIZE')
    assert kill['totalpages'] == (300 << 20) // kill['page_size']
    assert {p.pid for p in processes} >= {task['pid'] for task in kill['tasks']} >= {dead.pid}
    assert {task['name'] for task in kill['tasks']} <= names
    assert kill['source'] == 'kmsg' and kill['certainty'] == 'the kernel said so'
