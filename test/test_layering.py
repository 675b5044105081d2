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

# room -> rooms it may import.  A new arrow needs a reason, and points down.
ALLOWED = {
    'facts': set(),
    'settings': {'facts'},
    'kernel': {'facts', 'settings'},
    'risk': {'facts', 'settings'},
    'report': {'facts', 'settings', 'risk'},
    'protection': {'facts', 'settings', 'kernel', 'risk'},
    'kills': {'facts', 'settings', 'kernel', 'risk', 'report'},
    'doctor': {'facts', 'settings'},
    'sentinel': {'facts', 'settings', 'kernel', 'risk', 'report', 'protection', 'kills'},
}
ALLOWED['actions'] = ALLOWED['sentinel']
ALLOWED['node'] = ALLOWED['sentinel'] | {'sentinel'}
ALLOWED['cli'] = ALLOWED['node'] | {'doctor'}
ALLOWED['doctor.look'] = ALLOWED['doctor'] | {'kernel'}
EDGES = {'doctor.look'}  # files that may do what the rest of their pure room may not
PURE = ('facts', 'settings', 'risk', 'report', 'doctor', 'kernel.files', 'kills.oom_report',
        'protection.plan', 'protection.foreign_growth', 'protection.originals',
        'kills.counters', 'kills.known_processes', 'kills.child_verdict')
IMPURE = {'rclpy', 'psutil', 'os', 'time', 'subprocess', 'socket', 'pathlib', 'threading'}
HOMES = {'rclpy': 'node', 'diagnostic_msgs': 'node', 'std_msgs': 'node', 'std_srvs': 'node',
         'rcl_interfaces': 'node', 'launch': 'actions', 'launch_ros': 'actions'}


def imported(text):
    """Return the dotted names that this source text imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, 'relative imports hide the arrow'
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def violations(module, text):
    """Return what a module, named below the package, imports and may not."""
    room = module.split('.')[0]
    allowed = ALLOWED[module if module in EDGES else room] | {room}
    pure = module not in EDGES and module.startswith(PURE)
    for name in imported(text):
        first, *rest = name.split('.')
        if first == 'oom_sentinel' and rest[0] not in allowed:
            yield f'{module} imports {rest[0]}'
        elif pure and first in IMPURE:
            yield f'pure {module} imports {first}'
        elif HOMES.get(first, room) != room:
            yield f'{module} imports {first}, which belongs to {HOMES[first]}'


SOURCES = {'.'.join(p.relative_to(PACKAGE).with_suffix('').parts): p
           for p in sorted(PACKAGE.rglob('*.py')) if p != PACKAGE / '__init__.py'}


@pytest.mark.parametrize('module', SOURCES)
def test_arrows_point_down(module):
    """No file imports a room above its own, and the pure ones stay pure."""
    assert list(violations(module, SOURCES[module].read_text(encoding='utf-8'))) == []


@pytest.mark.parametrize('module, text', [
    ('facts.kill', 'from oom_sentinel import risk'), ('risk.trend', 'import time'),
    ('cli.main', 'from oom_sentinel.node import main'), ('kernel.root', 'import rclpy'),
    ('node.program', 'import launch'), ('doctor.text', 'from oom_sentinel import kernel')])
def test_a_forged_violation_is_found(module, text):
    """The test above can fail."""
    assert list(violations(module, text))
