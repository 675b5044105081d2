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

"""`oom_sentinel protect SELECTOR VALUE`: one-shot protection, by the sentinel's own rules."""

import argparse
from dataclasses import replace

from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.cli import output
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.printer import Column
from oom_sentinel.cli.printer import Printer
from oom_sentinel.cli.tree import read
from oom_sentinel.cli.tree import Reading
from oom_sentinel.cli.tree import view_of
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.protection import Outcome
from oom_sentinel.facts.protection import Result
from oom_sentinel.facts.protection import Target
from oom_sentinel.protection import plan
from oom_sentinel.protection.grouping import group_of
from oom_sentinel.protection.known import Known
from oom_sentinel.settings import Group
from oom_sentinel.settings import selector
from oom_sentinel.settings import Settings
from oom_sentinel.settings.selector import SelectorError

NAME = 'protect'
HELP = "Set oom_score_adj of the matching processes once, by the sentinel's own rules."
GROUP = 'once'
SENTINEL = ('a sentinel runs (PID {}) and gives what its groups match the value of the group '
            'again; for a lasting value change a group: ros2 param set /oom_sentinel '
            'group.NAME.match')
FLOOR = ('lowering further needs CAP_SYS_RESOURCE, or a floor granted at the start, such as '
         "OOMScoreAdjust= in the robot's systemd unit")
COLUMNS = (
    Column('NODE OR PROGRAM', least=14), Column('PID', right=True, drop=1),
    Column('FROM', right=True), Column('WANTED', right=True), Column('NOW', right=True),
    Column('RESULT', least=12, wraps=True))


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('selector', metavar='SELECTOR', type=_selector,
                      help='which processes: exe:NAME, pkg:NAME, cgroup:PATH, cmd:WORDS, or '
                           'node:/NAME where the command line has the name')
    verb.add_argument('value', metavar='VALUE', type=_value,
                      help='the oom_score_adj to set, -1000..1000; -1000 is written as -999')
    verb.add_argument('--other-users', action='store_true',
                      help="with sudo: also other users' processes")


def _selector(text: str) -> selector.Selector:
    try:
        return selector.parse(text)
    except SelectorError as error:
        raise argparse.ArgumentTypeError(output.shown(str(error), 200)) from error


def _value(text: str) -> int:
    digits = text.removeprefix('-')
    if not (digits.isascii() and digits.isdigit() and len(digits) < 5
            and -1000 <= int(text) <= 1000):
        raise argparse.ArgumentTypeError(f'{text!r} is no integer in -1000..1000')
    return int(text)


def run(arguments: argparse.Namespace) -> int:
    """Write the value; return 1 when it was denied somewhere, or no process matches."""
    reading = read(arguments.root)
    if not reading.root.live:
        raise Unusable(f'--root {arguments.root}: a captured tree is never written')
    chosen = replace(
        settings.build({}), protection_when_denied='report',
        protection_other_users=arguments.other_users,
        protection_groups=(Group(GROUP, (arguments.selector,), arguments.value),))
    planned = plan.plan(reading.processes, chosen, view_of(reading), Known())
    done = [(t, _write(t, reading)) for t in planned.targets if t.group == GROUP]
    if arguments.json:
        output.as_json({'adjustments': [_adjustment(t, o) for t, o in done]})
    else:
        printer = Printer(arguments.color)
        _print(printer, done)
        for note in _notes(done, planned.notes, reading, chosen):
            printer.line(f'Note: {note}.', indent=6)
    return int(not done or any(o.achieved != t.wanted for t, o in done))


def _write(target: Target, reading: Reading) -> Outcome:
    process = target.process
    assert process.oom_score_adj is not None
    return kernel.apply(reading.root, Adjustment(
        process.identity, None, process.oom_score_adj, target.wanted, 'asked for'))


def _adjustment(target: Target, outcome: Outcome) -> dict[str, object]:
    process = target.process
    return {'pid': process.pid, 'start_time': process.start_time, 'comm': process.program.comm,
            'node_names': list(process.node_names), 'group': None,
            'from': process.oom_score_adj, 'wanted': target.wanted,
            'achievable': outcome.achieved, 'why': outcome.why or outcome.result.value}


def _print(printer: Printer, done: list[tuple[Target, Outcome]]) -> None:
    if not done:
        printer.line('No process matches: nothing was written.')
        return
    printer.table(COLUMNS, [
        (t.process.label, str(t.process.pid), str(t.process.oom_score_adj), str(t.wanted),
         'unknown' if o.achieved is None else str(o.achieved), o.why or o.result.value)
        for t, o in done])


def _notes(done: list[tuple[Target, Outcome]], planned: tuple[str, ...], reading: Reading,
           chosen: Settings) -> list[str]:
    notes = [note.replace(f'group {GROUP}: ', '') for note in planned
             if note.startswith(f'group {GROUP}: ')]
    if any(o.result == Result.DENIED for _, o in done):
        notes.append(FLOOR)
    mine = {t.process.identity for t, _ in done}
    left = [p for p in reading.processes
            if p.identity not in mine and not p.kernel_thread and _matches(p, chosen)]
    if left:
        notes.append(f'{len(left)} more match and were left alone, for example {left[0].label} '
                     f'(PID {left[0].pid}, uid {left[0].uid}): they belong to another user, '
                     'ROS_DOMAIN_ID or PID namespace (a container), are PID 1, or have ended')
    if reading.sentinel is not None:
        notes.append(SENTINEL.format(reading.sentinel.pid))
    return notes


def _matches(process: Process, chosen: Settings) -> bool:
    return group_of(process, chosen) is not None
