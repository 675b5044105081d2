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

"""The node and a launch's record: originals and names are the launch's."""

import os
import pathlib
import signal

from conftest import oom_score_adj
from conftest import running_sentinel
from conftest import wait_for
from oom_sentinel import kernel
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Change
from oom_sentinel.kernel.files import stat
from oom_sentinel.protection import launch_record
from oom_sentinel.protection import saved
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')

FAST = {'scan_period': 0.2, 'publish_period': 0.2, 'groups': ['late'],
        'group.late.match': ['node:/localiser'], 'group.late.oom_score_adj': 300}


def record_of(child, original, written, names=(), asked=None):
    """Write the record of a launch, ourselves, that started this child."""
    root = kernel.Root('/')
    who = [Identity(pid, stat.parse(root.read(f'/proc/{pid}/stat')).start_time)
           for pid in (os.getpid(), child.pid)]
    record = launch_record.LaunchRecord(saved.StateDirectory().path, root.host().boot_id, who[0])
    record.acquire()
    if names:
        record.name(who[1], names)
    if asked is not None:
        record.ask(who[1], asked)
    if original is not None:
        record.save({who[1]: Change(who[1], original, written)})
    record.flush()
    return record


def write(child, value):
    """Write as a launch does."""
    pathlib.Path(f'/proc/{child.pid}/oom_score_adj').write_text(str(value))


@pytest.mark.parametrize('kills', [0, 1])
def test_restores_to_what_was_before_the_launch_wrote(robot, kills):
    """Also a sentinel that was killed and respawned."""
    child = robot.start('demo', 'thing')
    write(child, 300)
    record_of(child, 0, 300, ('/localiser',))
    state = pathlib.Path(saved.StateDirectory().path) / 'state.json'
    for _ in range(kills):
        with running_sentinel(FAST) as sentinel:
            wait_for(lambda: state.exists() and f'{child.pid}' in state.read_text(),
                     'the sentinel has heard of it')
            sentinel.kill()
            sentinel.wait()
    parameters = {**FAST, 'group.late.oom_score_adj': 200}
    with running_sentinel(parameters) as sentinel:
        wait_for(lambda: oom_score_adj(child.pid) == 200, 'the name is believed')
        wait_for(lambda: '"written": 200' in state.read_text(), 'the state is kept')
        sentinel.send_signal(signal.SIGINT)
        assert sentinel.wait(15) == 0
        said = sentinel.stdout.read().decode()
    assert oom_score_adj(child.pid) == 0 or 'memory is short' in said, said


def test_what_the_launch_file_asked_for_is_held(robot):
    """set_oom_score_adj on a process that no group matches: put back when it drifts."""
    child = robot.start('demo', 'thing')
    write(child, 150)
    record_of(child, None, None, asked=150)
    with running_sentinel(FAST):
        write(child, 7)
        wait_for(lambda: oom_score_adj(child.pid) == 150, 'the value is put back')


def test_the_record_of_a_dead_launch_is_taken_and_removed(robot):
    """Its processes live on; the sentinel knows their originals from then on."""
    child = robot.start('demo', 'thing')
    write(child, 300)
    record = record_of(child, 11, 300, ('/localiser',))
    text = pathlib.Path(record.path).read_text()
    pathlib.Path(record.path).write_text(text.replace(f'"pid": {os.getpid()}', '"pid": 4194303'))
    with running_sentinel(FAST) as sentinel:
        wait_for(lambda: not os.path.exists(record.path), 'the record is gone')
        sentinel.send_signal(signal.SIGINT)
        assert sentinel.wait(15) == 0
        said = sentinel.stdout.read().decode()
    assert oom_score_adj(child.pid) == 11 or 'memory is short' in said, said
