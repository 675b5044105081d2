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

"""systemd drop-ins and the compose example: what belongs together stands together."""

import os
import pathlib
import shutil
import subprocess

from oom_sentinel import settings
import pytest
import yaml

CONFIG = pathlib.Path(__file__).parents[3] / 'config'
UNITS = sorted((CONFIG / 'systemd').iterdir())
FLOORS = [CONFIG / 'systemd' / name for name in ('floor.conf', 'floor_user.conf')]
RETURN = 'choom -n 0 -- '
# What robot_upstart writes for TurtleBot 4, with a start script that exists everywhere.
BASE = """[Unit]
Description="bringup turtlebot4"
After=network-online.target
[Service]
Type=simple
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
"""


def directives(path):
    """Return key -> values of a unit file, comments left out, continued lines joined."""
    found = {}
    text = path.read_text(encoding='utf-8').replace('\\\n', ' ')
    for line in text.splitlines():
        key, equals, value = line.partition('=')
        if equals and not line.startswith('#'):
            found.setdefault(key, []).append(value)
    return found


def comments(path):
    """Return what the file says in its comments, as one text."""
    lines = path.read_text(encoding='utf-8').splitlines()
    return ' '.join(line.lstrip('# ') for line in lines if line.startswith('#'))


def lowest_wanted():
    """Return the lowest value that a group asks for as shipped."""
    return min(group.oom_score_adj for group in settings.build({}).protection_groups)


@pytest.mark.parametrize('path', [*UNITS, CONFIG / 'docker' / 'compose.yaml'],
                         ids=lambda p: p.name)
def test_each_file_says_what_it_grants_and_what_it_exposes(path):
    """Nobody copies a privilege without having read its price."""
    said = comments(path).lower()
    assert 'grant' in said and 'expose' in said and len(said) > 400


@pytest.mark.parametrize('path', FLOORS, ids=lambda p: p.name)
def test_a_floor_comes_with_the_way_back_and_the_policy(path):
    """Any of the three alone makes it worse: the leaker inherits, or one death ends the unit."""
    found = directives(path)
    assert [int(value) for value in found['OOMScoreAdjust']] == [lowest_wanted()]
    assert found['OOMPolicy'] == ['continue']
    if 'ExecStart' in found:
        assert found['ExecStart'][0] == '' and RETURN in found['ExecStart'][1]
        assert found['User'] != ['root'], 'choom as root would move the floor'
    else:
        assert 'setpriv --reuid ubuntu ' + RETURN + 'ros2 launch' in comments(path)
    assert 'AmbientCapabilities' not in found


@pytest.mark.parametrize('path', [p for p in UNITS if 'AmbientCapabilities' in directives(p)],
                         ids=lambda p: p.name)
def test_a_capability_goes_to_a_user_and_to_no_one_with_a_floor(path):
    """Ambient capabilities need User=; with the capability each raise would move the floor."""
    found = directives(path)
    assert found['AmbientCapabilities'] == ['CAP_SYS_RESOURCE']
    assert found['User'] and found['User'] != ['root'] and found['OOMPolicy'] == ['continue']
    own = settings.build({}).protection_self_oom_score_adj
    assert found.get('OOMScoreAdjust', [str(own)]) == [str(own)]


def test_the_discovery_server_starts_nothing_that_could_inherit():
    """The one negative value without a way back; its unit ends and restarts as a whole."""
    found = directives(CONFIG / 'systemd' / 'discovery.conf')
    assert found == {'OOMScoreAdjust': [str(lowest_wanted())]}


@pytest.mark.parametrize('path', UNITS, ids=lambda p: p.name)
def test_nothing_runs_sudo(path):
    """Whoever installs it decides, and is told the command."""
    assert 'sudo' not in path.read_text(encoding='utf-8')


def verified(folder, unit):
    """Return what systemd says of a unit with its drop-ins."""
    done = subprocess.run(
        ['systemd-analyze', 'verify', '--man=no', str(folder / unit)], capture_output=True,
        text=True, timeout=60, env={**os.environ, 'SYSTEMD_UNIT_PATH': f'{folder}:'})
    return done.returncode, done.stdout + done.stderr


@pytest.mark.skipif(shutil.which('systemd-analyze') is None, reason='needs systemd-analyze')
@pytest.mark.skipif(shutil.which('choom') is None, reason='needs choom, of util-linux')
@pytest.mark.parametrize('path', UNITS, ids=lambda p: p.name)
def test_systemd_knows_every_line(path, tmp_path):
    """A misspelt key is only a warning at boot, and then the floor or the policy is missing."""
    if path.suffix == '.service':
        unit = shutil.copy(path, tmp_path / path.name)
    else:
        unit = tmp_path / 'turtlebot4.service'
        unit.write_text(BASE, encoding='utf-8')
        (tmp_path / 'turtlebot4.service.d').mkdir()
        shutil.copy(path, tmp_path / 'turtlebot4.service.d' / 'oom_sentinel.conf')
    assert verified(tmp_path, unit.name) == (0, '')
    with open(unit, 'a', encoding='utf-8') as stream:
        stream.write('[Service]\nOOMPolcy=continue\n')
    assert 'OOMPolcy' in verified(tmp_path, unit.name)[1]


def test_the_compose_example_holds_what_belongs_together():
    """Floor with the way back, a limit without hidden swap, a user, an init."""
    document = yaml.safe_load((CONFIG / 'docker' / 'compose.yaml').read_text(encoding='utf-8'))
    robot = document['services']['robot']
    assert robot['oom_score_adj'] == lowest_wanted()
    assert robot['command'].startswith(RETURN + 'ros2 launch oom_sentinel oom_sentinel.launch.py')
    assert robot['mem_limit'] == robot['memswap_limit']
    assert not robot['user'].startswith('0') and robot['init'] is True
    assert not {'privileged', 'cap_add', 'pid', 'oom_kill_disable'} & set(robot)
