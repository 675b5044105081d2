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
What runs inside component containers, without composition_interfaces and DDS.

The type is not among the wheels, so the client is a stand-in that answers when told to.
"""

from dataclasses import replace
from types import SimpleNamespace

from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
from oom_sentinel.node.containers import Containers  # noqa: E402,I100
from rclpy.task import Future  # noqa: E402

KIND = SimpleNamespace(Request=lambda: 'request')


def container(pid, name='/nav2_container'):
    """Return a container process."""
    return Process(pid, 1, 1, 1000, Program('c', executable='component_container_isolated',
                                            node_names=(name,), ros=True))


def gid(pid, vendor=b'\x01\x0f'):
    """Return a GUID as Fast DDS forms it."""
    return vendor + b'\xaa\xbb' + pid.to_bytes(2, 'little') + bytes(18)


class FakeClient:
    """A client whose answer the test gives."""

    def __init__(self, name):
        """Keep whom it asks."""
        self.name = name
        self.futures = []
        self.dropped = []

    def service_is_ready(self):
        """Be there."""
        return True

    def call_async(self, _request):
        """Return a future."""
        self.futures.append(Future())
        return self.futures[-1]

    def remove_pending_request(self, future):
        """Note what was given up."""
        self.dropped.append(future)


class FakeNode:
    """Makes clients."""

    def __init__(self):
        """Begin without any; the container that is asked answers itself."""
        self.clients = []
        self.servers = [gid(7)]

    def get_publishers_info_by_topic(self, topic, no_mangle):
        """Return who answers."""
        assert topic.startswith('rr/') and topic.endswith('/_container/list_nodesReply')
        assert no_mangle
        return [SimpleNamespace(endpoint_gid=raw) for raw in self.servers]

    def create_client(self, _kind, name):
        """Make one."""
        self.clients.append(FakeClient(name))
        return self.clients[-1]

    def destroy_client(self, client):
        """End one."""
        self.clients.remove(client)


@pytest.fixture
def node():
    """Return a node without clients."""
    return FakeNode()


@pytest.fixture
def clock():
    """Return a clock that the test moves."""
    return SimpleNamespace(now_s=0.0)


@pytest.fixture
def inside(node, clock):
    """Return what is under test."""
    return Containers(node, KIND, lambda: clock.now_s)


def test_an_answer_serves_the_next_question(inside, node):
    """And nobody waits for it."""
    assert inside.names([container(7)], ()) == {}
    assert node.clients[0].name == '/nav2_container/_container/list_nodes'
    node.clients[0].futures[0].set_result(
        SimpleNamespace(full_node_names=['/planner_server', '/amcl'], unique_ids=[2, 5]))
    assert inside.names([container(7)], ()) == {7: ('/amcl', '/planner_server')}
    assert inside.component(7, '/amcl') == ('/nav2_container', 5)
    assert inside.component(8, '/amcl') is None and inside.component(7, '/map') is None
    assert len(node.clients[0].futures) == 1


@pytest.mark.parametrize('servers, believed', [
    ([gid(7)], True), ([gid(7, vendor=b'\x01\x10')], True),  # CycloneDDS tells no PID
    ([gid(8)], False), ([gid(7), gid(8)], False), ([gid(7), gid(7)], False), ([], False)])
def test_only_the_container_itself_is_believed(inside, node, clock, servers, believed):
    """A peer that answers in its place could name a node that would lower the container."""
    answer = SimpleNamespace(full_node_names=['/amcl'], unique_ids=[1])
    inside.names([container(7)], ())
    node.servers = servers
    node.clients[0].futures[0].set_result(answer)
    assert inside.names([container(7)], ()) == ({7: ('/amcl',)} if believed else {})
    clock.now_s = 61.0
    inside.names([container(7)], ())
    assert len(node.clients[0].futures) == 1 + believed


def test_a_silent_container_is_given_up_and_asked_again(inside, node, clock):
    """One that loads a component answers nobody meanwhile."""
    for clock.now_s in (0.0, 4.9, 5.0, 9.9):
        assert inside.names([container(7)], ()) == {}
    assert node.clients[0].dropped == node.clients[0].futures
    clock.now_s = 10.0
    inside.names([container(7)], ())
    assert len(node.clients[0].futures) == 2


def test_a_failed_answer_keeps_the_one_before(inside, node, clock):
    """The service may end with its container."""
    inside.names([container(7)], ())
    node.clients[0].futures[0].set_exception(RuntimeError('gone'))
    assert inside.names([container(7)], ()) == {}


@pytest.mark.parametrize('processes, known', [
    ([container(7)], (7,)), ([container(7), container(8)], ()),
    ([Process(7, 1, 1, 1000, Program('c', executable='amcl', node_names=('/amcl',)))], ())])
def test_nobody_is_asked_needlessly(inside, node, processes, known):
    """The graph told already, two carry one name, or it is no container."""
    assert inside.names(processes, known) == {}
    assert node.clients == []


def test_a_container_that_ended_leaves_nothing(inside, node):
    """Neither a client nor an answer."""
    inside.names([container(7)], ())
    assert inside.names([], ()) == {}
    assert node.clients == []


def test_without_composition_interfaces_nobody_is_asked(node, monkeypatch):
    """The package is optional."""
    monkeypatch.setattr('oom_sentinel.node.containers.list_nodes_type', lambda: None)
    assert Containers(node).names([container(7)], ()) == {}
    assert node.clients == []


def test_a_container_without_a_name_is_called_as_rclcpp_components_does(inside, node):
    """Its command line says none; two of them cannot be told apart."""
    bare = Process(7, 1, 1, 1000, Program('c', executable='component_container', ros=True))
    inside.names([bare], ())
    assert [client.name for client in node.clients] == ['/ComponentManager/_container/list_nodes']
    inside.names([bare, replace(bare, pid=8)], ())
    assert node.clients == []


def test_a_change_in_the_graph_lets_the_container_be_asked_again(inside, node, clock):
    """It may have loaded a component; else it is asked once a minute."""
    inside.names([container(7)], ())
    assert inside.silent == {7}
    node.clients[0].futures[0].set_result(SimpleNamespace(
        full_node_names=['/amcl'], unique_ids=[5]))
    inside.names([container(7)], ())
    assert inside.silent == frozenset()
    clock.now_s = 59.0
    inside.ask_soon([8])
    assert inside.names([container(7)], ()) == {7: ('/amcl',)}
    assert len(node.clients[0].futures) == 1
    inside.ask_soon([7])
    inside.names([container(7)], ())
    assert len(node.clients[0].futures) == 2
    node.clients[0].futures[1].set_result(SimpleNamespace(
        full_node_names=['/amcl', '/map'], unique_ids=[5, 6]))
    inside.names([container(7)], ())
    assert inside.names([container(7)], ()) == {7: ('/amcl', '/map')}


def test_a_container_that_never_answers_is_silent_for_a_while_only(inside, clock):
    """After that its names of the graph are shown as what nobody confirms."""
    inside.names([container(7)], ())
    clock.now_s = 14.9
    assert inside.silent == {7}
    clock.now_s = 15.0
    assert inside.silent == frozenset()
