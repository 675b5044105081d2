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

"""Findings about what cannot be read here: pressure stall information, the kernel's log."""

from collections.abc import Iterator
from shlex import quote

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import log_of_host
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import sysctl
from oom_sentinel.doctor.text import with_words
from oom_sentinel.facts.status import Unavailable

FIRST = (4, 20)  # the kernel that came with pressure stall information


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what cannot be seen here."""
    if isinstance(checkup.pressure, Unavailable):
        yield _no_pressure(checkup, checkup.pressure.why)
    log = checkup.kernel_log
    if log is not None and log.readable is None:
        user = f'user {checkup.user}' if checkup.user else 'this user'
        yield Finding('kernel_log_unreadable', Severity.WARNING,
                      f'{user} cannot read the kernel log ({log.why_not}): kills are only '
                      'inferred from counters', _log_remedy(checkup, log.group))


def _log_remedy(checkup: Checkup, groups: str | None) -> str:
    """Return what opens the log here: the host, a new login, a group, or the kernel's switch."""
    if checkup.surroundings.container is not None:
        return log_of_host()
    missing = [g for g in (groups or '').split(',') if g and g not in checkup.user_groups]
    if groups and not missing:
        return remedy(remark(f'The user is in group {groups} already, this session is not: log '
                             'out and in again, or:'), f'newgrp {quote(groups.split(",")[0])}')
    if missing:
        user = quote(checkup.user) if checkup.user else '"$USER"'
        return remedy(f'sudo usermod -aG {quote(",".join(missing))} {user}',
                      remark('Then log out and in again.'))
    return sysctl('kernel.dmesg_restrict', 0)


def _no_pressure(checkup: Checkup, why: str) -> Finding:
    # psi_proc_init(), kernel/sched/psi.c: switched off at boot, /proc/pressure is not there.
    new = checkup.host.kernel_version >= FIRST
    evidence = 'switched off at boot, or left out of this kernel' if new else why
    return Finding('psi_off', Severity.WARNING,
                   f'no memory pressure information ({evidence}): stalls are noticed late',
                   with_words('psi=1', checkup) if new else
                   remark('Boot Linux 4.20 or newer, built with CONFIG_PSI.'))
