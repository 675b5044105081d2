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

"""When the process table is read, and how much of it."""

import pathlib
import shutil

from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.facts.protection import Target
from oom_sentinel.kernel import process_files
from oom_sentinel.kernel.scanning import Scanner
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.guard import Guard
from oom_sentinel.protection.plan import Plan
from oom_sentinel.sentinel import Sentinel
import pytest
import tree_files
import trees


@pytest.fixture
def tree(tmp_path):
    """Return the folder of a small tree with the processes 1, 400 and 500."""
    return trees.make(tmp_path, 'turtlebot4')


def start(tree, pid):
    """Add a process to the tree."""
    for name, text in tree_files.task(pid, 'new').items():
        file = tree / name.lstrip('/')
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)


def pids(scanner):
    """Return the PIDs of the last reading."""
    return {process.pid for process in scanner.processes}


def test_a_new_process_is_taken_over_without_reading_the_others(tree, monkeypatch):
    """However many there are; whoever ended meanwhile is noticed at the next reading."""
    table = kernel.Table(kernel.Root(str(tree)))
    scanner = Scanner(table)
    assert scanner.read(0.0, frozenset()) and pids(scanner) == {1, 400, 500}
    start(tree, 600)
    start(tree, 700)
    with monkeypatch.context() as patched:
        patched.setattr(table, '_listing', lambda: pytest.fail('the table was listed'))
        table.read_started([600], 0.1)
        assert scanner.read(0.1, frozenset(), new=True) and pids(scanner) == {1, 400, 500, 600}
    assert scanner.read(0.2, frozenset()) and pids(scanner) == {1, 400, 500, 600, 700}


def test_the_first_reading_is_of_everything(tree):
    """A plan for the new one alone would take the others for gone."""
    table = kernel.Table(kernel.Root(str(tree)))
    scanner = Scanner(table)
    table.read_started([500], 0.0)
    assert scanner.read(0.0, frozenset(), new=True) and pids(scanner) == {1, 400, 500}
    scanner.set_launched_names({})
    start(tree, 600)
    assert scanner.read(0.1, frozenset(), new=True) and 600 in pids(scanner)


def test_while_memory_is_plentiful_nothing_is_listed_without_a_fork(tree):
    """The tracked ones are read all the same; a fork shows in the PID given last."""
    scanner = Scanner(kernel.Table(kernel.Root(str(tree))))
    scanner.read(0.0, frozenset())
    scanner.plentiful = True
    assert not scanner.read(6.0, frozenset((500,)))
    (tree / 'proc/500/oom_score_adj').write_text('7\n')
    assert scanner.read(6.5, frozenset((500,)))
    assert not scanner.read(7.0, frozenset((500,)))
    (tree / 'proc/loadavg').write_text('0.10 0.20 0.30 1/200 4243\n')
    assert not scanner.read(8.0, frozenset((500,)))  # what was forked has ended already
    assert scanner.listed_s == 8.0
    start(tree, 600)
    (tree / 'proc/loadavg').write_text('0.10 0.20 0.30 1/200 4244\n')
    assert scanner.read(10.0, frozenset((500,))) and 600 in pids(scanner)
    assert not scanner.read(59.0, frozenset((500,))) and scanner.listed_s == 10.0
    assert scanner.read(60.0, frozenset((500,))) and scanner.listed_s == 60.0  # the sweep


def test_what_was_forked_without_an_exec_is_found_within_ten_seconds(tree):
    """Where execs are reported a fork alone brings no listing before that."""
    scanner = Scanner(kernel.Table(kernel.Root(str(tree))))
    scanner.read(0.0, frozenset())
    scanner.plentiful = scanner.reports_execs = True
    start(tree, 600)
    (tree / 'proc/loadavg').write_text('0.10 0.20 0.30 1/200 4243\n')
    assert not scanner.read(6.0, frozenset())
    assert scanner.read(10.1, frozenset()) and 600 in pids(scanner)


def test_a_reading_that_was_asked_for_says_that_a_plan_is_due(tree):
    """New settings or node names make a plan due although every process is as before."""
    scanner = Scanner(kernel.Table(kernel.Root(str(tree))))
    scanner.read(0.0, frozenset())
    scanner.plentiful = True
    assert scanner.read(61.0, frozenset())  # none is young any more
    scanner.hasten()
    assert scanner.read(61.0, frozenset())
    assert scanner.set_graph_names({500: ('/late',)}, {}) and scanner.read(62.0, frozenset())
    assert next(p for p in scanner.processes if p.pid == 500).graph_node_names == ('/late',)


def test_what_was_read_is_named_once_though_it_is_unchanged(tree):
    """All of a whole reading, the tracked ones while memory is plentiful, none of the others."""
    table = kernel.Table(kernel.Root(str(tree)))
    scanner = Scanner(table)
    scanner.read(0.0, frozenset())
    assert scanner.take_reread() == {1, 400, 500} and not scanner.take_reread()
    scanner.plentiful = True
    start(tree, 600)
    (tree / 'proc/loadavg').write_text('0.10 0.20 0.30 1/200 4243\n')
    assert scanner.read(20.0, frozenset((500,)))
    start(tree, 700)
    table.read_started([700], 20.1)
    assert scanner.read(20.1, frozenset((500,)), new=True) and not scanner.take_reread()
    (tree / 'proc/loadavg').write_text('0.10 0.20 0.30 1/200 4244\n')
    scanner.read(22.0, frozenset((500,)))
    assert scanner.take_reread() == {500}


def test_for_a_kill_these_are_read_and_who_began_or_ended(tree):
    """Nobody else, whatever memory is left; the next reading comes when it would have."""
    scanner = Scanner(kernel.Table(kernel.Root(str(tree))))
    scanner.read(0.0, frozenset())
    scanner.take_reread()
    for pid in (400, 500):
        (tree / f'proc/{pid}/oom_score_adj').write_text('7\n')
    start(tree, 600)
    shutil.rmtree(tree / 'proc/1')
    assert scanner.read(20.0, frozenset((400,)), only=frozenset((500,)))
    assert {p.pid: p.oom_score_adj for p in scanner.processes} == {400: 0, 500: 7, 600: 0}
    assert scanner.take_reread() == {500} and scanner.due(20.0, 20.0, False)
    assert not scanner.read(20.1, frozenset((400,)), only=frozenset((500,)))


def test_protection_learns_what_was_read(tree, monkeypatch):
    """Else a process that never changes would seem to start for ever."""
    sentinel = Sentinel(settings.build({}), root=str(tree), monotonic=lambda: 1000.0)
    told = []
    monkeypatch.setattr(sentinel.guard, 'protect', lambda *words: told.append(words[-1]) or 0)
    sentinel.scan()
    assert told == [frozenset((1, 400, 500))]


@pytest.mark.parametrize('nearly, may_raise', [
    (True, True), (True, False), (False, True)])
def test_the_table_is_read_often_where_memory_is_nearly_used_up_and_raising_helps(
        tree, monkeypatch, nearly, may_raise):
    """Else what a reading finds changes no value."""
    sentinel = Sentinel(settings.build({}), root=str(tree), monotonic=lambda: 1000.0)
    sentinel.scan()
    little = Domain('/robot', 1000, 10)
    lowered = (little,) if may_raise else ()
    sentinel.guard.planned = Plan(
        (Target(sentinel.scanner.processes[0], 'drivers', -400, -400, ''),), lowered=lowered)
    monkeypatch.setattr(Guard, 'watching', None)
    monkeypatch.setattr(sentinel._limits, 'look', lambda now_s: (False, nearly))
    monkeypatch.setattr(sentinel, 'scan', lambda: None)
    sentinel.look_soon()
    assert sentinel.scanner.nearly_used_up is (nearly and may_raise)


def test_a_sweep_leaves_out_what_holds_as_many_pages_as_before(tree, monkeypatch):
    """Unless it is tracked, memory gets short, or it was left out six times."""
    scanner = Scanner(kernel.Table(kernel.Root(str(tree))))
    read, names = scanner.table.root.read, []
    monkeypatch.setattr(scanner.table.root, 'read', lambda path, **more: (
        names.append(path), read(path, **more))[1])

    def whole(now_s):
        """Return which of the two processes this sweep reads."""
        names.clear()
        scanner.read(now_s, frozenset((500,)))
        return {pid for pid in (400, 500) if f'/proc/{pid}/oom_score_adj' in names}

    for pid in (400, 500):
        (tree / f'proc/{pid}/statm').write_text('574 221 180 9 0 110 0\n')
    assert whole(0.0) == {400, 500}
    scanner.plentiful = True
    assert [whole(60.0 * n) for n in range(1, 11)] == [
        {400, 500}, *[{500}] * 6, {400, 500}, {400, 500}, {500}]
    (tree / 'proc/400/statm').write_text('574 222 180 9 0 110 0\n')
    assert [whole(660.0), whole(720.0)] == [{400, 500}, {500}]
    scanner.hasten(everything=True)
    assert whole(721.0) == {400, 500}
    assert [whole(781.0), whole(841.0), whole(901.0)] == [{400, 500}, {500}, {400, 500}]
    assert [whole(961.0), whole(1021.0)] == [{400, 500}, {500}]
    scanner.plentiful = False
    assert whole(1022.0) == {400, 500}
    scanner.plentiful = True
    assert [whole(1082.0), whole(1142.0)] == [{400, 500}, {500}]
    scanner.nearly_used_up = True
    assert whole(1143.0) == {400, 500}


@pytest.mark.parametrize('words, pages', [
    ('574 221 180 9 0 110 0\n', 221), ('574 0 0 9 0 110 0\n', 0), ('', None), ('574 221', None),
    ('574 -1 180\n', None), ('574 x 180\n', None), (f'574 {"9" * 30} 180\n', None)])
def test_resident_pages_are_those_of_statm(tree, words, pages):
    """What no kernel writes is unknown, and the process is read then."""
    (tree / 'proc/400/statm').write_text(words)
    root = kernel.Root(str(tree))
    assert process_files.resident_pages(root, 400) == pages
    assert process_files.resident_pages(root, 500) is None


def test_many_processes_are_swept_more_seldom(tree):
    """So that 5000 of them cost no more than 0.5 % of a core."""
    scanner = Scanner(kernel.Table(kernel.Root(str(tree))))
    scanner.read(0.0, frozenset())
    scanner.plentiful = True
    scanner.processes *= 5000 // len(scanner.processes) + 1
    assert not scanner.read(60.0, frozenset()) and scanner.swept_s == 0.0
    assert scanner.read(101.0, frozenset()) and scanner.swept_s == 101.0


def test_new_nodes_are_seen_before_the_next_scan_and_other_programs_then(tree):
    """The graph is asked for the nodes of what was met; without one nothing is taken over."""
    table = kernel.Table(kernel.Root(str(tree)))
    scanner = Scanner(table)
    scanner.read(0.0, frozenset())
    start(tree, 600)
    met = table.read_started([600], 0.1)
    scanner.meet(met)
    assert pids(scanner) == {1, 400, 500}
    file = pathlib.Path(tree) / 'proc/600/cmdline'
    file.write_bytes(b'talker\0--ros-args\0')
    scanner.meet(table.read_started([600], 0.2))
    assert pids(scanner) == {1, 400, 500, 600}


def test_a_new_process_is_read_with_one_stat(tree, monkeypatch):
    """Its identity and its first memory come from the same reading."""
    table = kernel.Table(kernel.Root(str(tree)))
    read, names = table.root.read, []
    monkeypatch.setattr(table.root, 'read', lambda path, **more: (
        names.append(path), read(path, **more))[1])
    table.read_started([500], 0.0)
    assert names.count('/proc/500/stat') == 1
    table.refresh([500])
    assert names.count('/proc/500/stat') == 2
