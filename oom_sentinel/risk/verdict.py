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

from oom_sentinel.facts.level import Level


@dataclass(frozen=True, slots=True)
class Verdict:
    """A level and the sentences that gave it; without a reason it is OK."""

    level: Level = Level.OK
    reasons: 'tuple[str, ...]' = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """One condition that holds now."""

    level: Level
    text: str


def verdict(findings: 'tuple[Finding, ...]') -> Verdict:
    """Return the highest level, its reasons first."""
    ordered = sorted(findings, key=lambda f: -f.level)
    level = ordered[0].level if ordered else Level.OK
    return Verdict(level, tuple(f.text for f in ordered))


@dataclass(frozen=True, slots=True)
class Hold:
    """When a subject last met each alarming level, and what was said then."""

    subject: str
    warn_s: float = float('-inf')
    error_s: float = float('-inf')
    said: Verdict = Verdict()


def hold(last: Hold, now: Verdict, now_s: float, hold_s: float) -> 'tuple[Verdict, Hold]':
    """
    Return the level to show: it rises at once and falls when the condition is gone hold_s.

    A clock that ran backwards releases every hold.
    """
    warn_s = now_s if now.level >= Level.WARN else min(last.warn_s, now_s)
    error_s = now_s if now.level >= Level.ERROR else min(last.error_s, now_s)
    held = Level.OK
    if now_s - warn_s < hold_s or now.level >= Level.WARN:
        held = Level.WARN
    if now_s - error_s < hold_s or now.level >= Level.ERROR:
        held = Level.ERROR
    if held <= now.level:
        return now, Hold(last.subject, warn_s, error_s, now)
    texts = now.reasons or tuple(f'a moment ago: {r}' for r in last.said.reasons[:3])
    return Verdict(held, texts), Hold(last.subject, warn_s, error_s,
                                      now if now.reasons else last.said)
