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

"""What is known of kills without a log: incident folders, and counters of control groups."""

import json
import os
import sys

from oom_sentinel import kernel
from oom_sentinel.cli.kill_story import local_time
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.frozen import frozen
from oom_sentinel.facts.kill import OomKill
from oom_sentinel.facts.kill import THE_KERNEL_SAID_SO
from oom_sentinel.facts.memory import MIB
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.host import container
from oom_sentinel.kernel.log import archive
from oom_sentinel.kills import records
from oom_sentinel.kills.incident_folder import expanded

MAX_INCIDENT = 4 << 20
MAX_FOLDERS = 2000
WSL_HOST = 'in a WSL 2 distribution of this Windows (all of them share one kernel and its log)'


def incidents(directory: str) -> tuple[OomKill, ...]:
    """Return what a live sentinel wrote down; what is no incident is left out."""
    folder = expanded(directory) if directory else ''
    try:
        names = sorted(os.listdir(folder))[-MAX_FOLDERS:] if folder else []
    except OSError:
        return ()  # no sentinel ran here, or it is not ours to read: the log stands alone
    found = (_incident(os.path.join(folder, name, 'incident.json')) for name in names)
    return tuple(kill for kill in found if kill is not None)


def _incident(path: str) -> OomKill | None:
    """Return the kill of an incident.json, None when it is none or holds wrong types."""
    try:
        with archive.open_plain(path) as stream:
            said = json.loads(stream.read(MAX_INCIDENT))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not isinstance(said.get('node_names'), list):
        return None
    kill = OomKill(
        victim_pid=_whole(said.get('victim_pid')), victim_comm=_text(said.get('victim_comm')),
        time=_number(said.get('time')), boot_time_s=_number(said.get('boot_time_s')),
        group=_text(said.get('group')), wanted=_whole(said.get('wanted')),
        cause=_text(said.get('cause')), constraint=_text(said.get('constraint')),
        oom_memcg=_text(said.get('oom_memcg')), source=path,
        certainty=_text(said.get('certainty')) or THE_KERNEL_SAID_SO,
        node_names=tuple(str(name) for name in said['node_names']))
    return None if kill.time is None and kill.boot_time_s is None else kill


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: object) -> float | None:
    """Return a time of this century or an uptime; JSON knows numbers that no clock shows."""
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e11 else None


@frozen
class Counted:
    """
    What the counters of the visible control groups say, in sentences.

    `in_container` is the number of kills in this container, None outside of one or where its
    counter is not readable.
    """

    sentences: tuple[str, ...]
    in_container: int | None = None


def counted() -> Counted:
    """Return what the counters of the control groups that are visible here say."""
    root = kernel.Root('/')
    cgroups = MemoryCgroups(root)
    path = cgroups.path_of('self') if cgroups.mount is not None else None
    if path is None:
        return Counted(('No counter of a control group can be read here.',))
    chain = cgroups.chain(path)
    if container(root) is not None:
        return _in_container(chain, WSL_HOST if _on_wsl(root) else 'on the host')
    said = [f'Control group {group.path}: {_times(group.oom_kill)} since it was made.'
            for group in chain.groups if group.oom_kill]
    vmstat = root.vmstat()
    machine = None if isinstance(vmstat, Unavailable) else vmstat.oom_kill
    if machine is not None:
        said.append(f'The whole machine: {machine} OOM kill{"s" if machine != 1 else ""} since '
                    'it started.')
    return Counted(tuple(said) or ('The counters of the control groups show no kill.',))


def _on_wsl(root: kernel.Root) -> bool:
    """Return whether the kernel is that of the Windows Subsystem for Linux."""
    return 'microsoft' in root.host().kernel_release.lower()


def _in_container(chain: CgroupChain, host: str) -> Counted:
    """Return what the counter of this container says, with its limit and where the log is."""
    group = chain.container_group
    if group is None or group.oom_kill is None:
        return Counted(('The counter of kills of this container cannot be read.',))
    limits = [n for n in (group.limit_bytes, group.memsw_limit_bytes) if n is not None]
    limit = (f'Its memory limit is {min(limits) / MIB:.0f} MiB.' if limits
             else 'It has no memory limit of its own'
             f'{": the machine, or a group around it, was short" if group.oom_kill else ""}.')
    if not group.oom_kill:
        return Counted(('No process of this container was killed since it started.', limit), 0)
    return Counted((
        f'This container was hit {_times(group.oom_kill)} since it started: the kernel killed a '
        'process in it because memory ran out.', limit,
        f'Run `oom_sentinel kills` {host} for the name of the victim, and `oom_sentinel doctor` '
        'here for the remedy.'), group.oom_kill)


def _times(count: int) -> str:
    return {1: 'once', 2: 'twice'}.get(count, f'{count} times')


def remedy(refused: tuple[str, ...]) -> tuple[str, ...]:
    """Return why logs are not readable, with remedies that work in this place."""
    if container(kernel.Root('/')) is not None:
        return (*(why.partition(';')[0] for why in refused),
                'in a container the log of the kernel is read on the host')
    if os.geteuid() == 0:
        return refused
    return (f'run: {_command_of_root()}', *refused)


def _command_of_root() -> str:
    """
    Return a command that reads the kernel log as root.

    sudo drops PYTHONPATH, without which a program of a ROS workspace does not find its package:
    there only dmesg runs as root.
    """
    said = os.path.abspath(sys.argv[0])
    if 'PYTHONPATH' in os.environ and 'ROS_DISTRO' in os.environ:
        return 'sudo dmesg -T | ros2 oom kills --file -'
    return f'sudo {said if os.path.basename(said) == "oom_sentinel" else "oom_sentinel"} kills'


def confirmed(kill: OomKill, now_s: float) -> OomKill:
    """
    Return the kill, unconfirmed where only a text log of this host reports it.

    Of kills before this boot nothing else is known.
    """
    if kill.victim_pid is None or kill.time is None or not (kill.source or '').startswith(
            '/var/log/'):
        return kill
    root = kernel.Root('/')
    uptime_s = root.boottime()
    boot_s = None if uptime_s is None else now_s - uptime_s
    if boot_s is None or kill.time < boot_s:
        return kill
    vmstat = root.vmstat()
    since_boot = None if isinstance(vmstat, Unavailable) else vmstat.oom_kill
    return records.confirmed(
        kill, victim_lives=records.victim_lives(root, kill, now_s),
        counted=None if since_boot is None else since_boot > 0)


def beginning(begins: tuple[tuple[str, float], ...], since_s: float) -> list[str]:
    """Return how far back the logs reach, where that is not as far as was asked."""
    if not begins or min(at for _, at in begins) <= since_s:
        return []
    name, at = min(begins, key=lambda entry: entry[1])
    return [f'The logs do not reach so far back: the oldest line is of {local_time(at)} '
            f'({name}).']
