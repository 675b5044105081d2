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

"""The processes of one launch, real ones: protected as they start, shells and all."""

import os
import pathlib
import subprocess
import sys

from conftest import lowering_permitted
from conftest import oom_score_adj
from conftest import wait_for
from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.actions.launched import Children
from oom_sentinel.actions.launched import label
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import saved
import pytest

SLEEPER = {'groups': ['late'], 'group.late.match': ['exe:sleep'],
           'group.late.oom_score_adj': 300}


@pytest.fixture
def launch():
    """Return a maker of children over settings; what it started is ended."""
    class Launch:
        def __init__(self):
            self.processes, self.made = [], None

        def over(self, values):
            self.made = Children(settings.build(values), ros_domain_id=int(
                os.environ['ROS_DOMAIN_ID']))
            return self.made

        def start(self, *words, **more):
            child = subprocess.Popen(words, **more)
            self.processes.append(child)
            return child

    made = Launch()
    yield made
    for pid in list(made.made.known if made.made else ()):
        if pid not in [p.pid for p in made.processes] and os.path.exists(f'/proc/{pid}'):
            os.kill(pid, 9)
    for child in made.processes:
        child.kill()
        child.wait()
    if made.made:
        made.made.close()


def recorded():
    """Return what the record says now, by PID."""
    root = kernel.Root('/')
    records = launch_record.LaunchRecords(saved.StateDirectory().path, root.host().boot_id, root)
    return {i.pid: e for i, e in records.read().items()}


def test_a_matching_process_has_its_value_when_started_returns(launch):
    """And the record holds the original, for the sentinel."""
    children = launch.over(SLEEPER)
    child = launch.start('sleep', '60')
    assert children.started(child.pid, ['sleep', '60']).oom_score_adj == 300
    assert oom_score_adj(child.pid) == 300
    assert children.flush() is None
    assert (recorded()[child.pid].original, recorded()[child.pid].written) == (0, 300)
    children.close()
    assert recorded() == {}


def test_what_it_will_run_counts_not_the_wrapper_it_still_is(launch):
    """The shebang's env, or oom_exec before its exec."""
    children = launch.over({**SLEEPER, 'group.late.match': ['exe:cam_node']})
    child = launch.start('env', 'sleep', '60')
    command = ['/ws/install/lib/cam/cam_node', '--ros-args', '-r', '__node:=cam']
    found = children.started(child.pid, command)
    assert oom_score_adj(child.pid) == 300
    assert label(found) == 'cam_node (cam)'


def test_the_child_of_a_shell_is_protected_and_the_shell_is_not(launch):
    """With shell=True the PID is the shell's."""
    children = launch.over(SLEEPER)
    shell = launch.start('sh', '-c', 'sleep 60; true')
    inner = wait_for(lambda: children.table.descendants(shell.pid), 'the shell has a child')[0]
    wait_for(lambda: pathlib.Path(f'/proc/{inner}/comm').read_text() == 'sleep\n',
             'the child has become the program')
    children.started(shell.pid, ['sleep', '60'], wraps=True)
    assert oom_score_adj(inner) == 300
    children.look_again(shell.pid)
    assert (oom_score_adj(shell.pid), oom_score_adj(inner)) == (0, 300)


def test_denied_the_others_of_the_launch_are_raised_at_once(launch):
    """The same pure rules as the sentinel's."""
    if lowering_permitted():
        pytest.skip('this machine lets us lower: nothing is denied')
    children = launch.over({
        'groups': ['low', 'late'], 'group.low.match': ['exe:cat'],
        'group.low.oom_score_adj': -300, 'group.late.match': ['exe:sleep'],
        'group.late.oom_score_adj': 10})
    first = launch.start('sleep', '60')
    children.started(first.pid)
    assert oom_score_adj(first.pid) == 10
    driver = launch.start('cat', stdin=subprocess.PIPE)
    children.started(driver.pid)
    assert oom_score_adj(driver.pid) == 0
    assert oom_score_adj(first.pid) >= 50 + 30  # 5 % of totalpages, and it is expendable
    assert children.denied


def test_what_the_sentinel_has_taken_over_is_left_to_it(launch):
    """A launch knows less than the sentinel: it never writes against it."""
    children = launch.over(SLEEPER)
    child = launch.start('sleep', '60')
    children.started(child.pid)
    with open(f'/proc/{child.pid}/oom_score_adj', 'w', encoding='ascii') as stream:
        stream.write('777')
    children.look_again(child.pid)
    assert oom_score_adj(child.pid) == 777


def test_a_process_that_is_gone_already_is_no_error(launch):
    """It died before the handler ran."""
    children = launch.over(SLEEPER)
    child = launch.start('true')
    child.wait()
    assert children.started(child.pid, ['sleep', '60']) is None
    assert children.ended(child.pid, 0, 'true') is None
    children.look_again(child.pid)


def test_a_kill_by_somebody_is_not_the_kernels(launch):
    """Signal 9 while the counters stand still."""
    children = launch.over(SLEEPER)
    child = launch.start('sleep', '60')
    children.started(child.pid)
    child.kill()
    child.wait()
    verdict = children.ended(child.pid, -9, 'sleep-1')
    assert verdict.text.startswith('sleep was killed, not by') or verdict.by_oom is not True


def test_an_unmatched_child_does_not_keep_what_a_protected_launch_gave_it(launch):
    """The launch is raised here, for lowering may be denied: the same rule, mirrored."""
    script = (
        'import os, subprocess, sys\n'
        'from oom_sentinel import settings\n'
        'from oom_sentinel.actions.launched import Children\n'
        "open('/proc/self/oom_score_adj', 'w').write('500')\n"
        'children = Children(settings.build({"groups": []}))\n'
        "open('/proc/self/oom_score_adj', 'w').write('100')\n"
        "child = subprocess.Popen(['sleep', '60'])\n"
        'children.started(child.pid)\n'
        "print(open(f'/proc/{child.pid}/oom_score_adj').read())\n"
        'child.kill(); child.wait()\n')
    done = subprocess.run([sys.executable, '-c', script], capture_output=True, text=True,
                          timeout=30)
    assert done.stdout.strip() == '500', done.stderr
