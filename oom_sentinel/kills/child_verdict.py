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
What a launch can say of a child that died by signal 9, 15 or 6.

Pure: counters before and after and the state of memory go in, a sentence that says how sure it
is comes out.  The kernel counts an OOM kill before it sends the signal, in /proc/vmstat and in
the victim's own memory control group (mm/oom_kill.c, __oom_kill_process()).
"""

from collections.abc import Iterable
from collections.abc import Sequence

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MIB
from oom_sentinel.kills.counters import DEATH_S

SIGABRT, SIGKILL, SIGTERM = 6, 9, 15
SHELL = 128  # a shell adds this to the signal that its child died by
# Below these an allocation of a usual size may fail.
SHORT_SHARE, SHORT_BYTES = 0.05, 64 * MIB


@frozen
class Counters:
    """The oom_kill counters at a moment, monotonic seconds; None where there is none."""

    monotonic_s: float
    machine: int | None = None
    cgroups: tuple[tuple[str, int | None], ...] = ()

    def of(self, path: str | None) -> int | None:
        """Return a control group's counter, None when unknown."""
        return dict(self.cgroups).get(path) if path is not None else None


@frozen
class Verdict:
    """A sentence for the log; `by_oom` is None where it cannot be told."""

    by_oom: bool | None
    text: str


def signal_of(returncode: int) -> int | None:
    """Return the signal that an exit code means, as subprocess or as a shell reports it."""
    for signal in (SIGABRT, SIGKILL, SIGTERM):
        if returncode in (-signal, SHELL + signal):
            return signal
    return None


def before(history: Sequence[Counters], now: Counters,
           path: str | None = None) -> Counters | None:
    """
    Return the youngest counters from before the death can have begun, else the oldest.

    :param path: only those that hold this control group's.
    """
    known = [c for c in history if path is None or c.of(path) is not None]
    old = [c for c in known if c.monotonic_s <= now.monotonic_s - DEATH_S]
    return old[-1] if old else next(iter(known), None)


def killed(label: str, history: Sequence[Counters], now: Counters, path: str | None, *,
           claimed_s: Iterable[float] = (), logged: bool | None = None,
           killers: Sequence[str] = ()) -> Verdict:
    """
    Return what is known of a death by signal 9.

    :param history: counters read from time to time, the oldest first.
    :param path: the process's memory control group.
    :param claimed_s: when other deaths were put down to the OOM killer, monotonic seconds.
    :param logged: whether the kernel's log names this process; None: it cannot be read.
    :param killers: programs that run here and end processes when memory is short.
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
                       f'counters did not move): {_sender(killers)} sent SIGKILL')
    moved, where = (own, f'of control group {path}') if own is not None else (
        machine, 'of this machine')
    if first is None or moved is None:
        return Verdict(None, f"{label} was killed; whether by the kernel's OOM killer cannot "
                       'be told: this kernel shows no oom_kill counter')
    others = sum(1 for s in claimed_s if s >= first.monotonic_s)
    if moved <= others:
        return Verdict(None, f"{label} was killed, probably not by the kernel's OOM killer: "
                       f'the oom_kill counter {where} moved by {moved}, for {others} other '
                       f'deaths; {_sender(killers)} may have sent SIGKILL')
    span_s = now.monotonic_s - first.monotonic_s
    return Verdict(True, f"{label} was killed by the kernel's OOM killer, "
                   f'{_sure(own, moved - others)}: the oom_kill counter {where} moved by '
                   f'{moved} within {span_s:.0f} s')


def _sender(killers: Sequence[str]) -> str:
    """Return who may have sent a signal."""
    if not killers:
        return 'someone'
    return f'someone, perhaps {" or ".join(killers)} (running here; see its log),'


def terminated(label: str, killers: Sequence[str]) -> Verdict | None:
    """Return what is said of a death by SIGTERM: only where a program sends it for memory."""
    if not killers:
        return None
    return Verdict(None, f'{label} was ended by SIGTERM, perhaps by {" or ".join(killers)}, '
                   'which runs here and ends processes so when memory is short; see its log')


@frozen
class MemoryThen:
    """
    What bounded an allocation when a child aborted, in bytes; None is unknown or unlimited.

    `headroom_bytes` is what the tightest control group (`group`) had left, `strict` says that
    vm.overcommit_memory is 2.  The limits are those of the launch, which its children inherit.
    """

    mem_available_bytes: int | None = None
    mem_total_bytes: int | None = None
    headroom_bytes: int | None = None
    group: str | None = None
    commit_limit_bytes: int | None = None
    committed_bytes: int | None = None
    strict: bool = False
    limit_as_bytes: int | None = None
    limit_data_bytes: int | None = None


def aborted(label: str, memory: MemoryThen) -> Verdict:
    """Return what is said of a death by SIGABRT, which an uncaught std::bad_alloc ends in."""
    facts = [f'MemAvailable {_mib(memory.mem_available_bytes)} of '
             f'{_mib(memory.mem_total_bytes)}']
    if memory.headroom_bytes is not None:
        facts.append(f'{_mib(memory.headroom_bytes)} left in control group {memory.group}')
    facts.append(f'RLIMIT_AS {_limit(memory.limit_as_bytes)}, '
                 f'RLIMIT_DATA {_limit(memory.limit_data_bytes)}')
    facts.append(f'CommitLimit {_mib(memory.commit_limit_bytes)} with '
                 f'{_mib(memory.committed_bytes)} committed'
                 + (', enforced' if memory.strict else ', not enforced'))
    short = _shortages(memory)
    meaning = (f'{" and ".join(short)}: an allocation may well have failed' if short else
               'memory was not short: if it ended with std::bad_alloc it asked for a wrong size')
    return Verdict(None, f'{label} aborted (SIGABRT, as after std::bad_alloc); then: '
                   f'{"; ".join(facts)}; {meaning}')


def _shortages(memory: MemoryThen) -> list[str]:
    """Return what was nearly used up."""
    found = []
    available, total = memory.mem_available_bytes, memory.mem_total_bytes
    if available is not None and total and available < SHORT_SHARE * total:
        found.append('the machine was short of memory')
    if memory.headroom_bytes is not None and memory.headroom_bytes < SHORT_BYTES:
        found.append('its control group was nearly full')
    limit, committed = memory.commit_limit_bytes, memory.committed_bytes
    if memory.strict and limit and committed is not None and (
            limit - committed < SHORT_SHARE * limit):
        found.append('CommitLimit was nearly reached')
    if memory.limit_as_bytes is not None or memory.limit_data_bytes is not None:
        found.append('its address space is limited (ulimit -v, -d)')
    return found


def _mib(value: int | None) -> str:
    return 'unknown' if value is None else f'{value / MIB:.0f} MiB'


def _limit(value: int | None) -> str:
    return 'unlimited' if value is None else _mib(value)


def _sure(own: int | None, left: int) -> str:
    """Say how likely it is that one of so many unexplained kills was this one."""
    if own is None:
        return 'probably (which process is not counted)'
    return 'almost certainly' if left == 1 else 'very probably'


def _moved(first: int | None, now: int | None) -> int | None:
    return None if first is None or now is None else now - first
