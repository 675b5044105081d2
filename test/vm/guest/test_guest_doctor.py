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
The doctor's findings where they can really be made, and its cures run for real.

A remedy is the very text that `oom_sentinel doctor` prints; `sudo` is a stand-in here.
"""

import contextlib
import json
import os
import subprocess
import tempfile

from conftest import oom_score_adj
from conftest import program
from oom_sentinel.cli import main
import pytest

if not os.path.exists('/run/oom_sentinel_guest'):
    pytest.skip("changes the machine's policy: only in the guest of make vm-test",
                allow_module_level=True)

MIB = 1 << 20
AS_ROBOT = ('setpriv', '--reuid=1000', '--regid=1000', '--clear-groups', '--inh-caps=-all',
            '--bounding-set=-all')
GROUP = '/sys/fs/cgroup/doctor'


def read(path):
    """Return a small file's text."""
    with open(path, encoding='ascii') as stream:
        return stream.read()


def write(path, text):
    """Write a small file with one system call."""
    with open(path, 'wb', buffering=0) as stream:
        stream.write(str(text).encode())


def doctor(*prefix, before=lambda: None):
    """
    Return the findings by their id, as a process of its own sees them.

    A fork of this one where that suffices: starting Python takes seconds in the guest.
    """
    output = tempfile.TemporaryFile('w+')
    if prefix:
        code = subprocess.call([*prefix, program('oom_sentinel'), 'doctor', '--json'],
                               preexec_fn=before, stdout=output)
    else:
        code = in_a_fork(before, output)
    output.seek(0)
    found = json.load(output)['findings']
    assert code == int(any(f['severity'] != 'info' for f in found))
    return {f['id']: f for f in found}


def in_a_fork(before, output):
    """Run the verb in a child of this process and return its exit code."""
    pid = os.fork()
    if pid == 0:
        code = 3
        try:
            before()
            with contextlib.redirect_stdout(output):
                code = main(['doctor', '--json'])
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.fixture
def cure(tmp_path):
    """Return what runs a remedy as a shell would."""
    sudo = tmp_path / 'sudo'
    sudo.write_text('#!/bin/sh\nexec "$@"\n')
    sudo.chmod(0o755)
    os.makedirs('/etc/sysctl.d', exist_ok=True)
    env = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}'}

    def run(remedy):
        done = subprocess.run(['sh', '-ec', remedy], env=env,
                              capture_output=True, text=True)
        assert done.returncode == 0, done.stderr

    return run


@pytest.mark.parametrize('file, bad, name', [
    ('panic_on_oom', 1, 'panic_on_oom'), ('overcommit_memory', 1, 'overcommit_always'),
    ('overcommit_memory', 2, 'overcommit_never'), ('min_free_kbytes', 512, 'min_free_kbytes_low'),
    ('oom_kill_allocating_task', 1, 'oom_kill_allocating_task')])
def test_a_bad_sysctl_is_found_and_its_remedy_cures_it(cure, file, bad, name):
    """Set for real, cured by the printed command, also for the next boot."""
    path, kept = f'/proc/sys/vm/{file}', f'/etc/sysctl.d/60-oom-sentinel-vm.{file}.conf'
    sound = read(path)
    assert name not in doctor()
    try:
        if file == 'overcommit_memory' and bad == 2:
            write('/proc/sys/vm/overcommit_ratio', 400)  # else nothing can be started any more
        write(path, bad)
        finding = doctor()[name]
        assert str(bad) in finding['evidence']
        cure(finding['remedy'])
        assert name not in doctor() and int(read(path)) != bad
        assert f'vm.{file} = ' in read(kept)
    finally:
        write(path, sound)
        write('/proc/sys/vm/overcommit_ratio', 50)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(kept)


def test_a_control_group_of_version_2_is_judged_and_its_remedies_cure_it(cure):
    """Its limit, and memory.oom.group."""
    os.mkdir(GROUP)
    try:
        write(f'{GROUP}/memory.max', 200 * MIB)
        write(f'{GROUP}/memory.oom.group', 1)
        inside = {'before': lambda: write(f'{GROUP}/cgroup.procs', os.getpid())}
        found = doctor(**inside)
        assert '200 MiB' in found['cgroup_limit']['evidence']
        assert found['cgroup_limit']['severity'] == 'warning'
        assert found['cgroup_oom_group']['severity'] == 'error'
        for name in ('cgroup_limit', 'cgroup_oom_group'):
            cure(found[name]['remedy'])
        found = doctor(**inside)
        assert 'cgroup_oom_group' not in found
        assert '300 MiB' in found['cgroup_limit']['evidence']  # larger, never none
        assert int(read(f'{GROUP}/memory.max')) == 300 * MIB
    finally:
        os.rmdir(GROUP)


def test_the_floor_and_the_kernel_log_of_root_and_of_a_user():
    """All is permitted to root here, nothing to a user, and -500 below a granted floor."""
    found = doctor()
    assert not {'no_floor', 'kernel_log_unreadable'} & set(found)
    write('/proc/sys/kernel/dmesg_restrict', 1)
    found = doctor(*AS_ROBOT)
    assert 'oom_score_adj 0 ' in found['no_floor']['evidence']
    assert 'kernel_log_unreadable' in found
    granted = {'before': lambda: write('/proc/self/oom_score_adj', -500)}
    assert 'no_floor' not in doctor(*AS_ROBOT, **granted)


def test_protect_lowers_where_that_is_permitted(robot):
    """Exit code 0 and the value; as a user 1 and the lowest permitted one."""
    child = robot.start('cam', 'cam_of_the_doctor')
    assert main(['protect', 'exe:cam_of_the_doctor', '-600']) == 0
    assert oom_score_adj(child.pid) == -600
    mine = subprocess.Popen([*AS_ROBOT, 'sleep', '300.5'])
    try:
        denied = subprocess.run(
            [*AS_ROBOT, program('oom_sentinel'), 'protect', 'cmd:sleep 300.5', '-700', '--json'],
            capture_output=True, text=True)
        entry, = json.loads(denied.stdout)['adjustments']
        assert (denied.returncode, entry['achievable']) == (1, 0), denied.stderr
        assert oom_score_adj(mine.pid) == 0
    finally:
        mine.kill()
        mine.wait()
