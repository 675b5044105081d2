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
Decide what to shed: which place is short, which process to end, and which step comes next.

Pure: facts and settings go in.  Only processes of a group that asks for it are chosen, of this
user, never one that is protected.
"""

from dataclasses import dataclass
from dataclasses import replace

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Candidate
from oom_sentinel.facts.shedding import Shortage
from oom_sentinel.facts.shedding import Step
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk import Assessment
from oom_sentinel.risk import headroom
from oom_sentinel.settings import Settings

# How long a step may take: rosbag2 writes its cache and its metadata at SIGINT.
GRACE_S = {Step.DEACTIVATE: 3.0, Step.INTERRUPT: 4.0, Step.TERMINATE: 2.0, Step.KILL: 2.0}
SETTLE_S = 1.0  # memory comes back so much later than the process ends
LEAST_SHARE = 0.01  # of the place: a process that would free less is not worth it
NOTHING_SHARE = 0.2  # of what was expected: less came back means that the kind does not help
ANNOUNCE = 2.0  # times shed.exhaustion_s: what is about to happen is said from then on


@dataclass(frozen=True, slots=True)
class Ending:
    """
    A process that is being shed in a place.

    `since_s` is when the present step began, `ended_s` when the process was first seen gone.
    """

    candidate: Candidate
    path: str | None
    why: str
    began_s: float
    left_bytes: int
    since_s: float
    step: int = 0
    ended_s: float | None = None

    @property
    def present(self) -> Step:
        """Return the step that is being tried."""
        return self.candidate.steps[self.step]


@dataclass(frozen=True, slots=True)
class State:
    """What shedding remembers from one look to the next; `useless` kinds brought nothing."""

    endings: tuple[Ending, ...] = ()
    useless: frozenset[tuple[str, str]] = frozenset()
    spared: frozenset[Identity] = frozenset()


@dataclass(frozen=True, slots=True)
class Order:
    """A step to take on a process now."""

    candidate: Candidate
    step: Step


def shortages(sample: Sample, assessment: Assessment,
              settings: Settings) -> tuple[Shortage, ...]:
    """Return the places that are or will soon be short of memory, the most urgent first."""
    found = []
    forecasts = {path: (told, level) for path, told, level in assessment.forecasts}
    for path, total_bytes, left_bytes in _places(sample):
        told, level = forecasts.get(path, (None, Level.OK))
        limit_s = settings.shed_exhaustion_s
        if told is not None and level > Level.OK and told.middle_s < ANNOUNCE * limit_s \
                and told.high_s < ANNOUNCE * ANNOUNCE * limit_s:
            certain = told.high_s < ANNOUNCE * limit_s
            due_s = max(0.0, told.middle_s - limit_s) if certain else max(
                1.0, told.middle_s - limit_s)
            found.append(Shortage(
                path, total_bytes, left_bytes, left_bytes / max(told.middle_s, 0.1), due_s,
                f'memory would be exhausted in about {told.middle_s:.0f} s'))
        elif _stalls(sample, left_bytes / total_bytes, settings):
            found.append(Shortage(path, total_bytes, left_bytes, None, 0.0,
                                  'tasks wait for memory most of the time'))
    return tuple(sorted(found, key=lambda shortage: shortage.due_s))


def now(sample: Sample) -> tuple[Shortage, ...]:
    """Return every place as if it were short now, the fullest first, as `~/shed` asks."""
    return tuple(Shortage(path, total, left, None, 0.0, 'asked for by ~/shed')
                 for path, total, left in sorted(
                     _places(sample), key=lambda place: place[2] / place[1]))


def _places(sample: Sample) -> list[tuple[str | None, int, int]]:
    """Return each place with its total and what is left, in bytes."""
    found: list[tuple[str | None, int, int]] = []
    if not isinstance(sample.meminfo, Unavailable):
        left = headroom.machine_bytes(sample.meminfo, sample.swaps)
        if left is not None:
            found.append((None, sample.meminfo.mem_total_bytes, left))
    found += [(room.group.path, room.group.limit_bytes, room.until_oom_bytes)
              for room in headroom.limits(sample.chains, sample.meminfo)
              if room.group.limit_bytes]
    return found


def _stalls(sample: Sample, left_share: float, settings: Settings) -> bool:
    """Return whether pressure is high while a place has less left than its warn level."""
    pressure = sample.pressure
    if isinstance(pressure, Unavailable) or pressure.full is None:
        return False
    return (pressure.full.avg10 > settings.shed_full_avg10
            and 100.0 * left_share < settings.memory_available_warn_percent)


def candidates(targets: tuple[Target, ...], assessment: Assessment, settings: Settings,
               uid: int) -> tuple[Candidate, ...]:
    """Return the processes that may be shed at all."""
    growth = dict(assessment.growth)
    found = []
    for target in targets:
        process, group = target.process, settings.group(target.group)
        if group is None or not group.shed or group.oom_score_adj < 0 or target.wanted < 0:
            continue
        if process.uid != uid or process.memory is None or process.kernel_thread:
            continue
        memory = process.memory
        frees = memory.rss_bytes - (memory.file_bytes or 0) + memory.swap_bytes
        found.append(Candidate(process, group.name, target.wanted,
                               tuple(Step(name) for name in group.shed), max(0, frees),
                               max(0.0, growth.get(process.identity, 0.0))))
    return tuple(found)


def choose(shortage: Shortage, among: tuple[Candidate, ...], state: State, sample: Sample,
           target_s: float) -> Candidate | None:
    """
    Return the cheapest process that buys `target_s` seconds in this place, None without any.

    The least important group comes first.  In it the smallest process that buys enough is
    taken, and when none does, the one that buys most.
    """
    inside = None if shortage.path is None else dict(sample.members).get(shortage.path,
                                                                         frozenset())
    useful = [c for c in among
              if (inside is None or c.process.pid in inside)
              and c.frees_bytes >= LEAST_SHARE * shortage.total_bytes
              and c.kind not in state.useless and c.process.identity not in state.spared
              and all(c.process.identity != e.candidate.process.identity
                      for e in state.endings)]
    if not useful:
        return None
    last = max(c.group_value for c in useful)
    useful = [c for c in useful if c.group_value == last]
    wanted = (shortage.pace_bytes_per_s or 0.0) * target_s
    enough = [c for c in useful if c.frees_bytes + c.grows_bytes_per_s * target_s >= wanted]
    if enough:
        return min(enough, key=lambda c: (c.frees_bytes, c.process.pid))
    return max(useful, key=lambda c: (c.frees_bytes + c.grows_bytes_per_s * target_s,
                                      -c.process.pid))


def advance(state: State, sample: Sample, short: tuple[Shortage, ...],
            running: frozenset[Identity], refused: frozenset[Identity]
            ) -> tuple[tuple[Order, ...], tuple[Action, ...], State]:
    """
    Take each process that is being shed one look further.

    :param running: which of them still run.
    :param refused: which of them could not be told to end.
    :returns: the steps to take now, the actions that are over, and the new state.
    """
    left = {path: left_bytes for path, _, left_bytes in _places(sample)}
    needed = {shortage.path for shortage in short if shortage.due_s <= 0}
    looked = []
    for ending in state.endings:
        now_left = left.get(ending.path, ending.left_bytes)
        if ending.candidate.process.identity in running:
            looked.append(_still_there(ending, sample, now_left, needed, refused))
        else:
            looked.append(_gone(ending, sample, now_left))
    endings = tuple(look.ending for look in looked if look.ending is not None)
    actions = tuple(look.action for look in looked if look.action is not None)
    orders = tuple(Order(look.ending.candidate, look.ending.present) for look in looked
                   if look.ordered and look.ending is not None)
    if not short and not endings:
        return orders, actions, State()  # this shortage is over
    return orders, actions, State(
        endings, state.useless | {kind for look in looked for kind in look.useless},
        state.spared | {identity for look in looked for identity in look.spared})


@dataclass(frozen=True, slots=True)
class _Look:
    """What one look at an ending came to; an `ending` of None is over."""

    ending: Ending | None = None
    action: Action | None = None
    ordered: bool = False
    useless: tuple[tuple[str, str], ...] = ()
    spared: tuple[Identity, ...] = ()


def _gone(ending: Ending, sample: Sample, left_bytes: int) -> _Look:
    """Wait until the memory of a process that ended is back, or SETTLE_S are over."""
    now_s, brought = sample.monotonic_s, left_bytes - ending.left_bytes
    ended_s = now_s if ending.ended_s is None else ending.ended_s
    enough = brought >= NOTHING_SHARE * ending.candidate.frees_bytes
    if not enough and now_s - ended_s < SETTLE_S:
        return _Look(replace(ending, ended_s=ended_s))
    return _Look(action=_action(ending, sample, Brought.ENDED, brought),
                 useless=() if enough else (ending.candidate.kind,))


def _still_there(ending: Ending, sample: Sample, left_bytes: int,
                 needed: set[str | None], refused: frozenset[Identity]) -> _Look:
    """Wait for the present step's grace, then take the next one while it is needed."""
    identity, now_s = ending.candidate.process.identity, sample.monotonic_s
    if identity not in refused and now_s - ending.since_s < GRACE_S[ending.present]:
        return _Look(ending)
    result = Brought.STILL_RUNS
    if identity in refused:
        result = Brought.REFUSED
    elif ending.present == Step.DEACTIVATE:
        result = Brought.DEACTIVATED
    action = _action(ending, sample, result, left_bytes - ending.left_bytes)
    if ending.path not in needed or ending.step + 1 >= len(ending.candidate.steps):
        return _Look(action=action, spared=(identity,))
    following = replace(ending, step=ending.step + 1, since_s=now_s, began_s=now_s,
                        left_bytes=left_bytes)
    return _Look(following, action, ordered=True)


def begin(candidate: Candidate, shortage: Shortage, now_s: float) -> Ending:
    """Return the first step on a process."""
    return Ending(candidate, shortage.path, shortage.why, now_s, shortage.left_bytes, now_s)


def _action(ending: Ending, sample: Sample, result: Brought, brought: int) -> Action:
    return Action(sample.wall_s, ending.candidate.process.identity,
                  ending.candidate.process.label, ending.candidate.group, ending.present,
                  'this machine' if ending.path is None else ending.path, ending.why, result,
                  brought, sample.monotonic_s - ending.began_s)
