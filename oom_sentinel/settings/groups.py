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
Protection groups: their parameters, those shipped, and how they are made from values.

Each field of `Group` declares the parameter group.NAME.FIELD.  Pure.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from functools import lru_cache
import re
from typing import Any

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.settings import selector
from oom_sentinel.settings.declaration import Declaration
from oom_sentinel.settings.declaration import declared_by
from oom_sentinel.settings.declaration import parameter
from oom_sentinel.settings.declaration import SettingsError
from oom_sentinel.settings.declaration import shortened
from oom_sentinel.settings.selector import Selector


# Read from the launch files of each robot and driver, Humble to Rolling; the repository stands
# behind each line.  config/turtlebot3.yaml, turtlebot4.yaml and nav2.yaml hold the part of one
# robot with the reasons.  pkg: is used where a package holds the driver and nothing else.
PRESET_MATCH: dict[str, tuple[str, ...]] = {
    'bringup': (
        'exe:turtlebot3_ros',                            # turtlebot3
        'exe:turtlebot4_node', 'exe:turtlebot4_base_node',  # turtlebot4, turtlebot4_robot
        'exe:create3_republisher',                       # create3_examples, turtlebot4_robot
        'exe:robot_state_publisher', 'exe:joint_state_publisher',
        'exe:ros2_control_node',                         # ros2_control; Husarion ROSbot, Panther
        'exe:ekf_node', 'exe:ukf_node', 'exe:navsat_transform_node',  # robot_localization
        'exe:static_transform_publisher',                # geometry2; each lidar's launch file
        'exe:twist_mux', 'exe:micro_ros_agent',          # linorobot2, rosbot_ros, clearpath_robot
        'pkg:puma_motor_driver', 'pkg:lynx_motor_driver', 'pkg:sevcon_traction',  # clearpath_robot
        'pkg:ros2_socketcan',                            # clearpath_robot: the way to the motors
        'exe:ur_ros2_control_node', 'exe:controller_stopper_node',  # Universal_Robots_ROS2_Driver
        'exe:safety_manager_node',                       # panther_ros: stops the motors in time
        'pkg:leo_fw',                                    # leo_robot-ros2: the firmware's bridge
        'exe:aggregator_node', 'exe:rmw_zenohd',
        'exe:fast-discovery-server*', 'cmd:*/fastdds.py discovery*', 'cmd:*/ros2 launch *'),
    'drivers': (
        'exe:hlds_laser_publisher', 'exe:ld08_driver', 'exe:single_lidar_node',  # turtlebot3
        'exe:rplidar_composition', 'exe:rplidar_node', 'exe:sllidar_node',  # rplidar_ros, sllidar
        'pkg:velodyne_*',                                # velodyne: driver, pointcloud, laserscan
        'exe:os_driver', 'node:*/os_container',          # ouster-ros: alone, composed
        'pkg:urg_node', 'pkg:urg_node2',                 # urg_node, clearpath_robot (Hokuyo)
        'pkg:lms1xx',                                    # LMS1xx
        'exe:sick_generic_caller', 'pkg:sick_safetyscanners*',  # SICK: sick_scan_xd
        'exe:ydlidar_ros2_driver_node',                  # ydlidar_ros2_driver
        'pkg:ldlidar*',                                  # ldlidar_stl_ros2, linorobot2
        'pkg:xv_11_driver',                              # linorobot2
        'exe:realsense2_camera_node',                    # realsense-ros
        'exe:joy_linux_node', 'exe:joy_node', 'pkg:teleop_twist_joy'),
    'navigation': (                                      # navigation2
        'node:*/nav2_container', 'exe:controller_server', 'exe:planner_server',
        'exe:smoother_server', 'exe:behavior_server', 'exe:route_server', 'exe:bt_navigator',
        'exe:waypoint_follower', 'exe:velocity_smoother', 'exe:collision_monitor',
        'exe:collision_detector', 'exe:amcl', 'exe:map_server', 'exe:map_saver_server',
        'exe:costmap_filter_info_server', 'exe:vector_object_server', 'exe:lifecycle_manager',
        'pkg:opennav_docking', 'pkg:opennav_following',
        'exe:move_group'),                               # moveit2: the arm's planner
    'expendable': (
        'exe:rviz2', 'exe:rqt*', 'exe:plotjuggler', 'cmd:*/ros2 bag *',
        'pkg:rosbag2_transport', 'exe:foxglove_bridge', 'exe:rosbridge_websocket*',
        'exe:rosapi_node', 'exe:web_video_server', 'pkg:image_view',
        'cmd:*/python3* -c from ros2cli.daemon.daemonize *', 'exe:colcon', 'exe:cc1*'),
}
PRESET_OOM_SCORE_ADJ = {'bringup': -500, 'drivers': -400, 'navigation': -300,
                        'expendable': 300}


GROUP_NAME = re.compile(r'[a-z][a-z0-9_]{0,63}\Z')
GROUPS = 64
SELECTORS = 512  # of all groups together: each is tried on every process
SHED_STEPS = ('deactivate', 'interrupt', 'terminate', 'kill')


@frozen
class Group:
    """A protection group: who is meant, and what its processes get."""

    name: str
    match: tuple[Selector, ...] = parameter(
        (), 'Selectors of group {}: node:, exe:, pkg:, cgroup:, cmd:, ! excludes.')
    oom_score_adj: int = parameter(
        0, 'oom_score_adj of group {}; below -600 is accepted with a warning.', -1000, 1000)
    shed: tuple[str, ...] = parameter(
        (), 'Steps that may end processes of group {} before the kernel must, in this order; '
        'empty: never.  See shed.mode.', choices=SHED_STEPS)
    memory_low_percent: float = parameter(
        0.0, 'memory.low of a control group of its own for group {}, in percent of the memory; 0: '
        'none.  Needs cgroup v2 and a unit with Delegate=yes: docs/acting.md.', 0.0, 100.0)
    memory_max_percent: float = parameter(
        0.0, 'memory.max of a control group of its own for group {}, in percent of the memory; 0: '
        'none.  A leak then dies in it.  Needs what memory_low_percent needs.', 0.0, 100.0)
    children: bool = parameter(
        False, 'Whether programs that a process of group {} starts keep its value.')


@lru_cache(maxsize=2 * GROUPS)
def group_declarations(name: str) -> tuple[Declaration, ...]:
    """Return the parameters of one group."""
    shipped = {'match': PRESET_MATCH.get(name), 'oom_score_adj': PRESET_OOM_SCORE_ADJ.get(name)}
    return tuple(
        dataclasses.replace(
            declared, name=f'group.{name}.{field}', description=declared.description.format(name),
            default=declared.default if shipped.get(field) is None else shipped[field])
        for field, declared in declared_by(Group).items())


GROUP_PARAMETER = re.compile(rf'group\.([^.]*)\.({"|".join(declared_by(Group))})\Z')


def group_names(value: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return the value of `groups` when its names are valid and distinct.

    :raises SettingsError: when they are not, or too many.
    """
    for name in value:
        if not GROUP_NAME.match(name):
            raise SettingsError(f'groups: {shortened(name)} refused, allowed: names of a-z, 0-9 '
                                'and _, a letter first, at most 64 characters')
    if len(set(value)) != len(value):
        raise SettingsError(f'groups: {shortened(list(value))} refused, allowed: each name once')
    if len(value) > GROUPS:
        raise SettingsError(f'groups: {len(value)} names refused, allowed: at most {GROUPS}')
    return value


def group(name: str, values: Mapping[str, Any]) -> Group:
    """
    Return the group that these values of its parameters make.

    :raises SettingsError: when a selector is empty or malformed.
    """
    fields = {declared.name.rpartition('.')[2]: values[declared.name]
              for declared in group_declarations(name)}
    try:
        fields['match'] = tuple(selector.parse(text) for text in fields['match'])
    except selector.SelectorError as error:
        raise SettingsError(f'group.{name}.match: {error}, allowed: selectors such as '
                            'node:/amcl or exe:rplidar*') from error
    return Group(name, **fields)


def too_many_selectors(groups: Iterable[Group]) -> str | None:
    """Return the refusal of groups that have too many selectors together, None when not."""
    count = 0
    for made in groups:
        count += len(made.match)
        if count > SELECTORS:
            return (f'group.{made.name}.match: {len(made.match)} selectors refused, allowed: at '
                    f'most {SELECTORS} of all groups together')
    return None
