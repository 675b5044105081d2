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

"""How words come onto the kernel's command line, which depends on what boots the machine."""

from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.text import remark
from oom_sentinel.doctor.text import remedy

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
    on_host = '' if checkup.surroundings.container is None else remark('On the host:')
    return remedy(on_host, command, 'sudo reboot')


def board(checkup: Checkup, signs: tuple[str, ...]) -> bool:
    """Return whether the name of the kernel is that of a board."""
    return any(sign in checkup.host.kernel_release for sign in signs)
