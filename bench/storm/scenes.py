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

"""The scene of a seed and a kind: critical nodes, innocents and leakers in one control group."""

from dataclasses import dataclass
import random

KINDS = ('unmatched', 'expendable', 'nonros', 'protected', 'container', 'fork_ros', 'fork_nonros',
         'respawn', 'late_ros', 'late_nonros', 'child', 'shm', 'shmmap', 'cache')
# More kinds, by name only: a protected node that forks, and one that is started again.
MORE_KINDS = ('fork_protected', 'respawn_protected')
SPEEDS = (10, 50, 200, 1000)  # MiB a second, in turns by seed
GROUPS = {'bringup': -500, 'drivers': -400, 'navigation': -300, 'expendable': 300}
PROTECTED = tuple(name for name, value in GROUPS.items() if value < 0)
PARAMETERS = {f'group.{name}.match': [f'exe:{name}_*'] for name in GROUPS}
PARAMETERS['group.navigation.match'] += ['node:/nav_in_container']
SEVERAL = ('unmatched', 'expendable', 'nonros', 'protected', 'respawn')
# MiB that are left when the leak begins: the faster it is, the more.
ROOM_MIB = {10: (30, 80), 50: (40, 120), 200: (60, 140), 1000: (60, 140)}


@dataclass(frozen=True)
class Actor:
    """One process: its program is named after its group; `role` is critical, innocent, leaker."""

    name: str
    role: str
    group: str | None
    ros: bool
    mib: float
    mode: str = 'hold'
    late: bool = False
    respawn: int = 0
    nodes: tuple[str, ...] = ()

    @property
    def protected(self):
        """Return whether its group is negative."""
        return self.group in PROTECTED


@dataclass(frozen=True)
class Scene:
    """Who plays, how fast the leaks are in MiB a second, and what is left when they begin."""

    seed: int
    kind: str
    speed: float
    actors: tuple[Actor, ...]
    room_mib: float

    @property
    def several_protected_leak(self):
        """Return whether two protected nodes or more leak at once."""
        return sum(a.role == 'leaker' and a.protected for a in self.actors) > 1


def build(seed, kind, speed=None):
    """Return the scene of a seed and a kind."""
    chance = random.Random(f'{seed}/{kind}')
    speed = speed or SPEEDS[(seed - 1) % len(SPEEDS)]
    actors = [_critical(i, chance) for i in range(chance.randint(1, 3))]
    actors += [_innocent(i, chance) for i in range(chance.randint(2, 8))]
    while sum(a.mib for a in actors) > 190:
        actors.remove(max(actors[1:], key=lambda a: a.mib))
    room = chance.uniform(*ROOM_MIB.get(speed, (40, 100)))
    rest = chance.uniform(200, 350) - sum(a.mib for a in actors) - room
    count = chance.choice((1, 1, 1, 2, 3)) if kind in SEVERAL else 1
    # A leak that began long ago holds something already.
    base = max(5, min(chance.uniform(5, 70), rest)) / count
    actors += [_leaker(kind, i, base, chance) for i in range(count)]
    return Scene(seed, kind, speed, tuple(actors), room)


def _critical(i, chance):
    group = chance.choice(PROTECTED)
    return Actor(f'{group}_{i}', 'critical', group, True, chance.randint(10, 120))


def _innocent(i, chance):
    ros = chance.random() < 0.6
    group = 'expendable' if ros and chance.random() < 0.25 else None
    name = f'expendable_{i}' if group else f'node_{i}' if ros else f'daemon_{i}'
    return Actor(name, 'innocent', group, ros, chance.randint(5, 40))


def _leaker(kind, i, base, chance):
    if kind in ('unmatched', 'respawn'):
        return Actor(f'leaky_{i}', 'leaker', None, True, base, 'leak',
                     respawn=3 if kind == 'respawn' else 0)
    if kind == 'expendable':
        return Actor(f'expendable_leaky_{i}', 'leaker', 'expendable', True, base, 'leak')
    if kind == 'nonros':
        return Actor(f'hog_{i}', 'leaker', None, False, base, 'leak')
    if kind in MORE_KINDS:
        return Actor(f'bringup_leaky_{i}', 'leaker', 'bringup', True,
                     5 if kind == 'fork_protected' else base,
                     'fork' if kind == 'fork_protected' else 'leak',
                     respawn=0 if kind == 'fork_protected' else 3)
    if kind == 'protected':
        group = chance.choice(PROTECTED)
        return Actor(f'{group}_leaky_{i}', 'leaker', group, True, base, 'leak')
    if kind == 'container':
        second = '/nav_in_container' if chance.random() < 0.5 else '/camera'
        return Actor('component_container_isolated', 'leaker',
                     'navigation' if second == '/nav_in_container' else None, True, base, 'leak',
                     nodes=('/plain_component', second, '/third'))
    if kind in ('fork_ros', 'fork_nonros'):
        return Actor(f'forker_{i}', 'leaker', None, kind == 'fork_ros', 5, 'fork')
    if kind in ('late_ros', 'late_nonros'):
        return Actor(f'late_{i}', 'leaker', None, kind == 'late_ros', 1, 'leak', late=True)
    if kind == 'child':
        group = chance.choice(PROTECTED)
        return Actor(f'{group}_parent', 'critical', group, True, base, 'child')
    if kind in ('shm', 'shmmap'):
        return Actor(f'shared_{i}', 'leaker', None, chance.random() < 0.7, 5, kind)
    return Actor(f'expendable_recorder_{i}', 'leaker', 'expendable', True, base, 'cache')
