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
Facts about the host that change seldom: kernel settings, container, WSL, services, access.

What an administrator chose comes from /proc/sys and /sys, what this process's environment says
of ROS from its own variables.
"""

from collections.abc import Iterable
import glob
import grp
import os
import re
import resource

from oom_sentinel.facts.due import due
from oom_sentinel.facts.due import NEVER_S
from oom_sentinel.facts.host import Container
from oom_sentinel.facts.host import INITIAL_PID_NAMESPACE
from oom_sentinel.facts.host import KernelLog
from oom_sentinel.facts.host import Limits
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.process import Process
from oom_sentinel.kernel.files import unit
from oom_sentinel.kernel.log.logfile import LOG_FILES
from oom_sentinel.kernel.root import Root
from oom_sentinel.kernel.swap import swap_devices
from oom_sentinel.kernel.units import systemd_path
from oom_sentinel.kernel.units import units
from oom_sentinel.settings.programs import NEIGHBOURS

SURROUNDINGS_PERIOD_S = 30.0
ZSWAP = '/sys/module/zswap/parameters/'
LRU_GEN = '/sys/kernel/mm/lru_gen/'
JOURNALS = ('/run/log/journal/*/system.journal', '/var/log/journal/*/system.journal')
IN_CGROUP = (
    ('Kubernetes', re.compile(r'/kubepods')), ('Podman', re.compile(r'/libpod')),
    ('Docker', re.compile(r'/docker[-/]')), ('LXC', re.compile(r'/lxc(\.payload)?[./]')),
    ('systemd-nspawn', re.compile(r'/machine\.slice/systemd-nspawn')))
SAID = {'docker': 'Docker', 'podman': 'Podman', 'lxc': 'LXC', 'oci': 'container',
        'systemd-nspawn': 'systemd-nspawn', 'wsl': ''}


def ros_prefixes() -> tuple[str, ...]:
    """Return the prefixes that hold ROS packages, from AMENT_PREFIX_PATH."""
    return tuple(p.rstrip('/') for p in os.environ.get('AMENT_PREFIX_PATH', '').split(':') if p)


def own_domain_id() -> int:
    """Return this process's ROS_DOMAIN_ID, 0 when unset."""
    value = os.environ.get('ROS_DOMAIN_ID', '').strip()
    return int(value) if value.isdigit() else 0


def kernel_log(root: Root) -> KernelLog | None:
    """Return where this user can read the kernel's log, None for a captured tree."""
    if not root.live:
        return None
    try:
        os.close(os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        return KernelLog('/dev/kmsg')
    except OSError as error:
        why = f'/dev/kmsg: {error.strerror}'
    files = [name for pattern in (*LOG_FILES, *JOURNALS) for name in sorted(glob.glob(pattern))]
    for name in files:
        if os.access(name, os.R_OK):
            return KernelLog(name)
    return KernelLog(None, why, ','.join(dict.fromkeys(_group_of(name) for name in files)) or None)


def _group_of(path: str) -> str:
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


def running_killers() -> tuple[str, ...]:
    """Return the programs that run here and end processes before the kernel does."""
    import psutil  # a tenth of a second, and only after a death
    running = set()
    for process in psutil.process_iter(['name', 'cmdline']):
        name, words = process.info['name'] or '', process.info['cmdline'] or ()
        running.add(name)
        if name.startswith('python'):  # of a script that /usr/bin/env starts
            script = next((word for word in words[1:] if not word.startswith('-')), '')
            running.add(os.path.basename(script))
    return tuple(name for name in NEIGHBOURS if name in running)


def policy(root: Root) -> VmPolicy:
    """Return the kernel settings that matter for an OOM; what this kernel lacks is None."""
    vm = '/proc/sys/vm/'
    return VmPolicy(
        overcommit_memory=root.number(vm + 'overcommit_memory'),
        oom_kill_allocating_task=root.number(vm + 'oom_kill_allocating_task'),
        panic_on_oom=root.number(vm + 'panic_on_oom'),
        panic_timeout_s=root.number('/proc/sys/kernel/panic'),
        overcommit_ratio=root.number(vm + 'overcommit_ratio'),
        overcommit_kbytes=root.number(vm + 'overcommit_kbytes'),
        min_free_kbytes=root.number(vm + 'min_free_kbytes'),
        swappiness=swappiness(root),
        dmesg_restrict=root.number('/proc/sys/kernel/dmesg_restrict'),
        zram=tuple(d.zram for d in swap_devices(root) if d.zram is not None),
        zswap_enabled=_switch(root, ZSWAP + 'enabled'),
        zswap_max_pool_percent=root.number(ZSWAP + 'max_pool_percent'),
        lru_gen_enabled=_switch(root, LRU_GEN + 'enabled'),
        lru_gen_min_ttl_ms=root.number(LRU_GEN + 'min_ttl_ms'))


def swappiness(root: Root) -> int | None:
    """Return vm.swappiness; 0 keeps the control groups of cgroup v2 from swapping."""
    return root.number('/proc/sys/vm/swappiness')


def _switch(root: Root, path: str) -> bool | None:
    """Return Y, 1 or a bit mask (lru_gen prints 0x0007) as true, None when it is unreadable."""
    try:
        word = root.read(path).strip()
    except OSError:
        return None
    if word in (b'Y', b'y', b'N', b'n'):
        return word in (b'Y', b'y')
    try:
        return int(word, 0) != 0
    except ValueError:
        return None


def surroundings(root: Root, processes: Iterable[Process]) -> Surroundings:
    """Return the place where the software runs; some 0.1 ms and a read per ROS process."""
    table = tuple(processes)
    # A script that /usr/bin/env starts has python3 as its comm.
    running = {name for p in table for name in (p.program.comm, p.program.executable)}
    own = systemd_path(root, 'self')
    adj = root.number('/proc/self/oom_score_adj')
    in_session = own is not None and unit.in_user_session(own) and adj in (100, 200)
    return Surroundings(
        container(root), _wsl(root), units(root, table),
        adj if in_session else None, tuple(n for n in NEIGHBOURS if n in running))


class Lookout:
    """Reads policy and surroundings seldom; both change only when an administrator acts."""

    def __init__(self, root: Root) -> None:
        """Read nothing yet."""
        self.root = root
        self._read_s = NEVER_S
        self._found = VmPolicy(), Surroundings()

    def look(self, now_s: float,
             processes: Iterable[Process]) -> tuple[VmPolicy, Surroundings]:
        """Return both, read again every SURROUNDINGS_PERIOD_S; some 0.5 ms."""
        if due(now_s, self._read_s, SURROUNDINGS_PERIOD_S):
            self._read_s = now_s
            self._found = policy(self.root), surroundings(self.root, processes)
        return self._found


def _text(root: Root, path: str) -> str:
    """Return the text of a file, empty when it is absent or unreadable."""
    try:
        return root.read(path, whole=True).decode('utf-8', 'replace')
    except OSError:
        return ''


def _wsl(root: Root) -> int | None:
    """Return 1 or 2 in the Windows Subsystem for Linux, else None."""
    release = root.host().kernel_release.lower()
    if 'microsoft' not in release:
        return None
    return 2 if 'wsl2' in release or not release.startswith('4.4.') else 1


def container(root: Root) -> Container | None:
    """Return the container that this runs in, by the surest sign; None outside of one."""
    for path in ('/proc/self/cgroup', '/proc/1/cgroup', '/proc/self/mountinfo'):
        text = _text(root, path)
        if path.endswith('mountinfo'):
            text = '\n'.join(line for line in text.split('\n') if ' - cgroup' in line)
        for kind, sign in IN_CGROUP:
            if sign.search(text):
                return Container(kind, f'{path} names it')
    if root.exists('/var/run/secrets/kubernetes.io') or (
            root.live and 'KUBERNETES_SERVICE_HOST' in os.environ):
        return Container('Kubernetes', 'its service account or KUBERNETES_SERVICE_HOST is there')
    if root.exists('/run/.containerenv'):
        return Container('Podman', '/run/.containerenv is there')
    for path in ('/run/systemd/container', '/proc/1/environ'):
        for word in _text(root, path).split('\0'):
            said = word.strip().removeprefix('container=')
            if SAID.get(said) and (said != word or path.startswith('/run')):
                return Container(SAID[said], f'{path} says container={said}')
    if root.exists('/.dockerenv') and not _on_a_machine_of_its_own(root):
        return Container('Docker', '/.dockerenv is there')
    return None


def _on_a_machine_of_its_own(root: Root) -> bool:
    """Return whether this is a virtual machine made from a container's image."""
    namespace = root.link('/proc/self/ns/pid')
    mounts = [line for line in _text(root, '/proc/self/mountinfo').split('\n')
              if line.split(' ')[4:5] == ['/']]
    return (namespace == INITIAL_PID_NAMESPACE and bool(mounts)
            and not any(' - overlay ' in line for line in mounts))
