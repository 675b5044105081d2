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
"""The two rounds of the demo: a robot runs out of memory without, then with the sentinel."""

import contextlib
import os
import pathlib
import sys
import tempfile
import time

from demo.limit import Limit
from demo.robot import Robot
from demo.sentinel import Sentinel

LIMIT_MIB = 340
ROUND_S = 70.0  # the longest a round may take
SETTLE_S = 3.0
BAR = 16
ALARM = {'WARN': 'warn', 'ERROR': 'kill', 'STALE': 'warn'}


def row(robot, limit):
    """Return one line: what is left, and each node with its memory."""
    left = limit.left_mib()
    filled = round(BAR * (limit.mib - left) / limit.mib)
    nodes = ' '.join(f'{label} {mib}' for label, mib, _ in robot.alive())
    return f'  [{"#" * filled:{BAR}}] {left:3} MiB left | {nodes}'


def wait_for_a_kill(screen, robot, limit, look=lambda: None):
    """Print a row every 5 s, let `look` print what it sees, return who was killed."""
    end = time.monotonic() + ROUND_S
    due = 0.0
    while not robot.killed():
        now = time.monotonic()
        if now > end:
            raise TimeoutError('no node was killed: is the limit of the control group in force?')
        if now >= due:
            screen.say(row(robot, limit), 'dim')
            due = now + 5.0
        look()
        time.sleep(0.1)
    return robot.killed()[0]


def without(screen, folder, speed):
    """Round 1: the kernel chooses by size alone."""
    screen.say(f'Round 1 of 2, without the sentinel: four nodes in {LIMIT_MIB} MiB.', 'head')
    raised: dict[str, int] = {}

    def look():
        raised.update({label: value for label, _, value in robot.alive() if value > own})

    own = int(pathlib.Path('/proc/self/oom_score_adj').read_text())
    with Limit(LIMIT_MIB) as limit, Robot(folder, limit, speed) as robot:
        robot.leak()
        screen.say('The recorder (ros2 bag record) begins to leak.')
        wait_for_a_kill(screen, robot, limit, look)
        time.sleep(1.0)  # a second one may follow while the first gives its memory back
        dead, lives = ', '.join(robot.killed()), [label for label, _, _ in robot.alive()]
        screen.say(f'  KILLED: {dead}, exit code -9, and nothing says why.', 'kill')
    if raised:
        screen.say('  Not without one: another sentinel of this user raised oom_score_adj of\n'
                   f'  {", ".join(f"{label} to {value}" for label, value in raised.items())}.',
                   'warn')
    if 'recorder' in lives:
        screen.say('The robot has lost a node it needs; the one that leaked goes on.')
    screen.say()


class Teller:
    """Prints a status of the sentinel when its level rises, and each node's first new value."""

    def __init__(self, screen, sentinel, robot):
        """Keep whom to ask."""
        self.screen, self.sentinel, self.robot = screen, sentinel, robot
        self.levels, self.shown = {}, set()

    def look(self):
        """Print what is new."""
        for label, _, value in self.robot.alive():
            if value and label not in self.shown:
                self.shown.add(label)
                self.screen.say(f'  The sentinel sets oom_score_adj of {label}: {value}.', 'good')
        for name, (level, message) in self.sentinel.statuses().items():
            if self.levels.get(name, 'OK') != level and level != 'OK':
                self.screen.say(f'  {level} {name}: {message}', ALARM[level])
            self.levels[name] = level


def with_sentinel(screen, folder, reports, speed):
    """Round 2: the sentinel protects, warns, and explains."""
    screen.say('Round 2 of 2, with the sentinel: the same robot, the same leak.', 'head')
    with Limit(LIMIT_MIB) as limit, Robot(folder, limit, speed) as robot, \
            Sentinel(folder, reports) as sentinel:
        teller = Teller(screen, sentinel, robot)
        began = time.monotonic()
        while 'OOM risk' not in sentinel.statuses() or time.monotonic() - began < SETTLE_S:
            if time.monotonic() - began > ROUND_S:
                raise TimeoutError('the sentinel published nothing')
            teller.look()
            time.sleep(0.1)
        robot.leak()
        screen.say('The recorder (ros2 bag record) begins to leak.')
        victim = wait_for_a_kill(screen, robot, limit, teller.look)
        screen.say(f'  KILLED: {victim}.', 'kill')
        end = time.monotonic() + SETTLE_S
        while time.monotonic() < end:
            teller.look()
            time.sleep(0.1)
        lives = ', '.join(label for label, _, _ in robot.alive())
        screen.say(f'Alive: {lives}.  There is memory again:', 'good')
        screen.say(row(robot, limit), 'dim')


def last_report(reports):
    """Return the newest incident folder, None without one."""
    found = sorted(path for path in pathlib.Path(reports).iterdir() if path.is_dir())
    return found[-1] if found else None


def play(screen, speed):
    """
    Play both rounds.

    :raises OSError: when no memory control group can be made here.
    """
    reports = pathlib.Path(tempfile.gettempdir()) / 'oom_sentinel_demo'
    with contextlib.suppress(FileExistsError):
        reports.mkdir(mode=0o700)
    with tempfile.TemporaryDirectory(prefix='oom_sentinel_demo_') as name:
        folder = pathlib.Path(name)
        Limit(LIMIT_MIB).__exit__()  # try before anything is printed
        without(screen, folder, speed)
        with_sentinel(screen, folder, reports, speed)
    report = last_report(reports)
    if report is None:
        screen.say('No report was written.')
        return
    screen.say(f'The report of the kill: {report}', 'file')
    command = os.path.join(os.path.dirname(sys.executable), 'oom_sentinel')
    shown = os.path.relpath(command) if os.path.exists(command) else 'oom_sentinel'
    screen.say('The same as one page for a browser:', 'file')
    screen.say(f'    {shown} report {report.parent}', 'file')
