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
from oom_sentinel.doctor import look
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.kernel.host import ros_prefixes

NAME = 'doctor'
HELP = 'What on this host makes an OOM likely or protection impossible, with the remedy.'
NOTHING = 'No finding: nothing here makes an OOM likelier or protection impossible.'
TINT = {Severity.INFO: output.BOLD, Severity.WARNING: output.YELLOW,
        Severity.ERROR: output.RED}


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments: there are none."""


def run(arguments: argparse.Namespace) -> int:
    """Print the findings; return 1 when one is a warning or an error."""
    found = findings(arguments.root)
    if arguments.json:
        output.as_json({'findings': [_finding(f) for f in found]})
    else:
        for text in described(found, output.colored(arguments.color)):
            output.say(text)
    return int(any(f.severity > Severity.INFO for f in found))


def findings(root: str) -> tuple[Finding, ...]:
    """
    Return what there is to say about a host, the gravest first.

    :raises Unusable: when the tree cannot be read.
    """
    reading = output.read(root, ros_prefixes())
    return doctor.examine(look.take(
        reading.root, reading.table, reading.meminfo, reading.processes))


def _finding(finding: Finding) -> dict[str, str]:
    return {'id': finding.id, 'severity': finding.severity.name.lower(),
            'evidence': finding.evidence, 'remedy': finding.remedy}


def described(found: tuple[Finding, ...], color: bool) -> list[str]:
    """Return the findings as lines; a remedy stands on one line, so that it can be copied."""
    if not found:
        return [NOTHING]
    lines = []
    for finding in found:
        level = f'{finding.severity.name:<7}'
        if color:
            level = f'{TINT[finding.severity]}{level}{output.PLAIN}'
        lines.append(f'{level}  {finding.id}: {output.shown(finding.evidence, 1000)}.')
        lines.append(f'         Remedy: {output.shown(finding.remedy, 1000)}')
    return lines
