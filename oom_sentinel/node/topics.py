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

"""The topics of the node and their messages: statuses, and numbers for plots."""

import math
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from oom_sentinel.facts.status import Report
from oom_sentinel.facts.status import Status
from oom_sentinel.settings.outside import printable
from rclpy.clock import Clock
from rclpy.clock import ClockType  # type: ignore[attr-defined]  # where Humble has it
from std_msgs.msg import Float64

KEY_MAX, VALUE_MAX, MESSAGE_MAX = 200, 4000, 2000


# A status with the message that was made of it.
Said = tuple[Status, DiagnosticStatus]


def status(found: Status, node_name: str, hardware_id: str,
           last: Said | None = None) -> DiagnosticStatus:
    """
    Return one status, named `node: status`, the node without its leading slash.

    :param last: the one before of this name; what is equal is used again, because rclpy takes
        2 us to make the message of one value and most values stay for minutes.
    """
    said_by = printable(hardware_id)
    if last is not None and last[0] == found and last[1].hardware_id == said_by:
        return last[1]
    known = {} if last is None else dict(zip(last[0].values, last[1].values))
    return DiagnosticStatus(
        level=bytes([found.level]), name=f'{node_name.lstrip("/")}: {found.name}',
        message=printable(found.message, MESSAGE_MAX), hardware_id=said_by,
        values=[known.get(pair) or _key_value(*pair) for pair in found.values])


def _key_value(key: str, value: str) -> KeyValue:
    return KeyValue(key=printable(key, KEY_MAX), value=printable(value, VALUE_MAX))


DEPTH = 10
NUMBERS = ('memory_available_percent', 'memory_pressure_some_avg10', 'oom_risk',
           'time_to_exhaustion_s')


class Topics:
    """Publishes reports."""

    def __init__(self, node: Any, hostname: str) -> None:
        """Create the publishers that stay; those of groups follow the reports."""
        self._node = node
        self._hostname = hostname
        self.hardware_id = ''  # empty: the host's name
        self._system = Clock(clock_type=ClockType.SYSTEM_TIME)
        self._diagnostics = node.create_publisher(DiagnosticArray, '/diagnostics', DEPTH)
        self._numbers = {name: node.create_publisher(Float64, f'~/{name}', DEPTH)
                         for name in NUMBERS}
        self._groups: dict[str, tuple[Any, Any]] = {}
        self._said: dict[str, Said] = {}  # by the name of the status

    @property
    def diagnostics_topic(self) -> str:
        """Return the name of the diagnostics topic after remapping."""
        return str(self._diagnostics.topic_name)

    @property
    def used_hardware_id(self) -> str:
        """Return the hardware_id of the messages."""
        return self.hardware_id or self._hostname

    def message(self, statuses: tuple[Status, ...]) -> DiagnosticArray:
        """Return the statuses as a message of this node, stamped with system time."""
        node_name, hardware_id = self._node.get_fully_qualified_name(), self.used_hardware_id
        message = DiagnosticArray(status=[
            status(found, node_name, hardware_id, self._said.get(found.name))
            for found in statuses])
        message.header.stamp = self._system.now().to_msg()
        return message

    def publish(self, report: Report) -> None:
        """Publish a report; a number that is unknown is not published."""
        message = self.message(report.statuses)
        self._diagnostics.publish(message)
        self._said = {found.name: (found, made)
                      for found, made in zip(report.statuses, message.status)}
        for name, publisher in self._numbers.items():
            value = getattr(report, name)
            if value is not None:
                _publish(publisher, float(value))
        self._follow_groups(tuple(group.name for group in report.groups))
        for group in report.groups:
            rss, growth = self._groups[group.name]
            _publish(rss, group.rss_mib)
            _publish(growth, group.growth_mib_per_min)

    def _follow_groups(self, names: tuple[str, ...]) -> None:
        """Create publishers for new groups, destroy those of groups that are gone."""
        for name in [name for name in self._groups if name not in names]:
            for publisher in self._groups.pop(name):
                self._node.destroy_publisher(publisher)
        for name in names:
            if name not in self._groups:
                base = f'~/group/{name}'
                self._groups[name] = (
                    self._node.create_publisher(Float64, f'{base}/rss_mib', DEPTH),
                    self._node.create_publisher(Float64, f'{base}/growth_mib_per_min', DEPTH))


def _publish(publisher: Any, value: float | None) -> None:
    """
    Publish a number where somebody listens; what is unknown is a gap in a plot.

    A message that goes to nobody costs 20 us all the same, and there are twelve a second.
    """
    if publisher.get_subscription_count():
        publisher.publish(Float64(data=math.nan if value is None else float(value)))
