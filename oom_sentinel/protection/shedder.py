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
Shedding as it goes on: ends processes step by step, each through a pidfd.

What is chosen and when is decided by `shed_plan`.  The door deactivates lifecycle nodes and
unloads components.
"""

import contextlib
from dataclasses import replace
import signal
from typing import Protocol

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Candidate
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.shedding import Shortage
from oom_sentinel.facts.shedding import Step
from oom_sentinel.kernel import Root
from oom_sentinel.kernel.pidfds import Pidfds
from oom_sentinel.protection import respawn_hold
from oom_sentinel.protection import shed_plan
from oom_sentinel.protection import shed_steps
from oom_sentinel.risk import Assessment
from oom_sentinel.settings import Settings

SIGNALS = {Step.INTERRUPT: signal.SIGINT, Step.TERMINATE: signal.SIGTERM,
           Step.KILL: signal.SIGKILL}


class Nodes(Protocol):
    """
    The nodes of a process, asked without waiting for an answer.

    `active_again` are lifecycle nodes that were asked to be inactive, `unloaded` components
    that their container unloaded.
    """

    active_again: tuple[str, ...]
    unloaded: tuple[str, ...]

    @property
    def confirmed(self) -> frozenset[str]:
        """Return the names of those that did it."""

    def deactivate(self, process: Process, names: tuple[str, ...]) -> tuple[str, ...]:
        """Ask these nodes of a process to become inactive; return those that can be asked."""

    def activate(self) -> tuple[str, ...]:
        """Ask what was deactivated to be active again, once; return the names."""


class NoNodes:
    """No node can be asked: without ROS."""

    active_again: tuple[str, ...] = ()
    unloaded: tuple[str, ...] = ()

    @property
    def confirmed(self) -> frozenset[str]:
        """Return no name."""
        return frozenset()

    def deactivate(self, process: Process, names: tuple[str, ...]) -> tuple[str, ...]:
        """Ask nobody."""
        return ()

    def activate(self) -> tuple[str, ...]:
        """Ask nobody."""
        return ()


class Shedder:
    """Ends the processes that `shed_plan` names, and remembers what was deactivated."""

    def __init__(self, root: Root, uid: int, directory: str) -> None:
        """
        Keep the tree; end nothing yet.

        :param uid: only processes of this user are ended.
        :param directory: the state directory, where launches look whether respawns wait.
        """
        self._root = root
        self._directory = directory
        self._held_s = NEVER_S
        self._uid = uid
        self._state = shed_steps.State()
        self._pidfds = Pidfds(root)
        self._refused: set[Identity] = set()
        self._asked: dict[Identity, tuple[str, ...]] = {}
        self._reported: set[Identity] = set()
        self._plentiful_since_s: float | None = None
        self._soon = False
        self._done = 0
        self._last: Action | None = None
        self.nodes: Nodes = NoNodes()

    @property
    def busy(self) -> bool:
        """Return whether a process is being ended or is about to be: a look is due soon."""
        return bool(self._state.endings) or self._soon

    def update(self, sample: Sample, assessment: Assessment, targets: tuple[Target, ...],
               settings: Settings) -> Shedding:
        """Take every step that is due now and return the state of shedding."""
        if settings.shed_mode == 'off' or not self._root.live:
            self.close()
            return Shedding(settings.shed_mode)
        short = shed_plan.shortages(sample, assessment, settings)
        among = shed_plan.candidates(targets, assessment, settings, self._uid)
        if settings.shed_mode == 'report':
            return self._report(sample, short, among, settings)
        left = {place.path: place.left_bytes for place in shed_plan.places(sample)}
        orders, fresh, self._state = shed_steps.advance(
            self._state, sample, left, short, self._seen())
        for order in orders:
            self._take(order.candidate, order.step)
        for shortage in short:
            if shortage.due_s <= 0 and not self._is_ending(shortage.path, sample):
                self._begin(shortage, among, sample, settings)
        self._close_ended()
        self._activate_again(sample.monotonic_s, bool(short), settings.shed_restore_s)
        self._hold_respawns(sample.monotonic_s, bool(short or self._state.endings))
        intent = self._intent(short, among, sample, settings)
        self._soon = bool(intent) and short[0].due_s < shed_plan.UNCERTAIN_S
        return self._said('act', intent, fresh)

    def shed_now(self, sample: Sample, assessment: Assessment, targets: tuple[Target, ...],
                 settings: Settings) -> tuple[bool, str]:
        """Shed one process in the place where memory is shortest, as `~/shed` asks."""
        if settings.shed_mode != 'act':
            return False, f'Nothing was shed: shed.mode is {settings.shed_mode}.'
        among = shed_plan.candidates(targets, assessment, settings, self._uid)
        places = shed_plan.shortages(sample, assessment, settings) + shed_plan.now(sample)
        for shortage in places:
            chosen = self._begin(shortage, among, sample, settings)
            if chosen is not None:
                return True, (f'{chosen.label(chosen.steps[0])} (PID {chosen.process.pid}): '
                              f'{chosen.steps[0].value} was asked for.')
        return False, 'Nothing was shed: no process of a group with shed steps is worth it.'

    def resume(self) -> tuple[bool, str]:
        """Activate again what was deactivated, as `~/resume` asks."""
        names, unloaded = self.nodes.activate(), self.nodes.unloaded
        self._state = shed_steps.State(self._state.endings)
        said = f'Asked to be active again: {", ".join(names)}.' if names \
            else 'No node waits to be activated again.'
        if unloaded:
            said += f'  Unloaded, its launch file can load it again: {", ".join(unloaded)}.'
        return True, said

    def close(self) -> None:
        """Activate what was deactivated; leave a process that is being ended to itself."""
        if self.nodes.active_again:
            self.resume()
        self._soon = False
        self._close_all()

    def _begin(self, shortage: Shortage, among: tuple[Candidate, ...], sample: Sample,
               settings: Settings) -> Candidate | None:
        """Take the first step on the process that is chosen; return it, None without one."""
        while True:
            chosen = shed_plan.choose(shortage, among, self._state, sample,
                                      settings.shed_target_s)
            if chosen is None:
                return None
            if self._take(chosen, chosen.steps[0]):
                break
            self._state = replace(self._state, spared=self._state.spared | {
                chosen.process.identity})  # it has ended by itself: look for another one
        self._state = replace(self._state, endings=(*self._state.endings, shed_steps.begin(
            chosen, shortage, sample.monotonic_s)))
        return chosen

    def _is_ending(self, path: str | None, sample: Sample) -> bool:
        """Return whether a process is being ended whose memory comes back to this place."""
        inside = dict(sample.members).get(path or '', frozenset())
        return any(path in (None, ending.path) or ending.candidate.process.pid in inside
                   for ending in self._state.endings)

    def _take(self, candidate: Candidate, step: Step) -> bool:
        """Take one step on a process; return False when it is gone.  A refusal is remembered."""
        identity = candidate.process.identity
        self._refused.discard(identity)
        try:
            self._pidfds.hold(identity)
            if step != Step.DEACTIVATE:
                self._pidfds.send(identity, SIGNALS[step])
                return True
        except ProcessLookupError:
            return False
        except OSError:
            self._refused.add(identity)
            return True
        self._asked[identity] = self.nodes.deactivate(candidate.process, candidate.nodes)
        if not self._asked[identity]:
            self._refused.add(identity)
        return True

    def _seen(self) -> shed_steps.Seen:
        """Return what became of them; one that could not be opened is taken to run."""
        confirmed = self.nodes.confirmed
        return shed_steps.Seen(
            self._pidfds.running() | (self._refused - self._pidfds.held),
            frozenset(self._refused),
            frozenset(i for i, names in self._asked.items() if confirmed & set(names)),
            frozenset(i for i, names in self._asked.items()
                      if confirmed & set(names) & set(self.nodes.unloaded)))

    def _report(self, sample: Sample, short: tuple[Shortage, ...],
                among: tuple[Candidate, ...], settings: Settings) -> Shedding:
        """Return what would be done; each process is named once in a shortage."""
        self._close_all()
        if not short:
            self._reported.clear()
        fresh = []
        for shortage in short:
            chosen = shed_plan.choose(shortage, among, shed_steps.State(), sample,
                                      settings.shed_target_s)
            if chosen is None or shortage.due_s > 0 \
                    or chosen.process.identity in self._reported:
                continue
            self._reported.add(chosen.process.identity)
            step = chosen.steps[0]
            fresh.append(Action(sample.wall_s, chosen.process.identity, chosen.label(step),
                                chosen.group, step, shortage.name, shortage.why, Brought.WOULD))
        return self._said('report', self._intent(short, among, sample, settings), tuple(fresh))

    def _intent(self, short: tuple[Shortage, ...], among: tuple[Candidate, ...],
                sample: Sample, settings: Settings) -> str:
        """Say what is about to happen, before it does."""
        if not short or self._is_ending(short[0].path, sample):
            return ''
        chosen = shed_plan.choose(short[0], among, self._state, sample, settings.shed_target_s)
        if chosen is None:
            return ''
        verb = 'will' if settings.shed_mode == 'act' else 'would'
        return (f'{verb} stop {chosen.label(chosen.steps[0])} (PID {chosen.process.pid}) in '
                f'{short[0].due_s:.0f} s')

    def _said(self, mode: str, intent: str, fresh: tuple[Action, ...]) -> Shedding:
        self._done += sum(action.freed for action in fresh)
        self._last = fresh[-1] if fresh else self._last
        return Shedding(mode, intent, fresh, self._done, self._last,
                        self.nodes.active_again, self.nodes.unloaded, bool(self._state.endings))

    def _activate_again(self, now_s: float, short: bool, restore_s: float) -> None:
        """Activate what was deactivated when memory has been plentiful for long enough."""
        if short or not self.nodes.active_again:
            self._plentiful_since_s = None
        elif self._plentiful_since_s is None:
            self._plentiful_since_s = now_s
        elif due(now_s, self._plentiful_since_s, restore_s):
            self.resume()

    def _hold_respawns(self, now_s: float, short: bool) -> None:
        """Let launches wait with respawns while memory is short; a failure is tried again."""
        if short and due(now_s, self._held_s, respawn_hold.RENEW_S):
            self._held_s = now_s
            with contextlib.suppress(OSError):  # Protection says why the state is not written
                respawn_hold.hold_respawns(self._directory, now_s)

    def _close_ended(self) -> None:
        """Close the descriptors of processes that are not being ended any more."""
        ending = {e.candidate.process.identity for e in self._state.endings}
        self._pidfds.keep(frozenset(ending))
        self._refused &= ending
        self._asked = {i: names for i, names in self._asked.items() if i in ending}

    def _close_all(self) -> None:
        self._state = shed_steps.State()
        self._close_ended()
