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

"""Who ended a process that died by signal 9: the kernel, or somebody."""

import os
import pathlib
import signal
import subprocess
from types import SimpleNamespace

from conftest import wait_for
import pytest

pytest.importorskip('launch_ros', reason='needs launch_ros, which is on no package index: '
                    'source ROS; CI runs it in the ROS containers')
V1 = pathlib.Path('/sys/fs/cgroup/memory')
V2 = pathlib.Path('/sys/fs/cgroup')
EATER = "import time; time.sleep(2.5); held = bytearray(b'x' * (200 << 20)); time.sleep(60)"


def test_a_kill_by_somebody(group, launch, program):
    """Signal 9 while the kernel's counters stand still, directly and below a shell."""
    cam = program('cam', 'cam_node')
    # In a control group of its own no other test's OOM kill moves its counter.
    inside = ('sh', '-c', f'echo $$ > {group}/cgroup.procs; exec "$@"', 'sh')
    made = launch(f"""
        ProtectLaunch([]),
        run(*{inside!r}, {cam!r}, '--ros-args', '-r', '__node:=front', name='cam'),
        run(*{inside!r}, 'sh', '-c', '{cam} ; exit $?', name='shelled'),
    """)
    made.says('] first')
    os.kill(made.pid('cam'), signal.SIGKILL)
    said = made.says('was killed')
    assert "was killed, not by the kernel's OOM killer" in said
    shell = made.pid('shelled')
    inner = wait_for(lambda: pathlib.Path(f'/proc/{shell}/task/{shell}/children').read_text(),
                     'the shell has a child')
    os.kill(int(inner.split()[0]), signal.SIGKILL)
    wait_for(lambda: made.text.count('was killed') == 2, 'exit code 137 is understood')


def test_the_counters_are_read_on_after_an_error():
    """Else a later kill is judged by counters of long ago."""
    from oom_sentinel.actions.launch_guard import COUNT_S
    from oom_sentinel.actions.launch_guard import LaunchGuard

    def fail():
        raise OSError('no descriptor is left')
    guard, said, later = LaunchGuard.__new__(LaunchGuard), [], []
    guard._closed, guard._said = False, set()
    guard.logger = SimpleNamespace(error=said.append, debug=lambda text: None)
    guard.children = SimpleNamespace(count=fail)
    guard.context = SimpleNamespace(asyncio_loop=SimpleNamespace(
        call_later=lambda seconds, work: later.append(seconds)))
    guard._guarded(guard._count)()
    assert later == [COUNT_S] and said == ['OSError: no descriptor is left']


@pytest.fixture
def group():
    """Return a memory control group of 100 MiB, or skip."""
    first = V1.is_dir() and (V1 / 'memory.limit_in_bytes').exists()
    base = V1 if first else V2
    path = base / f'launch_{os.getpid()}'
    try:
        path.mkdir()
        (path / ('memory.limit_in_bytes' if first else 'memory.max')).write_text(str(100 << 20))
    except OSError as error:
        if path.is_dir():
            path.rmdir()
        pytest.skip(f'no memory control group can be made here: {error}')
    yield path
    wait_for(lambda: not (path / 'cgroup.procs').read_text(), 'the group is empty')
    path.rmdir()


def test_a_kill_by_the_kernel(launch, group):
    """A real one, inside a control group."""
    made = launch(f"""
        ProtectLaunch([]),
        run('sh', '-c', 'echo $$ > {group}/cgroup.procs; exec "$@"', 'sh', '/usr/bin/python3',
            '-c', {EATER!r}, name='eater'),
    """)
    said = made.says('was killed by the kernel')
    line = next(line for line in said.splitlines() if 'was killed by' in line)
    assert "the kernel's OOM killer" in line, line
    assert f'/{group.name}' in line or 'kernel log' in line, line


def test_a_launch_that_ends_by_itself_says_nothing_of_kills(launch):
    """What it kills itself at shutdown is no news."""
    made = launch("ProtectLaunch([]), run('true', name='short')")
    made.child.wait(30)
    assert 'was killed' not in made.text
    assert subprocess.run(['true']).returncode == made.child.returncode == 0
