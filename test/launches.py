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

"""For test/launch: a launch that runs by itself, its log, its processes by name."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap

import pytest

PYTHON = '/usr/bin/python3' if os.path.exists('/usr/bin/python3') else sys.executable
NODE = (f'#!{PYTHON} -I\nimport signal, sys, time\n'
        'signal.signal(signal.SIGINT, signal.SIG_DFL)\n'
        "print('first', open('/proc/self/oom_score_adj').read().strip(), flush=True)\n"
        "time.sleep(0 if 'short' in sys.argv else 600)\n")
RUN = """
import faulthandler
import signal
import sys
from launch import LaunchDescription, LaunchService
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import AnyLaunchDescriptionSource
faulthandler.register(signal.SIGUSR1)  # to show where a launch stands that does not end
service = LaunchService(argv=sys.argv[2:], noninteractive=True)
pairs = [argument.split(':=', 1) for argument in sys.argv[2:]]
service.include_launch_description(LaunchDescription([IncludeLaunchDescription(
    AnyLaunchDescriptionSource(sys.argv[1]), launch_arguments=pairs)]))
sys.exit(service.run())
"""
HEAD = """
from launch import LaunchDescription
from launch.actions import *
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node, PushRosNamespace
from oom_sentinel.actions import ProtectLaunch, SetOomScoreAdj
import os
def run(*words, **more):
    return ExecuteProcess(cmd=list(words), output='screen', **more)
def sentinel(**arguments):
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(
        SENTINEL), launch_arguments={'aggregator': 'false', **arguments}.items())
"""


def wait_for(condition, what):
    """Return the first true value of the condition; fail with what was awaited."""
    from conftest import wait_for as waiting
    return waiting(condition, what)


class Launched:
    """A launch under way."""

    def __init__(self, child, log):
        """Keep the process and the file that it writes to."""
        self.child, self.log = child, log

    @property
    def text(self):
        """Return what it has said so far."""
        return self.log.read_text(errors='replace')

    def says(self, words, what=None):
        """Wait for words in its log and return all of it."""
        wait_for(lambda: words in self.text or (self.child.poll() is not None and 'ended'),
                 what or f'the launch says {words!r}')
        assert words in self.text, self.text
        return self.text

    def pids(self, name):
        """Return the PIDs that a process of this name had, the latest last."""
        return [int(pid) for pid in re.findall(
            rf'\[{name}-\d+\]: process started with pid \[(\d+)\]', self.text)]

    def pid(self, name, nth=0):
        """Wait for the nth process of this name."""
        return wait_for(lambda: self.pids(name)[nth:nth + 1], f'{name} has started')[0]

    def end(self, strict=True):
        """Stop it as ctrl-c does and return what it said."""
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(40)
        except subprocess.TimeoutExpired:
            if strict:
                self.child.send_signal(signal.SIGUSR1)
                wait_for(lambda: 'most recent call first' in self.text, 'it says where it stands')
                pytest.fail(f'the launch did not end: {self.text}')
        finally:
            with contextlib.suppress(ProcessLookupError):  # all of its session have ended
                os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        return self.text


@pytest.fixture
def program(tmp_path):
    """Return a maker of programs below lib/PKG that print their value first thing."""
    def make(package, name):
        path = tmp_path / 'robot' / 'lib' / package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(NODE)
        path.chmod(0o755)
        return str(path)
    return make


@pytest.fixture
def launch(tmp_path):
    """Return a starter of launches from the text of a launch file."""
    from ament_index_python.packages import get_package_share_directory
    file = os.path.join(get_package_share_directory('oom_sentinel'), 'launch',
                        'oom_sentinel.launch.py')
    started = []

    def start(text, *arguments, kind='py'):
        path = tmp_path / f'robot{len(started)}.launch.{kind}'
        if kind == 'py':
            text = (f'SENTINEL = {file!r}\n{HEAD}def generate_launch_description():\n'
                    '    return LaunchDescription([\n'
                    + textwrap.indent(textwrap.dedent(text).strip(), ' ' * 8) + '\n    ])\n')
        path.write_text(text)
        log = tmp_path / f'log{len(started)}'
        with open(log, 'wb') as stream:
            child = subprocess.Popen([sys.executable, '-u', '-c', RUN, str(path), *arguments],
                                     stdout=stream, stderr=subprocess.STDOUT,
                                     start_new_session=True)
        started.append(Launched(child, log))
        return started[-1]

    yield start
    for one in started:
        one.end(strict=False)  # launch itself may hang when stopped in the midst of a start


@pytest.fixture
def params(tmp_path):
    """Return a writer of parameter files."""
    def write(text, name='params.yaml'):
        path = tmp_path / name
        path.write_text(textwrap.dedent(text))
        return str(path)
    return write
