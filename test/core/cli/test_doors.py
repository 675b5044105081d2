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

"""Every verb ends with 2 and one line on standard error, whatever input and output are."""

import fcntl
import json
import os
import pathlib
import pty
import shutil
import struct
import subprocess
import sys
import termios

from oom_sentinel.actions import files
from oom_sentinel.cli import main
import pytest

ROOT = pathlib.Path(__file__).parents[3]
ROBOT = ROOT / 'test' / 'fixtures' / 'vm-debian12-6.18'
VERBS = ('order', 'status', 'doctor')


def run(*words, stdout=subprocess.PIPE, shell=''):
    """Run the program and return what became of it."""
    command = [sys.executable, '-m', 'oom_sentinel.cli', *map(str, words)]
    if shell:
        command = ['sh', '-c', f'"$@" {shell}', 'sh', *command]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True, cwd=ROOT,
                          timeout=100, stdin=subprocess.DEVNULL)


def refused(done, said=''):
    """Fail unless it ended with 2 and one line that says so."""
    assert done.returncode == 2, done.stderr
    assert len(done.stderr.splitlines()) == 1 and said in done.stderr, done.stderr


@pytest.mark.parametrize('words', [['order'], ['order', '--json'], ['doctor'], ['--version'],
                                   ['--help']])
def test_a_full_disk_is_said(words):
    """As /dev/full answers every write."""
    options = [] if words[0].startswith('-') else ['--root', ROBOT]
    done = run(*words, *options, shell='> /dev/full')
    assert 'Traceback' not in done.stderr
    refused(done, 'No space left on device')


@pytest.mark.parametrize('words', [['order'], ['order', '--json'], ['doctor']])
def test_a_closed_output_is_said(words):
    """Nothing is lost silently."""
    refused(run(*words, '--root', ROBOT, shell='>&-'), 'standard output is closed')


def test_a_closed_standard_error_leaves_the_exit_code():
    """And nothing of the complaint on standard output."""
    done = run('order', '--root', '/nowhere', shell='2>&-')
    assert done.returncode == 2 and done.stdout == ''


@pytest.fixture
def tree(tmp_path):
    """Return a copy of a captured robot to spoil."""
    shutil.copytree(ROBOT, tmp_path / 'tree', symlinks=True)
    return tmp_path / 'tree'


def fifo(path):
    """Put a FIFO in the place of a file: reading it waits for ever."""
    path.unlink(missing_ok=True)
    os.mkfifo(path)


def outside(path):
    """Put a link out of the tree in the place of a file."""
    path.unlink(missing_ok=True)
    path.symlink_to('/proc/meminfo')


def endless(path):
    """Put a link to /dev/zero in the place of a file."""
    path.unlink(missing_ok=True)
    path.symlink_to('/dev/zero')


@pytest.mark.parametrize('verb', VERBS)
@pytest.mark.parametrize('spoil', [fifo, outside, endless])
def test_a_spoiled_meminfo_is_refused(tree, spoil, verb):
    """It is never waited for, never followed out of the tree, never read without end."""
    spoil(tree / 'proc/meminfo')
    refused(run(verb, '--root', tree), 'meminfo')


@pytest.mark.parametrize('verb', VERBS)
@pytest.mark.parametrize('spoil', [fifo, outside, endless])
def test_spoiled_files_of_a_process_stop_nothing(tree, spoil, verb):
    """A process is left out, or the tree is refused in one line: nothing hangs."""
    pid = next(p for p in (tree / 'proc').iterdir() if p.name.isdigit())
    for name in ('status', 'stat', 'cmdline', 'oom_score_adj'):
        spoil(pid / name)
    done = run(verb, '--root', tree)
    if done.returncode == 2:
        refused(done, pid.name)
    else:
        assert done.returncode in (0, 1) and 'Traceback' not in done.stderr, done.stderr


@pytest.mark.parametrize('verb', [
    ['order'], ['status'], ['doctor'],
    ['plan', '--params-file', str(ROOT / 'config' / 'turtlebot3.yaml')]])
@pytest.mark.parametrize('name', [
    'proc/swaps', 'proc/sys/vm/panic_on_oom', 'sys/fs/cgroup/memory/memory.stat'])
@pytest.mark.parametrize('spoil', [fifo, outside])
def test_any_other_spoiled_file_is_unavailable_or_refused(tree, capsys, spoil, name, verb):
    """A verb that reads on when the tree was taken for good ends in the same way."""
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    spoil(tree / name)
    code = main([*verb, '--root', str(tree)])
    said = capsys.readouterr().err
    assert code in (0, 1) or (code == 2 and said.count('\n') == 1 and name in said), said


@pytest.mark.parametrize('words', [['kills', '--file'], ['report']])
def test_a_device_is_no_log(words):
    """/dev/zero would be read for ever."""
    refused(run(*words, '/dev/zero'), '/dev/zero: a device')


def folder(path):
    """Make a folder of that name."""
    path.mkdir()


def huge(path):
    """Make a file of a terabyte, which takes no room on the disk."""
    with open(path, 'wb') as stream:
        stream.truncate(1 << 40)


def latin(path):
    """Write a comment that is no UTF-8."""
    path.write_bytes(b'# \xfcber\n')


UNUSABLE = [(fifo, 'Not a regular file'), (endless, 'Not a regular file'),
            (folder, 'Is a directory'), (huge, 'more than 1 MiB'), (latin, 'not YAML')]


@pytest.mark.parametrize('verb, spoil, said', [
    *[('plan', *unusable) for unusable in UNUSABLE],
    *[(verb, *UNUSABLE[0]) for verb in ('order', 'status', 'kills', 'doctor')]])
def test_an_unusable_parameter_file_is_refused(tmp_path, verb, spoil, said):
    """A FIFO is never waited for, a device never read, a huge file never taken into memory."""
    path = tmp_path / 'robot.yaml'
    spoil(path)
    refused(run(verb, '--params-file', path), f'{path}: {said}' if said[0] == 'N' else said)


@pytest.mark.parametrize('spoil, said', UNUSABLE)
def test_a_launch_leaves_an_unusable_parameter_file_out(tmp_path, spoil, said):
    """The sentinel starts with the others, and the log names the file."""
    good, bad = tmp_path / 'good.yaml', tmp_path / 'bad.yaml'
    good.write_text('/**: {ros__parameters: {hold_s: 7.0}}')
    spoil(bad)
    found = files.usable([str(good), str(bad)], '/oom_sentinel')
    assert found.paths == (str(good),) and found.loaded.settings.hold_s == 7.0
    assert len(found.errors) == 1 and f'{bad}: ' in found.errors[0] and said in found.errors[0]


@pytest.mark.parametrize('verb', VERBS)
@pytest.mark.parametrize('capture', [
    {'page_size': 0}, {'page_size': -4096}, {'page_size': 3}, {'page_size': 'x'},
    {'wall_s': '1e999'}, {'clock_ticks': 0}, {'page_size': None}, {'wall_s': 10 ** 400},
    {'kernel': 'x' * 100_000}])
def test_a_capture_that_lies_is_refused_or_survived(tree, capture, verb, capsys):
    """Page size 0 divides by nothing; 401 digits are no time."""
    path = tree / 'capture.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **capture}))
    code = main([verb, '--root', str(tree)])
    err = capsys.readouterr().err
    assert code in (0, 1) or (code == 2 and len(err.splitlines()) == 1)
    if capture.get('page_size', 4096) != 4096:
        assert code == 2


@pytest.mark.parametrize('verb', VERBS)
@pytest.mark.parametrize('text', ['MemTotal: ' + '9' * 401 + ' kB\n', 'MemTotal: 0 kB\n', '',
                                  'MemTotal: x kB\n', '\0' * 4096])
def test_a_meminfo_that_lies_is_refused_or_survived(tree, text, verb, capsys):
    """No number is too long for one line."""
    (tree / 'proc/meminfo').write_text(text)
    code = main([verb, '--root', str(tree)])
    err = capsys.readouterr().err
    assert code in (0, 1) or (code == 2 and len(err.splitlines()) == 1)


@pytest.mark.parametrize('verb', VERBS)
def test_names_of_processes_reach_neither_terminal_nor_json_raw(tree, verb, capsys):
    """Escapes, newlines and bidi marks in a command line."""
    pid = next(p for p in (tree / 'proc').iterdir()
               if p.name.isdigit() and b'--ros-args' in (p / 'cmdline').read_bytes())
    hostile = '/opt/ros/lib/a/x\x1b[2J\n\u202e\0--ros-args\0-r\0__node:=a\x1b]0;x\x07\u202eb\0'
    (pid / 'cmdline').write_bytes(hostile.encode())
    for words in ([], ['--json'], ['-v'] if verb == 'status' else []):
        main([verb, *words, '--root', str(tree)])
        out = capsys.readouterr().out
        assert not {'\x1b', '\x07', '\u202e'} & set(out)


def test_a_missing_rich_is_said_and_json_goes_on(monkeypatch, capsys):
    """The package that lacks is named."""
    monkeypatch.setitem(sys.modules, 'rich.console', None)
    assert main(['order', '--root', str(ROBOT)]) == 2
    assert 'python3-rich' in capsys.readouterr().err
    assert main(['order', '--json', '--root', str(ROBOT)]) == 0


def test_completion_names_verbs_and_options(tmp_path):
    """As a shell asks argcomplete."""
    pytest.importorskip('argcomplete', reason='argcomplete is not installed here')
    answer = tmp_path / 'answer'
    line = 'oom_sentinel or'
    done = subprocess.run(
        [sys.executable, '-m', 'oom_sentinel.cli'], cwd=ROOT, timeout=60, env={
            **os.environ, '_ARGCOMPLETE': '1', 'COMP_LINE': line, 'COMP_POINT': str(len(line)),
            'IFS': '\n', '_ARGCOMPLETE_STDOUT_FILENAME': str(answer)})
    assert done.returncode == 0 and 'order' in answer.read_text()


def test_the_version_is_that_of_the_package(capsys):
    """Before and after the verb."""
    for words in (['--version'], ['order', '--version']):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 0
        assert capsys.readouterr().out.startswith('oom_sentinel ')


def test_an_error_is_folded_at_words_on_a_terminal_and_one_line_in_a_pipe():
    """A terminal would break it within a word; what is pasted from a pipe stays one line."""
    control, terminal = pty.openpty()
    fcntl.ioctl(control, termios.TIOCSWINSZ, struct.pack('HHHH', 24, 40, 0, 0))
    words = ['order', '--cgroup', '/there/is/no/such/group', '--root', '/nowhere/at/all/either']
    try:
        made = subprocess.run([sys.executable, '-m', 'oom_sentinel.cli', *words], stderr=terminal,
                              stdout=subprocess.PIPE, timeout=60)
        said = os.read(control, 65536).decode()
    finally:
        os.close(control)
        os.close(terminal)
    lines = said.split()
    assert made.returncode == 2 and len(said.splitlines()) > 1
    assert all(len(line) <= 40 for line in said.splitlines()), said
    piped = subprocess.run([sys.executable, '-m', 'oom_sentinel.cli', *words],
                           capture_output=True, text=True, timeout=60)
    assert len(piped.stderr.splitlines()) == 1 and piped.stderr.split() == lines
