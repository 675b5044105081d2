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

"""Diagnostics levels (REP-107) and the reason a value is missing."""

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """A diagnostics level as diagnostic_msgs/DiagnosticStatus numbers it."""

    OK = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A fact that could not be read, and why, in words for an operator."""

    why: str

    def __str__(self) -> str:
        return f'unavailable ({self.why})'
