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

"""The lines that are said once: of the log, of ~/apply, of steps of shedding, and of the end."""

from dataclasses import replace

from oom_sentinel import report
from oom_sentinel import risk
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.shedding import Step
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.report import journal
from oom_sentinel.report import shedding
from oom_sentinel.report.protection import applied
from oom_sentinel.settings import build
import pytest
from test_report import sample

STEP = Action(0.0, Identity(7, 70), 'rviz2 (PID 7)', 'expendable', Step.TERMINATE, 'this machine',
              'memory ends in 9 s', Brought.ENDED, 48 << 20, 0.34)


def target(name, pid, wanted, value, group='drivers'):
    """Return a target of one process."""
    found = Process(pid, pid, 1, 0, Program(name, executable=name), oom_score_adj=0)
    return Target(found, group, wanted, value, 'a test')


def outcome(found, result, achieved=None, why=''):
    """Return what writing a target's value came to."""
    return Outcome(Adjustment(found.process.identity, found.group, 0, found.wanted, ''), result,
                   achieved, why)


@pytest.mark.parametrize('result, words', [
    (Brought.ENDED, 'was terminated (SIGTERM)'), (Brought.WOULD, 'would be terminated'),
    (Brought.REFUSED, 'could not be terminated'), (Brought.STILL_RUNS, 'and still runs')])
def test_a_step_of_shedding_says_what_came_of_it(result, words):
    """And why it was taken, what it brought, and how long that took."""
    status = shedding.action(replace(STEP, result=result))
    assert words in status.message and STEP.why in status.message
    values = dict(status.values)
    assert (values['brought (MiB)'], values['took (s)']) == ('48', '0.3')
    assert values['result'] == result.value


def test_a_step_that_was_not_done_brought_nothing():
    """Which is no 0: nothing was measured."""
    values = dict(shedding.action(
        replace(STEP, result=Brought.WOULD, brought_bytes=None, took_s=None)).values)
    assert values['brought (MiB)'] == 'nothing' and 'unavailable' in values['took (s)']


def test_shedding_has_values_only_while_it_is_on():
    """Its mode, what comes next, what was done."""
    assert shedding.values(Shedding()) == ()
    first = dict(shedding.values(Shedding('report')))
    assert (first['about to be shed'], first['last action']) == ('none', 'none')
    then = dict(shedding.values(Shedding('act', 'rviz2 next', (STEP,), 3, STEP, ('/camera',))))
    assert then['shed since start'] == '3' and 'SIGTERM' in then['last action']
    assert (then['about to be shed'], then['deactivated nodes']) == ('rviz2 next', '/camera')


def test_a_level_is_logged_when_it_changes_and_never_twice():
    """With both levels and the status's own sentence."""
    found = journal.Journal()
    calm, bad = Status('Memory', Level.OK, 'fine', ()), Status('Memory', Level.ERROR, 'full', ())
    assert not found.update((calm,), Protection(), 0.0) and found.log_lines() == ()
    assert found.update((bad,), Protection(), 1.0)
    line, = found.log_lines()
    assert (line.level, line.text) == (Level.ERROR, 'Memory: OK -> ERROR: full')
    assert not found.update((bad,), Protection(), 2.0) and found.log_lines() == ()


def test_the_protected_processes_are_logged_by_what_was_reached():
    """Lowered, raised and denied apart, with what grants the right; again when it changes."""
    low, high = target('lidar', 1, -400, -400), target('rviz2', 2, 300, 300, 'expendable')
    kept = target('amcl', 3, -300, 0)
    found, first = journal.Journal(), Protection((low, high, kept))
    found.update((), first, 100.0)
    line, = found.log_lines()
    assert line.level == Level.OK
    for words in ('lowered for 1: lidar (PID 1) -400', 'raised for 1: rviz2 (PID 2) 300',
                  'denied for 1: amcl (PID 3)', journal.GRANT):
        assert words in line.text
    found.update((), first, 150.0)
    assert found.log_lines() == ()
    more = Protection((low, high))
    found.update((), more, 200.0)
    assert 'denied' not in found.log_lines()[0].text
    found.update((), first, 201.0)  # not within ten seconds: a robot that starts says it once
    assert found.log_lines() == ()


def test_one_that_only_watches_logs_no_protection():
    """Nothing was lowered by it."""
    seen = Protection((target('lidar', 1, -400, -400),), watching='disabled')
    assert journal.protected(seen) == '' == journal.protected(Protection())


def test_apply_answers_with_what_was_done_and_refused():
    """Those in order, the denied, the raised by how much, and the ones out of reach with why."""
    right, kept = target('lidar', 1, -400, -400), target('amcl', 3, -300, 0)
    far = target('root_node', 4, -300, -300)
    lifted = target('bag', 5, 0, 120, None), target('rviz2', 6, 300, 330, None)
    said = applied(Protection(
        (right, kept, far), (outcome(far, Result.NOT_OWNER, why='owned by root'),),
        raised=lifted))
    assert '1 process has the value' in said
    assert 'lowering was denied for 1 process' in said
    assert '2 processes raised by 30 to 120 instead' in said
    assert 'not reached, for example root_node' in said and 'owned by root' in said
    assert 'raised by 120 instead' in applied(Protection(raised=lifted[:1]))


def test_values_stay_at_the_end_where_giving_them_back_would_harm():
    """After an error, by the parameter, and while memory is at risk."""
    settings, keep = build({}), build({'protection.restore_on_exit': False})
    assessment, _ = risk.assess(sample(), risk.History(), settings, Protection())
    assert report.why_values_stay(True, settings, assessment) is None
    assert report.why_values_stay(True, settings, None) is None
    assert 'error' in report.why_values_stay(False, settings, assessment)
    assert 'restore_on_exit' in report.why_values_stay(True, keep, assessment)
    at_risk = replace(assessment, risk=replace(assessment.risk, level=Level.WARN))
    assert 'OOM risk is WARN' in report.why_values_stay(True, settings, at_risk)
