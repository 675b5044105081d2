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

"""What a plan shows that nobody writes: the same values as protection's own plan."""

from dataclasses import replace

from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.forecast import forecast
import pytest
from test_plan import holding
from test_plan import MACHINE
from test_plan import node
from test_plan import process
from test_plan import SETTINGS
from test_plan import values
from test_plan import VIEW

DRIVER = holding(node(1000, 'rplidar_ros/rplidar_node'), 100)
TALKER, TOP = holding(node(1003, 'x/talker'), 0), holding(process(1004, '/usr/bin/top'), 200)
TABLE = (DRIVER, TALKER, TOP)


def shown(lowest, holders=()):
    """Return pid -> value of the forecast where so much is permitted."""
    made = forecast(TABLE, SETTINGS, VIEW, 4096, domains_of=lambda paths: (MACHINE,),
                    floor=lambda target: lowest, holds_device=lambda pid: pid in holders)
    return {t.process.pid: t.value for t in made.targets + made.raised}


@pytest.mark.parametrize('lowest', [0, -100])
def test_a_denied_plan_shows_who_would_be_raised(lowest):
    """As protection itself does once lowering was denied."""
    assert shown(lowest) == values(TABLE, {DRIVER.identity: lowest})[0]
    assert (1003 in shown(lowest)) == (lowest == 0), 'with -100 there is head start enough'


@pytest.mark.parametrize('lowest', [None, -1000])
def test_nobody_is_raised_where_lowering_is_permitted_or_unknown(lowest):
    """Then the groups alone get their values."""
    assert shown(lowest) == {1000: -400}


def test_a_node_that_holds_a_driver_is_not_raised():
    """Protection asks the same of each node of no group."""
    assert 1003 not in shown(0, holders=(1003,)) and 1004 in shown(0, holders=(1003,))


def test_the_floor_of_each_target_is_asked_for():
    """What a write of it would come to differs from process to process."""
    asked = []
    forecast(TABLE, SETTINGS, VIEW, 4096, domains_of=lambda paths: (MACHINE,),
             floor=lambda target: asked.append(target.process.pid),
             holds_device=lambda pid: False)
    assert asked == [1000]


def test_only_the_control_groups_of_protected_processes_are_read():
    """Of those that this user may write to."""
    asked = []
    table = (replace(DRIVER, cgroup='/a'), replace(TALKER, cgroup='/b'),
             replace(DRIVER, pid=1001, uid=1, cgroup='/c'))
    forecast(table, SETTINGS, VIEW, 4096, domains_of=lambda paths: asked.append(paths) or (),
             floor=lambda target: None, holds_device=lambda pid: False)
    assert asked == [('/a',)]


def test_each_process_counts_as_resting_at_what_it_holds():
    """In a small control group all are raised to the largest that rests, as by protection."""
    place = Domain('/robot', 300 * 256, 100 * 256)
    table = tuple(replace(p, cgroup='/robot') for p in (DRIVER, TALKER, holding(TOP, 50)))
    made = forecast(table, SETTINGS, VIEW, 4096, domains_of=lambda paths: (place,),
                    floor=lambda target: None, holds_device=lambda pid: False)
    assert made == values(table, domains=(place,))[1] and made.raised
    asked = []
    permitted = forecast(table, SETTINGS, VIEW, 4096, domains_of=lambda paths: (place,),
                         floor=lambda target: target.wanted, holds_device=asked.append)
    assert permitted == made and asked == [], 'as where nothing is known of the floor'
