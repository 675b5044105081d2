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

"""The prefix script: the value is there before the first instruction, and nothing breaks."""

import os
import pathlib
import subprocess

from conftest import lowering_permitted
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import program
from oom_sentinel.settings import selector
import pytest

SCRIPT = str(pathlib.Path(__file__).parents[3] / 'scripts' / 'oom_exec')
SHOW = ('cat', '/proc/self/oom_score_adj')


def run(*words):
    """Run the script to its end."""
    return subprocess.run([SCRIPT, *(str(word) for word in words)], capture_output=True,
                          text=True, timeout=20)


def test_the_command_starts_with_the_value():
    """It reads its own file first thing."""
    done = run(345, *SHOW)
    assert (done.stdout, done.stderr, done.returncode) == ('345\n', '', 0)


def test_the_command_keeps_its_pid_its_words_and_its_exit_code():
    """The script becomes the command; nothing is split, expanded or lost."""
    words = ('a  b', '*', '', '--match', "it's", '$HOME')
    child = subprocess.Popen([SCRIPT, '5', 'sh', '-c', 'echo $$; printf "%s|" "$@"; exit 7',
                              'sh', *words], stdout=subprocess.PIPE, text=True)
    said, _ = child.communicate(timeout=20)
    pid, rest = said.split('\n', 1)
    assert (int(pid), child.returncode) == (child.pid, 7)
    assert rest == '|'.join(words) + '|'


def test_a_refused_value_is_a_warning_and_the_command_runs():
    """Below the floor: one line that says how to grant it."""
    if lowering_permitted():
        pytest.skip('this machine lets us lower: nothing is refused')
    done = run(-300, *SHOW)
    assert (done.stdout, done.returncode) == ('0\n', 0)
    assert len(done.stderr.splitlines()) == 1
    assert '-300 refused' in done.stderr and 'OOMScoreAdjust' in done.stderr


@pytest.mark.parametrize('value', ['800x', '-', '1-2', '3.5', '5000'])
def test_a_value_that_is_none_is_a_warning_too(value):
    """It names the value."""
    done = run(value, *SHOW)
    assert (done.stdout, done.returncode) == ('0\n', 0)
    assert value in done.stderr


@pytest.mark.parametrize('words, code', [
    ((), 2), ((5,), 2), ((5, '--match', 'exe:x', '--'), 2), ((5, '/nowhere/node'), 127)])
def test_a_wrong_call_ends_with_a_shells_code(words, code):
    """Usage is 2, a command that is not there 127."""
    assert run(*words).returncode == code


def test_the_first_rule_that_matches_counts_and_else_ends_the_list():
    """An inner scope with `match` leaves the others to the outer one."""
    assert run(7, '--match', 'exe:cat', '--else', 9, '--', *SHOW).stdout == '7\n'
    assert run(7, '--match', 'exe:dog', '--else', 9, '--', *SHOW).stdout == '9\n'
    assert run(7, '--match', 'exe:dog', '--', *SHOW).stdout == '0\n'


COMMANDS = [
    ['/opt/ros/jazzy/lib/nav2_amcl/amcl', '--ros-args', '-r', '__node:=amcl', '-r', '__ns:=/r1'],
    ['/opt/ros/jazzy/lib/nav2_amcl/amcl', '--ros-args', '-r', '__ns:=/', '-r', '__node:=amcl'],
    ['/usr/bin/python3', '-u', '-W', 'ignore', '/ws/install/lib/cam/cam_node', '--ros-args',
     '--remap', '__node:=cam', '--', '-r', '__node:=not'],
    ['python3.11', '-m', 'pkg.module', '__node:=no'], ['python3', '-c', 'print(1)'],
    ['/opt/ros/jazzy/lib/demo/two', '--ros-args', '-r', 'a:__node:=x', '-r', 'b:__node:=y'],
    ['/usr/bin/gdb', '--args', '/opt/lib/x/amcl'], ['amcl'], ['/usr/lib/thing'],
    ['/lib/pkg/thing', 'with words', '*']]
SELECTORS = [
    ['exe:amcl'], ['exe:a*', '!node:/r1/*'], ['node:/r1/amcl'], ['node:/amcl'], ['node:*'],
    ['pkg:nav2_*'], ['pkg:cam'], ['pkg:*'], ['exe:cam_node'], ['node:/cam'], ['exe:pkg.module'],
    ['exe:python*'], ['node:/x', '!node:/y'], ['node:/y'], ['cmd:*lib/x/amcl*'],
    ['cmd:*with words*'], ['!exe:amcl'], ['exe:[at]*'], ['exe:?mcl'],
    ['cmd:*/cam_node --ros*'], ['cmd:*/pkg.module *'], ['cmd:*/python3 -c *'], ['cmd:*/amcl*'],
    ['cmd:*/thing *'], ['cmd:*/with words*'], ['exe:\\a*']]


@pytest.mark.parametrize('command', COMMANDS, ids=lambda words: words[0] + ' ' + words[-1])
def test_the_script_matches_as_the_sentinel_does(command, tmp_path):
    """Two readers of the same selectors must not disagree."""
    end = ('command_facts "$@"', 'any_name')
    text = pathlib.Path(SCRIPT).read_text().split('\ncase " $* "')[0]
    probe = tmp_path / 'probe'
    probe.write_text(text.replace('set -f\n', 'set -f\nselectors_given=$PROBE\n', 1)
                     + f'\n{end[0]}\nselectors="$selectors_given\n"\n'
                     + f'if {end[1]}; then echo yes; else echo no; fi\n')
    found = program.classify(command[0].rpartition('/')[2][:15], command, None)
    process = Process(9, 9, 1, 0, found)
    for texts in SELECTORS:
        parsed = [selector.parse(one) for one in texts]
        wanted = any(selector.matches(parsed, process, name)
                     for name in found.node_names or (None,))
        given = '\n'.join(one.replace('\\', '\\\\') for one in texts)
        done = subprocess.run(['sh', str(probe), '1', '--', *command], capture_output=True,
                              text=True, env={**os.environ, 'PROBE': given}, timeout=20)
        assert done.stdout.strip() == ('yes' if wanted else 'no'), (texts, done.stderr)


def test_a_control_group_is_matched_too():
    """The memory controller's path, or version 2's."""
    with open('/proc/self/cgroup', encoding='utf-8') as stream:
        lines = [line.rstrip('\n').split(':', 2) for line in stream]
    path = next((p for _, c, p in lines if 'memory' in c.split(',')), None) or next(
        (p for _, c, p in lines if c == ''), None)
    if path is None:
        pytest.skip('no memory controller and no cgroup v2')
    assert run(7, '--match', f'cgroup:{path}', *SHOW).stdout == '7\n'
    assert run(7, '--match', f'cgroup:{path}x', *SHOW).stdout == '0\n'
