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

"""An observer that hears of OOM kills, as a dashboard does."""

from diagnostic_msgs.msg import DiagnosticArray
from observer import Observer
from rclpy.qos import DurabilityPolicy
from rclpy.qos import QoSProfile

KEPT = QoSProfile(depth=20, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class Ear(Observer):
    """An observer that hears ~/oom_kills too."""

    def __init__(self):
        """Subscribe to the past kills too."""
        super().__init__()
        self.kills = []
        self.node.create_subscription(
            DiagnosticArray, '/oom_sentinel/oom_kills',
            lambda message: self.kills.extend(message.status), KEPT)

    def told(self, pid):
        """Return the values of every message on ~/oom_kills about this PID."""
        return [(s, {v.key: v.value for v in s.values}) for s in self.kills
                if any(f'PID {pid})' in v.value for v in s.values if v.key == 'victim')]

    def shown(self, pid):
        """Return the status OOM kills that names this PID as its last victim."""
        for array in self.arrays:
            for status in array.status:
                if status.name.endswith(': OOM kills') and f'PID {pid})' in {
                        v.key: v.value for v in status.values}['victim']:
                    return status
        return None
