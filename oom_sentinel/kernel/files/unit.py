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

"""Unit files of systemd (systemd.syntax(7)) and the unit that a cgroup path names."""

from collections.abc import Iterable


def unit_of(path: str) -> tuple[str, bool] | None:
    """
    Return the service of a systemd cgroup path and whether it is a user manager's own.

    None in a scope (a login session, a terminal's tab) and in no unit at all.
    """
    user, name = False, None
    for part in path.split('/'):
        if part.endswith(('.service', '.scope')):
            user = user or (name or '').startswith('user@')
            name = part
    if name is None or name.endswith('.scope') or name.startswith('user@'):
        return None
    return name, user


def in_user_session(path: str) -> bool:
    """Return whether a process was started by a user's own service manager, as on a desktop."""
    return any(part.startswith('user@') and part.endswith('.service')
               for part in path.split('/'))


def names(unit: str) -> tuple[str, ...]:
    """Return the file names of a unit: its own, and its template's for an instance."""
    stem, at, instance = unit.partition('@')
    kind = unit.rpartition('.')[2]
    if not at or not instance.partition('.')[0]:
        return (unit,)
    return (unit, f'{stem}@.{kind}')


def drop_in_names(unit: str) -> tuple[str, ...]:
    """
    Return the names whose folders NAME.d hold drop-ins of a unit, the closest name first.

    The unit itself, its template, its prefixes that end with a dash, and its kind.
    """
    kind = unit.rpartition('.')[2]
    found = list(names(unit))
    prefix = unit.partition('@')[0].removesuffix('.' + kind).rstrip('-')
    while '-' in prefix:
        prefix = prefix[:prefix.rindex('-')].rstrip('-')
        if prefix:
            found.append(f'{prefix}-.{kind}')
    return (*found, kind)


def settings(files: Iterable[bytes], section: str) -> dict[str, str]:
    """
    Return the assignments of a section; a later one overrides, an empty value resets.

    A line that ends with a backslash goes on in the next one.
    """
    found: dict[str, str] = {}
    for data in files:
        inside = False
        for raw in data.decode('utf-8', 'replace').replace('\\\n', ' ').split('\n'):
            line = raw.strip()
            if line.startswith('['):
                inside = line == f'[{section}]'
            elif inside and not line.startswith(('#', ';')):
                key, assign, value = line.partition('=')
                if assign:
                    found[key.strip()] = value.strip()
    return {key: value for key, value in found.items() if value}
