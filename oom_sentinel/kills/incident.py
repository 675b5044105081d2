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

"""An incident and the text of its four files."""

from collections.abc import Mapping
from collections.abc import Sequence
import csv
from dataclasses import asdict
from dataclasses import dataclass
import io
import json

from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.incident_history import MACHINE
from oom_sentinel.kills.incident_history import machine
from oom_sentinel.kills.incident_history import Row
from oom_sentinel.kills.incident_history import UNKNOWN
from oom_sentinel.report import kill_order
from oom_sentinel.risk import badness

MIB = 1 << 20
# Together they stay below the 5 MB that a folder may have.
REPORT_MAX, LOG_MAX, HISTORY_MAX, ORDER_MAX = MIB, MIB, 2 * MIB, MIB // 2


@dataclass(frozen=True, slots=True)
class Incident:
    """
    All that is known of one kill, taken at once and written later.

    `processes` are those of the last scan before the kill, `rows` the history, `sample` the
    first reading after it; `groups` says to which group a process belongs.
    """

    seen: SeenKill
    sample: Sample
    rows: tuple[Row, ...] = ()
    processes: tuple[Process, ...] = ()
    groups: Mapping[Identity, str | None] | None = None

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """Return name and content of each file, each within its size."""
        return (('incident.json', self._report()), ('kernel.log', self._log()),
                ('history.csv', self._history()), ('processes.json', self._order()))

    def report(self) -> dict[str, object]:
        """Return the keys of `oom_sentinel kills --json`, and what only a sentinel knows."""
        said = asdict(self.seen.kill)
        said.pop('lines')
        host = self.sample.host
        said.update(
            host=host.hostname, boot_id=host.boot_id, kernel_release=host.kernel_release,
            node_found=self.seen.matched, eaters=self.seen.eaters,
            before=_moment(self.rows[-1].wall_s, self.rows[-1].numbers) if self.rows else None,
            after=_moment(self.sample.wall_s, machine(self.sample)))
        return said

    def _report(self) -> bytes:
        said = self.report()
        text = _json(said)
        tasks = sorted(self.seen.kill.tasks, key=lambda t: t.rss_pages or 0, reverse=True)
        while len(text) > REPORT_MAX and tasks:  # an endless table: the largest are kept
            tasks = tasks[:len(tasks) // 2]
            said.update(tasks=[asdict(t) for t in tasks], tasks_left_out=True)
            text = _json(said)
        return text

    def _log(self) -> bytes:
        text = ''.join(f'{line}\n' for line in self.seen.kill.lines)
        return text.encode('utf-8', 'backslashreplace')[-LOG_MAX:]

    def _history(self) -> bytes:
        rows = self.rows
        text = _table(rows)
        while len(text) > HISTORY_MAX and len(rows) > 1:
            rows = rows[len(rows) // 2:]
            text = _table(rows)
        return text

    def _order(self) -> bytes:
        meminfo, host = self.sample.meminfo, self.sample.host
        if isinstance(meminfo, Unavailable):
            return _json({'unavailable': meminfo.why})
        kill = self.seen.kill
        whole = badness.machine_totalpages(meminfo, host.page_size)
        total = kill.totalpages or whole
        listed = badness.kill_order(self.processes, totalpages=total, page_size=host.page_size)
        groups = self.groups or {}
        while True:
            text = _json(kill_order.document(
                listed, host=host, wall_s=self.rows[-1].wall_s if self.rows
                else self.sample.wall_s, totalpages=total, machine_totalpages=whole,
                group_of=lambda p: groups.get(p.identity)))
            if len(text) <= ORDER_MAX or not listed:
                return text
            listed = listed[:len(listed) // 2]


def _json(document: dict[str, object]) -> bytes:
    return (json.dumps(document, indent=1) + '\n').encode('utf-8')


def _moment(wall_s: float, numbers: Sequence[float]) -> dict[str, object]:
    return {'time': wall_s, **{
        name: None if value == UNKNOWN else value if 'percent' in name else int(value)
        for name, value in zip(MACHINE, numbers)}}


def _table(rows: tuple[Row, ...]) -> bytes:
    """Return the rows as CSV; a process that was not there or not read has an empty field."""
    labels = tuple(dict.fromkeys(label for row in rows for label in row.labels))
    column = {label: index for index, label in enumerate(labels)}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(('time', *MACHINE, *(f'{label} {what}' for label in labels
                                         for what in ('rss_bytes', 'swap_bytes'))))
    first = len(MACHINE)
    for row in rows:
        fields = [''] * (2 * len(labels))
        for index, label in enumerate(row.labels):
            at = 2 * column[label]
            fields[at:at + 2] = map(_field, row.numbers[first + 2 * index:][:2])
        writer.writerow((f'{row.wall_s:.3f}', *map(_field, row.numbers[:first]), *fields))
    return stream.getvalue().encode('utf-8', 'backslashreplace')


def _field(value: float) -> str:
    return '' if value == UNKNOWN else f'{value:.0f}' if value.is_integer() else f'{value:.2f}'
