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

"""Texts about the surroundings (container, WSL, sysctl) that change no level."""

from dataclasses import replace

from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.report.text import mib

BOUND = {
    'Docker': '--memory and --memory-swap bound it',
    'Podman': '--memory and --memory-swap bound it',
    'Kubernetes': 'resources.limits.memory bounds it'}
WSL = {1: 'WSL 1 (it has no Linux kernel: nothing here applies)',
       2: 'WSL 2 (memory= and swap= in .wslconfig bound it)'}

NEIGHBOURS = {
    'earlyoom': 'earlyoom runs: it ends processes with SIGTERM at 10 % available, before '
                'this reports ERROR, and leaves no kernel record',
    'nohang': 'nohang runs: it ends processes by its own rules before the kernel does',
    'systemd-oomd': 'systemd-oomd runs: it kills whole control groups and ignores '
                    'oom_score_adj',
}


def compressed(policy: VmPolicy) -> str:
    """Return what swap in compressed memory promises and holds, `none` without."""
    found = [
        f'{z.name} {mib(z.disksize_bytes)}'
        + ('' if z.original_bytes is None or z.used_bytes is None
           else f', holds {mib(z.original_bytes)} in {mib(z.used_bytes)}')
        for z in policy.zram]
    if policy.zswap_enabled:
        found.append(f'zswap before disks, up to {policy.zswap_max_pool_percent} % of memory')
    return '; '.join(found) or 'none'


def place(surroundings: Surroundings) -> str:
    """Return the container and the subsystem that this runs in."""
    container = surroundings.container
    words = []
    if container is not None:
        kind = 'container' if container.kind == 'container' else f'{container.kind} container'
        words.append(f'{kind} ({BOUND.get(container.kind, "see its definition for the limit")})')
    if surroundings.wsl is not None:
        words.append(WSL.get(surroundings.wsl, 'WSL'))
    return ', '.join(words) or 'neither container nor WSL'


def when_exhausted(policy: VmPolicy, limited: bool = False) -> str:
    """
    Return what the kernel does when memory is exhausted (mm/oom_kill.c).

    :param limited: a control group's limit is what is reached: there panic_on_oom=1,
        oom_kill_allocating_task and overcommit_memory=2 change nothing.
    """
    if limited:
        policy = replace(policy, oom_kill_allocating_task=0, overcommit_memory=0,
                         panic_on_oom=2 if policy.panic_on_oom == 2 else 0)
    if policy.panic_on_oom:
        seconds = policy.panic_timeout_s
        after = ('the machine then hangs' if seconds == 0 else 'the machine then reboots'
                 if seconds is not None else 'kernel.panic was not readable')
        return f'panics (vm.panic_on_oom={policy.panic_on_oom}); {after}'
    if policy.oom_kill_allocating_task:
        return 'kills the process that asks for memory (vm.oom_kill_allocating_task=1)'
    if policy.overcommit_memory == 2:
        return 'lets malloc fail at CommitLimit (vm.overcommit_memory=2)'
    if policy.panic_on_oom is None:
        return 'unavailable (/proc/sys/vm was not readable)'
    early = ' before the working set is swapped out' if policy.lru_gen_min_ttl_ms else ''
    return f'kills the process with the highest badness{early}'


def neighbours(surroundings: Surroundings) -> tuple[str, ...]:
    """Return what else kills processes here, and the floor of this session."""
    found = [NEIGHBOURS[name] for name in surroundings.neighbours if name in NEIGHBOURS]
    for unit in surroundings.units:
        if unit.oom_policy == 'stop':
            found.append(f'{unit.name} has OOMPolicy=stop: one process killed for memory ends '
                         'the whole unit')
        elif unit.oom_policy == 'kill':
            found.append(f'{unit.name} has OOMPolicy=kill: its processes die together')
    if surroundings.user_session_adj is not None:
        found.append(f'user@.service gave {surroundings.user_session_adj} to this session: that '
                     'is the floor in its terminals')
    return tuple(found)
