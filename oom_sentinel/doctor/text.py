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
Words and commands that the findings share.

A remedy is a script for a shell: one command a line, in the order in which they are run; a line
that begins with `#` is a remark.  A name from outside is quoted where a shell would read it.
"""

from shlex import quote

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.facts.memory import MIB
from oom_sentinel.settings.outside import printable


def mib(value: int) -> str:
    """Return bytes as whole MiB with the unit."""
    return f'{value / MIB:.0f} MiB'


def ros_processes(count: int) -> str:
    """Return how many in words."""
    return '1 ROS process' if count == 1 else f'{count} ROS processes'


def remedy(*lines: str) -> str:
    """Return commands and remarks as one script."""
    return '\n'.join(line for line in lines if line)


def remark(text: str) -> str:
    """Return a text as a line that a shell ignores; a name in it cannot end the line."""
    return f'# {printable(text, 1000)}'


def sysctl(name: str, value: object) -> str:
    """Return the command that sets a kernel parameter now and at every boot, in its own file."""
    return (f"echo '{name} = {value}' | sudo tee /etc/sysctl.d/60-oom-sentinel-{name}.conf && "
            f'sudo sysctl -w {name}={value}')


def drop_in(unit: str, file: str, *lines: str, user: bool = False) -> str:
    """
    Return the command that adds lines to the [Service] section of a unit.

    :param file: the name of the drop-in; each finding has its own, so none overwrites another.
    :param user: a unit of the users' own service managers.
    """
    words = '\\n'.join(('[Service]', *lines))
    folder = f'/etc/systemd/{"user" if user else "system"}/{unit}.d'
    reload = 'systemctl --user daemon-reload' if user else 'sudo systemctl daemon-reload'
    return (f"sudo mkdir -p {quote(folder)} && printf '{words}\\n' | sudo tee "
            f'{quote(f"{folder}/{file}.conf")} && {reload}')


def set_file(value: object, *path: str) -> str:
    """Return the command that writes a value to a file of /proc or /sys."""
    return f'echo {value} | sudo tee {quote("".join(path))}'


def wsl_memory(total_bytes: int) -> str:
    """Return what gives WSL 2 half as much memory again, and swap of the size that it has now."""
    now_gib = max(1, round(total_bytes / (1 << 30)))
    return remedy(
        remark('In Windows, write these three lines into %UserProfile%\\.wslconfig, then run: '
               'wsl --shutdown'),
        remark('[wsl2]'), remark(f'memory={now_gib + max(1, now_gib // 2)}GB'),
        remark(f'swap={now_gib}GB'))


def log_of_host() -> str:
    """Return how a kill in a container is read on its host, with this program or without."""
    return remedy(
        remark('A container does not see the kernel log.  On its host (with Docker Desktop: in a '
               'WSL distribution) run one of these:'),
        'sudo oom_sentinel kills', "sudo dmesg -T | grep -i 'killed process'")


ON_HOST = remark('On the host, outside of the container:')


def on_host(checkup: Checkup, cure: str) -> str:
    """Return a cure that changes the kernel's settings, with where to run it in a container."""
    commands = any(line and not line.startswith('#') for line in cure.split('\n'))
    inside = checkup.surroundings.container is not None
    return remedy(ON_HOST, cure) if commands and inside and ON_HOST not in cure else cure


PI, JETSON = ('rpi', 'raspi'), ('tegra',)


def with_words(words: str, checkup: Checkup) -> str:
    """Return the commands that boot this host with these words."""
    if checkup.surroundings.wsl is not None:
        return remedy(
            remark('In Windows, write these two lines into %UserProfile%\\.wslconfig (all words '
                   'for the kernel on the one line), then run: wsl --shutdown'),
            remark('[wsl2]'), remark(f'kernelCommandLine={words}'))
    if board(checkup, PI):
        command = f"sudo sed -i '1s/$/ {words}/' /boot/firmware/cmdline.txt"
    elif board(checkup, JETSON):
        command = f"sudo sed -i '/^ *APPEND/ s/$/ {words}/' /boot/extlinux/extlinux.conf"
    else:
        command = (f"sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{words} /' /etc/default/grub && "
                   'sudo update-grub')
    return on_host(checkup, remedy(command, 'sudo reboot'))


def board(checkup: Checkup, signs: tuple[str, ...]) -> bool:
    """Return whether the name of the kernel is that of a board."""
    return any(sign in checkup.host.kernel_release for sign in signs)
