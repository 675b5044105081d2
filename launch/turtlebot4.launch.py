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
TurtleBot 4 with oom_sentinel: the robot's own bringup, its nodes protected from their start.

What is missing is said, and the sentinel starts all the same.  Not beside turtlebot4.service,
which starts the bringup already: turtlebot4_sentinel.launch.py joins that.
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
from launch.substitutions import ThisLaunchFileDir

BRINGUP = 'turtlebot4_bringup'


def bringup(context):
    """Return the include of the model's bringup, nothing where it is not installed."""
    try:
        share = get_package_share_directory(BRINGUP)
    except PackageNotFoundError:
        get_logger('turtlebot4.launch').error(
            f'{BRINGUP} is not installed (apt-get install ros-'
            f'{os.environ.get("ROS_DISTRO", "DISTRO")}-turtlebot4-bringup, or build it): the '
            'robot is not started, only oom_sentinel')
        return []
    model = context.launch_configurations['model']
    return [IncludeLaunchDescription(PythonLaunchDescriptionSource(
        os.path.join(share, 'launch', f'{model}.launch.py')))]


def generate_launch_description():
    """Return the sentinel and the bringup."""
    return LaunchDescription([
        DeclareLaunchArgument('model', default_value='standard', choices=['standard', 'lite'],
                              description='TurtleBot 4 model.'),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(
            [ThisLaunchFileDir(), '/turtlebot4_sentinel.launch.py'])),
        GroupAction([OpaqueFunction(function=bringup)]),
    ])
