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
The parameter table as ROS parameters, and the parameter files it was started with.

rclpy checks types before any callback runs and takes `[]` for a list of bytes, so values are
brought into the table's types before rclpy sees them; every refusal is ours.
"""

from collections.abc import Callable
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import time
from typing import Any

from oom_sentinel import settings as table
from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.kernel.private_files import read_regular
from oom_sentinel.settings import Declaration
from oom_sentinel.settings import GROUP_PARAMETER
from oom_sentinel.settings import parameter_file
from oom_sentinel.settings import Settings
from oom_sentinel.settings import SettingsError
from oom_sentinel.settings.declaration import shortened
from oom_sentinel.settings.outside import LINE_MAX
from oom_sentinel.settings.outside import NAME_MAX
from oom_sentinel.settings.outside import printable
from oom_sentinel.settings.parameter_file import ParamsError
from rcl_interfaces.msg import FloatingPointRange
from rcl_interfaces.msg import IntegerRange
from rcl_interfaces.msg import ParameterDescriptor
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

TYPES = {float: Parameter.Type.DOUBLE, int: Parameter.Type.INTEGER,
         bool: Parameter.Type.BOOL, str: Parameter.Type.STRING,
         tuple: Parameter.Type.STRING_ARRAY}

# rclpy's own and, at a prefix, those of QoS overrides.
FOREIGN = ('use_sim_time', 'start_type_description_service')
FOREIGN_PREFIX = 'qos_overrides.'
REMEMBERED = 64  # values of groups that are gone; a list of selectors may have 64 kB
# Looking for a similar name takes some milliseconds; a request may hold a thousand names.
SUGGESTION_PAUSE_S = 0.1
WARNED = 20  # unknown names of parameter files that are logged one by one


def descriptor(declaration: Declaration) -> ParameterDescriptor:
    """Return description, type and range as ROS shows them."""
    described = ParameterDescriptor(
        name=declaration.name, description=declaration.description,
        type=TYPES[declaration.type].value, read_only=declaration.read_only,
        additional_constraints='Allowed: ' + declaration.allowed)
    if declaration.low is not None and declaration.high is not None:
        if declaration.type is float:
            described.floating_point_range = [FloatingPointRange(
                from_value=float(declaration.low), to_value=float(declaration.high))]
        else:
            described.integer_range = [IntegerRange(
                from_value=int(declaration.low), to_value=int(declaration.high), step=1)]
    return described


def to_ros(declaration: Declaration, value: Any) -> 'Parameter[Any]':
    """Return a parameter of the declared type."""
    return Parameter(declaration.name, TYPES[declaration.type],
                     list(value) if declaration.type is tuple else value)


class Parameters:
    """Declares the table on a node and keeps `settings` built from its values."""

    def __init__(self, node: Node, declare: Callable[..., Any],
                 undeclare: Callable[[str], Any]) -> None:
        """
        Declare every parameter with the values that the node was started with.

        :raises SettingsError: when a start value is refused.
        """
        self._node = node
        self._monotonic = time.monotonic
        self._suggested_s = NEVER_S
        self._declare = declare
        self._undeclare = undeclare
        overrides = {name: parameter.value for name, parameter
                     in node._parameter_overrides.items()}
        self.values: dict[str, Any] = {
            name: value for name, value in overrides.items() if not foreign(name)}
        self.settings = table.build(self.values)
        unknown = table.unknown(self.values)
        for name, _ in unknown:
            if GROUP_PARAMETER.match(name) is None:  # else its group may be named later
                del self.values[name]
        for name, meant in unknown[:WARNED]:
            node.get_logger().warning(
                f'parameter {printable(name, NAME_MAX)} is unknown and without effect'
                + self._meant_name(name, meant))
        if len(unknown) > WARNED:
            node.get_logger().warning(f'{len(unknown) - WARNED} more parameters are unknown and '
                                      'without effect')
        self.declared: dict[str, Declaration] = {}
        self.declare_missing(table.declarations_for(self.values), self.values)

    def _meant_name(self, name: str, meant: str) -> str:
        """Return what may have been meant by an unknown name."""
        group = GROUP_PARAMETER.match(name)
        if group is not None:
            return f': groups does not name {printable(group[1], NAME_MAX)!r}'
        return meant

    def declare_missing(self, declarations: Iterable[Declaration],
                        values: dict[str, Any]) -> list[str]:
        """Declare what is not declared yet and return its names."""
        names = []
        for declaration in declarations:
            if declaration.name in self.declared:
                continue
            value = declaration.coerce(values.get(declaration.name, declaration.default))
            parameter = to_ros(declaration, value)
            self.declared[declaration.name] = declaration
            self.values[declaration.name] = value
            self._declare(declaration.name, parameter.type_ if value == () else parameter.value,
                          descriptor(declaration), ignore_override=True)
            names.append(declaration.name)
            if value == ():
                Node.set_parameters_atomically(self._node, [parameter])
        return names

    def forget(self, names: Iterable[str]) -> None:
        """Undeclare parameters again."""
        for name in names:
            self.declared.pop(name, None)
            self.values.pop(name, None)
            self._undeclare(name)

    def keep(self, values: dict[str, Any], settings: Settings) -> None:
        """
        Make these values the present ones, and undeclare those of groups that are gone.

        Their values are remembered, for a group that comes back.
        """
        self.values = values
        if settings.groups != self.settings.groups:
            existing = {d.name for d in table.declarations_for(values)}
            for name in [n for n in self.declared if n not in existing]:
                del self.declared[name]
                self._undeclare(name)
            for name, declaration in self.declared.items():
                self.values.setdefault(name, declaration.default)
            self._forget_old_values(existing)
        self.settings = settings

    def _forget_old_values(self, existing: set[str]) -> None:
        """Keep the values of groups that are gone for REMEMBERED parameters at most."""
        gone = [name for name in self.values if name not in existing]
        for name in gone[:max(0, len(gone) - REMEMBERED)]:
            del self.values[name]

    def check(self, parameters: 'Iterable[Parameter[Any]]'
              ) -> 'tuple[list[Parameter[Any]], dict[str, Any], Settings]':
        """
        Return the parameters in the table's types, all values after them, and the settings.

        Costs no more for one parameter among many than for one among few.

        :raises SettingsError: with the reason to refuse them all.
        """
        ours = [p for p in parameters if not foreign(p.name)]
        taken = [p for p in parameters if foreign(p.name)]
        prospective = dict(self.values)
        prospective.update((p.name, p.value) for p in ours)
        declarations = self.declared
        if any(p.name == 'groups' for p in ours):
            declarations = {d.name: d for d in table.declarations_for(prospective)}
            prospective.update((name, d.coerce(prospective.get(name, d.default)))
                               for name, d in declarations.items() if name not in self.declared)
        for parameter in ours:
            declaration = declarations.get(parameter.name)
            if declaration is None:
                raise SettingsError(self._unknown_refusal(parameter.name))
            if parameter.type_ == Parameter.Type.NOT_SET:
                raise SettingsError(f'{parameter.name}: cannot be deleted')
            if declaration.read_only:
                raise SettingsError(f'{parameter.name}: {shortened(parameter.value)} refused, '
                                    'read-only: set it in the parameter file and start anew')
            value = prospective[parameter.name] = declaration.coerce(parameter.value)
            taken.append(to_ros(declaration, value))
        return taken, prospective, table.rebuild(
            self.settings, prospective, [p.name for p in ours])

    def _unknown_refusal(self, name: str) -> str:
        """Return the refusal of a name that is no parameter, with what may have been meant."""
        shown = printable(name, NAME_MAX)
        group = GROUP_PARAMETER.match(name)
        if group is not None and group[1] not in self.settings.groups:
            return (f'{shown}: no such parameter.  A new group is named in groups first: add '
                    f'{printable(group[1], NAME_MAX)!r} there')
        meant = ''
        now_s = self._monotonic()
        if due(now_s, self._suggested_s, SUGGESTION_PAUSE_S):
            self._suggested_s = now_s
            meant = table.hint(name, self.declared)
        return f'{shown}: no such parameter{meant}'


def foreign(name: str) -> bool:
    """Return whether a parameter belongs to rclpy, not to us."""
    return name in FOREIGN or name.startswith(FOREIGN_PREFIX)


def refused(reason: str) -> SetParametersResult:
    """Return a refusal."""
    return SetParametersResult(successful=False, reason=reason)


OPTION = '--params-file'


def parameter_files(words: Sequence[str]) -> Iterator[str]:
    """Return the files that follow --params-file between --ros-args and --."""
    inside = False
    for word, following in zip(words, [*words[1:], '']):
        if word == '--ros-args':
            inside = True
        elif word == '--':
            inside = False
        elif inside and word == OPTION and following:
            yield following


def unreadable(words: Sequence[str]) -> str | None:
    """Return why a file cannot be read, None when all can; rcl would wait for ever on a FIFO."""
    try:
        for path in parameter_files(words):
            parameter_file.text_of(path, read_regular)
    except ParamsError as error:
        return printable(str(error), LINE_MAX)
    return None


def refusals(words: Sequence[str]) -> str | None:
    """Return every refusal of the files with its line, None when our reader has none."""
    try:
        parameter_file.load(*parameter_files(words), read=read_regular)
    except ParamsError as error:
        return printable(str(error), LINE_MAX)
    return None


def log_files(words: Sequence[str], node_name: str, log: Any) -> None:
    """Log which files were read; warn about one that has nothing for this node."""
    files = tuple(parameter_files(words))
    if not files:
        log.info('no parameter file: defaults are used')
        return
    log.info('parameters from ' + ', '.join(printable(path, LINE_MAX) for path in files))
    try:
        loaded = parameter_file.load(*files, node=node_name, read=read_regular)
    except ParamsError as error:  # rcl could make something of it that we cannot
        log.warning(printable(str(error), LINE_MAX))
        return
    for warning in loaded.warnings:
        if parameter_file.NOTHING_FOR in warning:
            log.warning(printable(warning, LINE_MAX))
