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

"""earlyoom, nohang and systemd-oomd beside the sentinel: named, and whom they end in a storm."""

import json
import os
import subprocess

from conftest import oom_score_adj
from conftest import program
from conftest import wait_for
from machine import available_mib
from machine import dead
from machine import MIB
from machine import oom_kills
from machine import write
import pytest
from scene import most_of
from scene import start
from service import quoted
from service import shown
from service import systemctl
from service import units
from service import write_unit

NAMED = {'earlyoom.service': 'earlyoom', 'nohang.service': 'nohang',
         'systemd-oomd.service': 'systemd-oomd'}


def doctor():
    """Return the doctor's findings by id."""
    done = subprocess.run([program('oom_sentinel'), 'doctor', '--json'], text=True,
                          capture_output=True)
    return {f['id']: f for f in json.loads(done.stdout)['findings']}


def cure(remedy):
    """Run a remedy as a shell would."""
    done = subprocess.run(['sh', '-ec', 'sudo() { "$@"; }\n' + remedy], capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def neighbour(request):
    """Run one of them as its own package's unit, and end it."""
    systemctl('start', request.param)
    wait_for(lambda: shown(request.param, 'ActiveState') == 'active', 'it runs')
    yield request.param
    systemctl('stop', request.param)


@pytest.mark.parametrize('neighbour', ['earlyoom.service', 'nohang.service'], indirect=True)
def test_it_is_named_and_ends_the_expendable_before_the_kernel_kills(
        neighbour, watched, robot, tmp_path):
    """Both follow oom_score_adj: with the sentinel's values the leaking recorder is ended."""
    name = NAMED[neighbour]
    watched.observer.until(lambda: name in watched.observer.values('Protection').get(
        'neighbours', ''), 'the status names it')
    children = start(robot, tmp_path, bringup_mib=most_of(available_mib()), leaker='recorder')
    wait_for(lambda: oom_score_adj(children['recorder'].pid) == 300, 'the recorder is raised')
    wait_for(lambda: oom_score_adj(children['bringup'].pid) == -500, 'bringup is lowered')
    before = oom_kills()
    (tmp_path / 'go').touch()
    wait_for(lambda: dead(children), 'somebody is ended')
    wait_for(lambda: available_mib() > 80, 'the memory is free again')
    print(subprocess.run(['journalctl', '--no-pager', '-u', neighbour], capture_output=True,
                         text=True).stdout)
    assert dead(children) == ['recorder'] and oom_kills() == before
    watched.observer.until(
        lambda: [s for s in watched.observer.kills if f'ended by {name}' in s.message],
        'the sentinel tells it')
    cure(doctor()[name]['remedy'])
    wait_for(lambda: shown(neighbour, 'ActiveState') == 'active', 'it runs with the new rule')
    rules = subprocess.run(['cat', '/etc/default/earlyoom', '/etc/nohang/nohang.conf'],
                           capture_output=True, text=True).stdout
    assert {'earlyoom': '--avoid ^(component_conta', 'nohang': '@BADNESS_ADJ_RE_CMDLINE  -300'}[
        name] in rules


def test_systemd_oomd_is_named_and_kills_the_whole_group(robot, tmp_path):
    """
    It ignores scores: bringup at -500 dies with the leaking recorder of its service.

    Pressure alone is not enough for it: the kernel must also reclaim in the group (pgscan), and
    without swap it looks at file pages only.  So the service reads a bag that it wrote itself:
    what Python's files are charged to depends on who read them first.
    """
    bringup = robot.command('base', 'bringup', node='base', mib=40)
    go = tmp_path / 'go'
    recorder = robot.command('rosbag', 'recorder', node='recorder', leak_mib_s=50.0, go=go)
    script = tmp_path / 'start'
    script.write_text(f'#!/bin/sh\n{quoted(*bringup)} &\necho -500 > /proc/$!/oom_score_adj\n'
                      f'{quoted(*recorder)} &\nhead -c {20 * MIB} /dev/zero > {tmp_path}/bag\n'
                      f'while cat {tmp_path}/bag > /dev/null; do sleep 0.2; done\n')
    script.chmod(0o755)
    write_unit('robot.service', f'ExecStart={script}', f'MemoryHigh={100 * MIB}',
               'MemorySwapMax=0', 'ManagedOOMMemoryPressure=kill',
               'ManagedOOMMemoryPressureLimit=5%')
    os.makedirs('/etc/systemd/oomd.conf.d', exist_ok=True)
    write('/etc/systemd/oomd.conf.d/50.conf', '[OOM]\nDefaultMemoryPressureDurationSec=2s\n')
    before = oom_kills()
    with units('robot.service'):
        systemctl('start', 'systemd-oomd.service')
        systemctl('start', 'robot.service')
        try:
            found = doctor()['systemd_oomd']
            assert 'whole control groups' in found['evidence']
            go.touch()
            try:
                wait_for(lambda: shown('robot.service', 'ActiveState') != 'active', 'it is killed')
            finally:
                print(subprocess.run(['oomctl'], capture_output=True, text=True).stdout)
            assert shown('robot.service', 'Result') == 'oom-kill'
            assert oom_kills() == before
            said = subprocess.run(
                ['journalctl', '--no-pager', '-u', 'systemd-oomd'], capture_output=True,
                text=True).stdout
            print(said)
            done = subprocess.run([program('oom_sentinel'), 'kills', '--json'],
                                  capture_output=True, text=True)
            killed = [k for k in json.loads(done.stdout)['kills']
                      if k.get('killer') == 'systemd-oomd']
            assert killed and '/robot.service' in str(killed[-1]['cgroup']), done.stdout
            cure(found['remedy'])
            assert shown('systemd-oomd.service', 'ActiveState') == 'inactive'
        finally:
            systemctl('stop', 'systemd-oomd.service', 'systemd-oomd.socket', check=False)
