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
oom_sentinel beside TurtleBot 4's bringup, however that is started; see docs/robots.md.

robot_upstart puts every launch file of a job one after the other, without arguments and in one
scope, so the namespace comes from the robot's environment and nothing of ours stays behind.
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import GroupAction
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import EnvironmentVariable
from launch.substitutions import LaunchConfiguration
from launch.substitutions import ThisLaunchFileDir


def generate_launch_description():
    """Return the sentinel in a scope of its own: params_file is a name of the camera's too."""
    return LaunchDescription([
        DeclareLaunchArgument('sentinel_params_file', default_value='',
                              description='Parameter file on top of config/turtlebot4.yaml.'),
        GroupAction([IncludeLaunchDescription(
            PythonLaunchDescriptionSource([ThisLaunchFileDir(), '/oom_sentinel.launch.py']),
            launch_arguments={
                'preset': 'turtlebot4',
                'params_file': LaunchConfiguration('sentinel_params_file'),
                'namespace': EnvironmentVariable('ROBOT_NAMESPACE', default_value='')}.items())]),
    ])
