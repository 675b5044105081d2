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

"""Sets parameters of the sentinel of this user, ten times a second for three seconds."""

import sys
import time

from rcl_interfaces.srv import SetParameters
import rclpy
from rclpy.parameter import Parameter

SECONDS = 3.0
VALUES = (('scan_period', (0.5, 2.0, 5.0)), ('publish_period', (0.5, 1.0)),
          ('group.expendable.oom_score_adj', (200, 300)), ('hold_s', (1.0, 5.0)))


def main():
    """Set them; the exit status is 1 when the sentinel does not answer or refuses."""
    rclpy.init()
    node = rclpy.create_node('storm_setter')
    client = node.create_client(SetParameters, '/oom_sentinel/set_parameters')
    if not client.wait_for_service(10.0):
        return 1
    end_s, number = time.monotonic() + SECONDS, 0
    while time.monotonic() < end_s:
        name, values = VALUES[number % len(VALUES)]
        value = values[number // len(VALUES) % len(values)]
        asked = client.call_async(SetParameters.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg()]))
        rclpy.spin_until_future_complete(node, asked, timeout_sec=5.0)
        if not asked.done() or not asked.result().results[0].successful:
            return 1
        number += 1
        time.sleep(0.1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
