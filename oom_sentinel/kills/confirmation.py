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
Whether a kill that only a text file tells is confirmed by anything else.

Any program may write to a plain syslog file (logger -t kernel), so a line there may be forged.
"""

from dataclasses import replace

from oom_sentinel import kernel
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import UNCONFIRMED
from oom_sentinel.kernel.process_files import started_s

STAMP_S = 1.0  # syslog's stamps are whole seconds


def is_open_to_all(source: str | None) -> bool:
    """Return whether a source of log lines is a text file, so that any program may write there."""
    return source is not None and source.startswith('/')


def confirmed(kill: OomKill, *, victim_lives: bool, counted: bool | None) -> OomKill:
    """
    Return a kill of a text file, unconfirmed where something speaks against it.

    :param victim_lives: the process with the victim's PID lives and started before the kill.
    :param counted: whether the kernel's counters counted a kill; None: there are none.
    """
    if victim_lives or counted is False:
        return replace(kill, certainty=UNCONFIRMED)
    return kill


def victim_lives(root: kernel.Root, kill: OomKill, now_s: float) -> bool:
    """
    Return whether the process with the victim's PID lives and started before the kill.

    :param now_s: the wall clock, as in the kill's time.
    """
    since_boot_s = root.boottime()
    if kill.victim_pid is None or kill.time is None or since_boot_s is None:
        return False
    started = started_s(root, kill.victim_pid)
    return started is not None and now_s - since_boot_s + started < kill.time - STAMP_S
