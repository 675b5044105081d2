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

"""The words of oom_exec: written and read back, and nested scopes."""

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.actions import oom_exec
from oom_sentinel.actions.oom_exec import Rule
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import program
from oom_sentinel.settings import selector
import pytest

SELECTORS = tuple(selector.parse(text) for text in (
    'exe:a*', '!node:/r1/*', 'cmd:*with words*', 'pkg:nav2_*', 'exe:back\\slash'))
rules = st.builds(Rule, st.integers(-999, 1000),
                  st.lists(st.sampled_from(SELECTORS), max_size=3).map(tuple))


@given(st.lists(rules, min_size=1, max_size=4), st.lists(st.text(min_size=1), max_size=4))
def test_rules_and_command_are_read_as_they_were_written(some, command):
    """Also when the command has words of ours."""
    words = oom_exec.join('/opt/lib/oom_sentinel/oom_exec', some, command)
    assert oom_exec.split(words) == (tuple(some), tuple(command))


@pytest.mark.parametrize('words', [
    (), ('gdb', '--args', 'x'), ('oom_exec',), ('oom_exec', 'x', '--', 'y'),
    ('oom_exec', '5', '--match'), ('oom_exec', '5', '--match', '')])
def test_what_is_not_ours_is_left_alone(words):
    """Another prefix, or somebody's own wrong call."""
    assert oom_exec.split(words) == ((), words)


@pytest.mark.parametrize('text, value', [('5', 5), (' -500 ', -500), ('-1000', -999)])
def test_values(text, value):
    """Unkillable becomes nearly so."""
    assert oom_exec.value(text) == value


@pytest.mark.parametrize('text', ['800x', '', '1001', '-1001', '3.5', '1e2'])
def test_refused_values_are_named_with_the_range(text):
    """One sentence."""
    with pytest.raises(oom_exec.ValueRefused) as caught:
        oom_exec.value(text)
    assert repr(text) in str(caught.value) and '-1000..1000' in str(caught.value)


def test_an_inner_scope_takes_all_unless_it_matches_some():
    """Then the outer one has the rest."""
    outer, inner, some = Rule(1), Rule(2), Rule(3, SELECTORS[:1])
    assert oom_exec.nested(inner, (outer,)) == (inner,)
    assert oom_exec.nested(some, (outer,)) == (some, outer)
    amcl, dog = (Process(1, 1, 1, 1, program.classify('', [name], None))
                 for name in ('/bin/amcl', '/bin/dog'))
    assert oom_exec.chosen((some, outer), amcl) == 3
    assert oom_exec.chosen((some, outer), dog) == 1
    assert oom_exec.chosen((some,), dog) is None
