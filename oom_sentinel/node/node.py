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
The node: publishers, services, wakes and parameters over one `Sentinel`.

Cycles run on the steady clock and stamps are system time, so neither a paused simulation nor
a clock jump stops it.  rclpy's executor answers requests alone, in a thread of its own: one wait
of it costs 1 ms with thirty publishers and services.  `busy` is held by the thread that works.
"""

import math
import threading
import time
import traceback
from typing import Any

from oom_sentinel.facts import parts
from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.parts import error_place
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import LogLine
from oom_sentinel.facts.status import Report
from oom_sentinel.kernel.wake import Watch
from oom_sentinel.kills.kill_log import KERNEL_LOG
from oom_sentinel.node import kills
from oom_sentinel.node.metrics import Metrics
from oom_sentinel.node.names import Names
from oom_sentinel.node.parameter_services import ParameterServices
from oom_sentinel.node.parameters import foreign
from oom_sentinel.node.parameters import Parameters
from oom_sentinel.node.parameters import refused
from oom_sentinel.node.shedding import Shedding
from oom_sentinel.node.topics import Topics
from oom_sentinel.node.wakes import CYCLE
from oom_sentinel.node.wakes import Pace
from oom_sentinel.node.wakes import SCAN
from oom_sentinel.node.wakes import Wakes
from oom_sentinel.protection.last_report import Writer
from oom_sentinel.sentinel import Sentinel
from oom_sentinel.settings import declarations_for
from oom_sentinel.settings import Settings
from oom_sentinel.settings import SettingsError
from oom_sentinel.settings.outside import LINE_MAX
from oom_sentinel.settings.outside import printable
from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from std_srvs.srv import Trigger

CYCLE_S = 1.0  # levels are looked at this often even when publish_period is longer
COMPLAIN_S = 60.0
KEPT_S = 3.95  # a report without news is written for other programs so often: 0.4 ms each


def cycle_period(publish_period: float) -> float:
    """Return the longest period up to CYCLE_S of which publish_period is a multiple."""
    return publish_period / math.ceil(publish_period / CYCLE_S)


class OomSentinel(Node):
    """Publishes what the sentinel finds, and lets ROS tune it."""

    def __init__(self, watch: Watch, **kwargs: Any) -> None:
        """
        Declare parameters, open the sentinel and set the times of its cycles.

        :param watch: what wakes the node; its caller waits for it, calls `woken`, and closes it.
        :raises SettingsError: when a start parameter is refused.
        """
        self.parameters: Parameters | None = None
        self._complained_s: dict[str, float] = {}
        self._watch = watch
        self.busy = threading.RLock()
        super().__init__('oom_sentinel', start_parameter_services=False, **kwargs)
        self.parameter_services = ParameterServices(self, self.complain)
        self.parameters = Parameters(self, self.declare_parameter, self.undeclare_parameter)
        self.sentinel = Sentinel(self.parameters.settings,
                                 node_name=self.get_fully_qualified_name())
        self.names = Names(self, self.sentinel)
        self.topics = Topics(self, self.sentinel.host.hostname)
        self.topics.hardware_id = self.parameters.settings.hardware_id
        self._pace = Pace()
        self.wakes = Wakes(watch, self.sentinel, self.names.update, self.cycle)
        self._last_report = Writer(self.sentinel.root)
        self._kept_s = NEVER_S
        self.metrics = Metrics()
        self.metrics.serve(self.sentinel.settings.metrics_port,
                           self.sentinel.settings.metrics_address,
                           lambda text: self.get_logger().warning(text))
        self.kills = kills.Kills(self, watch, self.sentinel.kill_log.feed,
                                 self.topics.message)
        self.shedding = Shedding(self, self.sentinel.shedder, self.names.component,
                                 self._answer, self.topics.message)
        self.create_service(Trigger, '~/apply', self._apply)
        self.create_service(Trigger, '~/restore', self._restore)
        settings = self.parameters.settings
        self._cycle_period_s = 0.0
        self._set_times(settings)
        self.shedding.follow(settings.shed_mode, self.sentinel.shed)
        self._log_start()

    def _log_start(self) -> None:
        watching = self.sentinel.guard.watching
        self.get_logger().info(
            f'watching {printable(self.sentinel.host.hostname)}; diagnostics on '
            f'{self.topics.diagnostics_topic}'
            + (f'; only watching: {printable(watching)}' if watching else ''))

    def _guarded(self, work: Any) -> Any:
        """Return work that can't end the node: an error is logged once a minute."""
        def run() -> None:
            try:
                work()
            except Exception as error:  # noqa: B902 - nothing read may stop the cycle
                self.complain(error)
        return run

    def complain(self, error: Exception, what: str = 'a cycle failed and is tried again') -> None:
        """Log an error that should not have been, once a minute for each place."""
        place = error_place(error)  # not its text: others could vary that without end
        if due(self._now_s(), self._complained_s.get(place, NEVER_S), COMPLAIN_S):
            self._complained_s[place] = self._now_s()
            self.get_logger().error(f'{what}: {printable(str(error))} ({place})')
            self.get_logger().debug(traceback.format_exc(-8))

    def _now_s(self) -> float:
        return time.monotonic()

    def create_service(self, srv_type: Any, srv_name: str, callback: Any, **more: Any) -> Any:
        """Create a service; what answers its requests waits until the node is not busy."""
        def answer(request: Any, response: Any) -> Any:
            with self.busy:
                return callback(request, response)
        return super().create_service(srv_type, srv_name, answer, **more)

    def woken(self) -> None:
        """Do what the wakes ask for; run the cycle in its time, or at once where that is due."""
        with self.busy:
            self._guarded(self.wakes.answer)()

    def cycle(self) -> None:
        """Run the sentinel's cycle; publish every publish_period, at once when woken."""
        assert self.parameters is not None
        woken_by, run = self.wakes.begin(), self.sentinel.parts.run
        report = self.sentinel.cycle(woken_by, self.wakes.waking)
        self._log(report.log)
        now_s = self._now_s()
        run(parts.PUBLISHING, lambda: self.kills.publish(report.kills), None)
        run(parts.PUBLISHING, lambda: self.shedding.publish(report.actions), None)
        self.shedding.look_soon(self._watch)
        if self._pace.publishes(now_s, self.parameters.settings.publish_period,
                                at_once=bool(woken_by) or report.urgent):
            run(parts.PUBLISHING, lambda: self.topics.publish(report), None)
            run(parts.LAST_REPORT, lambda: self._keep_for_others(report, now_s), None)
        if self.parameter_services.needs_tending and self.executor is not None:
            self.executor.create_task(lambda: run(parts.REQUESTS, self._tend_services, None))
        run(parts.METRICS, lambda: self.metrics.update(report), None)
        run(parts.WAKES, lambda: self.wakes.follow(
            self.sentinel.settings, self.sentinel.sampler.cgroup_paths), None)
        if KERNEL_LOG not in woken_by:  # a kill is reported first
            self.names.update()

    def _tend_services(self) -> None:
        with self.busy:
            line = self.parameter_services.tend(self._now_s())
        if line is not None:
            self.get_logger().warning(line)

    def _keep_for_others(self, report: Report, now_s: float) -> None:
        """Write the report for `oom_sentinel status`, when this is the one that protects."""
        if not self.sentinel.guard.watching and (
                report.urgent or due(now_s, self._kept_s, KEPT_S)):
            self._kept_s = now_s
            self._last_report.write(
                report.statuses, self.get_fully_qualified_name(),
                self.topics.used_hardware_id, self.sentinel.settings.publish_period)

    def _log(self, lines: tuple[LogLine, ...]) -> None:
        """Log each line; rclpy wants one place in the source for each severity."""
        log = self.get_logger()
        for line in lines:
            text = printable(line.text, LINE_MAX)
            if line.level == Level.OK:
                log.info(text)
            elif line.level == Level.WARN:
                log.warning(text)
            else:
                log.error(text)

    def _apply(self, _request: Any, response: Any) -> Any:
        return self._answer(response, self.sentinel.apply)

    def _restore(self, _request: Any, response: Any) -> Any:
        if self.sentinel.settings.parameters_locked:
            response.success = False
            response.message = 'Nothing was changed: parameters.locked is true.'
            return response
        return self._answer(response, self.sentinel.restore)

    def _answer(self, response: Any, work: Any) -> Any:
        try:
            response.success, message = work()
        except Exception as error:  # noqa: B902 - the caller shall read it, the node go on
            self.complain(error)
            response.success, message = False, f'{type(error).__name__}: {error}'
        response.message = printable(message, LINE_MAX)
        return response

    def set_parameters_atomically(self, parameter_list: Any) -> SetParametersResult:
        """Check against the table, declare new groups, set all or nothing."""
        if self.parameters is not None and self.parameters.settings.parameters_locked:
            return refused('parameters.locked is true: nothing can be changed while the node runs')
        if self.parameters is None or all(foreign(p.name) for p in parameter_list):
            return super().set_parameters_atomically(parameter_list)
        try:
            return self._set(list(parameter_list))
        except SettingsError as error:
            return refused(str(error))
        except Exception as error:  # noqa: B902 - an exception here would end the node
            self.complain(error)
            return refused(printable(f'{type(error).__name__}: {error}'))

    def _set(self, parameter_list: list[Any]) -> SetParametersResult:
        parameters = self.parameters
        assert parameters is not None
        taken, values, settings = parameters.check(parameter_list)
        added: list[str] = []
        if settings.groups != parameters.settings.groups:
            added = parameters.declare_missing(declarations_for(values), values)
        result = super().set_parameters_atomically(taken)
        if not result.successful:
            parameters.forget(added)
            return result
        parameters.keep(values, settings)
        self._follow(settings)
        return result

    def _follow(self, settings: Settings) -> None:
        """Let new settings take effect now."""
        self.sentinel.configure(settings)
        self.topics.hardware_id = settings.hardware_id
        self.shedding.follow(settings.shed_mode, self.sentinel.shed)
        self._set_times(settings)

    def _set_times(self, settings: Settings) -> None:
        """Set when cycles run, and scans where cycles come too seldom for scan_period."""
        period_s = cycle_period(settings.publish_period)
        if period_s != self._cycle_period_s:
            self._cycle_period_s = period_s
            self._watch.every(period_s, CYCLE, lambda: True)
        if settings.scan_period < 0.95 * period_s:
            self._watch.every(settings.scan_period, SCAN, lambda: True)
        else:
            self._watch.never(SCAN)

    def end(self, orderly: bool) -> None:
        """Restore where that is safe, say so and publish a last time."""
        with self.busy:
            self._end(orderly)

    def _end(self, orderly: bool) -> None:
        self._guarded(self.kills.close)()
        self._guarded(self.metrics.close)()
        self._guarded(self._last_report.remove)()
        self._guarded(self.wakes.close)()
        line = self.sentinel.close(orderly)
        self.get_logger().info(line)
        if orderly:
            self._guarded(lambda: self.topics.publish(self.sentinel.cycle()))()
