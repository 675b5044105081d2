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

"""`oom_sentinel protect`: written once, on exactly those meant, by the sentinel's rules."""

import json
import os
import subprocess

from conftest import lowering_permitted
from conftest import oom_score_adj
from oom_sentinel.cli import main
from oom_sentinel.kernel.oom_score_adj import floor
from oom_sentinel.kernel.root import Root
import pytest
import trees

KEYS = ['pid', 'start_time', 'comm', 'node_names', 'group', 'from', 'wanted', 'achievable', 'why']


def protect(capsys, *words, code=0):
    """Run the verb with --json and return its adjustments by PID."""
    assert main(['protect', '--json', *(str(word) for word in words)]) == code
    found = json.loads(capsys.readouterr().out)['adjustments']
    assert all(list(entry) == KEYS for entry in found)
    return {entry['pid']: entry for entry in found}


def test_a_matching_process_gets_the_value(robot, capsys):
    """By its program, and the JSON is that of `plan`."""
    child = robot.start('cam', 'cam_driver_x', node='cam')
    entry = protect(capsys, 'exe:cam_driver_x', 444)[child.pid]
    assert oom_score_adj(child.pid) == 444
    assert (entry['wanted'], entry['achievable'], entry['node_names']) == (444, 444, ['/cam'])
    assert entry['from'] != 444 and entry['group'] is None
    again = protect(capsys, 'exe:cam_driver_x', 444)[child.pid]
    assert (again['from'], again['achievable']) == (444, 444)


@pytest.mark.parametrize('selector', [
    'node:/cam_y', '/cam_y', 'pkg:cam_pkg_y', 'cam_driver_y', 'cmd:*cam_driver_y*'])
def test_every_kind_of_selector_works_without_ros(robot, capsys, selector):
    """Node names are those of the command line."""
    child = robot.start('cam_pkg_y', 'cam_driver_y', node='cam_y')
    assert child.pid in protect(capsys, selector, 333)
    assert oom_score_adj(child.pid) == 333


def test_a_denied_value_leaves_the_lowest_permitted_one(robot, capsys):
    """Exit code 1, and the text says how to get further."""
    child = robot.start('cam', 'cam_driver_z')
    permitted = lowering_permitted()
    before = oom_score_adj(child.pid)
    entry = protect(capsys, 'exe:cam_driver_z', -700, code=int(not permitted))[child.pid]
    if permitted:
        assert (entry['achievable'], oom_score_adj(child.pid)) == (-700, -700)
        return
    lowest = floor(Root('/'))
    assert entry['achievable'] == oom_score_adj(child.pid) == lowest <= before
    assert main(['protect', 'exe:cam_driver_z', '-700']) == 1
    out = capsys.readouterr().out
    assert f'{lowest} is the lowest permitted' in out and 'OOMScoreAdjust' in out


def test_unkillable_is_clamped_and_said(robot, capsys):
    """-1000 is written as -999."""
    child = robot.start('cam', 'cam_driver_u')
    code = int(not lowering_permitted())
    assert protect(capsys, 'exe:cam_driver_u', -1000, code=code)[child.pid]['wanted'] == -999
    main(['protect', 'exe:cam_driver_u', '-1000'])
    assert '-1000 is written as -999' in capsys.readouterr().out


def test_nobody_matching_is_a_finding(capsys):
    """Exit code 1 and a sentence."""
    assert protect(capsys, 'exe:no_such_program_anywhere', 100, code=1) == {}
    assert main(['protect', 'exe:no_such_program_anywhere', '100']) == 1
    assert 'No process matches' in capsys.readouterr().out


@pytest.mark.skipif(os.geteuid() != 0, reason='only root can start a process of another user')
def test_another_users_process_is_left_alone_unless_asked_for(capsys):
    """With sudo that is what is meant: --other-users."""
    seconds = f'61.{os.getpid()}'
    child = subprocess.Popen(['setpriv', '--reuid=65534', '--clear-groups', 'sleep', seconds])
    try:
        subprocess.run(['sh', '-c', f'until grep -q sleep /proc/{child.pid}/comm; do :; done'],
                       timeout=10, check=True)
        before = oom_score_adj(child.pid)
        assert main(['protect', f'cmd:sleep {seconds}', '222']) == 1
        assert 'uid 65534' in capsys.readouterr().out
        assert oom_score_adj(child.pid) == before
        assert child.pid in protect(capsys, '--other-users', f'cmd:sleep {seconds}', 222)
        assert oom_score_adj(child.pid) == 222
    finally:
        child.kill()
        child.wait()


@pytest.mark.parametrize('words, said', [
    (['protect'], 'SELECTOR'), (['protect', 'exe:x'], 'VALUE'),
    (['protect', 'exe:x', '1001'], '-1000..1000'), (['protect', 'exe:x', 'many'], "'many'"),
    (['protect', 'exe:x', '\u0663'], 'VALUE'), (['protect', 'nod:x', '1'], "unknown kind 'nod'"),
    (['protect', '', '1'], 'empty'), (['protect', 'node:x', '1'], 'starts with /')])
def test_bad_usage_is_exit_code_2_and_one_line(words, said, capsys):
    """The argument and what is allowed are named."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    err = capsys.readouterr().err
    assert caught.value.code == 2 and said in err and len(err.splitlines()) == 1


def test_a_captured_tree_is_never_written(tmp_path, capsys):
    """Exit code 2."""
    tree = trees.make(tmp_path / 'tree', 'turtlebot4')
    assert main(['protect', '--root', str(tree), 'exe:*', '5']) == 2
    assert 'never written' in capsys.readouterr().err
