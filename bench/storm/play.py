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

"""One scene played for real: who died in which order is taken from the kernel's log."""

import contextlib
from dataclasses import dataclass
from dataclasses import field
import math
import os
import shutil
import threading
import time

from bench.storm.ground import Cgroup
from bench.storm.ground import lives
from bench.storm.ground import number
from bench.storm.ground import PYTHON
from bench.storm.ground import until
from bench.storm.scenes import Actor

ACTOR = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'actor.py')
FORKED_MIB = 8
STILL_S, SETTLE_MOST_S = 2.6, 12.0  # values that stand still for longer than a scan_period
LIMIT_SEEN_S = 1.0  # a sentinel reads the new limit within
OFFSPRING = Actor('child', 'offspring', None, False, 0)


@dataclass
class Death:
    """One kill: the actor, and the actors that were left."""

    actor: Actor
    left: list = field(default_factory=list)


class Play:
    """Starts the actors, sets the limit, lets the leak begin and waits until it is over."""

    def __init__(self, scene, folder, spawner, log, uid, *, watched):
        """
        Prepare a scene.

        :param folder: where programs and notes are written.
        :param watched: whether a sentinel of this user runs: then its values are waited for.
        """
        self.scene, self.folder, self.spawner, self.log = scene, folder, spawner, log
        self.watched = watched
        self.cgroup = Cgroup(f'oom_sentinel_storm_{scene.kind}_{scene.seed}_{os.getpid()}_{uid}',
                             uid)
        self.who, self._order = {}, []
        self._notes = {name: f'{folder}/{name}_{time.monotonic_ns()}'
                       for name in ('go', 'pids', 'bag')}
        self._notes['shm'] = f'/dev/shm/oom_sentinel_storm_{os.getpid()}_{time.monotonic_ns()}'
        self.values = {}
        self._started, self._settling = False, threading.Thread(target=self._settle)
        self._respawns = {}
        self.begins = self.ends = lambda: None  # called when the leak begins, when all is over

    def start(self):
        """Start all actors but the late ones, and begin to watch their values settle."""
        self._started = True
        for actor in self.scene.actors:
            if not actor.late:
                self._start(actor)
        if self.watched:
            self._settling.start()

    def run(self, limit_mib=None):
        """
        Play it, and start it first where that is not done.

        Return the deaths and the limit in MiB (of an earlier run, when given).
        """
        try:
            if not self._started:
                self.start()
            if self.watched:
                self._settling.join()
            begun = len(self.log.kills())
            limit_mib = limit_mib or self.cgroup.used_mib() + self.scene.room_mib
            self.cgroup.limit(limit_mib)
            if self.watched:
                time.sleep(LIMIT_SEEN_S)
            with open(self._notes['go'], 'w', encoding='ascii'):
                pass
            self.begins()
            for actor in self.scene.actors:
                if actor.late:
                    self._start(actor, '-')
            self._leak()
            time.sleep(0.3)
            return self._deaths(self.log.kills()[begun:]), limit_mib
        finally:
            self.ends()
            self.close()

    def close(self):
        """End the actors and remove what it made."""
        self.cgroup.remove()
        for path in (*self._notes.values(), self._notes['shm'] + '.done'):
            with contextlib.suppress(OSError):
                os.unlink(path)

    # Starting

    def _start(self, actor, go=None):
        """Start an actor; wait until it holds what it shall, unless it begins at once."""
        program = self._program('robot' if actor.ros else 'bin', actor.name)
        rate = max(1, self.scene.speed / (sum(
            a.role == 'leaker' for a in self.scene.actors) or 1))
        command = [PYTHON, '-IS', program, actor.mode, str(actor.mib), str(rate),
                   go or (self._notes['go'] if actor.mode != 'hold' else '-'), self._extra(actor)]
        if actor.ros:
            names = actor.nodes or ('/' + actor.name,)
            command.append('--ros-args')
            for name in names:
                one = f'{name[1:]}:' if len(names) > 1 else ''
                command += ['-r', f'{one}__node:={name[1:]}']
        out = f'{self.folder}/out_{time.monotonic_ns()}'
        known = set(self.cgroup.pids()) | set(self.who)
        self.spawner.start(command, self.cgroup.path, out)

        def came():
            if self.cgroup.version == 2:
                self.spawner.move(self.cgroup.path)
            return [p for p in set(self.cgroup.pids()) - known if self._runs(p, program)]
        assert until(came, 30, 0.002), f'{actor.name} does not start'
        self.who[came()[0]] = actor
        self._respawns.setdefault(id(actor), actor.respawn)
        if go is None:
            assert until(lambda: os.path.exists(out) and os.path.getsize(out) >= 6, 30)

    def _program(self, package, name):
        program = f'{self.folder}/lib/{package}/{name}'
        os.makedirs(os.path.dirname(program), exist_ok=True)
        shutil.copy(ACTOR, program)
        return program

    def _extra(self, actor):
        room = self.scene.room_mib
        if actor.mode == 'fork':
            return f'{math.ceil(1.4 * room / FORKED_MIB) + 5}:{FORKED_MIB}:{self._notes["pids"]}'
        if actor.mode == 'child':
            return f'{self._program("bin", "helper")}:{self._notes["pids"]}'
        if actor.mode in ('shm', 'shmmap'):
            return f'{self._notes["shm"]}:{room + 60:.0f}'
        return self._notes['bag'] if actor.mode == 'cache' else '-'

    @staticmethod
    def _runs(pid, program):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as stream:
                return program.encode() in stream.read().split(b'\0')
        except OSError:
            return False

    def _settle(self):
        """Wait until the values have stood still for more than a scan_period."""
        began = changed_s = time.monotonic()
        while time.monotonic() - began < SETTLE_MOST_S:
            values = {pid: number(f'/proc/{pid}/oom_score_adj') for pid in self.who}
            if values != self.values:
                self.values, changed_s = values, time.monotonic()
            if time.monotonic() - changed_s > STILL_S:
                return
            time.sleep(0.1)

    # Leaking

    def _leak(self):
        """Watch until the leak is over, and start again what respawns."""
        end = time.monotonic() + 20 + 2.5 * (self.scene.room_mib + 60) / self.scene.speed
        due, handled = [], set()
        quiet_since_s, kills = time.monotonic(), len(self.log.kills())
        while time.monotonic() < end:
            self._note_offspring()
            for pid, actor in list(self.who.items()):
                if pid not in handled and not lives(pid) and self._respawns.get(id(actor), 0):
                    handled.add(pid)
                    self._respawns[id(actor)] -= 1
                    due.append((time.monotonic() + 0.5, actor))
            for entry in [e for e in due if e[0] <= time.monotonic()]:
                due.remove(entry)
                self._start(entry[1], '-')
            if len(self.log.kills()) != kills:
                quiet_since_s, kills = time.monotonic(), len(self.log.kills())
            if not due and self._over(time.monotonic() - quiet_since_s):
                return
            time.sleep(0.02)

    def _note_offspring(self):
        """Take the PIDs that actors wrote down as their children's."""
        for word in self._noted():
            if word != 'done':
                self.who.setdefault(int(word), OFFSPRING)

    def _noted(self):
        """Return the words that actors wrote down."""
        try:
            with open(self._notes['pids'], encoding='ascii') as stream:
                return stream.read().split()
        except FileNotFoundError:
            return []

    def _over(self, quiet_s):
        """Return whether nothing grows any more."""
        leakers = [p for p, a in self.who.items() if a.role == 'leaker']
        children = [p for p, a in self.who.items() if a is OFFSPRING]
        if self.scene.kind.startswith('fork'):
            done = 'done' in self._noted() or not any(map(lives, leakers))
            return done and quiet_s > 2.0
        if self.scene.kind == 'child':
            return bool(children) and not any(map(lives, children)) and quiet_s > 0.3
        if self.scene.kind in ('shm', 'shmmap') and os.path.exists(self._notes['shm'] + '.done'):
            return True
        return not any(map(lives, leakers)) and quiet_s > 0.3

    def _deaths(self, kills):
        """Return the kills of this scene in the kernel's order."""
        left, found = dict(self.who), []
        for _, pid in kills:
            if pid in left:
                found.append(Death(left.pop(pid), list(left.values())))
        return found


def count(deaths):
    """Return how many died by role, and critical ones while an unprotected one was left."""
    critical = [d for d in deaths if d.actor.role == 'critical']
    innocent = [d for d in deaths if d.actor.role == 'innocent']
    return {'critical': len(critical),
            'innocent': sum(d.actor.group is None for d in innocent),
            'expendable': sum(d.actor.group is not None for d in innocent),
            'needless': sum(any(not a.protected and a is not OFFSPRING for a in d.left)
                            for d in critical)}
