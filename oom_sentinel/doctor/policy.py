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

"""Findings about kernel settings that change who is killed, and programs that kill first."""

from collections.abc import Iterator

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.text import mib
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import sysctl

COMMITTED_MUCH = 0.90  # of CommitLimit
# Above this much, memory that an idle node touched a while ago forces a kill.
MIN_TTL_MUCH_MS = 5000
MIN_TTL = '/sys/kernel/mm/lru_gen/min_ttl_ms'
AVOID = '^(component_conta|controller_serv|amcl)$'
NEIGHBOURS = {
    'earlyoom': (
        Severity.INFO,
        'earlyoom runs: it ends processes by SIGTERM at 10 % available memory, before the '
        'kernel, and leaves no kernel record; it does follow oom_score_adj',
        remedy(remark('Names of nodes as ps -o comm shows them, 15 characters at most:'),
               f"sudo sed -i 's/^EARLYOOM_ARGS=\"/&--avoid {AVOID} /' /etc/default/earlyoom",
               'sudo systemctl restart earlyoom')),
    'nohang': (
        Severity.INFO,
        'nohang runs: it ends processes by its own rules before the kernel does',
        remedy("echo '@BADNESS_ADJ_RE_CMDLINE  -300  ///  component_container|amcl' | "
               'sudo tee -a /etc/nohang/nohang.conf', 'sudo systemctl restart nohang')),
    'systemd-oomd': (
        Severity.WARNING,
        'systemd-oomd runs: it kills whole control groups and ignores oom_score_adj',
        'sudo systemctl disable --now systemd-oomd.service systemd-oomd.socket'),
}


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return what changes which process the kernel kills, or whether it kills at all."""
    yield from _panic(checkup)
    yield from _overcommit(checkup)
    policy = checkup.policy
    if policy.oom_kill_allocating_task:
        yield Finding('oom_kill_allocating_task', Severity.WARNING,
                      'vm.oom_kill_allocating_task is 1: the kernel kills the process that asks '
                      'for memory last, scores do not count',
                      sysctl('vm.oom_kill_allocating_task', 0))
    if policy.lru_gen_min_ttl_ms:
        yield _min_ttl(policy.lru_gen_min_ttl_ms)
    for name in checkup.surroundings.neighbours:
        if name in NEIGHBOURS:
            severity, evidence, cure = NEIGHBOURS[name]
            yield Finding(name.replace('-', '_'), severity, evidence, cure)


def _min_ttl(value: int) -> Finding:
    """
    Return what the thrashing prevention of the multi-generational LRU does.

    Documentation/admin-guide/mm/multigen_lru.rst: the working set of so many milliseconds is
    kept; where that is not possible the OOM killer is called.  Switched off, a machine stalls
    for minutes instead.
    """
    if value > MIN_TTL_MUCH_MS:
        return Finding('lru_gen_min_ttl', Severity.WARNING,
                       f'lru_gen/min_ttl_ms is {value}: the kernel kills a process instead of '
                       f'swapping out what was used in the last {value} ms',
                       f'echo 1000 | sudo tee {MIN_TTL}')
    return Finding('lru_gen_min_ttl', Severity.INFO,
                   f'lru_gen/min_ttl_ms is {value}: when what was used in the last {value} ms no '
                   'longer fits, the kernel kills at once instead of letting the machine stall',
                   remark(f'Leave {MIN_TTL} as it is: with 0 the robot freezes for minutes '
                          'before the same kill.'))


def _panic(checkup: Checkup) -> Iterator[Finding]:
    mode, seconds = checkup.policy.panic_on_oom, checkup.policy.panic_timeout_s
    if not mode:
        return
    then = ('kernel.panic was not readable' if seconds is None
            else 'kernel.panic is 0, so it then hangs until it is switched off'
            if seconds == 0 else f'kernel.panic is {seconds}, so it then reboots')
    where = 'also inside a control group' if mode == 2 else 'when the whole machine is short'
    yield Finding('panic_on_oom', Severity.ERROR,
                  f'vm.panic_on_oom is {mode}: the robot stops instead of losing one process, '
                  f'{where}; {then}', sysctl('vm.panic_on_oom', 0))


def _overcommit(checkup: Checkup) -> Iterator[Finding]:
    mode, info = checkup.policy.overcommit_memory, checkup.meminfo
    if mode == 1:
        yield Finding('overcommit_always', Severity.INFO,
                      'vm.overcommit_memory is 1: every malloc succeeds, of any size, and the '
                      'OOM killer runs when the memory is used', sysctl('vm.overcommit_memory', 0))
    if mode != 2:
        return
    limit, committed = info.commit_limit_bytes, info.committed_as_bytes
    full = limit and committed is not None and committed > COMMITTED_MUCH * limit
    known = '' if not limit or committed is None else (
        f'; {mib(committed)} of {mib(limit)} are committed{_from(checkup)}')
    yield Finding('overcommit_never', Severity.ERROR if full else Severity.WARNING,
                  'vm.overcommit_memory is 2: no process is killed, malloc fails at CommitLimit '
                  f'instead, and nodes abort{known}', sysctl('vm.overcommit_memory', 0))


def _from(checkup: Checkup) -> str:
    policy = checkup.policy
    if policy.overcommit_kbytes:
        return f' (vm.overcommit_kbytes is {policy.overcommit_kbytes})'
    if policy.overcommit_ratio is not None:
        return f' (vm.overcommit_ratio is {policy.overcommit_ratio} % of memory, and swap)'
    return ''
