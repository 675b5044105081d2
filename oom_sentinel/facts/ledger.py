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

"""What was changed on processes: by the sentinel, or by a launch before it."""

from dataclasses import dataclass

from oom_sentinel.facts.process import Identity


@dataclass(frozen=True, slots=True)
class Ledger:
    """One changed process: its oom_score_adj before, and what was written last."""

    identity: Identity
    original: int
    written: int


@dataclass(frozen=True, slots=True)
class Launched:
    """
    A process that a launch started: its oom_score_adj before and as written, its node names.

    `original` and `written` are None where nothing was written.  `asked` is the value that the
    launch file itself gave it with set_oom_score_adj.
    """

    identity: Identity
    original: 'int | None' = None
    written: 'int | None' = None
    node_names: 'tuple[str, ...]' = ()
    asked: 'int | None' = None
