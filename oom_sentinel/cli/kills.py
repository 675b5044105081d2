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
from dataclasses import fields
from dataclasses import replace
from datetime import datetime
from datetime import timedelta
import json
import os
import re
import sys
import time

from oom_sentinel.cli import logs
from oom_sentinel.cli import output
from oom_sentinel.cli import params
from oom_sentinel.cli.logs import Found
from oom_sentinel.cli.output import Unusable
from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import OomTask
from oom_sentinel.facts.memory import MIB
from oom_sentinel.kills.incident_folder import expanded
from oom_sentinel.report import kills as words

NAME = 'kills'
HELP = ("Past kernel OOM kills, explained: from the kernel's buffer, the journal and /var/log, "
        'or from files. Exit code 1 when there are any.')
EATERS = 5
MAX_INCIDENT = 4 << 20
KEYS = (
    'time', 'boot_time_s', 'kernel_format', 'trigger_comm', 'constraint', 'victim_pid',
    'victim_comm', 'victim_uid', 'total_vm_bytes', 'anon_rss_bytes', 'file_rss_bytes',
    'shmem_rss_bytes', 'page_table_bytes', 'oom_score_adj', 'score', 'oom_memcg', 'task_memcg',
    'node_names', 'tasks', 'page_size', 'totalpages', 'predicted_victim_pid', 'disagreement',
    'source', 'certainty')
TASK_KEYS = tuple(f.name for f in fields(OomTask))
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
            return float(text[1:])
        if span is not None:
            return time.time() - int(span.group(1)) * _UNIT_S[span.group(2)]
        return datetime.fromisoformat(re.sub(r'[Zz]$', '+00:00', text)).timestamp()
    except (ValueError, OverflowError, OSError) as error:
        raise argparse.ArgumentTypeError(
            f'{text!r} is no time: 2h, 3d, yesterday, 2026-11-26 08:30 or @EPOCH') from error


def run(arguments: argparse.Namespace) -> int:
    """Print the kills; return 1 when there are any, 2 when an input was not read whole."""
    settings = params.load(arguments.params_file)
    found = _read(arguments)
    incidents = _incidents(settings.incident_directory) if found.kills else ()
    kills = [_named(kill, incidents) for kill in found.kills
             if arguments.since is None or kill.time is None or kill.time >= arguments.since]
    kills.sort(key=lambda k: (k.time is not None, k.time or 0.0))
    if arguments.json:
        output.as_json({'kills': [document(kill) for kill in kills]})
    else:
        _print(kills, found, output.colored(arguments.color), bool(arguments.file))
    if arguments.file and found.refused:
        raise Unusable(found.refused[0])
    return int(bool(kills))


def _read(arguments: argparse.Namespace) -> Found:
    """
    Read the files that are named, or whatever this host keeps.

    :raises Unusable: when nothing can be read, with what would give the right.
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
    found = logs.of_host(arguments.since)
    if not found.read:
        raise Unusable('; '.join(found.refused) or 'this host keeps no kernel log: no /dev/kmsg, '
                       'no journal, no /var/log/kern.log; name a log with --file')
    return found


def document(kill: OomKill) -> dict[str, object]:
    """Return the JSON entry of INTERFACE.md."""
    entry: dict[str, object] = {key: getattr(kill, key) for key in KEYS}
    entry['node_names'] = list(kill.node_names)
    entry['tasks'] = [asdict(task) for task in kill.tasks]
    return entry


def _incidents(directory: str) -> tuple[OomKill, ...]:
    """Return what a live sentinel wrote down; what is no incident is left out."""
    folder = expanded(directory) if directory else ''
    try:
        names = sorted(os.listdir(folder)) if folder else []
    except OSError:
        return ()  # no sentinel ran here, or it is not ours to read: the log stands alone
    found = []
    for name in names:
        kill = _incident(os.path.join(folder, name, 'incident.json'))
        if kill is not None:
            found.append(kill)
    return tuple(found)


def _incident(path: str) -> OomKill | None:
    try:
        with open(path, 'rb') as stream:
            said = json.loads(stream.read(MAX_INCIDENT))
        return OomKill(
            victim_pid=said['victim_pid'], victim_comm=said['victim_comm'], time=said['time'],
            boot_time_s=said['boot_time_s'], group=said['group'], wanted=said['wanted'],
            node_names=tuple(str(name) for name in said['node_names']))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _named(kill: OomKill, incidents: tuple[OomKill, ...]) -> OomKill:
    """Return the kill with the nodes that the sentinel knew in its process."""
    for known in incidents:
        if logs.same(kill, known):
            return replace(kill, node_names=known.node_names, group=known.group,
                           wanted=known.wanted)
    return kill


def _print(kills: list[OomKill], found: Found, color: bool, named: bool) -> None:
    for kill in kills:
        head = f'{_when(kill)}: {output.shown(words.victim(kill), 120)}'
        output.say(f'{output.BOLD}{head}{output.PLAIN}' if color else head)
        for line in told(kill):
            output.say(f'  {output.shown(line, 400)}')
        output.say('')
    read = ', '.join(found.read)
    output.say(f'{len(kills) or "No"} OOM kill{"s" if len(kills) != 1 else ""} in {read}.')
    for why in () if named else found.refused:
        print(f'oom_sentinel kills: not read: {why}', file=sys.stderr)


def _when(kill: OomKill) -> str:
    boot = '' if kill.boot_time_s is None else f'{kill.boot_time_s:.3f} s after boot'
    if kill.time is None:
        return boot or 'At an unknown time'
    at = datetime.fromtimestamp(kill.time).strftime('%Y-%m-%d %H:%M:%S')
    return f'{at} ({boot})' if boot else at


def told(kill: OomKill) -> list[str]:
    """Return the sentences that explain a kill; what the log lacks is left out."""
    asked = '' if kill.trigger_comm is None else f'; {kill.trigger_comm} asked for memory'
    said = [f'{_why(kill)}{asked}.']
    held = [f'{_mib(value)} {what}' for what, value in (
        ('anonymous', kill.anon_rss_bytes), ('of files', kill.file_rss_bytes),
        ('shared', kill.shmem_rss_bytes), ('of page tables', kill.page_table_bytes))
        if value is not None]
    if held:
        said.append(f'It held {", ".join(held)}.')
    eaters = _eaters(kill)
    if eaters:
        said.append(f'What ate the memory: {", ".join(eaters)}.')
    said.append(_protection(kill))
    if kill.disagreement is not None:
        said.append(f'Not as the task table predicts: {kill.disagreement}.'
                    if kill.predicted_victim_pid is not None
                    else f'Not to be checked: {kill.disagreement}.')
    elif kill.predicted_victim_pid is not None:
        said.append('The task table predicts this victim.')
    sure = 'inferred' if kill.certainty == INFERRED else kill.certainty
    said.append(f'Source: {kill.source} ({sure}).')
    return said


def _why(kill: OomKill) -> str:
    if kill.constraint is not None or kill.oom_memcg is not None:
        return f'Killed because {words.why(kill)}{_limit(kill)}'
    if kill.score is not None or kill.kernel_format in ('5.1', '5.4'):
        return 'Killed because memory ran out: of the whole machine, or of the nodes it may use'
    return 'The log does not tell why it was killed'


def _mib(value: int) -> str:
    return f'{value / MIB:.1f} MiB' if value < 100 * MIB else f'{value / MIB:.0f} MiB'


def _limit(kill: OomKill) -> str:
    if kill.totalpages is None or kill.page_size is None:
        return ''
    return f' ({_mib(kill.totalpages * kill.page_size)} with swap)'


def _eaters(kill: OomKill) -> list[str]:
    """Return the largest of the table, with what they had in swap."""
    if kill.page_size is None:
        return []
    ranked = sorted(kill.tasks, key=lambda t: -((t.rss_pages or 0) + (t.swap_entries or 0)))
    return [f'{task.name or "?"} (PID {task.pid}) '
            f'{_mib(((task.rss_pages or 0) + (task.swap_entries or 0)) * kill.page_size)}'
            for task in ranked[:EATERS]]


def _protection(kill: OomKill) -> str:
    """Return whether it was protected, by its own value and by a sentinel's group."""
    adj = kill.oom_score_adj
    group = '' if kill.group is None else f'; group {kill.group} wanted {kill.wanted}'
    if adj is None:
        return f'Whether it was protected the log does not tell{group}.'
    if adj < 0:
        return f'It was protected (oom_score_adj {adj}) and outgrew that{group}.'
    if adj > 0:
        return f'It was expendable (oom_score_adj {adj}){group}.'
    return f'It was not protected (oom_score_adj 0){group}.'
