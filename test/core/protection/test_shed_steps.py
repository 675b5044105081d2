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
"""Which step comes next for a process that is being ended, and what each brought."""

from dataclasses import replace

from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Candidate
from oom_sentinel.facts.shedding import Step
from oom_sentinel.protection import shed_plan
from oom_sentinel.protection import shed_steps
from oom_sentinel.protection.shed_steps import Seen
from oom_sentinel.protection.shed_steps import State
import pytest
from test_shed_plan import ends_in
from test_shed_plan import MIB
from test_shed_plan import sample
from test_shed_plan import SETTINGS
from test_shed_plan import target


def ending(steps=('interrupt', 'terminate', 'kill'), frees=50):
    """Return a state in which one process is being ended since 100 s, and its identity."""
    process = target(9, 'expendable', 300, frees).process
    candidate = Candidate(process, 'expendable', 300, tuple(map(Step, steps)), frees * MIB)
    short = shed_plan.shortages(sample(), ends_in(5), SETTINGS)
    return State((shed_steps.begin(candidate, short[0], 100.0),)), process.identity


def look(state, at_s, available=100, running=(), refused=(), confirmed=(), unloaded=(),
         short=True):
    """Return what one look brings."""
    made = sample(at_s, available)
    return shed_steps.advance(
        state, made, {None: available * MIB},
        shed_plan.shortages(made, ends_in(5), SETTINGS) if short else (),
        Seen(frozenset(running), frozenset(refused), frozenset(confirmed), frozenset(unloaded)))


def test_memory_that_comes_back_late_is_waited_for():
    """Up to a second after the process has gone."""
    state, _ = ending()
    orders, actions, state = look(state, 100.5)
    assert (orders, actions) == ((), ()) and state.endings
    orders, (action,), state = look(state, 101.0, available=150)
    assert action.result == Brought.ENDED and action.brought_bytes == 50 * MIB
    assert action.took_s == 1.0 and not state.endings and not state.useless


def test_a_process_whose_end_brings_nothing_makes_its_kind_useless():
    """Its memory was another's."""
    state, _ = ending()
    _, _, state = look(state, 100.5)
    _, (action,), state = look(state, 101.6)
    assert action.brought_bytes == 0 and state.useless == {('expendable', 'rviz2')}


def test_each_step_has_its_grace_and_the_next_one_follows():
    """SIGINT, then SIGTERM, then SIGKILL; then the process is left alone."""
    state, identity = ending()
    taken = []
    for at_s in (103.9, 104.1, 106.0, 106.2, 108.3):
        orders, actions, state = look(state, at_s, running=(identity,))
        taken.append(([order.step.value for order in orders],
                      [action.result for action in actions]))
    assert taken == [([], []), (['terminate'], [Brought.STILL_RUNS]), ([], []),
                     (['kill'], [Brought.STILL_RUNS]), ([], [Brought.STILL_RUNS])]
    assert state.spared == {identity} and not state.endings


def test_a_refused_signal_does_not_wait():
    """EPERM: the next step would be refused as well, and is tried at once."""
    state, identity = ending(('interrupt', 'kill'))
    orders, (action,), state = look(state, 100.1, running=(identity,), refused=(identity,))
    assert action.result == Brought.REFUSED and [o.step for o in orders] == [Step.KILL]


def test_no_further_step_is_taken_when_memory_is_enough_again():
    """Another process may have ended meanwhile."""
    state, identity = ending()
    orders, (action,), state = look(state, 105.0, 900, (identity,), short=False)
    assert orders == () and state == State() and action.result == Brought.STILL_RUNS


@pytest.mark.parametrize('availables, hasty', [
    ((100, 60, 30), True), ((100, 96, 92), False), ((100, 100, 100), False),
    ((100, 130, 160), False)])
def test_the_next_step_comes_early_when_memory_would_end_first(availables, hasty):
    """A process that ignores SIGINT and leaks 150 MiB/s leaves no 4 s; one that rests has them."""
    state, identity = ending()
    ordered = []
    for at_s, available in zip((100.2, 100.4, 100.6), availables):
        orders, _, state = look(state, at_s, available, (identity,))
        ordered += [order.step.value for order in orders]
    assert ordered == (['terminate'] if hasty else [])


@pytest.mark.parametrize('confirmed, unloaded, result', [
    (True, False, Brought.DEACTIVATED), (True, True, Brought.UNLOADED),
    (False, False, Brought.NO_ANSWER)])
def test_a_node_that_never_answers_was_not_deactivated(confirmed, unloaded, result):
    """Its step ends after its grace, and the next one follows while memory is short."""
    state, identity = ending(('deactivate', 'interrupt'))
    said = {'running': (identity,), 'confirmed': (identity,) if confirmed else (),
            'unloaded': (identity,) if unloaded else ()}
    assert look(state, 102.9, **said)[:2] == ((), ())
    orders, (action,), state = look(state, 103.1, **said)
    assert action.result == result and [o.step for o in orders] == [Step.INTERRUPT]


def test_a_process_that_forked_while_it_ended_is_over_and_its_kind_is_left_alone():
    """Its child kept the memory: nothing came back, and the child is of the same kind."""
    state, _ = ending()
    _, _, state = look(state, 100.5, available=98)
    _, (action,), state = look(state, 101.6, available=98)
    assert action.brought_bytes == -2 * MIB and state.useless == {('expendable', 'rviz2')}


def test_two_places_are_looked_at_apart():
    """What is left in one says nothing of the other; each has a process of its own."""
    (machine,) = ending()[0].endings
    process = target(10, 'expendable', 300, 50).process
    inside = shed_steps.begin(
        Candidate(process, 'expendable', 300, (Step.INTERRUPT, Step.KILL), 50 * MIB),
        shed_plan.shortages(sample(), ends_in(5), SETTINGS)[0], 100.0)
    inside = replace(inside, path='/robot')
    _, actions, state = shed_steps.advance(
        State((machine, inside)), sample(100.5, 100), {None: 150 * MIB, '/robot': 100 * MIB},
        (), Seen(frozenset({process.identity})))
    assert [(a.place, a.result) for a in actions] == [('this machine', Brought.ENDED)]
    assert state.endings[0].path == '/robot'


def test_a_tenth_of_what_was_expected_is_waited_on():
    """A fifth at least shows that the memory is back."""
    state, _ = ending()
    _, actions, state = look(state, 100.5, available=105)
    assert actions == () and state.endings
    _, (action,), _ = look(state, 100.6, available=110)
    assert action.brought_bytes == 10 * MIB


def test_a_further_step_is_taken_only_where_it_is_due_now():
    """A second before, the process is left alone with what it has got."""
    state, identity = ending()
    for due_s, steps in ((0.0, ['terminate']), (0.5, [])):
        short = tuple(replace(s, due_s=due_s) for s in shed_plan.shortages(
            sample(), ends_in(5), SETTINGS))
        orders, (action,), _ = shed_steps.advance(
            state, sample(104.0, 60), {None: 60 * MIB}, short, Seen(frozenset((identity,))))
        assert [order.step.value for order in orders] == steps
        assert action.brought_bytes == -40 * MIB and action.place == 'this machine'


def test_a_step_has_had_its_haste_after_four_tenths_of_a_second_and_names_its_place():
    """Where memory falls as fast as it would be gone within a second."""
    state, identity = ending()
    (begun,) = state.endings
    for at_s, over in ((100.39, False), (100.4, True)):
        hasty = replace(begun, path='/robot', since_s=100.0, looked_s=at_s - 0.1,
                        looked_bytes=40 * MIB)
        hasty = replace(hasty, since_s=at_s - 0.4 if over else 100.0)
        _, actions, _ = shed_steps.advance(
            State((hasty,)), sample(at_s), {'/robot': 10 * MIB}, (), Seen(
                frozenset((identity,))))
        assert [action.place for action in actions] == ['/robot'] * over


def test_a_place_that_cannot_be_read_has_what_was_seen_last_and_the_group_is_told():
    """Nothing came back then, as far as is known."""
    state, identity = ending()
    _, (action,), _ = shed_steps.advance(
        state, sample(104.1), {}, (), Seen(frozenset((identity,))))
    assert action.brought_bytes == 0 and action.group == 'expendable'


def test_memory_is_waited_for_until_the_second_is_over_and_no_longer():
    """Ended at 100.5 s: at 101.5 nothing has come back."""
    state, _ = ending()
    _, _, state = look(state, 100.5)
    assert look(state, 101.25)[1] == () and len(look(state, 101.5)[1]) == 1


def test_the_hasty_grace_is_over_when_it_is_reached():
    """0.4 s after the step began, where memory would end first."""
    process = target(9, 'expendable', 300, 50).process
    candidate = Candidate(process, 'expendable', 300, (Step.INTERRUPT, Step.KILL), 50 * MIB)
    short = shed_plan.shortages(sample(), ends_in(5), SETTINGS)
    state = State((shed_steps.begin(candidate, short[0], 0.0),))
    orders, _, _ = look(state, shed_steps.HASTY_GRACE_S, 30, (process.identity,))
    assert [order.step for order in orders] == [Step.KILL]


def test_what_went_before_a_step_does_not_hasten_the_one_after_it():
    """60 MiB within the second before; one in half a second leaves time for its grace."""
    state, identity = ending()
    for at_s, available, steps in ((103.9, 100, []), (104.1, 40, ['terminate']), (104.6, 39, [])):
        orders, _, state = look(state, at_s, available, (identity,))
        assert [order.step.value for order in orders] == steps


@pytest.mark.parametrize('left, over', [(50, False), (49, True)])
def test_memory_that_lasts_a_second_leaves_a_step_its_grace(left, over):
    """25 MiB in half a second."""
    one = replace(ending()[0].endings[0], looked_bytes=(left + 25) * MIB, looked_s=100.5)
    assert shed_steps._grace_is_over(one, 101.0, left * MIB) is over


def test_each_look_is_compared_with_the_one_before():
    """Also while the step has its grace."""
    state, identity = ending()
    _, _, state = look(state, 100.5, 90, (identity,))
    (one,) = state.endings
    assert (one.looked_bytes, one.looked_s, one.since_s) == (90 * MIB, 100.5, 100.0)
    assert one.left_bytes == ending()[0].endings[0].left_bytes
