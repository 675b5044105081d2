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

"""What the administrator chose and where this runs, from trees written for each case."""

import json
import os

from hypothesis import given
from hypothesis import strategies as st
from oom_sentinel import kernel
from oom_sentinel.facts.host import Container
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.host import Unit
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.kernel.files import cgroup
from oom_sentinel.kernel.files import unit
from oom_sentinel.report import place
import pytest


def tree(folder, files=(), release='6.1.0', namespace=None):
    """Write a tree and return its root."""
    for path, text in dict(files).items():
        target = folder / path.lstrip('/')
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    (folder / 'capture.json').write_text(json.dumps(
        {'page_size': 4096, 'wall_s': 0, 'kernel': release}))
    if namespace:
        (folder / 'proc/self/ns').mkdir(parents=True)
        os.symlink(namespace, folder / 'proc/self/ns/pid')
    return kernel.Root(str(folder))


def node(pid):
    """Return a ROS process."""
    return Process(pid, 1, 1, 1000, Program('x', ros=True))


def test_the_policy_is_what_proc_and_sys_say(tmp_path):
    """Every file of it, and no zram device that is no swap."""
    files = {'/proc/sys/kernel/panic': '10\n', '/sys/module/zswap/parameters/enabled': 'Y\n',
             '/sys/module/zswap/parameters/max_pool_percent': '20\n',
             '/proc/sys/kernel/dmesg_restrict': '1\n',
             '/sys/kernel/mm/lru_gen/enabled': '0x0007\n',
             '/sys/kernel/mm/lru_gen/min_ttl_ms': '1000\n',
             '/sys/block/zram0/disksize': '1073741824\n',
             '/proc/swaps': 'Filename\tType\tSize\tUsed\tPriority\n'
                            '/dev/zram1 partition 2097148 0 100\n',
             '/sys/block/zram1/disksize': '2147483648\n',
             '/sys/block/zram1/mm_stat':
                 '  4096    74   12288 1073741824   12288  0  0  0  0\n'}
    for name, value in (('overcommit_memory', 2), ('overcommit_ratio', 80),
                        ('overcommit_kbytes', 0), ('oom_kill_allocating_task', 1),
                        ('panic_on_oom', 2), ('min_free_kbytes', 67584), ('swappiness', 60)):
        files[f'/proc/sys/vm/{name}'] = f'{value}\n'
    assert kernel.policy(tree(tmp_path, files)) == VmPolicy(
        2, 1, 2, 10, 80, 0, 67584, 60, 1, (Zram('zram1', 1 << 31, 4096, 12288, 1 << 30),),
        True, 20, True, 1000)


def test_a_kernel_without_these_files_is_unknown_and_not_zero(tmp_path):
    """Nothing is made up."""
    assert kernel.policy(tree(tmp_path)) == VmPolicy()


def test_this_machine_has_a_policy():
    """Every kernel since 2.6.27 prints these."""
    here = kernel.policy(kernel.Root('/'))
    assert here.overcommit_memory in (0, 1, 2) and here.min_free_kbytes > 0


@pytest.mark.parametrize('files, kind', [
    ({'/proc/self/cgroup': '0::/kubepods/burstable/pod1/2\n'}, 'Kubernetes'),
    ({'/proc/self/cgroup': '0::/kubepods.slice/kubepods-pod1.slice/cri-1.scope'}, 'Kubernetes'),
    ({'/proc/self/cgroup': '4:memory:/docker/0a1b\n'}, 'Docker'),
    ({'/proc/1/cgroup': '0::/system.slice/docker-0a1b.scope\n'}, 'Docker'),
    ({'/proc/self/cgroup': '0::/machine.slice/libpod-0a.scope/container\n'}, 'Podman'),
    ({'/run/.containerenv': ''}, 'Podman'), ({'/.dockerenv': ''}, 'Docker'),
    ({'/proc/self/cgroup': '0::/lxc.payload.robot/init.scope\n'}, 'LXC'),
    ({'/proc/1/environ': 'PATH=/bin\0container=podman\0'}, 'Podman'),
    ({'/run/systemd/container': 'systemd-nspawn\n'}, 'systemd-nspawn'),
    ({'/proc/self/mountinfo': '9 1 0:2 /../../kubepods-pod1.slice/cri-2.scope /sys/fs/cgroup ro '
                              '- cgroup2 cgroup rw\n'}, 'Kubernetes'),
    ({'/var/run/secrets/kubernetes.io/token': ''}, 'Kubernetes')])
def test_a_container_is_named(tmp_path, files, kind):
    """By its control group, or by the file that its engine leaves."""
    assert kernel.surroundings(tree(tmp_path, files), ()).container.kind == kind


@pytest.mark.parametrize('files', [
    {'/proc/self/mountinfo': '9 1 0:2 / /var/lib/docker/overlay2/1/merged rw - overlay o rw\n'},
    {'/proc/self/cgroup': '0::/system.slice/docker.service\n'},
    {'/proc/self/cgroup': '0::/user.slice/user-1000.slice/session-2.scope\n'},
    {'/run/systemd/container': 'wsl\n'}, {'/proc/1/environ': 'container=\0'}, {}])
def test_no_container_is_made_up(tmp_path, files):
    """The Docker daemon runs on the machine itself."""
    assert kernel.surroundings(tree(tmp_path, files), ()).container is None


@pytest.mark.parametrize('namespace, root, kind', [
    ('pid:[4026531836]', 'ext4', None), ('pid:[4026531836]', 'overlay', 'Docker'),
    ('pid:[4026532500]', 'ext4', 'Docker')])
def test_a_virtual_machine_made_from_an_image_is_no_container(tmp_path, namespace, root, kind):
    """It keeps /.dockerenv, but has the first PID namespace and a disk."""
    mount = f'27 1 254:0 / / rw - {root} /dev/vda rw\n'
    found = kernel.surroundings(tree(
        tmp_path, {'/.dockerenv': '', '/proc/self/mountinfo': mount}, namespace=namespace), ())
    assert (found.container and found.container.kind) == kind


@pytest.mark.parametrize('release, wsl', [
    ('5.15.153.1-microsoft-standard-WSL2', 2), ('4.4.0-19041-Microsoft', 1),
    ('4.19.128-microsoft-standard', 2), ('6.8.0-45-generic', None)])
def test_windows_is_named_by_the_kernel(tmp_path, release, wsl):
    """WSL 1 calls itself 4.4."""
    assert kernel.surroundings(tree(tmp_path, release=release), ()).wsl == wsl


UNIT = '/lib/systemd/system/robot.service'
IN_UNIT = {'/proc/7/cgroup': '0::/system.slice/robot.service\n',
           '/proc/8/cgroup': '0::/system.slice/robot.service\n'}


@pytest.mark.parametrize('files, policy, adjust', [
    ({}, 'stop', None),
    ({UNIT: '[Service]\nOOMPolicy=continue\nOOMScoreAdjust=-500\n'}, 'continue', -500),
    ({UNIT: '[Unit]\nOOMPolicy=continue\n[Service]\n#OOMPolicy=kill\n'}, 'stop', None),
    ({UNIT: '[Service]\nOOMPolicy=kill\n',
      '/etc/systemd/system/robot.service.d/b.conf': '[Service]\nOOMPolicy = continue\n',
      '/etc/systemd/system/robot.service.d/a.conf': '[Service]\nOOMPolicy=stop\n'},
     'continue', None),
    ({UNIT: '[Service]\nOOMScoreAdjust=-900\n',
      '/etc/systemd/system/robot.service': '[Service]\nOOMScoreAdjust=x\n'}, 'stop', None),
    ({UNIT: '[Service]\nDelegate=yes\n'}, 'continue', None),
    ({'/etc/systemd/system.conf': '[Manager]\nDefaultOOMPolicy=continue\n'}, 'continue', None)])
def test_the_unit_of_the_robot_is_read_with_its_drop_ins(tmp_path, files, policy, adjust):
    """Files in /etc override those of the package, drop-ins both; unset means stop."""
    found = kernel.surroundings(tree(tmp_path, {**IN_UNIT, **files}), (node(7), node(8), node(9)))
    assert found.units == (Unit('robot.service', policy, adjust, False, 2),)


USERS = '/user.slice/user-1000.slice/user@1000.service/app.slice/nav.service'
PASSWD = 'root:x:0:0::/root:/bin/sh\nrobot:x:1000:1000::/home/robot:/bin/bash\n'


@pytest.mark.parametrize('file', [
    '/home/robot/.config/systemd/user/nav.service', '/run/user/1000/systemd/transient/nav.service',
    '/etc/systemd/user/nav.service', '/run/user/1000/systemd/transient/nav.service.d/50-o.conf',
    '/home/robot/.config/systemd/user.control/nav.service.d/50-OOMPolicy.conf',
    '/usr/lib/systemd/user/service.d/10-all.conf'])
def test_a_unit_of_a_user_manager_is_read_where_that_manager_reads_it(tmp_path, file):
    """In the user's home, in its runtime directory, and for all users."""
    root = tree(tmp_path, {'/proc/7/cgroup': f'0::{USERS}\n', '/etc/passwd': PASSWD,
                           '/usr/lib/systemd/user/nav.service': '[Service]\nExecStart=/x\n',
                           '/etc/systemd/system/nav.service': '[Service]\nOOMPolicy=kill\n',
                           file: '[Service]\nOOMPolicy=continue\nOOMScoreAdjust=200\n'})
    assert kernel.surroundings(root, (node(7),)).units == (
        Unit('nav.service', 'continue', 200, True, 1),)


@pytest.mark.parametrize('file', [
    '/run/systemd/transient/robot-nav.service',
    '/etc/systemd/system.control/robot-nav.service.d/a.conf',
    '/run/systemd/system.control/robot-nav.service.d/50-OOMPolicy.conf',
    '/etc/systemd/system/service.d/all.conf', '/usr/lib/systemd/system/robot-.service.d/a.conf',
    '/run/systemd/generator/robot-nav.service'])
def test_transient_units_and_shared_drop_ins_are_read(tmp_path, file):
    """As systemd-run, `systemctl set-property` and a distribution leave them."""
    root = tree(tmp_path, {'/proc/7/cgroup': '0::/system.slice/robot-nav.service\n',
                           file: '[Service]\nOOMPolicy=\\\n  continue\n'})
    assert kernel.surroundings(root, (node(7),)).units == (
        Unit('robot-nav.service', 'continue', None, False, 1),)


@pytest.mark.parametrize('files, policy', [
    ({'/usr/lib/systemd/system.conf.d/10.conf': 'continue'}, 'continue'),
    ({'/usr/lib/systemd/system.conf.d/10.conf': 'continue',
      '/etc/systemd/system.conf.d/10.conf': 'kill'}, 'kill'),
    ({'/usr/lib/systemd/system.conf.d/20.conf': 'continue',
      '/etc/systemd/system.conf.d/10.conf': 'kill'}, 'continue'),
    ({'/usr/lib/systemd/system.conf': 'kill', '/etc/systemd/system.conf': 'continue'},
     'continue'),
    ({'/etc/systemd/user.conf.d/10.conf': 'kill'}, 'stop')])
def test_the_managers_own_configuration_has_drop_ins(tmp_path, files, policy):
    """The last name counts, of equal names the one in /etc; user.conf is another manager's."""
    found = kernel.surroundings(tree(tmp_path, {**IN_UNIT, **{
        name: f'[Manager]\nDefaultOOMPolicy={value}\n' for name, value in files.items()}}),
        (node(7),))
    assert [found_unit.oom_policy for found_unit in found.units] == [policy]


@pytest.mark.parametrize('name, found', [
    ('a-b-c.service', ('a-b-c.service', 'a-b-.service', 'a-.service', 'service')),
    ('a-b@x.service', ('a-b@x.service', 'a-b@.service', 'a-.service', 'service')),
    ('robot.service', ('robot.service', 'service')), ('-.service', ('-.service', 'service'))])
def test_whose_drop_ins_a_unit_has(name, found):
    """Its own, its template's, its prefixes', its kind's (systemd.unit(5))."""
    assert unit.drop_in_names(name) == found


def test_an_instance_has_its_templates_settings(tmp_path):
    """robot@a.service is read from robot@.service."""
    root = tree(tmp_path, {'/proc/7/cgroup': '1:name=systemd:/system.slice/robot@a.service\n0::/',
                           '/etc/systemd/system/robot@.service': '[Service]\nOOMPolicy=kill\n'})
    assert kernel.surroundings(root, (node(7),)).units == (
        Unit('robot@a.service', 'kill', None, False, 1),)


@pytest.mark.parametrize('path, found', [
    ('/system.slice/robot.service', ('robot.service', False)),
    ('/user.slice/user-1000.slice/user@1000.service/app.slice/nav.service', ('nav.service', True)),
    ('/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope', None),
    ('/user.slice/user-1000.slice/session-1.scope', None), ('/', None), ('', None),
    ('/system.slice/robot.service/inner', ('robot.service', False))])
def test_the_service_of_a_control_group_path(path, found):
    """A terminal's scope is no service."""
    assert unit.unit_of(path) == found


@given(st.lists(st.binary()), st.text())
def test_arbitrary_unit_files_and_paths_raise_nothing(files, path):
    """Whoever wrote them."""
    assert all(unit.settings(files, 'Service').values())
    unit.unit_of(path)


def test_the_floor_of_a_desktop_session_is_named(tmp_path):
    """user@.service gives 100 to all that is started in a terminal."""
    session = '/user.slice/user-1000.slice/user@1000.service/app.slice/vte-1.scope'
    root = tree(tmp_path, {'/proc/self/cgroup': f'0::{session}\n',
                           '/proc/self/oom_score_adj': '100\n'})
    found = kernel.surroundings(root, ())
    assert found.user_session_adj == 100
    assert 'user@.service gave 100' in place.neighbours(found)[0]


@pytest.mark.parametrize('comm, executable, name', [
    ('earlyoom', 'earlyoom', 'earlyoom'), ('python3', 'nohang', 'nohang'),
    ('systemd-oomd', 'systemd-oomd', 'systemd-oomd'), ('python3', 'x.py', None)])
def test_whoever_kills_before_the_kernel_is_named(tmp_path, comm, executable, name):
    """By comm, or by the script where an interpreter runs it."""
    process = Process(7, 1, 1, 0, Program(comm, executable=executable))
    found = kernel.surroundings(tree(tmp_path), (process,))
    assert found.neighbours == ((name,) if name else ())
    assert len(place.neighbours(found)) == len(found.neighbours)


def test_systemds_own_hierarchy_comes_before_the_empty_unified_one():
    """As in hybrid mode."""
    assert cgroup.systemd_path(b'1:name=systemd:/a.service\n0::/\n') == '/a.service'
    assert cgroup.systemd_path(b'0::/a.service\n') == '/a.service'
    assert cgroup.systemd_path(b'4:memory:/a\n') is None


@pytest.mark.parametrize('policy, words', [
    (VmPolicy(0, 0, 0), 'highest badness'), (VmPolicy(), 'unavailable'),
    (VmPolicy(0, 0, 1, 0), 'hangs'), (VmPolicy(0, 0, 2, 10), 'reboots'),
    (VmPolicy(0, 1, 0), 'process that asks'), (VmPolicy(2, 0, 0), 'malloc fail'),
    (VmPolicy(0, 0, 0, lru_gen_min_ttl_ms=1000), 'before the working set')])
def test_what_the_kernel_does_when_memory_is_exhausted(policy, words):
    """In a sentence for an operator."""
    assert words in place.when_exhausted(policy)


def test_the_place_is_told_in_words():
    """Container and subsystem, both or neither."""
    both = Surroundings(container=Container('Docker', ''), wsl=2)
    assert 'Docker container (--memory' in place.place(both)
    assert '.wslconfig' in place.place(both)
    pod = Surroundings(container=Container('Kubernetes', ''))
    assert 'resources.limits.memory' in place.place(pod)
    assert place.place(Surroundings()) == 'neither container nor WSL'
    assert place.compressed(VmPolicy(zram=(Zram('zram0', 2 << 30, 1 << 30, 1 << 28),))) == (
        'zram0 2048, holds 1024 in 256')
    zswap = VmPolicy(zswap_enabled=True, zswap_max_pool_percent=20)
    assert 'up to 20 %' in place.compressed(zswap)
    assert place.compressed(VmPolicy()) == 'none'
