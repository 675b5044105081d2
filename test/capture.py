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
Capture this machine's /proc and /sys into a tree for `--root`: a bug report is a fixture.

Usage: python3 test/capture.py DIRECTORY [PROCESSES_MAX].  Environments are never captured.
"""

import json
import os
import pathlib
import socket
import sys
import time

HOST = ('meminfo', 'vmstat', 'pressure/memory', 'loadavg', 'self/mountinfo', 'self/cgroup',
        'sys/vm/overcommit_memory', 'sys/vm/oom_kill_allocating_task', 'sys/vm/panic_on_oom',
        'sys/kernel/random/boot_id')
TASK = ('stat', 'status', 'comm', 'cmdline', 'oom_score', 'oom_score_adj', 'cgroup')


def scrubbed(cmdline):
    """Return a command line without what may be secret: long ones keep their program."""
    return cmdline if len(cmdline) < 160 else cmdline.split(b'\0')[0] + b'\0'


def copy(source, target):
    """Copy a file's bytes; one that is absent or unreadable is left out."""
    try:
        data = pathlib.Path(source).read_bytes()
    except OSError:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(scrubbed(data) if target.name == 'cmdline' else data)


def capture(folder, most):
    """Capture host files and the processes with the most memory first."""
    root = pathlib.Path(folder)
    for name in HOST:
        copy(f'/proc/{name}', root / 'proc' / name)
    pids = sorted((int(p) for p in os.listdir('/proc') if p.isdigit()), key=score, reverse=True)
    for pid in pids[:most]:
        for name in TASK:
            copy(f'/proc/{pid}/{name}', root / 'proc' / str(pid) / name)
        try:
            os.symlink(os.readlink(f'/proc/{pid}/exe'), root / 'proc' / str(pid) / 'exe')
        except OSError:
            continue
    (root / 'capture.json').write_text(json.dumps({
        'page_size': os.sysconf('SC_PAGE_SIZE'), 'clock_ticks': os.sysconf('SC_CLK_TCK'),
        'wall_s': time.time(), 'boot_time': time.time() - time.monotonic(),
        'kernel': os.uname().release, 'hostname': socket.gethostname()}, indent=2) + '\n')


def score(pid):
    """Return the oom_score, -1 when the process is gone."""
    try:
        return int(pathlib.Path(f'/proc/{pid}/oom_score').read_text())
    except OSError:
        return -1


if __name__ == '__main__':
    capture(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 10 ** 6)
