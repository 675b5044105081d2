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

"""What wakes the node: a real stall publishes at once, a storm of programs costs little."""

import os
import subprocess
import sys
import threading
import time

from conftest import oom_score_adj
from conftest import running_sentinel
from conftest import wait_for
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
stall = pytest.importorskip('bench.stall', reason='run pytest in the top folder: bench/ is there')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100

SELDOM = {'publish_period': 60.0, 'scan_period': 60.0}


@pytest.fixture
def observer():
    """Return an observer that is closed in the end."""
    made = Observer()
    yield made
    made.close()


def test_a_stall_is_published_at_once_with_what_woke(observer):
    """With a publish_period of a minute; switched off and on again it works anew."""
    if stall.confined.usable() is None:
        pytest.skip('a real stall needs root and a memory controller')
    if not os.path.exists('/proc/pressure/memory'):
        pytest.skip('this kernel has no pressure stall information')
    with running_sentinel({**SELDOM, 'publish_period': 0.2}):
        observer.until(lambda: observer.values('Memory pressure').get('trigger'), 'it publishes')
        assert observer.set(pressure__trigger_stall_ms=0)[0].successful
        assert observer.set(pressure__trigger_stall_ms=50)[0].successful
        observer.until(lambda: '50 ms of stall in' in observer.values('Memory pressure').get(
            'trigger', ''), 'the trigger is armed')
        assert observer.set(publish_period=60.0)[0].successful
        before = len(observer.arrays)
        with stall.stalling():
            observer.until(lambda: any(
                'memory pressure' in value.value for array in observer.arrays[before:]
                for status in array.status for value in status.values
                if value.key == 'woken by'), 'a stall is told')


def test_the_trigger_says_that_it_is_off(observer):
    """At run time, within a second."""
    with running_sentinel({'publish_period': 0.2}):
        observer.until(lambda: observer.values('Memory pressure').get('trigger'), 'it publishes')
        assert observer.set(pressure__trigger_stall_ms=0)[0].successful
        observer.until(lambda: 'pressure.trigger_stall_ms is 0' in observer.values(
            'Memory pressure')['trigger'] or not os.path.exists('/proc/pressure/memory'),
            'it is off', 5.0)


def test_a_new_program_has_its_value_long_before_the_next_scan(robot):
    """scan_period is a minute; a wrapper that executes the node later is followed."""
    parameters = {**SELDOM, 'groups': ['expendable'],
                  'group.expendable.match': ['exe:recorder'],
                  'group.expendable.oom_score_adj': 300}
    with running_sentinel(parameters):
        first = robot.start('rosbag', 'recorder')
        wait_for(lambda: oom_score_adj(first.pid) == 300, 'the sentinel is up')
        late = subprocess.Popen(['sh', '-c', 'sleep 2; exec "$0" -I "$1" 0 0 -',
                                 sys.executable, f'{robot.prefix}/lib/rosbag/recorder'],
                                stdout=subprocess.DEVNULL)
        try:
            wait_for(lambda: oom_score_adj(late.pid) == 300, 'the wrapper became the node', 10)
        finally:
            late.kill()
            late.wait()


def test_a_storm_of_programs_does_not_make_it_eat_cpu(robot, observer):
    """Some hundred a second; it goes on publishing and wakes a few times a second."""
    done = threading.Event()

    def storm():
        while not done.is_set():
            subprocess.run(['true'])
    with running_sentinel({'publish_period': 0.5}) as sentinel:
        observer.until(lambda: observer.arrays, 'it publishes')
        runner = threading.Thread(target=storm)
        runner.start()
        try:
            before, heard = _cpu_s(sentinel.pid), len(observer.arrays)
            started_s = time.monotonic()
            observer.until(lambda: time.monotonic() - started_s > 5, 'five seconds pass')
            share = (_cpu_s(sentinel.pid) - before) / (time.monotonic() - started_s)
            assert len(observer.arrays) - heard >= 4
        finally:
            done.set()
            runner.join()
    assert share < 0.5, f'{100 * share:.0f} % of a core'


def _cpu_s(pid):
    with open(f'/proc/{pid}/schedstat', encoding='ascii') as stream:
        return int(stream.read().split()[0]) / 1e9
