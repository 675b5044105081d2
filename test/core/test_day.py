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

"""A night of the sentinel on a clock that jumps: it holds as much as in the evening."""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]


def test_a_night_in_simulated_time_takes_no_more_memory():
    """Six hours in which a process ends and another starts every 30 s; 1 MiB is allowed."""
    done = subprocess.run(
        [sys.executable, '-m', 'bench.endurance.day', '6', '--step', '30'],
        cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count('hour') == 25 and '19 processes' in done.stdout
