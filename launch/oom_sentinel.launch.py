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
Start the sentinel, and protect every process of the launch that includes this file.

    IncludeLaunchDescription(PythonLaunchDescriptionSource([
        FindPackageShare('oom_sentinel'), '/launch/oom_sentinel.launch.py']),
        launch_arguments={'preset': 'turtlebot4', 'params_file': '/my/robot.yaml'}.items())
"""

from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.actions import GroupAction
from launch.actions import OpaqueFunction
from oom_sentinel.actions.start import start

ARGUMENTS = (
    ('params_file', '', 'Parameters of the sentinel; also read here, to protect at start.'),
    ('preset', 'none', 'Groups to begin with: turtlebot3, turtlebot4, nav2 or none (the '
                       'built-in ones); params_file overrides them.'),
    ('namespace', '', "The sentinel's namespace; /diagnostics is remapped to diagnostics."),
    ('use_respawn', 'true', 'Start the sentinel again when it ends.'),
    ('log_level', 'info', "The sentinel's: debug, info, warn, error or fatal."),
    ('protect_at_start', 'true', 'Protect processes of this launch within milliseconds.'),
    ('aggregator', 'auto', 'Start a diagnostic_aggregator with our analyzers: true, false, or '
                           'auto: when it is installed and none runs; else add them to it.'))


def generate_launch_description():
    """
    Return arguments and what they ask for.

    In a scope: a default of ours would else be the value of whoever declares an argument of
    that name later, such as params_file of Nav2 or of TurtleBot 4's camera.
    """
    return LaunchDescription([GroupAction([
        *(DeclareLaunchArgument(name, default_value=default, description=text)
          for name, default, text in ARGUMENTS),
        OpaqueFunction(function=start)])])
