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
Where the kernel's messages are read live: /dev/kmsg, the journal, or a log file.

Each source has one descriptor to wait for and a `read` that never blocks; what the lines mean
is for others to say.
"""

from collections.abc import Callable
from functools import partial

from oom_sentinel.kernel.log.kmsg import GRANT as KMSG_GRANT
from oom_sentinel.kernel.log.kmsg import Kmsg
from oom_sentinel.kernel.log.kmsg import looks_like_dmesg
from oom_sentinel.kernel.log.logfile import GRANT as FILE_GRANT
from oom_sentinel.kernel.log.logfile import LOG_FILES
from oom_sentinel.kernel.log.logfile import LogFile
from oom_sentinel.kernel.log.source import Feed
from oom_sentinel.kernel.log.source import Nothing
from oom_sentinel.kernel.log.source import Refused
from oom_sentinel.kernel.log.source import Source

__all__ = ['FILE_GRANT', 'KMSG_GRANT', 'LOG_FILES', 'Feed', 'Kmsg', 'LogFile', 'Nothing',
           'Refused', 'Source', 'best', 'looks_like_dmesg', 'open_journal']


def open_journal(units: tuple[str, ...] = ()) -> Source:
    """
    Return the journal's messages of the kernel, or of these units from now on.

    Its module brings 1 MB of libraries, which a node that may read /dev/kmsg never needs.

    :raises Refused: with the group that would give the permission.
    """
    from oom_sentinel.kernel.log.journal import Journal
    return Journal(units=units)


def best() -> tuple[Source, tuple[str, ...]]:
    """Return the best source that this user may read, and why those before it are not open."""
    ways: list[Callable[[], Source]] = [Kmsg, open_journal]
    ways += [partial(LogFile, path) for path in LOG_FILES]
    refused: list[str] = []
    for way in ways:
        try:
            return way(), tuple(refused)
        except Refused as error:
            if str(error):
                refused.append(str(error))
    return Nothing(), tuple(refused)
