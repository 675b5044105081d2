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

"""OpenMetrics: what is served can be parsed, and a port that is taken is only a warning."""

import os
import socket
import sys
import urllib.request

from conftest import running_sentinel
import pytest

rclpy = pytest.importorskip('rclpy', reason='needs rclpy: make setup, or source ROS')
client = pytest.importorskip('prometheus_client', reason='needs prometheus_client')
sys.path.insert(0, os.path.dirname(__file__))
from observer import Observer  # noqa: E402,I100
from oom_sentinel.facts.status import GroupMemory  # noqa: E402
from oom_sentinel.facts.status import Level  # noqa: E402
from oom_sentinel.facts.status import Report  # noqa: E402
from oom_sentinel.facts.status import Status  # noqa: E402
from oom_sentinel.node.metrics import Metrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families  # noqa: E402


def families(text):
    """Return metric name -> its samples."""
    return {family.name: family.samples for family in text_string_to_metric_families(text)}


def test_a_report_as_metrics():
    """Base units; what is unknown is left out; kills add up."""
    metrics, registry = Metrics(), client.CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    assert families(client.generate_latest(registry).decode()) == {}
    killed = Status('OOM kills', Level.WARN, 'killed')
    for kills in ((killed, killed), ()):
        metrics.update(Report((Status('Memory', Level.ERROR, 'x'),), 25.0, None, 0.5,
                              groups=(GroupMemory('drivers', 2.0, 60.0), GroupMemory('late')),
                              kills=kills))
    found = families(client.generate_latest(registry).decode())
    assert found['oom_sentinel_memory_available_ratio'][0].value == 0.25
    assert 'oom_sentinel_memory_pressure_some_avg10_ratio' not in found
    assert 'oom_sentinel_time_to_exhaustion_seconds' not in found
    assert found['oom_sentinel_oom_kills'][0].value == 2
    level = found['oom_sentinel_status_level'][0]
    assert (level.labels, level.value) == ({'status': 'Memory'}, 2)
    rss = found['oom_sentinel_group_resident_memory_bytes']
    assert [(s.labels['group'], s.value) for s in rss] == [('drivers', 2 << 20)]
    assert found['oom_sentinel_group_growth_bytes_per_second'][0].value == 1 << 20


def test_the_node_serves_them_and_a_port_that_is_taken_is_a_warning():
    """On the address that the parameter names."""
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        port = taken.getsockname()[1]
        taken.listen()
        with running_sentinel({'metrics.port': port}) as sentinel:
            observer = Observer()
            observer.until(lambda: observer.arrays, 'it runs all the same')
            observer.close()
            assert b'metrics.port: cannot listen on 127.0.0.1' in sentinel.stdout.read()
    with running_sentinel({'metrics.port': port}):
        observer = Observer()
        observer.until(lambda: observer.arrays, 'it publishes')
        observer.close()
        with urllib.request.urlopen(f'http://127.0.0.1:{port}/metrics', timeout=10) as answer:
            found = families(answer.read().decode())
        assert len(found['oom_sentinel_status_level']) >= 10
