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

"""What oom_sentinel.launch.py starts: the sentinel, protection at start, an aggregator."""

import os
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext
from launch import LaunchDescriptionEntity
import launch.logging
from launch_ros.actions import Node
from launch_ros.utilities import make_namespace_absolute
from launch_ros.utilities import prefix_namespace
from oom_sentinel.actions import aggregator
from oom_sentinel.actions.files import usable
from oom_sentinel.actions.protect_launch import ProtectLaunch

PRESETS = ('turtlebot3', 'turtlebot4', 'nav2', 'none')
LEVELS = ('debug', 'info', 'warn', 'error', 'fatal')
RESPAWN_DELAY_S = 2.0


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the sentinel and what goes with it, by the launch arguments."""
    name = _qualified(context)
    paths = [os.path.join(share(), 'config', f'{preset}.yaml')
             for preset in [_choice(context, 'preset', PRESETS, 'none')] if preset != 'none']
    paths += [path for path in [_given(context, 'params_file')] if path]
    enabled = _choice(context, 'protect_at_start', ('true', 'false'), 'true') == 'true'
    return [ProtectLaunch(paths, node_name=name, enabled=enabled),
            _node(context, name, usable(paths, name).paths),
            *aggregator.entities(_choice(context, 'aggregator', aggregator.CHOICES, 'auto'),
                                 name.rpartition('/')[0] or '/')]


def _node(context: LaunchContext, name: str, paths: tuple[str, ...]) -> Node:
    spaced = name.count('/') > 1
    level = _choice(context, 'log_level', LEVELS, 'info')
    more: dict[str, Any] = {'parameters': list(paths)} if paths else {}
    return Node(
        package='oom_sentinel', executable='oom_sentinel_node', name='oom_sentinel',
        namespace=_given(context, 'namespace'), output='screen',
        respawn=_choice(context, 'use_respawn', ('true', 'false'), 'true') == 'true',
        respawn_delay=RESPAWN_DELAY_S,
        remappings=[('/diagnostics', 'diagnostics')] if spaced else None,
        arguments=['--ros-args', '--log-level', f'oom_sentinel:={level}'], **more)


def share() -> str:
    """Return the package's share directory."""
    return str(get_package_share_directory('oom_sentinel'))


def _given(context: LaunchContext, name: str) -> str:
    return str(context.launch_configurations.get(name, '')).strip()


def _choice(context: LaunchContext, name: str, allowed: tuple[str, ...],
            default: str) -> str:
    """Return an argument's value; one that is not allowed is said and the default taken."""
    value = _given(context, name).lower() or default
    if value in allowed:
        return value
    launch.logging.get_logger('oom_sentinel').error(
        f'oom_sentinel.launch.py: {name}:={value} refused, allowed: {", ".join(allowed)}; '
        f'{default} is taken')
    return default


def _qualified(context: LaunchContext) -> str:
    """Return the sentinel's fully qualified name, within a pushed namespace too."""
    space = make_namespace_absolute(prefix_namespace(
        context.launch_configurations.get('ros_namespace'), _given(context, 'namespace')))
    return f'{(space or "").rstrip("/")}/oom_sentinel'
