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

"""The doctor reads a unit's files as systemd does: `systemctl show` is the oracle."""

import json
import os
import subprocess

from conftest import program
from conftest import wait_for
from machine import LONG
import pytest
from service import drop_in
from service import ETC
from service import quoted
from service import shown
from service import systemctl
from service import units
from service import write_unit

USER = ('setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', 'env',
        'XDG_RUNTIME_DIR=/run/user/1000', 'HOME=/home/robot')
CONTINUE = '[Service]\nOOMPolicy=continue\n'


def policies_found(names):
    """Return unit -> OOMPolicy as the doctor tells it; who continues is no finding."""
    done = subprocess.run([program('oom_sentinel'), 'doctor', '--json'], text=True,
                          capture_output=True)
    said = [(f['id'], f['evidence'].split()[0]) for f in json.loads(done.stdout)['findings']]
    found = {unit: kind.removeprefix('oom_policy_') for kind, unit in said
             if kind.startswith('oom_policy_')}
    return {name: found.get(name, 'continue') for name in names}


def policies(names, *manager):
    """Return unit -> OOMPolicy as systemd itself has it."""
    done = subprocess.run([*manager, 'systemctl', *(['--user'] if manager else []), 'show', '-p',
                           'OOMPolicy', '--value', *names],
                          check=True, capture_output=True, text=True)
    return dict(zip(names, done.stdout.split(), strict=True))


def test_every_place_of_a_setting_is_read_as_systemd_reads_it(robot):
    """Units, instances, transient ones, drop-ins of each kind, and the manager's own default."""
    node = quoted(*robot.command('demo', 'talker', node='talker'))
    names = ('robot-plain.service', 'robot-own.service', 'kept.service', 'arm@1.service',
             'delegated.service', 'last.service')
    run = f'ExecStart={node}'
    for name in names[:3]:
        write_unit(name, run)
    write_unit('arm@.service', run)
    write_unit('delegated.service', run, 'Delegate=yes')
    write_unit('last.service', run, 'OOMPolicy=kill')
    drop_in('robot-own.service', CONTINUE)
    drop_in('arm@.service', CONTINUE)
    drop_in('kept.service', CONTINUE, folder=ETC.with_name('system.control'))
    drop_in('last.service', '[Service]\nOOMPolicy=\nOOMPolicy=stop\n')
    transient = ('passing.service', 'passing-on.service')
    everybody = (*names, *transient)
    written = []
    with units(*names):
        try:
            for name, more in zip(transient, ([], ['-p', 'OOMPolicy=continue']), strict=True):
                subprocess.run(['systemd-run', '-q', f'--unit={name}', *more, 'sh', '-c', node],
                               check=True)
            systemctl('start', *names)
            right = policies(everybody)
            assert set(right.values()) == {'stop', 'continue'}
            assert policies_found(everybody) == right
            written.append(drop_in('robot-.service', '[Service]\nOOMPolicy=kill\n', '10.conf'))
            systemctl('daemon-reload')
            right = policies(everybody)
            assert right['robot-plain.service'] == 'kill'
            assert policies_found(everybody) == right
            written.append(drop_in('service', CONTINUE, '05-all.conf'))
            systemctl('daemon-reload')
            right = policies(everybody)
            assert right['robot-plain.service'] == 'kill'
            assert policies_found(everybody) == right
            written.pop().unlink()
            os.makedirs('/etc/systemd/system.conf.d', exist_ok=True)
            default = ETC.parent / 'system.conf.d' / '50-oom.conf'
            default.write_text('[Manager]\nDefaultOOMPolicy=continue\n')
            written.append(default)
            systemctl('daemon-reexec')
            right = policies(everybody)
            assert policies_found(everybody) == right
        finally:
            systemctl('stop', *transient, check=False)
            for path in written:
                path.unlink()
            systemctl('daemon-reexec')


@LONG
@pytest.mark.usefixtures('home')  # the user may read what is below tmp_path
def test_a_unit_of_a_users_own_manager_is_read_where_that_reads_it(robot):
    """~/.config/systemd/user and user.conf.d, by user@1000.service."""
    os.makedirs('/home/robot/.config/systemd/user', exist_ok=True)
    subprocess.run(['chown', '-R', '1000:1000', '/home/robot'], check=True)
    systemctl('start', 'user@1000.service')
    node = quoted(*robot.command('demo', 'talker', node='talker'))
    folder = ETC.parents[2] / 'home/robot/.config/systemd/user'
    names = ('mine.service', 'calm.service')
    for name in names:
        write_unit(name, f'ExecStart={node}', folder=folder)
    drop_in('calm.service', CONTINUE, folder=folder)
    try:
        for words in (['daemon-reload'], ['start', *names]):
            subprocess.run([*USER, 'systemctl', '--user', *words], check=True)
        right = policies(names, *USER)
        assert right['calm.service'] == 'continue' and right['mine.service'] == 'stop'
        assert policies_found(names) == right
    finally:
        systemctl('stop', 'user@1000.service')
        wait_for(lambda: shown('user@1000.service', 'ActiveState') == 'inactive', 'it ends')
