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

"""Each preset on the process table of a robot: what it must match, and all it must not."""

from dataclasses import dataclass
from dataclasses import replace
import pathlib
import re

from oom_sentinel import settings
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import program
from oom_sentinel.protection import eligibility
from oom_sentinel.protection import plan
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.known import Known
from oom_sentinel.settings import parameter_file
import pytest

CONFIG = pathlib.Path(__file__).parents[3] / 'config'
PRESETS = ('turtlebot3', 'turtlebot4', 'nav2')
VIEW = View(1000, 99, 0)
ROS = '/opt/ros/jazzy'
LIB = ROS + '/lib/'
PYTHON = '/usr/bin/python3'
CONTAINER = LIB + 'rclcpp_components/component_container'
ROS2 = f'{PYTHON} {ROS}/bin/ros2 '
DISCOVERY = f'python3 {ROS}/bin/../tools/fastdds/fastdds.py discovery'


@dataclass(frozen=True)
class Row:
    """A process: its group, which presets mean it (3, 4, n), its command line, its nodes."""

    group: str | None
    presets: str
    command: str
    exe: str | None = None
    graph: tuple[str, ...] = ()
    librcl: bool = False


def node(package, name, node_name=None):
    """Return the command line that launch_ros makes; without a name there is no remapping."""
    remap = f' -r __node:={node_name} -r __ns:=/NS' if node_name else ' -r __ns:=/NS'
    return f'{LIB}{package}/{name} --ros-args{remap} --params-file /tmp/launch_params_x'


def rows(group, presets, *commands, **more):
    """Return a row for each command."""
    return tuple(Row(group, presets, command, **more) for command in commands)


SERVERS = ('controller_server', 'planner_server', 'bt_navigator', 'amcl')
NAV2 = (
    *rows('navigation', '34n',
          node('nav2_controller', 'controller_server'),
          node('nav2_smoother', 'smoother_server', 'smoother_server'),
          node('nav2_planner', 'planner_server', 'planner_server'),
          node('nav2_route', 'route_server', 'route_server'),
          node('nav2_behaviors', 'behavior_server', 'behavior_server'),
          node('nav2_bt_navigator', 'bt_navigator', 'bt_navigator'),
          node('nav2_waypoint_follower', 'waypoint_follower', 'waypoint_follower'),
          node('nav2_velocity_smoother', 'velocity_smoother', 'velocity_smoother'),
          node('nav2_collision_monitor', 'collision_monitor', 'collision_monitor'),
          node('opennav_docking', 'opennav_docking', 'docking_server'),
          node('opennav_following', 'opennav_following', 'following_server'),
          node('nav2_amcl', 'amcl', 'amcl'),
          node('nav2_map_server', 'map_server', 'map_server'),
          node('nav2_map_server', 'map_server', 'keepout_filter_mask_server'),
          node('nav2_map_server', 'map_saver_server'),
          node('nav2_map_server', 'costmap_filter_info_server', 'speed_info_server'),
          node('nav2_lifecycle_manager', 'lifecycle_manager', 'lifecycle_manager_slam'),
          node('nav2_lifecycle_manager', 'lifecycle_manager', 'lifecycle_manager_navigation')),
)
COMPOSED = {
    'Humble to Kilted': node('rclcpp_components', 'component_container_isolated',
                             'nav2_container'),
    'Lyrical': (f'{CONTAINER} --isolated --executor-type single-threaded --ros-args '
                '-r __node:=nav2_container -r __ns:=/NS'),
}
INFRASTRUCTURE = (
    *rows('bringup', '34n',
          node('robot_state_publisher', 'robot_state_publisher'),
          node('rmw_zenoh_cpp', 'rmw_zenohd'),
          ROS2 + 'launch turtlebot4_bringup standard.launch.py', librcl=True),
    Row('bringup', '34n', DISCOVERY + ' -i 0 -p 11811', PYTHON),
    Row('bringup', '34n', f'{ROS}/bin/fast-discovery-server 42 -i 0 -p 11811',
        ROS + '/bin/fast-discovery-server-1.0.1'),
    *rows('bringup', 'n',
          node('robot_localization', 'ekf_node', 'ekf_filter_node'),
          node('controller_manager', 'ros2_control_node'),
          node('twist_mux', 'twist_mux'),
          node('robot_localization', 'navsat_transform_node', 'navsat_transform'),
          node('tf2_ros', 'static_transform_publisher', 'base_to_laser'),
          node('micro_ros_agent', 'micro_ros_agent')),
    Row('bringup', '4n', f'{PYTHON} ' + node('joint_state_publisher', 'joint_state_publisher'),
        '/usr/bin/python3.12'),
)
TURTLEBOT3 = (
    Row('bringup', '3', f'{LIB}turtlebot3_node/turtlebot3_ros -i /dev/ttyACM0 --ros-args '
        '-r __ns:=/NS', graph=('/NS/turtlebot3_node', '/NS/diff_drive_controller')),
    *rows('drivers', '3',
          node('hls_lfcd_lds_driver', 'hlds_laser_publisher', 'hlds_laser_publisher'),
          node('ld08_driver', 'ld08_driver', 'ld08_driver'),
          node('coin_d4_driver', 'single_lidar_node', 'single_lidar_node')),
)
TURTLEBOT4 = (
    *rows('bringup', '4',
          node('turtlebot4_node', 'turtlebot4_node'),
          node('turtlebot4_base', 'turtlebot4_base_node'),
          node('create3_republisher', 'create3_republisher'),
          node('diagnostic_aggregator', 'aggregator_node')),
    *rows('drivers', '4',
          node('rplidar_ros', 'rplidar_composition', 'rplidar_composition'),
          node('joy_linux', 'joy_linux_node', 'joy_linux_node'),
          node('joy', 'joy_node', 'joy_node'),
          node('teleop_twist_joy', 'teleop_node', 'teleop_twist_joy_node')),
)
# Matched by the built-in groups alone.
OTHERS = (
    *rows('bringup', '',
          node('puma_motor_driver', 'multi_puma_node', 'puma_control'),
          node('lynx_motor_driver', 'lynx_motor_driver', 'lynx_control'),
          node('sevcon_traction', 'sevcon_traction_node', 'sevcon_traction_node'),
          node('ros2_socketcan', 'socket_can_sender_node_exe', 'socket_can_sender'),
          node('ur_robot_driver', 'ur_ros2_control_node'),
          node('ur_robot_driver', 'controller_stopper_node', 'controller_stopper'),
          node('panther_manager', 'safety_manager_node', 'safety_manager'),
          node('leo_fw', 'firmware_message_converter'),
          f'{PYTHON} ' + node('leo_fw', 'firmware_parameter_bridge')),
    *rows('drivers', '',
          node('velodyne_driver', 'velodyne_driver_node'),
          node('velodyne_pointcloud', 'velodyne_transform_node'),
          node('velodyne_laserscan', 'velodyne_laserscan_node'),
          node('ouster_ros', 'os_driver', 'os_driver'),
          node('rclcpp_components', 'component_container_mt', 'os_container'),
          node('urg_node', 'urg_node_driver', 'urg_node'),
          node('urg_node2', 'urg_node2_node'),
          node('lms1xx', 'lms1xx'),
          node('sick_scan_xd', 'sick_generic_caller'),
          node('sick_safetyscanners2', 'sick_safetyscanners2_node'),
          node('ydlidar_ros2_driver', 'ydlidar_ros2_driver_node'),
          node('ldlidar_stl_ros2', 'ldlidar_stl_ros2_node', 'LD19'),
          node('ldlidar', 'ldlidar'),
          node('xv_11_driver', 'xv_11_driver'),
          node('realsense2_camera', 'realsense2_camera_node', 'camera')),
    *rows('navigation', '', node('moveit_ros_move_group', 'move_group', 'move_group')),
)
EXPENDABLE = (
    *rows('expendable', '34n',
          node('rviz2', 'rviz2', 'rviz2'),
          node('foxglove_bridge', 'foxglove_bridge', 'foxglove_bridge'),
          node('web_video_server', 'web_video_server'),
          node('image_view', 'image_view'),
          node('plotjuggler', 'plotjuggler'),
          node('rosbag2_transport', 'recorder')),
    *rows('expendable', '34n',
          f'{PYTHON} {ROS}/bin/rqt --force-discover',
          f'{PYTHON} {LIB}rqt_robot_monitor/rqt_robot_monitor',
          f'{PYTHON} ' + node('rosbridge_server', 'rosbridge_websocket', 'rosbridge'),
          f'{PYTHON} ' + node('rosapi', 'rosapi_node', 'rosapi'),
          ROS2 + 'bag record -a -o /data/run',
          ROS2 + 'bag play /data/run',
          f'{PYTHON} -c from ros2cli.daemon.daemonize import main; main() --name ros2-daemon '
          '--ros-domain-id 0 --rmw-implementation rmw_fastrtps_cpp',
          exe='/usr/bin/python3.12', librcl=True),
    Row('expendable', '34n', f'{PYTHON} /usr/bin/colcon build', '/usr/bin/python3.12'),
    Row('expendable', '34n', '/usr/libexec/gcc/aarch64-linux-gnu/13/cc1plus -quiet amcl_node.cpp'),
)
# Nobody's group: each of these names something that is matched, and is not it.
BYSTANDERS = (
    *rows(None, '',
          node('rclcpp_components', 'component_container', 'camera_container'),
          node('rclcpp_components', 'component_container', 'oakd_container'),
          node('slam_toolbox', 'sync_slam_toolbox_node', 'slam_toolbox'),
          node('cartographer_ros', 'cartographer_node', 'cartographer_node'),
          node('ros_gz_bridge', 'parameter_bridge', 'ros_gz_bridge'),
          node('nav2_loopback_sim', 'loopback_simulator', 'loopback_simulator'),
          node('nav2_costmap_2d', 'nav2_costmap_2d_markers'),
          node('nav2_map_server', 'map_saver_cli'),
          node('rplidar_ros', 'rplidar_client'),
          node('demo_nodes_cpp', 'talker', 'talker'),
          node('ouster_ros', 'os_pcap', 'os_pcap'),
          node('ydlidar_ros2_driver', 'ydlidar_ros2_client'),
          node('ur_robot_driver', 'urscript_interface'),
          f'{PYTHON} {LIB}turtlebot4_diagnostics/diagnostics_updater --ros-args',
          f'{PYTHON} {LIB}nav2_simple_commander/demo_security'),
    *rows(None, '', ROS2 + 'topic echo /amcl_pose', ROS2 + 'run nav2_amcl amcl',
          ROS2 + 'param load /controller_server nav2.yaml', librcl=True),
    Row(None, '', 'gz sim -r -s world.sdf', '/usr/bin/ruby3.2'),
    Row(None, '', 'gzip -9 bag.db3'),
    Row(None, '', f'bash -c source {ROS}/setup.bash; {ROS}/bin/ros2 launch a b.py', '/bin/bash'),
    Row(None, '', f'/bin/sh -c {ROS}/bin/ros2 bag record -a', '/usr/bin/dash'),
    Row(None, '', '/bin/bash -e /usr/sbin/discovery', '/usr/bin/bash'),
    Row(None, '', f'/bin/sh {ROS}/bin/fastdds discovery -i 0 -p 11811', '/usr/bin/dash'),
    Row(None, '', f'vim {LIB}turtlebot4_node/turtlebot4_node', '/usr/bin/vim.basic'),
    Row(None, '', f'nano {LIB}nav2_amcl/amcl', '/usr/bin/nano'),
    Row(None, '', f'grep -r {ROS}/bin/ros2 launch /var/log', '/usr/bin/grep'),
    Row(None, '', 'pgrep -f /ros2 launch turtlebot4', '/usr/bin/pgrep'),
    Row(None, '', f'timeout 60 {ROS}/bin/ros2 launch a b.py', '/usr/bin/timeout'),
    Row(None, '', f'gdb --args {LIB}nav2_amcl/amcl --ros-args', '/usr/bin/gdb'),
    Row(None, '', 'sshd: robot@pts/0', '/usr/sbin/sshd'),
)
ROWS = (*NAV2, *INFRASTRUCTURE, *TURTLEBOT3, *TURTLEBOT4, *OTHERS, *EXPENDABLE, *BYSTANDERS)


def process(pid, row, namespace='', domain=0):
    """Return what the process table would read of a row."""
    command = row.command.replace('/NS', namespace or '/')
    words = command.split(' ')
    found = program.classify(words[0].rpartition('/')[2][:15], words, row.exe or words[0],
                             maps_librcl=row.librcl)
    if found.ros:
        found = replace(found, ros_domain_id=domain)
    names = tuple(name.replace('/NS', namespace) for name in row.graph)
    return Process(pid, pid, 1, 1000, found, oom_score_adj=0, same_pid_namespace=True,
                   graph_node_names=names)


def assigned(chosen, processes):
    """Return the group of every process that the plan gives a value."""
    made = plan.plan(processes, chosen, VIEW, Known())
    return {t.process.pid: t.group for t in made.targets}


def load(preset):
    """Return a preset's settings, through the reader that launch and command line use."""
    loaded = parameter_file.load(str(CONFIG / f'{preset}.yaml'))
    assert loaded.warnings == ()
    return loaded.settings


def named(found, table):
    """Return commands instead of PIDs, so that a failure can be read."""
    return {' '.join(table[pid].program.cmdline): group for pid, group in found.items()}


@pytest.mark.parametrize('namespace', ['', '/robot1'])
@pytest.mark.parametrize('preset', PRESETS)
def test_a_preset_matches_its_robot_and_nothing_else(preset, namespace):
    """The whole table beside the same robot in another ROS domain, such as a simulation."""
    table = {1000 + i: process(1000 + i, row, namespace) for i, row in enumerate(ROWS)}
    elsewhere = {5000 + i: process(5000 + i, row, namespace, domain=7)
                 for i, row in enumerate(ROWS)}
    elsewhere = {pid: p for pid, p in elsewhere.items() if p.program.ros}
    mark = 'n' if preset == 'nav2' else preset[-1]
    wanted = {1000 + i: row.group for i, row in enumerate(ROWS) if mark in row.presets}
    table.update(elsewhere)
    found = assigned(load(preset), tuple(table.values()))
    assert named(found, table) == named(wanted, table)


@pytest.mark.parametrize('graph', [(), SERVERS])
@pytest.mark.parametrize('distro', COMPOSED)
@pytest.mark.parametrize('preset', PRESETS)
def test_of_two_containers_only_navigation_is_protected(preset, distro, graph):
    """Composed Nav2 beside a camera's container, whether or not the graph tells the nodes."""
    nav2 = Row(None, '', COMPOSED[distro], graph=tuple('/NS/' + name for name in graph))
    camera = Row(None, '', node('rclcpp_components', 'component_container', 'camera_container'),
                 graph=('/NS/camera',) if graph else ())
    for namespace in ('', '/robot1'):
        table = (process(1000, nav2, namespace), process(1001, camera, namespace))
        assert assigned(load(preset), table) == {1000: 'navigation'}


@pytest.mark.parametrize('row', [
    r for r in ROWS if r.group == 'bringup' and 'launch' not in r.command
    and re.search('fast|zenohd|micro_ros_agent', r.command)], ids=lambda r: r.command[-40:])
def test_what_every_node_hangs_on_is_never_raised(row):
    """Lowering denied raises others, the discovery server and the like never."""
    assert eligibility.never_raised(process(1000, row), VIEW)


def test_the_defaults_match_every_robot():
    """Without a preset file the node protects the same processes, of all robots together."""
    table = {1000 + i: process(1000 + i, row) for i, row in enumerate(ROWS)}
    wanted = {1000 + i: row.group for i, row in enumerate(ROWS) if row.group}
    found = assigned(settings.build({}), tuple(table.values()))
    assert named(found, table) == named(wanted, table)


# Programs of any machine that share letters with a selector, and tools that hold its words.
PLAIN = ('systemd', 'init', 'sshd', 'bash', 'python3', 'node', 'mv', 'ip', 'ld', 'ldd', 'lms',
         'ros', 'urxvt', 'joy2key', 'jstest', 'rs-enumerate-devices', 'realsense-viewer',
         'ouster-cli', 'velodyne-decoder', 'veloview', 'sick-beard', 'leopard', 'leo', 'move',
         'os-prober', 'move_base', 'puma', 'pumactl', 'sevcon', 'amclient', 'planner', 'mapserver',
         'gimp', 'candump', 'slcand', 'ekfd', 'safety', 'socat', 'rq', 'rqlite', 'cc', 'c++',
         'clang', 'ccache', 'twistd', 'twist', 'controller', 'bt', 'bluetoothd', 'java', 'code',
         'dockerd', 'containerd', 'ros2', 'rosbag')
TOOLS = ('vim', 'less', 'tail', 'grep', 'strace', 'gdb', 'cp', 'rsync', 'dpkg', 'apt-get',
         'journalctl', 'tar', 'scp', 'head', 'tee')


@pytest.mark.parametrize('selector', sorted({
    text for texts in settings.PRESET_MATCH.values() for text in texts}))
def test_no_selector_matches_a_plain_tool(selector):
    """Neither by a name alike nor by what is on its command line."""
    chosen = settings.build({'groups': ['mine'], 'group.mine.match': [selector],
                             'group.mine.oom_score_adj': 100})
    words = re.sub(r'^\w+:', '', selector).replace('*', 'x')
    commands = [f'/usr/bin/{name}' for name in PLAIN]
    commands += [f'/usr/bin/{tool} {words}' for tool in TOOLS]
    commands += [f'/usr/bin/{tool} {LIB}{words}/{words}' for tool in TOOLS]
    if not selector.startswith('cmd:'):  # Python with these words is what a cmd: selector means
        commands += [f'/usr/bin/python3 -m http.server --directory {LIB}{words}']
    table = {1000 + i: process(1000 + i, Row(None, '', command))
             for i, command in enumerate(commands)}
    assert named(assigned(chosen, tuple(table.values())), table) == {}


@pytest.mark.parametrize('preset', PRESETS)
def test_a_preset_is_a_part_of_the_defaults(preset):
    """Selector by selector and value by value."""
    defaults = settings.build({})
    for group in load(preset).protection_groups:
        default = defaults.group(group.name)
        assert set(group.match) <= set(default.match)
        assert group.oom_score_adj == default.oom_score_adj


@pytest.mark.parametrize('preset', PRESETS)
def test_each_line_of_a_preset_gives_its_reason(preset):
    """Whoever copies the file knows what he may leave out."""
    lines = (CONFIG / f'{preset}.yaml').read_text(encoding='utf-8').splitlines()
    selectors = [line for line in lines if line.startswith("      - '")]
    assert len(selectors) == sum(len(g.match) for g in load(preset).protection_groups)
    assert [line for line in selectors if not re.search(r"'  +# \w", line)] == []
