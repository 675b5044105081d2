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
"""Signals reach the process that was chosen, and what was deactivated is given back."""

from dataclasses import replace
import os
import signal
import subprocess

from conftest import wait_for
from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.status import Level
from oom_sentinel.kernel.files import stat
from oom_sentinel.protection import respawn_hold
from oom_sentinel.protection.shedder import Shedder
from oom_sentinel.risk import Assessment
import pytest
from test_shed_plan import ends_in
from test_shed_plan import GROUP
from test_shed_plan import sample

ROOT = kernel.Root('/')
ACTS = settings.build({
    'shed.mode': 'act', 'groups': ['expendable'], 'group.expendable.match': ['exe:sleep'],
    'group.expendable.oom_score_adj': 300, 'group.expendable.shed': ['terminate']})


@pytest.fixture(name='child')
def sleeping_child():
    """Return a process of ours."""
    made = subprocess.Popen(['sleep', '600'])
    yield made
    made.kill()
    made.wait()


def target(child, *, started=0):
    """Return it as a process of a group that may be shed."""
    found = stat.parse(ROOT.read(f'/proc/{child.pid}/stat'))
    process = Process(child.pid, found.start_time + started, 1, os.geteuid(), Program('sleep'),
                      memory=TaskMemory(200 << 20, 0, 0, 0))
    return Target(process, 'expendable', 300, 300, '')


def test_the_chosen_process_is_terminated_and_launches_are_told(child, tmp_path):
    """Once: a second look sends nothing more."""
    shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
    shedder.update(sample(), ends_in(5), (target(child),), ACTS)
    assert child.wait(20) == -signal.SIGTERM and shedder.busy
    assert respawn_hold.held_s(str(tmp_path), sample().monotonic_s) > 0
    said = shedder.update(sample(101.0, 300), Assessment(), (), ACTS)
    assert [action.label for action in said.fresh] == ['sleep'] and not shedder.busy


def test_a_pid_that_was_given_anew_is_never_hit(child, tmp_path):
    """The start time tells them apart."""
    shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
    shedder.update(sample(), ends_in(5), (target(child, started=-1),), ACTS)
    assert not shedder.busy and child.poll() is None
    shedder.update(sample(), ends_in(5), (target(child),), ACTS)
    wait_for(lambda: child.poll() is not None, 'the right one is hit')


class Camera:
    """A lifecycle node /camera, which answers when the test says so."""

    def __init__(self, active_again=('/camera',), unloaded=()):
        """Begin deactivated, unless the test says otherwise."""
        self.active_again = active_again
        self.unloaded = unloaded
        self.confirmed = frozenset()
        self.asked = []

    def deactivate(self, _process, names):
        """Note who is asked."""
        self.asked.append(('deactivate', names))
        self.active_again = names
        return names

    def activate(self):
        """Note who is asked."""
        names, self.active_again = self.active_again, ()
        self.asked.append(('activate', names))
        return names


def shedder_with(nodes, directory):
    """Return a shedder that asks these nodes."""
    made = Shedder(ROOT, os.geteuid(), str(directory))
    made.nodes = nodes
    return made


@pytest.mark.parametrize('end', [
    lambda shedder: shedder.close(),
    lambda shedder: shedder.update(sample(), Assessment(), (), settings.build({}))])
def test_what_was_deactivated_is_activated_when_shedding_ends(tmp_path, end):
    """At the end of the node, and when shed.mode is turned off."""
    camera = Camera()
    end(shedder_with(camera, tmp_path))
    assert camera.asked == [('activate', ('/camera',))]


def test_an_unloaded_component_is_named_as_not_to_be_had_back(tmp_path):
    """Only its launch file knows how it was loaded."""
    camera = Camera((), ('/camera',))
    done, said = shedder_with(camera, tmp_path).resume()
    assert done and 'its launch file can load it again: /camera' in said


DEACTIVATES = settings.build({
    'shed.mode': 'act', 'groups': ['expendable'], 'group.expendable.match': ['exe:sleep'],
    'group.expendable.oom_score_adj': 300, 'group.expendable.shed': ['deactivate', 'terminate']})


@pytest.mark.parametrize('answers', [True, False])
def test_a_node_is_deactivated_and_its_process_ended_while_memory_stays_short(
        child, tmp_path, answers):
    """A node that never answers is said not to have; either way the next step follows."""
    camera = Camera(())
    shedder = shedder_with(camera, tmp_path)
    named = target(child)
    named = replace(named, process=replace(named.process, program=Program(
        'sleep', executable='sleep', node_names=('/camera',))))
    shedder.update(sample(), ends_in(5), (named,), DEACTIVATES)
    assert camera.asked == [('deactivate', ('/camera',))] and child.poll() is None
    camera.confirmed = frozenset(('/camera',) if answers else ())
    assert shedder.update(sample(102.0), ends_in(5), (named,), DEACTIVATES).fresh == ()
    said = shedder.update(sample(103.1), ends_in(5), (named,), DEACTIVATES)
    assert [action.result for action in said.fresh] == [
        Brought.DEACTIVATED if answers else Brought.NO_ANSWER]
    assert child.wait(20) == -signal.SIGTERM


def test_a_process_without_a_node_to_ask_is_ended_at_once(child, tmp_path):
    """No grace is spent on a step that nobody can take."""
    shedder = shedder_with(Camera(()), tmp_path)
    shedder.nodes.deactivate = lambda process, names: ()
    shedder.update(sample(), ends_in(5), (target(child),), DEACTIVATES)
    said = shedder.update(sample(100.2), ends_in(5), (target(child),), DEACTIVATES)
    assert [action.result for action in said.fresh] == [Brought.REFUSED]
    assert child.wait(20) == -signal.SIGTERM


def test_a_step_after_one_that_nobody_could_take_has_its_grace(tmp_path):
    """SIGTERM is not followed by SIGKILL at the next look."""
    deaf = subprocess.Popen(['sh', '-c', 'trap "" TERM; echo; exec sleep 600'],
                            stdout=subprocess.PIPE)
    deaf.stdout.readline()
    try:
        steps = settings.build({
            'shed.mode': 'act', 'groups': ['expendable'],
            'group.expendable.match': ['exe:sleep'], 'group.expendable.oom_score_adj': 300,
            'group.expendable.shed': ['deactivate', 'terminate', 'kill']})
        shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
        for at_s in (100.0, 100.2, 100.4, 101.0):
            shedder.update(sample(at_s), ends_in(5), (target(deaf),), steps)
            assert deaf.poll() is None
        shedder.update(sample(102.3), ends_in(5), (target(deaf),), steps)
        assert deaf.wait(20) == -signal.SIGKILL
    finally:
        deaf.kill()
        deaf.wait()
        deaf.stdout.close()


def test_looks_come_quickly_before_and_while_a_process_is_ended(child, tmp_path):
    """Memory goes fast then; while nothing can be shed, looks stay as they are."""
    shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
    for told, targets, busy in ((ends_in(25, 29), (target(child),), False),
                                (ends_in(14, 40), (target(child),), False),
                                (ends_in(16, 20), (target(child),), True),
                                (ends_in(16, 20), (), False),
                                (Assessment(), (target(child),), False)):
        shedder.update(sample(), told, targets, ACTS)
        assert shedder.busy == busy
    assert child.poll() is None


def test_everything_expendable_is_gone_already(tmp_path):
    """Nothing is ended, nothing fails, and nothing is promised."""
    shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
    for at_s in (100.0, 100.2, 101.0):
        said = shedder.update(sample(at_s), ends_in(2), (), ACTS)
        assert (said.intent, said.fresh) == ('', ())
    assert not shedder.shed_now(sample(), ends_in(2), (), ACTS)[0]


def test_a_process_that_ended_by_itself_meanwhile_gives_its_turn_to_another(child, tmp_path):
    """The table is of the last scan."""
    ended = subprocess.Popen(['sleep', '600'])
    gone = target(ended)
    gone = replace(gone, process=replace(gone.process, memory=TaskMemory(300 << 20, 0, 0, 0)))
    ended.kill()
    ended.wait()
    shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
    assert shedder.update(sample(), ends_in(2), (gone,), ACTS).fresh == ()
    shedder.update(sample(100.2), ends_in(2), (gone, target(child)), ACTS)
    assert child.wait(20) == -signal.SIGTERM


def test_a_sentinel_that_stalled_itself_takes_no_step_too_much(child, tmp_path):
    """A look that comes 50 s late finds memory free: the process is left as it is."""
    deaf = subprocess.Popen(['sh', '-c', 'trap "" TERM; echo; exec sleep 600'],
                            stdout=subprocess.PIPE)
    deaf.stdout.readline()
    try:
        steps = settings.build({
            'shed.mode': 'act', 'groups': ['expendable'],
            'group.expendable.match': ['exe:sleep'], 'group.expendable.oom_score_adj': 300,
            'group.expendable.shed': ['terminate', 'kill']})
        shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
        shedder.update(sample(), ends_in(2), (target(deaf),), steps)
        said = shedder.update(sample(150.0, 900), Assessment(), (target(deaf),), steps)
        assert [action.result for action in said.fresh] == [Brought.STILL_RUNS]
        assert deaf.poll() is None and not shedder.busy
    finally:
        deaf.kill()
        deaf.wait()
        deaf.stdout.close()


OTHER_GROUP = CgroupChain('/other', (replace(GROUP.groups[0], path='/other'),))


@pytest.fixture(name='signals')
def signals_sent(monkeypatch):
    """Return the list of signals that are sent; none arrives."""
    sent = []
    monkeypatch.setattr(signal, 'pidfd_send_signal', lambda _fd, number: sent.append(number))
    return sent


def both_short(*paths):
    """Return an assessment in which these places end soon."""
    return Assessment(forecasts=tuple(
        (path, ends_in(5).forecasts[0][1], Level.ERROR) for path in paths))


@pytest.mark.parametrize('together, first, then, sent', [
    (False, ('/robot', '/other'), ('/robot', '/other'), 2),
    (False, ('/robot', None), ('/robot', None), 1),
    (True, (None,), (None, '/robot'), 1), (False, (None,), (None, '/other'), 2)])
def test_two_places_at_once(child, tmp_path, signals, together, first, then, sent):
    """Two groups have a process each; one whose memory comes back to both is enough for both."""
    other = subprocess.Popen(['sleep', '600'])
    try:
        inside = (('/robot', frozenset({child.pid} | ({other.pid} if together else set()))),
                  ('/other', frozenset({other.pid})))
        made = sample(100.0, 100, chains=(GROUP, OTHER_GROUP), members=inside)
        both = (target(child), target(other))
        shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
        shedder.update(made, both_short(*first), both, ACTS)
        shedder.update(replace(made, monotonic_s=100.2), both_short(*then), both, ACTS)
        assert signals == [signal.SIGTERM] * sent
    finally:
        other.kill()
        other.wait()


def test_nodes_are_activated_again_after_a_while_of_plenty(tmp_path):
    """shed.restore_s without any shortage; a shortage starts the while anew."""
    camera = Camera()
    shedder = shedder_with(camera, tmp_path)
    chosen = replace(ACTS, shed_restore_s=10.0)
    for at_s, told in ((100, Assessment()), (108, ends_in(5)), (109, Assessment()),
                       (118, Assessment())):
        shedder.update(sample(at_s), told, (), chosen)
        assert camera.asked == []
    shedder.update(sample(119.0), Assessment(), (), chosen)
    assert camera.asked == [('activate', ('/camera',))]


def test_a_process_that_cannot_be_opened_is_refused_and_not_ended(child, tmp_path, monkeypatch):
    """Out of descriptors, or a kernel without pidfds."""
    def full(_pid):
        raise OSError(24, 'Too many open files')
    monkeypatch.setattr(os, 'pidfd_open', full)
    shedder = Shedder(ROOT, os.geteuid(), str(tmp_path))
    shedder.update(sample(), ends_in(5), (target(child),), ACTS)
    said = shedder.update(sample(100.2), ends_in(5), (), ACTS)
    assert [action.result for action in said.fresh] == [Brought.REFUSED]
    assert child.poll() is None
