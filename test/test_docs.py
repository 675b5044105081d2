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

"""The documents say what the code does, and every link in them leads somewhere."""

import pathlib
import re
import runpy

from oom_sentinel import cli
from oom_sentinel import settings
from oom_sentinel.cli import tree
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')])


def test_parameters_md_and_the_example_are_current():
    """Run `python3 docs/make_parameters.py` after changing a parameter."""
    made = runpy.run_path(str(ROOT / 'docs' / 'make_parameters.py'))
    assert made['TARGET'].read_text(encoding='utf-8') == made['document']()
    assert made['EXAMPLE'].read_text(encoding='utf-8') == made['example']()


def test_the_man_page_is_current():
    """Run `python3 docs/make_man.py` after changing an argument."""
    made = runpy.run_path(str(ROOT / 'docs' / 'make_man.py'))
    assert made['TARGET'].read_text(encoding='utf-8') == made['document']()


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_that_a_page_links_to_exists(page):
    """Links and the paths in backquotes."""
    text = page.read_text(encoding='utf-8')
    for target in re.findall(r'\]\((?!http|#)([^)#]+)', text):
        assert (page.parent / target).exists(), target
    for target in re.findall(r'`((?:docs|config|test|oom_sentinel|launch|bench)/[\w./-]+)`', text):
        assert (ROOT / target).exists(), target


def test_the_outputs_in_cli_md_are_real(capsys, monkeypatch, utc):
    """Those of the verbs whose text depends on the captured tree alone."""
    monkeypatch.chdir(ROOT)
    text = (ROOT / 'docs' / 'cli.md').read_text(encoding='utf-8')
    blocks = re.findall(r'```\n\$ oom_sentinel ((?:order|status|kills|doctor) [^\n]+)\n(.*?)```',
                        text, re.DOTALL)
    assert len(blocks) == 4
    for words, printed in blocks:
        cli.main(words.split())
        assert capsys.readouterr().out == printed, words


def test_the_parameter_file_in_the_readme_is_valid(tmp_path, capsys):
    """What is copied from there works, without a warning."""
    found = re.findall(r'```yaml\n(.*?)```', (ROOT / 'README.md').read_text(), re.DOTALL)
    assert found
    for number, text in enumerate(found):
        path = tmp_path / f'{number}.yaml'
        path.write_text(text)
        assert tree.read_settings(str(path)).protection_groups
    assert capsys.readouterr().err == ''


def test_every_parameter_that_the_readme_names_exists():
    """A renamed parameter is renamed there too."""
    known = {d.name for d in settings.declarations_for({})}
    text = (ROOT / 'README.md').read_text()
    named = set(re.findall(r'^\| `([a-z_.]+)` \|', text, re.MULTILINE))
    assert named and named <= known, named - known
