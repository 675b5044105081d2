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

"""Status OOM risk: the level, its reasons, and the processes that would be killed first."""

from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report import shedding as shedding_words
from oom_sentinel.report.place import when_exhausted
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import mib
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment
from oom_sentinel.risk.badness import Candidate

KILL_ORDER_OF = 'kill order of'
ORDINALS = ('1st', '2nd', '3rd', '4th', '5th')
MACHINE = 'this machine'


def named(candidate: Candidate) -> str:
    """Return one victim: label, PID, badness and oom_score_adj."""
    process = candidate.process
    return (f'{process.label} (PID {process.pid}, badness {candidate.badness} pages, '
            f'oom_score_adj {process.oom_score_adj})')


def compose(sample: Sample, assessment: Assessment,
            shedding: Shedding = Shedding()) -> Status:
    """Return the status."""
    verdict = assessment.risk
    victims = [c for c in assessment.kill_order if c.rank is not None]
    left = assessment.exhaustion
    return Status('OOM risk', verdict.level, sentence((
        *((shedding.intent,) if shedding.intent else ()),
        *(verdict.reasons or (_enough(sample),)),
        _next(sample.policy, victims, assessment))), (
        ('oom_risk (0..1)', f'{assessment.oom_risk:.2f}'),
        ('time to exhaustion (s)', 'none foreseen' if left is None else
         f'{left.middle_s:.0f} ({left.low_s:.0f} to {left.high_s:.0f})'),
        (KILL_ORDER_OF, assessment.domain),
        *((f'{ordinal} victim', named(victims[i]) if i < len(victims) else 'none')
          for i, ordinal in enumerate(ORDINALS)),
        ('leak suspects', listed(assessment.leak_suspects)),
        ('at exhaustion the kernel', when_exhausted(
            sample.policy, assessment.domain != MACHINE)),
        ('totalpages', str(assessment.totalpages) if assessment.totalpages is not None
         else 'unavailable (/proc/meminfo)'),
        ('woken by', ', '.join(sample.woken_by) or 'timer'),
        *shedding_words.values(shedding)))


def _enough(sample: Sample) -> str:
    """Return how much memory is available while nothing is wrong."""
    info, percent = sample.meminfo, sample.mem_available_percent
    if isinstance(info, Unavailable) or percent is None:
        return 'no risk is known'
    return f'enough memory: {percent:.0f} % of {mib(info.mem_total_bytes)} MiB available'


def _next(policy: VmPolicy, victims: list[Candidate], assessment: Assessment) -> str:
    """Return what the kernel would do at an OOM, with /proc/sys/vm (mm/oom_kill.c)."""
    domain = assessment.domain
    machine = domain == MACHINE
    if policy.panic_on_oom == 2 or (policy.panic_on_oom == 1 and machine):
        return (f'the kernel would panic instead of killing a process, because '
                f'vm.panic_on_oom is {policy.panic_on_oom}')
    if policy.oom_kill_allocating_task and machine:
        return ('the kernel would kill the process that asks for memory, because '
                'vm.oom_kill_allocating_task is set: oom_score_adj does not count')
    if assessment.commit_exhausted and machine:
        return 'malloc fails before the kernel would kill a process'
    if not victims:
        return 'no process that the kernel may kill is known'
    where = '' if machine else f' inside {domain}'
    return f'the kernel would kill {victims[0].process.label} first{where}'
