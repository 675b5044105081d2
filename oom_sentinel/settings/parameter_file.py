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
ROS parameter files as `Settings`, without ROS: what rcl's YAML parser accepts.

Prints nothing: what the user should know comes back as warnings, what nothing can be made of
as `ParamsError`.
"""

from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import cache
from typing import Any

from oom_sentinel import settings
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.settings import Settings
from oom_sentinel.settings.declaration import SettingsErrors

NODE = '/oom_sentinel'
# What rclpy itself declares on every node.
FROM_ROS = ('use_sim_time', 'start_type_description_service')
SHOWN = 40
FILE_BYTES = 1 << 20
NOTHING_FOR = 'nothing for'
TOKENS_MAX = 64  # of a node's key

# (path, most) -> content, one byte more than `most` of a larger file; OSError when it has none
Read = Callable[[str, int], bytes]


class ParamsError(ValueError):
    """A parameter file that cannot be followed; the text names file and key."""


@frozen
class Loaded:
    """The settings, what is odd about the files, and the parameters that they name."""

    settings: Settings
    warnings: tuple[str, ...] = ()
    named: frozenset[str] = frozenset()


def _open_and_read(path: str, most: int) -> bytes:
    with open(path, 'rb') as stream:
        return stream.read(most + 1)


def load(*paths: str, node: str | None = None, read: Read = _open_and_read) -> Loaded:
    """
    Return the settings of parameter files, the defaults without one.

    :param paths: files in rising order: a later one overrides an earlier one, as in rcl.
    :param node: the node's fully qualified name; None: the name that a file gives it.
    :param read: reads a file; kernel.private_files.read_regular refuses what is no file.
    :raises ParamsError: naming file and key, when one is unreadable or a value is refused.
    """
    values: dict[str, Any] = {}
    warnings: list[str] = []
    errors: dict[str, str] = {}
    for path in paths:
        try:
            found = flatten(_load_yaml(path, read), path, node, warnings)
            values.update(found)
            settings.build(values)
        except RecursionError as error:
            raise ParamsError(f'{path}: not YAML for ROS: nested without end') from error
        except SettingsErrors as error:
            at = _lines_of_parameters(path, read)
            for problem in error.problems:
                name = problem.partition(':')[0]
                where = f' (line {at[name]})' if name in at else ''
                errors.setdefault(name, f'{path}: {problem}{where}')
        warnings += [f'{path}: parameter {shown(name)} is unknown{meant}'
                     for name, meant in settings.unknown(values, FROM_ROS)[:SHOWN]
                     if name in found]
    if errors:
        raise ParamsError('; '.join(errors.values()))
    return Loaded(settings.build(values), tuple(warnings), frozenset(values))


def shown(text: str, width: int = SHOWN) -> str:
    """Return a name that cannot disturb a terminal, cut to a width."""
    safe = ''.join(c if c.isprintable() else c.encode('unicode_escape').decode() for c in text)
    return safe if len(safe) <= width else safe[:width - 3] + '...'


def _load_yaml(path: str, read: Read = _open_and_read) -> Any:
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError as error:
        raise ParamsError(f'{path}: reading a parameter file needs PyYAML: apt-get install '
                          'python3-yaml') from error
    try:
        return yaml.load(text_of(path, read), Loader=_loader())
    except ParamsError:
        raise
    # PyYAML lets what int(), date() and its own pattern of a time make of a bad scalar through.
    except (yaml.YAMLError, ValueError, LookupError, AttributeError) as error:
        raise ParamsError(f'{path}: not YAML: {" ".join(str(error).split())}') from error


def text_of(path: str, read: Read) -> str:
    """
    Return the text of a file.

    :raises ParamsError: when it cannot be read, is no text, or is larger than any such file.
    """
    try:
        content = read(path, FILE_BYTES)
    except OSError as error:
        raise ParamsError(f'{path}: {error.strerror}') from error
    except ValueError as error:  # a path with a zero byte
        raise ParamsError(f'{shown(path)}: {error}') from error
    if len(content) > FILE_BYTES:
        raise ParamsError(f'{path}: more than {FILE_BYTES >> 20} MiB, so no parameter file')
    try:
        return content.decode('utf-8')
    except UnicodeDecodeError as error:
        raise ParamsError(f'{path}: not YAML: {error}') from error


@cache
def _loader() -> Any:
    """Return PyYAML's safe loader without aliases: rcl has none, and they can explode."""
    import yaml

    class Loader(yaml.SafeLoader):  # type: ignore[misc]
        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.check_event(yaml.AliasEvent):
                raise yaml.composer.ComposerError(
                    None, None, 'aliases are not supported by ROS', self.peek_event().start_mark)
            return super().compose_node(parent, index)
    return Loader


def _lines_of_parameters(path: str, read: Read) -> dict[str, int]:
    """Return the line of each parameter, the last one where it stands several times."""
    import yaml
    found: dict[str, int] = {}

    def walk(node: Any, prefix: str, inside: bool) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            name = str(getattr(key, 'value', ''))
            if inside:
                found[prefix + name] = key.start_mark.line + 1
            walk(value, f'{prefix}{name}.' if inside else '', inside or name == 'ros__parameters')

    walk(yaml.compose(text_of(path, read), Loader=_loader()), '', False)
    return found


def flatten(document: Any, path: str, node: str | None = None,
            warnings: list[str] | None = None) -> dict[str, Any]:
    """
    Return the parameters that the file gives to this node, with dotted names.

    A later section overrides an earlier one, wildcard or not, as rcl does it.  Adds to
    `warnings` when the file has parameters for other nodes only.

    :raises ParamsError: when the file has another shape than rcl's.
    """
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ParamsError(f'{path}: expected node names with ros__parameters')
    sections: list[tuple[str, dict[Any, Any]]] = []
    for key, below in document.items():
        _collect_sections('/' + str(key).strip('/'), below, path, sections)
    ours = node or _our_name([name for name, _ in sections])
    found: dict[str, Any] = {}
    for name, values in sections:
        if means(name, ours):
            _add_dotted('', values, found)
    if warnings is not None and not any(means(name, ours) for name, _ in sections):
        others = shown(', '.join(name for name, _ in sections), 200)
        warnings.append(f'{path}: {NOTHING_FOR} {ours}, defaults are used; parameters for: '
                        f'{others or "no node"}')
    return found


def _our_name(names: list[str]) -> str:
    """Return the node's name: in a namespace when the file names it in exactly one."""
    spaced = {name for name in names if name.endswith(NODE) and '*' not in name}
    return spaced.pop() if len(spaced) == 1 else NODE


def _collect_sections(name: str, below: Any, path: str,
                      sections: list[tuple[str, dict[Any, Any]]]) -> None:
    if not isinstance(below, dict):
        raise ParamsError(f'{path}: {shown(name)}: expected ros__parameters')
    for key, value in below.items():
        if key != 'ros__parameters':
            _collect_sections(f'{name}/{str(key).strip("/")}', value, path, sections)
        elif isinstance(value, dict):
            sections.append((name, value))
        else:
            raise ParamsError(f'{path}: {shown(name)}: ros__parameters is no mapping')


def means(key: str, node: str = NODE) -> bool:
    """
    Return whether a node key of the file means this node.

    rcl's wildcards: `*` is one token between slashes, `**` any number of them.
    """
    tokens = [token for token in key.split('/') if token]
    return _tokens_mean(tuple(tokens), tuple(token for token in node.split('/') if token))


def _tokens_mean(key: tuple[str, ...], node: tuple[str, ...]) -> bool:
    """Compare token by token; `places` are the lengths of node that the key so far may mean."""
    places = {0}
    for token in key[:TOKENS_MAX]:
        if token == '**':
            places = set(range(min(places, default=len(node) + 1), len(node) + 1))
        else:
            places = {at + 1 for at in places if at < len(node) and fnmatchcase(node[at], token)}
    return len(node) in places and len(key) <= TOKENS_MAX


def _add_dotted(prefix: str, value: dict[str, Any], found: dict[str, Any]) -> None:
    for key, below in value.items():
        if isinstance(below, dict):
            _add_dotted(f'{prefix}{key}.', below, found)
        else:
            found[f'{prefix}{key}'] = below
