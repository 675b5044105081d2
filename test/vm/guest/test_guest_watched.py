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
A privileged sentinel while memory runs out: who dies, all deaths counted, and who is told.

On the whole machine, where the critical node holds more than half of what is free, so that
without a sentinel it is the kernel's choice (test_guest_alone.py); and inside a cgroup v2 limit,
where one process dies, or with memory.oom.group all of them.
"""

import os
import subprocess

from conftest import oom_score_adj
from conftest import wait_for
from machine import available_mib
from machine import cgroup
from machine import dead
from machine import keyed
from machine import MIB
from machine import oom_kills
from machine import ROOT_WITHOUT_CAPABILITIES
from machine import write
from scene import leak_until_someone_dies
from scene import most_of
from scene import start

ADJ = {'bringup': -500, 'lidar': -400, 'amcl': -300}


def values_of(children):
    """Return the oom_score_adj of each critical node."""
    return {name: oom_score_adj(children[name].pid) for name in ADJ}


def test_only_the_leaking_expendable_dies_and_the_sentinel_goes_on(watched, robot, tmp_path):
    """The critical ones live with their exact values, and /diagnostics goes on."""
    children = start(robot, tmp_path, bringup_mib=most_of(available_mib()), leaker='recorder')
    wait_for(lambda: values_of(children) == ADJ, 'the groups have their values')
    wait_for(lambda: oom_score_adj(children['recorder'].pid) == 300, 'the recorder too')
    assert leak_until_someone_dies(children, tmp_path) == ['recorder']
    assert values_of(children) == ADJ
    watched.observer.arrays.clear()
    watched.observer.until(lambda: len(watched.observer.arrays) > 2, 'it goes on publishing')
    assert watched.child.poll() is None and oom_score_adj(watched.child.pid) == -300
    told = watched.tells(children['recorder'], level=1, node='/recorder',
                         why='The whole machine ran out of memory.')
    assert told['source'] == 'kmsg' and '/recorder' in told['what ate the memory']
    assert told['protected'] == 'it is expendable in group expendable (oom_score_adj 300)'


def test_a_leak_in_a_protected_node_takes_only_itself(watched, robot, tmp_path):
    """The mirror: with the sentinel no more die than without it."""
    children = start(robot, tmp_path, bringup_mib=40, leaker='amcl')
    wait_for(lambda: values_of(children) == ADJ, 'the groups have their values')
    assert leak_until_someone_dies(children, tmp_path) == ['amcl']
    assert watched.child.poll() is None
    watched.tells(children['amcl'], level=2, node='/amcl', why='whole machine')


def start_inside(robot, tmp_path, path):
    """Start a critical node, an innocent and a leaking recorder in the control group."""
    inside = {'preexec': lambda: write(f'{path}/cgroup.procs', os.getpid())}
    return {
        'bringup': robot.start('base', 'bringup', node='base', mib=80, **inside),
        'innocent': robot.start('demo', 'innocent', node='innocent', mib=5, **inside),
        'recorder': robot.start('rosbag', 'recorder', node='recorder', leak_mib_s=100.0,
                                go=tmp_path / 'go', **inside)}


def protected(children):
    """Tell whether both groups have their values."""
    return (oom_score_adj(children['bringup'].pid) == -500
            and oom_score_adj(children['recorder'].pid) == 300)


def test_a_limited_group_loses_only_the_leaker(watched, robot, tmp_path):
    """The limit, its version and the kill are in the status, and the counters agree."""
    observer = watched.observer
    before = oom_kills()
    with cgroup('limited', memory__max=160 * MIB, memory__swap__max=0) as path:
        children = start_inside(robot, tmp_path, path)
        wait_for(lambda: protected(children), 'the groups have their values')
        observer.until(lambda: observer.values('Control groups').get('tightest') == '/limited',
                       'the limit is found')
        assert observer.values('Control groups')['version'] == 'v2'
        (tmp_path / 'go').touch()
        wait_for(lambda: dead(children), 'the kernel kills someone')
        assert dead(children) == ['recorder']
        assert keyed(f'{path}/memory.events')['oom_kill'] == oom_kills() - before == 1
        observer.until(lambda: observer.values('Control groups')['oom_kill'] == '1',
                       'the kill is counted')
        watched.tells(children['recorder'], level=1, node='/recorder', why='/limited')


def test_a_group_that_dies_as_one_is_an_error(watched, robot, tmp_path):
    """Scores cannot save a node there: the status says so before, and the kernel does it."""
    observer = watched.observer
    before = oom_kills()
    with cgroup('as_one', memory__max=160 * MIB, memory__swap__max=0,
                memory__oom__group=1) as path:
        children = start_inside(robot, tmp_path, path)
        wait_for(lambda: protected(children), 'the groups have their values')
        observer.until(lambda: 'memory.oom.group=1 on /as_one' in
                       observer.status('Protection').message, 'the status says so')
        assert observer.status('Protection').level == b'\x02'
        (tmp_path / 'go').touch()
        wait_for(lambda: len(dead(children)) == 3, 'all three die')
        events = keyed(f'{path}/memory.events')
        # Linux counts the chosen one twice, unless it is gone before its group's turn comes.
        assert events['oom_kill'] == oom_kills() - before and events['oom_kill'] in (3, 4)
        assert events.get('oom_group_kill', 1) == 1  # counted from Linux 5.17 on
        for name, node, level in (('bringup', '/base', 2), ('innocent', '/innocent', 1),
                                  ('recorder', '/recorder', 1)):
            watched.tells(children[name], level=level, node=node, why='/as_one')
    shown = observer.until(lambda: observer.shown(children['bringup'].pid), 'the worst is shown')
    assert shown.level == b'\x02' and 'group bringup protected it' in shown.message
    before = len(observer.arrays)
    observer.until(lambda: len(observer.arrays) > before + 4, 'a scan or two later')
    assert [len(observer.told(child.pid)) for child in children.values()] == [1, 1, 1]
    observer.until(lambda: observer.status('Protection').level == b'\x00', 'the error ends')


def test_a_privileged_sentinel_keeps_a_floor(watched, robot):
    """It raises an expendable process whose owner may then lower it again by itself."""
    child = robot.start('rosbag', 'recorder',
                        preexec=lambda: write('/proc/self/oom_score_adj', -500))
    wait_for(lambda: oom_score_adj(child.pid) == 300, 'the recorder is raised')
    lower = [*ROOT_WITHOUT_CAPABILITIES, 'sh', '-c',
             f'echo -400 > /proc/{child.pid}/oom_score_adj']
    done = subprocess.run(lower, capture_output=True)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: oom_score_adj(child.pid) == 300, 'the drift is put back')
    watched.observer.until(lambda: '-400 put back to 300' in watched.observer.values(
        'Protection')['drift'], 'and told')
