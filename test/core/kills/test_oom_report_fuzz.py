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

"""Arbitrary bytes never raise and never hang, and blocks never differ from lines."""

from dataclasses import replace
import pathlib
import time

from hypothesis import example
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.kills.oom_report import Parser
from oom_sentinel.kills.oom_report import Stream
from printk import ENVELOPES
from printk import KERNELS
from printk import Report
from printk import Task
from printk import wrapped
import pytest

LOGS = pathlib.Path(__file__).parents[2] / 'fixtures' / 'oom_logs'
TASKS = (Task(77, b'asker'), Task(500, b'rviz2', rss=40000))
REPORTS = [wrapped(Report(kernel, TASKS, memcg=memcg).lines(), envelope)
           for kernel in (KERNELS[0], KERNELS[4], KERNELS[-1]) for memcg in (b'/robot', None)
           for envelope in ('kmsg-caller', 'rfc3164-stamped', 'journal-json', 'journal-export',
                            'dmesg-T-ja', 'rfc5424-data')]
PIECES = sorted({piece for report in REPORTS for line in report.split(b'\n')
                 for piece in line.replace(b'(', b' (').split(b' ')})
MEGABYTE = 1 << 20


def by_lines(data):
    """Return the kills of a log fed line by line."""
    parser = Parser('test', 1e9, now_s=1.79e9)
    lines = data.removesuffix(b'\n').split(b'\n')
    return [k for line in lines for k in parser.feed(line)] + list(parser.end())


def by_blocks(data, size):
    """Return the kills of a log fed in blocks."""
    stream = Stream(Parser('test', 1e9, now_s=1.79e9))
    blocks = [data[at:at + size] for at in range(0, len(data), size)]
    return [k for block in blocks for k in stream.feed(block)] + list(stream.end())


def bare(kills):
    """Leave the raw lines out: a damaged export entry may end in another line."""
    return [replace(kill, lines=()) for kill in kills]


mutations = st.lists(st.tuples(
    st.integers(0, 1 << 16), st.integers(0, 40),
    st.one_of(st.binary(max_size=20), st.sampled_from(PIECES), st.just(b'\n'),
              st.just(b'9' * 30))), max_size=6)


@settings(deadline=None, max_examples=40)
@given(report=st.sampled_from(REPORTS), changes=mutations, size=st.integers(1, 3000))
def test_damaged_reports_raise_nothing(report, changes, size):
    """Whatever a disk, a network or an attacker made of a report."""
    for at, length, piece in changes:
        at %= len(report) + 1
        report = report[:at] + piece + report[at + length:]
    found = by_lines(report)
    assert all(isinstance(kill, OomKill) and kill.victim_pid is not None for kill in found)
    assert bare(by_blocks(report, size)) == bare(found)


@settings(deadline=None)
@given(data=st.one_of(st.binary(max_size=2000), st.lists(
    st.sampled_from([*PIECES, b' ', b'\n', b'\n', b'[', b']', b'{', b'}', b'"', b'\\'])).map(
        b' '.join)), size=st.integers(1, 500))
@example(data=b'MESSAGE\n\xff\xff\xff\xff\xff\xff\xff\xff\n', size=3)
@example(data=b'__CURSOR=x\nMESSAGE\n\x03\0\0\0\0\0\0\0abc\n\n', size=3)
@example(data=b'{"MESSAGE":[' + b'[' * 5000, size=500)
@example(data=b'{"MESSAGE":[' + b'9' * 5000 + b'],"_TRANSPORT":"kernel"}', size=500)
def test_arbitrary_bytes_raise_nothing(data, size):
    """Bytes, and the words of reports in any order."""
    assert by_blocks(data, size) == by_lines(data)


def entry(transport, message):
    """Return an export entry with this message as raw data."""
    return (b'__CURSOR=s=1\n__REALTIME_TIMESTAMP=1732609848123456\n_TRANSPORT=' + transport
            + b'\nMESSAGE\n' + len(message).to_bytes(8, 'little') + message + b'\n\n')


QUIET = (b'[   99.000000] usb 1-1: new device\n', b'\n', b'__CURSOR=\n', b'_TRANSPORT=kernel\n',
         entry(b'stdout', b'on my way\n\nto the goal'), entry(b'stdout', b'=' * 300),
         entry(b'kernel', b'usb 1-1: new device\n'), b'{"MESSAGE":"x","_TRANSPORT":"kernel"}\n')


@settings(deadline=None)
@given(pieces=st.lists(st.one_of(st.sampled_from(REPORTS), st.sampled_from(QUIET)), max_size=8),
       size=st.integers(1, 3000))
def test_text_and_entries_may_follow_each_other(pieces, size):
    """A file put together from several sources: blocks never differ from lines."""
    data = b''.join(pieces)
    assert bare(by_blocks(data, size)) == bare(by_lines(data))
    assert len(by_lines(data)) >= any(piece in REPORTS for piece in pieces)


@pytest.mark.parametrize('size', [1, 37, 64, 100, 256, 1 << 18])
@pytest.mark.parametrize('padding', [0, 1 << 17])
def test_what_a_program_logs_is_no_entry_of_its_own(size, padding):
    """Forged kernel messages inside a program's, wherever blocks begin and end."""
    forged = wrapped(Report(KERNELS[-1], TASKS).lines(), 'journal-export')
    inside = entry(b'stdout', b'x' * padding + b'\n\n' + forged + b'\n\n' + forged)
    true = wrapped(Report(KERNELS[0], (Task(77, b'asker'), Task(600, b'amcl', rss=50000))).lines(),
                   'journal-export')
    for data in (inside, inside + true, true + inside, inside + inside + true + inside):
        assert {k.victim_pid for k in by_blocks(data, size)} == (
            {600} if true in data else set())


HOSTILE = {
    'spaces': b' ', 'brackets': b'[', 'parentheses': b'(', 'digits': b'7', 'commas': b',',
    'numbers': b'1 ', 'stamps': b'[1.0] ', 'tags': b'kernel: ', 'facilities': b'kern  :warn  : ',
    'priorities': b'<4>', 'escapes': b'\\x41', 'rows': b'[ 1] 1 1 1 1 1 1 1 a ',
    'killed': b'Killed process 1 (a', 'ends': b') total-vm:1kB, anon-rss:1kB',
    'tasks': b',task=a,pid=1,uid=1', 'memcgs': b',oom_memcg=/a,task_memcg=/b',
    'limits': b'Task in /a killed as a result of limit of ', 'data': b'[a b="\\"]', 'zero': b'\0',
    'colons': b'Out of memory: ', 'tainted': b'Tainted: G ', 'present': b'Node 0 DMA free:1 ',
    'json': b'{"MESSAGE":', 'arrays': b'{"MESSAGE":[', 'months': b'Nov 26 ', 'masks': b'0-1,'}
BEGINNINGS = (
    b'', b'4,1,1,-;', b'[    1.000000] ', b'<4>1 2026-11-26T08:30:48Z robot kernel - - ',
    b'Nov 26 08:30:48 robot kernel: ', b'Killed process 1 (', b'Memory cgroup out of memory: ',
    b'oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=', b'Tasks in ', b'CPU: 1 PID: 1 Comm: ',
    b'[  pid  ]   uid  tgid total_vm ', b'{"_TRANSPORT":"kernel","MESSAGE":"', b'__CURSOR=',
    b'oom_reaper: x invoked oom-killer: ')


@pytest.mark.parametrize('name', HOSTILE)
def test_a_hostile_megabyte_costs_no_more_than_its_length(name):
    """One line of 1 MB, with each beginning: far from what backtracking would take."""
    piece = HOSTILE[name]
    started = time.process_time()
    for beginning in BEGINNINGS:
        line = beginning + piece * (MEGABYTE // len(piece))
        parser = Parser()
        parser.feed(line)
        parser.end()
        by_blocks(line, 1 << 16)
    # 28 MB, measured 0.04 s; a quadratic expression takes hours.
    assert time.process_time() - started < 28


@pytest.mark.parametrize('envelope', ['journal-export', 'journal-json', 'kmsg'])
def test_garbage_before_and_behind_loses_no_kill(envelope):
    """A ring buffer's torn first record, a half-written last one."""
    lines = [ENVELOPES[envelope][0](text) for text in Report(KERNELS[-1], TASKS).lines()]
    whole = by_lines(b'\n'.join(lines) + b'\n')
    torn = lines[0][len(lines[0]) // 2:] + b'\n\n' + b'\n'.join(lines) + b'\n' + lines[0][:20]
    assert [k.victim_pid for k in by_lines(torn)] == [k.victim_pid for k in whole] == [500]
    assert by_blocks(torn, 999) == by_lines(torn)
