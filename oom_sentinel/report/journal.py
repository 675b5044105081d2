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
The lines that the node's log says of its statuses: level changes, and what is protected.

Each is said once, when it changes.
"""

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.protection import Protection
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import LogLine
from oom_sentinel.facts.status import Status
from oom_sentinel.report.protection import achieved
from oom_sentinel.report.protection import GRANT
from oom_sentinel.report.text import listed

PROTECTED_S = 10.0  # a robot that starts brings a node every second
NAMED = 12  # processes in a line


class Journal:
    """Compares the statuses of each cycle with those of the last one."""

    def __init__(self) -> None:
        """Start without any status."""
        self._levels: dict[str, Level] = {}
        self._protected = ''
        self._protected_s = NEVER_S
        self._lines: list[LogLine] = []

    def update(self, statuses: tuple[Status, ...], protection: Protection,
               now_s: float) -> bool:
        """Take the statuses of a cycle; return whether a level changed since the last one."""
        levels = {s.name: s.level for s in statuses}
        changed = bool(self._levels) and levels != self._levels
        for status in statuses:
            before = self._levels.get(status.name, Level.OK)
            if status.level != before:
                self._lines.append(LogLine(status.level, f'{status.name}: {before.name} -> '
                                           f'{status.level.name}: {status.message}'))
        self._levels = levels
        words = protected(protection)
        if words and words != self._protected and due(now_s, self._protected_s, PROTECTED_S):
            self._protected, self._protected_s = words, now_s
            self._lines.append(LogLine(Level.OK, words))
        return changed

    def log_lines(self) -> tuple[LogLine, ...]:
        """Return the new lines."""
        lines, self._lines = tuple(self._lines), []
        return lines


def protected(protection: Protection) -> str:
    """Return which processes were lowered, raised and denied, empty when there is none."""
    if protection.watching is not None:
        return ''
    lowered, raised, denied = [], [], []
    for target in protection.targets:
        value = achieved(target, protection)
        label = f'{target.process.label} (PID {target.process.pid})'
        if target.wanted < 0 and (value is None or value > target.wanted):
            denied.append(label)
        elif value is not None and value < 0:
            lowered.append(f'{label} {value}')
        elif value is not None and value > 0:
            raised.append(f'{label} {value}')
    said = [f'{word} for {len(names)}: {listed(names, NAMED)}' for word, names in (
        ('lowered', lowered), ('raised', raised), ('denied', denied)) if names]
    if not said:
        return ''
    return 'oom_score_adj ' + '; '.join(said) + (f'; {GRANT}' if denied else '')
