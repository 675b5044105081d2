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

"""Services of the guest's systemd: written, started, asked and taken away by the tests."""

import contextlib
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import sys

from conftest import HERE
from conftest import oom_score_adj
from conftest import wait_for

ETC = pathlib.Path('/etc/systemd/system')
INTERPRETER = re.compile(rb'python[0-9.]*|(ba|da)?sh')
SENTINEL = 'oom_sentinel_node'
# The parent of a launch: starts what a file names and starts anew what died, as respawn does.
LAUNCH = """
import json, os, subprocess, sys, time
children = {}
while True:
    for name, command in json.load(open(sys.argv[-1])).items():
        if name not in children or children[name].poll() is not None:
            children[name] = subprocess.Popen(command)
    time.sleep(0.2)
"""


def systemctl(*words, check=True):
    """Run systemctl and return what it prints."""
    done = subprocess.run(['systemctl', *words], capture_output=True, text=True)
    assert done.returncode == 0 or not check, (words, done.stderr)
    return done.stdout.strip()


def shown(unit, name):
    """Return a property of a unit, as systemd itself knows it."""
    return systemctl('show', '-P', name, unit)


def drop_in(unit, text, file='override.conf', folder=ETC):
    """Write a drop-in where `systemctl edit` puts it."""
    place = folder / f'{unit}.d'
    place.mkdir(parents=True, exist_ok=True)
    (place / file).write_text(text, encoding='ascii')
    return place / file


def documented(name):
    """Return the text of a file of config/systemd."""
    return (pathlib.Path(HERE).parent / 'config/systemd' / name).read_text(encoding='ascii')


def write_unit(name, *lines, folder=ETC):
    """Write a unit with these lines in its section [Service]."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text('\n'.join(('[Service]', *lines, '')), encoding='utf-8')
    return path


@contextlib.contextmanager
def units(*names):
    """Reload what was written, and in the end stop these units and remove their files."""
    systemctl('daemon-reload')
    try:
        yield
    finally:
        systemctl('stop', *names, check=False)
        systemctl('reset-failed', check=False)
        for name in names:
            for folder in (ETC, ETC.with_name('system.control')):
                (folder / name).unlink(missing_ok=True)
                shutil.rmtree(folder / f'{name}.d', ignore_errors=True)
        systemctl('daemon-reload')


def pids_of(unit):
    """Return program name -> PID of the processes in a service's control group."""
    found = {}
    with contextlib.suppress(OSError):
        listed = pathlib.Path(f'/sys/fs/cgroup/system.slice/{unit}/cgroup.procs')
        for line in listed.read_text().split():
            with contextlib.suppress(OSError):
                words = pathlib.Path(f'/proc/{line}/cmdline').read_bytes().split(b'\0')
                scripts = [os.path.basename(w.decode()) for w in words if w[:1] == b'/'
                           and not INTERPRETER.fullmatch(os.path.basename(w))]
                if words != [b'']:  # a zombie
                    found[scripts[0] if scripts else words[0].decode()] = int(line)
    return found


def values_of(unit):
    """Return program name -> oom_score_adj of the processes in a service's control group."""
    found = {}
    for name, pid in pids_of(unit).items():
        with contextlib.suppress(OSError, ValueError):
            found[name] = oom_score_adj(pid)
    return found


def until_values(unit, wanted):
    """Wait until a service's processes have exactly these values."""
    try:
        wait_for(lambda: values_of(unit) == wanted, f'{unit} has {wanted}')
    finally:
        print(values_of(unit), systemctl('status', '--no-pager', unit, check=False))


def launch_script(folder, name='ros2'):
    """Write the stand-in of `ros2` and return its path."""
    path = folder / name
    path.write_text(LAUNCH, encoding='ascii')
    return path


def quoted(*words):
    """Return words as one of a shell script's commands."""
    return shlex.join(str(word) for word in words)


PYTHON = (sys.executable, '-IS')
