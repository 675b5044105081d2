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

"""How words come onto the kernel's command line, which depends on who boots it."""

from oom_sentinel.doctor.checkup import Checkup

PI, JETSON = ('rpi', 'raspi'), ('tegra',)


def with_words(words: str, checkup: Checkup) -> str:
    """Return the command that boots this host with these words, and reboots it."""
    if checkup.surroundings.wsl is not None:
        return (f'in Windows, write [wsl2] and kernelCommandLine={words} (a line each) into '
                '%UserProfile%\\.wslconfig, then: wsl --shutdown')
    release = checkup.host.kernel_release
    if any(sign in release for sign in PI):
        command = f"sudo sed -i 's/$/ {words}/' /boot/firmware/cmdline.txt && sudo reboot"
    elif any(sign in release for sign in JETSON):
        command = (f"sudo sed -i '/^ *APPEND/ s/$/ {words}/' /boot/extlinux/extlinux.conf && "
                   'sudo reboot')
    else:
        command = (f"sudo sed -i 's/^GRUB_CMDLINE_LINUX=\"/&{words} /' /etc/default/grub && "
                   'sudo update-grub && sudo reboot')
    on_host = '' if checkup.surroundings.container is None else 'on the host: '
    return on_host + command
