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
A storm without a kernel: processes that grow, the choice of the kernel, and our own plan.

Hundreds of scenes a minute, so that a rule can be tried before it is played for real.  Only what
the sentinel reads is told to the plan, and only as often as it reads.
"""

from dataclasses import dataclass
from dataclasses import replace

from bench.storm import scenes
from oom_sentinel import settings
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import TaskMemory
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.kernel.files import program
from oom_sentinel.protection import plan
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.eligibility import View
from oom_sentinel.protection.memory import Memory

PAGE = 4096
MIB = 1 << 20
PER_MIB = MIB // PAGE
STEP_S = 0.01
SCAN_S, NEARLY_USED_UP_SCAN_S = 2.0, 0.4
NOTICED_S = 0.08  # from a program's exec to its value
SETTLED_S = 8.0  # how long a scene rests before the leak
WRITTEN_S = 0.1  # from a write to /dev/shm to its answer
CHILD_MIB = 8
PYTHON_MIB = 9.0  # what an interpreter holds
VIEW = View(1000, 0, 0)


@dataclass
class Played:
    """
    One process of the scene: its actor, what it holds in MiB, its oom_score_adj.

    `shared` MiB are its parent's pages, which its badness counts and the control group does not.
    """

    actor: scenes.Actor
    pid: int
    born_s: float
    mib: float
    adj: int = 0
    rate: float = 0.0
    alive: bool = True
    role: str = ''
    parent: int = 1
    respawns: int = 0
    shared: float = 0.0
    memory: TaskMemory | None = None

    @property
    def badness_mib(self):
        """Return what the kernel counts as held by it."""
        return self.mib + self.shared

    def process(self):
        """Return it as a process table would show it."""
        memory = TaskMemory(int(self.badness_mib * MIB), 0, 0)
        # Unchanged it is the same object, as in the table.
        self.memory = memory = self.memory if self.memory == memory else memory
        name = self.actor.name
        folder = '/opt/ros/jazzy/lib/robot/' if self.actor.ros else '/usr/local/bin/'
        words = [folder + name]
        if self.role == 'offspring' and self.actor.mode == 'child':
            words = ['/usr/local/bin/helper']
        elif self.actor.ros:
            words += ['--ros-args'] + [w for node in self.actor.nodes or ('/' + name,)
                                       for w in ('-r', f'{node[1:]}:__node:={node[1:]}')]
        found = program.classify(words[0].rpartition('/')[2][:15], words, words[0])
        if found.ros:
            found = replace(found, ros_domain_id=VIEW.ros_domain_id)
        return Process(self.pid, self.pid, self.parent, VIEW.uid, found, memory=memory,
                       oom_score_adj=self.adj, cgroup='/storm', same_pid_namespace=True)


class Simulation:
    """One scene played once; `deaths` are the processes in the order of their kills."""

    def __init__(self, scene, guarded, *, lowering=False):
        """
        Start the processes that are there before the leak.

        :param lowering: the sentinel may lower, so that no value is denied to it.
        """
        self.scene, self.guarded = scene, guarded
        self._lowest = -1000 if lowering else 0
        self.settings = settings.build(scenes.PARAMETERS)
        self.now_s = 0.0
        self.played, self.deaths = [], []
        self.memory = Memory(PAGE)
        self.tmpfs_mib = 0.0
        self._next_pid = 100
        self._due, self._planned = [], plan.Plan()
        leakers = sum(a.role == 'leaker' for a in scene.actors) or 1
        self.rate = max(1.0, scene.speed / leakers)
        for actor in scene.actors:
            if not actor.late:
                self._start(actor)
        self.limit_mib = 1e6

    def _start(self, actor, role='', parent=1, mib=None, respawns=None):
        self._next_pid += 1
        held = actor.mib + PYTHON_MIB if mib is None else mib
        made = Played(actor, self._next_pid, self.now_s, held, role=role or actor.role,
                      parent=parent,
                      respawns=actor.respawn if respawns is None else respawns)
        self.played.append(made)
        return made

    def living(self):
        """Return the processes that still run."""
        return [p for p in self.played if p.alive]

    def used_mib(self):
        """Return what the control group holds."""
        return self.tmpfs_mib + sum(p.mib for p in self.living())

    def _scan(self):
        """Plan and write, as the sentinel does."""
        if not self.guarded:
            return
        self.memory.unmapped = {
            Identity(p.pid, p.pid): (UnmappedFile('/dev/shm/x', int(self.tmpfs_mib * MIB)),)
            for p in self.living() if p.actor.mode == 'shm' and self.tmpfs_mib > 4}
        table = tuple(p.process() for p in self.living())
        self.memory.read(table, self.now_s, frozenset(p.pid for p in table),
                         families=self._planned.may_raise)
        limited = self.limit_mib < 1e5
        left = int((self.limit_mib - self.used_mib()) * PER_MIB)
        domains = (Domain(None, 24000 * PER_MIB, 20000 * PER_MIB),)
        if limited:
            domains += (Domain('/storm', int(self.limit_mib * PER_MIB), max(0, left)),)
        for _ in range(4):
            self.memory.inherit(table, VIEW)
            known = self.memory.known(table, domains, self.settings, {
                k: f.identity for k, f in self._planned.foreign.items()})
            self._planned = plan.plan(table, self.settings, VIEW, known)
            floors = len(self.memory.floors)
            by_pid = {p.pid: p for p in self.played}
            for adjustment in plan.adjustments(self._planned):
                value = max(self._lowest, adjustment.value)
                if value != adjustment.value:
                    self.memory.floors[adjustment.identity] = value
                self.memory.wrote(adjustment.identity, adjustment.old, value)
                by_pid[adjustment.identity.pid].adj = value
            if len(self.memory.floors) == floors:
                break
            table = tuple(p.process() for p in self.living())

    def _kill(self):
        """Let the kernel kill the largest badness while the limit is passed."""
        point = int(self.limit_mib * PER_MIB) // 1000
        while self.used_mib() > self.limit_mib and self.living():
            victim = max(self.living(), key=lambda p: (
                p.badness_mib * PER_MIB + p.adj * point, p.pid))
            victim.alive = False
            self.deaths.append((self.now_s, victim, self.living()))
            if victim.respawns:
                self._due.append((self.now_s + 0.5, victim.actor, victim.respawns - 1))

    def _grow(self):
        """Let each leak go on by one step."""
        step = self.rate * STEP_S
        for one in self.living():
            mode = one.actor.mode
            if (one.role == 'offspring' and mode == 'child') or mode == 'leak':
                one.mib += step
            elif mode == 'cache':
                one.mib += step / 4
            elif mode in ('shm', 'shmmap') and self.tmpfs_mib < self.scene.room_mib + 59:
                self.tmpfs_mib += step
                if mode == 'shmmap':
                    one.mib += step
                    self.tmpfs_mib -= step
            elif mode == 'fork' and one.role == 'leaker':
                self._fork(one)

    def _fork(self, forker):
        count = int(1.4 * self.scene.room_mib / CHILD_MIB) + 6
        forked = sum(p.parent == forker.pid for p in self.played)
        if forked < min(count, self._leaked_s * self.rate / CHILD_MIB):
            child = self._start(forker.actor, 'offspring', forker.pid, CHILD_MIB)
            child.adj, child.shared = forker.adj, forker.mib

    def run(self):
        """Play it; return the deaths by role, and whether a critical one died needlessly."""
        while self.now_s < SETTLED_S:
            self._scan()
            self.now_s += 1.0
        self.limit_mib = self.used_mib() + self.scene.room_mib
        self._scan()
        self.now_s += 1.0
        for actor in self.scene.actors:
            if actor.late:
                self._start(actor)
            if actor.mode == 'child':
                parent = next(p for p in self.played if p.actor is actor)
                self._start(actor, 'offspring', parent.pid, PYTHON_MIB).adj = parent.adj
        self._leak()
        return self.count()

    def _leak(self):
        """Let the leak run until it is over."""
        self._leaked_s = 0.0
        last_s, begins = self.now_s, self.now_s
        end_s = self.now_s + 20 + 2.5 * (self.scene.room_mib + 60) / self.scene.speed
        seen = {p.pid for p in self.played if p.born_s < begins}
        while self.now_s < end_s and not self._over():
            self.now_s += STEP_S
            self._leaked_s += STEP_S
            for entry in [e for e in self._due if e[0] <= self.now_s]:
                self._due.remove(entry)
                self._start(entry[1], respawns=entry[2])
            self._grow()
            self._kill()
            fresh = [p for p in self.living()
                     if p.pid not in seen and p.actor.mode != 'fork'
                     and self.now_s - p.born_s >= NOTICED_S]
            nearly = self.limit_mib - self.used_mib() < 0.25 * self.limit_mib
            period_s = min(WRITTEN_S if self.tmpfs_mib > 4 else SCAN_S,
                           NEARLY_USED_UP_SCAN_S if nearly else SCAN_S)
            if fresh or self.now_s - last_s >= period_s:
                seen.update(p.pid for p in self.living())
                last_s = self.now_s
                self._scan()

    def _over(self):
        if self._due:
            return False
        if self.scene.kind.startswith('fork'):
            return self._leaked_s * self.rate > 1.5 * self.scene.room_mib + 60
        if self.scene.kind in ('shm', 'shmmap'):
            return not any(p.actor.mode in ('shm', 'shmmap') for p in self.living()) \
                or self._leaked_s * self.rate > self.scene.room_mib + 60
        return not any(p.role in ('leaker', 'offspring') for p in self.living())

    def count(self):
        """Return how many died by role, and critical ones while an unprotected one was left."""
        critical = [(v, left) for _, v, left in self.deaths if v.role == 'critical']
        return {
            'critical': len(critical),
            'innocent': sum(v.role == 'innocent' and v.actor.group is None
                            for _, v, _ in self.deaths),
            'expendable': sum(v.role == 'innocent' and v.actor.group is not None
                              for _, v, _ in self.deaths),
            'needless': sum(any(not p.actor.protected and p.role != 'offspring' for p in left)
                            for _, left in critical)}


def pair(scene, *, lowering=False):
    """Return the deaths of a scene without and with the sentinel, which may lower or not."""
    return (Simulation(scene, False).run(),
            Simulation(scene, True, lowering=lowering).run())


def broken(without, guarded):
    """Return the promises that a pair broke: C, H, and h for innocents that saved a critical."""
    marks = 'C' if guarded['needless'] else ''
    if guarded['critical'] + guarded['innocent'] > without['critical'] + without['innocent']:
        return marks + 'H'
    return marks + ('h' if guarded['innocent'] > without['innocent'] else '')
