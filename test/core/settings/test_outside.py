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

"""Words of other programs become harmless before anybody reads them."""

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel.settings.outside import printable
from oom_sentinel.settings.outside import scrubbed
from oom_sentinel.settings.outside import STRUCK
import pytest


@pytest.mark.parametrize('text, shown', [
    ('/amcl', '/amcl'), ('a\x1b[31mb', 'a\\x1b[31mb'), ('a\nb\r', 'a\\x0ab\\x0d'),
    ('\u202etxt.exe', '\\u202etxt.exe'), ('\u2028', '\\u2028'), ('Größe 日本', 'Größe 日本'),
    ('\ud800', '\\ud800'), ('\U000e0001', '\\U000e0001')])
def test_control_escape_and_bidi_characters_are_shown_as_their_escapes(text, shown):
    """Letters of any language stay."""
    assert printable(text) == shown


@given(st.text(), st.integers(1, 50))
def test_any_text_becomes_one_bounded_printable_line(text, most):
    """The bound counts the characters of the text."""
    shown = printable(text, most)
    assert shown.isprintable() and len(shown) <= 10 * most
    assert len(shown.splitlines()) <= 1


def test_a_long_text_ends_in_an_ellipsis():
    """And only a long one."""
    assert printable('x' * 11, 10) == 'x' * 9 + '…'
    assert printable('x' * 10, 10) == 'x' * 10


@pytest.mark.parametrize('words', [
    ('mysql', '--password=SECRET'), ('x', '--api-key', 'SECRET'), ('env', 'PGPASSWORD=SECRET'),
    ('node', '--ros-args', '-p', 'robot_token:=SECRET'), ('curl', '-u', 'me:SECRET'),
    ('git', 'clone', 'https://me:SECRET@host/x'), ('x', 'https://h/?a=1&access_token=SECRET&b'),
    ('git', 'https://SECRETSECRETSECRETSECRET@github.com/a'),
    ('curl', '-H', 'Authorization: Bearer SECRET'), ('sh', '-c', 'x --passphrase SECRET y'),
    ('sh', '-c', 'curl -u me:SECRET http://h'), ('x', 'ghp_SECRETSECRETSECRETSECRET'),
    ('x', '--client-secret="SECRET"'), ('x', "--tokens='SECRET a'")])
def test_secrets_are_struck_out(words):
    """As an option, a variable, a parameter, in a URL, a header, inside a shell's words."""
    said = ' '.join(scrubbed(words))
    assert 'SECRET' not in said and STRUCK in said


@pytest.mark.parametrize('words', [
    ('amcl', '--ros-args', '-r', '__node:=amcl', '-p', 'use_sim_time:=true'),
    ('x', '--keyboard', 'us'), ('python3', '-u', 'run.py'), ('x', 'http://host:80/path')])
def test_other_words_are_kept(words):
    """A command line stays readable."""
    assert scrubbed(words) == words
