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

"""The groups as shipped: whom each one matches, and the oom_score_adj its members get."""

# What TurtleBot 3, TurtleBot 4 and Nav2 start, Humble to Rolling, read from their launch files;
# config/turtlebot3.yaml, turtlebot4.yaml and nav2.yaml hold each robot's part with the reasons.
PRESET_MATCH: dict[str, tuple[str, ...]] = {
    'bringup': (
        'exe:turtlebot3_ros', 'exe:turtlebot4_node', 'exe:turtlebot4_base_node',
        'exe:create3_republisher', 'exe:robot_state_publisher', 'exe:joint_state_publisher',
        'exe:ros2_control_node', 'exe:ekf_node', 'exe:ukf_node', 'exe:twist_mux',
        'exe:micro_ros_agent', 'exe:aggregator_node', 'exe:rmw_zenohd',
        'exe:fast-discovery-server*', 'cmd:*/fastdds.py discovery*', 'cmd:*/ros2 launch *'),
    'drivers': (
        'exe:hlds_laser_publisher', 'exe:ld08_driver', 'exe:single_lidar_node',
        'exe:rplidar_composition', 'exe:rplidar_node', 'exe:sllidar_node',
        'exe:joy_linux_node', 'exe:joy_node', 'pkg:teleop_twist_joy'),
    'navigation': (
        'node:*/nav2_container', 'exe:controller_server', 'exe:planner_server',
        'exe:smoother_server', 'exe:behavior_server', 'exe:route_server', 'exe:bt_navigator',
        'exe:waypoint_follower', 'exe:velocity_smoother', 'exe:collision_monitor',
        'exe:collision_detector', 'exe:amcl', 'exe:map_server', 'exe:map_saver_server',
        'exe:costmap_filter_info_server', 'exe:vector_object_server', 'exe:lifecycle_manager',
        'pkg:opennav_docking', 'pkg:opennav_following'),
    'expendable': (
        'exe:rviz2', 'exe:rqt*', 'exe:plotjuggler', 'cmd:*/ros2 bag *',
        'pkg:rosbag2_transport', 'exe:foxglove_bridge', 'exe:rosbridge_websocket*',
        'exe:rosapi_node', 'exe:web_video_server', 'pkg:image_view',
        'cmd:*--name ros2-daemon *', 'exe:colcon', 'exe:cc1*'),
}
PRESET_OOM_SCORE_ADJ = {'bringup': -500, 'drivers': -400, 'navigation': -300,
                        'expendable': 300}
