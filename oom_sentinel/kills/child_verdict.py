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
Was it the kernel's OOM killer?  What a launch can say of a process that died by signal 9.

Pure: counters before and after go in, a sentence that says how sure it is comes out.  The
kernel counts an OOM kill before it sends the signal, in /proc/vmstat and in the victim's own
memory control group (mm/oom_kill.c, __oom_kill_process()).
"""

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass

SIGKILL = 9
SHELL_SAYS = 128 + SIGKILL  # how a shell passes on that its child died by signal 9
# A victim dies some 20 to 40 ms after it was counted; one with much memory, or stuck in a
# slow read, takes longer.
DEATH_S = 4.0


@dataclass(frozen=True, slots=True)
class Counters:
    """The oom_kill counters at a moment, monotonic seconds; None where there is none."""

    monotonic_s: float
    machine: int | None = None
    cgroups: tuple[tuple[str, int | None], ...] = ()

    def of(self, path: str | None) -> int | None:
        """Return a control group's counter, None when unknown."""
        return dict(self.cgroups).get(path) if path is not None else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """A sentence for the log; `by_oom` is None where it cannot be told."""

    by_oom: bool | None
    text: str


def by_signal_9(returncode: int) -> bool:
    """Tell whether an exit code means signal 9, as subprocess or as a shell says it."""
    return returncode in (-SIGKILL, SHELL_SAYS)


def before(history: Sequence[Counters], now: Counters,
           path: str | None = None) -> Counters | None:
    """
    Return the youngest counters from before the death can have begun, else the oldest.

    :param path: only those that hold this control group's.
    """
    known = [c for c in history if path is None or c.of(path) is not None]
    old = [c for c in known if c.monotonic_s <= now.monotonic_s - DEATH_S]
    return old[-1] if old else next(iter(known), None)


def verdict(label: str, history: Sequence[Counters], now: Counters, path: str | None, *,
            claimed_s: Iterable[float] = (), logged: bool | None = None) -> Verdict:
    """
    Return what is known of this death.

    :param history: counters read from time to time, the oldest first.
    :param path: the process's memory control group.
    :param claimed_s: when other deaths were put down to the OOM killer, monotonic seconds.
    :param logged: whether the kernel's log names this process; None: it cannot be read.
    """
    if logged:
        return Verdict(True, f"{label} was killed by the kernel's OOM killer: the kernel log "
                       'names it')
    first, inside = before(history, now), before(history, now, path)
    machine = _moved(None if first is None else first.machine, now.machine)
    own = _moved(None if inside is None else inside.of(path), now.of(path))
    if own is not None:
        first = inside
    if own == 0 or machine == 0:
        return Verdict(False, f"{label} was killed, not by the kernel's OOM killer (its "
                       'counters did not move): someone sent SIGKILL')
    moved, where = (own, f'of control group {path}') if own is not None else (
        machine, 'of this machine')
    if first is None or moved is None:
        return Verdict(None, f"{label} was killed; whether by the kernel's OOM killer cannot "
                       'be told: this kernel shows no oom_kill counter')
    others = sum(1 for s in claimed_s if s >= first.monotonic_s)
    if moved <= others:
        return Verdict(None, f"{label} was killed, probably not by the kernel's OOM killer: "
                       f'the oom_kill counter {where} moved by {moved}, for {others} other '
                       'deaths')
    span_s = now.monotonic_s - first.monotonic_s
    return Verdict(True, f"{label} was killed by the kernel's OOM killer, "
                   f'{_sure(own, moved - others)}: the oom_kill counter {where} moved by '
                   f'{moved} within {span_s:.0f} s')


def _sure(own: int | None, left: int) -> str:
    """Say how likely it is that one of so many unexplained kills was this one."""
    if own is None:
        return 'probably (which process is not counted)'
    return 'almost certainly' if left == 1 else 'very probably'


def _moved(first: int | None, now: int | None) -> int | None:
    return None if first is None or now is None else now - first
