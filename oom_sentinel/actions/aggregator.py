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

"""The diagnostic aggregator: rqt_robot_monitor shows what it sends and nothing else."""

from collections.abc import Sequence
import os
from typing import Any

from ament_index_python.packages import get_package_prefix
from ament_index_python.packages import get_package_share_directory
from ament_index_python.packages import PackageNotFoundError
from launch import LaunchContext
from launch import LaunchDescriptionEntity
from launch.actions import OpaqueFunction
from launch.actions import TimerAction
import launch.logging
from launch_ros.actions import Node

CHOICES = ('auto', 'true', 'false')
# A robot's own launch file may start one after including us.
WAIT_S = 5.0
PACKAGE = 'diagnostic_aggregator'
SERVICE = '/analyzers/set_parameters_atomically'


# What an aggregator in a namespace must hear and say there, as TurtleBot 4's does.
TOPICS = ('diagnostics', 'diagnostics_agg', 'diagnostics_toplevel_state')


def entities(choice: str, namespace: str) -> list[LaunchDescriptionEntity]:
    """
    Return what starts one, or adds our analyzers to the one that runs.

    :param namespace: the sentinel's, absolute: where its diagnostics are heard.
    """
    if choice == 'false':
        return []
    try:
        folder = os.path.join(get_package_prefix(PACKAGE), 'lib', PACKAGE)
    except PackageNotFoundError:
        say = launch.logging.get_logger('oom_sentinel').info
        if choice == 'true':
            say = launch.logging.get_logger('oom_sentinel').error
        say('diagnostic_aggregator is not installed, so rqt_robot_monitor stays empty: apt '
            'install ros-$ROS_DISTRO-diagnostic-aggregator; rqt_runtime_monitor works without')
        return []
    if choice == 'true':
        return [_own(namespace)]
    return [TimerAction(period=WAIT_S, actions=[OpaqueFunction(
        function=_add_or_start, args=[os.path.join(folder, 'add_analyzer'), namespace])])]


def _add_or_start(_context: LaunchContext, adder: str,
                  namespace: str) -> list[LaunchDescriptionEntity]:
    """Look for an aggregator that runs, of this user and domain; never raises."""
    logger = launch.logging.get_logger('oom_sentinel')
    try:
        running = _running(namespace)
    except OSError as error:
        logger.warning(f'whether a diagnostic aggregator runs cannot be seen: {error}')
        return []
    if running is None:
        return [_own(namespace)]
    if not os.access(adder, os.X_OK):
        logger.warning(f'{running} runs and {adder} is not there: take config/diagnostic_'
                       'aggregator.yaml into its own parameters')
        return []
    logger.info(f'adding our analyzers to {running}')
    return [_node('add_analyzer', remappings=[
        (SERVICE, f'{running}/set_parameters_atomically')])]


def _running(namespace: str) -> str | None:
    """Return the name of the aggregator that runs in this namespace, None when there is none."""
    from oom_sentinel import kernel
    from oom_sentinel.kernel import host
    root = kernel.Root('/')
    table = kernel.Table(root, ros_prefixes=host.ros_prefixes())
    for process in table.read(everything=False):
        program = process.program
        if program.executable == 'aggregator_node' and process.uid == os.geteuid() \
                and program.ros_domain_id in (None, host.own_domain_id()):
            found = name_of(program.cmdline, program.node_names)
            if found.rpartition('/')[0] == namespace.rstrip('/'):
                return found
    return None


def name_of(command: Sequence[str], node_names: Sequence[str]) -> str:
    """Return an aggregator's name: mostly only its namespace is on the command line."""
    spaces = [word.partition(':=')[2] for word in command if word.startswith('__ns:=')]
    space = spaces[-1].strip('/') if spaces else ''
    return next(iter(node_names), ('/' + space if space else '') + '/analyzers')


def _own(namespace: str) -> Node:
    inside = [('/' + topic, topic) for topic in TOPICS] if namespace.strip('/') else None
    return _node('aggregator_node', name='analyzers', namespace=namespace, remappings=inside)


def _node(executable: str, **more: Any) -> Node:
    file = os.path.join(get_package_share_directory('oom_sentinel'), 'config',
                        'diagnostic_aggregator.yaml')
    return Node(package=PACKAGE, executable=executable, parameters=[file], **more)
