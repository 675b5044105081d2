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

"""The status OOM kills: who, why, how sure, and what is never said."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.facts.host import Container
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.kill import INFERRED
from oom_sentinel.facts.kill import Kills
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import SeenKill
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import VmStat
from oom_sentinel.facts.sample import Sample
from oom_sentinel.facts.status import Level
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.report import kills as report
import pytest

pytestmark = pytest.mark.usefixtures('utc')

MIB = 1 << 20
HOST = Host('robot', 4096, '6.1.0')
SETTINGS = settings.build({'kills.hold_s': 60.0})


def kill(pid=10, comm='lidar', **facts):
    """Return a kill by the kernel's word."""
    return OomKill(victim_pid=pid, victim_comm=comm, **facts)


def sample(oom_kill=0, at=0.0, **facts):
    """Return a sample with this counter."""
    return Sample(at, 1000.0 + at, HOST, MemInfo(1 << 30, 0, 1 << 29), Unavailable('off'),
                  VmStat(oom_kill), **facts)


def told(*seen, at=0.0, **facts):
    """Return the status for these kills."""
    return report.compose(Kills(seen, since_start=len(seen), watched_s=at, **facts),
                          sample(3, at), SETTINGS)


@pytest.mark.parametrize('wanted, before, level', [
    (-400, False, Level.ERROR), (300, False, Level.WARN), (0, False, Level.WARN),
    (None, False, Level.WARN), (-400, True, Level.OK)])
def test_levels_are_error_for_a_negative_group_and_ok_for_the_past(wanted, before, level):
    """As INTERFACE.md says."""
    group = None if wanted is None else 'g'
    seen = SeenKill(kill(wanted=wanted, group=group, before_start=before), 0.0)
    assert told(seen).level == level and report.one(seen).level == level


def test_the_level_is_held_for_kills_hold_s_and_the_facts_stay():
    """Then it is OK and still names the last one."""
    seen = SeenKill(kill(node_names=('/lidar',), wanted=-400, group='drivers'), 100.0)
    assert told(seen, at=159.0).level == Level.ERROR
    calm = told(seen, at=161.0)
    assert calm.level == Level.OK and 'No recent OOM kill, 1 since' in calm.message
    assert '/lidar' in dict(calm.values)['victim']


def test_the_worst_kill_is_told_not_the_last():
    """A rosbag that dies after the driver does not hide the driver."""
    worst = SeenKill(kill(node_names=('/lidar',), wanted=-400, group='drivers'), 0.0)
    last = SeenKill(kill(11, 'rosbag', wanted=300, group='expendable'), 1.0)
    status = told(worst, last)
    assert status.level == Level.ERROR and '/lidar' in status.message
    assert '1 more recently' in status.message


def test_an_operator_reads_who_why_and_whether_it_was_protected():
    """One sentence."""
    seen = SeenKill(kill(
        node_names=('/lidar',), wanted=-400, group='drivers', oom_score_adj=0, time=0.0,
        constraint='CONSTRAINT_MEMCG', oom_memcg='/robot'), 0.0, 'by PID', ('hog 90 MiB',))
    assert report.one(seen).message == (
        'lidar killed by the kernel: control group /robot reached its memory limit; /lidar '
        '(lidar, PID 10) at 00:00:00 UTC; group drivers wants -400 for it, but it did '
        'not have that value; most memory was used by hog 90 MiB.')


@pytest.mark.parametrize('group, said', [
    ('/', 'amcl killed by the kernel: container limit 512 MiB reached;'),
    ('/docker/0123', 'amcl killed by the kernel: container limit 512 MiB reached;'),
    ('/robot', 'amcl killed by the kernel: control group /robot reached its memory limit of '
     '512 MiB;')])
def test_who_and_why_come_first(group, said):
    """A tree view cuts the message after some 60 characters."""
    seen = SeenKill(kill(node_names=('/amcl',), oom_memcg=group), 0.0, limit_bytes=512 * MIB)
    assert report.one(seen).message.startswith(said)


def test_a_kill_elsewhere_is_ok_with_a_text_and_hides_no_node():
    """The node's kill is told, though it is older."""
    node = SeenKill(kill(node_names=('/amcl',)), 0.0, number=1)
    other = SeenKill(kill(11, 'hog'), 1.0, number=2, elsewhere=True)
    assert report.one(other).level == Level.OK
    alone = told(other)
    assert alone.level == Level.OK and 'hog (PID 11)' in alone.message
    both = told(node, other)
    assert both.level == Level.WARN and both.message.startswith('amcl killed by the kernel')
    assert dict(both.values)['nodes'] == '/amcl' and 'more recently' not in both.message


def test_of_an_unknown_victim_it_is_not_said_that_no_group_protects_it():
    """Nothing is known of it; its group is not known either."""
    unknown = SeenKill(OomKill(time=0.0, certainty=INFERRED, oom_score_adj=None), 0.0)
    assert 'protects' not in report.one(unknown).message
    known = SeenKill(kill(11, 'hog'), 0.0)
    assert 'no group protects it' in report.one(known).message


def test_a_later_kill_without_a_node_does_not_hide_a_nodes():
    """Both are warnings."""
    node = SeenKill(kill(node_names=('/amcl',)), 0.0, number=1)
    status = told(node, SeenKill(kill(11, 'hog'), 1.0, number=2))
    assert status.message.startswith('amcl killed') and '1 more recently' in status.message


def test_the_last_five_kills_are_listed_the_newest_first():
    """With the keys there at every time."""
    seen = [SeenKill(kill(pid, f'p{pid}', time=float(pid)), 0.0, number=pid) for pid in range(7)]
    values = dict(told(*seen).values)
    assert values['kill 1 (newest)'].startswith('1970-01-01 00:00:06 UTC: p6 (PID 6)')
    assert 'p2 (PID 2)' in values['kill 5'] and 'kill 6' not in values
    assert dict(told().values)['kill 1 (newest)'] == 'none'


@pytest.mark.parametrize('facts, said', [
    ({'watched_s': None}, 'cannot see new OOM kills'), ({'watched_s': 0.1}, 'just begun to watch'),
    ({'watched_s': 99.0, 'blind': 'no log'}, 'cannot be seen here: no log'),
    ({'watched_s': 99.0}, 'No OOM kill since the sentinel started')])
def test_that_there_was_no_kill_is_said_only_where_somebody_watched(facts, said):
    """A single look saw nothing."""
    status = report.compose(Kills(**facts), sample(3, 0.0), SETTINGS)
    assert said in status.message and status.level == Level.OK
    assert ('No OOM kill since' in status.message) is (said.startswith('No OOM kill'))


def test_one_that_has_just_begun_to_watch_says_where_earlier_kills_are():
    """As `oom_sentinel status` after a kill that no node saw."""
    past = replace(kill(), before_start=True)
    status = report.compose(Kills((SeenKill(past, 0.0),), watched_s=0.1), sample(3, 0.0), SETTINGS)
    assert status.message == ('The sentinel has just begun to watch for OOM kills; oom_sentinel '
                              'kills lists those of before.')
    status = report.compose(Kills(watched_s=0.1), sample(3, 0.0), SETTINGS)
    assert status.message == 'The sentinel has just begun to watch for OOM kills.'


def test_several_kills_of_unknown_victims_are_told_as_at_least_so_many():
    """None of them has a name."""
    seen = SeenKill(kill(None, None, certainty=INFERRED, task_memcg='/a'), 0.0,
                    'unknown: 3 of 5 processes that vanished: a, b', count=3)
    said = report.one(seen).message
    assert said.startswith('At least 3 OOM kills by the kernel: a process in control group /a')
    assert '3 of 5 processes' in said


def test_a_compilers_kill_tells_how_to_build_with_less_memory():
    """A parallel build is the most frequent cause on a small board."""
    said = report.one(SeenKill(kill(11, 'cc1plus'), 0.0, build=True)).message
    assert 'parallel build' in said and '--executor sequential' in said
    assert 'MAKEFLAGS=-j1' in said and 'swap' in said


def test_in_a_container_its_own_count_since_boot_is_told():
    """The machine's counts other containers' kills."""
    status = report.compose(Kills(watched_s=9.0, counted_here=2), sample(70), SETTINGS)
    assert dict(status.values)['since boot'] == '2 in the control groups of this container'
    assert status.message == '2 OOM kills in this container before the sentinel started.'
    assert status.level == Level.OK


@pytest.mark.parametrize('container, said', [
    (None, 'the journal: denied; usermod'),
    (Container('Docker', ''), 'the journal: denied; in a container the log of the kernel is')])
def test_in_a_container_the_better_source_is_the_host(container, said):
    """There is no user to give a group to."""
    taken = replace(sample(0), surroundings=Surroundings(container=container))
    status = report.compose(Kills(better=('the journal: denied; usermod',)), taken, SETTINGS)
    assert dict(status.values)['a better source'].startswith(said)


def test_a_stall_before_the_last_start_is_a_warning_for_a_while():
    """It is told with its time."""
    for at, level in ((9.0, Level.WARN), (99.0, Level.OK)):
        status = report.compose(Kills(watched_s=at, stalled='the machine stalled at 7'),
                                sample(0, at), SETTINGS)
        assert status.level == level
        assert ('machine stalled at 7' in status.message) is (level == Level.WARN)


def test_no_name_brings_control_characters_into_the_status():
    """Neither a program's nor a control group's."""
    evil = 'a\x1b[2J\u202eb\nc' * 40
    seen = SeenKill(kill(comm=evil, oom_memcg=evil, task_memcg=evil, trigger_comm=evil,
                         node_names=(evil,)), 0.0, evil, (evil,))
    for status in (report.one(seen), told(seen)):
        assert status.message.isprintable()
        assert all(v.isprintable() and len(v) < 2000 for _, v in status.values)


def test_keys_are_the_same_with_and_without_a_kill_and_nothing_unknown_is_0():
    """Dashboards find each key at every time."""
    empty = told()
    assert [k for k, _ in empty.values] == [k for k, _ in told(SeenKill(kill(), 0.0)).values]
    bare = dict(told(SeenKill(OomKill(), 0.0)).values)
    assert bare['victim held (MiB)'].startswith('unavailable')
    assert bare['when'].startswith('unavailable')
    assert dict(empty.values)['since boot'] == '3'


@pytest.mark.parametrize('vmstat, said', [
    (VmStat(None), 'unavailable (counted since Linux 4.13)'),
    (Unavailable('gone'), 'unavailable (gone)')])
def test_an_unknown_count_since_boot_says_why(vmstat, said):
    """It is never 0."""
    status = report.compose(Kills(), replace(sample(), vmstat=vmstat), SETTINGS)
    assert dict(status.values)['since boot'] == said


def test_the_source_and_what_would_open_a_better_one_are_told():
    """An operator knows which permission to give."""
    status = told(source='counters', better=('/dev/kmsg: denied; CAP_SYSLOG opens it',),
                  missed=7)
    values = dict(status.values)
    assert values['kernel log'] == 'counters' and 'CAP_SYSLOG' in values['a better source']
    assert '7 kernel messages were missed' in status.message


@given(st.builds(OomKill, victim_pid=st.none() | st.integers(), victim_comm=st.none() | st.text(),
                 time=st.none() | st.floats(0, 4e9), constraint=st.none() | st.text(),
                 oom_memcg=st.none() | st.text(), group=st.none() | st.text(),
                 wanted=st.none() | st.integers(-1000, 1000),
                 oom_score_adj=st.none() | st.integers(-1000, 1000),
                 node_names=st.lists(st.text()).map(tuple), before_start=st.booleans()))
def test_any_kill_can_be_told(found):
    """A hostile name or a missing fact never stops the status."""
    status = report.one(SeenKill(found, 0.0))
    assert status.message.endswith('.') and status.message not in ('Error', 'Warning')
    assert all(isinstance(value, str) for _, value in status.values)
