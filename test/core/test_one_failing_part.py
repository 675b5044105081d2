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

"""A part of the cycle that raises shows as itself, is logged once, and stops no other part."""

import errno
import pathlib

from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel import settings
from oom_sentinel.facts.parts import Part
from oom_sentinel.facts.parts import Parts
from oom_sentinel.facts.parts import QUIET_S
from oom_sentinel.facts.status import Level
from oom_sentinel.sentinel import Sentinel
import pytest

CAPTURED = pathlib.Path(__file__).parents[1] / 'fixtures' / 'vm-debian12-6.18'
NAMES = ('Memory', 'Memory pressure', 'Control groups', 'OOM risk', 'Protection', 'OOM kills',
         'Group bringup', 'Group drivers', 'Group navigation', 'Group expendable')


def no_file(*_args, **_more):
    """Fail as a process does that has used up its descriptors."""
    raise OSError(errno.EMFILE, 'Too many open files', '/proc/self/stat')


def broken(*_args, **_more):
    """Fail as a programming error does."""
    raise KeyError('nobody thought of this')


@pytest.fixture
def sentinel():
    """Return a sentinel over the captured tree, with a clock that the test moves."""
    clock = [1000.0]
    made = Sentinel(settings.build({}), root=str(CAPTURED), monotonic=lambda: clock[0])
    made.clock = clock
    return made


@pytest.mark.parametrize('fails, shown', [
    ('root.meminfo', ('Memory', 'OOM risk')), ('root.pressure', ('Memory pressure',)),
    ('root.vmstat', ('OOM kills',)), ('sampler._lookout.look', ('Memory',)),
    ('sampler._chains.read', ('Control groups',)), ('sampler._chains.own', ('Control groups',)),
    ('sampler._swaps.read', ('Memory',)), ('sampler._shm.read', ('Memory',)),
    ('table.read', ('OOM risk', 'Protection', 'Group bringup')),
    ('table._listing', ('OOM risk', 'Protection', 'Group expendable')),
    ('guard.launched', ('Protection',)), ('guard.protect', ('Protection',)),
    ('guard.protection', ('Protection',)),
    ('_assess', ('OOM risk', 'Memory', 'Memory pressure', 'Control groups')),
    ('kill_log.read_log', ('OOM kills',)), ('kill_log.update', ('OOM kills',)),
    ('kill_log.remember_processes', ('OOM kills',)), ('shedder.update', ('OOM risk',)),
    ('kill_log.note_actions', ('OOM risk',))])
@pytest.mark.parametrize('error', [no_file, broken])
def test_the_rest_is_published_in_the_same_cycle(sentinel, monkeypatch, fails, shown, error):
    """Whatever raises: ten statuses, its own say why, one line in the log, and it recovers."""
    *path, name = fails.split('.')
    owner = sentinel
    for step in path:
        owner = getattr(owner, step)
    monkeypatch.setattr(owner, name, error)
    said = sentinel.cycle()
    assert tuple(s.name for s in said.statuses) == NAMES
    why = 'Too many open files' if error is no_file else 'nobody thought of this'
    for status in said.statuses:
        tells = 'unavailable (' in status.message and why in status.message
        assert tells == (status.name in shown or (
            'Group bringup' in shown and 'Group' in status.name)
            or ('Group expendable' in shown and 'Group' in status.name)), status
        assert not tells or status.level >= Level.WARN
    failures = [line for line in said.log if 'failed and is tried again' in line.text]
    assert failures and all(line.level == Level.ERROR for line in failures)
    sentinel.clock[0] += 30.0
    again = sentinel.cycle()
    assert tuple(s.name for s in again.statuses) == NAMES
    assert not any('failed and is tried again' in line.text for line in again.log)
    monkeypatch.undo()
    sentinel.clock[0] += 30.0
    well = sentinel.cycle()
    assert not any('unavailable (' in s.message for s in well.statuses)


@pytest.mark.parametrize('module, name', [
    ('memory', 'Memory'), ('pressure', 'Memory pressure'), ('cgroups', 'Control groups'),
    ('risk_status', 'OOM risk'), ('protection_status', 'Protection'),
    ('kills_status', 'OOM kills')])
def test_a_status_that_cannot_be_composed_is_unavailable(sentinel, monkeypatch, module, name):
    """Its text is the reason alone; the other nine are as always."""
    before = {s.name: s.message for s in sentinel.cycle().statuses}
    monkeypatch.setattr(getattr(report, module), 'compose', broken)
    statuses = {s.name: s for s in sentinel.cycle().statuses}
    assert tuple(statuses) == NAMES
    assert statuses[name].message == f"status {name} unavailable ('nobody thought of this')."
    assert statuses[name].level == Level.WARN
    assert {n: s.message for n, s in statuses.items() if n != name} == {
        n: text for n, text in before.items() if n != name}


def test_an_error_of_the_assessment_itself_is_survived(sentinel, monkeypatch):
    """Also in the first cycle, when there is no earlier assessment."""
    monkeypatch.setattr(risk, 'assess', broken)
    assert tuple(s.name for s in sentinel.cycle().statuses) == NAMES


def test_values_are_given_back_by_the_last_table_when_it_cannot_be_read(sentinel, monkeypatch):
    """At the end and on request; so without a free descriptor nothing stays raised."""
    sentinel.cycle()
    tables = []
    monkeypatch.setattr(sentinel.guard._keeper, 'watching', None)
    monkeypatch.setattr(sentinel.guard, 'restore',
                        lambda table, _settings: tables.append(table) or (1, 1))
    monkeypatch.setattr(sentinel.table, 'read', no_file)
    assert sentinel.restore() == (True, '1 of 1 changed processes have their old value again.'
                                        '  Protection is off until ~/apply.')
    assert tables == [sentinel.scanner.processes] and tables[0]


def test_a_part_is_logged_again_only_after_it_was_well_for_a_while():
    """One that fails on and off does not fill the log."""
    parts, part = Parts(), Part('the part', ('Memory',))
    said = []
    for second in range(1000):
        parts.now_s = float(second)
        parts.run(part, broken if second % 2 else int, None)
        said += parts.log_lines()
    assert len(said) == 1
    parts.now_s += QUIET_S + 1.0
    parts.run(part, broken, None)
    assert len(parts.log_lines()) == 1
    assert 'KeyError at test_one_failing_part.py:' in said[0].text


def test_what_nobody_logs_is_bounded():
    """The command line watches for hours and logs nothing."""
    parts = Parts()
    for number in range(1000):
        parts.run(Part(f'part {number}'), broken, None)
    assert len(parts.log_lines()) <= 100
