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

"""Write man/oom_sentinel.1 from the arguments of the command line: `python3 docs/make_man.py`."""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from oom_sentinel.cli.main import ABOUT  # noqa: E402,I100
from oom_sentinel.cli.main import parser as make_parser  # noqa: E402,I100

TARGET = ROOT / 'man' / 'oom_sentinel.1'
FILES = (
    ('~/.ros/oom_sentinel/', 'incident folders, one for each kill of the kernel (ROS_HOME is '
     'respected)'),
    ('/var/log/kern.log, /var/log/syslog, /var/log/messages', 'where kills are read when neither '
     'the buffer of the kernel nor the journal may be read'))
EXAMPLES = (
    ('oom_sentinel order -n 5', 'who is killed next'),
    ('oom_sentinel status --watch', 'a live picture; ? shows the keys'),
    ('sudo oom_sentinel kills --since yesterday', 'who was killed, and why'),
    ('oom_sentinel doctor', 'what to mend on this host, with commands'),
    ('oom_sentinel report ~/.ros/oom_sentinel -o kill.html', 'the newest incident as a page'))


def escaped(text: str) -> str:
    """Return a text as roff reads it."""
    text = text.replace('\\', '\\e').replace('-', '\\-')
    return re.sub(r"(?m)^([.'])", r'\\&\1', text)


def options(parser: argparse.ArgumentParser) -> list[str]:
    """Return an entry for each argument of a parser but its verbs and --help."""
    lines = []
    for action in parser._actions:
        if isinstance(action, (argparse._SubParsersAction, argparse._HelpAction)):
            continue
        value = action.metavar or ('{' + ','.join(action.choices) + '}' if action.choices else '')
        names = ', '.join(action.option_strings) or str(value)
        shown = f'{names} {value}' if action.option_strings and action.nargs != 0 else names
        lines += ['.TP', f'.B {escaped(shown.strip())}', escaped(action.help or '')]
    return lines


def document() -> str:
    """Return the whole page."""
    top = make_parser()
    verbs = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction)).choices
    common = {option for action in top._actions for option in action.option_strings}
    lines = ['.TH OOM_SENTINEL 1 "" "oom_sentinel" "User Commands"', '.SH NAME',
             escaped('oom_sentinel - ' + ABOUT[0].lower() + ABOUT[1:].rstrip('.')),
             '.SH SYNOPSIS', '.B oom_sentinel', escaped('[OPTION]... VERB [ARGUMENT]...'), '.br',
             '.B ros2 oom', escaped('[OPTION]... VERB [ARGUMENT]...'), '.SH DESCRIPTION',
             'Needs no running node, and only', '.B protect', 'changes anything.', '.SH OPTIONS',
             'Before or after the verb:', *options(top), '.SH VERBS']
    for name, verb in verbs.items():
        own = argparse.ArgumentParser(add_help=False)
        own._actions = [a for a in verb._actions if not common & set(a.option_strings)]
        lines += [f'.SS {name}', escaped(verb.description or ''), *options(own)]
    lines += ['.SH EXIT STATUS', '.TP', '.B 0', 'fine', '.TP', '.B 1',
              'a finding, or something denied', '.TP', '.B 2',
              'usage or unreadable input, with one line on standard error', '.SH ENVIRONMENT',
              '.TP', '.B NO_COLOR', 'set: no color unless asked for', '.TP', '.B COLUMNS',
              'width of the output where it is no terminal', '.SH FILES']
    lines += [part for path, text in FILES for part in ('.TP', f'.I {escaped(path)}',
                                                        escaped(text))]
    lines.append('.SH EXAMPLES')
    lines += [part for command, text in EXAMPLES
              for part in ('.TP', f'.B {escaped(command)}', escaped(text))]
    return '\n'.join(lines) + '\n'


if __name__ == '__main__':
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(document(), encoding='utf-8')
