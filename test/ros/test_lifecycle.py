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
"""Lifecycle nodes are deactivated and activated again, over real DDS."""

import subprocess
import sys

from conftest import wait_for
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
pytest.importorskip('lifecycle_msgs', reason='needs lifecycle_msgs')
from observer import Observer  # noqa: E402,I100
from oom_sentinel.facts.process import Process  # noqa: E402
from oom_sentinel.facts.process import Program  # noqa: E402
from oom_sentinel.node.shedding import Lifecycle  # noqa: E402

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
    wait_for(lambda: said.read_text() == 'active\n', 'the lifecycle node is active', 60)
    yield said
    child.kill()
    child.wait()


def test_a_lifecycle_node_becomes_inactive_and_active_again(managed):
    """Its own change_state does it; a node without one is left alone."""
    observer = Observer()
    try:
        lifecycle = Lifecycle(observer.node)
        process = Process(1, 1, 1, 0, Program('managed', node_names=('/managed', '/observer')))
        assert observer.until(lambda: lifecycle.deactivate(process),
                              'the service is seen') == ('/managed',)
        observer.until(lambda: managed.read_text().endswith('inactive\n'), 'it is inactive')
        lifecycle.activate(('/managed',))
        observer.until(lambda: managed.read_text().endswith('inactive\nactive\n'),
                       'it is active again')
    finally:
        observer.close()
