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

"""Findings about limits below the machine's memory: control groups, and getrlimit(2)."""

from collections.abc import Iterator
from shlex import quote

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.doctor.place import container_name
from oom_sentinel.doctor.place import kind_of
from oom_sentinel.doctor.text import drop_in
from oom_sentinel.doctor.text import mib
from oom_sentinel.doctor.text import ON_HOST
from oom_sentinel.doctor.text import on_host
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy
from oom_sentinel.doctor.text import set_file
from oom_sentinel.doctor.text import with_words
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.status import Unavailable

TIGHT = 0.5  # of the machine's memory
LEFT_LITTLE = 0.15  # of the limit, as memory.available_warn_percent
ROOMIER = 1.5  # times the present limit; a limit stays a limit
MACHINE_MOST = 0.9  # of the machine's memory: above it the machine itself runs out first
BOOT = 'cgroup_enable=memory cgroup_memory=1'
UNITS = ('.service', '.slice', '.scope')
ON_PURPOSE = ('This raises the limit and does not remove it.  If the limit was set on purpose, '
              'make the nodes smaller instead.')


def check(checkup: Checkup) -> Iterator[Finding]:
    """Return the limits that can kill before the machine is short, and what they do."""
    if isinstance(checkup.chains, Unavailable):
        yield _off(checkup, checkup.chains)
    else:
        groups = {g.path: g for chain in checkup.chains for g in chain.groups}
        for group in groups.values():
            yield from _limit(group, checkup)
            yield from _high(group, checkup)
            yield from _whole(group, checkup)
        yield from _unknown(checkup)
    yield from _rlimits(checkup)


def _off(checkup: Checkup, why: Unavailable) -> Finding:
    disabled = '; cgroup_disable=memory is on the kernel command line' \
        if 'cgroup_disable=memory' in checkup.kernel_command_line else ''
    return Finding('memory_controller_off', Severity.INFO,
                   f'no memory control groups: {why.why}{disabled}', with_words(BOOT, checkup))


def _limit(group: MemoryCgroup, checkup: Checkup) -> Iterator[Finding]:
    total = checkup.meminfo.mem_total_bytes
    limit = min((n for n in (group.limit_bytes, group.memsw_limit_bytes) if n is not None),
                default=None)
    if limit is None or limit >= total:
        return
    usage = group.usage_bytes
    used = 'usage unknown' if usage is None else f'{mib(usage)} used'
    left = None if usage is None else (limit - usage + (group.inactive_file_bytes or 0)
                                       + (group.active_file_bytes or 0))
    tight = limit < TIGHT * total or (left is not None and left < LEFT_LITTLE * limit)
    yield Finding('cgroup_limit', Severity.WARNING if tight else Severity.INFO,
                  f'{group.label} is limited to {mib(limit)}, the machine has '
                  f'{mib(total)}; {used}: the kernel kills inside it at its limit',
                  raise_limit(group, limit, checkup))


def roomier(limit: int, checkup: Checkup) -> int:
    """Return a larger limit in bytes, whole in MiB, below what the machine has."""
    most = int(MACHINE_MOST * checkup.meminfo.mem_total_bytes)
    return max(limit, min(int(ROOMIER * limit), most)) // MIB * MIB


def raise_limit(group: MemoryCgroup, limit: int, checkup: Checkup) -> str:
    """Return how this limit is raised where it was set; it is never removed."""
    kind, larger = kind_of(checkup), roomier(limit, checkup)
    size = f'{larger // MIB}'
    if kind == 'Kubernetes':
        return remedy(
            remark(f'Set resources.limits.memory of the container to {size}Mi in the manifest '
                   'of the pod, then:'), 'kubectl apply -f MANIFEST')
    if kind in ('Docker', 'Podman'):
        return remedy(
            remark('On the host (memory-swap counts memory and swap together):'),
            f'{kind.lower()} update --memory={size}m --memory-swap={2 * larger // MIB}m '
            f'{container_name(checkup)}')
    name = group.path.rpartition('/')[2]
    if name.endswith(UNITS):
        return remedy(remark(ON_PURPOSE),
                      f'sudo systemctl set-property {quote(name)} MemoryMax={size}M')
    file = 'memory.limit_in_bytes' if group.version == 1 else 'memory.max'
    # The memsw limit may not be below the limit, so it is raised first (memory.txt, v1).
    both = set_file(2 * larger, _folder(group, checkup), 'memory.memsw.limit_in_bytes') \
        if group.memsw_limit_bytes is not None else ''
    return remedy(remark(ON_PURPOSE), on_host(checkup, remedy(
        both, set_file(larger, _folder(group, checkup), file))))


def _folder(group: MemoryCgroup, checkup: Checkup) -> str:
    return checkup.cgroup_mount + group.path.rstrip('/') + '/'


def _write(group: MemoryCgroup, checkup: Checkup, value: int, file: str) -> str:
    """Return the command that writes a file of a control group, from where it is writable."""
    kind = kind_of(checkup)
    if kind not in ('Docker', 'Podman') or group.version == 1:
        return on_host(checkup, set_file(value, _folder(group, checkup), file))
    return remedy(ON_HOST, (
        f"pid=$({kind.lower()} inspect -f '{{{{.State.Pid}}}}' {container_name(checkup)}) && "
        f'echo {value} | sudo tee "/sys/fs/cgroup$(sed -n s/^0:://p /proc/$pid/cgroup)/{file}"'))


def _high(group: MemoryCgroup, checkup: Checkup) -> Iterator[Finding]:
    if group.high_bytes is None or group.high_bytes >= checkup.meminfo.mem_total_bytes:
        return
    yield Finding('cgroup_high', Severity.WARNING if group.high else Severity.INFO,
                  f'{group.label} is slowed down above {mib(group.high_bytes)} (memory.high), '
                  f'{group.high or 0} times so far: its nodes miss deadlines before any is killed',
                  remedy(remark(ON_PURPOSE), _write(
                      group, checkup, roomier(group.high_bytes, checkup), 'memory.high')))


def _unknown(checkup: Checkup) -> Iterator[Finding]:
    chains = () if isinstance(checkup.chains, Unavailable) else checkup.chains
    why = dict.fromkeys(
        [f'the limit of {g.label} cannot be read ({g.unreadable})'
         for chain in chains for g in chain.groups if g.unreadable is not None]
        + [chain.hidden for chain in chains if chain.hidden is not None])
    for text in why:
        yield Finding('cgroup_limit_unknown', Severity.INFO, text,
                      remedy(remark('Look from the host:'),
                             'sudo oom_sentinel doctor'))


def _whole(group: MemoryCgroup, checkup: Checkup) -> Iterator[Finding]:
    if group.oom_group:
        yield Finding('cgroup_oom_group', Severity.ERROR,
                      f'memory.oom.group is 1 on {group.label}: all processes in it die '
                      'together, scores cannot save a single node', _one_by_one(group, checkup))
    if group.oom_kill_disable:
        yield Finding('cgroup_oom_kill_disable', Severity.ERROR,
                      f'oom_kill_disable is 1 on {group.label}: at its limit its processes hang '
                      'instead of one being killed', _write(group, checkup, 0,
                                                            'memory.oom_control'))


def _one_by_one(group: MemoryCgroup, checkup: Checkup) -> str:
    """Return what lets the kernel kill one process of a group instead of all."""
    if kind_of(checkup) == 'Kubernetes':
        return remedy(
            remark('On the node, in the configuration of the kubelet (Kubernetes 1.32 and newer; '
                   'from 1.28 on all die together):'), remark('singleProcessOOMKill: true'),
            remark('Then restart the kubelet and the pod.'))
    name = group.path.rpartition('/')[2]
    unit = drop_in(name, 'oom', 'OOMPolicy=continue') if name.endswith('.service') else ''
    return remedy(_write(group, checkup, 0, 'memory.oom.group'), unit)


def _rlimits(checkup: Checkup) -> Iterator[Finding]:
    for name, flag, value in (('RLIMIT_AS', 'v', checkup.limits.address_space_bytes),
                              ('RLIMIT_DATA', 'd', checkup.limits.data_bytes)):
        if value is not None and value < checkup.meminfo.mem_total_bytes:
            larger = roomier(value, checkup) // 1024
            yield Finding('process_limit', Severity.WARNING,
                          f'{name} is {mib(value)} in this shell: a node started from it '
                          'aborts there by a failing malloc, without an OOM kill',
                          remedy(remark('In the shell that starts the robot; for good in '
                                        '/etc/security/limits.conf.  It raises the limit '
                                        'and does not remove it:'), f'ulimit -S{flag} {larger}'))
    files = checkup.limits.open_files
    if files is not None and files < 256:
        yield Finding('open_files', Severity.WARNING,
                      f'RLIMIT_NOFILE is {files} in this shell: nodes and the sentinel run out '
                      'of descriptors', 'ulimit -Sn 1024')
