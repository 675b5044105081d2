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
The one parameter table: each field of `Settings` is the declaration of a parameter.

The node declares from it, the presets are checked against it and the documentation is made
from it.  Pure: a mapping of names to values goes in, a `Settings` or a `SettingsError` comes
out.
"""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
from dataclasses import replace
from typing import Any

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.settings.declaration import Declaration
from oom_sentinel.settings.declaration import declared_by
from oom_sentinel.settings.declaration import parameter
from oom_sentinel.settings.declaration import SettingsError
from oom_sentinel.settings.declaration import SettingsErrors
from oom_sentinel.settings.groups import Group
from oom_sentinel.settings.groups import group as make_group
from oom_sentinel.settings.groups import group_declarations
from oom_sentinel.settings.groups import group_names
from oom_sentinel.settings.groups import GROUP_PARAMETER
from oom_sentinel.settings.groups import too_many_selectors

UNKNOWN_NAMES = 50  # that many unknown names are compared with the known ones
NAME_CHARACTERS = 100
PROBLEMS_MAX = 50  # refusals in one message


@frozen
class Settings:
    """Every parameter of the sentinel; `protection_groups` is built from the group.* ones."""

    publish_period: float = parameter(
        1.0, 'Period of the diagnostics in seconds.', 0.1, 60.0)
    scan_period: float = parameter(
        2.0, 'Period in seconds in which the process table is read.', 0.2, 60.0)
    hardware_id: str = parameter(
        '', 'hardware_id of the diagnostics; empty: the host name.')
    memory_available_warn_percent: float = parameter(
        15.0, 'WARN when MemAvailable falls below this share of MemTotal, in percent.',
        0.0, 100.0)
    memory_available_error_percent: float = parameter(
        5.0, 'ERROR when MemAvailable falls below this share of MemTotal, in percent.',
        0.0, 100.0)
    swap_used_warn_percent: float = parameter(
        60.0, 'WARN when more swap is used, in percent, while MemAvailable is low too.',
        0.0, 100.0)
    swap_used_error_percent: float = parameter(
        90.0, 'ERROR when more swap is used, in percent, while MemAvailable is low too.',
        0.0, 100.0)
    pressure_some_avg10_warn: float = parameter(
        10.0, 'WARN when PSI some avg10 exceeds this, in percent.', 0.0, 100.0)
    pressure_full_avg10_error: float = parameter(
        5.0, 'ERROR when PSI full avg10 exceeds this, in percent.', 0.0, 100.0)
    pressure_trigger_stall_ms: int = parameter(
        150, 'Stall in milliseconds within a window that wakes the node at once; 0: off.',
        0, 1000)
    exhaustion_warn_s: float = parameter(
        180.0, 'WARN when memory would be exhausted within this many seconds.', 0.0, 86400.0)
    exhaustion_error_s: float = parameter(
        45.0, 'ERROR when memory would be exhausted within this many seconds.', 0.0, 86400.0)
    hold_s: float = parameter(
        5.0, 'Seconds a condition must be gone before its level falls.', 0.0, 600.0)
    protection_enabled: bool = parameter(
        True, 'Whether oom_score_adj values are written at all.')
    groups: tuple[str, ...] = parameter(
        ('bringup', 'drivers', 'navigation', 'expendable'),
        'Protection groups in order; a node belongs to the first that matches it.')
    protection_self_oom_score_adj: int = parameter(
        -300, 'oom_score_adj of the sentinel itself.', -1000, 1000)
    protection_when_denied: str = parameter(
        'raise_others', 'What to do when lowering is denied: raise the other processes, or only '
        'report.', choices=('raise_others', 'report'))
    protection_raise: str = parameter(
        'user', 'Which unprotected processes may be raised when lowering is denied: all of '
        "this user's, or ROS processes only.", choices=('user', 'ros'))
    protection_unmatched_oom_score_adj: int = parameter(
        0, 'What a ROS process of this user gets that no group matches and that carries a '
        'negative value it only inherited.', -1000, 1000)
    protection_killable_warn_percent: float = parameter(
        30.0, 'WARN when less than this share of used memory, in percent, belongs to processes '
        'that the kernel may kill before a protected one.', 0.0, 100.0)
    protection_restore_on_exit: bool = parameter(
        True, 'Give changed processes their old value back on an orderly exit.')
    protection_allow_unkillable: bool = parameter(
        False, 'Write -1000 as it stands instead of -999.', read_only=True)
    protection_other_users: bool = parameter(
        False, "Let a privileged sentinel act on other users' processes.", read_only=True)
    parameters_locked: bool = parameter(
        False, 'Refuse every change of a parameter, and ~/restore, while the node runs.',
        read_only=True)
    kills_hold_s: float = parameter(
        300.0, 'Seconds a kill keeps its status raised.', 0.0, 86400.0)
    incident_directory: str = parameter(
        '~/.ros/oom_sentinel', 'Where incident folders are written; empty: none.',
        read_only=True)
    incident_keep: int = parameter(
        20, 'How many incident folders are kept.', 0, 1000)
    shed_mode: str = parameter(
        'off', 'End processes of groups with shed steps before the kernel must: off, only '
        'report what would be done, or act.', choices=('off', 'report', 'act'))
    shed_exhaustion_s: float = parameter(
        15.0, 'Shed when memory would be exhausted within this many seconds.', 0.0, 3600.0)
    shed_full_avg10: float = parameter(
        20.0, 'Shed when PSI full avg10 exceeds this, in percent, while memory is low.',
        0.0, 100.0)
    shed_target_s: float = parameter(
        60.0, 'Shed as much as moves exhaustion this many seconds away.', 0.0, 3600.0)
    shed_restore_s: float = parameter(
        60.0, 'Activate deactivated nodes again after memory was plentiful for this many '
        'seconds.', 0.0, 3600.0)
    metrics_port: int = parameter(
        0, 'TCP port that serves OpenMetrics for Prometheus; 0: off.  Needs the Python package '
        'prometheus_client.', 0, 65535, read_only=True)
    metrics_address: str = parameter(
        '127.0.0.1', 'Address on which metrics.port listens.', read_only=True)
    protection_groups: tuple[Group, ...] = ()

    def group(self, name: str | None) -> Group | None:
        """Return the group of this name, None when there is none."""
        return next((g for g in self.protection_groups if g.name == name), None)


_FIELDS = declared_by(Settings)
_DECLARATIONS = tuple(_FIELDS.values())
_GROUPS = _FIELDS['groups']
ERROR_WARN_PAIRS = (
    # (the more alarming one, the other, whether the more alarming one is the smaller)
    ('memory_available_error_percent', 'memory_available_warn_percent', True),
    ('swap_used_error_percent', 'swap_used_warn_percent', False),
    ('exhaustion_error_s', 'exhaustion_warn_s', True),
)


def declarations() -> tuple[Declaration, ...]:
    """Return the fixed parameters, in the order of the table."""
    return _DECLARATIONS


def declarations_for(values: Mapping[str, object]) -> tuple[Declaration, ...]:
    """
    Return every parameter that exists when `groups` has the value given here.

    :raises SettingsError: when `groups` is not a list of valid, distinct names.
    """
    names = group_names(_GROUPS.coerce(values.get('groups', _GROUPS.default)))
    return _DECLARATIONS + tuple(d for name in names for d in group_declarations(name))


def build(values: Mapping[str, object]) -> Settings:
    """
    Return the settings that these parameter values mean; what is not named has its default.

    :raises SettingsError: naming parameter, value and allowed range; names that are no
        parameter are left aside, see `unknown`.
    """
    problems: list[str] = []
    known: Iterable[Declaration] = _DECLARATIONS
    with _refusals_added_to(problems):
        known = declarations_for(values)
    values = {**values, 'groups': ()} if problems else values  # its refusal is noted already
    coerced: dict[str, Any] = {}
    for declared in known:
        coerced[declared.name] = declared.default
        if declared.name in values:
            with _refusals_added_to(problems):
                coerced[declared.name] = declared.coerce(values[declared.name])
    made = replace(Settings(), **{field: coerced[d.name] for field, d in _FIELDS.items()})
    problems += _order_problems(made)
    groups = []
    for name in made.groups:
        with _refusals_added_to(problems):
            groups.append(make_group(name, coerced))
    problems += filter(None, [too_many_selectors(groups)])
    if problems:
        raise SettingsErrors(problems[:PROBLEMS_MAX])
    return replace(made, protection_groups=tuple(groups))


@contextlib.contextmanager
def _refusals_added_to(problems: list[str]) -> Iterator[None]:
    """Add a refusal to the problems instead of raising it."""
    try:
        yield
    except SettingsError as error:
        problems.append(str(error))


def _order_problems(made: Settings) -> list[str]:
    """Return which ERROR threshold is less alarming than its WARN one."""
    found = []
    for more, less, smaller in ERROR_WARN_PAIRS:
        a, b = getattr(made, more), getattr(made, less)
        if (a > b) if smaller else (a < b):
            found.append(f'{_FIELDS[more].name}: {a:g} refused, allowed: '
                         f'{"at most" if smaller else "at least"} {_FIELDS[less].name}, '
                         f'which is {b:g}')
    return found


def rebuild(settings: Settings, values: Mapping[str, Any],
            changed: Iterable[str]) -> Settings:
    """
    Return the settings with some parameters changed; a group that keeps its values is kept.

    :param values: all values, in the types of their parameters.
    :param changed: the names of those that `settings` may not hold yet.
    :raises SettingsError: when an ERROR threshold is less alarming than its WARN one, when a
        selector is malformed, or when all groups have too many selectors together.
    """
    names = frozenset(changed)
    made = replace(settings, **{field: values[d.name] for field, d in _FIELDS.items()
                                if d.name in names})
    problems = _order_problems(made)
    if problems:
        raise SettingsErrors(problems)
    touched = {match[1] for match in map(GROUP_PARAMETER.match, names) if match}
    known = {group.name: group for group in settings.protection_groups}
    groups = tuple(known[name] if name in known and name not in touched
                   else make_group(name, values) for name in made.groups)
    problem = too_many_selectors(groups)
    if problem is not None:
        raise SettingsErrors([problem])
    return made if groups == settings.protection_groups else replace(
        made, protection_groups=groups)


def unknown(values: Mapping[str, object],
            allowed: tuple[str, ...] = ()) -> tuple[tuple[str, str], ...]:
    """
    Return the names that are no parameter, each with what may have been meant: see `hint`.

    `allowed` are names that ROS itself declares.  Parameters of groups that `groups` does not
    list are unknown too, so that a typo in a group's name is seen.
    """
    try:
        known = [d.name for d in declarations_for(values)]
    except SettingsError:
        known = [d.name for d in declarations()]
    names = frozenset((*known, *allowed))
    odd = [name for name in values if name not in names]
    return tuple((name, hint(name, known) if index < UNKNOWN_NAMES else '')
                 for index, name in enumerate(odd))


def hint(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean" and the known name most like this one, or what a group has."""
    if len(name) > NAME_CHARACTERS:
        return ''
    import difflib  # only for a word that is refused
    group, _, last = name.rpartition('.')
    members = [k.rpartition('.')[2] for k in known if k.rpartition('.')[0] == group]
    if not group.startswith('group.') or not members:
        group, last, members = '', name, list(known)
    found = difflib.get_close_matches(last, members, 1)
    if found:
        return f'; did you mean {group}{"." if group else ""}{found[0]}?'
    return f'; {group} has {", ".join(members)}' if group else ''
