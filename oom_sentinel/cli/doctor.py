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

"""`oom_sentinel doctor`: what here makes an OOM likely or protection impossible."""

import argparse

from oom_sentinel import doctor
from oom_sentinel.cli import output
from oom_sentinel.cli import tree
from oom_sentinel.cli.printer import Printer
from oom_sentinel.cli.printer import SEVERITY_STYLES
from oom_sentinel.cli.tree import read
from oom_sentinel.doctor import look
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.settings import Settings

NAME = 'doctor'
HELP = 'What on this host makes an OOM likely or protection impossible, with the remedy.'
NOTHING = 'No finding: nothing here makes an OOM likelier or protection impossible.'


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('--params-file', metavar='FILE',
                      help='groups as this file defines them, to find nodes without a group')


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return 1 when one is a warning or an error."""
    found = findings(arguments.root, tree.read_settings(arguments.params_file))
    if arguments.json:
        output.as_json({'findings': [_finding(f) for f in found]})
    else:
        show(Printer(arguments.color), found)
    return int(any(f.severity > Severity.INFO for f in found))


def findings(root: str, settings: Settings) -> tuple[Finding, ...]:
    """
    Return the findings of a host, the gravest first.

    :param settings: their groups say which nodes are protected.
    :raises Unusable: when the tree cannot be read.
    """
    reading = read(root)
    return doctor.examine(look.take(
        reading.root, reading.table, reading.meminfo, reading.processes,
        settings.protection_groups))


def _finding(finding: Finding) -> dict[str, str]:
    return {'id': finding.id, 'severity': finding.severity.name.lower(),
            'evidence': finding.evidence, 'remedy': finding.remedy}


def show(printer: Printer, found: tuple[Finding, ...]) -> None:
    """Print each finding and its remedy; a command stands on one line, so that it is copied."""
    if not found:
        printer.line(NOTHING)
    for finding in found:
        printer.entry(f'{finding.severity.name:<7}  ', f'{finding.id}: {finding.evidence}.',
                      SEVERITY_STYLES[finding.severity])
        for text in numbered(finding.remedy):
            printer.command(text, 9)


def numbered(remedy: str) -> list[str]:
    """Return the lines of a remedy; several commands are numbered."""
    lines = remedy.splitlines()
    commands = [text for text in lines if not text.startswith('#')]
    if len(commands) < 2:
        return lines
    made, number = [], 0
    for text in lines:
        number += not text.startswith('#')
        made.append(text if text.startswith('#') else f'{number}. {text}')
    return made
