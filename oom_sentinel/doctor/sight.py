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

"""What keeps the sentinel from seeing: pressure stall information and the kernel's log."""

from collections.abc import Iterator
from shlex import quote

from oom_sentinel.doctor.boot import with_words
from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.facts.status import Unavailable

FIRST = (4, 20)  # the kernel that came with pressure stall information


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what cannot be seen here."""
    if isinstance(checkup.pressure, Unavailable):
        yield _no_pressure(checkup, checkup.pressure.why)
    log = checkup.kernel_log
    if log is not None and log.readable is None:
        groups = quote(log.group or 'adm')
        user = quote(checkup.user) if checkup.user else '$USER'
        yield Finding('kernel_log_unreadable', Severity.WARNING,
                      f'{_who(checkup)} cannot read the kernel log '
                      f'({log.why_not}): kills are only inferred from counters',
                      f'sudo usermod -aG {groups} {user}; then log in again')


def _who(checkup: Checkup) -> str:
    return f'user {checkup.user}' if checkup.user else 'this user'


def _no_pressure(checkup: Checkup, why: str) -> Finding:
    # psi_proc_init(), kernel/sched/psi.c: switched off at boot, /proc/pressure is not there.
    new = checkup.host.kernel_version >= FIRST
    evidence = 'switched off at boot, or left out of this kernel' if new else why
    return Finding('psi_off', Severity.WARNING,
                   f'no memory pressure information ({evidence}): stalls are noticed late',
                   with_words('psi=1', checkup) if new else
                   'boot Linux 4.20 or newer, built with CONFIG_PSI')
