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
The parameter table as ROS parameters.

rclpy checks types before any callback runs and takes `[]` for a list of bytes, so values are
brought into the table's types before rclpy sees them; every refusal is ours.
"""

from collections.abc import Callable
from collections.abc import Iterable
from typing import Any

from oom_sentinel import settings as table
from oom_sentinel.settings import Declaration
from oom_sentinel.settings import GROUP_PARAMETER
from oom_sentinel.settings import Settings
from oom_sentinel.settings import SettingsError
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


def to_ros(declaration: Declaration, value: Any) -> Parameter[Any]:
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
        self._declare = declare
        self._undeclare = undeclare
        overrides = {name: parameter.value for name, parameter
                     in node._parameter_overrides.items()}
        self.values: dict[str, Any] = {
            name: value for name, value in overrides.items() if not foreign(name)}
        self.settings = table.build(self.values)
        for name, closest in table.unknown(self.values):
            node.get_logger().warning(
                f'parameter {name} is unknown and without effect'
                + (f'; did you mean {closest}?' if closest else ''))
        self.declared: dict[str, Declaration] = {}
        self.declare_missing(table.declarations_for(self.values), self.values)

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

    def keep(self, values: dict[str, Any]) -> None:
        """
        Take these values for good, and undeclare what groups that are gone had.

        Their values are remembered, for a group that comes back.
        """
        self.values = values
        existing = {d.name for d in table.declarations_for(values)}
        for name in [n for n in self.declared if n not in existing]:
            del self.declared[name]
            self._undeclare(name)
        for name, declaration in self.declared.items():
            self.values.setdefault(name, declaration.default)

    def check(self, parameters: Iterable[Parameter[Any]]
              ) -> tuple[list[Parameter[Any]], dict[str, Any], Settings]:
        """
        Return the parameters in the table's types, all values after them, and the settings.

        :raises SettingsError: with the reason to refuse them all.
        """
        parameters = list(parameters)
        prospective = dict(self.values)
        for parameter in parameters:
            if not foreign(parameter.name):
                if parameter.type_ == Parameter.Type.NOT_SET:
                    raise SettingsError(f'{parameter.name}: cannot be deleted')
                prospective[parameter.name] = parameter.value
        declarations = {d.name: d for d in table.declarations_for(prospective)}
        taken = []
        for parameter in parameters:
            if foreign(parameter.name):
                taken.append(parameter)
                continue
            declaration = declarations.get(parameter.name)
            if declaration is None:
                raise SettingsError(_no_such(parameter.name, prospective))
            if declaration.read_only:
                raise SettingsError(f'{parameter.name}: {parameter.value!r} refused, read-only: '
                                    'set it in the parameter file and start anew')
            value = declaration.coerce(parameter.value)
            prospective[parameter.name] = value
            taken.append(to_ros(declaration, value))
        return taken, prospective, table.build(prospective)


def _no_such(name: str, values: dict[str, Any]) -> str:
    """Return the refusal of a name that is no parameter, with what may have been meant."""
    closest = dict(table.unknown({**values, name: None})).get(name)
    group = GROUP_PARAMETER.match(name)
    return (f'{name}: no such parameter'
            + (f'; did you mean {closest}?' if closest else '')
            + (f' A new group is named in groups first: add {group[1]!r} there' if group
               else ''))


def foreign(name: str) -> bool:
    """Tell whether a parameter belongs to rclpy, not to us."""
    return name in FOREIGN or name.startswith(FOREIGN_PREFIX)


def refused(reason: str) -> SetParametersResult:
    """Return a refusal."""
    return SetParametersResult(successful=False, reason=reason)
