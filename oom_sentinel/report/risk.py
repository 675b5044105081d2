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

"""Status OOM risk: the level with its reasons, and whom the kernel would kill first."""

from oom_sentinel.badness import Candidate
from oom_sentinel.facts.status import Status
from oom_sentinel.report.text import listed
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment

NAMED = 5
ORDINALS = ('1st', '2nd', '3rd', '4th', '5th')


def named(candidate: Candidate) -> str:
    """Return one victim: label, PID, badness and oom_score_adj."""
    process = candidate.process
    return (f'{process.label} (PID {process.pid}, badness {candidate.badness} pages, '
            f'oom_score_adj {process.oom_score_adj})')


def compose(assessment: Assessment) -> Status:
    """Return the status."""
    verdict = assessment.risk
    order = [c for c in assessment.kill_order if c.rank is not None]
    first = f'the kernel would kill {order[0].process.label} first' if order else (
        'no process that the kernel may kill is known')
    where = '' if assessment.domain == 'this machine' else f' inside {assessment.domain}'
    parts = verdict.reasons or ('memory suffices',)
    left = assessment.time_to_exhaustion_s
    victims = tuple(
        (f'{ORDINALS[i]} victim', named(order[i]) if i < len(order) else 'none')
        for i in range(NAMED))
    return Status('OOM risk', verdict.level, sentence((*parts, first + where)), (
        ('oom_risk (0..1)', f'{assessment.oom_risk:.2f}'),
        ('time to exhaustion (s)', 'no trend' if left is None else f'{left:.0f}'),
        ('short of memory', assessment.domain),
        ('totalpages', str(assessment.totalpages) if assessment.totalpages is not None
         else 'unavailable (/proc/meminfo)'),
        *victims,
        ('leak suspects', listed(assessment.leak_suspects))))
