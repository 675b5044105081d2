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

"""One include protects every process of a launch, wherever and whenever it starts."""

import json
import os
import pathlib
import signal

from conftest import oom_score_adj
from conftest import wait_for
import pytest

pytest.importorskip('launch_ros', reason='needs launch_ros, which is on no package index: '
                    'source ROS; CI runs it in the ROS containers')
EYES = """
    /**:
      ros__parameters:
        scan_period: 0.5
        groups: [eyes]
        group.eyes.match: ['exe:cam_node', 'node:/r1/front']
        group.eyes.oom_score_adj: 250
"""


def is_(pid, value):
    """Wait until a process has this value."""
    wait_for(lambda: oom_score_adj(pid) == value, f'{pid} has {value}')


def test_before_and_after_the_include_and_in_other_scopes(launch, program, params):
    """Also the child of a shell, and a node known by its name alone."""
    cam, other = program('cam', 'cam_node'), program('cam', 'other_node')
    made = launch(f"""
        run({cam!r}, '--ros-args', name='early'),
        ProtectLaunch([{params(EYES)!r}]),
        run({cam!r}, '--ros-args', name='late'),
        GroupAction([run({cam!r}, '--ros-args', name='grouped')]),
        run('true;', {cam!r}, '--ros-args', shell=True, name='shelled'),
        run({other!r}, '--ros-args', '-r', '__node:=front', '-r', '__ns:=/r1', name='named'),
        run({other!r}, '--ros-args', name='nobody'),
    """)
    for name in ('early', 'late', 'grouped', 'named'):
        is_(made.pid(name), 250)
    shell = made.pid('shelled')
    inner = wait_for(lambda: pathlib.Path(f'/proc/{shell}/task/{shell}/children').read_text(),
                     'the shell has a child')
    is_(int(inner.split()[0]), 250)
    made.says('[nobody-6] first 0')  # and is no interpreter that SIGINT meets while it starts
    assert oom_score_adj(made.pid('nobody')) == 0
    assert 'Caught exception' not in made.end()


def test_a_respawned_process_is_protected_again(launch, program, params):
    """Each time, with its new PID."""
    made = launch(f"""
        ProtectLaunch([{params(EYES)!r}]),
        run({program('cam', 'cam_node')!r}, '--ros-args', name='cam', respawn=True),
    """)
    for nth in range(3):
        pid = made.pid('cam', nth)
        is_(pid, 250)
        os.kill(pid, signal.SIGTERM)


def test_with_its_sentinel_killed_and_respawned(launch, program, params, tmp_path):
    """The record keeps the original value; the new sentinel changes nothing twice."""
    made = launch(f"""
        sentinel(params_file={params(EYES)!r}),
        run({program('cam', 'cam_node')!r}, '--ros-args', '-r', '__node:=front', name='cam'),
    """)
    pid = made.pid('cam')
    is_(pid, 250)
    state = tmp_path / 'oom_sentinel_state'
    record = wait_for(lambda: list((state / 'launch').glob('*.json')), 'the record is there')[0]

    def entry():
        found = json.loads((state / 'state.json').read_text()) if (
            state / 'state.json').exists() else {'processes': []}
        return next((e for e in found['processes'] if e['pid'] == pid), None)

    wait_for(entry, 'the sentinel has taken it over')
    assert (entry()['original'], entry()['written']) == (0, 250)
    os.kill(made.pid('oom_sentinel_node'), signal.SIGKILL)
    made.says('oom_sentinel_node (oom_sentinel) was killed')
    second = made.pid('oom_sentinel_node', 1)
    wait_for(lambda: made.text.count('watching') == 2, 'the second sentinel runs')
    assert (entry()['original'], entry()['written'], oom_score_adj(pid)) == (0, 250, 250)
    assert second != made.pids('oom_sentinel_node')[0]
    assert json.loads(record.read_text())['processes']
    said = made.end()
    assert not record.exists() and 'Traceback' not in said.split('user interrupted')[0]


def test_a_namespace_is_the_sentinels(launch, params):
    """And /diagnostics becomes relative, as robots with a namespace do it."""
    file = params('/r1/oom_sentinel: {ros__parameters: {groups: [], publish_period: 61}}')
    made = launch(f"sentinel(namespace='r1', params_file={file!r})")
    said = made.says('publish_period: 61 refused')
    pid = made.pid('oom_sentinel_node')
    words = wait_for(lambda: '__ns' in pathlib.Path(f'/proc/{pid}/cmdline').read_text() and (
        pathlib.Path(f'/proc/{pid}/cmdline').read_text().split('\0')), 'it runs')
    assert '__ns:=/r1' in words and '/diagnostics:=diagnostics' in words
    assert file in said and file not in words
    made.says('diagnostics on /r1/diagnostics')


@pytest.mark.parametrize('text, words', [
    (None, 'No such file'), ('/**: [', 'not YAML'),
    ('/**: {ros__parameters: {hold_s: 601}}', 'hold_s: 601 refused'),
    ('/**: {ros__parameters: {group.drivers.match: [3]}}', 'group.drivers.match: [3] refused')])
def test_a_bad_params_file_is_named_and_the_launch_goes_on(launch, program, params, text, words):
    """File and key in one line; the sentinel runs with what is left."""
    file = '/nowhere/params.yaml' if text is None else params(text)
    made = launch(f"""
        sentinel(params_file={file!r}),
        run({program('cam', 'cam_node')!r}, name='cam'),
    """)
    said = made.says(words)
    assert any(file in line and words in line for line in said.splitlines())
    made.says('first 0')
    made.says('diagnostics on /diagnostics')


def test_arguments_that_are_refused_are_named(launch):
    """And their defaults are taken."""
    made = launch("sentinel(preset='turtlebot9', use_respawn='perhaps', log_level='loud')")
    for words in ('preset:=turtlebot9 refused', 'turtlebot3, turtlebot4, nav2, none',
                  'use_respawn:=perhaps refused', 'log_level:=loud refused',
                  'diagnostics on /diagnostics'):
        made.says(words)


@pytest.mark.parametrize('preset', ['turtlebot3', 'turtlebot4', 'nav2'])
def test_presets_are_read(launch, preset):
    """Each by the launch and by the node."""
    made = launch(f'sentinel(preset={preset!r})')
    said = made.says('diagnostics on /diagnostics')
    assert 'refused' not in said and 'unknown' not in said


def test_a_process_that_dies_at_once_harms_nobody(launch, program, params):
    """It is gone before the handler runs."""
    cam = program('cam', 'cam_node')
    made = launch(f"""
        ProtectLaunch([{params(EYES)!r}]),
        *[run('true', name='gone') for _ in range(10)],
        run({cam!r}, name='cam'),
    """)
    is_(made.pid('cam'), 250)
    assert 'Caught exception' not in made.text


def test_a_group_that_matches_nothing_is_named(launch, params, monkeypatch):
    """By file and key, after a while."""
    file = params(EYES)
    made = launch(f"ProtectLaunch([{file!r}]), run('sleep', '40')")
    wait_for(lambda: 'matches no process' in made.text, 'it is told', 40.0)
    assert f'{file}: group.eyes.match matches no process' in made.text


def test_an_unmodified_robot_with_one_argument(launch, program, params):
    """oom_sentinel_params:=FILE protects, starts the sentinel, and takes no foreign argument."""
    prefix = os.path.dirname(os.path.dirname(os.path.dirname(program('cam', 'cam_node'))))
    file = params(EYES)
    made = launch(f"""
        SetLaunchConfiguration('params_file', '/robots/own/nav2_params.yaml'),
        SetLaunchConfiguration('namespace', 'robots_own'),
        Node(executable={prefix + '/lib/cam/cam_node'!r}, name='front', namespace='r1',
             exec_name='cam'),
        LogInfo(msg='the robot goes on'),
    """, f'oom_sentinel_params:={file}')
    is_(made.pid('cam'), 250)
    said = made.says('diagnostics on /diagnostics')
    assert 'nav2_params' not in said and 'robots_own' not in said


def test_without_that_argument_nothing_of_us_is_even_imported(launch, program):
    """The extension is inert."""
    made = launch(f"""
        Node(executable={program('cam', 'cam_node')!r}, exec_name='cam', output='screen'),
        OpaqueFunction(function=lambda context: print('MODULES', sorted(
            name for name in __import__('sys').modules if name.startswith('oom_sentinel')))),
    """)
    made.says('] first 0')
    said = made.says('MODULES')
    line = next(line for line in said.splitlines() if 'MODULES' in line)
    assert 'oom_sentinel.actions.extension' in line
    assert 'guard' not in line and 'settings' not in line and 'sentinel.sentinel' not in line


def test_a_bad_file_given_by_argument_harms_nobody(launch, program):
    """One line, and the robot runs."""
    made = launch(f"Node(executable={program('cam', 'cam_node')!r}, exec_name='cam', "
                  "output='screen')", 'oom_sentinel_params:=/nowhere.yaml')
    made.says('/nowhere.yaml: No such file')
    made.says('first 0')
