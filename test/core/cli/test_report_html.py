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

"""`oom_sentinel report`: one page of an incident, a log or a recording, loading nothing."""

import csv
import html.parser
import json
import pathlib
import re
import shutil
import subprocess
import sys

from oom_sentinel.cli import main
from oom_sentinel.cli.html import page as page_module
from oom_sentinel.cli.html import what_if
from oom_sentinel.cli.html.story import Task
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.incident import Incident
import pytest

ROOT = pathlib.Path(__file__).parents[3]
LOG = ROOT / 'test/fixtures/oom_logs/linux-6.18-cgroup1-several-kills.kmsg'
MIB = 1 << 20
PAGE = 4096
TOTAL = 2000 * MIB // PAGE
START_S = 1795000000.0
# name, program, group, PID, MiB at the start, MiB a second
NODES = (
    ('/amcl', 'amcl', 'navigation', 8041, 90, 4), ('/rviz2', 'rviz2', 'expendable', 8050, 150, 1),
    ('/slam_toolbox', 'slam', None, 8051, 160, 0), ('/lidar', 'rplidar_node', 'drivers', 8052,
                                                    14, 0))
HOSTILE = '/<script>alert(1)</script>\x1b[2J\u202e"onload=x'


def history(folder, nodes):
    """Write ten minutes in which amcl grows and memory ends."""
    with open(folder / 'history.csv', 'w', newline='', encoding='utf-8') as stream:
        writer = csv.writer(stream)
        writer.writerow(('time', 'mem_available_bytes', 'mem_total_bytes', 'swap_used_bytes',
                         'some_avg10_percent', 'full_avg10_percent', *(
                             f'{n[0]} (PID {n[3]}) {what}' for n in nodes
                             for what in ('rss_bytes', 'swap_bytes'))))
        for second in range(0, 300, 5):
            held = [n[4] + n[5] * second for n in nodes]
            writer.writerow((f'{START_S + second:.3f}', (2000 - sum(held)) * MIB, 2000 * MIB, '',
                             second / 4, second / 8, *(x for m in held for x in (m * MIB, 0))))


def incident(folder, nodes=NODES, **other):
    """Write an incident folder as a sentinel does and return it."""
    folder.mkdir(parents=True)
    history(folder, nodes)
    processes = [{
        'rank': i, 'pid': n[3], 'start_time': 1, 'comm': n[1], 'cmdline': [n[1]],
        'node_names': [n[0]], 'package': None, 'executable': n[1], 'group': n[2],
        'rss_bytes': (n[4] + 299 * n[5]) * MIB, 'swap_bytes': 0, 'page_table_bytes': MIB,
        'oom_score_adj': 0, 'badness': 1, 'oom_score': 700, 'predicted_oom_score': 700,
        'cgroup': '/'} for i, n in enumerate(nodes, 1)]
    (folder / 'processes.json').write_text(json.dumps({
        'host': 'robot1', 'time': START_S, 'totalpages': TOTAL, 'page_size': PAGE,
        'processes': processes}))
    (folder / 'incident.json').write_text(json.dumps({
        'victim_pid': 8041, 'victim_comm': 'amcl', 'time': START_S + 300.5, 'host': 'robot1',
        'constraint': 'CONSTRAINT_NONE', 'oom_score_adj': 0, 'node_names': ['/amcl'],
        'tasks': [], 'group': 'navigation', 'wanted': -300, 'node_found': 'by PID', **other}))
    (folder / 'kernel.log').write_text('Killed process 8041 (amcl) </pre><script>x</script>\n')
    return folder


def report(path, target, code=0):
    """Run the verb and return the page."""
    assert main(['report', str(path), '-o', str(target)]) == code
    return target.read_text(encoding='utf-8') if code == 0 else ''


class Checker(html.parser.HTMLParser):
    """Collects the elements, their open ones, and what they would load."""

    VOID = frozenset({'meta', 'link'})

    def __init__(self):
        """Begin outside of every element."""
        super().__init__()
        self.open, self.tags, self.loads = [], set(), []

    def handle_starttag(self, tag, attrs):
        """Remember a tag and its links."""
        self.tags.add(tag)
        self.loads += [v for k, v in attrs if k in ('src', 'href', 'srcset', 'data')]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        """End the element that was opened last."""
        assert self.open.pop() == tag


def checked(text):
    """Return what a page consists of; fail where it is not well formed."""
    checker = Checker()
    checker.feed(text)
    assert checker.open == []
    return checker


def test_a_page_of_an_incident_tells_the_kill_and_what_would_have_changed_it(tmp_path):
    """The victim, the task table, who was protected, our own badness, and three plots."""
    pytest.importorskip('matplotlib', reason='matplotlib is not installed here')
    text = report(incident(tmp_path / 'x'), tmp_path / 'page.html')
    assert '<h1>/amcl was killed at 2026-11-18' in text
    assert 'killed by the kernel' in text
    assert 'With navigation at -300 (it had 0) the kernel would' in text
    assert 'drivers at -400' in text and 'have taken /rviz2 (PID 8050)' in text
    assert re.search(r'<tr class="killed"><td>8041</td><td>\u2620 /amcl</td>', text)
    assert text.count('<svg') == 3 and 'kill: /amcl' in text


def test_nothing_is_loaded_and_nothing_runs(tmp_path):
    """No address but fragments and empty data, no script, and a policy that forbids both."""
    pytest.importorskip('matplotlib', reason='matplotlib is not installed here')
    text = report(incident(tmp_path / 'x'), tmp_path / 'page.html')
    found = checked(text)
    assert 'script' not in found.tags and 'img' not in found.tags
    assert all(link.startswith('#') or link == 'data:,' for link in found.loads)
    assert 'http://' not in text and 'https://' not in text and '@import' not in text
    assert "default-src 'none'" in text
    assert not re.search(r'url\((?!#)', text)


def test_words_from_outside_are_data(tmp_path):
    """A node's name with markup, escapes and bidi marks, and a log that ends its element."""
    nodes = (NODES[0], (HOSTILE, *NODES[1][1:]), *NODES[2:])
    text = report(incident(tmp_path / 'x', nodes), tmp_path / 'page.html')
    assert 'script' not in checked(text).tags
    assert '<script' not in text and '\x1b' not in text and '\u202e' not in text
    assert '&lt;script&gt;' in text


def test_without_matplotlib_the_page_has_tables_and_says_so(tmp_path, monkeypatch):
    """It is optional."""
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    text = report(incident(tmp_path / 'x'), tmp_path / 'page.html')
    assert 'matplotlib is not installed' in text and '<svg' not in text
    assert 'Memory before it happened' in text and '2026-11-18' in text


def test_the_folder_of_all_incidents_gives_the_newest(tmp_path):
    """Their names begin with the time."""
    incident(tmp_path / '20261126T000000Z_pid1_a')
    incident(tmp_path / '20261127T000000Z_pid2_b', node_names=['/newer'])
    assert '/newer was killed' in report(tmp_path, tmp_path / 'page.html')


@pytest.mark.parametrize('ended', [False, True])
def test_a_stall_has_a_page_too(tmp_path, ended):
    """A machine that froze without a kill, with those that grew most, as `kills` writes it."""
    folder = incident(tmp_path / 'x')
    (folder / 'incident.json').unlink()
    (folder / 'kernel.log').unlink()
    (folder / 'stall.json').write_text(json.dumps({
        'kind': 'stall', 'time': START_S + 250, 'host': 'robot1', 'some_avg10_percent': 90.0,
        'growth': [{'process': '/amcl (PID 8041)', 'grown_bytes': 700 * MIB,
                    'rss_bytes': 900 * MIB}, 'x', {'process': 3}]}))
    if ended:
        (folder / 'ended.json').write_text('{}')
    text = report(tmp_path, tmp_path / 'page.html')
    assert 'The machine stalled' in text and 'the kernel killed no process' in text
    assert ('The stall passed.' in text) == ended
    assert 'grew by 700 MiB to 900 MiB' in text
    checked(text)


STEPS = [{'time': START_S + 200, 'pid': 8050, 'process': '/rviz2', 'group': 'expendable',
          'step': 'interrupt', 'place': 'this machine', 'why': 'memory would be exhausted in 9 s',
          'result': 'ended', 'brought_bytes': 150 * MIB, 'took_s': 0.8}, 'x', {'step': 3}]


def test_what_was_shed_has_a_page_too(tmp_path):
    """Nothing was killed by the kernel, and the page says what was done instead."""
    folder = incident(tmp_path / 'x')
    (folder / 'incident.json').unlink()
    (folder / 'kernel.log').unlink()
    (folder / 'actions.json').write_text(json.dumps({
        'kind': 'shedding', 'time': START_S + 200, 'host': 'robot1', 'actions': STEPS}))
    text = report(tmp_path, tmp_path / 'page.html')
    assert 'Processes were ended before memory ran out' in text
    assert 'interrupt /rviz2 (PID 8050)' in text and 'brought 150 MiB in 0.8 s' in text
    checked(text)


def test_a_kill_that_shedding_did_not_avert_tells_what_was_shed(tmp_path):
    """Beside the kernel's own facts."""
    incident(tmp_path / 'x', actions=STEPS)
    text = report(tmp_path, tmp_path / 'page.html')
    assert 'was killed' in text and 'interrupt /rviz2 (PID 8050)' in text
    checked(text)


def test_a_kernel_log_has_a_section_for_each_kill(tmp_path):
    """With its task table by badness, and without plots, which is said."""
    text = report(LOG, tmp_path / 'page.html')
    assert text.count('<section>') > 1 and 'What this page lacks' in text
    assert 'Processes before the kill, by badness' in text and 'class="killed"' in text
    checked(text)


def test_a_recording_of_diagnostics_is_drawn(tmp_path):
    """rosbag2, sqlite3 and MCAP: available memory, groups, the kill marked."""
    pytest.importorskip('rosbags', reason='rosbags is not installed here')
    for storage in ('sqlite3', 'mcap'):
        text = report(recorded(tmp_path / storage, storage), tmp_path / f'{storage}.html')
        assert '<h1>1 OOM kill in a recording</h1>' in text
        assert 'The kernel killed /amcl' in text and 'robot1' in text
        if '<svg' in text:
            assert 'Group drivers' in text and 'kill: The kernel killed' in text
        checked(text)


def recorded(folder, storage):
    """Write a recording of a sentinel's diagnostics and return its folder."""
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer
    from rosbags.typesys import get_typestore
    from rosbags.typesys import Stores
    store = get_typestore(Stores.ROS2_HUMBLE)
    kinds = store.types
    array, one, pair, header, stamp = (kinds[name] for name in (
        'diagnostic_msgs/msg/DiagnosticArray', 'diagnostic_msgs/msg/DiagnosticStatus',
        'diagnostic_msgs/msg/KeyValue', 'std_msgs/msg/Header', 'builtin_interfaces/msg/Time'))

    def status(name, level, text, **values):
        return one(level=level, name=f'oom_sentinel: {name}', message=text, hardware_id='robot1',
                   values=[pair(key=k, value=v) for k, v in values.items()])

    with Writer(folder, version=9, storage_plugin=StoragePlugin[storage.upper()]) as writer:
        topic = writer.add_connection('/diagnostics', array.__msgtype__, typestore=store)
        for second in range(60):
            killed = second > 50
            moment = header(stamp=stamp(sec=second, nanosec=0), frame_id='')
            message = array(header=moment, status=[
                status('Memory', 0, 'x', **{'MemAvailable (MiB)': str(1000 - second),
                                            'MemTotal (MiB)': '2000', 'SwapTotal (MiB)': '0',
                                            'SwapFree (MiB)': '0'}),
                status('Memory pressure', 0, 'x', **{'some avg10 (%)': 'unavailable (off)'}),
                status('Group drivers', 0, 'x', **{'RSS (MiB)': str(second)}),
                status('OOM kills', 2 if killed else 0, 'The kernel killed /amcl.' if killed
                       else 'none', **{'since start': str(int(killed))})])
            writer.write(topic, int((START_S + second) * 1e9), store.serialize_cdr(
                message, array.__msgtype__))
    return folder


@pytest.mark.parametrize('killer', list(Killer))
def test_an_incident_as_the_sentinel_writes_it_is_read(tmp_path, killer):
    """Every key of incident.json, with the types that JSON gives back."""
    kill = OomKill(victim_pid=10, victim_comm='amcl', time=START_S, node_names=('/amcl',),
                   kind=killer, tasks=(OomTask(10, rss_pages=5, name='amcl'),))
    now = Sample(3.0, START_S, Host('robot', PAGE, '6.1.0', boot_id='boot'),
                 MemInfo(1 << 30, 0, 1 << 29), Unavailable('off'), VmStat(1))
    made = Incident(SeenKill(kill, 0.0, 'by PID'), now)
    folder = tmp_path / 'x'
    folder.mkdir()
    for name, content in made.files():
        (folder / name).write_bytes(content)
    text = report(folder, tmp_path / 'page.html')
    assert '/amcl' in text
    checked(text)


@pytest.mark.parametrize('make, said', [
    (lambda p: p / 'none', 'No such file'), (lambda p: p, 'neither an incident'),
    (lambda p: written(p / 'incident.json', '[1]').parent, 'no JSON object'),
    (lambda p: written(p / 'incident.json', '{').parent, 'not JSON'),
    (lambda p: written(p / 'incident.json', '[' * 10000).parent, 'not JSON'),
    (lambda p: written(p / 'incident.json', '{"victim_pid": "x"}').parent, 'victim_pid'),
    (lambda p: written(p / 'incident.json', '{"time": 1e999}').parent, 'time'),
    (lambda p: written(p / 'incident.json', '{"tasks": 3}').parent, 'tasks'),
    (lambda p: written(p / 'incident.json', '{"tasks": [{"pid": null}]}').parent, 'tasks'),
    (lambda p: written(p / 'a.mcap', 'x'), 'ros2 bag reindex'),
    (lambda p: written(p / 'empty.log', ''), 'empty.log')])
def test_unusable_input_is_exit_code_2_and_one_line(make, said, tmp_path, capsys):
    """What and where; no page is written."""
    report(make(tmp_path), tmp_path / 'page.html', code=2)
    err = capsys.readouterr().err
    assert said in err and len(err.splitlines()) == 1
    assert not (tmp_path / 'page.html').exists()


def written(path, text):
    """Write a file and return its path."""
    path.write_text(text)
    return path


def test_broken_companions_of_an_incident_are_named_and_the_rest_is_shown(tmp_path):
    """History, kill order and log may be missing after a power cut."""
    folder = incident(tmp_path / 'x')
    (folder / 'history.csv').write_text('garbage\0\n1,2')
    (folder / 'processes.json').write_text('{"totalpages": 401e999}')
    (folder / 'kernel.log').unlink()
    text = report(folder, tmp_path / 'page.html')
    assert '/amcl was killed' in text
    assert all(f'{name}' in text for name in ('history.csv', 'processes.json', 'kernel.log'))


def task(name, pid, mib, adj=0, killed=False, group=None, wanted=None):
    """Return a scored task."""
    return what_if.scored(Task(pid, name, mib * MIB, 0, 0, adj, None, group, wanted, killed),
                          TOTAL, PAGE)


def test_what_if_is_computed_with_the_kernels_own_badness():
    """The value from which the victim lives is exact: one more and it dies."""
    tasks = [task('amcl', 8, 500, killed=True), task('rviz2', 9, 400)]
    text = ' '.join(what_if.sentences(tasks, TOTAL, PAGE))
    value = int(re.search(r'oom_score_adj (-\d+) or lower amcl would have lived', text).group(1))
    for adj, first in ((value, 'rviz2'), (value + 1, 'amcl')):
        again = [task('amcl', 8, 500, adj), task('rviz2', 9, 400)]
        assert what_if.ranked(again)[0].name == first


def test_what_if_says_when_no_value_helps():
    """A leaker that holds nearly everything."""
    whole = ' '.join(what_if.sentences([task('leak', 8, 1999, killed=True), task('a', 9, 0)],
                                       TOTAL, PAGE))
    assert 'No oom_score_adj would have saved leak' in whole
    alone = ' '.join(what_if.sentences([task('leak', 8, 1, killed=True)], TOTAL, PAGE))
    assert 'only process' in alone
    assert what_if.sentences([task('a', 9, 5)], TOTAL, PAGE) == ()


def test_a_page_in_chromium_has_the_words_and_no_error(tmp_path):
    """What a browser shows, and what its console says."""
    browser = shutil.which('chromium') or shutil.which('chromium-browser')
    if browser is None:
        pytest.skip('chromium is not installed here')
    report(incident(tmp_path / 'x'), tmp_path / 'page.html')
    done = subprocess.run(
        [browser, '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking',
         '--no-first-run', f'--user-data-dir={tmp_path / "profile"}', '--enable-logging=stderr',
         '--dump-dom', (tmp_path / 'page.html').as_uri()],
        capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert '/amcl was killed' in done.stdout and 'What would have changed it' in done.stdout
    said = [line for line in done.stderr.splitlines() if 'CONSOLE' in line or 'page.html' in line]
    assert said == []


def test_a_script_in_the_page_would_be_stopped_and_seen(tmp_path, monkeypatch):
    """The test above can fail: the console tells of what the policy forbids."""
    browser = shutil.which('chromium') or shutil.which('chromium-browser')
    if browser is None:
        pytest.skip('chromium is not installed here')
    monkeypatch.setattr(page_module, 'STYLE', '</style><script>document.title="x"</script><style>')
    report(incident(tmp_path / 'x'), tmp_path / 'page.html')
    done = subprocess.run(
        [browser, '--headless', '--no-sandbox', '--disable-gpu', '--no-first-run',
         f'--user-data-dir={tmp_path / "profile"}', '--enable-logging=stderr', '--dump-dom',
         (tmp_path / 'page.html').as_uri()], capture_output=True, text=True, timeout=100)
    assert 'CONSOLE' in done.stderr and 'Content Security Policy' in done.stderr


def test_a_page_goes_to_standard_output_and_json_is_refused(tmp_path, capsys):
    """`-o -`; and JSON is what `kills` is for."""
    incident(tmp_path / 'x')
    assert main(['report', str(tmp_path / 'x'), '-o', '-']) == 0
    assert capsys.readouterr().out.startswith('<!DOCTYPE html>')
    assert main(['report', str(tmp_path / 'x'), '--json']) == 2
    assert 'kills --json' in capsys.readouterr().err
