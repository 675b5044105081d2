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
"""What shedding did is in the incident folders: with a kill that came all the same, and alone."""

from dataclasses import replace
import json
import os

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.shedding import Action
from oom_sentinel.facts.shedding import Brought
from oom_sentinel.facts.shedding import Shedding
from oom_sentinel.facts.shedding import Step
from oom_sentinel.kills import incident_folder
from oom_sentinel.kills.action_log import ActionLog
from oom_sentinel.kills.action_log import rows_of
from test_incident import incident
from test_incident import sample

INTERRUPTED = Action(1000.0, Identity(4711, 7), '/rosbag2_recorder', 'expendable',
                     Step.INTERRUPT, 'this machine', 'memory would be exhausted in about 9 s',
                     Brought.STILL_RUNS, 0, 4.0)
ENDED = replace(INTERRUPTED, wall_s=1006.0, step=Step.TERMINATE, result=Brought.ENDED,
                brought_bytes=300 << 20, took_s=0.6)


class Writer:
    """Keeps what it is given to write."""

    def __init__(self):
        """Begin with nothing."""
        self.given = []

    def write_later(self, written, keep):
        """Keep it."""
        self.given.append((written, keep))
        return True


def test_one_folder_tells_all_steps_of_a_shortage(tmp_path):
    """It is written when no process is being ended any more, with what each step brought."""
    writer = Writer()
    log = ActionLog(writer)
    log.add(Shedding('act', fresh=(INTERRUPTED,), ongoing=True), sample(), (), 20)
    assert writer.given == []
    log.add(Shedding('act', fresh=(ENDED,)), sample(), incident().rows, 20)
    log.add(Shedding('act'), sample(), (), 20)
    (averted, keep), = writer.given
    folder = incident_folder.write(str(tmp_path), keep, averted)
    assert os.path.basename(folder) == '19700101T001640Z_shed_rosbag2_recorder'
    with open(f'{folder}/actions.json', encoding='utf-8') as stream:
        said = json.load(stream)
    assert said['kind'] == 'shedding' and said['boot_id'] == 'boot'
    assert [(a['step'], a['result'], a['brought_bytes'], a['took_s'], a['why'], a['pid'])
            for a in said['actions']] == [
        ('interrupt', 'still runs', 0, 4.0, INTERRUPTED.why, 4711),
        ('terminate', 'ended', 300 << 20, 0.6, INTERRUPTED.why, 4711)]
    with open(f'{folder}/history.csv', encoding='utf-8') as stream:
        assert len(stream.readlines()) == 4


def test_what_would_be_done_writes_no_folder_of_its_own():
    """Nothing was done."""
    writer = Writer()
    log = ActionLog(writer)
    log.add(Shedding('report', fresh=(replace(INTERRUPTED, result=Brought.WOULD),)), sample(),
            (), 20)
    assert writer.given == [] and len(log.recent(1000.0)) == 1


def test_a_kill_that_came_all_the_same_tells_what_was_done_before_it(tmp_path):
    """In incident.json, those of the last ten minutes."""
    log = ActionLog(Writer())
    log.add(Shedding('act', fresh=(INTERRUPTED, ENDED)), sample(), (), 20)
    assert log.recent(1602.0) == (ENDED,)
    made = replace(incident(), actions=tuple(rows_of(log.recent(1010.0))))
    folder = incident_folder.write(str(tmp_path), 5, made)
    with open(f'{folder}/incident.json', encoding='utf-8') as stream:
        assert [a['process'] for a in json.load(stream)['actions']] == ['/rosbag2_recorder'] * 2


def test_its_folders_are_counted_with_the_others(tmp_path):
    """The oldest goes, of whichever kind it is."""
    writer, disk = Writer(), tmp_path / 'incidents'
    ActionLog(writer).add(Shedding('act', fresh=(ENDED,)), sample(), (), 1)
    first = incident_folder.write(str(disk), 1, writer.given[0][0])
    incident_folder.write(str(disk), 1, incident(5000))
    assert len(os.listdir(disk)) == 1 and not os.path.exists(first)
