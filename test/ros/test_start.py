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

"""How the node starts and stops: what it refuses, where it logs, which signals end it."""

import os
import signal
import subprocess
import sys
from types import SimpleNamespace

from conftest import assert_clean
from conftest import program
from conftest import wait_for
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.report import kills as report
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')


def start(*arguments, env=None):
    """Start the node; its output is a pipe of text."""
    return subprocess.Popen([program('oom_sentinel_node'), *arguments], text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)


def ended(child, timeout_s=20):
    """Return exit code and output."""
    try:
        said, _ = child.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        child.kill()
        child.communicate()
        raise
    assert_clean(said)
    return child.returncode, said


def catches(pid, number):
    """Tell whether a process has a handler for this signal."""
    with open(f'/proc/{pid}/status', encoding='ascii') as stream:
        mask = next(int(line.split()[1], 16) for line in stream if line.startswith('SigCgt'))
    return bool(mask >> (number - 1) & 1)


@pytest.mark.parametrize('text, words', [
    ('publish_period: [', ('params file', 'line')),
    ('groups: [drivers, 1]', ('params file', 'same type')),
    ('use_sim_time: 3', ('use_sim_time', 'BOOL')),
    ('scan_period: .nan', ('scan_period', 'nan', '0.2..60')),
    ('group.drivers.match: [3]', ('group.drivers.match', '3', 'a list of strings'))])
def test_a_file_that_cannot_be_followed_ends_with_code_2(tmp_path, text, words):
    """Whether rcl, rclpy or the table refuses it: a fatal line, no traceback."""
    file = tmp_path / 'bad.yaml'
    file.write_text(f'/**:\n  ros__parameters:\n    {text}\n')
    code, said = ended(start('--ros-args', '--params-file', str(file)))
    assert code == 2 and 'Traceback' not in said
    fatal = next(line for line in said.splitlines() if 'refused to start' in line)
    assert all(word in fatal for word in words), fatal


@pytest.mark.parametrize('make, said', [
    (os.mkfifo, 'Not a regular file'), (os.mkdir, 'Is a directory'),
    (lambda path: os.symlink('/dev/zero', path), 'Not a regular file')])
def test_what_is_no_file_is_refused_and_never_waited_for(tmp_path, make, said):
    """Before rcl would wait for the other end of a FIFO, or read a device without end."""
    path = tmp_path / 'bad.yaml'
    make(path)
    code, out = ended(start('--ros-args', '--params-file', str(path)))
    assert code == 2 and f'refused to start: {path}: {said}' in out, out


def test_all_refusals_of_a_file_come_at_once_with_their_lines(tmp_path):
    """What the command line says of it too."""
    file = tmp_path / 'bad.yaml'
    file.write_text('/**:\n  ros__parameters:\n    hold_s: 601\n    scan_period: fast\n')
    code, said = ended(start('--ros-args', '--params-file', str(file)))
    assert code == 2
    fatal = next(line for line in said.splitlines() if 'refused to start' in line)
    assert '(line 3)' in fatal and '(line 4)' in fatal, fatal


def test_a_file_for_another_node_is_a_warning_and_the_others_are_named(tmp_path):
    """Its parameters are without effect, which the defaults would hide."""
    other, own = tmp_path / 'other.yaml', tmp_path / 'own.yaml'
    other.write_text('/sentinel:\n  ros__parameters:\n    hold_s: 1.0\n')
    own.write_text('oom_sentinel:\n  ros__parameters:\n    hold_s: 1.0\n')
    child = start('--ros-args', '--params-file', str(other), '--params-file', str(own))
    lines = []
    while not any('diagnostics on' in line for line in lines) or len(lines) < 3:
        lines.append(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    _, said = ended(child)
    said = ''.join(lines) + said
    assert f'parameters from {other}, {own}' in said
    warned = [line for line in said.splitlines() if 'nothing for /oom_sentinel' in line]
    assert len(warned) == 1 and str(other) in warned[0] and 'WARN' in warned[0], said


@pytest.mark.parametrize('arguments', [('--bogus',), ('--params-file', '/nowhere.yaml'),
                                       ('-r', '__ns:=/0bad')])
def test_arguments_that_rcl_refuses_end_with_code_2(arguments):
    """The same fatal line."""
    code, said = ended(start('--ros-args', *arguments))
    assert code == 2 and 'refused to start' in said and 'Traceback' not in said


@pytest.mark.parametrize('change, words', [
    ({'HOME': None, 'ROS_HOME': None, 'ROS_LOG_DIR': None}, 'HOME is not set, logging to'),
    ({'HOME': None, 'ROS_LOG_DIR': '~/x'}, 'cannot log to ~/x'),
    ({'ROS_LOG_DIR': '/proc/nowhere'}, 'cannot log to /proc/nowhere')])
def test_runs_where_it_cannot_log(tmp_path, change, words):
    """A systemd unit without User= has no HOME; a robot's root may be read-only."""
    env = {**os.environ, 'TMPDIR': str(tmp_path), **change}
    env = {k: v for k, v in env.items() if v is not None}
    child = start(env=env)
    first = child.stdout.readline()
    assert words.split(',')[0] in first
    wait_for(lambda: catches(child.pid, signal.SIGTERM), 'its handlers are there')
    child.send_signal(signal.SIGTERM)
    code, said = ended(child)
    assert code == 0, first + said


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_start_is_an_orderly_end(number):
    """Sent as soon as the handlers are there, long before the node is."""
    child = start()
    wait_for(lambda: catches(child.pid, signal.SIGTERM), 'its handlers are there')
    child.send_signal(number)
    code, said = ended(child)
    assert code == 0 and 'Traceback' not in said, said


def test_what_writes_message_modules_is_not_loaded():
    """Type supports are loaded without it: 7 MB of a grammar and a template language."""
    script = ('import sys; from oom_sentinel.node import main; code = main(); '
              "print('loaded:', *[name for name in ('lark', 'em', 'std_msgs.msg')"
              ' if name in sys.modules]); sys.exit(code)')
    child = subprocess.Popen([sys.executable, '-c', script], text=True,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wait_for(lambda: catches(child.pid, signal.SIGTERM), 'its handlers are there')
    child.send_signal(signal.SIGINT)
    code, said = ended(child)
    assert code == 0, said
    assert said.splitlines()[-1] == 'loaded: std_msgs.msg'


def test_values_are_given_back_whatever_fails_at_the_end_before():
    """Each part that is closed has a guard of its own."""
    from oom_sentinel.node.node import OomSentinel

    def fail():
        raise OSError('it is closed already')
    ended, complained = [], []
    node, broken = OomSentinel.__new__(OomSentinel), SimpleNamespace(close=fail, remove=fail)
    node.kills = node.metrics = node._last_report = node.wakes = broken
    node.complain = complained.append
    node.get_logger = lambda: SimpleNamespace(info=ended.append)
    node.sentinel = SimpleNamespace(close=lambda orderly: f'closed {orderly}')
    node._end(False)
    assert ended == ['closed False'] and len(complained) == 4


def test_each_kill_is_logged_but_the_past_and_what_nothing_confirms():
    """Another container's too: as information, not as one of before the start."""
    from oom_sentinel.node.kills import Kills
    logged, published = [], []
    log = SimpleNamespace(**{name: lambda text, name=name: logged.append((name, text))
                             for name in ('info', 'warning', 'error')})
    node = SimpleNamespace(
        get_logger=lambda: log, create_publisher=lambda *_: SimpleNamespace(
            topic_name='~/oom_kills', publish=published.append))
    kills = Kills(node, None, SimpleNamespace(source=SimpleNamespace(descriptor=None)), list)

    def seen(name, elsewhere=False, **facts):
        return report.one(SeenKill(OomKill(victim_comm=name, **facts), 0.0, elsewhere=elsewhere))
    kills.publish((seen('pod', elsewhere=True), seen('mine'),
                   seen('forged', certainty=UNCONFIRMED)))
    assert [(level, text.split()[0]) for level, text in logged] == [
        ('info', 'pod'), ('warning', 'mine')]
    logged.clear()
    kills.publish((seen('old', before_start=True), seen('older', before_start=True)))
    assert logged == [('info', 'OOM kills from before the start are on ~/oom_kills')]
    assert len(published) == 5
