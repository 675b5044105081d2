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

"""Captured and broken trees: what cannot be read is said, and nothing else is lost."""

import json
import os
import pathlib
import shutil
import subprocess
import sys

from oom_sentinel import kernel
from oom_sentinel import sentinel
from oom_sentinel import settings
from oom_sentinel.cli import main
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.files import program
from oom_sentinel.kernel.root import CaptureError
import pytest

HERE = pathlib.Path(__file__).parents[1]
FIXTURES = sorted(path.parent for path in (HERE.parent / 'fixtures').glob('*/proc'))


@pytest.fixture
def tree(tmp_path):
    """Return a copy of this machine's captured tree that a test may break."""
    target = tmp_path / 'tree'
    shutil.copytree(FIXTURES[0], target, symlinks=True)
    return target


def cycle(tree):
    """Run a whole cycle on a tree and return status name -> status."""
    watcher = sentinel.Sentinel(settings.build({}), root=str(tree))
    return {s.name: s for s in watcher.cycle().statuses}


@pytest.mark.parametrize('fixture', FIXTURES, ids=lambda f: f.name)
def test_predicts_the_oom_scores_that_the_capture_holds(fixture, capsys):
    """On every captured board, through the command line's JSON."""
    assert main(['order', '--json', '--root', str(fixture)]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document['processes']) >= 5
    for process in document['processes']:
        assert process['predicted_oom_score'] == process['oom_score'], process
    assert [p['rank'] for p in document['processes'] if p['rank']] == sorted(
        p['rank'] for p in document['processes'] if p['rank'])


def test_no_pressure_no_cgroups_no_mem_available_no_swap(tree):
    """Each is said where it is missing; the other statuses go on."""
    os.unlink(tree / 'proc/pressure/memory')
    os.unlink(tree / 'proc/self/mountinfo')
    (tree / 'proc/meminfo').write_text('MemTotal: 1000000 kB\nMemFree: 500000 kB\n')
    statuses = cycle(tree)
    assert 'no pressure stall information' in statuses['Memory pressure'].message
    assert statuses['Control groups'].message.startswith('Not available')
    assert 'unavailable' in dict(statuses['Memory'].values)['MemAvailable (MiB)']
    assert dict(statuses['OOM risk'].values)['1st victim'] != 'none'


@pytest.mark.parametrize('name, data', [
    ('meminfo', 'MemTotal: x kB\n'), ('pressure/memory', 'some avg10=x\n'),
    ('vmstat', 'oom_kill\n')])
def test_a_malformed_file_is_unavailable_with_the_reason(tree, name, data):
    """A parse error ends in the status, not in the cycle."""
    (tree / 'proc' / name).write_text(data)
    root = kernel.Root(str(tree))
    read = {'meminfo': root.meminfo, 'pressure/memory': root.pressure, 'vmstat': root.vmstat}
    found = read[name]()
    assert isinstance(found, Unavailable) and name.rpartition('/')[2] in found.why
    assert len(cycle(tree)) == 10


@pytest.mark.parametrize('name', ['stat', 'status', 'cmdline', 'oom_score_adj'])
def test_a_process_that_vanishes_between_two_reads_is_left_out(tree, name):
    """Whichever file is the first to be gone."""
    victim = next(p for p in (tree / 'proc').iterdir() if p.name.isdigit())
    os.unlink(victim / name)
    found = kernel.Table(kernel.Root(str(tree))).read(float('inf'))
    assert int(victim.name) not in {p.pid for p in found} and len(found) >= 4


def test_hostile_command_lines_and_names(tree, capsys):
    """A 4 kB command line, invalid UTF-8, newlines: shown escaped, never raw."""
    victim = next(p for p in (tree / 'proc').iterdir() if p.name.isdigit())
    (victim / 'cmdline').write_bytes(b'/x/lib/p/a b)\n\x1b[31m\xff\0' + b'x' * 4000 + b'\0')
    (victim / 'exe').unlink(missing_ok=True)
    assert main(['order', '--root', str(tree), '--color', 'never']) == 0
    out = capsys.readouterr().out
    assert '\x1b' not in out and 'a b)' in out


@pytest.mark.parametrize('content', [None, '', '[]', '{"page_size": "x"}'])
def test_a_tree_without_a_valid_capture_json_is_refused(tree, content, capsys):
    """Exit code 2 and one line."""
    os.unlink(tree / 'capture.json')
    if content is not None:
        (tree / 'capture.json').write_text(content)
    with pytest.raises(CaptureError):
        kernel.Root(str(tree))
    assert main(['order', '--root', str(tree)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def synthetic(tree, version):
    """Make the tree one whose sentinel lives in /robot with a limit; from the documentation."""
    mount = tree / 'sys/fs/cgroup'
    kind = {1: 'cgroup cgroup rw,memory', 2: 'cgroup2 cgroup2 rw'}[version]
    (tree / 'proc/self/mountinfo').write_text(
        f'31 23 0:28 / /sys/fs/cgroup rw,relatime - {kind}\n')
    line = {1: '4:memory:/robot\n', 2: '0::/robot\n'}[version]
    (tree / 'proc/self/cgroup').write_text(line)
    files = {1: {'memory.limit_in_bytes': '104857600', 'memory.usage_in_bytes': '99614720',
                 'memory.oom_control': 'oom_kill_disable 1\nunder_oom 0\noom_kill 3',
                 'memory.stat': 'cache 0\ntotal_inactive_file 0'},
             2: {'memory.max': '104857600', 'memory.current': '99614720',
                 'memory.oom.group': '1', 'memory.events': 'low 0\noom 4\noom_kill 3',
                 'memory.stat': 'anon 1\ninactive_file 0', 'memory.swap.max': 'max'}}[version]
    for folder in (mount, mount / 'robot'):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / 'cgroup.controllers').write_text('cpu memory')
        (folder / 'cgroup.procs').write_text('')
    for name, text in files.items():
        (mount / 'robot' / name).write_text(text + '\n')
    pids = [p.name for p in (tree / 'proc').iterdir() if p.name.isdigit()][:3]
    (mount / 'robot/cgroup.procs').write_text('\n'.join(pids) + '\n')
    return pids


@pytest.mark.parametrize('version', [1, 2])
def test_a_limited_cgroup_is_found_judged_and_ordered_inside(tree, version):
    """Limit, usage, kills, group kill and disabled kill; only members can be its victims."""
    pids = synthetic(tree, version)
    statuses = cycle(tree)
    values = dict(statuses['Control groups'].values)
    assert (values['tightest'], values['limit (MiB)'], values['oom_kill']) == (
        '/robot', '100', '3')
    assert statuses['Control groups'].level == 1
    risk = dict(statuses['OOM risk'].values)
    assert risk['kill order of'] == '/robot' and risk['totalpages'] == '25600'
    assert any(f'PID {pid},' in risk['1st victim'] for pid in pids)
    if version == 2:
        assert 'memory.oom.group=1 on /robot' in statuses['Protection'].message
        assert statuses['Protection'].level == 2
    else:
        assert 'oom_kill_disable' in ' '.join((statuses['OOM risk'].message,
                                               statuses['Control groups'].message))


@pytest.mark.parametrize('limit, local, high', [
    ('max', 'high 0', None), ('104857600', 'high 3', 3), ('104857600', None, 9)])
def test_throttling_is_counted_in_the_group_itself(tree, limit, local, high):
    """The counter of memory.events grows for the groups below; Linux 5.2 has another."""
    synthetic(tree, 2)
    folder = tree / 'sys/fs/cgroup/robot'
    (folder / 'memory.high').write_text(f'{limit}\n')
    (folder / 'memory.events').write_text('low 0\nhigh 9\noom_kill 3\n')
    if local is not None:
        (folder / 'memory.events.local').write_text(f'low 0\n{local}\noom_kill 3\n')
    found = MemoryCgroups(kernel.Root(str(tree))).group('/robot')
    assert (found.high, found.oom_kill) == (high, 3)


def test_a_container_without_cgroup_namespace_finds_its_own_limit(tree):
    """The mount's root is the container's path, /proc/self/cgroup shows the host's."""
    synthetic(tree, 2)
    (tree / 'proc/self/mountinfo').write_text(
        '31 23 0:28 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n')
    (tree / 'proc/self/cgroup').write_text('0::/docker/abc/robot\n')
    assert MemoryCgroups(kernel.Root(str(tree))).path_of('self') == '/robot'


def test_plan_of_a_tree_and_its_bad_input(tree, tmp_path, capsys):
    """Exit codes 0 and 2, one line on standard error that names file and key."""
    good = tmp_path / 'good.yaml'
    good.write_text('oom_sentinel:\n  ros__parameters:\n    group:\n      expendable:\n'
                    "        match: ['exe:*']\n    groups: [expendable]\n")
    assert main(['plan', '--root', str(tree), '--params-file', str(good), '--json']) == 0
    found = json.loads(capsys.readouterr().out)['adjustments']
    assert found and all(a['wanted'] == a['achievable'] == 300 for a in found)
    for text, words in (('/**:\n  ros__parameters:\n    scan_period: 99\n', 'scan_period'),
                        ('- 1\n', 'expected node names'), ('a: [', 'not YAML')):
        bad = tmp_path / 'bad.yaml'
        bad.write_text(text)
        assert main(['plan', '--root', str(tree), '--params-file', str(bad)]) == 2
        err = capsys.readouterr().err
        assert words in err and str(bad) in err and len(err.splitlines()) == 1


def test_an_unknown_verb_or_number_is_usage():
    """Exit code 2."""
    for words in (['dance'], ['order', '-n', '0'], ['plan']):
        with pytest.raises(SystemExit) as caught:
            main(words)
        assert caught.value.code == 2


def test_proc_with_hidepid_shows_only_own_processes():
    """As another user below a /proc that hides the others', order still works."""
    if os.geteuid() != 0 or not shutil.which('unshare') or not shutil.which('setpriv'):
        pytest.skip('mounting /proc anew needs root, unshare and setpriv')
    inner = ('mount -t proc -o hidepid=2 proc /proc || exit 77; exec setpriv --reuid=65534 '
             '--regid=65534 --clear-groups "$0" -m oom_sentinel.cli order --json')
    done = subprocess.run(['unshare', '--mount', 'sh', '-c', inner, sys.executable],
                          capture_output=True, text=True, cwd=pathlib.Path(__file__).parents[3])
    if done.returncode in (77, 126) or 'Permission denied' in done.stderr \
            or 'shared libraries' in done.stderr:  # an interpreter below root's home
        pytest.skip(f'not possible here: {done.stderr.strip()[-120:]}')
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document['processes'] and all(
        'oom_sentinel' in ' '.join(p['cmdline']) for p in document['processes'])


def test_an_interpreter_is_not_its_namesake():
    """A program may be called pythonista, python3.11 is an interpreter."""
    assert program.classify('x', ['/usr/bin/pythonista', 'a.py'],
                            '/usr/bin/pythonista').executable == 'pythonista'


def test_a_process_that_was_met_before_it_joined_its_control_group_is_found_there(tree):
    """A service manager's child joins between fork and exec, and may be seen in between."""
    place = next(p for p in tree.glob('proc/[0-9]*/cgroup')
                 if 'memory:/robot' in p.read_text(encoding='ascii'))
    pid, inside = int(place.parent.name), place.read_text(encoding='ascii')
    place.write_text('\n'.join(line.rpartition(':')[0] + ':/' for line in inside.splitlines()),
                     encoding='ascii')
    table = kernel.Table(kernel.Root(str(tree)))

    def path(now_s):
        return next(p.cgroup for p in table.read(now_s) if p.pid == pid)
    assert path(0.0) == '/'
    place.write_text(inside, encoding='ascii')
    assert path(0.5) == '/robot'


class Counting(sentinel.Sentinel):
    """A sentinel that counts its scans."""

    scans = 0

    def scan(self, *, new=False):
        """Scan, and count."""
        self.scans += 1
        super().scan(new=new)


def test_events_that_go_on_cannot_put_a_scan_off_for_ever(tree):
    """A cycle that something woke tells first; a scan that is long due comes all the same."""
    now_s = [100.0]
    watcher = Counting(settings.build({'scan_period': 2.0}), root=str(tree),
                       monotonic=lambda: now_s[0])
    watcher.cycle()
    scans = watcher.scans
    for _ in range(40):
        now_s[0] += 0.25
        watcher.cycle(('memory pressure',))
    assert 2 <= watcher.scans - scans <= 5
