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

"""Storms of real OOM kills, each scene played without and with the sentinel (bench/storm)."""

import os
import pathlib
import shutil
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
scenes = pytest.importorskip('bench.storm.scenes')
play = pytest.importorskip('bench.storm.play')
storms = pytest.importorskip('bench.storm.__main__')
ground = pytest.importorskip('bench.storm.ground')

# The fast leaks, whose scenes are short; `make storm` plays all of them.
PAIRS = [(seed, kind) for seed, kind in zip(
    (3, 4, 7, 8) * 5, (*scenes.KINDS, *scenes.KINDS[:6]))]
SECONDS = float(os.environ.get('OOM_SENTINEL_STORMS_S', '300'))
BEGAN_S = []


def readable(path):
    """Return whether another user may read this, so whether a sentinel of his can start."""
    folders = [path, *path.parents]
    return all(os.stat(folder).st_mode & 0o005 == 0o005 for folder in folders)


@pytest.fixture(scope='module')
def stage():
    """Return the sentinel of all storms, a user's of its own."""
    if os.geteuid() != 0 or ground.usable() is None or shutil.which('setpriv') is None \
            or not os.access('/dev/kmsg', os.R_OK):
        pytest.skip('needs root, a memory controller, setpriv and the kernel log')
    if not readable(ROOT) or not readable(pathlib.Path(sys.executable).parent):
        pytest.skip('another user may not read this checkout')
    made = storms.Stage()
    BEGAN_S.append(time.monotonic())
    yield made
    said = made.said().decode()
    made.close()
    assert 'a cycle failed' not in said and 'Traceback' not in said, said


@pytest.mark.parametrize('seed, kind', PAIRS)
def test_no_critical_node_dies_needlessly_and_no_more_bystanders_than_without(stage, seed, kind):
    """The two promises of protection, on scenes with their own seeds."""
    if time.monotonic() - BEGAN_S[0] > SECONDS:
        pytest.skip(f'{SECONDS:g} s are used up: OOM_SENTINEL_STORMS_S=900 plays all')
    scene = scenes.build(seed, kind)
    without, guarded = (play.count(deaths) for deaths in stage.pair(scene))
    marks = storms.marks_of(without, guarded)
    assert 'C' not in marks, (without, guarded)
    assert 'H' not in marks or scene.several_protected_leak, (without, guarded)
