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

"""GUIDs to PIDs, ambiguity, and how seldom the graph is asked."""

from types import SimpleNamespace

from oom_sentinel.facts import parts
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.node import graph
from oom_sentinel.node import names
import pytest

OWN = 4242
HERE = b'\xaa\xbb'


def gid(pid, host=HERE, vendor=b'\x01\x0f'):
    """Return an endpoint GUID as Fast DDS forms it."""
    return vendor + host + (pid & 0xFFFF).to_bytes(2, 'little') + bytes(18)


def process(pid, **more):
    """Return a ROS process."""
    return Process(pid, 1, 1, 1000, Program('node', ros=True), **more)


def attribute(endpoints, processes):
    """Attribute with the sentinel itself in the graph and in the table."""
    return graph.attribute([('/oom_sentinel', gid(OWN)), *endpoints],
                           [process(OWN), *processes], OWN, '/oom_sentinel')


@pytest.mark.parametrize('endpoints, processes, names, missing', [
    ([('/amcl', gid(77))], [process(77)], {77: ('/amcl',)}, ()),
    ([('/a', gid(77)), ('/b', gid(77))], [process(77)], {77: ('/a', '/b')}, ()),
    ([('/big', gid(3 * 65536 + 9))], [process(3 * 65536 + 9)], {3 * 65536 + 9: ('/big',)}, ()),
    ([('/two', gid(9))], [process(9), process(65536 + 9)], {}, ('/two',)),
    ([('/gone', gid(78))], [process(77)], {}, ('/gone',)),
    ([('/far', gid(77, b'\x01\x02'))], [process(77)], {}, ()),
    ([('/cyclone', gid(77, vendor=b'\x01\x10'))], [process(77)], {}, ()),
    ([('/inner', gid(77))], [process(77, same_pid_namespace=False)], {}, ('/inner',)),
    ([('/short', b'\x01\x0f')], [process(77)], {}, ()),
    # killed and respawned: the dead one stays in the graph for some 20 s
    ([('/amcl', gid(70)), ('/amcl', gid(77))], [process(77)], {77: ('/amcl',)}, ()),
])
def test_attributes(endpoints, processes, names, missing):
    """Only what is certain is attributed; what is of this host and not found is missing."""
    found = attribute(endpoints, processes)
    assert found.names.pop(OWN) == ('/oom_sentinel',)
    assert (found.names, found.missing) == (names, missing)
    assert bool(found.unclaimed) == bool(missing)


@pytest.mark.parametrize('own', [
    ('/oom_sentinel', gid(OWN + 1)), ('/oom_sentinel', gid(OWN, vendor=b'\x01\x10')),
    ('/other', gid(OWN))])
def test_is_off_when_our_own_pid_does_not_come_back(own):
    """Another middleware, or another form of GUID."""
    assert graph.attribute([own, ('/amcl', gid(77))], [process(OWN), process(77)], OWN,
                           '/oom_sentinel') == graph.Attribution()


@pytest.mark.parametrize('name, namespace, whole', [
    ('a', '/', '/a'), ('a', '/r1', '/r1/a'), ('a', '', '/a'), ('a', '/r/x', '/r/x/a')])
def test_qualifies(name, namespace, whole):
    """A node's name and namespace as ros2 node list prints them."""
    assert graph.qualified(name, namespace) == whole


class FakeNode:
    """A graph to be asked."""

    def __init__(self, monkeypatch):
        """Hold the sentinel alone."""
        monkeypatch.setattr(graph.os, 'getpid', lambda: OWN)
        self.endpoints = [('oom_sentinel', gid(OWN))]
        self.services = {}

    def count_publishers(self, _topic):
        """Count as rclpy does."""
        return len(self.endpoints)

    def get_service_names_and_types(self):
        """Tell as rclpy does."""
        return [(name, ['any']) for name in self.services]

    def get_publishers_info_by_topic(self, topic, no_mangle=False):
        """Tell as rclpy does."""
        if no_mangle:
            return [SimpleNamespace(node_name=graph.UNKNOWN_NODE, endpoint_gid=list(
                self.services[topic[2:-5]]))]
        return [SimpleNamespace(node_name=name, node_namespace='/', endpoint_gid=list(raw))
                for name, raw in self.endpoints]

    def get_fully_qualified_name(self):
        """Return the sentinel's name."""
        return '/oom_sentinel'


class Asked:
    """A graph over a fake node, at a clock that the test moves."""

    def __init__(self, monkeypatch):
        """Begin at 0 s."""
        self.node = FakeNode(monkeypatch)
        self.now_s = 0.0
        self.graph = graph.Graph(self.node, lambda: self.now_s)

    def at(self, now_s, *processes):
        """Return the answer at this time, None when nobody was asked."""
        self.now_s = now_s
        table = (process(OWN), *processes)
        return self.graph.names(table) if self.graph.changed(table) else None


@pytest.fixture
def asked(monkeypatch):
    """Return a graph with a clock."""
    return Asked(monkeypatch)


def test_news_is_asked_for_at_once_but_not_in_a_burst(asked):
    """A burst of starting nodes costs a question every 0.3 s, and none is forgotten."""
    assert asked.at(0).names == {OWN: ('/oom_sentinel',)}
    asked.node.endpoints.append(('amcl', gid(77)))
    assert asked.at(0.1, process(77)) is None
    assert asked.at(0.2, process(77)) is None
    assert asked.at(0.3, process(77)).names[77] == ('/amcl',)
    assert asked.at(0.7, process(77)) is None


def test_a_quiet_graph_is_asked_ever_more_seldom(asked):
    """Still once in 30 s: one node that goes as another comes leaves the count as it was."""
    times = [t for t in range(0, 200) if asked.at(float(t)) is not None]
    gaps = [b - a for a, b in zip(times, times[1:])]
    assert gaps == sorted(gaps) and gaps[-1] == 30 and len(times) < 12


def test_an_endpoint_without_a_name_yet_is_asked_for_again(asked):
    """Discovery tells the endpoint before the node that holds it, by up to 3.5 s."""
    asked.node.endpoints.append((graph.UNKNOWN_NODE, gid(77)))
    assert 77 not in asked.at(0, process(77)).names
    assert 77 not in asked.at(0.3, process(77)).names
    assert 77 not in asked.at(0.6, process(77)).names
    asked.node.endpoints[-1] = ('amcl', gid(77))
    assert asked.at(1.0, process(77)).names[77] == ('/amcl',)


def test_an_endpoint_that_never_has_a_name_is_not_asked_for_for_ever(asked):
    """What a killed node left; the pause is 2 s again."""
    asked.node.endpoints.append((graph.UNKNOWN_NODE, gid(77)))
    times = [t / 10 for t in range(200) if asked.at(t / 10, process(77)) is not None]
    assert len([t for t in times if t < 5]) > 10 and len([t for t in times if t > 5]) < 9


def test_a_node_whose_name_is_late_is_told_by_its_parameter_service(asked):
    """The participant's own services, not another's, and not what is no such service."""
    asked.node.endpoints.append((graph.UNKNOWN_NODE, gid(77)))
    asked.node.services = {'/r1/amcl/get_parameters': gid(77), '/r1/amcl/other': gid(77),
                           '/stranger/get_parameters': gid(78)}
    assert asked.at(0, process(77)).names[77] == ('/r1/amcl',)


def test_a_node_is_missing_only_after_two_seconds(asked):
    """A new node may stand in the graph before its process was classified."""
    asked.node.endpoints.append(('amcl', gid(77)))
    first = asked.at(0)
    assert first.missing == () and first.unclaimed == {77}
    asked.node.endpoints.append(('map_server', gid(78)))
    assert asked.at(0.5, process(78)).missing == ()
    assert asked.at(2.5, process(78)).missing == ('/amcl',)
    found = asked.at(4.5, process(77), process(78))
    assert found.missing == () and found.names[77] == ('/amcl',)


def test_nobody_is_asked_before_the_first_scan(asked):
    """Nothing could be attributed."""
    assert asked.graph.changed(()) is False


def undecodable(*_):
    """Raise what rclpy raises when a name in its answer is not UTF-8."""
    raise UnicodeDecodeError('utf-8', b'\xff', 0, 1, 'invalid start byte')


def test_a_name_that_is_not_utf_8_hides_no_node_that_is_looked_for(asked, monkeypatch):
    """Names of the last answer, of selectors and our own are asked for one by one."""
    asked.node.endpoints += [('before', gid(76))]
    assert asked.at(0, process(76)).names[76] == ('/before',)
    services = {'/oom_sentinel/get_parameters': gid(OWN), '/before/get_parameters': gid(76),
                '/amcl/get_parameters': gid(77), '/bad/get_parameters': gid(78)}
    usual, asked.node.services = asked.node.get_publishers_info_by_topic, services

    def answer(topic, no_mangle=False):
        return usual(topic, no_mangle) if no_mangle and topic[2:-5] in services \
            and '/bad/' not in topic else undecodable()
    monkeypatch.setattr(asked.node, 'get_publishers_info_by_topic', answer)
    monkeypatch.setattr(asked.node, 'get_service_names_and_types', undecodable)
    asked.graph._selected = lambda: ('/amcl', '/bad', '/nowhere')
    found = asked.at(60, *map(process, (76, 77, 78)))
    assert found.names == {OWN: ('/oom_sentinel',), 76: ('/before',), 77: ('/amcl',)}
    assert asked.graph.undecodable
    monkeypatch.setattr(asked.node, 'get_publishers_info_by_topic', usual)
    asked.node.endpoints += [('amcl', gid(77)), ('back', gid(78))]
    found = asked.at(120, *map(process, (76, 77, 78)))
    assert found.names[78] == ('/back',) and not asked.graph.undecodable


def test_a_failure_of_the_graph_stays_until_the_next_question(asked, monkeypatch):
    """Else Protection changes its level with every cycle between two questions."""
    sentinel = SimpleNamespace(
        parts=parts.Parts(), ros_processes=lambda: (process(OWN),),
        table=SimpleNamespace(look_for_librcl=lambda _bits: False),
        guard=SimpleNamespace(view=SimpleNamespace(uid=1000)),
        settings=SimpleNamespace(protection_groups=(), protection_other_users=False),
        set_graph_names=lambda *_names: False)
    made = names.Names(asked.node, sentinel)
    made._graph = asked.graph
    usual = asked.node.get_publishers_info_by_topic

    def broken(*_):
        raise RuntimeError('rcl')
    monkeypatch.setattr(asked.node, 'get_publishers_info_by_topic', broken)
    for asked.now_s in (0.0, 0.1, 0.2):
        made.update()
        assert sentinel.parts.troubles == {parts.GRAPH: 'rcl'}
    monkeypatch.setattr(asked.node, 'get_publishers_info_by_topic', usual)
    asked.now_s = 60.0
    made.update()
    assert sentinel.parts.troubles == {}
