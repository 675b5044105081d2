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
    b'Thu Nov 26 08:30:48 2026 user.err kernel: %s', b'Nov 26 08:30:48 b daemon.err kernel: %s',
    b'Thu Nov 26 08:30:48 2026 user.err kernel: [12345.678901] %s',
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
     'lmkd', 500, None, 1),
    ([b"I/lowmemorykiller(  710): Kill 'com.foo' (500), uid 10045, oom_adj 900 to free 5kB"],
     'lmkd', 500, None, 1),
    ([b"[1.5] lowmemorykiller: Killing 'foo' (500) (tgid 500), adj 999,\\x0ato free 81288kB"],
     'lmkd', 500, None, 1),
    ([b'[77.749671] systemd-oomd[659]: Marked /system.slice/x.service for killing due to memory '
      b'pressure for /system.slice being 85.03% > 80.00% for > 2s with reclaim activity',
      b'[77.752252] systemd[1]: x.service: systemd-oomd killed 1 process(es) in this unit.'],
     'systemd-oomd', None, '/system.slice/x.service', 1)])
def test_programs_that_kill_are_told_in_their_own_words(lines, program, pid, cgroup, count):
    """The kernel says nothing of them; two lines of one kill are one."""
    (kill,) = kills(b'\n'.join(lines) + b'\n')
    assert kill.kind is Killer.USERSPACE and kill.certainty == 'the killer said so'
    assert (kill.program, kill.victim_pid, kill.task_memcg, kill.processes) == (
        program, pid, cgroup, count)


@pytest.mark.parametrize('line', [  # earlyoom 1.0 to 1.9, with its tag
    b'Killing process 500 rosbag2',
    b'Killing process: rosbag2, pid: 500, badness: 5, VmRSS: 7 MiB',
    b"Killing process 'rosbag2' with signal 15, pid: 500, badness: 550, VmRSS: 7609 MiB",
    b'killing process 500 "rosbag2" with signal 15: badness 550, VmRSS 7609 MiB',
    b'sending SIGTERM to process 500 "rosbag2": badness 209, VmRSS 2891 MiB',
    b'sending SIGTERM to process 500 uid 0 "rosbag2": badness 711, VmRSS 52562 MiB',
    b'sending SIGTERM to process 500 uid 0 "rosbag2": oom_score 9, VmRSS 4 MiB, cmdline "a"'])
def test_every_wording_of_earlyoom_is_known(line):
    """The PID and the name stand at different places; another program's words are no kill."""
    (kill,) = kills(b'Apr 28 01:00:00 host earlyoom[12]: %s\n' % line)
    assert (kill.program, kill.victim_pid, kill.victim_comm) == ('earlyoom', 500, 'rosbag2')
    assert kills(b'Apr 28 01:00:00 host myapp[12]: %s\n' % line) == []


@pytest.mark.parametrize('log', [
    b'Jun 12 06:38:31: sending SIGTERM to process 500 uid 1 "rosbag2": badness 7, VmRSS 6 MiB\n',
    b'sending SIGTERM to process 500 uid 1 "rosbag2": badness 757, VmRSS 637 MiB\n',
    b'2023-08-10 16:53:26,463: TOP printed in 1ms; process with highest badness:\n'
    b'  PID: 500, name: rosbag2, badness: 849\n'
    b'2023-08-10 16:53:26,463: Recheck memory levels...\n'
    b'2023-08-10 16:53:26,470: Implementing a corrective action:\n'
    b'  Sending SIGTERM to the victim\n'
    b'2023-08-10 16:53:26,470: [ OK ] Sending SIGTERM to rosbag2\n',
    b'  Victim is rosbag2, pid: 500, badness: 727, VmRSS: 900 MiB, VmSwap: 0 MiB\n'
    b'  Sending SIGKILL to the victim; Success; response time: 20 ms\n',
    'мая 26 23:02:22 pc nohang[530]:   PID: 500, Name: rosbag2, badness: 727\n'
    'мая 26 23:02:22 pc nohang[530]: Implement a corrective action:\n'
    'мая 26 23:02:22 pc nohang[530]:   Send SIGTERM to the victim; total response time: 13 ms\n'
    .encode()])
def test_killers_are_found_without_their_tag(log):
    """In a terminal, a file of their own, and behind a date alone; among other lines too."""
    noise = b'Nov 26 08:30:48 robot ros2[12]: all is well\n' * 5000
    (kill,) = kills(noise + log)
    assert (kill.victim_pid, kill.victim_comm) == (500, 'rosbag2')


def printed(fields, form):
    """Return an entry of the journal over several lines."""
    if form == 'verbose':
        return ('Thu 2026-11-26 08:30:48.123456 UTC [s=ab1;i=1;b=def;m=1;t=2;x=3]\n' + ''.join(
            f'    {name}={value}\n' for name, value in fields.items())).encode()
    if form == 'jq':
        return (json.dumps(fields, indent=2) + '\n').encode()
    return ('{\n' + ',\n'.join(f'\t{json.dumps(name)} : {json.dumps(value)}'
                               for name, value in fields.items()) + '\n}\n').encode()


@pytest.mark.parametrize('form', ['json-pretty', 'jq', 'verbose'])
@pytest.mark.parametrize('size', [37, 400, 1 << 16])
def test_an_entry_over_several_lines_is_read_as_a_whole(form, size):
    """Who wrote the message stands before or behind it, and perhaps in another block."""
    said = next(Report(KERNELS[-1], TASKS).killed(TASKS[1])).decode()
    true = {'MESSAGE': said, '_TRANSPORT': 'kernel', 'SYSLOG_IDENTIFIER': 'kernel',
            'SYSLOG_FACILITY': '0', '_PID': '1' * 300}
    forged = {'MESSAGE': said, '_TRANSPORT': 'syslog', 'SYSLOG_IDENTIFIER': 'kernel'}
    other = {'MESSAGE': 'all is well', '_TRANSPORT': 'stdout', '_PID': '9' * 300}
    log = b''.join(printed(fields, form) for fields in (
        other, forged, dict(reversed(forged.items())), other, true, other))
    (kill,) = kills(log, size)
    assert (kill.victim_pid, kill.certainty) == (500, 'the kernel said so')
    assert form != 'verbose' or kill.time == 1795681848.123456


@pytest.mark.parametrize('line', [b'\t"MESSAGE" : "%s",', b'    MESSAGE=%s'])
def test_a_piece_of_an_entry_is_unconfirmed(line):
    """Its transport is cut off: a program may have written it, but it is told."""
    said = next(Report(KERNELS[-1], TASKS).killed(TASKS[1]))
    (kill,) = kills(line.replace(b'%s', said) + b'\n')
    assert (kill.victim_pid, kill.certainty) == (500, 'unconfirmed')


def test_json_that_is_no_entry_is_read_line_by_line():
    """So dmesg -J, and an array that is cut; a program's entry in it is none of the kernel's."""
    said = next(Report(KERNELS[-1], TASKS).killed(TASKS[1]))
    assert [k.victim_pid for k in kills(
        b'{\n   "dmesg": [\n      {\n         "pri": 3,\n         "time":   100.2,\n'
        b'         "msg": "%s"\n      }\n   ]\n}\n' % said)] == [500]
    entry = b'{"MESSAGE":"%s","_TRANSPORT":"%s","__CURSOR":"x"}'
    assert [k.certainty for k in kills(
        b'[' + entry % (said, b'kernel') + b',\n' + entry % (said, b'stdout') + b']\n')] == [
        'the kernel said so']


@pytest.mark.parametrize('lines', [
    [b'3m  Warning  SystemOOM  node/n1  System OOM encountered, victim process: rviz2, pid: 500'],
    [b'I1126 08:30:48.123456    1234 oom_watcher_linux.go:79] "Got sys oom event" event="&'
     b'{Pid:500 ProcessName:rviz2 TimeOfDeath:2026-11-26 08:30:48 Constraint:CONSTRAINT_MEMCG}"'],
    [b'I1126 08:30:48.123456 1234 oom_watcher_linux.go:79] Got sys oom event: &{500 rviz2 '
     b'2026-11-26 08:30:48 +0000 UTC /kubepods/x /kubepods/x CONSTRAINT_MEMCG}']])
def test_what_only_the_kubelet_tells_is_inferred(lines):
    """The kernel's own line of the same PID makes it one kill."""
    (kill,) = kills(b'\n'.join(lines) + b'\n')
    assert (kill.victim_pid, kill.victim_comm, kill.certainty) == (500, 'rviz2', 'inferred')
    said = next(Report(KERNELS[-1], TASKS).killed(TASKS[1]))
    for log in ([said, *lines], [*lines, said]):
        assert [k.certainty for k in kills(b'\n'.join(log) + b'\n')] == ['the kernel said so']


def test_markdown_and_fluentd_hide_no_kill():
    """Escaped punctuation is put back; JSON may follow a date and the kernel's tag."""
    said = next(Report(KERNELS[-1], TASKS).killed(replace(TASKS[1], comm=b'a_node')))
    (kill,) = kills(b'\\[100.2\\] ' + said.replace(b'_', b'\\_') + b'\n')
    assert kill.victim_comm == 'a_node'
    line = b'2026-11-26 08:30:48 +0000 %s: {"ident":"x","message":"[100.2] %s"}\n'
    assert len(kills(line % (b'kern.log', said))) == 1 and kills(line % (b'my.app', said)) == []


@pytest.mark.parametrize('noise', [
    b'KGKG[[ K SIGHUP, oo m, "MESSAGE" ' * 40, b'plain', b'KG[' * 5])
def test_noise_before_a_kill_hides_it_from_no_search(noise):
    """Blocks are searched for rare bytes first, and where these are not rare for the words."""
    said = next(Report(KERNELS[0], TASKS).killed(TASKS[1]))
    for line in (said, b'[3456.806][ 4] [T96407] ' + said):
        found = kills((noise + b'\n') * 3000 + line + b'\n' + (noise + b'\n') * 3000)
        assert [(kill.victim_pid, kill.line) for kill in found] == [(500, 3001)]


def test_a_program_may_not_call_itself_a_killer():
    """The unit is what journald itself knows."""
    said = (b'{"MESSAGE":"Killed /robot.slice due to memory pressure","_TRANSPORT":"journal",'
            b'"SYSLOG_IDENTIFIER":"systemd-oomd","_SYSTEMD_UNIT":"%s"}\n')
    assert kills(said % b'user@1000.service') == []
    assert len(kills(said % b'systemd-oomd.service')) == 1
