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

"""`oom_sentinel status`: the node's statuses in a terminal, in a pipe, and drawn live."""

import fcntl
import io
import json
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.cli import main
from oom_sentinel.cli.gauges import gauges
from oom_sentinel.cli.gauges import Growth
from oom_sentinel.cli.picture import Picture
from oom_sentinel.cli.printer import new_console
from oom_sentinel.cli.status import plain
from oom_sentinel.cli.status import snake_case
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel.root import Root
from oom_sentinel.protection import last_report
from oom_sentinel.protection.eligibility import View
from oom_sentinel.report.risk import KILL_ORDER_OF
from oom_sentinel.sentinel import Sentinel
import pytest
from rich.cells import cell_len
import trees

FIXED = ['Memory', 'Memory pressure', 'Control groups', 'OOM risk', 'Protection']
ENTER, LEAVE = b'\x1b[?1049h', b'\x1b[?1049l'


def run(capsys, *words, code=0):
    """Run the verb and return what it printed."""
    assert main(['status', *(str(word) for word in words)]) == code
    return capsys.readouterr()


# once

def test_the_document_has_every_status_under_its_published_name(capsys):
    """Name, level, message and values, as on /diagnostics."""
    assert main(['status', '--json']) in (0, 1)
    statuses = json.loads(capsys.readouterr().out)['statuses']
    assert all(list(s) == ['name', 'level', 'message', 'values'] for s in statuses)
    names = [s['name'] for s in statuses]
    assert set(names) >= {f'oom_sentinel: {name}' for name in FIXED}
    assert 'oom_sentinel: Group drivers' in names
    assert {s['level'] for s in statuses} <= {'OK', 'WARN', 'ERROR'}
    assert float(statuses[0]['values']['mem_total_mib']) > 0


@pytest.mark.parametrize('board, level, said', [
    ('overcommit_2', 'ERROR', 'CommitLimit'), ('docker_v2', 'OK', 'Docker'),
    ('zram_swap', 'OK', 'zram0'), ('wsl2', 'OK', '.wslconfig')])
def test_the_memory_status_of_a_captured_board(board, level, said, tmp_path, capsys):
    """What changes the meaning is named; the exit code follows the worst level."""
    tree = trees.make(tmp_path / 'tree', board)
    code = main(['status', '--json', '--root', str(tree)])
    statuses = json.loads(capsys.readouterr().out)['statuses']
    memory = statuses[0]
    assert memory['level'] == level and said in str(memory)
    assert code == int(any(s['level'] != 'OK' for s in statuses))


def test_a_captured_robot_has_its_own_processes_in_the_groups(tmp_path, capsys):
    """Whoever looks at the tree, and whatever their user and domain."""
    tree = trees.make(tmp_path / 'tree', 'turtlebot4')
    main(['status', '--root', str(tree)])
    assert re.search(r'Group \w+: [12] process', capsys.readouterr().out)


def test_values_are_printed_for_alarms_and_on_request(tmp_path, capsys):
    """A calm status is one line."""
    tree = trees.make(tmp_path / 'tree', 'overcommit_2')
    short = run(capsys, '--root', tree, code=1).out
    assert '         CommitLimit (MiB): 3950' in short and 'avg10' not in short
    assert 'some avg10 (%)' in run(capsys, '--root', tree, '-v', code=1).out
    assert '\x1b' not in short
    assert '\x1b[31mERROR' in run(capsys, '--root', tree, '--color', 'always', code=1).out


def test_status_writes_nothing_and_leaves_a_running_sentinel_its_lock(tmp_path):
    """No lock and no state: another sentinel may well change values meanwhile."""
    home = tmp_path / 'home'
    home.mkdir()
    env = {**os.environ, 'XDG_RUNTIME_DIR': str(home), 'ROS_HOME': str(home),
           'OOM_SENTINEL_STATE': str(home)}
    done = subprocess.run([sys.executable, '-m', 'oom_sentinel.cli', 'status'], env=env,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1) and 'this command changes nothing' in done.stdout, done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.parametrize('words, said', [
    (['--root', '/nowhere'], '/nowhere'), (['--params-file', '/nowhere.yaml'], 'nowhere.yaml'),
    (['--watch', '--json'], '--json')])
def test_unusable_input_is_exit_code_2_and_one_line(words, said, capsys):
    """What and where."""
    err = run(capsys, *words, code=2).err
    assert said in err and len(err.splitlines()) == 1


@pytest.mark.parametrize('key, name', [
    ('MemAvailable (MiB)', 'mem_available_mib'), ('some avg10 (%)', 'some_avg10_percent'),
    ('oom_risk (0..1)', 'oom_risk'), ('time to exhaustion (s)', 'time_to_exhaustion_s'),
    ('1st victim', '1st_victim'), ('Committed_AS (MiB)', 'committed_as_mib')])
def test_json_keys_are_snake_case_with_units(key, name):
    """As scripts and jq want them."""
    assert snake_case(key) == name


@pytest.mark.parametrize('text, value', [
    ('3', 3), ('-0.25', -0.25), ('none', 'none'), ('9' * 401, '9' * 401), ('1e999', '1e999'),
    ('nan', 'nan'), ('unavailable (off)', 'unavailable (off)'), ('2 of 3', '2 of 3')])
def test_json_values_are_numbers_where_they_are_numbers(text, value):
    """Text stays text, also what Python would call a number and JSON does not."""
    assert plain(text) == value and type(plain(text)) is type(value)


def test_beside_a_running_node_it_says_what_that_node_says(tmp_path, monkeypatch, capsys):
    """Under its name and with the time of its report; a tree or parameters of one's own do not."""
    monkeypatch.setenv('OOM_SENTINEL_STATE', str(tmp_path / 'state'))
    writer = last_report.Writer(Root('/'))
    writer.write((Status('Memory', Level.WARN, 'Said by the node.', (('a (MiB)', '5'),)),),
                 '/robot1/oom_sentinel', 'robot1', 1.0)
    out = run(capsys, code=1).out
    assert '/robot1/oom_sentinel (PID' in out and 'Said by the node.' in out
    found, = json.loads(run(capsys, '--json', code=1).out)['statuses']
    assert (found['name'], found['level']) == ('robot1/oom_sentinel: Memory', 'WARN')
    assert found['values'] == {'a_mib': 5}
    main(['status', '--root', str(trees.make(tmp_path / 'tree', 'docker_v2'))])
    assert 'Said by the node.' not in capsys.readouterr().out
    writer.remove()
    main(['status'])
    assert 'Said by the node.' not in capsys.readouterr().out


# drawn

@pytest.mark.parametrize('board', ['docker_v2', 'zram_swap'])
def test_the_picture_finds_in_real_statuses_what_it_draws(board, tmp_path):
    """A key that is renamed in the report is renamed there too."""
    watcher = Sentinel(settings.build({}), root=str(trees.make(tmp_path / 'tree', board)))
    found = watcher.cycle().statuses
    drawn = {gauge.name: gauge for gauge in gauges(found)}
    assert {'Memory left', 'Swap left', 'Pressure', 'OOM risk'} <= set(drawn)
    assert ('Group left' in drawn) == (board == 'docker_v2')
    assert all(g.percent is not None and 'unknown' not in g.text for g in drawn.values())
    assert KILL_ORDER_OF in {key for s in found for key, _ in s.values}


def statuses(level=Level.OK, victim='amcl', percent='63.0', alarm='It would kill {}.'):
    """Return what a node would publish, as far as the picture looks."""
    return (
        Status('Memory', level, 'Fine.', (
            ('MemTotal (MiB)', '4000'), ('MemAvailable (%)', percent),
            ('SwapTotal (MiB)', '1000'), ('SwapFree (MiB)', '250'))),
        Status('Memory pressure', Level.OK, 'Fine.', (('some avg10 (%)', '3.00'),)),
        Status('Control groups', Level.OK, 'Fine.', (
            ('tightest', '/robot'), ('limit (MiB)', '512'), ('headroom (MiB)', '128'))),
        Status('OOM risk', Level.WARN, alarm.replace('{}', victim), (
            ('oom_risk (0..1)', '0.40'), ('time to exhaustion (s)', '90'))))


def row(name, growth='+3.0', rank='1'):
    """Return a row of the kill order."""
    return (rank, name, '1234', '15000', '1.5 %', '0', '58', growth, '0', '700', 'navigation')


def drawn(found, order=(), columns=100, rows=40, picture=None):
    """Return the lines of the picture on a terminal of this size, without color."""
    picture = picture or Picture('title')
    picture.statuses, picture.order = found, order
    console = new_console(False, columns, height=rows, file=io.StringIO())
    with console.capture() as captured:
        console.print(picture, end='')
    return captured.get().split('\n')


def test_the_picture_has_gauges_times_and_victims():
    """Headroom of memory, swap and group, pressure, time left, kill order with growth."""
    lines = drawn(statuses(), [row('/amcl')])
    text = '\n'.join(lines)
    assert lines[0].strip() == 'title' and len(lines) == 40
    assert re.search(r'Memory left .*63 % of 4000 MiB', text)
    assert re.search(r'Swap left .*25 % of 1000 MiB', text)
    assert re.search(r'Group left .*25 % of 512 MiB in /robot', text)
    assert '3.0 % of the last 10 s waited' in text and 'time left: 90 s' in text
    assert 'WARN  OOM risk: It would kill amcl.' in text
    assert re.search(r'RANK +NODE OR PROGRAM.*MiB/min', text)
    assert re.search(r'/amcl .*\+3\.0', text)
    assert lines[-1].startswith('q ends   ? keys')


def test_what_is_unknown_is_drawn_as_unknown_and_not_as_empty():
    """PSI off, MemAvailable missing."""
    made = (Status('Memory', Level.OK, '', (('MemAvailable (%)', 'unavailable (old)'),)),
            Status('Memory pressure', Level.OK, '', (('some avg10 (%)', 'unavailable (off)'),)))
    text = '\n'.join(drawn(made))
    assert re.search(r'Memory left +\? +unknown', text)
    assert re.search(r'Pressure +\? +not available', text)


@pytest.mark.parametrize('columns, rows', [(80, 24), (40, 15)])
def test_a_small_terminal_shows_the_alarm_whole_and_the_kill_order(columns, rows):
    """Whatever the length of the alarm, the first three of the kill order stand there."""
    words = ' '.join(f'word{i}' for i in range(30))
    lines = drawn(statuses(alarm=words), [row(f'/node_{i}', rank=str(i)) for i in range(1, 9)],
                  columns, rows)
    text = '\n'.join(lines)
    assert all(f'/node_{i}' in text for i in (1, 2, 3)) and len(lines) == rows
    picture, seen = Picture('title'), ''
    for _ in range(40):
        seen += '\n'.join(drawn(statuses(alarm=words), [row('/a')], columns, rows, picture))
        picture.press('down')
    assert all(f'word{i}' in seen for i in range(30)) and '...' not in seen


def test_keys_scroll_help_and_end():
    """Down and up move, never beyond the ends; ? shows the keys; q ends."""
    picture = Picture('title')
    many = [row(f'/node_{i}') for i in range(60)]
    for _ in range(500):
        assert picture.press('j')
    assert drawn(statuses(), many, 60, 12, picture)[-2].strip().startswith('OK')
    assert 0 < picture.scroll < 100
    picture.press('home')
    assert drawn(statuses(), many, 60, 12, picture)[0].strip() == 'title'
    picture.press('?')
    assert 'killed next' in '\n'.join(drawn(statuses(), many, 80, 24, picture))
    picture.press('?')
    assert 'killed next' not in '\n'.join(drawn(statuses(), many, 80, 24, picture))
    assert not picture.press('q')


@given(st.integers(1, 200), st.integers(1, 60), st.text(), st.text())
def test_no_name_and_no_size_breaks_the_picture(columns, rows, name, percent):
    """As many lines as rows, never a control character, never wider than the terminal."""
    lines = drawn(statuses(victim=name, percent=percent), [row(name)], columns, rows)
    assert len(lines) == rows
    assert all(cell_len(line) <= columns and line.isprintable() for line in lines)


def test_growth_is_told_per_minute_and_after_a_while():
    """6 MiB in 30 s are 12 a minute; one reading says nothing, and an ended process is gone."""
    def held(mib, start=1):
        return Process(7, start, 1, 0, Program('x'), memory=TaskMemory(mib << 20, 0, 0))

    growth = Growth()
    growth.take(0.0, [held(10)])
    assert growth.mib_per_min(held(10)) is None
    growth.take(30.0, [held(16)])
    assert growth.mib_per_min(held(16)) == 12.0
    assert growth.mib_per_min(held(16, start=2)) is None
    growth.take(31.0, [])
    assert growth.mib_per_min(held(16)) is None


# live

class Session:
    """`status --watch` on a terminal of its own."""

    def __init__(self, *words, rows=30, columns=100, env=None):
        """Start it."""
        self.control, terminal = pty.openpty()
        self.terminal = terminal
        self.resize(rows, columns)
        self.modes = termios.tcgetattr(terminal)
        self.child = subprocess.Popen(
            [sys.executable, '-m', 'oom_sentinel.cli', 'status', '--watch', *words],
            stdin=terminal, stdout=terminal, stderr=subprocess.PIPE, start_new_session=True,
            env={'TERM': 'xterm', **(env or os.environ)},
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        self.seen = b''

    def resize(self, rows, columns):
        """Give the terminal another size; the kernel sends SIGWINCH."""
        fcntl.ioctl(self.control, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def until(self, condition, what, timeout_s=60.0):
        """Read until the condition holds on what came since the last call; return it."""
        end, seen = time.monotonic() + timeout_s, b''
        while not condition(seen):
            if time.monotonic() > end:
                pytest.fail(f'not within {timeout_s:g} s: {what}; {seen[-500:]!r}')
            if select.select([self.control], [], [], 0.1)[0]:
                seen += os.read(self.control, 65536)
        return seen

    def close(self):
        """End it, whatever became of it."""
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        self.child.stderr.close()
        os.close(self.control)
        os.close(self.terminal)


@pytest.fixture
def session():
    """Return a maker of sessions, ended with the test."""
    made = []

    def start(*words, **options):
        made.append(Session(*words, **options))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.mark.parametrize('end', ['q', '\x03', signal.SIGTERM, signal.SIGHUP])
def test_a_live_picture_gives_the_terminal_back(session, end):
    """By key, by ctrl-c and by signals; the exit code says what was found last."""
    live = session()
    drawn = live.until(lambda seen: b'RANK' in seen, 'the first picture')
    assert drawn.count(ENTER) == 1 and b'Memory left' in drawn and b'q ends' in drawn
    live.until(lambda seen: b'RANK' in seen, 'a second picture')
    if isinstance(end, str):
        os.write(live.control, end.encode())
    else:
        live.child.send_signal(end)
    live.until(lambda seen: LEAVE in seen, 'the alternate screen is left')
    assert live.child.wait(20) in (0, 1), live.child.stderr.read()
    assert termios.tcgetattr(live.terminal) == live.modes


def test_a_new_size_is_drawn_at_once_and_fits(session):
    """Also a tiny one: no line is wider and none too many."""
    live = session(rows=30, columns=120)
    live.until(lambda seen: b'RANK' in seen, 'the first picture')
    live.resize(6, 30)

    def fits(seen):
        picture = seen.split(b'\x1b[H')[-1].decode('utf-8', 'replace')
        lines = re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', picture).split('\r\n')
        return len(lines) == 6 and lines[-1].startswith('q ends') and all(
            len(line) <= 30 for line in lines)

    live.until(fits, 'a picture of the new size')
    assert live.child.poll() is None


def test_a_dumb_terminal_gets_text(session):
    """No cursor is moved where none can be."""
    live = session(env={**os.environ, 'TERM': 'dumb'})
    seen = live.until(lambda seen: seen.count(b'oom_sentinel on ') == 2, 'two texts')
    assert b'\x1b' not in seen


def test_no_color_is_respected_on_a_terminal(session):
    """NO_COLOR, and --color over it."""
    env = {**os.environ, 'NO_COLOR': '1'}
    plain = session(env=env).until(lambda seen: b'RANK' in seen, 'a picture')
    assert not re.search(rb'\x1b\[\d*m', plain)
    tinted = session('--color', 'always', env=env).until(lambda seen: b'RANK' in seen, 'another')
    assert re.search(rb'\x1b\[\d+m', tinted)


def test_a_pipe_gets_plain_text_again_and_again():
    """Until interrupted; then the exit code is that of the statuses."""
    # A shell that runs the tests in the background makes its children ignore SIGINT.
    child = subprocess.Popen([sys.executable, '-m', 'oom_sentinel.cli', 'status', '--watch'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    try:
        titles = 0
        while titles < 2:
            line = child.stdout.readline()
            assert line, child.stderr.read()
            assert b'\x1b' not in line
            titles += line.startswith(b'oom_sentinel on ')
        child.send_signal(signal.SIGINT)
        assert child.wait(20) in (0, 1) and child.stderr.read() == b''
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        child.stderr.close()


def test_malformed_processes_are_counted_and_the_view_is_a_parameter():
    """A file that is no kernel's would else hide a process without a word."""
    view = View(1000, 0, 0)
    tree = pathlib.Path(__file__).parents[2] / 'fixtures' / 'vm-debian12-6.18'
    made = Sentinel(settings.build({}), root=str(tree), view=view, monotonic=lambda: 100.0)
    assert made.guard.view is view

    def shown():
        """Return the values of the next cycle."""
        return {status.name: dict(status.values) for status in made.cycle().statuses}
    assert shown()['Protection']['malformed processes'] == '0'
    made.table._reader.malformed = 3  # as after a reading that met three
    assert shown()['Protection']['malformed processes'] == '3'
    made.close(orderly=True)
