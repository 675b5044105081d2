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
"""Shedding in words: one status for each step on ~/actions, and a line of OOM risk."""

from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.shedding import Step
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Status
from oom_sentinel.report.text import mib

DONE = {Step.DEACTIVATE: 'deactivated', Step.INTERRUPT: 'interrupted (SIGINT)',
        Step.TERMINATE: 'terminated (SIGTERM)', Step.KILL: 'killed (SIGKILL)'}


def action(done: Action) -> Status:
    """Return the status of one step, for ~/actions and the log."""
    brought = 'nothing' if done.brought_bytes is None else mib(done.brought_bytes)
    took = 'unavailable (nothing was done)' if done.took_s is None else f'{done.took_s:.1f}'
    return Status('Action', Level.WARN, f'{_what(done)}: {done.why}.', (
        ('pid', str(done.identity.pid)), ('process', done.label), ('group', done.group),
        ('step', done.step.value), ('place', done.place), ('why', done.why),
        ('result', done.result.value), ('brought (MiB)', brought), ('took (s)', took)))


def _what(done: Action) -> str:
    """Return what was done and what came of it."""
    if done.result == Brought.WOULD:
        return f'{done.label} would be {DONE[done.step]}'
    if done.result == Brought.REFUSED:
        return f'{done.label} could not be {DONE[done.step]}'
    if done.result == Brought.UNLOADED:
        return f'{done.label} was unloaded'
    if done.result == Brought.NO_ANSWER:
        return f'{done.label} was asked to be inactive and did not answer'
    if done.result == Brought.STILL_RUNS:
        return f'{done.label} was {DONE[done.step]} and still runs'
    return f'{done.label} was {DONE[done.step]}'


def values(shedding: Shedding) -> tuple[tuple[str, str], ...]:
    """Return the values of shedding in the status OOM risk; none while it is off."""
    if shedding.mode == 'off':
        return ()
    return (('shedding', shedding.mode),
            ('about to be shed', shedding.intent or 'none'),
            ('shed since start', str(shedding.done)),
            ('last action', 'none' if shedding.last is None else _what(shedding.last)),
            ('deactivated nodes', ', '.join(shedding.deactivated) or 'none'),
            ('unloaded components', ', '.join(shedding.unloaded) or 'none'))
