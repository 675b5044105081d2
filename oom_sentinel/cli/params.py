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

"""A ROS parameter file as `Settings`, without ROS: what rcl's YAML parser accepts."""

from fnmatch import fnmatchcase
import sys
from typing import Any

from oom_sentinel import settings
from oom_sentinel.cli.output import Unusable
from oom_sentinel.settings import Settings
from oom_sentinel.settings import SettingsError

NODE = '/oom_sentinel'


def load(path: 'str | None') -> Settings:
    """
    Return the settings of a parameter file, the defaults without one.

    :raises Unusable: naming file and key, when it is unreadable or a value is refused.
    """
    if path is None:
        return settings.build({})
    values = flatten(_yaml(path), path)
    for name, closest in settings.unknown(values, ('use_sim_time',)):
        print(f'oom_sentinel: {path}: parameter {name} is unknown'
              + (f', did you mean {closest}?' if closest else ''), file=sys.stderr)
    try:
        return settings.build(values)
    except SettingsError as error:
        raise Unusable(f'{path}: {error}') from error


def _yaml(path: str) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise Unusable('reading a parameter file needs PyYAML (python3-yaml)') from error
    try:
        with open(path, encoding='utf-8') as stream:
            return yaml.safe_load(stream)
    except OSError as error:
        raise Unusable(f'{path}: {error.strerror}') from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Unusable(f'{path}: not YAML: {" ".join(str(error).split())}') from error


def flatten(document: Any, path: str) -> 'dict[str, Any]':
    """
    Return the parameters that the file gives to this node, with dotted names.

    :raises Unusable: when the file has another shape than rcl's.
    """
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise Unusable(f'{path}: expected node names with ros__parameters')
    found: 'dict[str, Any]' = {}
    for key, below in document.items():
        _collect('/' + str(key).strip('/'), below, path, found)
    return found


def _collect(name: str, below: Any, path: str, found: 'dict[str, Any]') -> None:
    if not isinstance(below, dict):
        raise Unusable(f'{path}: {name}: expected ros__parameters')
    for key, value in below.items():
        if key == 'ros__parameters':
            if not isinstance(value, dict):
                raise Unusable(f'{path}: {name}: ros__parameters is no mapping')
            if means_us(name):
                _dotted('', value, found)
        else:
            _collect(f'{name}/{str(key).strip("/")}', value, path, found)


def means_us(name: str) -> bool:
    """Tell whether a node key of the file (`/**`, `/*`, `oom_sentinel`) means this node."""
    if '/' + name.strip('/').replace('/**', '').strip('/') in ('/', NODE) and '**' in name:
        return True
    return fnmatchcase(NODE, name)


def _dotted(prefix: str, value: 'dict[str, Any]', found: 'dict[str, Any]') -> None:
    for key, below in value.items():
        if isinstance(below, dict):
            _dotted(f'{prefix}{key}.', below, found)
        else:
            found[f'{prefix}{key}'] = below
