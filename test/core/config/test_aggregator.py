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

"""
Where diagnostic_aggregator puts our statuses, by the rules of its README and sources.

The aggregator is C++ and on no registry reached here, so its rules stand here in a few lines:
GenericAnalyzer::match(), AnalyzerGroup::init(), getOutputName() and removeLeadingNameChaff().
"""

import pathlib

from oom_sentinel import settings
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import parameter_file
import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[3]
CONFIG = ROOT / 'config'
FILE = CONFIG / 'diagnostic_aggregator.yaml'
CAPTURED = ROOT / 'test' / 'fixtures' / 'vm-debian12-6.18'
GENERIC, GROUP = ('diagnostic_aggregator/' + kind for kind in ('GenericAnalyzer', 'AnalyzerGroup'))
KNOWN = {'type', 'path', 'contains', 'startswith', 'remove_prefix', 'timeout', 'discard_stale'}
# turtlebot4_diagnostics/config/diagnostics.yaml: each is a `contains`.
TURTLEBOT4 = ('Battery', 'Wheel', 'Dock', 'Hazard', 'imu', 'mouse', 'scan', 'image', 'depth')
BRANCHES = ['Memory', 'Protection', 'Kills', 'Groups']


def parameters(text=None):
    """Return the file's parameters as they reach the aggregator, dotted."""
    document = yaml.safe_load(FILE.read_text(encoding='utf-8') if text is None else text)
    return parameter_file.flatten(document, str(FILE), '/robot1/analyzers')


def analyzers(values):
    """Return key -> parameters of each GenericAnalyzer, in the order of the names (std::map)."""
    found = {}
    for name, value in sorted(values.items()):
        key, _, last = name.rpartition('.')
        found.setdefault(key, {})[last] = value
    return {key: own for key, own in found.items() if own.get('type') == GENERIC}


def matches(analyzer, name):
    """Tell whether GenericAnalyzer::match() would say yes."""
    return (any(name.startswith(text) for text in analyzer.get('startswith', ()))
            or any(text in name for text in analyzer.get('contains', ())))


def shown(analyzer, name):
    """Return what the monitor shows as the item's name: no slash, no chaff."""
    text = name.replace('/', ' ')
    for chaff in (c.replace('/', ' ') for c in analyzer.get('remove_prefix', ())):
        if text.startswith(chaff):
            text = text[len(chaff):].removeprefix(':').lstrip(' ')
    return text


def statuses(chosen, node='oom_sentinel'):
    """Return the full name of every status that the node publishes, the kills' among them."""
    made = Sentinel(chosen, root=str(CAPTURED)).cycle().statuses
    names = dict.fromkeys([*(status.name for status in made), 'OOM kills'])
    return [f'{node}: {name}' for name in names]


SETTINGS = {name: parameter_file.load(str(CONFIG / f'{name}.yaml')).settings
            for name in ('oom_sentinel', 'turtlebot3', 'turtlebot4', 'nav2')}
SETTINGS['many groups'] = settings.build({'groups': [f'group_{i}' for i in range(12)]})
SETTINGS['no groups'] = settings.build({'groups': []})


@pytest.mark.parametrize('node', ['oom_sentinel', 'robot1/oom_sentinel', 'fleet/r2/oom_sentinel'])
@pytest.mark.parametrize('chosen', SETTINGS.values(), ids=SETTINGS)
def test_each_status_lands_in_exactly_one_branch(chosen, node):
    """None is left for Other, none is shown twice, in whatever namespace the node runs."""
    ours = analyzers(parameters())
    for name in statuses(chosen, node):
        homes = [own['path'] for own in ours.values() if matches(own, name)]
        assert len(homes) == 1, name
        wanted = {'Protection': 'Protection', 'OOM kills': 'Kills'}.get(
            name.partition(': ')[2], 'Groups' if ': Group ' in name else 'Memory')
        assert homes == [wanted], name


@pytest.mark.parametrize('chosen', SETTINGS.values(), ids=SETTINGS)
def test_no_status_lands_in_a_branch_of_turtlebot_4(chosen):
    """`contains: [imu]` would take a status that is named maximum."""
    for name in statuses(chosen):
        assert [text for text in TURTLEBOT4 if text in name] == []


def test_the_tree_is_read_from_the_top():
    """Branches in the order of the questions, items with short names that differ."""
    ours = analyzers(parameters())
    assert [own['path'] for own in ours.values()] == BRANCHES
    items = [(own['path'], shown(own, name)) for own in ours.values()
             for name in sorted(statuses(SETTINGS['turtlebot4'])) if matches(own, name)]
    assert items == [
        ('Memory', 'Control groups'), ('Memory', 'Memory'), ('Memory', 'Memory pressure'),
        ('Memory', 'OOM risk'), ('Protection', 'Protection'), ('Kills', 'OOM kills'),
        ('Groups', 'bringup'), ('Groups', 'drivers'), ('Groups', 'expendable'),
        ('Groups', 'navigation')]


def test_the_file_is_what_an_aggregator_and_add_analyzer_take():
    """Every analyzer has type and path, or add_analyzer would leave it and the group ignore it."""
    values = parameters()
    assert values['oom_sentinel.type'] == GROUP
    assert values['oom_sentinel.path'] == 'OOM Sentinel'
    for name, value in values.items():
        key, _, last = name.rpartition('.')
        assert f'{key}.path' in values and f'{key}.type' in values, name
        assert last in KNOWN, name
        if last == 'timeout':  # rclcpp's as_double() throws on an integer
            assert isinstance(value, float)
        if isinstance(value, list):
            assert value and all(isinstance(text, str) for text in value)
    assert {name.split('.')[0] for name in values} == {'oom_sentinel'}


def test_only_the_groups_may_come_and_go():
    """A branch without items is STALE, and ERROR above, unless its items are discarded."""
    assert [own['path'] for own in analyzers(parameters()).values()
            if own.get('discard_stale') is True] == ['Groups']
    assert not any(': Group ' in name for name in statuses(SETTINGS['no groups']))


def test_robots_on_one_topic_can_have_a_branch_each():
    """The file's own advice: startswith for contains, robot1/oom_sentinel for oom_sentinel."""
    block = FILE.read_text(encoding='utf-8').partition('/**:')[2]
    for old, new in (('contains', 'startswith'), ("'oom_sentinel", "'robot1/oom_sentinel"),
                     ('[oom_sentinel]', '[robot1/oom_sentinel]')):
        block = block.replace(old, new)
    ours = analyzers(parameters('/**:' + block))
    assert {shown(own, 'robot1/oom_sentinel: Group drivers') for own in ours.values()
            if matches(own, 'robot1/oom_sentinel: Group drivers')} == {'drivers'}
    for name in statuses(SETTINGS['turtlebot4'], 'robot1/oom_sentinel'):
        assert sum(matches(own, name) for own in ours.values()) == 1
    for other in ('robot10/oom_sentinel', 'robot2/oom_sentinel', 'oom_sentinel'):
        for name in statuses(SETTINGS['turtlebot4'], other):
            assert not any(matches(own, name) for own in ours.values()), name


@pytest.mark.parametrize('chosen', SETTINGS.values(), ids=SETTINGS)
def test_every_message_is_a_sentence_that_the_monitor_shows(chosen):
    """rqt_robot_monitor hides what says exactly Error or Warning."""
    for status in Sentinel(chosen, root=str(CAPTURED)).cycle().statuses:
        assert status.message not in ('Error', 'Warning', 'OK', 'Stale')
        assert status.message.endswith('.') and ' ' in status.message
