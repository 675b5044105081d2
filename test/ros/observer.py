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

"""A node of the tests that listens to the sentinel and calls it, over real DDS."""

import time

from conftest import TIMEOUT_S
from conftest import wait_for
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import Parameter
from rcl_interfaces.srv import DescribeParameters
from rcl_interfaces.srv import GetParameters
from rcl_interfaces.srv import ListParameters
from rcl_interfaces.srv import SetParameters
from rcl_interfaces.srv import SetParametersAtomically
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import parameter_value_to_python
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

ASK_AGAIN_S = 5.0
NUMBERS = ('memory_available_percent', 'memory_pressure_some_avg10', 'oom_risk',
           'time_to_exhaustion_s', 'group/expendable/rss_mib',
           'group/expendable/growth_mib_per_min')


class Observer:
    """Spins a node by hand: every wait is for a condition."""

    def __init__(self, target='oom_sentinel'):
        """Subscribe."""
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('observer', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.target = target
        self.arrays = []
        self.floats = {}
        self.node.create_subscription(DiagnosticArray, '/diagnostics', self.arrays.append, 10)
        for name in NUMBERS:
            self.node.create_subscription(
                Float64, f'/{target}/{name}',
                lambda message, name=name: self.floats.__setitem__(name, message.data), 10)

    def until(self, condition, what, timeout_s=TIMEOUT_S):
        """Spin until the condition holds and return its value."""
        def spun():
            self.executor.spin_once(timeout_sec=0.05)
            return condition()
        return wait_for(spun, what, timeout_s)

    def status(self, name):
        """Return the newest status of this name, None when none was received."""
        for array in reversed(self.arrays):
            for status in array.status:
                if status.name == f'{self.target}: {name}':
                    return status
        return None

    def values(self, name):
        """Return key -> value of the newest status of this name."""
        status = self.status(name)
        return {} if status is None else {v.key: v.value for v in status.values}

    def call(self, kind, name, request):
        """
        Call a service and return the answer.

        Fast DDS may lose the first call after two programs met, though the service is ready
        (measured: 4 of 4320 calls to a bare rclpy node; the second was always answered).
        """
        client = self.node.create_client(kind, f'/{self.target}/{name}')
        self.until(client.service_is_ready, f'service {name} is there')
        asked = [client.call_async(request)]
        again_s = time.monotonic() + ASK_AGAIN_S

        def answered():
            if len(asked) == 1 and time.monotonic() > again_s:
                asked.append(client.call_async(request))
            return next((f for f in asked if f.done()), None)
        future = self.until(answered, f'{name} answers')
        self.node.destroy_client(client)
        return future.result()

    def trigger(self, name):
        """Call ~/apply or ~/restore."""
        return self.call(Trigger, name, Trigger.Request())

    def set(self, atomically=False, **values):
        """Set parameters; `__` in a name stands for a dot.  Return the results."""
        from rclpy.parameter import Parameter as RclpyParameter
        made = [RclpyParameter(name.replace('__', '.'), value=value).to_parameter_msg()
                for name, value in values.items()]
        return self.set_messages(made, atomically)

    def set_messages(self, made, atomically=False):
        """Set parameter messages."""
        assert all(isinstance(m, Parameter) for m in made)
        if atomically:
            return [self.call(SetParametersAtomically, 'set_parameters_atomically',
                              SetParametersAtomically.Request(parameters=made)).result]
        return self.call(SetParameters, 'set_parameters',
                         SetParameters.Request(parameters=made)).results

    def get(self, name):
        """Return a parameter's value."""
        answer = self.call(GetParameters, 'get_parameters', GetParameters.Request(names=[name]))
        return parameter_value_to_python(answer.values[0])

    def names(self):
        """Return the names of all parameters."""
        return self.call(ListParameters, 'list_parameters',
                         ListParameters.Request()).result.names

    def describe(self, name):
        """Return a parameter's descriptor."""
        return self.call(DescribeParameters, 'describe_parameters',
                         DescribeParameters.Request(names=[name])).descriptors[0]

    def close(self):
        """End the node."""
        self.executor.remove_node(self.node)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)
