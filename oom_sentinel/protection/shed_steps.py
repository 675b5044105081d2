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
The steps that end a process: each with its grace, one after the other, memory read after each.

Pure: facts go in.  Which process is ended is decided by `shed_plan`.
"""

from dataclasses import replace

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Candidate
from oom_sentinel.facts.shedding import Shortage
from oom_sentinel.facts.shedding import Step

# How long a step may take: rosbag2 writes its cache and its metadata at SIGINT.
GRACE_S = {Step.DEACTIVATE: 3.0, Step.INTERRUPT: 4.0, Step.TERMINATE: 2.0, Step.KILL: 2.0}
# Where memory goes on falling so that less than this is left, the kernel would kill before the
# grace is over: the next step comes as soon as the process has had HASTY_GRACE_S.
HURRY_S, HASTY_GRACE_S = 1.0, 0.4
SETTLE_S = 1.0  # memory comes back so much later than the process ends
NOTHING_SHARE = 0.2  # of what was expected: less came back means that the kind does not help
PLACE_OF_MACHINE = 'this machine'


@frozen
class Ending:
    """
    A process that is being shed in a place.

    `since_s` is when the present step began, `ended_s` when the process was first seen gone;
    `left_bytes` was left when the step began, `looked_bytes` at the last look.
    """

    candidate: Candidate
    path: str | None
    why: str
    left_bytes: int
    since_s: float
    looked_bytes: int
    looked_s: float
    step: int = 0
    ended_s: float | None = None

    @property
    def present(self) -> Step:
        """Return the step that is being tried."""
        return self.candidate.steps[self.step]


@frozen
class State:
    """What shedding remembers from one look to the next; `useless` kinds brought nothing."""

    endings: tuple[Ending, ...] = ()
    useless: frozenset[tuple[str, str]] = frozenset()
    spared: frozenset[Identity] = frozenset()


@frozen
class Order:
    """A step to take on a process now."""

    candidate: Candidate
    step: Step


@frozen
class Seen:
    """
    What is known of the processes that are being shed.

    `running` are those that still run, `refused` those on which the present step could not be
    taken.  `confirmed` are those whose nodes answered that they are inactive, `unloaded` those
    whose container answered that it unloaded them.
    """

    running: frozenset[Identity] = frozenset()
    refused: frozenset[Identity] = frozenset()
    confirmed: frozenset[Identity] = frozenset()
    unloaded: frozenset[Identity] = frozenset()


def begin(candidate: Candidate, shortage: Shortage, now_s: float) -> Ending:
    """Return the first step on a process."""
    return Ending(candidate, shortage.path, shortage.why, shortage.left_bytes, now_s,
                  shortage.left_bytes, now_s)


def advance(state: State, sample: Sample, left: dict[str | None, int],
            short: tuple[Shortage, ...], seen: Seen
            ) -> tuple[tuple[Order, ...], tuple[Action, ...], State]:
    """
    Take each process that is being shed one look further.

    :param left: how much memory is left in each place, in bytes.
    :param short: the places that are short; a further step is taken only there.
    :returns: the steps to take now, the actions that are over, and the new state.
    """
    needed = {shortage.path for shortage in short if shortage.due_s <= 0}
    looked = []
    for ending in state.endings:
        now_left = left.get(ending.path, ending.looked_bytes)
        if ending.candidate.process.identity in seen.running:
            looked.append(_still_there(ending, sample, now_left, needed, seen))
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


@frozen
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


def _still_there(ending: Ending, sample: Sample, left_bytes: int, needed: set[str | None],
                 seen: Seen) -> _Look:
    """Wait for the present step's grace, then take the next one while it is needed."""
    identity, now_s = ending.candidate.process.identity, sample.monotonic_s
    refused = identity in seen.refused
    if not (refused or _grace_is_over(ending, now_s, left_bytes)):
        return _Look(replace(ending, looked_bytes=left_bytes, looked_s=now_s))
    result = Brought.STILL_RUNS
    if refused:
        result = Brought.REFUSED
    elif ending.present == Step.DEACTIVATE:
        result = (Brought.UNLOADED if identity in seen.unloaded else Brought.DEACTIVATED
                  if identity in seen.confirmed else Brought.NO_ANSWER)
    action = _action(ending, sample, result, left_bytes - ending.left_bytes)
    if ending.path not in needed or ending.step + 1 >= len(ending.candidate.steps):
        return _Look(action=action, spared=(identity,))
    following = replace(ending, step=ending.step + 1, since_s=now_s, left_bytes=left_bytes,
                        looked_bytes=left_bytes, looked_s=now_s)
    return _Look(following, action, ordered=True)


def _grace_is_over(ending: Ending, now_s: float, left_bytes: int) -> bool:
    """Return whether the present step has had its time, or memory ends before it has."""
    waited_s = now_s - ending.since_s
    if waited_s >= GRACE_S[ending.present]:
        return True
    gone_bytes, passed_s = ending.looked_bytes - left_bytes, now_s - ending.looked_s
    return waited_s >= HASTY_GRACE_S and left_bytes * passed_s < HURRY_S * gone_bytes


def _action(ending: Ending, sample: Sample, result: Brought, brought: int) -> Action:
    return Action(sample.wall_s, ending.candidate.process.identity,
                  ending.candidate.label(ending.present), ending.candidate.group, ending.present,
                  PLACE_OF_MACHINE if ending.path is None else ending.path, ending.why, result,
                  brought, sample.monotonic_s - ending.since_s)
