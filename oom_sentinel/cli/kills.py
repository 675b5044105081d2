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

"""`oom_sentinel kills`: past kernel OOM kills, explained."""

import argparse
from dataclasses import asdict
from dataclasses import replace
from datetime import datetime
from datetime import timedelta
import os
import re
import time

from oom_sentinel.cli import kill_story
from oom_sentinel.cli import logs
from oom_sentinel.cli import output
from oom_sentinel.cli import tree
from oom_sentinel.cli.kill_places import beginning
from oom_sentinel.cli.kill_places import confirmed
from oom_sentinel.cli.kill_places import counted
from oom_sentinel.cli.kill_places import incidents
from oom_sentinel.cli.kill_places import remedy
from oom_sentinel.cli.logs import Found
from oom_sentinel.cli.output import Unusable
from oom_sentinel.cli.printer import BOLD
from oom_sentinel.cli.printer import Printer
from oom_sentinel.facts.kill import Killer
from oom_sentinel.facts.kill import OomKill

NAME = 'kills'
HELP = ("Past kernel OOM kills, explained: from the kernel's buffer, the journal and /var/log, "
        'or from files. Exit code 1 when there are any.')
KEYS = (
    'time', 'boot_time_s', 'kernel_format', 'trigger_comm', 'constraint', 'victim_pid',
    'victim_comm', 'victim_uid', 'total_vm_bytes', 'anon_rss_bytes', 'file_rss_bytes',
    'shmem_rss_bytes', 'page_table_bytes', 'oom_score_adj', 'score', 'oom_memcg', 'task_memcg',
    'cause', 'order', 'gfp_mask', 'free_bytes', 'kernel_release', 'node_names', 'tasks',
    'page_size', 'totalpages', 'predicted_victim_pid', 'disagreement', 'source', 'certainty')
_SPAN = re.compile(r'-?(\d{1,6}) ?(s|sec|m|min|h|d|w)[a-z]*(?: ago)?')
_UNIT_S = {'s': 1, 'sec': 1, 'm': 60, 'min': 60, 'h': 3600, 'd': 86400, 'w': 604800}


def add_arguments(verb: argparse.ArgumentParser) -> None:
    """Add the verb's own arguments."""
    verb.add_argument('--file', action='append', metavar='FILE',
                      help='a log (plain, gz, syslog, dmesg, journal JSON or export, /dev/kmsg '
                           'records); - is standard input; may be given several times')
    verb.add_argument('--since', type=_since, metavar='T',
                      help='only later kills: 2h, 3d, yesterday, 2026-11-26 or '
                           "'2026-11-26 08:30', @EPOCH")
    verb.add_argument('--pid', type=int, metavar='PID', help='only the kills of this PID')
    verb.add_argument('-v', '--verbose', action='store_true',
                      help='print the whole story of each kill; a single kill always has it')
    verb.add_argument('--params-file', metavar='FILE',
                      help='where incident.directory is set, whose folders name the nodes')


def _since(text: str) -> float:
    """Return the seconds since the epoch of a moment in words."""
    now = datetime.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    named = {'now': now, 'today': midnight, 'yesterday': midnight - timedelta(days=1)}
    span = _SPAN.fullmatch(text.strip())
    try:
        if text in named:
            return named[text].timestamp()
        if text.startswith('@'):
            return _finite(float(text[1:]))
        if span is not None:
            return time.time() - int(span.group(1)) * _UNIT_S[span.group(2)]
        return datetime.fromisoformat(re.sub(r'[Zz]$', '+00:00', text)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time: 2h, 3d, yesterday, 2026-11-26 08:30 or @EPOCH') from error


def _finite(value: float) -> float:
    """Return the value; raise ValueError where no clock can show it."""
    datetime.fromtimestamp(value)
    return value


def run(arguments: argparse.Namespace) -> int:
    """
    Print the kills; return 1 when there are any, 2 when an input was not read whole.

    In a container whose log of the kernel is not readable, its counter answers.
    """
    settings = tree.read_settings(arguments.params_file)
    found = _read(arguments)
    if not found.read and not arguments.file:
        return _answer_without_log(arguments, settings.incident_directory, found)
    known = incidents(settings.incident_directory) if found.kills else ()
    now_s = time.time()
    kills = [_named(confirmed(kill, now_s), known) for kill in found.kills
             if _is_wanted(kill, arguments)]
    kills.sort(key=lambda k: (k.time is not None, k.time or 0.0))
    if arguments.json:
        output.as_json({'kills': [document(kill) for kill in kills],
                        **({'unknown': list(found.doubts)} if found.doubts else {})})
    else:
        _print(kills, found, arguments)
    for why in () if arguments.file else found.refused:
        output.complain(f'oom_sentinel kills: not read: {why}')
    if arguments.file and found.refused:
        raise Unusable(found.refused[0])
    return int(bool(kills or found.doubts))


def _is_wanted(kill: OomKill, arguments: argparse.Namespace) -> bool:
    if arguments.pid is not None and kill.victim_pid != arguments.pid:
        return False
    return arguments.since is None or kill.time is None or kill.time >= arguments.since


def _read(arguments: argparse.Namespace) -> Found:
    """
    Read the files that are named, or all logs of this host or of a captured tree.

    :raises Unusable: when a captured tree has none.
    """
    found = Found()
    if arguments.file:
        for path in arguments.file:
            found = found.plus(logs.named(path))
        return found
    if arguments.root != '/':
        found = logs.below(os.path.join(arguments.root, 'var/log'))
        if not found.read:
            raise Unusable(f'--root {arguments.root}: no readable kern.log, syslog or messages '
                           'in var/log; name the log with --file')
        return found
    return logs.of_host(arguments.since)


def _answer_without_log(arguments: argparse.Namespace, directory: str, found: Found) -> int:
    """
    Print what incident folders and counters tell; return 1 when a container's counts a kill.

    :raises Unusable: where no counter answers, with what would give the right to read the log.
    """
    counters = counted()
    kills = [kill for kill in incidents(directory) if _is_wanted(kill, arguments)]
    if arguments.json:
        output.as_json({'kills': [document(kill) for kill in kills],
                        'counters': list(counters.sentences)})
    else:
        printer = Printer(arguments.color)
        if kills:
            printer.line('From the incident folders of the sentinel:')
            printer.table(kill_story.COLUMNS, [kill_story.row(kill) for kill in kills])
        for sentence in counters.sentences:
            printer.line(sentence)
    why = remedy(found.refused) or ('this host has no /dev/kmsg, no journal and no '
                                    '/var/log/kern.log; name a log with --file',)
    if counters.in_container is None:
        raise Unusable(f'the kernel log cannot be read; {"; ".join(why)}')
    output.complain(f'oom_sentinel kills: not read: {"; ".join(why)}')
    return int(bool(kills or counters.in_container))


def document(kill: OomKill) -> dict[str, object]:
    """
    Return the JSON entry of INTERFACE.md.

    An entry of another than the kernel's OOM killer says so: kind, killer, cgroup, processes.
    """
    entry: dict[str, object] = {key: getattr(kill, key) for key in KEYS}
    entry['node_names'] = list(kill.node_names)
    entry['tasks'] = [asdict(task) for task in kill.tasks]
    if kill.kind is not Killer.KERNEL:
        entry |= {'kind': kill.kind.value, 'killer': kill.program or 'kernel',
                  'cgroup': kill.task_memcg, 'processes': kill.processes}
    return entry


def _named(kill: OomKill, known: tuple[OomKill, ...]) -> OomKill:
    """Return the kill with the nodes that the sentinel knew in its process."""
    for incident in known:
        if logs.same(kill, incident):
            return replace(kill, node_names=incident.node_names, group=incident.group,
                           wanted=incident.wanted)
    return kill


def _print(kills: list[OomKill], found: Found, arguments: argparse.Namespace) -> None:
    """Print one line a kill, or the whole story; the kills by programs in a part of their own."""
    printer = Printer(arguments.color)
    by_kernel = [kill for kill in kills if kill.kind is not Killer.USERSPACE]
    by_programs = [kill for kill in kills if kill.kind is Killer.USERSPACE]
    stories = arguments.verbose or len(kills) == 1
    _print_part(printer, by_kernel, stories)
    if by_programs:
        printer.line('Killed by programs, not by the kernel:', BOLD)
        _print_part(printer, by_programs, stories)
    read = ', '.join(found.read)
    printer.line(f'{len(by_kernel) or "No"} OOM kill{"s" if len(by_kernel) != 1 else ""} in '
                 f'{read}.')
    if not stories and kills:
        printer.line('-v prints the whole story of each, --pid PID that of one.')
    for doubt in found.doubts:
        printer.line(f'{doubt}.')
    for name in found.without_kernel:
        printer.line(f'{name} holds no message of the kernel.')
    for sentence in [] if arguments.since is None else beginning(found.begins, arguments.since):
        printer.line(sentence)


def _print_part(printer: Printer, kills: list[OomKill], stories: bool) -> None:
    if not stories:
        if kills:
            printer.table(kill_story.COLUMNS, [kill_story.row(kill) for kill in kills])
        return
    for kill in kills:
        printer.line(f'{kill_story.when(kill)}: {kill_story.victim(kill)}', BOLD)
        for sentence in kill_story.told(kill):
            printer.entry('  ', sentence)
        printer.line('')
