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

"""Parsers: hostile names, and nothing but ParseError on any bytes."""

import json

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.kernel import root
from oom_sentinel.kernel.files import cgroup
from oom_sentinel.kernel.files import error
from oom_sentinel.kernel.files import meminfo
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import pressure
from oom_sentinel.kernel.files import program
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.files import status
from oom_sentinel.kernel.files import swaps
from oom_sentinel.kernel.files import vmstat
import pytest

PARSERS = [meminfo.parse, pressure.parse, vmstat.parse, stat.parse, status.parse,
           lambda data: cgroup.memory_path(data, 1), lambda data: cgroup.memory_path(data, 2),
           cgroup.memory_mounts, cgroup.systemd_path, swaps.parse,
           lambda data: swaps.mm_stat(data, 'zram0', 1 << 30),
           lambda data: vmstat.keyed(data, (b'oom_kill', b'high'), 'memory.events'),
           lambda data: error.signed('oom_score_adj', data, -1000, 1000)]
# A well-formed file of each kind, of which single bytes are changed.
SEEDS = [b'MemTotal: 100 kB\nMemFree: 50 kB\nSwapFree: 1 kB\n',
         b'some avg10=0.00 avg60=1.50 avg300=0.00 total=7\n', b'nr_free 1\noom_kill 3\n',
         b'42 (a b) S 1 ' + b' '.join(b'%d' % i for i in range(5, 53)),
         b'Name:\tx\nState:\tS\nPPid:\t1\nUid:\t1\t2\t3\t4\nVmRSS:\t9 kB\nRssFile:\t8 kB\n'
         b'VmSwap:\t7 kB\nVmPTE:\t6 kB\n',
         b'4:memory:/a\n1:name=systemd:/b\n0::/c\n',
         b'35 24 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n',
         b'Filename Type Size Used Priority\n/dev/zram0 partition 100 50 1\n',
         b' 4096 74 12288 0 12288 0\n', b'-500\n']
TAIL = b' S 1 ' + b' '.join(b'%d' % i for i in range(5, 53))


@pytest.mark.parametrize('name', [
    b'foo) Z ', b'()()())))', b'a b', b'x\\ny', b'\xff\xfe', b') S 1 2 3 4 5 6 7 8 9'])
def test_a_hostile_name_is_only_a_name(name):
    """The name ends at the last parenthesis, whatever stands in it."""
    found = stat.parse(b'42 (' + name + b')' + TAIL)
    assert (found.pid, found.state, found.ppid, found.start_time) == (42, 'S', 1, 22)


@pytest.mark.parametrize('parser', PARSERS)
@given(data=st.binary() | st.lists(st.sampled_from([
    b'MemTotal:', b' 12 kB', b'\n', b'some', b' avg10=', b'0.00', b'total=', b'oom_kill ',
    b'9' * 30, b'\nVmRSS:\t', b'\nUid:', b'\nState:', b'\nPPid:', b'1 (', b') S ', b':', b' - ',
    b'cgroup2', b'-1', b'\xff'])).map(b''.join))
def test_any_bytes_parse_or_raise_parse_error(parser, data):
    """Nothing else may stop the cycle."""
    try:
        parser(data)
    except ParseError as found:
        assert found.what


@pytest.mark.parametrize('parser', PARSERS)
@given(seed=st.sampled_from(SEEDS), changes=st.lists(
    st.tuples(st.integers(0, 300), st.binary(max_size=3)), max_size=4))
def test_a_damaged_file_parses_or_raises_parse_error(parser, seed, changes):
    """Bytes lost, doubled or turned into others."""
    data = seed
    for at, new in changes:
        at %= len(data) + 1
        data = data[:at] + new + data[at + 1:]
    try:
        parser(data)
    except ParseError as found:
        assert found.path and len(str(found)) < 400


@given(st.binary() | st.builds(lambda *values: json.dumps(dict(zip(
    ('page_size', 'wall_s', 'kernel', 'hostname', 'clock_ticks', 'boot_time'), values))).encode(),
    *[st.integers() | st.floats() | st.text() | st.none() | st.just(4096)] * 6))
def test_any_capture_json_is_read_or_refused(data):
    """With a ValueError, that names what is wrong."""
    try:
        found = root.parse_capture(data)
    except ValueError as refused:
        assert str(refused)
    else:
        assert found.page_size >= 4096 and 0 <= found.wall_s < 1e12 and found.clock_ticks > 0


@given(st.text(), st.lists(st.text() | st.sampled_from(
    ['env', '-S', 'python3', '-m', '--ros-args', '-r', '__node:=x', '__ns:=/y', '--',
     '/o/lib/p/n'])), st.none() | st.text())
def test_any_words_are_classified(comm, words, exe):
    """A process writes its name and command line itself."""
    found = program.classify(comm, words, exe)
    assert all(name.startswith('/') for name in found.node_names)
    assert len(found.cmdline) <= len(words)


@pytest.mark.parametrize('words, executable, package, names', [
    (['/opt/ros/jazzy/lib/nav2_amcl/amcl', '--ros-args', '-r', '__node:=amcl', '-r',
      '__ns:=/r1'], 'amcl', 'nav2_amcl', ('/r1/amcl',)),
    (['/usr/bin/python3', '-u', '/ws/install/bot/lib/bot/driver', '--ros-args'], 'driver', 'bot',
     ()),
    (['python3', '-m', 'http.server'], 'http.server', None, ()),
    (['/usr/bin/python3.11', '-c', 'x'], 'python3.11', None, ()),
    (['/x/lib/p/n', '--ros-args', '--', '-r', '__node:=no'], 'n', 'p', ()),
    (['/x/lib/p/n', '--ros-args', '--remap', 'old:__node:=new', '--ros-args', '-r',
      '__ns:=/'], 'n', 'p', ('/new',))])
def test_what_a_command_line_says(words, executable, package, names):
    """Program, package and node names from argv."""
    exe = '/usr/bin/python3.11' if 'python' in words[0] else words[0]
    found = program.classify('x', words, exe)
    assert (found.executable, found.package, found.node_names) == (executable, package, names)


def test_meminfo_without_mem_available_is_none_not_zero():
    """Kernels before 3.14 have none."""
    found = meminfo.parse(b'MemTotal: 100 kB\nMemFree: 50 kB\n')
    assert found.mem_available_bytes is None and found.mem_total_bytes == 102400


def test_a_malformed_known_line_fails_whole():
    """No partial result."""
    with pytest.raises(ParseError):
        meminfo.parse(b'MemTotal: 100 kB\nMemFree: 50 kB\nSwapFree: x kB\n')


@pytest.mark.parametrize('words, executable', [
    (['/usr/bin/env', 'python3', '/ws/lib/cam/cam_node', '--ros-args'], 'cam_node'),
    (['env', '-S', 'python3 -u', '/ws/lib/cam/cam_node'], 'cam_node'),
    (['env', '-u', 'A', 'B=1', '/ws/lib/cam/compiled'], 'compiled'), (['env'], 'env')])
def test_a_script_is_known_while_its_shebangs_env_still_runs(words, executable):
    """Some milliseconds after its start."""
    assert program.classify('env', words, '/usr/bin/env').executable == executable


@pytest.mark.parametrize('exe, executable', [
    ('/ws/install/bot/lib/bot/node', 'node'), ('/opt/ros/jazzy/lib/sim/lua5.3', 'lua5.3'),
    ('/usr/bin/node', 'map.yaml'), ('/usr/lib/python3.11/python3.11', 'map.yaml')])
def test_a_node_called_like_an_interpreter_is_none(exe, executable):
    """Its first argument is no script: installed in lib/PKG it is that package's program."""
    assert program.classify('x', [exe, '/data/map.yaml'], exe).executable == executable


@pytest.mark.parametrize('data, kills, refaults', [
    (b'oom_kill 3\nworkingset_refault 7\n', 3, 7),
    (b'workingset_refault_anon 5\nworkingset_refault_file 6\nx 1\noom_kill 0', 0, 11),
    (b'workingset_refault_file 6\n', None, 6),
    (b'workingset_refaults 6\noom_killx 1\n', None, None)])
def test_vmstat_counts_kills_and_refaults(data, kills, refaults):
    """One refault counter before Linux 5.9, two since; a longer name is another counter."""
    found = vmstat.parse(data)
    assert (found.oom_kill, found.refaults) == (kills, refaults)


@pytest.mark.parametrize('data, scanned', [
    (b'pgscan_kswapd 3\npgscan_direct 4\npgscan_direct_throttle 9\npgscan_file 50\n', 7),
    (b'pgscan_kswapd_normal 3\npgscan_direct_normal 4\n', None)])
def test_vmstat_counts_what_was_scanned_for_the_whole_machine(data, scanned):
    """Not what was in the limits of control groups, which pgscan_file holds as well."""
    assert vmstat.parse(data).scanned == scanned


@pytest.mark.parametrize('point', ['0', 'sys/fs/cgroup', '/../../etc', '/a/../..'])
def test_a_mount_point_that_no_kernel_prints_is_none(point):
    """A captured tree may hold anything, and no path of it leads out of the tree."""
    line = f'30 24 0:26 / {point} rw shared:9 - cgroup2 cgroup2 rw\n'.encode()
    assert cgroup.memory_mounts(line) == ()
    assert cgroup.memory_mounts(line.replace(point.encode(), b'/sys/fs/cgroup')) != ()
