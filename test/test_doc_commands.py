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
"""Every command that README and docs show does what it should, as far as it is safe here."""

import ast
import pathlib
import re
import shlex
import subprocess
import sys

from oom_sentinel import settings
import pytest
import yaml

ROOT = pathlib.Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob('*.md'), *ROOT.glob('docs/*.md')])
BLOCK = re.compile(r'^```(?:sh|bash|console)\n(.*?)^```', re.MULTILINE | re.DOTALL)
CLI = re.compile(r'(?:\.venv/bin/|ros2 run oom_sentinel )?oom_sentinel (?=[a-z-])|ros2 oom ')
SERVICES = {'apply', 'restore', 'shed', 'resume'}
# Programs of others: their syntax is checked, they are not run.
OTHERS = {'cd', 'source', 'rosdep', 'colcon', 'rm', 'rqt', 'sudo', 'systemctl', 'curl', 'docker'}
ROS2 = {('topic', 'echo'), ('param', 'list'), ('param', 'describe'), ('param', 'dump'),
        ('param', 'set'), ('run', 'plotjuggler'), ('run', 'oom_sentinel'), ('service', 'call'),
        ('launch', 'oom_sentinel'), ('launch', 'any_robot')}


def commands():
    """Return (page, command) for each line of a shell block, comments cut off."""
    found = []
    for page in PAGES:
        for block in BLOCK.findall(page.read_text(encoding='utf-8')):
            for line in block.replace('\\\n', ' ').splitlines():
                line = re.sub(r'(^| )#.*', '', line.removeprefix('$ ')).strip()
                if line:
                    found.append((page.name, line))
    return found


COMMANDS = commands()


def test_there_are_commands():
    """A page without its blocks would pass everything below."""
    assert len(COMMANDS) > 25
    assert {page for page, _ in COMMANDS} >= {'README.md', 'getting_started.md', 'tuning.md'}


@pytest.mark.parametrize('page, line', COMMANDS, ids=lambda text: text[:60])
def test_a_shell_would_take_it(page, line):
    """No prose, no open quote."""
    done = subprocess.run(['bash', '-n', '-c', line], capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, f'{page}: {done.stderr}'


@pytest.mark.parametrize('page, line', COMMANDS, ids=lambda text: text[:60])
def test_the_command_is_known(page, line):
    """Of make the target exists; of ours the words are taken; of ROS the names are ours."""
    for part in re.split(r'&&|;', line):
        words = shlex.split(part)
        if words and words[0] == 'make':
            targets = re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text(), re.MULTILINE)
            assert words[1] in targets, f'{page}: {part}'
        elif CLI.match(part.strip()):
            run_ours(page, part.strip())
        elif words and words[0] == 'ros2':
            ros2(page, words)
        else:
            assert words and words[0] in OTHERS | {'git'}, f'{page}: nobody checks {part!r}'


def run_ours(page, text):
    """Run a command of ours; --watch would not end and protect writes: those are only parsed."""
    words = shlex.split(CLI.sub('', text, count=1))
    words = [str(ROOT / 'config/nav2.yaml') if word == 'FILE' else word for word in words]
    if '--watch' in words or words[0] == 'protect':
        words.append('--help')
    if words[0] == 'kills':
        words += ['--file', str(ROOT / 'README.md')]  # whatever this machine's own log holds
    if '--cgroup' in words:
        words += ['--root', str(ROOT / 'test/fixtures/vm-debian12-6.18')]
    done = subprocess.run([sys.executable, '-m', 'oom_sentinel.cli', *words], cwd=ROOT,
                          capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, 1), f'{page}: {text}: {done.stderr}'
    assert 'Traceback' not in done.stderr and 'usage:' not in done.stderr, done.stderr


def ros2(page, words):
    """Check what can be checked without ROS: files, arguments, parameters, services."""
    assert tuple(words[1:3]) in ROS2, f'{page}: nobody checks {words}'
    if words[1:3] == ['launch', 'oom_sentinel']:
        path = ROOT / 'launch' / words[3]
        declared = re.findall(r"'(\w+)'", path.read_text(encoding='utf-8'))
        declared += re.findall(r"'(\w+)'", (ROOT / 'oom_sentinel/actions/start.py').read_text())
        for argument in words[4:]:
            assert argument.partition(':=')[0] in declared, f'{page}: {argument}'
    if words[1:3] == ['param', 'set']:
        settings.build({words[4]: ast.literal_eval(words[5])})
    if words[1:3] == ['param', 'describe']:
        assert words[4] in {d.name for d in settings.declarations_for({})}
    if words[1:3] == ['service', 'call']:
        assert words[3].rpartition('/')[2] in SERVICES
    if words[1:3] == ['run', 'oom_sentinel']:
        assert words[3] in ('oom_sentinel_node', 'oom_sentinel')
        pairs = [value.partition(':=') for flag, value in zip(words, words[1:]) if flag == '-p']
        settings.build({name: yaml.safe_load(value) for name, _, value in pairs})


def test_commands_within_a_sentence_name_what_exists():
    """A parameter or service in backquotes that was renamed is found here."""
    known = {d.name for d in settings.declarations_for({})}
    for page in PAGES:
        text = page.read_text(encoding='utf-8').replace('\n', ' ')
        for name in re.findall(r'ros2 param set /oom_sentinel ([a-z][\w.]+)', text):
            shipped = re.sub(r'^group\.\w+\.', 'group.bringup.', name)  # every group has them
            assert shipped in known, f'{page.name}: {name}'
        for name in re.findall(r'ros2 service call /oom_sentinel/(\w+)', text):
            assert name in SERVICES, f'{page.name}: {name}'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_parameter_files_in_the_pages_are_read_without_a_warning(page, tmp_path, capsys):
    """Whoever copies one gets what it says."""
    from oom_sentinel.cli import tree
    for number, text in enumerate(re.findall(r'```yaml\n(.*?)```', page.read_text(), re.DOTALL)):
        if 'ros__parameters' in text:
            path = tmp_path / f'{number}.yaml'
            path.write_text(text)
            tree.read_settings(str(path))
    assert capsys.readouterr().err == ''


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_the_anchors_of_links_exist(page):
    """A link to a heading that was reworded leads nowhere."""
    for target, anchor in re.findall(r'\]\((?!http)([^)#]*)#([^)]+)\)', page.read_text()):
        other = page.parent / target if target else page
        headings = re.findall(r'^#+ (.*)', other.read_text(encoding='utf-8'), re.MULTILINE)
        slugs = {re.sub(r'[^\w -]', '', heading.lower()).strip().replace(' ', '-')
                 for heading in headings}
        assert anchor in slugs, f'{page.name}: {target}#{anchor}'


def test_the_site_lists_every_page():
    """mkdocs.yml leaves out none, and names none that is gone."""
    nav = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']

    def names(item):
        if isinstance(item, str):
            return [item]
        return [name for part in (item.values() if isinstance(item, dict) else item)
                for name in names(part)]
    assert sorted(names(nav)) == sorted(page.name for page in (ROOT / 'docs').glob('*.md'))
    theme = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['theme']
    assert theme['font'] is False, 'web fonts would be fetched from outside'
