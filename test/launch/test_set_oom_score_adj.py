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

"""set_oom_score_adj: in force before the first instruction, scoped, and never in the way."""

import re

from conftest import lowering_permitted
import pytest

pytest.importorskip('launch_ros', reason='needs launch_ros, which is on no package index: '
                    'source ROS; CI runs it in the ROS containers')
SHOW = "'cat', '/proc/self/oom_score_adj'"


def shown(made, count):
    """Return what so many processes printed, by process name."""
    made.child.wait(60)
    found = re.findall(r'^\[([\w]+)-\d+\] (-?\d+)$', made.text, re.MULTILINE)
    assert len(found) == count, made.text
    return [(name, int(value)) for name, value in found]


def test_from_python_for_its_scope(launch):
    """Outside the group nothing changes; inside, the innermost counts."""
    made = launch(f"""
        run({SHOW}, name='before'),
        GroupAction([
            SetOomScoreAdj(300), run({SHOW}, name='group'),
            GroupAction([SetOomScoreAdj(500), run({SHOW}, name='inner')]),
            GroupAction([SetOomScoreAdj(700, match='exe:dog'), run({SHOW}, name='unmatched')]),
            GroupAction([SetOomScoreAdj(800, match=['exe:dog', 'exe:c?t']),
                         run({SHOW}, name='matched')]),
            run({SHOW}, name='again')]),
        run({SHOW}, name='after'),
    """)
    assert dict(shown(made, 7)) == {'before': 0, 'group': 300, 'inner': 500, 'unmatched': 300,
                                    'matched': 800, 'again': 300, 'after': 0}


XML = """<launch>
  <let name="v" value="222"/>
  <group>
    <set_oom_score_adj value="111"/>
    <executable cmd="cat /proc/self/oom_score_adj" name="plain" output="screen"/>
    <executable cmd="cat /proc/self/oom_score_adj" name="shelled" output="screen" shell="true"/>
  </group>
  <group>
    <set_oom_score_adj value="$(var v)" match="exe:cat"/>
    <executable cmd="cat /proc/self/oom_score_adj" name="matched" output="screen"/>
    <executable cmd="head /proc/self/oom_score_adj" name="other" output="screen"/>
  </group>
</launch>"""
YAML = """launch:
- let: {name: v, value: '222'}
- group:
  - set_oom_score_adj: {value: 111}
  - executable: {cmd: cat /proc/self/oom_score_adj, name: plain, output: screen}
  - executable: {cmd: cat /proc/self/oom_score_adj, name: shelled, output: screen, shell: true}
- group:
  - set_oom_score_adj: {value: $(var v), match: ['exe:cat', 'exe:dog']}
  - executable: {cmd: cat /proc/self/oom_score_adj, name: matched, output: screen}
  - executable: {cmd: head /proc/self/oom_score_adj, name: other, output: screen}
"""


@pytest.mark.parametrize('kind, text', [('xml', XML), ('yaml', YAML)])
def test_from_a_markup_file(launch, kind, text):
    """The same, with substitutions."""
    made = launch(text, kind=kind)
    assert dict(shown(made, 4)) == {'plain': 111, 'shelled': 111, 'matched': 222, 'other': 0}


def test_another_prefix_is_kept(launch):
    """`launch-prefix` of the command line, such as a debugger's, comes behind ours."""
    made = launch("""
        SetLaunchConfiguration('launch-prefix', 'env A=1'),
        SetOomScoreAdj(300), SetOomScoreAdj(400),
        run('sh', '-c', 'echo $((A + $(cat /proc/self/oom_score_adj)))', name='both'),
    """)
    assert shown(made, 1) == [('both', 401)]


@pytest.mark.parametrize('value', ['800x', '1001', '', '3.5'])
@pytest.mark.parametrize('kind, text', [
    ('xml', '<launch><set_oom_score_adj value="VALUE"/><executable name="child" '
            'cmd="cat /proc/self/oom_score_adj" output="screen"/></launch>'),
    ('yaml', 'launch:\n- set_oom_score_adj: {value: "VALUE"}\n- executable: {name: child, '
             'cmd: cat /proc/self/oom_score_adj, output: screen}\n')])
def test_a_bad_value_is_named_with_its_file_and_the_launch_goes_on(launch, kind, text, value):
    """Out of range, or no number at all."""
    made = launch(text.replace('VALUE', value), kind=kind)
    assert shown(made, 1) == [('child', 0)]
    line = next(line for line in made.text.splitlines() if 'refused' in line)
    assert f'launch.{kind}: set_oom_score_adj: value' in line and repr(value) in line
    assert '-1000..1000' in line


@pytest.mark.parametrize('kind', ['xml', 'yaml', 'py'])
def test_a_bad_value_behind_an_include_is_named_with_its_own_file(launch, tmp_path, kind):
    """Of launch itself only the file that was included last is known."""
    inner = tmp_path / 'inner.launch.xml'
    inner.write_text('<launch><set_oom_score_adj value="inner"/></launch>')
    made = launch(*{
        'xml': (f'<launch><include file="{inner}"/><set_oom_score_adj value="outer"/></launch>',),
        'yaml': (f'launch:\n- include: {{file: {inner}}}\n'
                 '- set_oom_score_adj: {value: outer}\n',),
        'py': (f'IncludeLaunchDescription({str(inner)!r}), SetOomScoreAdj("outer")',)}[kind],
        **({} if kind == 'py' else {'kind': kind}))
    made.child.wait(60)
    lines = [line for line in made.text.splitlines() if 'refused' in line]
    assert len(lines) == 2 and "inner.launch.xml: set_oom_score_adj: value: 'inner'" in lines[0]
    assert 'inner.launch.xml' not in lines[1] and "'outer'" in lines[1]
    assert f'launch.{kind}: set_oom_score_adj' in lines[1]


def test_a_bad_selector_is_named_too(launch):
    """A `match` that can never match."""
    made = launch(f"SetOomScoreAdj(300, match='exe:'), run({SHOW}, name='child')")
    assert shown(made, 1) == [('child', 0)]
    assert "set_oom_score_adj: match: selector 'exe:' has an empty pattern" in made.text


def test_a_value_that_the_kernel_refuses_is_a_warning_and_the_process_starts(launch):
    """Lowering without the capability."""
    if lowering_permitted():
        pytest.skip('this machine lets us lower: nothing is refused')
    made = launch(f"SetOomScoreAdj(-500), run({SHOW}, name='child')")
    assert shown(made, 1) == [('child', 0)]
    assert '-500 refused by the kernel' in made.text


def test_it_is_there_before_the_first_instruction_50_of_50(launch, program):
    """Compiled and Python, while the launch is busy starting them all."""
    made = launch(f"""
        SetOomScoreAdj(345),
        *[run({SHOW}, name='compiled') for _ in range(25)],
        *[run({program('cam', 'cam_node')!r}, 'short', name='python') for _ in range(25)],
    """)
    made.child.wait(100)
    assert made.text.count('] 345\n') == 25, made.text
    assert made.text.count('] first 345\n') == 25, made.text
