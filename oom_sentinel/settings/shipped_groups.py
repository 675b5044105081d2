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
