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
TurtleBot 3 with oom_sentinel: the robot's own bringup, its nodes protected from their start.

What is missing is said, and the sentinel starts all the same: it protects whatever the robot is
started with otherwise.
"""

import os

from ament_index_python.packages import get_package_share_directory
from ament_index_python.packages import PackageNotFoundError
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import GroupAction
from launch.actions import IncludeLaunchDescription
from launch.actions import OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.logging import get_logger
from launch.substitutions import LaunchConfiguration
from launch.substitutions import ThisLaunchFileDir

BRINGUP = 'turtlebot3_bringup'
# robot.launch.py looks these up while it is read, and ends with a KeyError where one is missing.
NEEDED = {'TURTLEBOT3_MODEL': 'burger, waffle or waffle_pi',
          'LDS_MODEL': 'LDS-01, LDS-02 or LDS-03'}


def bringup(context):
    """Return the include of the robot's bringup, nothing where it cannot work."""
    logger = get_logger('turtlebot3.launch')
    try:
        share = get_package_share_directory(BRINGUP)
    except PackageNotFoundError:
        logger.error(f'{BRINGUP} is not installed (apt-get install ros-'
                     f'{os.environ.get("ROS_DISTRO", "DISTRO")}-turtlebot3-bringup, or build it): '
                     'the robot is not started, only oom_sentinel')
        return []
    unset = [f'{name} ({values})' for name, values in NEEDED.items() if name not in os.environ]
    if unset:
        logger.error(f'not set: {", ".join(unset)}: the robot is not started, only oom_sentinel')
        return []
    return [IncludeLaunchDescription(PythonLaunchDescriptionSource(
        os.path.join(share, 'launch', 'robot.launch.py')))]


def generate_launch_description():
    """Return sentinel and bringup, each in a scope of its own: arguments share their names."""
    return LaunchDescription([
        DeclareLaunchArgument('namespace', default_value='',
                              description="Namespace of the robot's nodes and of the sentinel."),
        DeclareLaunchArgument('sentinel_params_file', default_value='',
                              description='Parameter file on top of config/turtlebot3.yaml.'),
        GroupAction([IncludeLaunchDescription(
            PythonLaunchDescriptionSource([ThisLaunchFileDir(), '/oom_sentinel.launch.py']),
            launch_arguments={
                'preset': 'turtlebot3',
                'params_file': LaunchConfiguration('sentinel_params_file'),
                'namespace': LaunchConfiguration('namespace')}.items())]),
        GroupAction([OpaqueFunction(function=bringup)]),
    ])
