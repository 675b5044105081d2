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

"""Status Memory pressure: PSI, or the reason why there is none."""

from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Status
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report.text import sentence
from oom_sentinel.risk import Assessment

NAME = 'Memory pressure'


def compose(sample: Sample, assessment: Assessment) -> Status:
    """Return the status; the keys are the same with and without PSI."""
    verdict, found = assessment.pressure, sample.pressure
    if isinstance(found, Unavailable):
        message = sentence((f'Not available: {found.why}', *verdict.reasons))
        return Status(NAME, verdict.level, message,
                      (*_values('some', found), *_values('full', found),
                       ('trigger', str(found))))
    full = found.full or Unavailable('not printed by this kernel')
    message = sentence(verdict.reasons) if verdict.reasons else (
        f'Tasks waited for memory {found.some.avg10:.0f} % of the last 10 s.')
    return Status(NAME, verdict.level, message,
                  (*_values('some', found.some), *_values('full', full), _trigger(sample)))


def _trigger(sample: Sample) -> tuple[str, str]:
    """Return which stall wakes the sentinel, or why none does."""
    waking = sample.waking
    if waking.window_us is None:
        why = waking.why or 'not asked for yet'
        return 'trigger', f'unavailable ({why})' + (
            '; the total is compared every second' if waking.stall_us else '')
    groups = f', also in {waking.groups} control groups' if waking.groups else ''
    return 'trigger', (f'{waking.stall_us / 1000:.0f} ms of stall in '
                       f'{waking.window_us / 1e6:.0f} s{groups}')


def _values(name: str, line: PressureLine | Unavailable) -> tuple[tuple[str, str], ...]:
    missing = str(line) if isinstance(line, Unavailable) else None
    avg10, avg60, total = (missing, missing, missing) if isinstance(line, Unavailable) else (
        f'{line.avg10:.2f}', f'{line.avg60:.2f}', f'{line.total_us / 1000:.0f}')
    return ((f'{name} avg10 (%)', str(avg10)), (f'{name} avg60 (%)', str(avg60)),
            (f'{name} total (ms)', str(total)))
