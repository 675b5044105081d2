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

"""Words that the findings share; a name from outside is quoted where a shell would read it."""

from shlex import quote

from oom_sentinel.facts.memory import MIB


def mib(value: int) -> str:
    """Return bytes as whole MiB with the unit."""
    return f'{value / MIB:.0f} MiB'


def ros_processes(count: int) -> str:
    """Return how many in words."""
    return '1 ROS process' if count == 1 else f'{count} ROS processes'


def sysctl(name: str, value: object) -> str:
    """Return the command that sets a kernel parameter now and at every boot."""
    return (f"echo '{name} = {value}' | sudo tee -a /etc/sysctl.d/60-oom-sentinel.conf && "
            f'sudo sysctl -w {name}={value}')


def drop_in(unit: str, *lines: str) -> str:
    """Return the command that adds lines to the [Service] section of a unit."""
    words = '\\n'.join(('[Service]', *lines))
    folder = f'/etc/systemd/system/{unit}.d'
    return (f"sudo mkdir -p {quote(folder)} && printf '{words}\\n' | sudo tee "
            f'{quote(folder + "/oom.conf")} && sudo systemctl daemon-reload')


def set_file(value: object, *path: str) -> str:
    """Return the command that writes a value to a file of /proc or /sys."""
    return f'echo {value} | sudo tee {quote("".join(path))}'
