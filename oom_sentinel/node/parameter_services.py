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
The services through which others read and set parameters, with limits of their own.

rclpy lets a value of unknown type end the node, and works through a request of any length.
"""

from collections.abc import Callable
from typing import Any
import weakref

from oom_sentinel.node.parameters import refused
from oom_sentinel.settings.outside import printable
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService
from rclpy.qos import QoSProfile

# parameters or names in a request; with the most groups there are 424 parameters
REQUEST_ITEMS = 1000
PREFIXES = 50
# Requests that wait.  rclpy keeps a thousand, and a peer that sends them faster than they are
# answered, each of a megabyte, makes the node keep a gigabyte (measured: 78 -> 477 MiB).
QOS = QoSProfile(depth=20)


class _WithFewWaiting:
    """Stands for the node while rclpy creates the services, which choose no depth."""

    def __init__(self, node: Any) -> None:
        """Keep the node."""
        self._node = node
        self.get_name = node.get_name

    def create_service(self, kind: Any, name: str, callback: Any, **_more: Any) -> Any:
        """Create a service in which few requests wait."""
        return self._node.create_service(kind, name, callback, qos_profile=QOS)


class ParameterServices(ParameterService):
    """Answers requests; whatever is wrong with one is answered too, never raised."""

    def __init__(self, node: Any, complain: Callable[[Exception], None]) -> None:
        """
        Create the services.

        :param complain: logs an error that should not have been.
        """
        self._set_on: Any = node
        self._complain = complain
        super().__init__(_WithFewWaiting(node))  # type: ignore[arg-type]
        self._node_weak_ref = weakref.ref(node)

    def _set_parameters_callback(self, request: Any, response: Any) -> Any:
        if len(request.parameters) > REQUEST_ITEMS:
            response.results = [_too_many(request.parameters)]
            return response
        response.results = [self._set([message]) for message in request.parameters]
        return response

    def _set_parameters_atomically_callback(self, request: Any, response: Any) -> Any:
        response.result = _too_many(request.parameters) \
            if len(request.parameters) > REQUEST_ITEMS else self._set(request.parameters)
        return response

    def _set(self, messages: Any) -> Any:
        parameters = []
        for message in messages:
            try:
                parameters.append(Parameter.from_parameter_msg(message))
            except (ValueError, TypeError, AssertionError):
                return refused(f'{printable(message.name)}: a value of type '
                               f'{message.value.type} refused, allowed: the types of ROS')
        try:
            return self._set_on.set_parameters_atomically(parameters)
        except Exception as error:  # noqa: B902 - the caller shall read it, the node go on
            self._complain(error)
            return refused(f'{type(error).__name__}: {printable(str(error))}')

    def _describe_parameters_callback(self, request: Any, response: Any) -> Any:
        return self._answered(super()._describe_parameters_callback, request, response,
                              len(request.names) <= REQUEST_ITEMS)

    def _get_parameters_callback(self, request: Any, response: Any) -> Any:
        return self._answered(super()._get_parameters_callback, request, response,
                              len(request.names) <= REQUEST_ITEMS)

    def _get_parameter_types_callback(self, request: Any, response: Any) -> Any:
        return self._answered(super()._get_parameter_types_callback, request, response,
                              len(request.names) <= REQUEST_ITEMS)

    def _list_parameters_callback(self, request: Any, response: Any) -> Any:
        return self._answered(super()._list_parameters_callback, request, response,
                              len(request.prefixes) <= PREFIXES)

    def _answered(self, answer: Any, request: Any, response: Any, bounded: bool) -> Any:
        """Return rclpy's answer; an empty one to a request that is too long or that raises."""
        if not bounded:
            return response
        try:
            return answer(request, response)
        except Exception as error:  # noqa: B902 - the node goes on
            self._complain(error)
            return type(response)()


def _too_many(parameters: Any) -> Any:
    return refused(f'{len(parameters)} parameters in a request refused, allowed: at most '
                   f'{REQUEST_ITEMS}')
