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
