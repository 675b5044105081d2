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
A wait in epoll that notes which source ended it.

The thread that acts on the wakes waits itself, with `wait`, so that a wake costs no change of
threads; `start` gives the wait a thread of its own.  Sources are one-shot: each rests after an
event, so a storm of events or a busy reader costs a few wake-ups a second and never a spin; an
event during the rest counts at its end.
"""

from collections.abc import Callable
import contextlib
from dataclasses import dataclass
from dataclasses import replace
import os
import select
import threading
import time

from oom_sentinel.facts.sample import Wake

REST_S = 0.1
ALARM = 'alarm'
_NEVER = float('inf')


@dataclass(slots=True)
class _Source:
    """A watched descriptor; `rest_s` grows up to `rest_max_s` while events go on and on."""

    events: int
    name: str
    on_wake: Callable[[int], bool] | None
    rest_s: float
    rest_max_s: float
    settle: bool = False
    settling: int = 0
    resting_s: float = 0.0
    fired_s: float = float('-inf')
    rearm_s: float = _NEVER


@dataclass(slots=True)
class _Look:
    """A check without a descriptor: `look` is called every `period_s`."""

    name: str
    period_s: float
    look: Callable[[], bool]
    due_s: float


class Watch:
    """Watches descriptors, one alarm and periodic checks."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Open the epoll descriptor; nothing runs before `wait` or `start`."""
        self._monotonic = monotonic
        self._epoll = select.epoll()
        self._bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._epoll.register(self._bell, select.EPOLLIN)
        self._lock = threading.Lock()
        self._sources: dict[int, _Source] = {}
        self._looks: dict[str, _Look] = {}
        self._glance: _Look | None = None
        self._alarm_s = _NEVER
        self._asleep_until_s = float('-inf')  # while awake
        self._wakes: dict[str, Wake] = {}
        self._wake: Callable[[], object] | None = None
        self._thread: threading.Thread | None = None
        self._closing = False

    def add(self, descriptor: int, events: int, name: str,
            on_wake: Callable[[int], bool] | None = None, *, rest_s: float = REST_S,
            rest_max_s: float | None = None, settle: bool = False) -> None:
        """
        Watch a descriptor; the caller goes on owning it and removes it before closing it.

        :param events: select.EPOLLIN, EPOLLPRI; errors and hang-ups come by themselves.
        :param on_wake: is called in the waiting thread with the events, takes microseconds, and
            returns whether to wake; without one every event wakes.
        :param rest_s: seconds without a further wake after one; they double up to `rest_max_s`
            (default: they don't) while events go on, and start anew after a quiet time.
        :param settle: act at the end of the rest, not at its beginning: once for a burst.

        A hang-up, or an error without anything to read, ends the source.
        :raises OSError: when the descriptor cannot be watched (EPERM: a plain file).
        """
        with self._lock:
            self._epoll.register(descriptor, events | select.EPOLLONESHOT)
            self._sources[descriptor] = _Source(
                events, name, on_wake, rest_s, max(rest_s, rest_max_s or rest_s), settle)

    def remove(self, descriptor: int) -> None:
        """Watch a descriptor no longer; one that is not watched is left alone."""
        with self._lock:
            if self._sources.pop(descriptor, None) is not None:
                self._epoll.unregister(descriptor)

    def every(self, period_s: float, name: str, look: Callable[[], bool]) -> None:
        """
        Call `look` every `period_s` seconds, and wake when it returns true.

        One that is late keeps to the moments of its period; those that have passed are left out.
        """
        first_s = self._monotonic() + period_s
        with self._lock:
            self._looks[name] = _Look(name, period_s, look, first_s)
        self._ring_before(first_s)

    def glance(self, period_s: float, name: str, look: Callable[[], bool]) -> None:
        """
        Call `look` every `period_s` seconds within the wait, and wake when it returns true.

        There is one such check, for what takes microseconds and mostly sees nothing: a return
        to the thread that acts costs as much again.  Called again it changes the period.
        """
        self._glance = _Look(name, period_s, look, self._monotonic() + period_s)
        self._ring_before(self._glance.due_s)

    def never(self, name: str) -> None:
        """End the periodic check of this name; one that there is not is left alone."""
        with self._lock:
            self._looks.pop(name, None)
            if self._glance is not None and self._glance.name == name:
                self._glance = None

    def alarm(self, monotonic_s: float) -> None:
        """Wake at this moment, unless an earlier one is set already."""
        with self._lock:
            self._alarm_s = min(self._alarm_s, monotonic_s)
        self._ring_before(monotonic_s)

    def ring(self) -> None:
        """End a `wait` that another thread is in."""
        os.eventfd_write(self._bell, 1)

    def _ring_before(self, moment_s: float) -> None:
        if moment_s < self._asleep_until_s:
            self.ring()

    def start(self, wake: Callable[[], object]) -> None:
        """Start the thread that calls `wake`, also for what happened before."""
        self._wake = wake
        self._thread = threading.Thread(target=self._run, name='watch', daemon=True)
        self._thread.start()
        if self._wakes:
            wake()

    def taken(self) -> tuple[Wake, ...]:
        """Return the sources that woke since the last call, each name once."""
        with self._lock:
            wakes, self._wakes = tuple(self._wakes.values()), {}
        return wakes

    def close(self) -> None:
        """End the thread; after this `wake` is not called any more."""
        self._closing = True
        os.eventfd_write(self._bell, 1)
        if self._thread is not None:
            self._thread.join(timeout=2.0)
        self._epoll.close()
        os.close(self._bell)

    def _run(self) -> None:
        while not self._closing:
            self.wait()

    def wait(self) -> None:
        """Wait for the next event, moment or ring, and note what it woke."""
        timeout_s = self._timeout_s()
        happened = self._epoll.poll(timeout_s) if self._glance is None \
            else self._poll_glancing(self._glance, timeout_s)
        self._asleep_until_s = float('-inf')
        for descriptor, events in happened:
            if descriptor == self._bell:
                os.eventfd_read(self._bell)
            else:
                self._fire(descriptor, events)
        if not self._closing:
            self._pass(self._monotonic())

    def _poll_glancing(self, glance: _Look, timeout_s: float) -> list[tuple[int, int]]:
        """Return the next events, none after the time-out or when the glance saw something."""
        now_s = self._monotonic()
        until_s = _NEVER if timeout_s < 0 else now_s + timeout_s
        while True:
            if glance.due_s <= now_s:
                glance.due_s = now_s + glance.period_s
                if glance.look():
                    self._note(glance.name, now_s)
                    return self._epoll.poll(0)
            happened = self._epoll.poll(min(until_s, glance.due_s) - now_s)
            now_s = self._monotonic()
            if happened or now_s >= until_s:
                return happened

    def _timeout_s(self) -> float:
        """Return how many seconds to sleep, -1 without end."""
        with self._lock:
            until_s = min((self._alarm_s, *(s.rearm_s for s in self._sources.values()),
                           *(look.due_s for look in self._looks.values())))
            self._asleep_until_s = until_s
        return -1 if until_s == _NEVER else max(0.0, until_s - self._monotonic())

    def _fire(self, descriptor: int, events: int) -> None:
        source = self._sources.get(descriptor)
        if source is None:
            return  # removed while its event was on the way
        now_s = self._monotonic()
        quiet_s = now_s - source.fired_s - source.resting_s
        source.resting_s = source.rest_s if quiet_s > source.rest_max_s else min(
            source.rest_max_s, 2 * source.resting_s)
        source.fired_s, source.rearm_s = now_s, now_s + source.resting_s
        if source.settle:
            source.settling = events
        elif not self._act(source, events, now_s):
            source.rearm_s = _NEVER

    def _act(self, source: _Source, events: int, now_s: float) -> bool:
        """Call `on_wake`, note a wake, and return whether the source goes on."""
        ended = bool(events & select.EPOLLHUP) or (
            bool(events & select.EPOLLERR) and not events & select.EPOLLIN)
        try:
            wake = source.on_wake is None or source.on_wake(events)
        except OSError:
            wake = ended = True  # its owner reads the same error when it acts
        if wake:
            self._note(source.name, now_s, ended)
        return not ended

    def _pass(self, now_s: float) -> None:
        """End rests, call periodic checks and note the alarm where they are due."""
        for descriptor, source in list(self._sources.items()):
            if source.rearm_s <= now_s:
                source.rearm_s = _NEVER
                events, source.settling = source.settling, 0
                if not events or self._act(source, events, now_s):
                    self._rearm(descriptor, source)
        with self._lock:
            due = [look for look in self._looks.values() if look.due_s <= now_s]
            alarmed = self._alarm_s <= now_s
            if alarmed:
                self._alarm_s = _NEVER
        for look in due:
            look.due_s += look.period_s * (1 + (now_s - look.due_s) // look.period_s)
            if look.look():
                self._note(look.name, now_s)
        if alarmed:
            self._note(ALARM, now_s)

    def _rearm(self, descriptor: int, source: _Source) -> None:
        with self._lock, contextlib.suppress(OSError):  # closed without `remove`: silent
            if self._sources.get(descriptor) is source:
                self._epoll.modify(descriptor, source.events | select.EPOLLONESHOT)

    def _note(self, name: str, now_s: float, ended: bool = False) -> None:
        with self._lock:
            asleep = not self._wakes
            known = self._wakes.get(name)
            self._wakes[name] = Wake(name, now_s, ended=ended) if known is None else replace(
                known, times=known.times + 1, ended=known.ended or ended)
        if asleep and self._wake is not None:
            self._wake()
