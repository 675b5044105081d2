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

"""Hold the house (docs/architecture.md): which room may import which, and which are pure."""

import ast
import pathlib

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / 'oom_sentinel'
ALLOWED = {  # what a room may import
    'facts': '',
    'settings': 'facts',
    'kernel': 'facts settings',
    'risk': 'facts settings',
    'report': 'facts settings risk',
    'protection': 'facts settings kernel risk',
    'kills': 'facts settings kernel risk report',
    'doctor': 'facts settings',
    'doctor.look': 'facts settings kernel doctor',  # the one file of the room that reads
    'sentinel': 'facts settings kernel risk report protection kills',
    'actions': 'facts settings kernel risk report protection kills',
    'node': 'facts settings kernel risk report protection kills sentinel',
    'cli': 'facts settings kernel risk report protection kills sentinel doctor',
}
PURE = ('facts', 'settings', 'risk', 'report', 'doctor', 'kernel.files', 'kills.oom_report',
        'kills.counters', 'kills.known_processes', 'protection.plan', 'protection.originals')
IMPURE = {'psutil', 'os', 'time', 'subprocess', 'socket', 'pathlib', 'threading'}
HOMES = {'rclpy': 'node', 'diagnostic_msgs': 'node', 'launch': 'actions', 'launch_ros': 'actions'}
SOURCES = {'.'.join(p.relative_to(PACKAGE).with_suffix('').parts): p
           for p in sorted(PACKAGE.rglob('*.py')) if p != PACKAGE / '__init__.py'}


def imported(text):
    """Return the dotted names that this source text imports."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            module = f'{node.module}.' if isinstance(node, ast.ImportFrom) else ''
            yield from (module + alias.name for alias in node.names)


def violations(module, text):
    """Return what a module, named below the package, imports and may not."""
    room = module.split('.')[0]
    allowed = ALLOWED.get(module, ALLOWED[room])
    for first, *rest in (name.split('.') for name in imported(text)):
        if first == 'oom_sentinel' and rest[0] not in f'{room} {allowed}'.split():
            yield f'{module} imports {rest[0]}'
        if first in IMPURE and module.startswith(PURE) and module not in ALLOWED:
            yield f'pure {module} imports {first}'
        if HOMES.get(first, room) != room:
            yield f'{module} imports {first}'


@pytest.mark.parametrize('module', SOURCES)
def test_arrows_point_down(module):
    """No file imports a room above its own, the pure ones stay pure, no other room is there."""
    assert list(violations(module, SOURCES[module].read_text(encoding='utf-8'))) == []


@pytest.mark.parametrize('module, text', [
    ('facts.kill', 'from oom_sentinel import risk'), ('risk.trend', 'import time'),
    ('cli.main', 'from oom_sentinel.node import main'), ('kernel.root', 'import rclpy'),
    ('node.program', 'import launch'), ('doctor.text', 'from oom_sentinel import kernel')])
def test_a_forged_violation_is_found(module, text):
    """The test above can fail."""
    assert list(violations(module, text))
