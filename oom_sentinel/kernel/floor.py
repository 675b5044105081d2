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
The lowest oom_score_adj that is permitted to what this user starts here.

Only a write can tell, so it is tried on a child of our own, which inherits our floor and ends
at once; no process that matters is touched.
"""

import subprocess

from oom_sentinel.facts.process import Identity
from oom_sentinel.facts.protection import Adjustment
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.files import ParseError
from oom_sentinel.kernel.files import stat
from oom_sentinel.kernel.oom_score_adj import apply
from oom_sentinel.kernel.root import Root

LOWEST = -999  # not -1000: nothing is made unkillable, not even for a moment


def floor(root: Root) -> int | Unavailable:
    """Return the lowest permitted value, -999 when everything is permitted."""
    if not root.live:
        return Unavailable('a captured tree cannot be asked')
    try:
        child = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
    except OSError as error:
        return Unavailable(f'no process could be started: {error.strerror}')
    try:
        base = f'/proc/{child.pid}/'
        who = Identity(child.pid, stat.parse(root.read(base + 'stat')).start_time)
        present = int(root.read(base + 'oom_score_adj'))
        outcome = apply(root, Adjustment(who, None, present, LOWEST, 'to find the floor'))
    except (OSError, ParseError, ValueError) as error:
        return Unavailable(str(error))
    finally:
        child.communicate()
    return Unavailable(outcome.why) if outcome.achieved is None else outcome.achieved
