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

"""A level with its reasons, and how long a level is held."""

from dataclasses import dataclass

from oom_sentinel.facts.status import Level

REMEMBERED = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """A level and the sentences that gave it; without a reason it is OK."""

    level: Level = Level.OK
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition that holds now."""

    level: Level
    text: str


def verdict(findings: tuple[Finding, ...]) -> Verdict:
    """Return the highest level, its reasons first."""
    ordered = sorted(findings, key=lambda f: -f.level)
    level = ordered[0].level if ordered else Level.OK
    return Verdict(level, tuple(f.text for f in ordered))


@dataclass(frozen=True, slots=True)
class Met:
    """When a level (or a higher one) was last met, and what was said then."""

    at_s: float = float('-inf')
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hold:
    """What is remembered of each alarming level."""

    warn: Met = Met()
    error: Met = Met()


def hold(last: Hold, now: Verdict, now_s: float, hold_s: float) -> tuple[Verdict, Hold]:
    """Return the level to show: it rises at once and falls when the condition is gone hold_s."""
    warn = _met(last.warn, Level.WARN, now, now_s)
    error = _met(last.error, Level.ERROR, now, now_s)
    held = Hold(warn, error)
    for level, met in ((Level.ERROR, error), (Level.WARN, warn)):
        if now.level < level and now_s - met.at_s < hold_s:
            before = tuple(f'a moment ago: {r}' for r in met.reasons[:REMEMBERED])
            return Verdict(level, now.reasons + before), held
    return now, held


def _met(last: Met, level: Level, now: Verdict, now_s: float) -> Met:
    """Return the latest meeting; of a clock set back the hold starts anew."""
    if now.level >= level:
        return Met(now_s, now.reasons)
    return last if last.at_s <= now_s else Met(now_s, last.reasons)
