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
Protection of a robot's launch that knows nothing of us: `oom_sentinel_params:=FILE`.

launch_ros calls this for every node of every launch on the machine: without that launch
configuration it looks once into a dictionary, and an error never leaves it.
"""

from typing import Any

from launch_ros.actions.node import NodeActionExtension

ASKED = 'oom_sentinel_params'
BEGUN = 'oom_sentinel_extension_begun'


class OomSentinelExtension(NodeActionExtension):
    """Includes oom_sentinel.launch.py before the first node starts, when asked to."""

    def prepare_for_execute(self, context: Any, ros_specific_arguments: dict[str, Any],
                            node_action: Any) -> tuple[list[Any], dict[str, Any]]:
        """Return what came in, having begun protection when this launch asks for it."""
        if context.launch_configurations.get(ASKED) \
                and BEGUN not in context.get_locals_as_dict():
            context.extend_globals({BEGUN: True})
            _begin(context, context.launch_configurations[ASKED])
        return [], ros_specific_arguments


def _begin(context: Any, path: str) -> None:
    try:
        from oom_sentinel.actions.launch_guard import begin
        begin(context, [path], '/oom_sentinel')
        context.emit_event_sync(_include(path))
    except Exception as error:  # noqa: B902 - a launch never ends for our sake
        import launch.logging
        launch.logging.get_logger('oom_sentinel').error(
            f'{ASKED}: this launch is not protected: {type(error).__name__}: {error}')


def _include(path: str) -> Any:
    """Return the event that includes our launch file, in a scope of its own."""
    import os

    from launch import LaunchDescription
    from launch.actions import GroupAction
    from launch.actions import IncludeLaunchDescription
    from launch.events import IncludeLaunchDescription as Include
    from launch.launch_description_sources import PythonLaunchDescriptionSource
    from oom_sentinel.actions.start import share
    file = os.path.join(share(), 'launch', 'oom_sentinel.launch.py')
    # The robot's own arguments of these names (Nav2's params_file!) are not those of the sentinel.
    ours = {'params_file': path, 'preset': 'none', 'namespace': '', 'log_level': 'info',
            'use_respawn': 'true', 'protect_at_start': 'true', 'aggregator': 'auto'}
    return Include(LaunchDescription([GroupAction([IncludeLaunchDescription(
        PythonLaunchDescriptionSource(file), launch_arguments=list(ours.items()))])]))
