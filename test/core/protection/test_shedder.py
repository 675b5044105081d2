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
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.kernel.files import stat
from oom_sentinel.protection import respawn_hold
from oom_sentinel.protection.shedder import Shedder
from oom_sentinel.risk import Assessment
import pytest
from test_shed_plan import ends_in
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
    assert child.poll() is None
    shedder.update(sample(), ends_in(5), (target(child),), ACTS)
    wait_for(lambda: child.poll() is not None, 'the right one is hit')


@pytest.mark.parametrize('end', [
    lambda shedder: shedder.close(),
    lambda shedder: shedder.update(sample(), Assessment(), (), settings.build({}))])
def test_what_was_deactivated_is_activated_when_shedding_ends(tmp_path, end):
    """At the end of the node, and when shed.mode is turned off."""
    shedder, asked = Shedder(ROOT, os.geteuid(), str(tmp_path)), []
    shedder.activate, shedder.deactivated = asked.append, ('/camera',)
    end(shedder)
    assert asked == [('/camera',)] and shedder.deactivated == ()


def test_nodes_are_activated_again_after_a_while_of_plenty(tmp_path):
    """shed.restore_s without any shortage; a shortage starts the while anew."""
    shedder, asked = Shedder(ROOT, os.geteuid(), str(tmp_path)), []
    shedder.activate, shedder.deactivated = asked.append, ('/camera',)
    chosen = replace(ACTS, shed_restore_s=10.0)
    for at_s, told in ((100, Assessment()), (108, ends_in(5)), (109, Assessment()),
                       (118, Assessment())):
        shedder.update(sample(at_s), told, (), chosen)
        assert asked == []
    shedder.update(sample(119.0), Assessment(), (), chosen)
    assert asked == [('/camera',)]


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
