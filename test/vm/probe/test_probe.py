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

"""Each kernel is asked itself: its scores, whom it kills in which order, and how it logs that."""

import json
import os
import shutil
import subprocess
import sys

import archive
import guest_probe
import pytest

# From 5.10 to the newest in Debian's archive.  KERNELS='trixie trixie-backports:6.18' tries the
# newest of one release and a given one of another, trixie/arm64-16k another machine.
RELEASES = os.environ.get('KERNELS', 'bullseye bookworm trixie sid').split()
HELD = {'busybox-map', 'busybox-planner', 'busybox-driver', 'busybox-shell', 'busybox-idle'}
pytestmark = pytest.mark.timeout(1200)


def say(*arguments):
    """Return the JSON document that the command line prints."""
    done = subprocess.run([sys.executable, '-m', 'oom_sentinel.cli', '--json', *arguments],
                          capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 1), done.stdout + done.stderr  # 1: kills were found
    return json.loads(done.stdout)


@pytest.fixture(scope='module', params=RELEASES)
def probe(request, tmp_path_factory):
    """Boot the kernel of a Debian release and return the tree that it brought back."""
    emulator = guest_probe.emulator(request.param)
    if shutil.which(emulator) is None:
        pytest.skip(f'{emulator} is not installed here')
    try:
        folder = guest_probe.prepare(request.param)
    except archive.Unavailable as error:
        pytest.skip(f'the kernel of {request.param} cannot be had here: {error}')
    target = tmp_path_factory.mktemp('probe')
    try:
        guest_probe.run(request.param, folder, target)
    except guest_probe.Failed as error:
        pytest.fail(f'the guest of {request.param} brought nothing back: {error}')
    return target


@pytest.fixture(scope='module')
def order(probe):
    """Return what `order` says of the captured tree."""
    return say('--root', str(probe), 'order')


@pytest.fixture(scope='module')
def kills(probe):
    """Return what `kills` finds in the guest's kernel log."""
    return say('kills', '--file', str(probe / 'dmesg'))['kills']


def test_the_predicted_score_is_the_kernels(order):
    """For each process the predicted oom_score is that of /proc/PID/oom_score."""
    shown = order['processes']
    assert HELD | {'busybox-never'} <= {p['comm'] for p in shown}
    wrong = [(p['comm'], p['pid'], p['predicted_oom_score'], p['oom_score']) for p in shown
             if p['predicted_oom_score'] != p['oom_score']]
    assert wrong == []


def test_they_die_in_the_predicted_order(probe, order, kills):
    """The kernel kills them in the order of their ranks, and whoever fills memory last."""
    ranked = [p['pid'] for p in order['processes'] if p['rank'] is not None]
    filler = int((probe / 'filler').read_text())
    assert len(ranked) >= len(HELD)
    assert [k['victim_pid'] for k in kills] == [*ranked, filler]


def test_its_log_is_understood(order, kills):
    """Each report of the log has its table, and the table names the one who was killed."""
    for kill in kills:
        assert kill['constraint'] == 'CONSTRAINT_NONE'
        assert kill['predicted_victim_pid'] == kill['victim_pid']
        assert kill['disagreement'] is None
        assert kill['page_size'] == order['page_size']
