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

"""Refusals teach, presets are valid, and nothing but the documented errors escapes."""

import pathlib

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import settings
from oom_sentinel.settings import parameter_file
from oom_sentinel.settings import selector
from oom_sentinel.settings import SettingsError
import pytest

CONFIG = pathlib.Path(__file__).parents[3] / 'config' / 'oom_sentinel.yaml'


@pytest.mark.parametrize('name, value, words', [
    ('publish_period', 0.01, ('publish_period', '0.01', '0.1..60')),
    ('publish_period', True, ('publish_period', 'True', 'number')),
    ('scan_period', 'fast', ('scan_period', "'fast'", '0.2..60')),
    ('protection.when_denied', 'panic', ('panic', "'raise_others', 'report'")),
    ('memory.available_error_percent', 20.0, ('memory.available_warn_percent', '15')),
    ('swap.used_error_percent', 50.0, ('at least swap.used_warn_percent',)),
    ('groups', ['Drivers'], ("'Drivers'", 'a letter first')),
    ('groups', ['a', 'a'], ('each name once',)),
    ('group.bringup.match', [''], ('empty', 'group.bringup.match')),
    ('group.bringup.match', ['node:amcl'], ('starts with /',)),
    ('group.bringup.match', ['nod:/amcl'], ('unknown kind', 'node')),
    ('group.bringup.oom_score_adj', -1001, ('-1001', '-1000..1000')),
    ('group.bringup.oom_score_adj', 1.5, ('1.5', 'integer')),
    ('hardware_id', 'x' * 1025, ('hardware_id', '1024 bytes')),
    ('hardware_id', 'ä' * 600, ('hardware_id', '1024 bytes')),
    ('group.bringup.match', ['exe:' + 'a*' * 500_000], ('1024 bytes',)),
    ('group.bringup.match', ['exe:a'] * 257, ('256', '257')),
    ('groups', [f'g{i}' for i in range(65)], ('65', 'at most 64')),
    ('groups', ['g' * 65], ('at most 64 characters',)),
    ('group.bringup.shed', ['hug'], ("'hug'", "'interrupt'")),
    ('shed.mode', 'on', ("'on'", "'off', 'report', 'act'")),
])
def test_a_refusal_names_parameter_value_and_range(name, value, words):
    """Whoever reads it knows what to type instead."""
    with pytest.raises(SettingsError) as caught:
        settings.build({name: value})
    text = str(caught.value)
    assert name in text and all(word in text for word in words), text


def test_all_groups_together_have_a_most_of_selectors():
    """Each selector is tried on every process: 16000 made the cycles 14 s long."""
    names = ['a', 'b', 'c']
    values = {d.name: d.default for d in settings.declarations_for({'groups': names})}
    values['groups'] = tuple(names)
    few, many = ('exe:x',) * 170, ('exe:x',) * 256
    values.update({f'group.{name}.match': few for name in names})
    built = settings.build(values)
    values['group.b.match'] = many
    for refusing in (lambda: settings.build(values),
                     lambda: settings.rebuild(built, values, ['group.b.match'])):
        with pytest.raises(SettingsError) as caught:
            refusing()
        assert 'group.c.match: 170 selectors refused' in str(caught.value)
        assert 'at most 512 of all groups together' in str(caught.value)


@pytest.mark.parametrize('digits', [20, 400, 5000])
def test_a_number_of_any_length_is_refused(digits):
    """Neither float() nor repr() takes them all."""
    for name in ('publish_period', 'group.bringup.oom_score_adj'):
        with pytest.raises(SettingsError, match=f'{name}: .{{1,90}} refused'):
            settings.build({name: 10 ** digits})


@pytest.mark.parametrize('value', [[], (), None, b''.split()])
def test_an_empty_list_of_any_kind_is_an_empty_list_of_strings(value):
    """YAML and ros2 param both arrive as something else."""
    assert settings.build({'group.bringup.match': value}).protection_groups[0].match == ()


def test_off_is_a_string_where_it_is_meant():
    """YAML 1.1 and `ros2 param set NODE shed.mode off` make false of it."""
    assert settings.build({'shed.mode': False}).shed_mode == 'off'
    with pytest.raises(SettingsError):
        settings.build({'protection.when_denied': False})


def test_a_refusal_does_not_expand_what_yaml_aliases_stand_for():
    """Nine lists in lists of nine are 3e8 strings when they are written out."""
    laughs = ['lol'] * 9
    for _ in range(8):
        laughs = [laughs] * 9
    with pytest.raises(SettingsError) as caught:
        settings.build({'groups': laughs})
    assert len(str(caught.value)) < 1000


def test_integers_are_taken_where_floats_are_meant():
    """`ros2 param set publish_period 2` works."""
    assert settings.build({'publish_period': 2}).publish_period == 2.0


@pytest.mark.parametrize('typo, meant', [
    ('publish_perod', 'publish_period'), ('group.bringup.mtch', 'group.bringup.match'),
    ('memory.availabel_warn_percent', 'memory.available_warn_percent')])
def test_a_typo_is_named_with_the_closest_name(typo, meant):
    """A parameter file with a typo does not pass in silence."""
    assert settings.unknown({typo: 1}) == ((typo, f'; did you mean {meant}?'),)


def test_a_group_is_said_to_have_its_parameters_where_none_looks_alike():
    """Someone who writes `selectors` is not led to `shed`, which begins with the same letter."""
    (_, meant), = settings.unknown({'group.bringup.selectors': []})
    assert meant.startswith('; group.bringup has ') and 'did you mean' not in meant
    assert {'match', 'oom_score_adj', 'shed'} <= set(meant.split(' has ')[1].split(', '))


def test_a_name_like_none_has_no_suggestion():
    """A guess that is worse than none is not made."""
    assert settings.unknown({'zzz': 1}) == (('zzz', ''),)


def test_the_shipped_file_is_the_defaults():
    """config/oom_sentinel.yaml names every parameter with its default, and no other."""
    values = parameter_file.flatten(parameter_file._load_yaml(str(CONFIG)), str(CONFIG))
    assert settings.unknown(values) == ()
    assert {d.name for d in settings.declarations_for({})} == set(values)
    assert settings.build(values) == settings.build({})


@given(st.text())
def test_selectors_raise_nothing_else(text):
    """Any text is a selector or a SelectorError."""
    try:
        parsed = selector.parse(text)
    except selector.SelectorError:
        return
    assert parsed.kind in selector.KINDS and parsed.pattern


@given(st.dictionaries(
    st.sampled_from([d.name for d in settings.declarations_for({})]),
    st.none() | st.booleans() | st.integers() | st.floats() | st.text()
    | st.lists(st.text() | st.integers())))
def test_settings_raise_nothing_else(values):
    """Any values are settings or a SettingsError."""
    try:
        built = settings.build(values)
    except SettingsError:
        return
    assert len(built.protection_groups) == len(built.groups)


def test_a_change_rebuilds_what_it_names_and_keeps_the_other_groups():
    """As if all had been built from the new values."""
    values = {d.name: d.default for d in settings.declarations_for({})}
    before = settings.build(values)
    values['hold_s'] = 7.0
    made = settings.rebuild(before, values, ['hold_s'])
    assert made == settings.build(values) != before
    assert made.protection_groups is before.protection_groups
    values['group.drivers.match'] = ('exe:lidar*',)
    made = settings.rebuild(before, values, ['hold_s', 'group.drivers.match'])
    assert made == settings.build(values)
    assert made.group('bringup') is before.group('bringup')
    assert made.group('drivers') != before.group('drivers')


def test_a_change_to_a_less_alarming_error_threshold_is_refused():
    """As at the start."""
    values = {d.name: d.default for d in settings.declarations_for({})}
    before = settings.build(values)
    values['memory.available_error_percent'] = 90.0
    with pytest.raises(SettingsError, match='memory.available_error_percent: 90'):
        settings.rebuild(before, values, ['memory.available_error_percent'])
