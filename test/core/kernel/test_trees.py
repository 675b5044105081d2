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

"""The synthetic trees of boards: every verb and the whole cycle runs on each of them."""

from oom_sentinel import sentinel
from oom_sentinel import settings
from oom_sentinel.cli import main
import pytest
import trees

LIMITED = {'docker_v1': 512, 'docker_v2': 512, 'kubernetes': 1024, 'kubernetes_v1': 1024,
           'podman': 256, 'hybrid': 1024}


def statuses(root):
    """Run a whole cycle on a tree and return status name -> status."""
    watcher = sentinel.Sentinel(settings.build({}), root=str(root))
    return {s.name: s for s in watcher.cycle().statuses}


@pytest.mark.parametrize('board', trees.BOARDS)
def test_the_limit_that_can_kill_is_found_on_every_board(board, tmp_path):
    """A container's own limit, v1 and v2, with and without a cgroup namespace; else none."""
    values = dict(statuses(trees.make(tmp_path, board))['Control groups'].values)
    expected = str(LIMITED[board]) if board in LIMITED else 'no limit'
    assert values['limit (MiB)'] == expected or values['limit (MiB)'].startswith('unavailable')
    assert (board == 'raspberry_pi4') == values['limit (MiB)'].startswith('unavailable')


@pytest.mark.parametrize('board', trees.BOARDS)
def test_order_runs_on_every_board(board, tmp_path, capsys):
    """rviz2 holds most."""
    assert main(['order', '--root', str(trees.make(tmp_path, board))]) == 0
    assert 'rviz2' in capsys.readouterr().out.splitlines()[1]
