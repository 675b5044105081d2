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
"""Lifecycle nodes are deactivated and activated again, components unloaded, over real DDS."""

import os
import signal
import subprocess
import sys
import threading

from conftest import wait_for
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
pytest.importorskip('lifecycle_msgs', reason='needs lifecycle_msgs')
from observer import Observer  # noqa: E402,I100
from oom_sentinel.facts.process import Process  # noqa: E402
from oom_sentinel.facts.process import Program  # noqa: E402
from oom_sentinel.node.containers import Containers  # noqa: E402
from oom_sentinel.node.shedding import NodeStates  # noqa: E402
import rclpy  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402

MANAGED = """
import rclpy
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
class Managed(LifecycleNode):
    def on_activate(self, state):
        print('active', flush=True)
        return super().on_activate(state)
    def on_deactivate(self, state):
        print('inactive', flush=True)
        return super().on_deactivate(state)
rclpy.init()
node = Managed('managed')
node.trigger_configure()
node.trigger_activate()
try:
    rclpy.spin(node)
except KeyboardInterrupt:
    pass
"""


@pytest.fixture
def managed(tmp_path):
    """Return the file to which a lifecycle node writes what becomes of it."""
    said = tmp_path / 'managed'
    with open(said, 'wb') as stream:
        child = subprocess.Popen([sys.executable, '-c', MANAGED], stdout=stream)
    said.with_suffix('.pid').write_text(str(child.pid))
    wait_for(lambda: said.read_text() == 'active\n', 'the lifecycle node is active', 60)
    yield said
    child.kill()
    child.wait()


@pytest.fixture
def observer():
    """Return an observer."""
    made = Observer()
    yield made
    made.close()


PROCESS = Process(1, 1, 1, 0, Program('managed', node_names=('/managed', '/observer')))


def test_a_lifecycle_node_becomes_inactive_and_active_again(managed, observer):
    """Its own change_state does it; a node without one is left alone."""
    states = NodeStates(observer.node, lambda pid, name: None)
    assert observer.until(lambda: states.deactivate(PROCESS, PROCESS.node_names),
                          'the service is seen') == ('/managed',)
    observer.until(lambda: states.confirmed == {'/managed'}, 'it says that it is inactive')
    assert managed.read_text().endswith('inactive\n')
    assert states.active_again == ('/managed',)
    assert states.activate() == ('/managed',) and states.activate() == ()
    observer.until(lambda: states.confirmed is not None and managed.read_text().endswith(
        'inactive\nactive\n'), 'it is active again')


def test_a_node_that_was_inactive_before_is_not_activated_later(managed, observer):
    """It answers that it cannot become what it is."""
    first, second = (NodeStates(observer.node, lambda pid, name: None) for _ in range(2))
    observer.until(lambda: first.deactivate(PROCESS, ('/managed',)), 'the service is seen')
    observer.until(lambda: first.confirmed, 'it is inactive')
    assert second.deactivate(PROCESS, ('/managed',)) == ('/managed',)
    observer.until(lambda: second.confirmed is not None and not second.active_again,
                   'it refuses')
    assert second.confirmed == frozenset() and second.activate() == ()


def test_a_node_that_never_answers_confirms_nothing(managed, observer):
    """It is stopped; nothing waits for it."""
    states = NodeStates(observer.node, lambda pid, name: None)
    observer.until(lambda: ('managed', '/') in observer.node.get_node_names_and_namespaces()
                   and observer.node.get_service_names_and_types_by_node('managed', '/'),
                   'it is seen')
    pid = int(managed.with_suffix('.pid').read_text())
    os.kill(pid, signal.SIGSTOP)
    try:
        assert states.deactivate(PROCESS, ('/managed',)) == ('/managed',)
        for _ in range(10):
            observer.executor.spin_once(timeout_sec=0.05)
            assert states.confirmed == frozenset()
    finally:
        os.kill(pid, signal.SIGCONT)


class Container:
    """A component container in a thread: lists one component, and unloads it by its ID."""

    def __init__(self):
        """Offer the two services, with the types of composition_interfaces."""
        from composition_interfaces.srv import ListNodes
        from composition_interfaces.srv import UnloadNode
        self.inside = {7: '/camera'}
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('container', context=self.context)
        self.node.create_service(ListNodes, '~/_container/list_nodes', self._list)
        self.node.create_service(UnloadNode, '~/_container/unload_node', self._unload)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.thread = threading.Thread(target=self.executor.spin)
        self.thread.start()

    def _list(self, _request, response):
        response.unique_ids, response.full_node_names = list(self.inside), list(
            self.inside.values())
        return response

    def _unload(self, request, response):
        response.success = self.inside.pop(request.unique_id, None) is not None
        return response

    def close(self):
        """End it."""
        self.executor.shutdown()
        self.thread.join()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


def test_a_component_that_is_no_lifecycle_node_is_unloaded(observer):
    """By the ID that its container lists; it is not there to be activated again."""
    pytest.importorskip('composition_interfaces.srv', reason='needs composition_interfaces')
    container = Container()
    try:
        process = Process(5, 1, 1, 0, Program(
            'c', executable='component_container', node_names=('/container',), ros=True))
        inside = Containers(observer.node, monotonic=lambda: 0.0)
        observer.until(lambda: inside.names([process], ()), 'the container answers')
        states = NodeStates(observer.node, inside.component)
        assert states.deactivate(process, ('/camera', '/other')) == ('/camera',)
        observer.until(lambda: states.confirmed == {'/camera'}, 'the container says so')
        assert (states.unloaded, states.active_again) == (('/camera',), ())
        assert container.inside == {}
    finally:
        container.close()
