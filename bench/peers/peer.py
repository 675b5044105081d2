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

"""Each peer: how it is started, which version it is, and what it does for its cost."""

from dataclasses import dataclass
import importlib.util
import os
import shutil
import subprocess
import sys

from bench import idle

PSUTIL_NODE = """
import psutil, rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
rclpy.init()
node = rclpy.create_node('ten_largest')
publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
def publish():
    found = [p.info for p in psutil.process_iter(['pid', 'name', 'memory_info'])]
    found = [i for i in found if i['memory_info']]
    found.sort(key=lambda i: -i['memory_info'].rss)
    message = DiagnosticArray()
    message.header.stamp = node.get_clock().now().to_msg()
    message.status = [DiagnosticStatus(name='memory', values=[
        KeyValue(key='%s %d' % (i['name'], i['pid']), value=str(i['memory_info'].rss >> 20))
        for i in found[:10]])]
    publisher.publish(message)
node.create_timer(1.0, publish)
rclpy.spin(node)
"""
# Where the sources of github.com/ros/diagnostics are, when ROS is not installed.
DIAGNOSTICS = 'BENCH_DIAGNOSTICS'
MONITORS = ('diagnostic_updater', 'diagnostic_common_diagnostics')
LOOP = 'while sleep 1; do free -m; top -b -n 1 | head -n 17; done >/dev/null'


@dataclass(frozen=True, slots=True)
class Peer:
    """
    A program to measure.

    `version` is a command whose first line names its version; `apart` is true for one that starts
    processes all the time, which others would have to look at.
    """

    name: str
    command: tuple[str, ...]
    job: str
    version: tuple[str, ...] = ()
    apart: bool = False
    package: str = ''  # of Python, which the command runs

    @property
    def missing(self) -> str | None:
        """Return which program is not installed here, None when it can be started."""
        if self.package and importlib.util.find_spec(self.package) is None:
            return f'the Python package {self.package} is not there ({DIAGNOSTICS})'
        program = self.command[0]
        path = os.environ['PATH'] + ':/usr/sbin:/sbin'
        return None if shutil.which(program, path=path) else f'{program} is not installed'

    def first_line(self) -> str:
        """Return the first line about its version, '' when it says none."""
        if not self.version or self.missing:
            return ''
        done = subprocess.run(self.version, capture_output=True, text=True, timeout=20,
                              env={**os.environ, 'PYTHONWARNINGS': 'ignore'})
        return ((done.stdout or done.stderr).strip().splitlines() or [''])[0]


def _package(name: str) -> tuple[str, ...]:
    return ('dpkg-query', '-W', '-f', '${Package} ${Version}', name)


def _find_monitors() -> None:
    """Let Python find ROS diagnostics' monitors in the sources that the environment names."""
    if sources := os.environ.get(DIAGNOSTICS):
        found = [os.path.join(sources, name) for name in MONITORS]
        sys.path += found
        os.environ['PYTHONPATH'] = ':'.join(
            [*found, *filter(None, [os.environ.get('PYTHONPATH')])])


def everybody() -> tuple[Peer, ...]:
    """Return the peers, the sentinel first and the bare node second."""
    _find_monitors()
    bin_dir = os.path.dirname(sys.executable)
    return (
        Peer('oom_sentinel', (os.path.join(bin_dir, 'oom_sentinel_node'),),
             'all that it promises, with its defaults: seven statuses a second, the process table '
             'by its own pace, kills, stalls, forecasts'),
        Peer('bare rclpy node', (sys.executable, '-c', idle.BARE),
             'nothing but a timer a second: what any node in Python costs'),
        Peer('psutil node', (sys.executable, '-c', PSUTIL_NODE),
             'publishes name and RSS of the ten largest processes each second'),
        Peer('cpu_monitor of ROS diagnostics',
             (sys.executable, '-m', f'{MONITORS[1]}.cpu_monitor'),
             'publishes the load of each core each second, nothing of memory or processes',
             package=MONITORS[1]),
        Peer('free and top', ('sh', '-c', LOOP),
             'prints memory and the largest processes each second, as scripts and some monitors '
             'do; CPU of the children counts, their memory does not',
             ('top', '-V'), apart=True),
        Peer('earlyoom', ('earlyoom', '--dryrun', '-r', '3600'),
             'watches free memory and swap, ends the largest oom_score below 10 %; reads no '
             'process table before', _package('earlyoom')),
        Peer('nohang', ('nohang', '--monitor', '--config', '/etc/nohang/nohang.conf'),
             'watches free memory, swap and PSI, warns and ends by rules of its own; reads no '
             'process table before', _package('nohang')),
        Peer('systemd-oomd', ('/lib/systemd/systemd-oomd', '--dry-run'),
             'watches PSI and swap of control groups, kills whole groups; needs cgroup v2 and '
             'D-Bus', _package('systemd-oomd')))
