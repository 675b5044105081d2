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
"""
A file by which the sentinel tells launches that memory is short, so that they respawn later.

It lies in the state directory and says until when.  A launch without the integration does not
read it and respawns at once.
"""

import json
import os

from oom_sentinel.kernel.private_files import read_private
from oom_sentinel.kernel.private_files import replace_private

NAME = 'respawn_hold.json'
HOLD_S = 30.0  # after the last look at which memory was short
RENEW_S = 10.0
HOLD_MAX_S = 120.0  # a time farther ahead is of an earlier boot
BYTES_MAX = 4096


def hold_respawns(directory: str, now_s: float) -> None:
    """
    Let launches respawn later for the next HOLD_S seconds.

    :param now_s: monotonic seconds, which every process of the machine shares.
    :raises OSError: when the file cannot be written.
    """
    replace_private(os.path.join(directory, NAME),
                    json.dumps({'until_monotonic_s': now_s + HOLD_S}).encode())


def held_s(directory: str, now_s: float) -> float:
    """Return for how many more seconds respawns wait; 0 when they do not or it is not known."""
    try:
        said = json.loads(read_private(os.path.join(directory, NAME), BYTES_MAX))
        left_s = float(said['until_monotonic_s']) - now_s
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0.0  # no file is the usual case; a file that is malformed delays no respawn
    return left_s if 0 < left_s <= HOLD_MAX_S else 0.0
