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

"""Hold the house: which room may import which, and that the pure ones stay pure."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / 'oom_sentinel'

# room -> rooms it may import.  A new room gets its line here, with arrows that point down.
ALLOWED = {
    'facts': set(),
    'badness': {'facts'},
    'selector': {'facts'},
    'settings': {'selector'},
    'parse': {'facts'},
    'kernel_log': {'facts', 'badness'},
    'plan': {'facts', 'selector', 'settings'},
    'outsider': {'facts'},
    'risk': {'facts', 'badness', 'settings'},
    'report': {'facts', 'badness', 'settings', 'risk'},
    'procfs': {'facts', 'parse'},
    'doctor': {'facts'},
    'checkup': {'facts', 'procfs'},
    'graph': {'facts'},
    'watch': {'facts', 'procfs'},
    'sources': set(),
    'kills': {'facts', 'badness'},
    'incident': {'facts', 'badness', 'report'},
    'inquest': {'facts', 'badness', 'incident', 'kernel_log', 'kills', 'procfs', 'sources'},
    'ledger': {'facts', 'plan'},
    'guard': {'facts', 'ledger', 'outsider', 'parse', 'plan', 'procfs', 'settings'},
    'death': set(),
    'prefix': {'facts', 'selector'},
    'spawns': set(),
    'deaths': {'facts', 'death', 'kernel_log', 'procfs', 'sources'},
    'children': {'facts', 'death', 'deaths', 'guard', 'parse', 'plan', 'prefix', 'procfs',
                 'selector', 'settings'},
    'sentinel': {'facts', 'guard', 'inquest', 'plan', 'procfs', 'report', 'risk', 'selector',
                 'settings'},
    'params': {'settings'},
    'cli': {'facts', 'badness', 'checkup', 'doctor', 'incident', 'kernel_log', 'params', 'plan',
            'procfs', 'report', 'selector', 'sentinel', 'settings'},
    'actions': {'children', 'params', 'prefix', 'procfs', 'selector', 'settings', 'spawns'},
    'extensions': {'facts', 'cli'},
    'node': {'facts', 'graph', 'inquest', 'sentinel', 'settings', 'sources', 'watch'},
}
PURE = {'facts', 'badness', 'selector', 'settings', 'parse', 'kernel_log', 'outsider', 'plan',
        'risk', 'report', 'kills', 'ledger', 'death', 'doctor', 'prefix'}
IMPURE = {'rclpy', 'psutil', 'os', 'time', 'subprocess', 'socket', 'pathlib', 'threading'}
ROS = {'rclpy', 'diagnostic_msgs', 'std_msgs', 'std_srvs', 'rcl_interfaces'}
LAUNCH = {'launch', 'launch_ros'}


def violations(room, text):
    """Return what this source text imports that its room may not."""
    if room not in ALLOWED:
        return [f'unknown room {room}: give it a line in ALLOWED']
    found = []
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'relative imports hide the arrow'
            names = [f'{node.module}.{alias.name}' for alias in node.names]
        for name in names:
            parts = name.split('.')
            if parts[0] == 'oom_sentinel':
                if parts[1] != room and parts[1] not in ALLOWED[room]:
                    found.append(f'{room} imports {parts[1]}')
            elif room in PURE and parts[0] in IMPURE | ROS:
                found.append(f'pure {room} imports {parts[0]}')
            elif parts[0] in LAUNCH and room != 'actions':
                found.append(f'{room} imports {parts[0]}: launch belongs to the actions')
            elif parts[0] in ROS and room != 'node':
                found.append(f'{room} imports {parts[0]}: rclpy belongs to the node')
    return found


SOURCES = sorted(p for p in PACKAGE.rglob('*.py') if p != PACKAGE / '__init__.py')


@pytest.mark.parametrize('path', SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_arrows_point_down(path):
    """No file imports a room above its own."""
    room = path.relative_to(PACKAGE).parts[0].replace('.py', '')
    assert violations(room, path.read_text(encoding='utf-8')) == []


@pytest.mark.parametrize('room, text', [
    ('facts', 'from oom_sentinel import plan'), ('risk', 'import time'),
    ('cli', 'from oom_sentinel.node import main'), ('procfs', 'import rclpy'),
    ('children', 'import launch'), ('utils', 'x = 1')])
def test_a_forged_violation_is_found(room, text):
    """The test above can fail."""
    assert violations(room, text)
