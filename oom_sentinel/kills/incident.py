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

"""One kill with its circumstances, the history before it, and the text of the four files."""

from array import array
from collections import deque
from collections.abc import Iterable
from collections.abc import Mapping
import csv
from dataclasses import asdict
from dataclasses import fields
import io
import json

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.protection import Target
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report import kill_order
from oom_sentinel.risk import badness
from oom_sentinel.settings.outside import LINE_MAX
from oom_sentinel.settings.outside import printable

# Together they stay below the 5 MB that a folder may have.
REPORT_MAX, LOG_MAX, HISTORY_MAX, ORDER_MAX = MIB, MIB, 2 * MIB, MIB // 2
ORDER_PROCESSES_MAX = 1600  # more than ORDER_MAX holds
ROWS_MAX = 600
EVERY_S = 1.0
# 200 processes in 600 rows of 16 bytes each are 1.9 MB; a robot has some 30.
PROCESSES_MAX = 200
NOT_READ = -1  # arrays of bytes hold no None


@frozen
class Machine:
    """Memory, swap and pressure of the machine at one moment; None is unknown."""

    mem_available_bytes: int | None = None
    mem_total_bytes: int | None = None
    swap_used_bytes: int | None = None
    some_avg10_percent: float | None = None
    full_avg10_percent: float | None = None


MACHINE_COLUMNS = tuple(field.name for field in fields(Machine))


@frozen
class Row:
    """
    One moment of the history.

    `rss_bytes` and `swap_bytes` belong to the processes that `labels` names, in its order;
    NOT_READ stands for what could not be read.
    """

    wall_s: float
    machine: Machine
    labels: tuple[str, ...]
    rss_bytes: 'array[int]'
    swap_bytes: 'array[int]'


class History:
    """Keeps the last ten minutes of memory, pressure and every tracked process."""

    def __init__(self) -> None:
        """Start without rows."""
        self._rows: deque[Row] = deque(maxlen=ROWS_MAX)
        self._added_s = float('-inf')
        self._labels: tuple[str, ...] = ()

    def add(self, sample: Sample, targets: Iterable[Target]) -> None:
        """Add a row for this sample when the last row is EVERY_S old."""
        if sample.monotonic_s - self._added_s < EVERY_S * 0.95:
            return
        self._added_s = sample.monotonic_s
        processes = [t.process for t in targets][:PROCESSES_MAX]
        labels = tuple(f'{printable(p.label)} (PID {p.pid})' for p in processes)
        if labels != self._labels:
            self._labels = labels  # shared by all rows until a process comes or goes
        held = [p.memory for p in processes]
        self._rows.append(Row(
            sample.wall_s, machine_of(sample), self._labels,
            array('q', (NOT_READ if m is None else m.rss_bytes for m in held)),
            array('q', (NOT_READ if m is None else m.swap_bytes for m in held))))

    def rows(self) -> tuple[Row, ...]:
        """Return the rows, the oldest first."""
        return tuple(self._rows)


def machine_of(sample: Sample) -> Machine:
    """Return memory, swap and pressure of a sample."""
    memory, pressure = sample.meminfo, sample.pressure
    available = total = swap = None
    some = full = None
    if not isinstance(memory, Unavailable):
        available, total = memory.mem_available_bytes, memory.mem_total_bytes
        swap = memory.swap_total_bytes - memory.swap_free_bytes
    if not isinstance(pressure, Unavailable):
        some = pressure.some.avg10
        full = None if pressure.full is None else pressure.full.avg10
    return Machine(available, total, swap, some, full)


@frozen
class Incident:
    """
    All that is known of one kill, collected at once and written later.

    `processes` are those of the last scan before the kill, of a kill elsewhere those of the
    group that was short.  `rows` are the history, `sample` is the first reading after the kill;
    `groups` maps a process to its protection group.  `actions` are what shedding did in the
    time of the history.
    """

    seen: SeenKill
    sample: Sample
    rows: tuple[Row, ...] = ()
    processes: tuple[Process, ...] = ()
    groups: Mapping[Identity, str | None] | None = None
    actions: tuple[dict[str, object], ...] = ()

    @property
    def label(self) -> str:
        """Return what the folder is named after: the PID and the node or program."""
        kill = self.seen.kill
        name = kill.node_names[0].strip('/') if kill.node_names else kill.victim_comm or ''
        return f'pid{"unknown" if kill.victim_pid is None else kill.victim_pid}_{name}'

    @property
    def wall_s(self) -> float:
        """Return when the kill happened, in seconds since the epoch."""
        time = self.seen.kill.time
        return self.sample.wall_s if time is None else time

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """Return name and content of each file, each within its size."""
        return (('incident.json', self._report()), ('kernel.log', self._log()),
                ('history.csv', self._history()), ('processes.json', self._order()))

    def report(self) -> dict[str, object]:
        """Return the keys of `oom_sentinel kills --json`, and what only a sentinel knows."""
        document = asdict(self.seen.kill)
        document.pop('lines')
        host = self.sample.host
        document.update(
            host=host.hostname, boot_id=host.boot_id,
            kernel_release=host.kernel_release,
            node_found=self.seen.matched, eaters=self.seen.eaters,
            actions=list(self.actions),
            before=_moment(self.rows[-1].wall_s, self.rows[-1].machine) if self.rows else None,
            after=_moment(self.sample.wall_s, machine_of(self.sample)))
        return document

    def _report(self) -> bytes:
        document = self.report()
        text = json_bytes(document)
        tasks = sorted(self.seen.kill.tasks, key=lambda t: t.rss_pages or 0, reverse=True)
        while len(text) > REPORT_MAX and tasks:  # an endless table: the largest are kept
            tasks = tasks[:len(tasks) // 2]
            document.update(tasks=[asdict(t) for t in tasks], tasks_left_out=True)
            text = json_bytes(document)
        return text

    def _log(self) -> bytes:
        text = ''.join(f'{printable(line, LINE_MAX)}\n' for line in self.seen.kill.lines)
        return text.encode('utf-8', 'backslashreplace')[-LOG_MAX:]

    def _history(self) -> bytes:
        rows = self.rows
        text = history_csv(rows)
        while len(text) > HISTORY_MAX and len(rows) > 1:
            rows = rows[len(rows) // 2:]
            text = history_csv(rows)
        return text

    def _order(self) -> bytes:
        meminfo, host = self.sample.meminfo, self.sample.host
        if isinstance(meminfo, Unavailable):
            return json_bytes({'unavailable': meminfo.why})
        whole = badness.machine_totalpages(meminfo, host.page_size)
        total = self.seen.kill.totalpages or whole
        order = badness.kill_order(self.processes, totalpages=total,
                                   page_size=host.page_size)[:ORDER_PROCESSES_MAX]
        groups = self.groups or {}
        while True:
            text = json_bytes(kill_order.document(
                order, host=host, wall_s=self.rows[-1].wall_s if self.rows
                else self.sample.wall_s, totalpages=total, machine_totalpages=whole,
                group_of=lambda p: groups.get(p.identity)))
            if len(text) <= ORDER_MAX or not order:
                return text
            order = order[:min(len(order) - 1, len(order) * ORDER_MAX // len(text))]


def json_bytes(document: dict[str, object]) -> bytes:
    """Return a document as the bytes of a JSON file, which ends with a newline."""
    return (json.dumps(document, indent=1) + '\n').encode('utf-8')


def _moment(wall_s: float, machine: Machine) -> dict[str, object]:
    return {'time': wall_s, **asdict(machine)}


def history_csv(rows: tuple[Row, ...]) -> bytes:
    """Return the rows as CSV; a process that was not there or not read has an empty field."""
    labels = tuple(dict.fromkeys(label for row in rows for label in row.labels))
    column = {label: index for index, label in enumerate(labels)}
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator='\n')
    writer.writerow(('time', *MACHINE_COLUMNS, *(
        f'{label} {what}' for label in labels for what in ('rss_bytes', 'swap_bytes'))))
    for row in rows:
        cells = [''] * (2 * len(labels))
        for label, rss, swap in zip(row.labels, row.rss_bytes, row.swap_bytes):
            at = 2 * column[label]
            cells[at:at + 2] = ('' if value == NOT_READ else str(value)
                                for value in (rss, swap))
        numbers = (getattr(row.machine, name) for name in MACHINE_COLUMNS)
        writer.writerow((f'{row.wall_s:.3f}', *map(_cell, numbers), *cells))
    return stream.getvalue().encode('utf-8', 'backslashreplace')


def _cell(value: float | None) -> str:
    if value is None:
        return ''
    return str(value) if isinstance(value, int) else f'{value:.2f}'
