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
From a process's first appearance to the written value.

    python -m bench.protect [LOOPS]

With so many loops beside it, in each of which a program is started again: of a group, and of no
group where lowering is denied and it is raised instead (needs root, setpriv and /dev/kmsg).
"""

import os
import shutil
import signal
from statistics import median
import subprocess
import sys
import tempfile
import threading
import time

from bench import programs
from bench.endurance.around import RESPAWN
from bench.storm.ground import PYTHON
from bench.storm.play import ACTOR
from bench.storm.stage import as_user
from bench.storm.stage import Stage
from bench.storm.stage import UID
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.node.node import OomSentinel
import rclpy


# A node that only the graph knows: its name is in its code, nothing on its command line.
NAMED = ('import rclpy\nrclpy.init()\nn = rclpy.create_node("bench_named")\n'
         'print(1, flush=True)\nrclpy.spin(n)\n')


class Inside:
    """The node in this process, so that its own graph can be asked what it shows."""

    def __init__(self, arguments):
        """Start it as its program does."""
        rclpy.init(args=['bench', *arguments])
        self.watch = Watch()
        self.node = OomSentinel(self.watch)
        self._ends = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._ends:
            self.watch.wait()
            self.node.woken()

    def shows(self, pid):
        """Tell whether its graph shows an endpoint of this process."""
        bits = (pid & 0xFFFF).to_bytes(2, 'little')
        return any(bytes(info.endpoint_gid)[4:6] == bits
                   for info in self.node.get_publishers_info_by_topic('/rosout'))

    def close(self):
        """End it."""
        self._ends = True
        self.watch.ring()
        self._thread.join()
        self.node.end(True)
        self.watch.close()
        self.node.destroy_node()
        rclpy.try_shutdown()


def measure(runs, scan_period=2.0, loops=0):
    """
    Return sorted seconds until values are written: of programs, of nodes, of nodes in the graph.

    Of a program from its start; of a node that only the graph names from its creation, and
    from when the sentinel's own graph shows its first endpoint: Fast DDS may take 3 s for
    that, when the new participant hears of ours at our next announcement only.
    """
    arguments = ['--ros-args', '-p', 'groups:=[bench]', '-p', f'scan_period:={scan_period}',
                 '-p', 'group.bench.match:=["exe:sleep", "node:/bench_named"]', '-p',
                 'group.bench.oom_score_adj:=250']
    program = programs.program()
    with tempfile.TemporaryDirectory() as home:
        os.environ['OOM_SENTINEL_STATE'] = home
        sentinel = subprocess.Popen([program, *arguments], stderr=subprocess.DEVNULL,
                                    start_new_session=True)
        around = [subprocess.Popen(['sh', '-c', RESPAWN], start_new_session=True)
                  for _ in range(loops)]
        try:
            time.sleep(4)
            children = [_program(0.7 + 0.13 * (index % 7)) for index in range(runs)]
        finally:
            for child in (sentinel, *around):
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
    if loops:
        return (sorted(children), _raised(runs, loops))
    with tempfile.TemporaryDirectory() as home:
        os.environ['OOM_SENTINEL_STATE'] = home
        inside = Inside(arguments)
        try:
            time.sleep(4)
            nodes = [_node(inside, 1.7 + 0.13 * (index % 7)) for index in range(runs)]
        finally:
            inside.close()
    return (sorted(children), sorted(whole for whole, _ in nodes),
            sorted(max(0.0, whole - shown) for whole, shown in nodes))


def _raised(runs, loops):
    """Return sorted seconds from a program's start until it is raised, for a denied node."""
    stage = Stage(crowd=loops)
    program = f'{stage.folder}/lib/robot/bringup_0'
    os.makedirs(os.path.dirname(program))
    shutil.copy(ACTOR, program)
    critical = subprocess.Popen(as_user(
        UID, PYTHON, '-IS', program, 'hold', '40', '1', '-', '-', '--ros-args', '-r',
        '__node:=bringup_0'), stdout=subprocess.DEVNULL)
    try:
        time.sleep(8)
        return sorted(_program(0.7 + 0.13 * (index % 7), as_user(UID, 'sleep', '60'),
                               lambda value: value > 0) for index in range(runs))
    finally:
        critical.kill()
        critical.wait()
        stage.close()


def _value(pid):
    with open(f'/proc/{pid}/oom_score_adj', 'rb', buffering=0) as stream:
        return int(stream.read(16))  # a second read would show the end of a newer value


def _program(pause, command=('sleep', '60'), written=lambda value: value == 250):
    """Return the seconds from a program's start to its value."""
    time.sleep(pause)
    child = subprocess.Popen(command)
    started = time.monotonic()
    try:
        while not written(_value(child.pid)) and time.monotonic() - started < 20:
            time.sleep(0.002)
        return time.monotonic() - started
    finally:
        child.kill()
        child.wait()


def _node(inside, pause):
    """Return the seconds from a node's creation to its value, and to its being in the graph."""
    time.sleep(pause)
    child = subprocess.Popen([sys.executable, '-c', NAMED], stdout=subprocess.PIPE,
                             stderr=subprocess.DEVNULL)
    child.stdout.readline()
    started, shown, valued = time.monotonic(), None, None
    try:
        while None in (shown, valued) and time.monotonic() - started < 20:
            now = time.monotonic() - started
            if shown is None and inside.shows(child.pid):
                shown = now
            if valued is None and _value(child.pid) == 250:
                valued = now
            time.sleep(0.005)
        assert shown is not None and valued is not None, 'not within 20 s'
        return valued, shown
    finally:
        child.terminate()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:  # the bench hung once, where is not known
            child.kill()
            child.wait()
        child.stdout.close()


def main():
    """Print the lines of the table."""
    loops = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    runs = int(os.environ.get('BENCH_RUNS', '20'))
    names = ('new program, from its start', 'new node that only the graph names, from its '
             'creation', 'the same, from when our graph shows it')
    if loops:
        names = (f'new program beside {loops} respawn loops, from its start',
                 'the same of no group, raised')
    for what, delays in zip(names, measure(runs, loops=loops)):
        print(f'{what}, to written value ({len(delays)}): median {median(delays):.3f} s, p95 '
              f'{delays[int(0.95 * (len(delays) - 1))]:.3f} s, most {delays[-1]:.3f} s')


if __name__ == '__main__':
    main()
