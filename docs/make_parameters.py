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

"""
Write docs/parameters.md and config/oom_sentinel.yaml from the one parameter table.

test/test_docs.py keeps them current.
"""

import pathlib
import sys
import textwrap

ROOT = pathlib.Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from oom_sentinel import settings  # noqa: E402,I100
from oom_sentinel.settings import Declaration  # noqa: E402,I100

TARGET = ROOT / 'docs' / 'parameters.md'
EXAMPLE = ROOT / 'config' / 'oom_sentinel.yaml'
EXAMPLE_HEAD = """\
# Every parameter of oom_sentinel with its default.  Copy, keep what you change.  Why each selector
# is there: nav2.yaml, turtlebot3.yaml and turtlebot4.yaml beside this file.
#
# Selectors: node:/amcl  exe:rplidar*  pkg:nav2_*  cgroup:/system.slice/docker*
# cmd:*/ros2 launch *
# Without a prefix /x is node:/x, anything else exe:.  A leading ! excludes.
#
# Made by docs/make_parameters.py from oom_sentinel/settings/table.py; do not edit.

/**:
  ros__parameters:
"""
HEAD = """# Parameters

Made by `docs/make_parameters.py` from `oom_sentinel/settings/`; do not edit.

All can be set while the node runs (`ros2 param set /oom_sentinel NAME VALUE`) and take effect
within a second, unless marked read-only.  A bad value is refused with the allowed range and
nothing changes.  An integer is taken where a number is meant.  `config/oom_sentinel.yaml` holds
them all with their defaults, to copy from.
"""
COLUMNS = '| parameter | default | range | what it does |\n|---|---|---|---|'
GROUPS = """
## Protection groups

Each name in `groups` has these parameters.  A node belongs to the first group that matches it; a
process with several nodes gets the lowest value of its nodes.

{declared}

As shipped:

| group | `oom_score_adj` | `match` |
|---|---|---|
{shipped}

Selectors are shell globs, case-sensitive: `node:` the fully qualified node name, `exe:` the
program (for an interpreter its script), `pkg:` installed under lib/PKG/, `cgroup:` the control
group path, `cmd:` the whole command line (never of shells, editors and debuggers).  Without a
prefix `/x` is `node:/x`, anything else `exe:`.  A leading `!` excludes.

An `oom_score_adj` of -N is a head start of N/10 percent of the memory that is short: a protected
process that outgrows it dies first all the same, and shall.  Below -600 a leak in the group
takes every other node first; -1000 is written as -999 unless `protection.allow_unkillable`.
"""


def value(default: object) -> str:
    """Return a default as it is written in YAML."""
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return '[' + ', '.join(str(item) for item in default) + ']'
    return repr(default)


def allowed(declared: Declaration) -> str:
    """Return range or choices; the unit stands in the description."""
    if declared.choices:
        choices = ', '.join(f'`{choice}`' for choice in declared.choices)
        return f'list of {choices}' if declared.type is tuple else choices
    if declared.low is None or declared.high is None:
        return {bool: 'true, false', str: 'text', tuple: 'list of text'}[declared.type]
    return f'{declared.low:g}..{declared.high:g}'


def meaning(declared: Declaration) -> str:
    """Return the description with what else one has to know."""
    text = declared.description.replace('|', '\\|')
    text += ' Read-only.' if declared.read_only else ''
    return text


def section(name: str, declared: list[Declaration]) -> str:
    """Return a heading and a table."""
    rows = '\n'.join(f'| `{d.name}` | `{value(d.default)}` | {allowed(d)} | {meaning(d)} |'
                     for d in declared)
    return f'\n## {name}\n\n{COLUMNS}\n{rows}\n'


def sections() -> dict[str, list[Declaration]]:
    """Return the parameters by the part of their name before the dot."""
    found: dict[str, list[Declaration]] = {}
    for declared in settings.declarations():
        prefix, dot, _ = declared.name.partition('.')
        found.setdefault(prefix.capitalize() if dot else 'General', []).append(declared)
    return found


def groups() -> str:
    """Return the part on protection groups."""
    rows = '\n'.join(f'| `{d.name}` | `{value(d.default)}` | {allowed(d)} | {meaning(d)} |'
                     for d in settings.group_declarations('NAME'))
    declared = f'{COLUMNS}\n{rows}'
    shipped = '\n'.join(
        f'| {group} | {settings.PRESET_OOM_SCORE_ADJ[group]} | '
        + ', '.join(f'`{text}`' for text in match) + ' |'
        for group, match in settings.PRESET_MATCH.items())
    return GROUPS.format(declared=declared, shipped=shipped)


def document() -> str:
    """Return the whole page."""
    return HEAD + ''.join(section(*item) for item in sections().items()) + groups()


def entry(declared: Declaration) -> str:
    """Return a parameter as config/oom_sentinel.yaml holds it, with its comment."""
    text = f'{declared.description} Allowed: {declared.allowed}.'
    text += ' Read-only.' if declared.read_only else ''
    comment = textwrap.fill(text, 99, initial_indent='    # ', subsequent_indent='    # ')
    if declared.name.endswith('.match') and declared.default:
        items = ''.join(f"\n      - '{item}'" for item in declared.default)
        return f'{comment}\n    {declared.name}:{items}\n'
    return f'{comment}\n    {declared.name}: {value(declared.default)}\n'


def example() -> str:
    """Return config/oom_sentinel.yaml; the groups' parameters follow `groups`."""
    text = EXAMPLE_HEAD
    for declared in settings.declarations():
        text += entry(declared)
        if declared.name == 'groups':
            text += ''.join(entry(d) for name in declared.default
                            for d in settings.group_declarations(name))
    return text


if __name__ == '__main__':
    EXAMPLE.write_text(example(), encoding='utf-8')
    TARGET.write_text(document(), encoding='utf-8')
