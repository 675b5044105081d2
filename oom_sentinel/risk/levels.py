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
Levels: what is wrong now by the fixed thresholds, and how long a level is held.

A level rises at once.  It falls when the value has passed its threshold by a tenth, and the
condition has been gone for `hold_s`; a condition that keeps coming back is held longer, and so
is a forecast: a fall often goes on after a pause.
"""

from collections.abc import Iterable
from collections.abc import Mapping
from dataclasses import field
from dataclasses import replace
from math import inf

from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.risk.headroom import Headroom
from oom_sentinel.settings import Settings

REASONS_HELD = 3  # of a level that is held, so many old reasons are shown
COMMIT_LIMIT = 'CommitLimit'
HYSTERESIS = 0.1  # of the threshold
# A level that falls and comes back within COMES_BACK_S would flap: it is then held
# HELD_GAPS times the gap.
COMES_BACK_S = 600.0
HELD_GAPS = 2.0


@frozen
class Verdict:
    """A level and the sentences that explain it; OK has none.  It is held `times` hold_s."""

    level: Level = Level.OK
    reasons: tuple[str, ...] = ()
    times: float = field(default=1.0, compare=False)


@frozen
class Finding:
    """
    One condition that holds now; `value` names the measured value that has a threshold.

    It is held `times` hold_s.
    """

    level: Level
    text: str
    value: str = ''
    times: float = 1.0


Latched = tuple[tuple[str, Level], ...]


def latched(findings: Iterable[Finding]) -> Latched:
    """Return the level of each measured value that passed a threshold, for the hysteresis."""
    return tuple((f.value, f.level) for f in findings if f.value)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """Return the highest level of the findings, and their texts, the gravest first."""
    ordered = sorted(findings, key=lambda f: -f.level)
    level = ordered[0].level if ordered else Level.OK
    return Verdict(level, tuple(f.text for f in ordered),
                   max((f.times for f in ordered), default=1.0))


@frozen
class Met:
    """
    When a level, or a higher one, was last met, and the reasons given then.

    `learned_s` is how long it is held at least, because it came back soon after it fell;
    `fell` says that it has fallen since.  It is held `times` hold_s.
    """

    at_s: float = float('-inf')
    reasons: tuple[str, ...] = ()
    learned_s: float = 0.0
    fell: bool = False
    times: float = 1.0

    def held_s(self, hold_s: float) -> float:
        """Return how long the level is held after it was last met."""
        return max(hold_s * self.times, self.learned_s)


@frozen
class Hold:
    """When WARN and ERROR of one subject were last met."""

    warn: Met = Met()
    error: Met = Met()


def hold(last: Hold, now: Verdict, now_s: float, hold_s: float) -> tuple[Verdict, Hold]:
    """Return the verdict to show, which falls only after `hold_s`, and what to remember."""
    warn = _met(last.warn, Level.WARN, now, now_s, hold_s)
    error = _met(last.error, Level.ERROR, now, now_s, hold_s)
    held = Hold(warn, error)
    for level, met in ((Level.ERROR, error), (Level.WARN, warn)):
        if now.level < level and now_s - met.at_s < met.held_s(hold_s):
            before = tuple(f'a moment ago: {r}' for r in met.reasons[:REASONS_HELD])
            return Verdict(level, now.reasons + before), held
    return now, held


def _met(last: Met, level: Level, now: Verdict, now_s: float, hold_s: float) -> Met:
    """Return when `level` was last met; after a clock was set back the hold starts again."""
    gap_s = now_s - last.at_s
    if now.level < level:
        if gap_s < 0:
            return Met(now_s, last.reasons, last.learned_s, times=last.times)
        if last.fell or gap_s < last.held_s(hold_s):
            return last
        return replace(last, fell=True)
    if gap_s > COMES_BACK_S:
        return Met(now_s, now.reasons, times=now.times)
    learned_s = min(COMES_BACK_S, HELD_GAPS * gap_s) if last.fell else last.learned_s
    return Met(now_s, now.reasons, learned_s, times=now.times)


def _low(value: float, warn: float, error: float, last: Level) -> Level:
    """Return the level of a value that must not be low; it recovers a tenth above."""
    margin = 1.0 + HYSTERESIS
    if value < error * (margin if last == Level.ERROR else 1.0):
        return Level.ERROR
    return Level.WARN if value < warn * (margin if last >= Level.WARN else 1.0) else Level.OK


def _high(value: float, warn: float, error: float, last: Level) -> Level:
    """Return the level of a value that must not be high; it recovers a tenth below."""
    margin = 1.0 - HYSTERESIS
    if value > error * (margin if last == Level.ERROR else 1.0):
        return Level.ERROR
    return Level.WARN if value > warn * (margin if last >= Level.WARN else 1.0) else Level.OK


def _found(level: Level, text: str, value: str) -> tuple[Finding, ...]:
    return (Finding(level, text, value),) if level else ()


def memory(meminfo: MemInfo | Unavailable, policy: VmPolicy, settings: Settings,
           last: Mapping[str, Level]) -> tuple[Finding, ...]:
    """
    Return what is wrong with the machine's memory; swap counts only while memory is low.

    :param last: the levels of the measured values in the last sample.
    """
    if isinstance(meminfo, Unavailable):
        return (Finding(Level.WARN, f'Memory is {meminfo}'),)
    warn, error = settings.memory_available_warn_percent, settings.memory_available_error_percent
    found: tuple[Finding, ...] = ()
    if meminfo.mem_available_bytes is not None:
        percent = 100.0 * meminfo.mem_available_bytes / meminfo.mem_total_bytes
        found += _found(_low(percent, warn, error, last.get('memory', Level.OK)),
                        f'{percent:.0f} % of memory is available', 'memory')
    if meminfo.swap_total_bytes and found:
        used = 100.0 * (1 - meminfo.swap_free_bytes / meminfo.swap_total_bytes)
        found += _found(_high(used, settings.swap_used_warn_percent,
                              settings.swap_used_error_percent, last.get('swap', Level.OK)),
                        f'{used:.0f} % of swap is used', 'swap')
    limit, committed = meminfo.commit_limit_bytes, meminfo.committed_as_bytes
    if policy.overcommit_memory == 2 and limit and committed is not None:
        left = 100.0 * (limit - committed) / limit
        found += _found(_low(left, warn, error, last.get(COMMIT_LIMIT, Level.OK)),
                        f'{left:.0f} % of CommitLimit is left; at the limit malloc fails '
                        '(vm.overcommit_memory=2)', COMMIT_LIMIT)
    return found


def pressure(reading: Pressure | Unavailable, settings: Settings,
             last: Mapping[str, Level]) -> tuple[Finding, ...]:
    """Return what pressure stall information (PSI) shows; nothing without PSI."""
    if isinstance(reading, Unavailable):
        return ()
    some = reading.some.avg10
    found = _found(_high(some, settings.pressure_some_avg10_warn, inf,
                         last.get('some', Level.OK)),
                   f'some tasks waited for memory {some:.0f} % of the last 10 s', 'some')
    if reading.full is None:
        return found
    full, limit = reading.full.avg10, settings.pressure_full_avg10_error
    return found + _found(_high(full, inf, limit, last.get('full', Level.OK)),
                          f'every task waited for memory {full:.0f} % of the last 10 s', 'full')


def cgroups(limits: Iterable[Headroom], settings: Settings,
            last: Mapping[str, Level]) -> tuple[tuple[str, Finding], ...]:
    """Return (path, finding) of each limited control group, by the machine's thresholds."""
    return tuple((limit.group.path, finding) for limit in limits
                 for finding in _cgroup(limit, settings, last))


def _cgroup(limit: Headroom, settings: Settings,
            last: Mapping[str, Level]) -> tuple[Finding, ...]:
    group, label = limit.group, limit.group.label
    memory_of, swap_of = f'memory of {group.path}', f'swap of {group.path}'
    found = _found(_low(limit.percent, settings.memory_available_warn_percent,
                        settings.memory_available_error_percent,
                        last.get(memory_of, Level.OK)),
                   f'{limit.percent:.0f} % of the limit of {label} is left', memory_of)
    if found and limit.swap_used_percent is not None:
        used = limit.swap_used_percent
        found += _found(_high(used, settings.swap_used_warn_percent,
                              settings.swap_used_error_percent, last.get(swap_of, Level.OK)),
                        f'{used:.0f} % of the swap of {label} is used', swap_of)
    if group.oom_kill_disable and group.under_oom:
        found += (Finding(Level.ERROR, f'{label} is at its limit and has oom_kill_disable: '
                          'its tasks hang'),)
    elif group.oom_kill_disable:
        found += (Finding(Level.WARN, f'{label} has oom_kill_disable: at its limit its tasks '
                          'hang instead of one being killed'),)
    return found


def throttling(groups: Iterable[MemoryCgroup],
               throttled: frozenset[str]) -> tuple[Finding, ...]:
    """Return which groups the kernel slows down at memory.high; it kills nobody there."""
    return tuple(Finding(Level.WARN, f'{group.label} is throttled: above memory.high '
                         f'({(group.high_bytes or 0) / MIB:.0f} MiB) its tasks are slowed down')
                 for group in groups if group.path in throttled)
