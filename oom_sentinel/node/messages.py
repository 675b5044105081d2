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

"""Statuses as ROS messages; words from outside are made printable and cut here."""

from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_msgs.msg import KeyValue
from oom_sentinel.facts.status import Status
from oom_sentinel.settings.outside import printable

KEY_MAX, VALUE_MAX, MESSAGE_MAX = 200, 4000, 2000


def status(found: Status, node_name: str, hardware_id: str) -> DiagnosticStatus:
    """Return one status, named `node: status`, the node without its leading slash."""
    return DiagnosticStatus(
        level=bytes([found.level]), name=f'{node_name.lstrip("/")}: {found.name}',
        message=printable(found.message, MESSAGE_MAX), hardware_id=printable(hardware_id),
        values=[KeyValue(key=printable(key, KEY_MAX), value=printable(value, VALUE_MAX))
                for key, value in found.values])


def array(statuses: tuple[Status, ...], stamp: Any, node_name: str,
          hardware_id: str) -> DiagnosticArray:
    """Return the message for /diagnostics."""
    message = DiagnosticArray(
        status=[status(found, node_name, hardware_id) for found in statuses])
    message.header.stamp = stamp
    return message
