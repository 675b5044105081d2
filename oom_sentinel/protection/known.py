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

"""What a plan needs to know beside the process table and the settings.  Pure."""

from collections.abc import Mapping
from dataclasses import field

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import UnmappedFile
from oom_sentinel.protection.domains import Domain
from oom_sentinel.protection.families import Family
from oom_sentinel.protection.level import Level
from oom_sentinel.protection.sizes import Size


@frozen
class Known:
    """
    What is known beside the process table.

    `floors` are the lowest permitted values where lowering was denied, `originals` the values
    before the sentinel's first write, or what a process would have had without an inherited one.
    `kept` are children that keep the value of their group's process.  `unmapped` are files in
    memory that only their writer's end keeps from growing.  `spared` are nodes of no
    group that hold a driver's device open.  `foreign` are the growing processes found last.
    `levels` are those of an earlier plan, None to find them.  `families` are those of the
    processes that were forked, or forked others, without exec.
    """

    floors: Mapping[Identity, int] = field(default_factory=dict)
    originals: Mapping[Identity, int] = field(default_factory=dict)
    kept: frozenset[Identity] = frozenset()
    sizes: Mapping[Identity, Size] = field(default_factory=dict)
    domains: tuple[Domain, ...] = ()
    unmapped: Mapping[Identity, tuple[UnmappedFile, ...]] = field(default_factory=dict)
    spared: frozenset[Identity] = frozenset()
    foreign: Mapping[str | None, Identity] = field(default_factory=dict)
    levels: tuple[Level, ...] | None = None
    families: Mapping[Identity, Family] = field(default_factory=dict)
    page_size: int = 4096
