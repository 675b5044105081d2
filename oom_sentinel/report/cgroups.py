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

"""Status Control groups: the tightest limit over the sentinel and every ROS process."""

from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.text import mib
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment

NAME = 'Control groups'
UNLIMITED = 'no memory limit applies to the sentinel, to ROS processes or to protected processes'
LIMIT_KEYS = ('version', 'limit (MiB)', 'usage (MiB)', 'headroom (MiB)',
              'headroom with swap (MiB)', 'memory.high (MiB)')


def compose(sample: Sample, assessment: Assessment) -> Status:
    """Return the status; the keys are the same with and without a limit."""
    verdict, room, chains = assessment.cgroups, assessment.tightest, sample.chains
    own = sample.own_cgroup or 'unavailable (/proc/self/cgroup names none)'
    if isinstance(chains, Unavailable):
        missing = str(chains)
        return Status(NAME, verdict.level,
                      sentence((f'Not available: {chains.why}', *verdict.reasons)),
                      _values(missing, (missing,) * len(LIMIT_KEYS), own, missing, missing))
    kills, above = _kills(chains), _above(chains)
    unknown = _unreadable(chains)
    if room is None:
        calm = unknown or ((f'no memory limit is visible; {chains[0].hidden}',)
                           if chains and chains[0].hidden else (UNLIMITED,))
        return Status(NAME, verdict.level, sentence(verdict.reasons or calm), _values(
            'none', ('no limit',) * len(LIMIT_KEYS), own, above, kills))
    group = room.group
    calm = (f'{room.percent:.0f} % of the tightest limit ({group.label}) is left', *unknown)
    return Status(NAME, verdict.level, sentence(verdict.reasons or calm), _values(
        group.path, (f'v{group.version}', mib(group.limit_bytes), mib(group.usage_bytes),
                     mib(room.left_bytes), mib(room.until_oom_bytes),
                     mib(group.high_bytes, 'none is set')), own, above, kills))


def _values(tightest: str, limit: tuple[str, ...], own: str, above: str,
            kills: str) -> tuple[tuple[str, str], ...]:
    return (('tightest', tightest), *zip(LIMIT_KEYS, limit), ('own control group', own),
            ('limits above', above), ('oom_kill', kills))


def _above(chains: tuple[CgroupChain, ...]) -> str:
    """Return whether every ancestor's limit is known."""
    unknown = _unreadable(chains) + tuple(dict.fromkeys(
        chain.hidden for chain in chains if chain.hidden is not None))
    return '; '.join(unknown) or 'all are known'


def _unreadable(chains: tuple[CgroupChain, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(
        f'the limit of {group.label} is unavailable ({group.unreadable})'
        for chain in chains for group in chain.groups if group.unreadable is not None))


def _kills(chains: tuple[CgroupChain, ...]) -> str:
    """Return the kills in all groups, each once: v2 counts a kill in every ancestor too."""
    counting = {g.path: g for chain in chains for g in chain.groups if g.oom_kill is not None}
    found = [g.oom_kill or 0 for g in counting.values() if g.version == 1
             or not any(_below(g, other) for other in counting.values())]
    return str(sum(found)) if found else 'unavailable (no counter is readable)'


def _below(group: MemoryCgroup, other: MemoryCgroup) -> bool:
    return group.path != other.path and group.path.startswith(other.path.rstrip('/') + '/')
