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
The node: publishers, timers, services, wakes and parameters over one `Sentinel`.

Timers run on the steady clock and stamps are system time, so neither a paused simulation nor
a clock jump stops it.
"""

import math
import traceback
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from oom_sentinel.facts.status import Report
from oom_sentinel.facts.status import Status
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.kills.kill_log import KERNEL_LOG
from oom_sentinel.node import kills
from oom_sentinel.node import messages
from oom_sentinel.node.containers import Containers
from oom_sentinel.node.graph import Attribution
from oom_sentinel.node.graph import Graph
from oom_sentinel.node.parameters import foreign
from oom_sentinel.node.parameters import Parameters
from oom_sentinel.node.parameters import refused
from oom_sentinel.node.wakes import Wakes
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import declarations_for
from oom_sentinel.settings import Settings
from oom_sentinel.settings import SettingsError
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock
from rclpy.clock import ClockType  # type: ignore[attr-defined]  # where Humble has it
from rclpy.node import Node
from std_msgs.msg import Float64
from std_srvs.srv import Trigger

CYCLE_S = 1.0  # levels are looked at this often even when publish_period is longer
COMPLAIN_S = 60.0


def cycle_period(publish_period: float) -> float:
    """Return the longest period up to CYCLE_S of which publish_period is a multiple."""
    return publish_period / math.ceil(publish_period / CYCLE_S)


class OomSentinel(Node):
    """Publishes what the sentinel finds, and lets ROS tune it."""

    def __init__(self, watch: Watch, **kwargs: Any) -> None:
        """
        Declare parameters, open the sentinel and start the timers.

        :param watch: what wakes the node; its caller starts and closes it.
        :raises SettingsError: when a start parameter is refused.
        """
        super().__init__('oom_sentinel', **kwargs)
        self.parameters: Parameters | None = None
        self.parameters = Parameters(self, self.declare_parameter, self.undeclare_parameter)
        self.sentinel = Sentinel(self.parameters.settings,
                                 node_name=self.get_fully_qualified_name())
        self.graph = Graph(self)
        self.containers = Containers(self)
        self._attribution = Attribution()
        self._said: dict[str, float] = {}
        self._published_s = float('-inf')
        self.wakes = Wakes(watch, self.sentinel, self._learn, self.cycle)
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._system = Clock(clock_type=ClockType.SYSTEM_TIME)
        self._diagnostics = self.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self.kills = kills.Kills(self, watch, self.sentinel.kill_log.feed, self._message)
        self._available = self.create_publisher(Float64, '~/memory_available_percent', 10)
        self._pressure = self.create_publisher(Float64, '~/memory_pressure_some_avg10', 10)
        self._risk = self.create_publisher(Float64, '~/oom_risk', 10)
        self.create_service(Trigger, '~/apply', self._apply)
        self.create_service(Trigger, '~/restore', self._restore)
        settings = self.parameters.settings
        self._cycle_timer = self.create_timer(
            cycle_period(settings.publish_period), self._guarded(self.cycle), clock=self._steady)
        self._scan_timer: Any = None
        self._time_scans(settings)
        self._tell_start()

    def _tell_start(self) -> None:
        watching = self.sentinel.guard.watching
        self.get_logger().info(
            f'watching {self.sentinel.hostname}; diagnostics on '
            f'{self._diagnostics.topic_name}' + (f'; only watching: {watching}'
                                                 if watching else ''))

    def _guarded(self, work: Any) -> Any:
        """Return work that can't end the node: an error is logged once a minute."""
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: B902 - nothing read may stop the cycle
                self._complain(error)
        return run

    def _complain(self, error: Exception) -> None:
        key = f'{type(error).__name__}: {error}'
        now_s = self._steady.now().nanoseconds / 1e9
        if now_s - self._said.get(key, float('-inf')) >= COMPLAIN_S:
            self._said[key] = now_s
            self.get_logger().error(f'a cycle failed and is tried again: {key}\n'
                                    + traceback.format_exc())

    def _learn(self) -> None:
        processes = self.sentinel.ros_processes()
        if self.graph.changed(processes):
            self._attribution = self.graph.names(processes)
            if self.sentinel.table.examine(self._attribution.unclaimed):
                self.sentinel.scan(new=True)
                processes = self.sentinel.ros_processes()
                self._attribution = self.graph.names(processes)
        inside = self.containers.names(processes, self._attribution.names)
        if self.sentinel.learn({**self._attribution.names, **inside},
                               self._attribution.missing):
            self.sentinel.scan()

    def woken(self) -> None:
        """Answer whatever woke the executor; run the cycle at once where that is due."""
        self._guarded(self.wakes.answer)()

    def cycle(self) -> None:
        """Run the sentinel's cycle; publish every publish_period, at once when woken."""
        assert self.parameters is not None
        woken_by = self.wakes.begin()
        if KERNEL_LOG not in woken_by:  # a kill is told first
            self._learn()
        report = self.sentinel.cycle(woken_by, self.wakes.waking)
        now_s = self._steady.now().nanoseconds / 1e9
        due_s = self._published_s + self.parameters.settings.publish_period
        self.kills.tell(report.kills)
        if woken_by or report.urgent or now_s >= due_s - 0.05:
            self._published_s = now_s
            self.publish(report)
        self.wakes.follow(self.parameters.settings, self.sentinel.cgroup_paths)

    def _message(self, statuses: tuple[Status, ...]) -> DiagnosticArray:
        assert self.parameters is not None
        return messages.array(
            statuses, self._system.now().to_msg(), self.get_fully_qualified_name(),
            self.parameters.settings.hardware_id or self.sentinel.hostname)

    def publish(self, report: Report) -> None:
        """Publish a report."""
        self._diagnostics.publish(self._message(report.statuses))
        for publisher, value in ((self._available, report.memory_available_percent),
                                 (self._pressure, report.memory_pressure_some_avg10),
                                 (self._risk, report.oom_risk)):
            if value is not None:
                publisher.publish(Float64(data=float(value)))

    def _apply(self, _request: Any, response: Any) -> Any:
        return self._answer(response, self.sentinel.apply)

    def _restore(self, _request: Any, response: Any) -> Any:
        return self._answer(response, self.sentinel.restore)

    def _answer(self, response: Any, work: Any) -> Any:
        try:
            response.success, response.message = work()
        except Exception as error:  # noqa: B902 - the caller shall read it, the node go on
            self._complain(error)
            response.success, response.message = False, f'{type(error).__name__}: {error}'
        return response

    def set_parameters_atomically(self, parameter_list: Any) -> SetParametersResult:
        """Check against the table, declare new groups, set all or nothing."""
        if self.parameters is None or all(foreign(p.name) for p in parameter_list):
            return super().set_parameters_atomically(parameter_list)
        try:
            return self._set(list(parameter_list))
        except SettingsError as error:
            return refused(str(error))
        except Exception as error:  # noqa: B902 - an exception here would end the node
            self._complain(error)
            return refused(f'{type(error).__name__}: {error}')

    def _set(self, parameter_list: list[Any]) -> SetParametersResult:
        parameters = self.parameters
        assert parameters is not None
        taken, values, settings = parameters.check(parameter_list)
        added = parameters.declare_missing(declarations_for(values), values)
        result = super().set_parameters_atomically(taken)
        if not result.successful:
            parameters.forget(added)
            return result
        parameters.keep(values)
        self._follow(settings)
        return result

    def _follow(self, settings: Settings) -> None:
        """Let new settings take effect now."""
        assert self.parameters is not None
        self.parameters.settings = settings
        self.sentinel.configure(settings)
        seconds = cycle_period(settings.publish_period)
        if self._cycle_timer.timer_period_ns != int(seconds * 1e9):
            self._cycle_timer.timer_period_ns = int(seconds * 1e9)
            self._cycle_timer.reset()
        self._time_scans(settings)

    def _time_scans(self, settings: Settings) -> None:
        """Let a timer scan where cycles come too seldom for scan_period."""
        if self._scan_timer is not None:
            self.destroy_timer(self._scan_timer)
            self._scan_timer = None
        if settings.scan_period < 0.95 * cycle_period(settings.publish_period):
            self._scan_timer = self.create_timer(
                settings.scan_period, self._guarded(self.sentinel.scan), clock=self._steady)

    def end(self, orderly: bool) -> None:
        """Restore where that is safe, say so and publish a last time."""
        self.kills.close()
        self._guarded(self.wakes.close)()
        line = self.sentinel.close(orderly)
        self.get_logger().info(line)
        if orderly:
            self._guarded(lambda: self.publish(self.sentinel.cycle()))()
