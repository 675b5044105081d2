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

"""What of the sentinel's own is missing on a robot, as far as it shows without ROS."""

from collections.abc import Iterator

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import ros_processes
from oom_sentinel.settings.programs import OWN_NODE


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what is not running or not installed."""
    running = {p.program.executable for p in checkup.processes}
    nodes = [p for p in checkup.processes if p.program.ros
             and p.program.executable != OWN_NODE]
    if nodes and OWN_NODE not in running:
        yield Finding('sentinel_not_running', Severity.INFO,
                      f'no oom_sentinel_node beside {ros_processes(len(nodes))}',
                      'ros2 launch oom_sentinel oom_sentinel.launch.py')
    if OWN_NODE in running and 'aggregator_node' not in running:
        yield Finding('no_aggregator', Severity.INFO,
                      'no diagnostic_aggregator runs: rqt_robot_monitor stays empty',
                      'ros2 launch oom_sentinel oom_sentinel.launch.py aggregator:=true; or '
                      'look with: ros2 run rqt_runtime_monitor rqt_runtime_monitor')
    if checkup.ros.launch_integrated is False:
        yield Finding('launch_integration_missing', Severity.INFO,
                      'ros2 launch does not know set_oom_score_adj: this package is not '
                      'installed where launch looks',
                      'colcon build --packages-select oom_sentinel && source install/setup.bash')
    middleware = checkup.ros.middleware
    if middleware and 'fastrtps' not in middleware:
        yield Finding('middleware_without_pids', Severity.INFO,
                      f'RMW_IMPLEMENTATION is {middleware}: the ROS graph does not tell which '
                      'process a node is, node: selectors see names on command lines only',
                      "select by program instead, 'exe:NAME' or 'pkg:NAME'")
