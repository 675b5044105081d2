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

rclpy lets a value of unknown type end the node, and works through a request of any length.  The
middleware keeps the memory of the largest requests until a service is destroyed, so the services
are created anew soon after a large one.
"""

from collections.abc import Callable
from typing import Any
import weakref

from oom_sentinel.facts.due import due
from oom_sentinel.kernel.libc import give_memory_back
from oom_sentinel.node.parameters import refused
from oom_sentinel.settings.outside import NAME_MAX
from oom_sentinel.settings.outside import printable
from rclpy.parameter import Parameter
from rclpy.parameter_service import ParameterService
from rclpy.qos import QoSProfile

# Of a request: parameters, names and items of lists; with the most groups there are 424
# parameters.  rclpy makes Python objects of a request before anybody can refuse it: 25 us for
# each parameter, so that a larger one than REST_* is answered by a rest too.
REQUEST_ITEMS = 1000
REQUEST_BYTES = 1 << 18
PREFIXES = 50
REST_ITEMS = 20_000
REST_BYTES = 64 << 20
REST_S = 30.0
# Requests that wait.  rclpy keeps a thousand, and Fast DDS keeps the memory of as many of the
# largest size (measured with 20: 78 -> 112 MiB by requests of 200 kB to six services).
QOS = QoSProfile(depth=8)
# What makes a request large, and how long after the first large one the services are created anew:
# late enough that a sender of several is answered.  How much the node has grown does not matter:
# its memory is there before the request is seen, so that "before" cannot be measured.
LARGE_BYTES = 1 << 16
RENEW_S = 5.0


class _Services:
    """Stands for the node while rclpy creates the services, which choose no depth."""

    def __init__(self, node: Any) -> None:
        """Keep the node."""
        self._node = node
        self._created: list[Any] = []
        self.get_name = node.get_name

    def create_service(self, kind: Any, name: str, callback: Any, **_more: Any) -> Any:
        """Create a service in which few requests wait."""
        self._created.append(self._node.create_service(kind, name, callback, qos_profile=QOS))
        return self._created[-1]

    def destroy(self) -> None:
        """Destroy the services, and with them what waits and what the middleware keeps."""
        for service in self._created:
            self._node.destroy_service(service)
        self._created.clear()
        give_memory_back()


class ParameterServices(ParameterService):
    """Answers requests; whatever is wrong with one is answered too, never raised."""

    def __init__(self, node: Any, complain: Callable[[Exception], None]) -> None:
        """
        Create the services.

        :param complain: logs an error that should not have been.
        """
        self._set_on: Any = node
        self._complain = complain
        self._services = _Services(node)
        self._too_large = ''  # the request after which the services rest
        self._rests_s: float | None = None  # since when
        self._large_came = False  # since the services were created
        self._large_s: float | None = None  # when that was first seen
        self._create_services()

    def _create_services(self) -> None:
        super().__init__(self._services)  # type: ignore[arg-type]
        self._node_weak_ref = weakref.ref(self._set_on)

    @property
    def needs_tending(self) -> bool:
        """Return whether something is to be given back, now or later."""
        return bool(self._too_large or self._large_came) or self._rests_s is not None

    def tend(self, now_s: float) -> str | None:
        """
        Give back what requests made the node keep; return a line for the log, None without.

        Call it at every cycle, in the thread that answers requests, outside of its callbacks: an
        answer that is under way would be lost.
        """
        if self._too_large:
            text, self._too_large = self._too_large, ''
            self._destroy_services()
            self._rests_s = now_s
            return (f'another node sent {text} in one request: parameters can be read and set by '
                    f'others again in {REST_S:.0f} s')
        if self._rests_s is not None:
            if due(now_s, self._rests_s, REST_S):
                self._rests_s = None
                self._create_services()
            return None
        if self._large_came and self._large_s is None:
            self._large_s = now_s
        elif self._large_s is not None and due(now_s, self._large_s, RENEW_S):
            self._destroy_services()
            self._create_services()
        return None

    def _destroy_services(self) -> None:
        self._services.destroy()
        self._large_came, self._large_s = False, None

    def _set_parameters_callback(self, request: Any, response: Any) -> Any:
        problem = self._too_much(request.parameters)
        response.results = [refused(problem)] if problem else [
            self._set_parameters([message]) for message in request.parameters]
        return response

    def _set_parameters_atomically_callback(self, request: Any, response: Any) -> Any:
        problem = self._too_much(request.parameters)
        response.result = refused(problem) if problem else self._set_parameters(request.parameters)
        return response

    def _too_much(self, parameters: Any) -> str | None:
        """Return the refusal of a request that is too large, None when it is not."""
        if len(parameters) > REQUEST_ITEMS:
            self._note_cost(len(parameters), 0)
            return (f'{len(parameters)} parameters in a request refused, allowed: at most '
                    f'{REQUEST_ITEMS}')
        all_bytes = 0
        for message in parameters:
            items, size = _size_of(message)
            all_bytes += size
            self._note_cost(items, all_bytes)
            if items > REQUEST_ITEMS:
                return (f'{printable(message.name, NAME_MAX)}: a list of {items} items refused, '
                        f'allowed: at most {REQUEST_ITEMS}')
        if len(parameters) > 1 and all_bytes > REQUEST_BYTES:
            return f'{all_bytes} bytes in a request refused, allowed: at most {REQUEST_BYTES}'
        return None

    def _note_cost(self, items: int, size: int) -> None:
        """Let the services rest, or be created anew, when a request cost much."""
        self._large_came |= items > REQUEST_ITEMS or size > LARGE_BYTES
        if items > REST_ITEMS:
            self._too_large = f'{items} items'
        elif size > REST_BYTES:
            self._too_large = f'{size >> 20} MiB'

    def _set_parameters(self, messages: Any) -> Any:
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
        return self._bounded_answer(super()._describe_parameters_callback, request, response,
                                    request.names, REQUEST_ITEMS)

    def _get_parameters_callback(self, request: Any, response: Any) -> Any:
        return self._bounded_answer(super()._get_parameters_callback, request, response,
                                    request.names, REQUEST_ITEMS)

    def _get_parameter_types_callback(self, request: Any, response: Any) -> Any:
        return self._bounded_answer(super()._get_parameter_types_callback, request, response,
                                    request.names, REQUEST_ITEMS)

    def _list_parameters_callback(self, request: Any, response: Any) -> Any:
        return self._bounded_answer(super()._list_parameters_callback, request, response,
                                    request.prefixes, PREFIXES)

    def _bounded_answer(self, answer: Any, request: Any, response: Any, names: Any, most: int
                        ) -> Any:
        """
        Return rclpy's answer; an empty one to a request that is too long or that raises.

        So is one that names a parameter twice: a thousand times the longest list is 64 MB.
        """
        size = sum(map(len, names)) if len(names) <= most else 0
        self._note_cost(len(names), size)
        if len(names) > most or len(set(names)) < len(names):
            return response
        try:
            return answer(request, response)
        except Exception as error:  # noqa: B902 - the node goes on
            self._complain(error)
            return type(response)()


def _size_of(message: Any) -> tuple[int, int]:
    """Return the most items that a list of a parameter message has, and the bytes of its text."""
    value = message.value
    lists = (value.byte_array_value, value.bool_array_value, value.integer_array_value,
             value.double_array_value, value.string_array_value)
    items = max(map(len, lists))
    size = len(message.name) + len(value.string_value) + items
    if items <= REQUEST_ITEMS:
        size += sum(map(len, value.string_array_value))
    return items, size
