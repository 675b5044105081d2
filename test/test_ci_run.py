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

"""What .ci/run does with a step that fails, hangs, or has no time: with steps that do nothing."""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
RUN = ROOT / '.ci' / 'run'
pytestmark = pytest.mark.skipif(not RUN.exists(), reason='an installed package has no .ci/run')
MAKEFILE = """
.DEFAULT:
\t@./step '$@' '$(AGAIN)'
"""
# A file that has a step's name makes it fail, and goes with the last of its lines.
STEP = """#!/bin/sh
echo "$1${2:+ again}${OOM_SENTINEL_TEST_UNTIL:+ limited}" >>steps
echo "$1 speaks"
[ ! -e "hang-$1" ] || sleep 300
[ -s "fail-$1" ] || exit 0
sed -i 1d "fail-$1"
exit 1
"""
READY = '#!/bin/sh\ntouch "$1/guests"; mkdir "$1/extras"\n'
PYTHON = '#!/bin/sh\necho "pytest with $PYTHONPATH"\n'
ALL = ['setup', 'test limited', 'chaos limited', 'vm-guest limited', 'vm-probe limited',
       'vm-systemd limited', 'test-jazzy limited', 'test-unprivileged limited']


class Clone:
    """A folder with .ci/run, and a Makefile whose targets only write their names."""

    def __init__(self, folder):
        """Write it."""
        self.folder = folder
        (folder / '.ci').mkdir()
        (folder / '.venv/bin').mkdir(parents=True)
        shutil.copy2(RUN, folder / '.ci/run')
        (folder / 'Makefile').write_text(MAKEFILE)
        for name, text in (('step', STEP), ('.ci/ready', READY), ('.venv/bin/python', PYTHON)):
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)

    def fail(self, step, times=1):
        """Let a step fail so many times."""
        (self.folder / f'fail-{step}').write_text('once\n' * times)

    def run(self, seconds=1170, hung_s=1800):
        """Run it with so much time; return exit code, output and the steps that were made."""
        env = {key: value for key, value in os.environ.items()
               if key not in ('CI_RUN_LOGS', 'OOM_SENTINEL_TEST_UNTIL', 'MAKEFLAGS', 'AGAIN')}
        done = subprocess.run(['.ci/run'], cwd=self.folder, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, env={
                                  **env, 'CI_SECONDS': str(seconds),
                                  'CI_HUNG_SECONDS': str(hung_s)})
        steps = (self.folder / 'steps').read_text().splitlines()
        return done.returncode, done.stdout, steps


@pytest.fixture
def clone(tmp_path):
    """Return a clone whose steps all pass."""
    return Clone(tmp_path)


def test_each_step_is_made_once_and_all_is_shown(clone):
    """Those side by side in any order, each with its output in one piece."""
    code, said, steps = clone.run()
    assert code == 0, said
    assert steps[:3] == ALL[:3] and sorted(steps[3:6]) == ALL[3:6]
    assert sorted(steps[6:]) == ALL[6:]
    for step in ALL:
        assert said.count(f'{step.split()[0]} speaks') == 1
    assert 'pytest with ' in said and 'left out' not in said


@pytest.mark.parametrize('step, repeated', [
    ('test', 'test-again'), ('chaos', 'chaos'), ('vm-guest', 'vm-guest again'),
    ('test-jazzy', 'test-jazzy again')])
def test_what_failed_is_made_once_more_alone_and_nothing_of_it_is_left_out(clone, step, repeated):
    """The other steps are not repeated; a test that is skipped for want of time has not passed."""
    clone.fail(step)
    code, said, steps = clone.run()
    assert code == 0, said
    assert sorted(steps) == sorted([*ALL, repeated])


def test_what_fails_twice_fails(clone):
    """At once: what comes later is not begun."""
    clone.fail('vm-systemd', times=2)
    code, _, steps = clone.run()
    assert code != 0
    assert steps[-1] == 'vm-systemd again' and len(steps) == 7


def test_what_has_no_time_is_named(clone):
    """The guests first, chaos next; the tests of the host leave out what they cannot begin."""
    code, said, steps = clone.run(300)
    assert code == 0, said
    assert steps == [*ALL[:3], *steps[3:]] and sorted(steps[3:]) == ALL[6:]
    assert 'of 300 s are left: make vm-test' in said
    (clone.folder / 'steps').unlink()
    code, said, steps = clone.run(100)
    assert code == 0, said
    assert 'chaos limited' not in steps and 'of 100 s are left: make chaos' in said


def test_without_time_for_another_try_it_fails(clone):
    """A failure is never left out."""
    clone.fail('test')
    code, said, steps = clone.run(50)
    assert code != 0
    assert steps == ALL[:2] and 'another try of test-again' in said


@pytest.mark.parametrize('step', ['test', 'test-jazzy'])
def test_what_hangs_is_ended_and_what_it_said_is_shown(clone, step):
    """Also of a step that ran beside another."""
    (clone.folder / f'hang-{step}').touch()
    code, said, _ = clone.run(hung_s=5)
    assert code == 124
    assert f'{step} speaks' in said and 'ended by force' in said


def test_no_test_is_begun_after_the_end():
    """And each that is left out names the reason."""
    done = subprocess.run(
        [sys.executable, '-m', 'pytest', '-q', '-p', 'no:cacheprovider', 'test/test_layering.py'],
        cwd=ROOT, env={**os.environ, 'OOM_SENTINEL_TEST_UNTIL': '0.1'}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert 'passed' not in done.stdout and 'OOM_SENTINEL_TEST_UNTIL' in done.stdout
