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

"""What shedding did, for the incident folders: in those of kills, and in folders of its own."""

from collections import deque
from collections.abc import Iterable

from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.kills.incident import history_csv
from oom_sentinel.kills.incident import json_bytes
from oom_sentinel.kills.incident import Row
from oom_sentinel.kills.incident_folder import IncidentWriter
from oom_sentinel.settings.outside import printable

ACTIONS_MAX = 100
SPAN_S = 600.0  # as long as the history of an incident


def rows_of(actions: Iterable[Action]) -> list[dict[str, object]]:
    """Return the actions as incident.json and actions.json hold them."""
    return [{'time': a.wall_s, 'pid': a.identity.pid, 'process': printable(a.label),
             'group': a.group, 'step': a.step.value, 'place': printable(a.place), 'why': a.why,
             'result': a.result.value, 'brought_bytes': a.brought_bytes, 'took_s': a.took_s}
            for a in actions]


@frozen
class Averted:
    """What was done in one shortage, with the history before it: a folder of its own."""

    actions: tuple[Action, ...]
    sample: Sample
    rows: tuple[Row, ...]

    @property
    def label(self) -> str:
        """Return what the folder is named after: the first process."""
        return f'shed_{self.actions[0].label.strip("/")}'

    @property
    def wall_s(self) -> float:
        """Return when the first step was over, in seconds since the epoch."""
        return self.actions[0].wall_s

    def files(self) -> tuple[tuple[str, bytes], ...]:
        """Return name and content of each file."""
        host = self.sample.host
        return (('actions.json', json_bytes({
            'kind': 'shedding', 'time': self.wall_s, 'host': host.hostname,
            'boot_id': host.boot_id, 'kernel_release': host.kernel_release,
            'actions': rows_of(self.actions)})), ('history.csv', history_csv(self.rows)))


class ActionLog:
    """Keeps the actions of the last ten minutes, and writes a folder when a shortage is over."""

    def __init__(self, writer: IncidentWriter) -> None:
        """Start without actions."""
        self._writer = writer
        self._kept: deque[Action] = deque(maxlen=ACTIONS_MAX)
        self._unwritten: list[Action] = []

    def add(self, shedding: Shedding, sample: Sample, rows: tuple[Row, ...], keep: int) -> None:
        """
        Take the actions of a cycle; write those of a shortage once no process is being ended.

        :param keep: how many incident folders stay; 0 writes none.
        """
        self._kept.extend(shedding.fresh)
        self._unwritten += [a for a in shedding.fresh if a.result != Brought.WOULD]
        if self._unwritten and not shedding.ongoing:
            done, self._unwritten = tuple(self._unwritten[:ACTIONS_MAX]), []
            self._writer.write_later(Averted(done, sample, rows), keep)

    def recent(self, wall_s: float) -> tuple[Action, ...]:
        """Return the actions of the ten minutes before this time."""
        return tuple(a for a in self._kept if wall_s - SPAN_S <= a.wall_s)
