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

"""Selectors: who is meant, in every spelling, and that shells are not what they type."""

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.protection import grouping
from oom_sentinel.settings import selector
from oom_sentinel.settings.selector import Selector
from oom_sentinel.settings.selector import SelectorError
import pytest

LIDAR = Process(7, 70, 1, 1000, Program(
    'rplidar_composi', ('/opt/ros/humble/lib/rplidar_ros/rplidar_composition', '--ros-args'),
    None, 'rplidar_composition', 'rplidar_ros', ('/robot1/rplidar',), True),
    cgroup='/system.slice/turtlebot4.service')
LAUNCH = Process(8, 80, 1, 1000, Program(
    'ros2', ('/usr/bin/python3', '/opt/ros/humble/bin/ros2', 'launch', 'turtlebot4_bringup'),
    None, 'ros2'))


def hits(text, process=LIDAR):
    """Tell whether one selector means the process, seen as its first node."""
    names = process.node_names or (None,)
    return selector.matches((selector.parse(text),), process, names[0])


@pytest.mark.parametrize('text, parsed', [
    ('node:/amcl', Selector('node', '/amcl')), ('/amcl', Selector('node', '/amcl')),
    ('amcl', Selector('exe', 'amcl')), ('!exe:rviz2', Selector('exe', 'rviz2', True)),
    (' ! /robot1/* ', Selector('node', '/robot1/*', True)),
    ('cmd:*/ros2 launch *', Selector('cmd', '*/ros2 launch *')),
    ('/a:b', Selector('node', '/a:b')), ('node:*/x', Selector('node', '*/x'))])
def test_every_spelling(text, parsed):
    """With a prefix, without one, with ! and with blanks around."""
    assert selector.parse(text) == parsed


@pytest.mark.parametrize('text', [
    '', ' ', '!', '! ', 'node:', 'exe: ', '!pkg:', 'node:amcl', 'cgroup:docker', 'nod:/amcl'])
def test_empty_and_malformed_selectors_are_refused_by_name(text):
    """The text that was typed stands in the refusal."""
    with pytest.raises(SelectorError) as caught:
        selector.parse(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize('text', [
    'node:/robot1/*', '/robot1/rplidar', 'node:*/rplidar', 'exe:rplidar*', 'rplidar*',
    'pkg:rplidar_ros', 'pkg:*', 'cgroup:/system.slice/*', 'cgroup:*turtlebot4*',
    'cmd:*rplidar_composition --ros-args'])
def test_each_kind_finds_the_lidar(text):
    """Node, program, package, control group and command line lead to the same process."""
    assert hits(text)


@pytest.mark.parametrize('text', [
    'node:/rplidar', 'exe:RPLIDAR*', 'exe:rplidar', 'pkg:rplidar', 'cgroup:/user.slice/*',
    'cmd:rplidar*', 'node:/robot1'])
def test_globs_are_case_sensitive_and_match_the_whole(text):
    """A shorter, a longer or a differently written name is another one."""
    assert not hits(text)


@pytest.mark.parametrize('process', [LAUNCH, Process(9, 90, 1, 0, Program('kthreadd'))])
@pytest.mark.parametrize('text', ['node:*', 'pkg:*', 'cgroup:*'])
def test_what_is_unknown_matches_no_glob(process, text):
    """Neither a node, a package nor a control group: not even `*` means it."""
    assert not hits(text, process)


def test_an_exclusion_wins_wherever_it_stands():
    """Before or after what it excludes, and alone it means nobody."""
    for texts in (('!/robot1/rplidar', 'exe:*'), ('exe:*', '!/robot1/rplidar')):
        assert not selector.matches([selector.parse(t) for t in texts], LIDAR,
                                    '/robot1/rplidar')
    assert not selector.matches([selector.parse('!exe:other')], LIDAR, None)


@pytest.mark.parametrize('name', ['bash', 'vim', 'gdb', 'grep', 'oom_sentinel_node', 'ssh'])
def test_cmd_never_takes_who_only_mentions_a_program(name):
    """A shell that runs `ros2 launch` as a word of its command line is no launch."""
    words = (name, '-c', '/opt/ros/humble/bin/ros2 launch x')
    bystander = Process(10, 1, 1, 0, Program(name, words, None, name))
    assert hits('cmd:*/ros2 launch *', LAUNCH)
    assert not hits('cmd:*/ros2 launch *', bystander)


def test_the_first_group_takes_a_node_and_the_lowest_value_a_process():
    """In `groups` order per node; a container of several nodes gets the lowest value."""
    built = settings.build({
        'groups': ['a', 'b'], 'group.a.match': ['/robot1/*'], 'group.a.oom_score_adj': 100,
        'group.b.match': ['exe:*', '/other'], 'group.b.oom_score_adj': -300})
    assert grouping.group_of(LIDAR, built).name == 'a'
    both = Process(11, 1, 1, 0, Program(
        'x', ('x',), None, 'x', None, ('/robot1/rplidar', '/other'), True))
    assert grouping.group_of(both, built).name == 'b'


@given(st.text(), st.text(), st.text(max_size=20))
def test_matching_arbitrary_text_raises_nothing(pattern, name, executable):
    """Broken globs simply match or do not."""
    process = Process(1, 1, 1, 0, Program('c', (executable, name), None, executable, name),
                      cgroup=name)
    for kind in selector.KINDS:
        selector.matches((Selector(kind, pattern),), process, name)


@given(st.sampled_from(selector.KINDS), st.text('ab*?[]!/', min_size=1), st.booleans())
def test_a_parsed_selector_spells_itself(kind, pattern, exclude):
    """KIND:PATTERN with or without ! comes back as it was written."""
    text = f'{"!" if exclude else ""}{kind}:{pattern}'
    try:
        assert selector.parse(text) == Selector(kind, pattern.strip(), exclude)
    except SelectorError:
        assert kind in ('node', 'cgroup') and pattern[0] not in '/*'


ROS2 = ('/usr/bin/python3', '-u', '/opt/ros/jazzy/bin/ros2', 'launch', 'turtlebot4', 'x.launch.py')


@pytest.mark.parametrize('executable, words, hit', [
    ('ros2', ROS2, True),
    ('ros2', ROS2[2:], True),
    ('ros2', (*ROS2[:3], 'run', 'demo', 'x', '--', '/ros2', 'launch', 'x'), False),
    ('test_it.py', ('python3', 'test_it.py', '/opt/ros/jazzy/bin/ros2', 'launch', 'x'), False),
    ('python3.11', ('python3', '-c', 'import time', '--', '/ros2 launch ', 'x'), False),
    ('pytest', ('python3', '-m', 'pytest', '-k', '/ros2 launch x'), False)])
def test_cmd_with_a_program_in_front_means_that_program(executable, words, hit):
    """A script that carries the words further behind is not the launch."""
    process = Process(10, 1, 1, 0, Program('x', words, None, executable))
    assert hits('cmd:*/ros2 launch *', process) == hit


@pytest.mark.parametrize('pattern, words', [
    ('exe:' + 'a' * 300, '256'), ('exe:' + '*a' * 9, '8 stars'), ('!cmd:*' + 'x*' * 8, '8 stars')])
def test_a_pattern_that_is_too_long_or_has_too_many_stars_is_refused(pattern, words):
    """Each glob is tried on each process."""
    with pytest.raises(selector.SelectorError, match=words) as caught:
        selector.parse(pattern)
    assert len(str(caught.value)) < 200


def test_no_pattern_that_is_allowed_backtracks_without_end():
    """The worst pattern on the longest command line ends; a backtracking one would take years."""
    longest = Process(10, 1, 1, 0, Program('x', ('a' * 4096,), None, 'x'))
    for pattern in ('cmd:' + '*a' * 8 + 'b', 'cmd:' + '*[a-z]a' * 8 + 'b', 'cmd:' + '*?a' * 8):
        hits(pattern, longest)
    assert not hits('cmd:' + '*a' * 8 + 'b', longest)
