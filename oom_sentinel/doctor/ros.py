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

"""Findings about missing parts of the sentinel, nodes without a group, and parallel builds."""

from collections.abc import Iterator
import json
from shlex import quote

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import mib
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import ros_processes
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Process
from oom_sentinel.settings import Group
from oom_sentinel.settings import selector
from oom_sentinel.settings.programs import OWN
from oom_sentinel.settings.programs import OWN_NODE

LAUNCH = 'ros2 launch oom_sentinel oom_sentinel.launch.py'
# Words in a package's or program's name, the most critical first.
CRITICAL = (
    ('control', 'motor', 'base', 'can', 'estop', 'safety', 'firmware', 'bridge_serial'),
    ('driver', 'lidar', 'laser', 'scan', 'imu', 'gps', 'gnss', 'camera', 'serial', 'velodyne',
     'ouster', 'sick'),
    ('localization', 'ekf', 'odom', 'amcl', 'slam', 'nav', 'planner', 'map', 'tf', 'joint',
     'state'))
SHOWN_MAX = 12
EXTRA_ADJ = -400  # as drivers
JOB_BYTES = 3 * (1 << 30) // 2  # a C++ compiler with ROS headers and templates
COMPILERS = frozenset(('cc1plus', 'cc1', 'ld', 'lld', 'ld.lld', 'rustc', 'clang', 'clang++'))


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what is not running, not installed or not protected."""
    running = {p.program.executable for p in checkup.processes}
    nodes = [p for p in checkup.processes if p.program.ros and p.program.executable != OWN_NODE]
    if nodes and OWN_NODE not in running:
        yield Finding('sentinel_not_running', Severity.INFO,
                      f'no {OWN_NODE} beside {ros_processes(len(nodes))}', LAUNCH)
    if OWN_NODE in running and 'aggregator_node' not in running:
        yield Finding('no_aggregator', Severity.INFO,
                      'no diagnostic_aggregator runs: rqt_robot_monitor stays empty', remedy(
                          remark('Look without one, or start the sentinel with '
                                 'aggregator:=true:'),
                          'ros2 run rqt_runtime_monitor rqt_runtime_monitor'))
    yield from _unmatched(nodes, checkup.groups)
    if checkup.ros.launch_integrated is False:
        yield Finding('launch_integration_missing', Severity.INFO,
                      'ros2 launch does not know set_oom_score_adj: this package is not '
                      'installed where launch looks',
                      'colcon build --packages-select oom_sentinel && source install/setup.bash')
    middleware = checkup.ros.middleware
    if middleware and 'fastrtps' not in middleware:
        yield Finding('middleware_without_pids', Severity.INFO,
                      f'RMW_IMPLEMENTATION is {middleware}: the ROS graph does not tell which '
                      'process a node is, node: selectors see names on command lines only',
                      remark('Select by program instead: exe:NAME or pkg:NAME.'))
    yield from _builds(checkup, running)


def _unmatched(nodes: list[Process], groups: tuple[Group, ...]) -> Iterator[Finding]:
    """Return the running nodes that no group matches, the most critical first."""
    if not groups:
        return
    left = [p for p in nodes if p.program.executable not in OWN and not any(
        selector.matches(g.match, p, name) for g in groups for name in (*p.node_names, None))]
    left = sorted(left, key=lambda p: (criticality(p), p.label))
    programs = tuple(dict.fromkeys(p.program.executable for p in left))
    if not programs:
        return
    most = programs[:SHOWN_MAX]
    critical = [p.program.executable for p in left if criticality(p) < len(CRITICAL)]
    labels = ', '.join(dict.fromkeys(p.label for p in left if p.program.executable in most))
    more = '' if len(programs) == len(most) else f' and {len(programs) - len(most)} more'
    yield Finding('unmatched_nodes', Severity.INFO,
                  f'running ROS nodes that no group matches, most critical first: {labels}{more}',
                  _match(groups, tuple(dict.fromkeys(critical)) or programs[:1]))


def criticality(process: Process) -> int:
    """Return 0 for what sounds like control, then drivers, then navigation, then the rest."""
    words = f'{process.program.package or ""} {process.program.executable}'.lower()
    return next((rank for rank, names in enumerate(CRITICAL) if any(n in words for n in names)),
                len(CRITICAL))


def _match(groups: tuple[Group, ...], programs: tuple[str, ...]) -> str:
    """Return the commands that give these programs a group of their own."""
    names = [g.name for g in groups]
    new = next(n for n in ('extra', *(f'extra{i}' for i in range(2, 99))) if n not in names)
    chosen = [f'exe:{name}' for name in programs]
    put = 'ros2 param set /oom_sentinel'
    return remedy(
        remark('Leave out those that may die; for good put the same into the parameter file:'),
        f'{put} groups {quote(json.dumps([*names, new]))}',
        f'{put} group.{new}.match {quote(json.dumps(chosen))}',
        f'{put} group.{new}.oom_score_adj {EXTRA_ADJ}')


def _builds(checkup: Checkup, running: set[str]) -> Iterator[Finding]:
    """Return whether a build with a job for each processor fits into memory."""
    info, jobs = checkup.meminfo, checkup.processors
    room = info.mem_total_bytes + info.swap_total_bytes
    builds = bool(running & COMPILERS) or 'colcon' in running
    if jobs is None or not (builds or checkup.colcon) or jobs * JOB_BYTES <= room:
        return
    fitting = max(1, info.mem_total_bytes // JOB_BYTES)
    yield Finding('parallel_build', Severity.WARNING if builds else Severity.INFO,
                  f'a build with {jobs} jobs needs some {mib(jobs * JOB_BYTES)} (1.5 GB for each '
                  f'C++ compiler), memory and swap are {room // MIB} MiB: compilers or nodes '
                  'are killed', f'MAKEFLAGS=-j{fitting} colcon build --executor sequential')
