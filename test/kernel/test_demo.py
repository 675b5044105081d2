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
"""`make demo`: played for real where a memory control group can be made, else replayed."""

import glob
import importlib
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

from limited import memory_folder
from limited import raising_alone  # noqa: F401
import pytest

pytest.importorskip('rclpy', reason='needs rclpy: the demo is played by nodes')
ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # the demo stands beside the package, not in it
screen = importlib.import_module('demo.screen')


def play(*words):
    """Run the demo as the Makefile does and return what it printed."""
    made = subprocess.run([sys.executable, '-m', 'demo', *words], cwd=ROOT, text=True,
                          capture_output=True, timeout=110)
    assert made.returncode == 0, made.stdout + made.stderr
    assert 'Traceback' not in made.stdout + made.stderr
    return made.stdout


def in_order(text, *pieces):
    """Fail unless the pieces stand in the text, one behind the other."""
    at = 0
    for piece in pieces:
        found = text.find(piece, at)
        assert found >= 0, f'{piece!r} is missing behind {text[:at][-200:]!r}: {text}'
        at = found


@pytest.mark.usefixtures('raising_alone')
@pytest.mark.skipif(memory_folder() is None, reason='needs root and a memory controller')
def test_without_the_sentinel_navigation_dies_and_with_it_the_recorder(
        tmp_path, monkeypatch):
    """The real thing, three times as fast; no control group and no process is left behind."""
    folder = memory_folder()[0]
    place = tmp_path / 'tmp'
    place.mkdir()
    monkeypatch.setenv('TMPDIR', str(place))
    text = play('--speed', '3')
    if 'another sentinel of this user' in text:
        pytest.skip('a sentinel of this user runs on this machine and raises the demo too')
    in_order(text, 'Round 1 of 2', 'KILLED: navigation', 'Round 2 of 2',
             'oom_score_adj of recorder', 'OOM risk: ', 'KILLED: recorder',
             'Alive: base, lidar, navigation', 'The report of the kill')
    assert all(len(line) <= 80 or '/' in line for line in text.splitlines())
    assert [p.name for p in place.iterdir()] == ['oom_sentinel_demo']
    assert list((place / 'oom_sentinel_demo').iterdir()) != []
    left = {pathlib.Path(path).read_text() for path in glob.glob(f'{folder}/demo_*/cgroup.procs')}
    assert not any(left)


def test_without_root_the_reason_is_given_and_the_recording_replayed():
    """Whoever may not make a control group still sees it, and his own machine's kill order."""
    text = play('--replay', '--speed', '0')
    in_order(text, 'Replayed from a recording of a real run, because', 'Round 1 of 2',
             'KILLED: navigation', 'Round 2 of 2', 'KILLED: recorder', 'Live, and without', 'PID')
    assert 'oom_sentinel_demo/' not in text, 'a file of the recorded run, which is not here'


@pytest.mark.skipif(os.geteuid() != 0, reason='needs root, to become somebody else')
def test_another_user_is_told_why():
    """The same by an ordinary user's own lack of permission."""
    code = ('import os; os.setgid(65534); os.setuid(65534)\n'
            'from demo import limit\ntry:\n    limit.Limit(64)\n'
            'except OSError as error:\n    print(type(error).__name__)')
    made = subprocess.run([sys.executable, '-c', code], cwd=ROOT, text=True, capture_output=True,
                          timeout=60)
    assert made.stdout.strip() in ('PermissionError', 'FileNotFoundError', 'OSError'), made


def words(svg):
    """Return the lines of text that an SVG shows."""
    return [''.join(text.itertext()) for text in ElementTree.parse(svg).iter(
        '{http://www.w3.org/2000/svg}text')]


def test_the_picture_is_drawn_from_the_recording_and_loads_nothing(tmp_path):
    """The first page shows a kill, and its SVG asks no other host for a font."""
    pytest.importorskip('rich', reason='needs rich')
    screen.draw(tmp_path / 'demo.svg')
    text = (tmp_path / 'demo.svg').read_text()
    assert 'url(' not in text.replace('url(#', '') and '@import' not in text
    assert 'KILLED' in text
    # Another version of rich draws other shapes around the same words.
    assert words(ROOT / 'docs' / 'demo.svg') == words(tmp_path / 'demo.svg')
