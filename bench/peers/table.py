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

"""The tables of the peers as Markdown, with machine and versions, merged into a page."""

import os
import platform
import re
import time

import psutil


def _processor():
    with open('/proc/cpuinfo', encoding='utf-8', errors='replace') as stream:
        return next((line.split(':', 1)[1].strip() for line in stream
                     if line.startswith('model name')), platform.machine())


def machine(peers, *, own_namespace):
    """Return the machine and the versions, a line each."""
    where = ('in a PID namespace of their own' if own_namespace else
             f'beside {len(psutil.pids())} processes of the machine')
    lines = [f'- {_processor()}, {os.cpu_count()} cores, Linux {platform.release()}; all {where}',
             f'- Python {platform.python_version()}, psutil {psutil.__version__}, '
             f'ROS 2 {os.environ.get("ROS_DISTRO") or "wheels of the virtual environment"}']
    lines += [f'- {peer.name}: {said}' for peer in peers if (said := peer.first_line())]
    return '\n'.join(lines)


def _row(name, cost, bare):
    beside = cost.cpu_percent / bare.cpu_percent if bare and bare.cpu_percent else None
    return (f'| {name} | {cost.cpu_percent:.2f} % | '
            f'{"" if beside is None else f"x {beside:.1f}"} | {cost.wakes:.1f} | '
            f'{cost.rss_mib:.1f} | '
            f'{"unknown" if cost.pss_mib is None else f"{cost.pss_mib:.1f}"} |')


SECTION = re.compile(r'^## (\d+) other processes\n.*?(?=^## |\Z)', re.MULTILINE | re.DOTALL)


def kept(page):
    """Return the tables of a page by their number of processes."""
    return {int(found.group(1)): found.group().strip() for found in SECTION.finditer(page)}


def of_count(count, peers, measured, how):
    """
    Return the table at one number of processes.

    :param measured: costs by name, why others did not run, and everybody else's percents.
    :param how: how long and how often it was measured.
    """
    costs, why, others = measured
    lines = [f'## {count} other processes\n',
             f'{time.strftime("%Y-%m-%d %H:%M", time.gmtime())} UTC, {how}.\n',
             '| | CPU of one core | beside bare | wake-ups a second | RSS (MiB) | PSS (MiB) |',
             '|---|---|---|---|---|---|']
    bare = costs.get('bare rclpy node')
    for peer in peers:
        if peer.name in costs:
            lines.append(_row(peer.name, costs[peer.name], bare))
        else:
            lines.append(f'| {peer.name} | not run: {why[peer.name]} | | | | |')
    shown = ', '.join(f'{percent:.0f} %' for percent in others)
    lines.append(f'\nEverybody else on the machine used {shown} of one core meanwhile.')
    return '\n'.join(lines)


def jobs(peers):
    """Return what each peer does for its cost."""
    return '\n'.join(f'- **{peer.name}**: {peer.job}.' for peer in peers)
