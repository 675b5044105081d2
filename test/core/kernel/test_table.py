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

"""Identity, youth and bounds of the process table, on small trees and on this machine."""

import os
import pathlib
import re
import resource
import shutil
import subprocess
import sys
import time
import tracemalloc

from conftest import wait_for
from hypothesis import given
from hypothesis import HealthCheck
from hypothesis import settings
from hypothesis import strategies as st
from oom_sentinel import kernel
from oom_sentinel import sentinel
from oom_sentinel.kernel import process_files
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.root import CaptureError
from oom_sentinel.risk import badness
from oom_sentinel.settings import build
import pytest
import tree_files
import trees

HOSTILE_WORDS = 24000  # two bytes each, above what is looked through


@pytest.fixture
def tree(tmp_path):
    """Return the folder of a small tree with the processes 1, 400 and 500."""
    return pathlib.Path(trees.make(tmp_path / 'tree', 'turtlebot4'))


def process(table, pid, now_s):
    """Return one process of the table as read now, None when it is not there."""
    return next((p for p in table.read(now_s) if p.pid == pid), None)


def replace_folder(tree, pid):
    """Give /proc/PID another inode number and the same contents, as reclaim does."""
    folder = tree / f'proc/{pid}'
    shutil.copytree(folder, tree / 'copy', symlinks=True)
    before = folder.stat().st_ino
    os.rename(folder, tree / 'old')
    os.rename(tree / 'copy', folder)
    assert folder.stat().st_ino != before


def test_another_inode_with_the_same_start_time_is_the_same_process(tree):
    """What is known of it stays: here the names that a launch gave, and librcl in its maps."""
    table = kernel.Table(kernel.Root(str(tree)))
    before = process(table, 500, 0.0)
    table._entries[500].maps_librcl = True
    replace_folder(tree, 500)
    (tree / 'proc/500/comm').unlink()
    assert process(table, 500, 0.1) == before
    assert table._entries[500].maps_librcl and table._entries[500].since_s == 0.0


def test_another_start_time_is_another_process(tree):
    """Nothing is kept of the first one, with or without another inode."""
    for at_s, anew in ((10.0, True), (30.0, False)):
        table = kernel.Table(kernel.Root(str(tree)))
        before = process(table, 500, 0.0)
        if anew:
            replace_folder(tree, 500)
            shutil.rmtree(tree / 'old')
        file = tree / 'proc/500/stat'
        words = file.read_text().split()
        words[21] = str(before.start_time + 700)
        file.write_text(' '.join(words))
        process(table, 500, at_s)
        now = process(table, 500, at_s + 0.1)
        assert now.start_time == before.start_time + 700
        assert table._entries[500].since_s >= at_s


def test_user_and_control_group_of_a_young_process_are_read_again(tree):
    """A service starts as root in its manager's group, and changes both soon."""
    root = kernel.Root(str(tree))
    table = kernel.Table(root)
    assert process(table, 500, 100.0).uid == 1000
    file = tree / 'proc/500/status'
    file.write_text(file.read_text().replace('Uid:\t1000\t1000', 'Uid:\t1000\t1001'))
    assert table.read_young_again(100.2)
    assert {p.pid: p.uid for p in table.processes}[500] == 1001
    (tree / 'proc/500/cgroup').write_text('0::/system.slice\n')
    assert table.read_young_again(101.0)
    assert {p.pid: p.cgroup for p in table.processes}[500] == '/system.slice'
    assert not table.read_young_again(104.5)


def test_a_young_process_is_looked_at_ever_more_seldom(tree, monkeypatch):
    """Three times in its first 5 s, and its program only when it has run since."""
    table = kernel.Table(kernel.Root(str(tree)))
    table.read_started([500], 100.0)
    read, programs = table.root.read, []
    monkeypatch.setattr(table.root, 'read', lambda path, **more: (
        programs.append(path) if path == '/proc/500/cmdline' else None, read(path, **more))[1])
    looks = [at for at in (100 + 0.1 * n for n in range(60))
             if table._reader.due_again(table._entries[500], at)
             and not table.read_young_again(at)]
    assert len(looks) == 3 and looks[0] < 100.25 and not programs
    file = tree / 'proc/500/stat'
    table.read_started([500], 200.0)
    words = file.read_text().split()
    words[13] = str(int(words[13]) + 5)  # utime
    file.write_text(' '.join(words))
    programs.clear()
    table.read_young_again(200.2)
    assert programs


@pytest.mark.parametrize('exe, looks', [
    ('/usr/bin/sleep', [0.06, 0.5, 1.0, 4.0, 4.5, 20.0]), (None, 10), ('/usr/bin/bash', 10),
    ('/usr/bin/python3.11', 10), ('/usr/bin/setpriv', 10)])
def test_a_program_that_seldom_runs_another_is_asked_ever_more_seldom(
        tree, monkeypatch, exe, looks):
    """After a tenth of its age; a shell and the like at each look."""
    table = kernel.Table(kernel.Root(str(tree)))
    file = tree / 'proc/500/exe'
    file.unlink(missing_ok=True)
    if exe is not None:
        file.write_text(exe)
    table.read(100.0)
    assert table.read_started([500], 100.0)
    link, asked = table.root.link, []
    monkeypatch.setattr(table.root, 'link', lambda path: (
        asked.append(path == '/proc/500/exe'), link(path))[1])
    found = []
    for age_s in (0.06, 0.5, 0.51, 1.0, 1.02, 4.0, 4.2, 4.5, 4.6, 20.0):
        asked.clear()
        assert table.new_pids(100.0 + age_s) == ()
        found += [age_s] * any(asked)
    assert found == looks if isinstance(looks, list) else len(found) == looks
    file.unlink(missing_ok=True)
    file.write_text('/opt/node')
    assert table.new_pids(123.0) == (500,)


def test_a_program_is_judged_anew_only_when_one_of_its_facts_changed(tree, monkeypatch):
    """Name, words, executable, librcl in its maps, and a domain that could not be read."""
    table = kernel.Table(kernel.Root(str(tree)))
    judge, judged, mapped = table._reader.classify, [], []
    monkeypatch.setattr(table._reader, 'classify', lambda *facts: (
        judged.append(True), judge(*facts))[1])
    monkeypatch.setattr(table._reader, 'maps_due', lambda entry, now_s: bool(mapped))
    monkeypatch.setattr(process_files, 'maps_librcl', lambda root, pid: True)
    (tree / 'proc/500/environ').unlink(missing_ok=True)
    (tree / 'proc/500/cmdline').write_bytes(b'node\0x\0')
    table.read_started([500], 100.0)
    at_s = [100.0]

    def anew():
        """Return whether a reading of the program judges it."""
        judged.clear()
        at_s[0] += 0.1
        assert table._read_program(table._entries[500], at_s[0])
        return bool(judged)
    assert not anew()
    (tree / 'proc/500/cmdline').write_bytes(b'node\0y\0')
    assert anew() and not anew()
    stat_file = tree / 'proc/500/stat'
    words = stat_file.read_text()
    stat_file.write_text('500 (renamed)' + words.rpartition(')')[2])
    assert anew() and not anew()
    (tree / 'proc/500/exe').write_text('/opt/other')
    assert anew() and not anew()
    mapped.append(True)
    assert anew() and anew()  # it is ROS now, and its domain is not known
    (tree / 'proc/500/environ').write_bytes(b'ROS_DOMAIN_ID=3\0')
    assert anew() and not anew()
    assert table._entries[500].process.program.ros_domain_id == 3


@pytest.mark.parametrize('exec_events, others, known_s', [
    (False, 0, 10.0), (False, 600, 48.0), (False, 5000, 120.0), (True, 0, 120.0)])
def test_the_program_of_an_old_process_is_read_again(tree, exec_events, others, known_s):
    """Where execs are not reported every 10 s, less often beside many: 0.08 s a process."""
    table = kernel.Table(kernel.Root(str(tree)))
    table.exec_events = exec_events
    began_s = 1000.0
    for at_s in (0.0, began_s):  # it is old by then
        before = process(table, 500, at_s)
    (tree / 'proc/500/exe').write_text('/opt/another')
    table._entries.update((-pid, table._entries[1]) for pid in range(1, 1 + others))

    def exe(at_s):
        table.read(at_s, everything=False)
        table._entries.update((-pid, table._entries[1]) for pid in range(1, 1 + others))
        return next(p.program.exe for p in table.processes if p.pid == 500)
    assert exe(began_s + known_s - 1.0) == before.program.exe
    assert exe(began_s + known_s + 0.5) == '/opt/another'


def test_maps_are_read_again_only_of_a_process_that_has_run(monkeypatch):
    """A library that is loaded later takes page faults."""
    pids, code = [], 'import sys\nfor line in sys.stdin: bytearray(1 << 24); print(flush=True)\n'
    monkeypatch.setattr(process_files, 'maps_librcl',
                        lambda root, pid: pids.append(pid) is not None)
    child = subprocess.Popen([sys.executable, '-I', '-S', '-c', code], text=True,
                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        table = kernel.Table(kernel.Root('/'))
        child.stdin.write('\n')
        child.stdin.flush()
        assert child.stdout.readline() == '\n'  # it waits for the next line now
        time.sleep(0.1)
        table.read_started([child.pid], 100.0)
        for now_s in (100.2, 100.6, 102.1):
            table.read_young_again(now_s)
        assert pids == [child.pid]
        child.stdin.write('\n')
        child.stdin.flush()
        assert child.stdout.readline() == '\n'
        table.read_young_again(110.5)
        assert pids == [child.pid] * 2
    finally:
        child.kill()
        child.communicate()


def test_of_a_process_that_has_not_run_only_the_maps_are_read_that_were_not_yet(monkeypatch):
    """Where librcl is found, its program is judged anew."""
    child = subprocess.Popen(['sleep', '60'])
    found, reads = [], []
    try:
        stat_file = pathlib.Path(f'/proc/{child.pid}/stat')
        wait_for(lambda: '(sleep) S' in stat_file.read_text(), 'it sleeps')
        monkeypatch.setattr(process_files, 'maps_librcl', lambda root, pid: (
            reads.append('maps'), bool(found))[1])
        monkeypatch.setattr(process_files, 'command_line', lambda root, pid: (
            reads.append('words'), ['sleep', '60'])[1])
        table = kernel.Table(kernel.Root('/'))
        table.read_started([child.pid], 100.0)
        assert reads == ['words']
        for now_s, expected in ((100.2, []), (100.9, ['maps']), (104.0, [])):
            reads.clear()
            assert not table.read_young_again(now_s) and reads == expected
        table.read_started([child.pid], 200.0)
        found.append(True)
        reads.clear()
        assert table.read_young_again(200.6) and reads == ['maps', 'maps', 'words']
        assert table._entries[child.pid].process.program.ros
    finally:
        child.kill()
        child.wait()


def test_the_control_group_of_a_tracked_process_is_read_at_each_look(tree):
    """It may be moved at any age."""
    table = kernel.Table(kernel.Root(str(tree)))
    table.read(0.0)
    assert not table.refresh([500])
    (tree / 'proc/500/cgroup').write_text('0::/system.slice\n')
    assert table.refresh([500])
    assert {p.pid: p.cgroup for p in table.processes}[500] == '/system.slice'


def test_pid_1_of_a_container_is_no_init(tree):
    """Only that of the initial PID namespace is never killed."""
    for link, expected in (('pid:[4026531836]', True), ('pid:[4026532777]', False)):
        folder = tree / 'proc/self/ns'
        folder.mkdir(exist_ok=True)
        (folder / 'pid').write_text(link)
        table = kernel.Table(kernel.Root(str(tree)))
        assert process(table, 1, 0.0).initial_init is expected
        assert table.initial_pid_namespace is expected


def test_equal_programs_are_one_object(tree):
    """5000 equal processes hold one command line."""
    for pid in (600, 601):
        for name, text in tree_files.task(pid, 'sleep', cmdline=['sleep', '3600']).items():
            file = tree / name.lstrip('/')
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
    table = kernel.Table(kernel.Root(str(tree)))
    assert process(table, 600, 0.0).program is process(table, 601, 0.0).program


@pytest.mark.parametrize('raw', [
    b'ab\0' * HOSTILE_WORDS, b'x' * (1 << 20) + b'\0y\0', b'\0' * (1 << 20),
    b'/bin/x\0--ros-args\0-r\0__node:=' + b'n' * (1 << 20) + b'\0',
    b'/bin/x\0--ros-args\0' + b'-r\0__node:=n%d\0' * 9000])
def test_little_of_a_long_command_line_is_kept(tree, raw):
    """4 KiB of words, and names of nodes as ROS allows them."""
    (tree / 'proc/500/cmdline').write_bytes(raw)
    found = process(kernel.Table(kernel.Root(str(tree))), 500, 0.0).program
    assert sum(len(word) for word in found.cmdline) <= 4096 and len(found.cmdline) <= 256
    assert len(found.executable) <= 255 and len(found.node_names) <= 64
    assert all(len(name) <= 255 for name in found.node_names)


def test_a_hostile_command_line_costs_no_memory_of_ours():
    """400,000 short words, read from the real kernel: 256 KiB at the most, for a moment."""
    def more_stack():
        hard = resource.getrlimit(resource.RLIMIT_STACK)[1]
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
    code = 'import sys; print(flush=True); sys.stdin.read()'
    try:
        child = subprocess.Popen(
            [sys.executable, '-I', '-S', '-c', code, *['aa'] * 400_000], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, preexec_fn=more_stack)
    except OSError as error:
        pytest.skip(f'such a command line is not possible here: {error.strerror}')
    try:
        child.stdout.readline()
        table = kernel.Table(kernel.Root('/'))
        tracemalloc.start()
        found = table.one(child.pid)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found.program.cmdline[1:3] == ('-I', '-S') and peak < 256 * 1024
    finally:
        child.communicate()


def test_the_predicted_score_is_what_the_kernel_prints():
    """Of every process of this machine: badness counts the resident memory of stat."""
    root = kernel.Root('/')
    table, page_size = kernel.Table(root), root.host().page_size
    total = badness.machine_totalpages(root.meminfo(), page_size)
    version = root.host().kernel_version
    wrong = {None: None}

    def differences():
        return {p.pid: (expected, p.oom_score) for p in table.read(time.monotonic(), scores=True)
                if p.memory is not None and not p.initial_init
                and (expected := badness.oom_score(
                    badness.of(p, totalpages=total, page_size=page_size), totalpages=total,
                    kernel_version=version)) != p.oom_score}
    # A process that allocates between two reads differs once, a wrong formula always.
    for _ in range(20):
        found = differences()
        wrong = found if None in wrong else {pid: v for pid, v in found.items() if pid in wrong}
        if not wrong:
            return
    raise AssertionError(wrong)


@pytest.mark.parametrize('release, counted', [
    ('5.10.0-46', 'stat'), ('6.19.14+deb13', 'stat'), ('7.0.13+deb13', 'status'),
    ('7.3.4', 'status')])
def test_resident_memory_is_what_badness_counts_in_that_kernel(tree, release, counted):
    """The approximate number of stat up to 6.19, the exact one of status from 7.0 on."""
    capture(tree, f'{{"page_size": 4096, "wall_s": 0, "kernel": "{release}"}}')
    stat_file, status_file = tree / 'proc/500/stat', tree / 'proc/500/status'
    words = stat_file.read_text().split()
    words[23] = '5000'
    stat_file.write_text(' '.join(words))
    status_file.write_text(re.sub(r'VmRSS:.*', 'VmRSS:\t24000 kB', status_file.read_text()))
    found = process(kernel.Table(kernel.Root(str(tree))), 500, 0.0)
    assert found.memory.rss_bytes == {'stat': 5000 * 4096, 'status': 24000 * 1024}[counted]


def capture(tree, text):
    """Write capture.json."""
    (tree / 'capture.json').write_text(text)


def test_status_is_read_again_only_of_a_process_that_has_run(tree):
    """CPU ticks, page faults and pages of stat say so; a tracked one is read all the same."""
    stat_file, status_file = tree / 'proc/500/stat', tree / 'proc/500/status'
    table = kernel.Table(kernel.Root(str(tree)))
    table.read(0.0)
    status_file.write_text(re.sub(
        r'VmPTE:.*', 'VmPTE:\t640 kB', status_file.read_text()))
    before = process(table, 500, 60.0).memory.page_table_bytes
    assert before != 640 * 1024
    name, fields = stat_file.read_text().rsplit(') ', 1)
    fields = fields.split(' ')
    fields[11] = str(int(fields[11]) + 1)  # utime
    stat_file.write_text(f'{name}) {" ".join(fields)}')
    assert process(table, 500, 61.0).memory.page_table_bytes == 640 * 1024
    status_file.write_text(re.sub(
        r'VmPTE:.*', 'VmPTE:\t320 kB', status_file.read_text()))
    assert not table.refresh([500])
    assert process(table, 500, 62.0).memory.page_table_bytes == 320 * 1024


@pytest.mark.parametrize('text', [
    '{"page_size": 0, "wall_s": 0, "kernel": "6"}',
    '{"page_size": 4097, "wall_s": 0, "kernel": ""}',
    '{"page_size": 1%s, "wall_s": 0, "kernel": "6"}' % ('0' * 400),
    '{"page_size": 4096, "wall_s": 1%s, "kernel": "6"}' % ('0' * 400),
    '{"page_size": 4096, "wall_s": NaN, "kernel": "6"}',
    '{"page_size": 4096, "wall_s": 1e999, "kernel": "6"}',
    '{"page_size": 4096, "wall_s": 0, "kernel": "6", "clock_ticks": 0}',
    '{"page_size": 4096, "wall_s": 0, "kernel": "6", "boot_time": "x"}',
    '[' * 100000, '{"page_size": 4096}'])
def test_a_capture_with_impossible_values_is_refused(tree, text):
    """With the file's name, in one line."""
    capture(tree, text)
    with pytest.raises(CaptureError, match='capture.json') as caught:
        kernel.Root(str(tree))
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize('name', [
    'capture.json', 'proc/meminfo', 'proc/500/stat', 'proc/500/cmdline', 'proc/self/mountinfo'])
@pytest.mark.parametrize('kind', ['fifo', 'link out', 'zero'])
def test_a_file_that_is_none_of_the_tree_is_an_error_and_no_hang(tree, tmp_path, name, kind):
    """A FIFO, a link that leads out, /dev/zero."""
    (tree / name).unlink()
    if kind == 'fifo':
        os.mkfifo(tree / name)
    elif kind == 'link out':
        (tmp_path / 'secret').write_text('1 (x) S 1 ' + '0 ' * 48)
        os.symlink(tmp_path / 'secret', tree / name)
    else:
        os.symlink('/dev/zero', tree / name)

    def read_all():
        root = kernel.Root(str(tree))
        root.meminfo()
        kernel.Table(root).read()
    with pytest.raises(CaptureError, match=name.rpartition('/')[2]):
        read_all()


def test_a_malformed_process_is_an_error_of_a_capture(tree):
    """A number of 401 digits is none."""
    (tree / 'proc/500/oom_score_adj').write_text('1' * 401)
    with pytest.raises(CaptureError, match='oom_score_adj'):
        kernel.Table(kernel.Root(str(tree))).read()


def test_a_link_inside_the_tree_is_followed(tree):
    """As sysfs has many."""
    os.rename(tree / 'proc/meminfo', tree / 'proc/real')
    os.symlink('real', tree / 'proc/meminfo')
    assert kernel.Root(str(tree)).meminfo().mem_total_bytes > 0


def test_a_lack_of_descriptors_is_no_empty_table(tree, monkeypatch):
    """It is an error of the reading, or protection would believe that nobody is there."""
    table = kernel.Table(kernel.Root(str(tree)))
    table.read(0.0)

    def refuse(path, **more):
        raise OSError(24, 'Too many open files')
    monkeypatch.setattr(table.root, 'read', refuse)
    with pytest.raises(OSError, match='Too many'):
        table.read(1.0)


def test_a_process_that_began_another_program_is_read_anew():
    """By its PID, without a listing."""
    root = kernel.Root('/')
    table = kernel.Table(root)
    child = subprocess.Popen(['sh', '-c', 'read x; exec sleep 60'], stdin=subprocess.PIPE)
    try:
        wait_for(lambda: table.read_started([child.pid], 0.0)[0].program.comm == 'sh', 'the shell')
        child.stdin.write(b'\n')
        child.stdin.flush()
        wait_for(lambda: child.pid in table.new_pids(0.1), 'the exec shows')
        found, = table.read_started([child.pid], 0.2)
        assert found.program.executable == 'sleep' or found.program.comm == 'sleep'
        assert found.uid == os.geteuid() and found.cgroup == table.cgroups.path_of(child.pid)
        start = stat.parse(root.read(f'/proc/{child.pid}/stat')).start_time
        assert found.start_time == start
    finally:
        child.kill()
        child.communicate()


PARTS = st.sampled_from([
    b'', b'\0', b'\n', b'1', b'-1', b'9' * 401, b' ', b':', b'(', b')', b'/', b'/..', b'max',
    b'kB', b'MemTotal: 1 kB\n', b'0::/a/../..\n', b'500 (x) S ', b'0 ' * 60, b'Uid:\t1\t1\n',
    b'\xff\xfe', b' - cgroup2 x rw', b'--ros-args', b'__node:=a'])


@settings(max_examples=50, deadline=None, suppress_health_check=[
    HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from([
    'meminfo', 'vmstat', 'swaps', 'pressure/memory', 'loadavg', 'self/mountinfo', 'self/cgroup',
    '500/stat', '500/status', '500/cmdline', '500/cgroup', '500/oom_score_adj', '500/oom_score',
    'sys/vm/overcommit_memory']), data=st.lists(PARTS | st.binary(max_size=8)).map(b''.join))
def test_any_file_of_a_captured_tree_is_read_or_refused(tree, name, data):
    """The whole cycle on it raises nothing but CaptureError."""
    file = tree / 'proc' / name
    before = file.read_bytes()
    file.write_bytes(data)
    try:
        sentinel.Sentinel(build({}), root=str(tree)).cycle()
        kernel.Table(kernel.Root(str(tree))).read(scores=True)
    except CaptureError as refused:
        assert name in str(refused)
    finally:
        file.write_bytes(before)


def test_the_user_of_a_process_is_the_owner_of_its_folder():
    """The effective one, as its status says."""
    root = kernel.Root('/')
    assert process_files.user(root, os.getpid()) == os.geteuid()
    child = subprocess.Popen(['sleep', '60'], user=65534 if os.geteuid() == 0 else None)
    try:
        wanted = 65534 if os.geteuid() == 0 else os.geteuid()
        assert process_files.user(root, child.pid) == wanted
    finally:
        child.kill()
        child.wait()
