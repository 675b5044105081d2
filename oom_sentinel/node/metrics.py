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
OpenMetrics for Prometheus, served by prometheus_client where a port is set.

Names follow node_exporter's conventions: base units, `_total` for counters.  The library is
imported only when metrics.port is not 0.
"""

from collections.abc import Callable
from collections.abc import Iterator
import importlib
from typing import Any

from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.status import Report
from oom_sentinel.settings.outside import printable

PREFIX = 'oom_sentinel_'
PACKAGE = 'prometheus_client'
REMEDY = 'apt-get install python3-prometheus-client'


class Metrics:
    """The newest report as metrics; the library asks for them in a thread of its own."""

    def __init__(self) -> None:
        """Start without a report."""
        self._report: Report | None = None  # replaced as a whole, so no lock is needed
        self._kills = 0
        self._server: Any = None
        self._thread: Any = None

    def update(self, report: Report) -> None:
        """Set what is served from now on."""
        self._kills += len(report.kills)
        self._report = report

    def serve(self, port: int, address: str, warn: Callable[[str], object]) -> None:
        """
        Start to serve, unless the port is 0.

        :param warn: logs why nothing is served.
        """
        if not port:
            return
        try:
            library = importlib.import_module(PACKAGE)
            registry = library.CollectorRegistry(auto_describe=False)
            registry.register(self)
            started = library.start_http_server(port, address, registry)
        except ImportError:
            warn(f'metrics.port: nothing is served, the Python package {PACKAGE} is missing: '
                 f'{REMEDY}')
            return
        except (OSError, OverflowError, UnicodeError) as error:
            warn(f'metrics.port: cannot listen on {printable(address)}:{port}: {error}')
            return
        if isinstance(started, tuple):  # since 0.19; earlier ones end with the process
            self._server, self._thread = started

    def close(self) -> None:
        """Stop to serve."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._thread.join(5.0)
            self._server = None

    def collect(self) -> Iterator[Any]:
        """Return the metrics of the newest report; what is unknown is left out."""
        core = importlib.import_module(f'{PACKAGE}.core')
        gauge, counter = core.GaugeMetricFamily, core.CounterMetricFamily
        report = self._report
        if report is None:
            return
        for name, text, value in (
                ('memory_available_ratio', 'MemAvailable as a share of MemTotal, 0 to 1.',
                 _share(report.memory_available_percent)),
                ('memory_pressure_some_avg10_ratio',
                 'Share of the last 10 s in which some task waited for memory, 0 to 1.',
                 _share(report.memory_pressure_some_avg10)),
                ('oom_risk_ratio', 'How near an OOM kill is, 0 to 1.', report.oom_risk),
                ('time_to_exhaustion_seconds', 'Until memory is exhausted, when that is foreseen.',
                 report.time_to_exhaustion_s)):
            if value is not None:
                yield gauge(PREFIX + name, text, value=value)
        level = gauge(PREFIX + 'status_level',
                      'Level of a diagnostics status: 0 OK, 1 WARN, 2 ERROR.', labels=['status'])
        for status in report.statuses:
            level.add_metric([status.name], int(status.level))
        yield level
        rss = gauge(PREFIX + 'group_resident_memory_bytes',
                    'Resident memory of the processes of a group.', labels=['group'])
        growth = gauge(PREFIX + 'group_growth_bytes_per_second',
                       'Growth of the processes of a group.', labels=['group'])
        for group in report.groups:
            if group.rss_mib is not None:
                rss.add_metric([group.name], group.rss_mib * MIB)
            if group.growth_mib_per_min is not None:
                growth.add_metric([group.name], group.growth_mib_per_min * MIB / 60)
        yield rss
        yield growth
        yield counter(PREFIX + 'oom_kills', 'OOM kills seen, those of before the start included.',
                      value=self._kills)


def _share(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
