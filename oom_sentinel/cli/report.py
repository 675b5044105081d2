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

"""`oom_sentinel report PATH`: one HTML page of an incident, a kernel log or a recording."""

import argparse
import os

from oom_sentinel.cli import output
from oom_sentinel.cli import tree
from oom_sentinel.cli.html import incident
from oom_sentinel.cli.html import kernel_log
from oom_sentinel.cli.html import recording
from oom_sentinel.cli.html.page import page
from oom_sentinel.cli.html.story import Story
from oom_sentinel.cli.output import Unusable
from oom_sentinel.settings import Settings

NAME = 'report'
HELP = ('One self-contained HTML page of an incident folder, a kernel log or a recording of '
        '/diagnostics.')


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('path', metavar='PATH',
                      help='an incident folder (or the folder of all of them: the newest), a '
                           'kernel log, or a rosbag2 recording')
    verb.add_argument('-o', '--output', metavar='FILE.html', default=None,
                      help='where to write the page (default: oom_report.html; - is standard '
                           'output)')
    verb.add_argument('--params-file', metavar='FILE',
                      help='groups as this file defines them, for what would have changed a kill')


def run(arguments: argparse.Namespace) -> int:
    """Write the page; return 0."""
    if arguments.json:
        raise Unusable('--json: a report is HTML; `kills --json` has the facts')
    text = page(read(arguments.path, tree.read_settings(arguments.params_file)))
    target = arguments.output or 'oom_report.html'
    if target == '-':
        output.write(text)
        return 0
    try:
        with open(target, 'w', encoding='utf-8', errors='backslashreplace') as stream:
            stream.write(text)
    except OSError as error:
        raise Unusable(f'{target}: {error.strerror}') from error
    output.say(f'Wrote {output.shown(target)} ({len(text) // 1024 + 1} KiB).')
    return 0


def read(path: str, settings: Settings) -> Story:
    """
    Return the story of an incident folder, a kernel log or a recording.

    :raises Unusable: when nothing can be made of it.
    """
    if '\0' in path:
        raise Unusable('PATH holds a zero byte')
    if recording.is_recording(path):
        return recording.read(path)
    if not os.path.isdir(path):
        return kernel_log.read(path, settings)
    if _is_incident(path):
        return incident.read(path, settings)
    try:
        below = sorted(name for name in os.listdir(path)
                       if _is_incident(os.path.join(path, name)))
    except OSError as error:
        raise Unusable(f'{path}: {error.strerror}') from error
    if not below:
        raise Unusable(f'{path}: neither an incident folder nor a recording: no incident.json '
                       'and no metadata.yaml')
    return incident.read(os.path.join(path, below[-1]), settings)


def _is_incident(folder: str) -> bool:
    return any(os.path.lexists(os.path.join(folder, name)) for name in incident.REPORTS)
