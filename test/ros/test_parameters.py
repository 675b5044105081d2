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

"""Parameters as the ros2 command line sets them: one by one, of its types, and deleted."""

import os
import pathlib
import sys

from conftest import running_sentinel
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100
from oom_sentinel.node.node import cycle_period  # noqa: E402
from rcl_interfaces.msg import Parameter  # noqa: E402
from rcl_interfaces.msg import ParameterType  # noqa: E402
from rclpy.parameter import parameter_dict_from_yaml_file  # noqa: E402

FAST = {'scan_period': 0.2, 'publish_period': 0.2}
CONFIG = pathlib.Path(__file__).parents[2] / 'config' / 'oom_sentinel.yaml'


@pytest.fixture
def observer():
    """Return an observer that is closed in the end."""
    made = Observer()
    yield made
    made.close()


def test_deleting_is_refused(observer):
    """`ros2 param delete` arrives as a parameter that is not set."""
    with running_sentinel(FAST):
        gone = Parameter(name='scan_period')
        assert gone.value.type == ParameterType.PARAMETER_NOT_SET
        for atomically in (False, True):
            result = observer.set_messages([gone], atomically)[0]
            assert not result.successful and 'scan_period' in result.reason
        assert observer.get('scan_period') == 0.2
        assert observer.set(use_sim_time=True)[0].successful


def test_loads_the_whole_file_one_by_one(observer):
    """`ros2 param load` sends what the file holds in its order; read-only ones are told."""
    with running_sentinel(FAST):
        made = list(parameter_dict_from_yaml_file(str(CONFIG), use_wildcard=True).values())
        assert len(made) > 30
        refused = {m.name: r.reason for m, r in zip(made, observer.set_messages(made))
                   if not r.successful}
        assert set(refused) == {'protection.allow_unkillable', 'protection.other_users',
                                'incident.directory', 'parameters.locked', 'metrics.port',
                                'metrics.address'}
        assert all('read-only' in reason for reason in refused.values())
        assert observer.get('publish_period') == 1.0


def test_parameters_of_a_group_come_and_go_with_it(observer):
    """The list shows what exists; a group that comes back has its values again."""
    with running_sentinel(FAST):
        early = observer.set(group__late__oom_score_adj=5)[0]
        assert not early.successful and "add 'late' there" in early.reason
        assert observer.set(group__drivers__oom_score_adj=-123)[0].successful
        assert observer.set(groups=['late'])[0].successful
        names = observer.names()
        assert 'group.late.match' in names and 'group.drivers.oom_score_adj' not in names
        gone = observer.set(group__drivers__oom_score_adj=-5)[0]
        assert not gone.successful and 'group.drivers.oom_score_adj' in gone.reason
        assert observer.set(groups=['drivers', 'late'])[0].successful
        assert observer.get('group.drivers.oom_score_adj') == -123
        assert observer.set(groups=[])[0].successful
        assert not any(name.startswith('group.') for name in observer.names())


def test_an_atomic_set_changes_all_or_nothing(observer):
    """Also the groups that it would have made."""
    with running_sentinel(FAST):
        result = observer.set(True, groups=['late'], group__late__oom_score_adj=2000)[0]
        assert not result.successful and '-1000..1000' in result.reason
        assert 'group.late.match' not in observer.names()
        assert observer.set(True, group__late__oom_score_adj=20, groups=['late'])[0].successful
        assert observer.get('group.late.oom_score_adj') == 20


def test_publishes_in_the_period_that_was_asked_for(observer):
    """Also one that is no multiple of the cycle's; a kill on this machine is told in between."""
    def gaps():
        stamps = [array.header.stamp for array in observer.arrays]
        times = [stamp.sec + stamp.nanosec / 1e9 for stamp in stamps]
        return [later - earlier for earlier, later in zip(times, times[1:])]

    with running_sentinel({'publish_period': 1.4, 'hold_s': 600.0}):
        observer.until(lambda: any(abs(gap - 1.4) < 0.25 for gap in gaps()), 'a period', 60)


@pytest.mark.parametrize('publish_period, period', [
    (0.1, 0.1), (1.0, 1.0), (1.5, 0.75), (2.0, 1.0), (60.0, 1.0)])
def test_cycles_divide_the_publish_period(publish_period, period):
    """And are never further apart than a second."""
    assert cycle_period(publish_period) == pytest.approx(period)
