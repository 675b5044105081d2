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

"""Envelopes by the dozen, stacked at random: the kill inside stays the same."""

from dataclasses import replace
from datetime import timezone
import json

from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oom_sentinel.facts.kill import Killer
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report import Stream
from printk import KERNELS
from printk import Report
from printk import Task
import pytest

NOW_S = 1795680000.0  # 26 November 2026
TASKS = (Task(77, b'asker'), Task(500, b'rviz2', rss=40000, adj=100))
INNER = {
    'dmesg': b'[12345.678901] %s', 'dmesg -T': b'[Thu Nov 26 08:30:48 2026] %s',
    'caller': b'[12345.678901][  T123] %s', 'syslog': b'Nov 26 08:30:48 robot kernel: %s',
    'without host': b'Nov 26 08:30:48 kernel: [12345.678901] %s',
    'precise': b'2026-11-26T08:30:48.123456+00:00 robot kernel: [12345.678901] %s',
    'monotonic': b'[12345.678901] robot kernel: %s',
    'delta': b'[12345.678901 <    0.000012 >] %s',
    'facility': b'kern  :warn  : [12345.678901] %s',
    'openwrt': b'Thu Nov 26 08:30:48 2026 kern.warn kernel: [12345.678901] %s',
    'rfc5424': b'1 2026-11-26T08:30:48.000000+00:00 robot kernel - - - [12345.678901] %s'}
OUTER = {
    'quoted': b'> %s', 'twice': b'> > %s', 'piped': b' | %s', 'indented': b'\t  %s',
    'fenced': b'```%s```', 'numbered': b'1234:%s', 'grepped': b'/var/log/kern.log.1:1234:%s',
    'docker -t': b'2022-03-09T18:14:14.123456789Z %s',
    'cri': b'2022-03-09T18:14:14.123456789Z stderr F %s', 'windows': b'%s\r',
    'serial': b'[2024-01-02 10:11:12] %s', 'bare colours': b'[32m%s[0m',
    'colours': b'\x1b[32m%s\x1b[0m', 'no-break': b'\xc2\xa0\xc2\xa0%s'}
MARKED = [name for name in INNER if name not in ('dmesg -T', 'syslog')]


def kills(data, size=1 << 16):
    """Return the kills of a whole log, read in blocks."""
    stream = Stream(Parser('test', now_s=NOW_S, zone=timezone.utc))
    return [k for at in range(0, len(data), size) for k in stream.feed(data[at:at + size])] \
        + list(stream.end())


def stripped(kill):
    """Leave out what the envelope tells, and where the kill was read."""
    return replace(kill, time=None, boot_time_s=None, lines=(), line=None)


def wrapped(lines, *envelopes):
    """Return a log in these envelopes, the innermost first."""
    log = []
    for line in lines:
        for envelope in envelopes:
            line = envelope.replace(b'%s', line)
        log.append(line + b'\n')
    return b''.join(log)


@settings(deadline=None, max_examples=150)
@given(inner=st.sampled_from(MARKED), kernel=st.sampled_from(KERNELS),
       outer=st.lists(st.sampled_from(sorted(OUTER)), max_size=3, unique=True),
       memcg=st.sampled_from((b'/robot', None)))
@example(inner='dmesg', kernel=KERNELS[-1], outer=['piped', 'numbered', 'serial'], memcg=None)
@example(inner='dmesg', kernel=KERNELS[0], outer=['piped', 'numbered', 'cri'], memcg=b'/robot')
def test_a_report_in_stacked_envelopes_is_the_same_kill(inner, kernel, outer, memcg):
    """Whatever stands before the kernel's mark is envelope."""
    lines = list(Report(kernel, TASKS, memcg=memcg).lines())
    (plain,) = kills(wrapped(lines, INNER['dmesg']))
    (kill,) = kills(wrapped(lines, INNER[inner], *(OUTER[name] for name in outer)))
    assert (kill.victim_pid, kill.victim_comm, kill.anon_rss_bytes, kill.certainty) == (
        plain.victim_pid, plain.victim_comm, plain.anon_rss_bytes, plain.certainty)
    if not {'fenced', 'bare colours'} & set(outer):
        assert stripped(kill) == stripped(plain)


@pytest.mark.parametrize('inner', INNER)
@pytest.mark.parametrize('outer', OUTER)
def test_a_lone_kill_in_any_two_envelopes_is_found(inner, outer):
    """As people paste one line of a log."""
    line = list(Report(KERNELS[-1], TASKS).killed(TASKS[1]))
    (kill,) = kills(wrapped(line, INNER[inner], OUTER[outer]))
    assert (kill.victim_pid, kill.victim_comm, kill.oom_score_adj) == (500, 'rviz2', 100)


@pytest.mark.parametrize('document', [
    {'log': '%s\n', 'stream': 'stdout', 'time': '2022-03-09T18:14:14.123456789Z'},
    {'events': [{'timestamp': 1646849654000, 'message': '%s', 'ingestionTime': 1}]},
    {'stream': {'job': 'varlogs'}, 'values': [['1646849654000000000', '%s']]},
    {'version': '1.1', 'host': 'robot', 'short_message': '%s', 'timestamp': 1646849654.5},
    [{'_source': {'@timestamp': '2022-03-09T18:14:14Z', 'message': '%s'}}]])
def test_json_of_others_holds_the_line_and_a_time(document):
    """The time beside the text counts where the line has none."""
    line = next(Report(KERNELS[-1], TASKS).killed(TASKS[1])).decode()
    (kill,) = kills(json.dumps(document).replace('%s', line).encode() + b'\n')
    assert kill.victim_pid == 500 and abs(kill.time - 1646849654) < 1


@pytest.mark.parametrize('width', range(60, 200, 7))
def test_a_wrapped_report_is_put_together(width):
    """Terminals and forms break lines at a width: the paths and sizes stay whole."""
    report = Report(KERNELS[-1], TASKS, memcg=b'/docker/' + b'a1' * 32,
                    task_memcg=b'/docker/' + b'a1' * 32)
    lines = [line for line in report.lines() if line.startswith((b'oom-kill', b'Memory cgroup o'))
             and b'stats' not in line]
    whole = wrapped(lines, b'Oct 30 10:13:57 main kernel: [ 7096.161113] %s').splitlines()
    log = b''.join(line[at:at + width] + b'\n' for line in whole
                   for at in range(0, len(line), width))
    (kill,) = kills(log)
    assert (kill.victim_pid, kill.oom_memcg, kill.task_memcg) == (
        500, '/docker/' + 'a1' * 32, '/docker/' + 'a1' * 32)


@pytest.mark.parametrize('line', [
    b'Nov 26 08:30:48 robot ros2[12]: %s', b'Nov 26 08:30:48 robot ros2[12]: kernel: %s',
    b'Nov 26 08:30:48 robot ros2[12]: [12345.678901] %s', b'12,5,6,-;%s',
    b'> Nov 26 08:30:48 robot ros2[12]: %s', b'<30>Nov 26 08:30:48 robot x: %s',
    b'[12345.678901] usb 1-1: Product: %s', b'Nov 26 08:30:48 robot kernel: audit: %s',
    b'[12345.678901] Memory cgroup stats for /%s:', b'[12345.678901] robot ros2[12]: %s',
    b'{"MESSAGE":"%s","_TRANSPORT":"journal","SYSLOG_IDENTIFIER":"kernel"}',
    b'{"MESSAGE":"%s","_TRANSPORT":"kernel","SYSLOG_FACILITY":"1"}'])
def test_a_program_cannot_invent_a_kill(line):
    """Its tag, its facility or the kernel's own words before it give it away."""
    said = next(Report(KERNELS[-1], TASKS).killed(TASKS[1]))
    assert kills(line.replace(b'%s', said) + b'\n') == []


@pytest.mark.parametrize('lines, program, pid, cgroup, count', [
    ([b'Dec 18 19:34:56 h systemd-oomd[8]: Killed /user.slice/x.scope due to memory pressure for '
      b'/user.slice being 51.07% > 50.00% for > 20s with reclaim activity',
      b'Dec 18 19:34:56 h systemd[1]: x.scope: systemd-oomd killed 12 process(es) in this unit.'],
     'systemd-oomd', None, '/user.slice/x.scope', 12),
    ([b'Dec 18 19:34:56 h systemd[1]: x.scope: systemd-oomd killed some process(es) in this unit.',
      b'Dec 18 19:34:56 h systemd-oomd[8]: Killed /user.slice/x.scope due to memory used (10) / '
      b'total (11) and swap used (9) / total (10) being more than 90.00%'],
     'systemd-oomd', None, '/user.slice/x.scope', None),
    ([b'Dec 18 19:34:56 h earlyoom[9]: sending SIGTERM to process 500 uid 1000 "rosbag2": '
      b'oom_score 829, oom_score_adj 0, VmRSS 10013 MiB, cmdline "ros2 bag"',
      b'Dec 18 19:35:01 h earlyoom[9]: sending SIGKILL to process 500 uid 1000 "rosbag2": '
      b'oom_score 829, oom_score_adj 0, VmRSS 10013 MiB, cmdline "ros2 bag"'],
     'earlyoom', 500, None, 1),
    ([b'Dec 18 19:34:56 h nohang[9]:   PID: 500, Name: rosbag2, badness: 800',
      b'Dec 18 19:34:56 h nohang[9]:   Sending SIGTERM to the victim'], 'nohang', 500, None, 1),
    ([b"01-01 00:00:00.000   300   300 I lowmemorykiller: Kill 'com.foo' (500), uid 10045, "
      b'oom_score_adj 900 to free 51200kB rss, 0kB swap; reason: low watermark is breached'],
     'lmkd', 500, None, 1)])
def test_programs_that_kill_are_told_in_their_own_words(lines, program, pid, cgroup, count):
    """The kernel says nothing of them; two lines of one kill are one."""
    (kill,) = kills(b'\n'.join(lines) + b'\n')
    assert kill.kind is Killer.USERSPACE and kill.certainty == 'the killer said so'
    assert (kill.program, kill.victim_pid, kill.task_memcg, kill.processes) == (
        program, pid, cgroup, count)


def test_a_program_may_not_call_itself_a_killer():
    """The unit is what journald itself knows."""
    said = (b'{"MESSAGE":"Killed /robot.slice due to memory pressure","_TRANSPORT":"journal",'
            b'"SYSLOG_IDENTIFIER":"systemd-oomd","_SYSTEMD_UNIT":"%s"}\n')
    assert kills(said % b'user@1000.service') == []
    assert len(kills(said % b'systemd-oomd.service')) == 1
