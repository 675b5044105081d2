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

"""Several parameter files for one node, as a launch gives them."""

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.settings import parameter_file
import pytest


def file(folder, name, text):
    """Write a parameter file and return its path."""
    path = folder / name
    path.write_text(text)
    return str(path)


def test_a_later_file_overrides_an_earlier_one(tmp_path):
    """A preset, then what the user changed of it."""
    preset = file(tmp_path, 'preset.yaml', '/**: {ros__parameters: {hold_s: 3, groups: [a]}}')
    own = file(tmp_path, 'own.yaml', 'oom_sentinel: {ros__parameters: {hold_s: 4}}')
    loaded = parameter_file.load(preset, own)
    assert (loaded.settings.hold_s, loaded.settings.groups) == (4.0, ('a',))
    assert loaded.warnings == () and loaded.named == {'hold_s', 'groups'}


def test_the_node_name_chooses_the_section(tmp_path):
    """A namespaced robot has its own values; another robot's are not taken."""
    path = file(tmp_path, 'two.yaml', '/r1/oom_sentinel: {ros__parameters: {hold_s: 1}}\n'
                                      '/r2/oom_sentinel: {ros__parameters: {hold_s: 2}}\n')
    assert parameter_file.load(path, node='/r2/oom_sentinel').settings.hold_s == 2.0
    loaded = parameter_file.load(path, node='/r3/oom_sentinel')
    assert loaded.settings.hold_s == 5.0
    assert 'nothing for /r3/oom_sentinel' in loaded.warnings[0] and path in loaded.warnings[0]


def test_a_refusal_names_the_file_that_brought_it(tmp_path):
    """Also when the other file is the first."""
    good = file(tmp_path, 'good.yaml', '/**: {ros__parameters: {hold_s: 3}}')
    bad = file(tmp_path, 'bad.yaml', '/**: {ros__parameters: {hold_s: 601}}')
    with pytest.raises(parameter_file.ParamsError, match='bad.yaml: hold_s: 601 .*0..600'):
        parameter_file.load(good, bad)


def test_all_refusals_come_at_once_with_their_lines(tmp_path):
    """One turn of mending, not five."""
    path = file(tmp_path, 'bad.yaml', """/**:
  ros__parameters:
    hold_s: 601
    memory:
      available_error_percent: 20.0
    groups: [a]
    group:
      a: {match: ['exe:'],
          oom_score_adj: 1.5}
    scan_period: fast
""")
    with pytest.raises(parameter_file.ParamsError) as caught:
        parameter_file.load(path)
    text = str(caught.value)
    for name, line in (('hold_s', 3), ('memory.available_error_percent', 5),
                       ('group.a.match', 8), ('group.a.oom_score_adj', 9), ('scan_period', 10)):
        assert any(part.startswith(f'{path}: {name}: ') and part.endswith(f'(line {line})')
                   for part in text.split('; ')), (name, text)
    assert '\n' not in text


@pytest.mark.parametrize('text', [
    'a: &a [x]\n/**: {ros__parameters: {groups: *a}}',
    '&a a: {b: *a}',
    'a: &a {x: 1}\nb: &b {p: *a, q: *a}\n/**: {ros__parameters: {p: *b}}'])
def test_aliases_are_refused_as_rcl_does(tmp_path, text):
    """Nine lines of them stand for a billion items."""
    with pytest.raises(parameter_file.ParamsError, match='aliases are not supported by ROS'):
        parameter_file.load(file(tmp_path, 'laughs.yaml', text))


def test_a_file_without_end_is_refused():
    """Reading stops after a mebibyte."""
    with pytest.raises(parameter_file.ParamsError, match='more than 1 MiB'):
        parameter_file.load('/dev/zero')


@pytest.mark.parametrize('key, node, meant', [
    ('/**', '/oom_sentinel', True), ('/*', '/oom_sentinel', True),
    ('/*', '/r/oom_sentinel', False),
    ('/*/oom_sentinel', '/r/oom_sentinel', True), ('/**/oom_sentinel', '/a/b/oom_sentinel', True),
    ('/**/x', '/oom_sentinel', False), ('/**/' * 40 + 'x', '/a' * 30, False),
    ('/**/' * 40 + 'a', '/a' * 30, True), ('', '/a', False), ('/a', '/a/b', False)])
def test_wildcards_of_node_names(key, node, meant):
    """They mean what rcl's do; forty of them take no longer than one."""
    assert parameter_file.means(key, node) == meant


@pytest.mark.parametrize('scalar', [
    '!!timestamp noon', '!!int ""', '!!float x', '!!bool maybe', '!!binary "%"', '!!set {a}',
    '2026-13-45', '!!omap [1]'])
def test_a_scalar_that_yaml_makes_nothing_of_is_refused(tmp_path, scalar):
    """Also where PyYAML fails in a way of its own."""
    path = file(tmp_path, 'odd.yaml', f'/**: {{ros__parameters: {{hold_s: {scalar}}}}}')
    with pytest.raises(parameter_file.ParamsError, match='odd.yaml: '):
        parameter_file.load(path)


@given(st.text(alphabet='ab:{}[]&*!-\'" \n#|>?%@,.~0', max_size=60))
def test_any_text_is_settings_or_a_params_error(text):
    """Nothing else escapes, whatever stands in the file."""
    import tempfile
    with tempfile.NamedTemporaryFile('w', suffix='.yaml') as stream:
        stream.write('/**:\n  ros__parameters:\n    ' + text)
        stream.flush()
        try:
            parameter_file.load(stream.name)
        except parameter_file.ParamsError as error:
            assert str(error)
