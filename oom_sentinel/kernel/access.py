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

"""What this user may read and use: the kernel's log, and getrlimit(2)."""

import glob
import grp
import os
import resource

from oom_sentinel.facts.checkup import KernelLog
from oom_sentinel.facts.checkup import Limits
from oom_sentinel.kernel.root import Root

LOGS = ('/var/log/kern.log', '/var/log/syslog', '/var/log/messages',
        '/run/log/journal/*/system.journal', '/var/log/journal/*/system.journal')


def kernel_log(root: Root) -> KernelLog | None:
    """Return where this user can read the kernel's log, None for a captured tree."""
    if not root.live:
        return None
    try:
        os.close(os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return KernelLog('/dev/kmsg')
    except OSError as error:
        why = f'/dev/kmsg: {error.strerror}'
    files = [name for pattern in LOGS for name in sorted(glob.glob(pattern))]
    for name in files:
        if os.access(name, os.R_OK):
            return KernelLog(name)
    return KernelLog(None, why, ','.join(dict.fromkeys(_group(name) for name in files)) or None)


def _group(path: str) -> str:
    """Return the group that may read a file."""
    try:
        return grp.getgrgid(os.stat(path).st_gid).gr_name
    except (OSError, KeyError):
        return 'adm'


def limits(root: Root) -> Limits:
    """Return this process's soft limits, nothing for a captured tree."""
    if not root.live:
        return Limits()

    def soft(what: int) -> int | None:
        value = resource.getrlimit(what)[0]
        return None if value == resource.RLIM_INFINITY else value

    return Limits(soft(resource.RLIMIT_AS), soft(resource.RLIMIT_DATA),
                  soft(resource.RLIMIT_NOFILE))
