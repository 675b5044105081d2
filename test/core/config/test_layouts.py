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
"""The layouts for other people's tools are what those tools read, and name our topics."""

import ast
import json
import pathlib
import re
import xml.etree.ElementTree as ElementTree

from oom_sentinel import settings
import pytest
import yaml

CONFIG = pathlib.Path(__file__).parents[3] / 'config'
NUMBERS = {'memory_available_percent', 'memory_pressure_some_avg10', 'oom_risk',
           'time_to_exhaustion_s'}
TOPICS = ({f'/oom_sentinel/{name}' for name in NUMBERS}
          | {f'/oom_sentinel/group/{group}/{name}' for group in settings.PRESET_MATCH
             for name in ('rss_mib', 'growth_mib_per_min')})
METRICS = {'memory_available_ratio', 'memory_pressure_some_avg10_ratio', 'oom_risk_ratio',
           'time_to_exhaustion_seconds', 'group_resident_memory_bytes',
           'group_growth_bytes_per_second', 'oom_kills_total', 'status_level'}


def test_foxglove_shows_topics_of_ours_and_each_panel_once():
    """A panel that the layout names and no configuration describes is an empty tile."""
    data = json.loads((CONFIG / 'foxglove.json').read_text())

    def panels(part):
        return [part] if isinstance(part, str) else panels(part['first']) + panels(part['second'])
    assert sorted(panels(data['layout'])) == sorted(data['configById'])
    paths = [path['value'] for panel in data['configById'].values()
             for path in panel.get('paths', ())]
    assert paths and {path.removesuffix('.data') for path in paths} <= TOPICS
    others = {panel.get('topicToRender') or panel.get('topicPath')
              for panel in data['configById'].values()} - {None}
    assert others == {'/diagnostics', '/oom_sentinel/oom_kills'}
    kinds = {name.partition('!')[0] for name in data['configById']}
    # DiagnosticStatusPanel shows nothing without a hardware id, and ours is each host's name.
    assert kinds == {'DiagnosticSummary', 'Plot', 'RawMessages'}
    for panel in data['configById'].values():
        assert panel['foxglovePanelTitle'] == panel['lichtblickPanelTitle']
        assert 'paths' not in panel or {
            'showLegend', 'legendDisplay', 'showPlotValuesInLegend', 'showXAxisLabels',
            'showYAxisLabels', 'isSynced', 'xAxisVal', 'sidebarDimension'} <= set(panel)


def test_plotjuggler_plots_topics_of_ours():
    """Each curve is the data of a topic that the layout subscribes to."""
    root = ElementTree.parse(CONFIG / 'plotjuggler.xml').getroot()
    topics = {topic.get('name') for topic in root.iter('topic')}
    curves = {curve.get('name') for curve in root.iter('curve')}
    assert topics and topics <= TOPICS
    assert curves == {topic + '/data' for topic in topics}
    plugin = root.find('Plugins/plugin')
    # Newer PlotJuggler reads the attribute, and takes a missing number for 0.
    assert set(plugin.find('selected_topics').get('value').split(';')) == topics
    assert int(plugin.find('max_array_size').get('value')) > 0
    assert root.find('previouslyLoaded_Streamer').get('name') == plugin.get('ID')
    splitter = root.find('.//DockSplitter')
    assert int(splitter.get('count')) == len(splitter) == len(splitter.get('sizes').split(';'))


def test_the_perspective_opens_the_monitor_and_plots_ours():
    """Each value is evaluated by rqt: it must be a Python literal."""
    data = json.loads((CONFIG / 'oom_sentinel.perspective').read_text())
    found = {}

    def walk(group):
        for name, value in group['keys'].items():
            assert value['type'] == 'repr'
            found[name] = ast.literal_eval(value['repr'])
        for part in group['groups'].values():
            walk(part)
    walk(data)
    assert set(found['running-plugins']) == {'rqt_plot/Plot', 'rqt_robot_monitor/RobotMonitor'}
    assert {topic.removesuffix('/data') for topic in found['topics']} <= TOPICS


def expressions():
    """Return every query of the dashboard and the alert rules."""
    board = json.loads((CONFIG / 'grafana' / 'dashboard.json').read_text())
    rules = yaml.safe_load((CONFIG / 'grafana' / 'alerts.yaml').read_text())['groups'][0]['rules']
    return ([target['expr'] for panel in board['panels'] for target in panel['targets']]
            + [rule['expr'] for rule in rules])


def test_grafana_asks_for_metrics_of_ours():
    """A query for a metric that nobody serves shows nothing, for ever."""
    asked = {name for text in expressions() for name in re.findall(r'oom_sentinel_(\w+)', text)}
    assert asked == METRICS
    served = (CONFIG.parent / 'oom_sentinel' / 'node' / 'metrics.py').read_text(encoding='utf-8')
    for name in METRICS:
        assert f"'{name.removesuffix('_total')}'" in served, name
    for text in expressions():
        assert text.count('(') == text.count(')') and text.count('{') == text.count('}')


def test_the_dashboard_has_no_two_panels_in_one_place():
    """Grafana would move one of them; ids are unique as well."""
    panels = json.loads((CONFIG / 'grafana' / 'dashboard.json').read_text())['panels']
    assert len({panel['id'] for panel in panels}) == len(panels)
    taken = [(x, y) for panel in panels for place in [panel['gridPos']]
             for x in range(place['x'], place['x'] + place['w'])
             for y in range(place['y'], place['y'] + place['h'])]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize('number', range(3))
def test_there_are_three_alert_rules_and_each_says_what_is_wrong(number):
    """Memory ends soon, a node was killed, a sentinel is silent."""
    rules = yaml.safe_load((CONFIG / 'grafana' / 'alerts.yaml').read_text())['groups'][0]['rules']
    assert len(rules) == 3
    rule = rules[number]
    assert rule['alert'] and rule['labels']['severity'] in ('warning', 'critical')
    assert '{{ $labels.instance }}' in rule['annotations']['summary']
