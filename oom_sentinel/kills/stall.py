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
A machine that stalls for want of memory and kills nobody: a record that outlives the reset.

When full pressure stays above its error level a folder of kind `stall` is written.  A stall that
passes, and an orderly end of the sentinel, are marked in it; at the next start a folder without
the mark shows that the machine was switched off or reset while it stalled.
"""

from dataclasses import asdict
import json
import os
import time

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kills.incident import history_csv
from oom_sentinel.kills.incident import HISTORY_MAX
from oom_sentinel.kills.incident import json_bytes
from oom_sentinel.kills.incident import machine_of
from oom_sentinel.kills.incident import NOT_READ
from oom_sentinel.kills.incident import Row
from oom_sentinel.kills.incident_folder import IncidentWriter
from oom_sentinel.kills.incident_folder import write_file

STALL_S = 10.0
RANKED = 20
REPORT, ENDED, TOLD = 'stall.json', 'ended.json', 'told.json'
REPORT_MAX = 1 << 20


@frozen
class Stall:
    """A stall with the history before it."""

    sample: Sample
    rows: tuple[Row, ...]
    since_wall_s: float
    label: str = 'stall'

    @property
    def wall_s(self) -> float:
        """Return when the machine began to stall, in seconds since the epoch."""
        return self.since_wall_s

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """Return name and content of each file."""
        rows = self.rows
        table = history_csv(rows)
        while len(table) > HISTORY_MAX and len(rows) > 1:
            rows = rows[len(rows) // 2:]
            table = history_csv(rows)
        return (REPORT, json_bytes(self.report())), ('history.csv', table)

    def report(self) -> dict[str, object]:
        """Return when it stalled, memory and pressures then, and who grew most before."""
        host, pressure = self.sample.host, self.sample.pressure
        return {
            'kind': 'stall', 'time': self.since_wall_s, 'written': self.sample.wall_s,
            'host': host.hostname, 'boot_id': host.boot_id,
            'kernel_release': host.kernel_release, **asdict(machine_of(self.sample)),
            'pressure': None if isinstance(pressure, Unavailable) else asdict(pressure),
            'growth': growth(self.rows)[:RANKED]}


def growth(rows: tuple[Row, ...]) -> list[dict[str, object]]:
    """Return the processes of the last row by how much they grew since they were first seen."""
    if not rows:
        return []
    first: dict[str, int] = {}
    for row in rows:
        for label, rss in zip(row.labels, row.rss_bytes):
            if rss != NOT_READ:
                first.setdefault(label, rss)
    last = rows[-1]
    grown = sorted(((rss - first[label], rss, label)
                    for label, rss in zip(last.labels, last.rss_bytes) if rss != NOT_READ),
                   reverse=True)
    return [{'process': label, 'grown_bytes': by, 'rss_bytes': rss} for by, rss, label in grown]


class StallWatch:
    """Writes an incident when the machine stalls, and finds one that nothing ended."""

    def __init__(self, writer: IncidentWriter) -> None:
        """Start without a stall."""
        self._writer = writer
        self._since_s: float | None = None
        self._since_wall_s = 0.0
        self._written = False
        self.earlier: str | None = None

    def look_back(self, boot_id: str | None) -> None:
        """Set `earlier` when the last stall is of another boot and nothing ended it."""
        directory = self._writer.directory
        folder = _unfinished(directory, boot_id) if directory else None
        if folder is None:
            return
        at = time.strftime('%Y-%m-%d %H:%M:%S %Z', time.localtime(folder[1]))
        self.earlier = (f'the machine stalled at {at} and was restarted without an orderly '
                        f'shutdown; see {folder[0]}')
        self._writer.run_later(lambda: _mark(folder[0], TOLD))

    def update(self, sample: Sample, rows: tuple[Row, ...], full_avg10_error: float,
               keep: int) -> None:
        """
        Follow the full pressure.

        :param full_avg10_error: percent above which it counts.
        :param keep: how many incident folders stay; 0 writes none.
        """
        full = None if isinstance(sample.pressure, Unavailable) else sample.pressure.full
        if full is None or full.avg10 < full_avg10_error:
            self.end_orderly()
            return
        if self._since_s is None:
            self._since_s, self._since_wall_s = sample.monotonic_s, sample.wall_s
        if not self._written and keep > 0 and sample.monotonic_s - self._since_s >= STALL_S:
            self._written = self._writer.write_later(
                Stall(sample, rows, self._since_wall_s), keep)

    def end_orderly(self) -> None:
        """Mark the stall as ended: pressure fell, or the sentinel ends in order."""
        self._since_s = None
        if self._written:
            self._written = False
            directory = self._writer.directory
            self._writer.run_later(lambda: _mark_last(directory))


def _stalls(directory: str) -> list[str]:
    """Return the stall folders, the oldest first."""
    try:
        names = os.listdir(directory)
    except OSError:  # no folder yet, or not readable: nothing was written there
        return []
    return [os.path.join(directory, n) for n in sorted(names) if '_stall' in n and n[0] != '.']


def _unfinished(directory: str, boot_id: str | None) -> tuple[str, float] | None:
    """Return folder and time of the last stall if another boot left it without an end."""
    folders = _stalls(directory)
    if not folders or any(os.path.exists(os.path.join(folders[-1], mark))
                          for mark in (ENDED, TOLD)):
        return None
    try:
        with open(os.path.join(folders[-1], REPORT), 'rb') as stream:
            report = json.loads(stream.read(REPORT_MAX))
        at, boot = float(report['time']), report['boot_id']
        time.localtime(at)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None  # not ours, or cut by the reset: it tells nothing certain
    return None if boot_id is None or boot == boot_id else (folders[-1], at)


def _mark_last(directory: str) -> None:
    folders = _stalls(directory)
    if folders:
        _mark(folders[-1], ENDED)


def _mark(folder: str, name: str) -> None:
    """Leave a mark in a folder, once."""
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        write_file(path, json_bytes({'time': time.time()}))
