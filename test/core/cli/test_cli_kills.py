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

"""`oom_sentinel kills`: the document, the words, the exit codes, and every kind of input."""

import bz2
from dataclasses import replace
import gzip
import io
import json
import lzma
import os
import pathlib
import sys
import time

from oom_sentinel.cli import kill_places
from oom_sentinel.cli import logs
from oom_sentinel.cli import main
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Container
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kernel import log
from oom_sentinel.kernel.log import Kmsg
from oom_sentinel.kernel.log.journal import GRANT as JOURNAL_GRANT
import pytest

LOGS = pathlib.Path(__file__).parents[2] / 'fixtures' / 'oom_logs'
ONE = LOGS / 'linux-6.18-cgroup1-one-kill.kmsg'
SEVERAL = LOGS / 'linux-6.18-cgroup1-several-kills.kmsg'
SEED = LOGS / 'el6-seed.syslog'
KEYS = [
    'time', 'boot_time_s', 'kernel_format', 'trigger_comm', 'constraint', 'victim_pid',
    'victim_comm', 'victim_uid', 'total_vm_bytes', 'anon_rss_bytes', 'file_rss_bytes',
    'shmem_rss_bytes', 'page_table_bytes', 'oom_score_adj', 'score', 'oom_memcg', 'task_memcg',
    'cause', 'order', 'gfp_mask', 'free_bytes', 'kernel_release', 'node_names', 'tasks',
    'page_size', 'totalpages', 'predicted_victim_pid', 'disagreement', 'source', 'certainty']
TASK_KEYS = ['pid', 'uid', 'tgid', 'total_vm_pages', 'rss_pages', 'page_table_bytes',
             'swap_entries', 'oom_score_adj', 'name']


@pytest.fixture(autouse=True)
def no_incidents(tmp_path, monkeypatch):
    """Keep the incident folders of this machine's own sentinels out."""
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'ros'))


def run(capsys, *words, code=1):
    """Run the verb and return what it printed."""
    assert main(['kills', *(str(word) for word in words)]) == code
    return capsys.readouterr()


def document(capsys, *words, code=1):
    """Return the kills of the JSON document."""
    said = json.loads(run(capsys, '--json', *words, code=code).out)
    assert list(said) == ['kills']
    return said['kills']


def test_the_document_has_exactly_the_promised_keys(capsys):
    """INTERFACE.md is the contract, for kills and for tasks, and what the log lacks is null."""
    (real,) = document(capsys, '--file', ONE)
    assert list(real) == KEYS and [list(task) for task in real['tasks']] == [TASK_KEYS]
    (old,) = document(capsys, '--file', SEED)
    assert list(old) == KEYS and old['node_names'] == old['tasks'] == []
    assert [key for key in KEYS if old[key] is None] == [
        'boot_time_s', 'trigger_comm', 'constraint', 'shmem_rss_bytes', 'page_table_bytes',
        'oom_score_adj', 'oom_memcg', 'task_memcg', 'order', 'gfp_mask', 'free_bytes',
        'kernel_release', 'page_size', 'totalpages', 'predicted_victim_pid']


def test_a_kill_is_told_in_sentences(capsys):
    """When, who, why, what ate the memory, whether it was protected."""
    said = run(capsys, '--file', ONE).out
    for words in ('959.010 s after boot: python3 (PID 14999)', 'control group /roslab_x reached',
                  '150 MiB', 'What ate the memory: python3 (PID 14999) 156 MiB',
                  'not protected (oom_score_adj 0)', 'table predicts this victim',
                  'the kernel said so', '1 OOM kill in '):
        assert words in said


@pytest.mark.parametrize('pack', [gzip.compress, bz2.compress, lzma.compress, bytes],
                         ids=['gz', 'bz2', 'xz', 'plain'])
@pytest.mark.parametrize('by_pipe', [False, True], ids=['file', 'stdin'])
def test_packed_logs_are_read_by_their_content(pack, by_pipe, capsys, tmp_path, monkeypatch):
    """A name tells nothing: rotated logs are mailed and renamed."""
    path = tmp_path / 'log'
    path.write_bytes(pack(SEVERAL.read_bytes()))
    if by_pipe:
        monkeypatch.setattr(sys, 'stdin', io.TextIOWrapper(io.BytesIO(path.read_bytes())))
    assert [k['victim_pid'] for k in document(capsys, '--file', '-' if by_pipe else path)] == [
        15734, 15777, 15820, 15863, 15906]


def test_a_damaged_log_gives_what_it_holds_and_exit_code_2(capsys, tmp_path):
    """Half a gz is what a robot that lost power leaves."""
    path = tmp_path / 'kern.log.1.gz'
    path.write_bytes(gzip.compress(SEVERAL.read_bytes())[:-400])
    said = run(capsys, '--json', '--file', path, code=2)
    assert json.loads(said.out)['kills']
    assert said.err.count('\n') == 1 and 'damaged' in said.err and str(path) in said.err


@pytest.mark.parametrize('words', [
    ['--file', '/nowhere/kern.log'], ['--file', '/'], ['--root', '/nowhere']])
def test_unreadable_input_is_one_line_that_says_where(words, capsys):
    """Exit code 2, and nothing on standard output."""
    said = run(capsys, *words, code=2)
    assert said.out == '' and said.err.count('\n') == 1 and words[1] in said.err


def test_a_log_without_kills_is_fine(capsys, tmp_path):
    """Exit code 0 and an empty list."""
    path = tmp_path / 'syslog'
    path.write_bytes(b'Nov 26 08:30:48 robot ros2[12]: Killed process? no\n' * 1000)
    assert document(capsys, '--file', path, code=0) == []
    assert 'No OOM kills in ' in run(capsys, '--file', path, code=0).out


def test_since_leaves_older_kills_out(capsys):
    """The seed is of 10 January; a kill whose time is unknown stays."""
    (kill,) = document(capsys, '--file', SEED)
    before, after = f'@{kill["time"] - 1}', f'@{kill["time"] + 1}'
    assert document(capsys, '--file', SEED, '--since', before) == [kill]
    assert document(capsys, '--file', SEED, '--since', after, code=0) == []
    assert len(document(capsys, '--file', ONE, '--since', after)) == 1


@pytest.mark.parametrize('text', ['', 'soon', '3', '@x', '2026-13-01', '9' * 400 + 'd'])
def test_a_senseless_since_is_refused(text, capsys):
    """Exit code 2 and the forms that there are."""
    with pytest.raises(SystemExit) as caught:
        main(['kills', f'--since={text}'])
    assert caught.value.code == 2
    assert 'yesterday' in capsys.readouterr().err


@pytest.mark.parametrize('text', ['now', 'yesterday', 'today', '2h', '3 days ago', '90min', '-1w',
                                  '2026-11-26', '2026-11-26 08:30', '2026-11-26T08:30:00Z'])
def test_a_sensible_since_is_taken(text, capsys):
    """As journalctl takes them."""
    assert len(document(capsys, '--file', ONE, f'--since={text}')) == 1


def test_rotated_logs_are_read_once_each_kill(capsys, tmp_path):
    """The kernel's messages are in kern.log and in syslog; a rotation may cut a report."""
    folder = tmp_path / 'var' / 'log'
    folder.mkdir(parents=True)
    lines = [b'2026-11-26T08:30:48.123456+00:00 robot kernel: [%s.%s] %s\n' % (
        boot[:-6], boot[-6:], text) for boot, text in (
            (line.split(b',')[2], line.split(b';', 1)[1])
            for line in SEVERAL.read_bytes().splitlines())]
    (folder / 'kern.log').write_bytes(b''.join(lines[300:]))
    (folder / 'kern.log.1').write_bytes(b''.join(lines[100:300]))
    (folder / 'kern.log.2.gz').write_bytes(gzip.compress(b''.join(lines[:100])))
    (folder / 'syslog').write_bytes(b''.join(lines))
    (folder / 'kern.log.swp').write_bytes(b'no log of the kernel')
    found = document(capsys, '--root', tmp_path)
    assert [kill['victim_pid'] for kill in found] == [15734, 15777, 15820, 15863, 15906]
    assert [kill['predicted_victim_pid'] for kill in found] == [
        kill['victim_pid'] for kill in found]


def test_the_nodes_come_from_the_incident_folders(capsys, tmp_path):
    """What a live sentinel knew of the process names the nodes of the log's kill."""
    folder = tmp_path / 'ros' / 'oom_sentinel' / '20261126T083048Z_pid14999_amcl'
    folder.mkdir(parents=True)
    (kill,) = document(capsys, '--file', ONE)
    (folder / 'incident.json').write_text(json.dumps({
        **kill, 'node_names': ['/amcl'], 'group': 'navigation', 'wanted': -300}))
    (folder.parent / 'broken').mkdir()
    (folder.parent / 'broken' / 'incident.json').write_text('{"victim_pid": ')
    (named,) = document(capsys, '--file', ONE)
    assert named == {**kill, 'node_names': ['/amcl']}
    said = run(capsys, '--file', ONE).out
    assert '/amcl (python3, PID 14999)' in said and 'group navigation wanted -300' in said


def test_nothing_readable_says_what_gives_the_right(capsys, monkeypatch):
    """The group or the sysctl, each with the source that it opens; also tested in a container."""
    monkeypatch.setattr(kill_places, 'container', lambda root: None)
    monkeypatch.setattr(logs, 'of_host', lambda since_s: logs.Found(refused=(
        f'/dev/kmsg: Operation not permitted; {log.KMSG_GRANT}',
        f'journal: nothing; {JOURNAL_GRANT}')))
    said = run(capsys, code=2)
    assert said.err.count('\n') == 1
    for words in ('kernel.dmesg_restrict', 'adm', 'systemd-journal'):
        assert words in said.err


def test_a_line_that_is_not_understood_is_said(capsys, tmp_path):
    """Exit code 1, the count, and the first line's number, beside text and in JSON."""
    path = tmp_path / 'log'
    path.write_bytes(b'[1.0] usb\n[2.0] x\n[3.0] Out of memory: Killing task 7 (x), take cover\n')
    assert '1 line looks like an OOM kill in an unknown form, first at line 3' in run(
        capsys, '--file', path).out
    said = json.loads(run(capsys, '--json', '--file', path).out)
    assert said['kills'] == [] and 'first at line 3' in said['unknown'][0]


def test_a_log_without_the_kernel_says_so(capsys, tmp_path):
    """A program's own log was given by mistake."""
    path = tmp_path / 'ros.log'
    path.write_bytes(b'[INFO] [controller_server]: Passing new path to controller.\n' * 9)
    assert 'holds no message of the kernel' in run(capsys, '--file', path, code=0).out
    path.write_bytes(b'[    1.000000] usb 1-1: new device\n')
    assert 'no message' not in run(capsys, '--file', path, code=0).out


def test_since_says_how_far_back_a_log_reaches(capsys, tmp_path):
    """Nothing found before the log begins means nothing."""
    path = tmp_path / 'syslog'
    path.write_bytes(b'2026-11-26T08:30:48+00:00 robot kernel: usb 1-1: new device\n')
    said = run(capsys, '--file', path, '--since', '2026-11-01', code=0).out
    assert 'oldest line is of 2026-11-26' in said
    assert 'oldest' not in run(capsys, '--file', path, '--since', '2026-11-27', code=0).out


def test_several_kills_are_one_line_each(capsys):
    """The story of each with -v, of one with --pid."""
    said = run(capsys, '--file', SEVERAL).out
    assert said.count('(PID ') == 5 and 'What ate' not in said and 'CERTAINTY' in said
    assert run(capsys, '-v', '--file', SEVERAL).out.count('What ate the memory') == 5
    assert run(capsys, '--pid', '15820', '--file', SEVERAL).out.count('What ate the memory') == 1


@pytest.mark.parametrize('text', ['@inf', '@nan', '@-1e400', '@1e30'])
def test_a_time_that_no_clock_shows_is_refused(text, capsys):
    """Not a traceback."""
    with pytest.raises(SystemExit) as caught:
        main(['kills', f'--since={text}'])
    assert caught.value.code == 2 and capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize('content', [
    '[]', '{"node_names": 5}', '{"victim_pid": "x", "time": 1e999, "node_names": ["/a"]}',
    '{"time": null, "node_names": [1]}', '[' * 9999])
def test_an_incident_of_wrong_types_is_left_out(content, capsys, tmp_path):
    """The log stands alone then."""
    folder = tmp_path / 'ros' / 'oom_sentinel' / 'x'
    folder.mkdir(parents=True)
    (folder / 'incident.json').write_text(content)
    (folder.parent / 'pipe').mkdir()
    os.mkfifo(folder.parent / 'pipe' / 'incident.json')
    assert len(document(capsys, '--file', ONE)) == 1


def test_a_tree_with_pipes_and_links_is_read_without_waiting(capsys, tmp_path):
    """A FIFO, a link out of the tree and a folder are no logs."""
    folder = tmp_path / 'var' / 'log'
    folder.mkdir(parents=True)
    os.mkfifo(folder / 'kern.log')
    (folder / 'syslog').symlink_to(ONE)
    (folder / 'messages').mkdir()
    said = run(capsys, '--root', tmp_path, code=2)
    assert said.out == '' and said.err.count('\n') == 1


@pytest.mark.parametrize('kills_counted, code', [(2, 1), (0, 0), (None, 2)])
def test_in_a_container_its_counter_answers_for_the_log(capsys, monkeypatch, kills_counted, code):
    """Exit code and limit from it; 2 where it is not readable; no usermod in a container."""
    monkeypatch.setattr(logs, 'of_host', lambda since_s: logs.Found(refused=(
        f'journal: nothing; {JOURNAL_GRANT}',)))
    monkeypatch.setattr(kill_places, 'container', lambda root: Container('Docker', 'told'))
    monkeypatch.setattr(kill_places.MemoryCgroups, 'path_of', lambda cgroups, pid: '/')
    monkeypatch.setattr(kill_places.MemoryCgroups, 'chain', lambda cgroups, path: CgroupChain(
        path, (MemoryCgroup('/', 2, 300 << 20, oom_kill=kills_counted),), 'hidden'))
    monkeypatch.setattr(kill_places.MemoryCgroups, 'mount', 'there', raising=False)
    said = run(capsys, code=code)
    assert 'usermod' not in said.out + said.err and 'on the host' in said.err
    assert ('hit twice' in said.out) is (code == 1)
    assert ('300 MiB' in said.out) is (code != 2)


def test_in_a_container_below_wsl2_the_log_is_that_of_its_distributions(capsys, monkeypatch):
    """There is no other host that a user could ask."""
    monkeypatch.setattr(logs, 'of_host', lambda since_s: logs.Found())
    monkeypatch.setattr(kill_places, 'container', lambda root: Container('Docker', 'told'))
    monkeypatch.setattr(kill_places, '_on_wsl', lambda root: True)
    monkeypatch.setattr(kill_places.MemoryCgroups, 'path_of', lambda cgroups, pid: '/')
    monkeypatch.setattr(kill_places.MemoryCgroups, 'chain', lambda cgroups, path: CgroupChain(
        path, (MemoryCgroup('/', 2, oom_kill=1),), 'hidden'))
    monkeypatch.setattr(kill_places.MemoryCgroups, 'mount', 'there', raising=False)
    said = ' '.join(run(capsys, code=1).out.split())
    assert 'in a WSL 2 distribution' in said
    assert 'no memory limit of its own: the machine, or a group around it, was short.' in said


def test_other_containers_kills_are_not_this_ones():
    """With the host's cgroup namespace the outer groups count everybody's kills."""
    own, outer = MemoryCgroup('/docker/a', 2, oom_kill=0), MemoryCgroup('/docker', 2, oom_kill=7)
    root = MemoryCgroup('/', 2)
    assert CgroupChain('/docker/a', (own, outer, root)).container_group == own
    inner = MemoryCgroup('/init', 2, oom_kill=0)
    private = MemoryCgroup('/', 2, oom_kill=3)
    assert CgroupChain('/init', (inner, private), 'hidden').container_group == private
    assert CgroupChain('/').container_group is None


def test_a_forged_line_is_unconfirmed(monkeypatch):
    """Any program may write to a plain syslog file: this process lives and is older."""
    now_s = time.time()
    kill = OomKill(victim_pid=os.getpid(), victim_comm='amcl', time=now_s + 2.0,
                   source='/var/log/syslog')
    assert kill_places.confirmed(kill, now_s).certainty == 'unconfirmed'
    assert kill_places.confirmed(replace(kill, source='journal'), 0.0).certainty != 'unconfirmed'


def test_a_group_or_allocating_victim_did_not_outgrow_anything(capsys, tmp_path):
    """Scores do not count there."""
    path = tmp_path / 'log'
    path.write_bytes(b'[5.0] Out of memory (oom_kill_allocating_task): Killed process 7 (x) '
                     b'total-vm:9kB, anon-rss:9kB, file-rss:0kB, shmem-rss:0kB, UID:0 '
                     b'pgtables:4kB oom_score_adj:-500\n')
    said = run(capsys, '--file', path).out
    assert 'outgrew' not in said and 'does not count here' in said


def test_the_kernels_buffer_is_read_to_its_end(capsys, monkeypatch, tmp_path):
    """A kill stands behind what the kernel said while it booted."""
    size = 256
    lines = [b'6,%d,%d,-;booting' % (n, 1000 * n) for n in range(700)]
    lines.append(b'3,700,5000000,-;Memory cgroup out of memory: Killed process 4242 (amcl) '
                 b'total-vm:9kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:8kB '
                 b'oom_score_adj:0')
    path = tmp_path / 'kmsg'
    path.write_bytes(b''.join(line.ljust(size - 1) + b'\n' for line in lines))
    monkeypatch.setattr(log.kmsg, 'RECORD_BYTES', size)
    monkeypatch.setattr(logs.log, 'Kmsg', lambda: Kmsg(str(path)))
    monkeypatch.setattr(logs, '_of_journal', lambda since_s: logs.Found())
    monkeypatch.setattr(logs, 'below', lambda folder: logs.Found())
    assert '(PID 4242)' in run(capsys, code=1).out
