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

"""Findings: each of them found where it holds, nowhere else, and with a cure."""

from dataclasses import replace
import json
import os
import re
import shlex
import subprocess

from oom_sentinel import doctor
from oom_sentinel import kernel
from oom_sentinel import settings
from oom_sentinel.cli import main
from oom_sentinel.cli.doctor import numbered
from oom_sentinel.cli.doctor import show
from oom_sentinel.cli.printer import Printer
from oom_sentinel.doctor.checkup import Checkup
from oom_sentinel.doctor.checkup import Finding
from oom_sentinel.doctor.checkup import Ros
from oom_sentinel.doctor.checkup import Severity
from oom_sentinel.facts.cgroup import CgroupChain
from oom_sentinel.facts.cgroup import MemoryCgroup
from oom_sentinel.facts.host import Container
from oom_sentinel.facts.host import Host
from oom_sentinel.facts.host import KernelLog
from oom_sentinel.facts.host import Limits
from oom_sentinel.facts.host import Surroundings
from oom_sentinel.facts.host import Unit
from oom_sentinel.facts.memory import DdsSegments
from oom_sentinel.facts.memory import MemInfo
from oom_sentinel.facts.memory import Pressure
from oom_sentinel.facts.memory import PressureLine
from oom_sentinel.facts.memory import VmPolicy
from oom_sentinel.facts.memory import Zram
from oom_sentinel.facts.process import Process
from oom_sentinel.facts.process import Program
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.host import kernel_log
from oom_sentinel.kernel.host import limits
from oom_sentinel.kernel.oom_score_adj import floor as lowest
import pytest
import trees

GIB = 1 << 30
SOUND = Checkup(
    Host('robot', 4096, '6.8.0-45-generic'),
    MemInfo(8 * GIB, GIB, 6 * GIB, swap_total_bytes=2 * GIB, swap_free_bytes=2 * GIB,
            commit_limit_bytes=6 * GIB, committed_as_bytes=GIB),
    Pressure(PressureLine(0.0, 0.0, 0.0, 0)),
    VmPolicy(0, 0, 0, 0, 50, 0, 67584, 60, 1, (), False, 20, True, 0), Surroundings(),
    floor=-500, kernel_log=KernelLog('/dev/kmsg'), user='pi',
    limits=Limits(None, None, 1024), ros=Ros(True, 'rmw_fastrtps_cpp'))
GROUPS = settings.build({}).protection_groups
CONTAINER = Container('Docker', '/.dockerenv is there')


def process(executable, adj=0, ros=True):
    """Return a process that runs this program."""
    return Process(7, 1, 1, 1000, Program(executable, executable=executable, ros=ros),
                   oom_score_adj=adj)


def policy(**facts):
    """Return the sound host with another policy."""
    return replace(SOUND, policy=replace(SOUND.policy, **facts))


def memory(**facts):
    """Return the sound host with other memory."""
    return replace(SOUND, meminfo=replace(SOUND.meminfo, **facts))


def around(**facts):
    """Return the sound host in other surroundings."""
    return replace(SOUND, surroundings=Surroundings(**facts))


def group(**facts):
    """Return the sound host with a memory control group."""
    inside = MemoryCgroup(**{'path': '/robot.service', 'version': 2, **facts})
    return replace(SOUND, chains=(CgroupChain('/robot.service', (inside,)),))


CASES = [
    ('no_swap', 'WARNING', memory(swap_total_bytes=0), 'mkswap'),
    ('no_swap', 'WARNING', replace(memory(swap_total_bytes=0), surroundings=Surroundings(wsl=2)),
     'memory=12GB\n# swap=8GB'),
    ('no_swap', 'WARNING', replace(memory(swap_total_bytes=0), root_free_bytes=2 * GIB),
     'zram-tools'),
    ('no_swap', 'WARNING', replace(memory(swap_total_bytes=0), surroundings=Surroundings(
        container=CONTAINER)), '# On the host'),
    ('disk_full', 'WARNING', replace(SOUND, home_free_bytes=1 << 20), 'du -sh'),
    ('swappiness', 'INFO', policy(swappiness=0), 'vm.swappiness=60'),
    ('swappiness', 'INFO', replace(around(container=CONTAINER), policy=VmPolicy(swappiness=0)),
     '# On the host, outside of the container:\necho'),
    ('min_free_kbytes_low', 'ERROR', policy(min_free_kbytes=512), 'vm.min_free_kbytes=16384'),
    ('min_free_kbytes_high', 'WARNING', policy(min_free_kbytes=2 << 20), '65536'),
    ('zram', 'INFO', policy(zram=(Zram('zram0', GIB, 2 << 20, 1 << 20),)), '# There is nothing'),
    ('zram_too_large', 'WARNING', policy(zram=(Zram('zram0', 20 * GIB),)), 'PERCENT=50'),
    ('zswap', 'INFO', policy(zswap_enabled=True), 'parameters/enabled'),
    ('stale_shared_memory', 'INFO', replace(SOUND, dds_segments=DdsSegments(3, 2, 1 << 20)),
     'fastdds shm clean'),
    ('stale_shared_memory', 'WARNING', replace(SOUND, dds_segments=DdsSegments(0, 9, GIB)),
     'fastdds shm clean'),
    ('panic_on_oom', 'ERROR', policy(panic_on_oom=1), 'vm.panic_on_oom=0'),
    ('oom_kill_allocating_task', 'WARNING', policy(oom_kill_allocating_task=1),
     'vm.oom_kill_allocating_task=0'),
    ('overcommit_always', 'INFO', policy(overcommit_memory=1), 'vm.overcommit_memory=0'),
    ('overcommit_never', 'WARNING', policy(overcommit_memory=2), 'vm.overcommit_memory=0'),
    ('overcommit_never', 'ERROR', replace(memory(committed_as_bytes=6 * GIB), policy=VmPolicy(2)),
     'vm.overcommit_memory=0'),
    ('lru_gen_min_ttl', 'INFO', policy(lru_gen_min_ttl_ms=1000), '# Leave'),
    ('lru_gen_min_ttl', 'WARNING', policy(lru_gen_min_ttl_ms=60000), 'echo 1000'),
    ('earlyoom', 'INFO', around(neighbours=('earlyoom',)), '/etc/default/earlyoom'),
    ('nohang', 'INFO', around(neighbours=('nohang',)), 'nohang.conf'),
    ('systemd_oomd', 'WARNING', around(neighbours=('systemd-oomd',)), 'disable --now'),
    ('memory_controller_off', 'INFO', replace(SOUND, chains=Unavailable('none')),
     'cgroup_enable=memory'),
    ('cgroup_limit', 'WARNING', group(limit_bytes=GIB, usage_bytes=0),
     'set-property robot.service MemoryMax=1536M'),
    ('cgroup_limit', 'INFO', group(limit_bytes=7 * GIB, usage_bytes=GIB), 'MemoryMax'),
    ('cgroup_limit', 'WARNING', group(limit_bytes=7 * GIB, usage_bytes=7 * GIB), 'MemoryMax'),
    ('cgroup_limit', 'WARNING', group(path='/a', version=1, memsw_limit_bytes=GIB),
     '/a/memory.limit_in_bytes'),
    ('cgroup_high', 'INFO', group(high_bytes=GIB), '/robot.service/memory.high'),
    ('cgroup_high', 'WARNING', group(high_bytes=GIB, high=3), 'echo 1610612736'),
    ('cgroup_limit_unknown', 'INFO', group(unreadable='memory.max: denied'), 'from the host'),
    ('cgroup_oom_group', 'ERROR', group(oom_group=True), 'memory.oom.group'),
    ('cgroup_oom_group', 'ERROR', replace(
        group(path='/', oom_group=True), surroundings=Surroundings(container=CONTAINER)),
     'docker inspect'),
    ('cgroup_oom_group', 'ERROR', replace(
        group(path='/', oom_group=True),
        surroundings=Surroundings(container=Container('Kubernetes', ''))), 'singleProcessOOMKill'),
    ('cgroup_high', 'INFO', replace(
        group(path='/', high_bytes=GIB), surroundings=Surroundings(container=CONTAINER)),
     '/proc/$pid/cgroup)/memory.high'),
    ('cgroup_oom_kill_disable', 'ERROR', group(version=1, oom_kill_disable=True), 'oom_control'),
    ('process_limit', 'WARNING', replace(SOUND, limits=Limits(GIB)), 'ulimit -Sv'),
    ('process_limit', 'WARNING', replace(SOUND, limits=Limits(None, GIB)), 'ulimit -Sd'),
    ('open_files', 'WARNING', replace(SOUND, limits=Limits(None, None, 64)), 'ulimit -Sn'),
    ('no_floor', 'WARNING', replace(SOUND, floor=0), 'OOMScoreAdjust=-500'),
    ('user_session_floor', 'WARNING', around(user_session_adj=100), 'user@.service.d'),
    ('oom_policy_stop', 'WARNING', around(units=(Unit('robot.service', 'stop', None, False, 3),)),
     'robot.service.d/oom.conf'),
    ('oom_policy_kill', 'WARNING', around(units=(Unit('nav.service', 'kill', None, True, 3),)),
     '/etc/systemd/user/nav.service.d'),
    ('psi_off', 'WARNING', replace(SOUND, pressure=Unavailable('off')), 'psi=1'),
    ('psi_off', 'WARNING', replace(SOUND, pressure=Unavailable('old'),
                                   host=Host('robot', 4096, '4.19.0')), 'Linux 4.20'),
    ('kernel_log_unreadable', 'WARNING',
     replace(SOUND, kernel_log=KernelLog(None, 'denied', 'adm,systemd-journal')),
     'usermod -aG adm,systemd-journal pi'),
    ('kernel_log_unreadable', 'WARNING', replace(
        SOUND, kernel_log=KernelLog(None, 'denied', 'adm'), user_groups=('adm',)), 'newgrp adm'),
    ('kernel_log_unreadable', 'WARNING', replace(
        SOUND, kernel_log=KernelLog(None, 'denied')), 'kernel.dmesg_restrict=0'),
    ('kernel_log_unreadable', 'WARNING', replace(
        around(container=CONTAINER), kernel_log=KernelLog(None, 'denied', 'adm')),
     'sudo oom_sentinel kills'),
    ('container_kills', 'WARNING', replace(
        group(path='/', oom_kill=2), own_cgroup='/robot.service',
        surroundings=Surroundings(container=CONTAINER)), 'sudo oom_sentinel kills'),
    ('open_files_huge', 'WARNING', replace(
        around(container=CONTAINER), limits=Limits(None, None, 1 << 30)), '--ulimit nofile'),
    ('open_files_huge', 'INFO', replace(SOUND, limits=Limits(None, None, 1 << 20)),
     'ulimit -Sn 65536'),
    ('parallel_build', 'INFO', replace(SOUND, processors=16, colcon=True), 'MAKEFLAGS=-j5'),
    ('parallel_build', 'WARNING', replace(
        SOUND, processors=16, processes=(process('cc1plus', ros=False),)),
     '--executor sequential'),
    ('container', 'INFO', around(container=CONTAINER), '--memory-swap'),
    ('container', 'INFO', around(container=Container('Kubernetes', '')),
     'resources.limits.memory'),
    ('wsl2', 'WARNING', around(wsl=2), 'memory=12GB\n# swap=8GB'),
    ('wsl2', 'WARNING', replace(memory(mem_total_bytes=4 * GIB), surroundings=Surroundings(wsl=2)),
     'memory=6GB\n# swap=4GB'),
    ('wsl1', 'WARNING', around(wsl=1), '--set-version'),
    ('sentinel_not_running', 'INFO', replace(SOUND, processes=(process('amcl'),)), 'ros2 launch'),
    ('no_aggregator', 'INFO', replace(SOUND, processes=(process('oom_sentinel_node'),)),
     'aggregator:=true'),
    ('launch_integration_missing', 'INFO', replace(SOUND, ros=Ros(False)), 'colcon build'),
    ('middleware_without_pids', 'INFO', replace(SOUND, ros=Ros(True, 'rmw_cyclonedds_cpp')),
     'exe:NAME')]


@pytest.mark.parametrize('name, severity, checkup, cure', CASES,
                         ids=[f'{case[0]}-{i}' for i, case in enumerate(CASES)])
def test_what_is_wrong_is_found_alone_and_with_its_cure(name, severity, checkup, cure):
    """One fact changed on a sound host gives one finding."""
    found, = (f for f in doctor.examine(checkup) if f.id not in ('container', 'wsl2', 'wsl1')
              or f.id == name)
    assert_scripted(found.remedy)
    assert (found.id, found.severity.name) == (name, severity)
    assert cure in found.remedy and found.evidence


def test_a_sound_host_has_no_finding():
    """Also not with a sentinel and an aggregator running, nor with facts unknown."""
    running = (process('oom_sentinel_node', -300), process('aggregator_node', -300))
    assert doctor.examine(replace(SOUND, processes=running)) == ()
    unknown = replace(SOUND, policy=VmPolicy(), floor=Unavailable('x'), kernel_log=None,
                      limits=Limits(), ros=Ros())
    assert doctor.examine(unknown) == ()


def test_inherited_protection_without_a_sentinel_is_dangerous():
    """Then the leaking node is protected as well."""
    low = replace(SOUND, processes=(process('amcl', -500),))
    assert 'inherited_protection' in {f.id for f in doctor.examine(low)}
    guarded = replace(SOUND, processes=(process('amcl', -500), process('oom_sentinel_node')))
    assert 'inherited_protection' not in {f.id for f in doctor.examine(guarded)}


def test_the_gravest_comes_first():
    """Whatever the order of the checks."""
    found = doctor.examine(replace(memory(swap_total_bytes=0), policy=VmPolicy(1, 0, 2)))
    assert [f.severity for f in found] == sorted((f.severity for f in found), reverse=True)
    assert found[0].id == 'panic_on_oom'


@pytest.mark.parametrize('release, file', [
    ('6.6.51+rpt-rpi-v8', '/boot/firmware/cmdline.txt'), ('5.15.0-1061-raspi', 'cmdline.txt'),
    ('5.10.120-tegra', 'extlinux.conf'), ('6.8.0-45-generic', '/etc/default/grub')])
def test_a_boot_option_is_set_where_this_board_boots_from(release, file):
    """One exact command a board."""
    off = replace(SOUND, pressure=Unavailable('off'), host=Host('robot', 4096, release))
    found, = doctor.examine(off)
    assert file in found.remedy and found.remedy.splitlines()[-1] == 'sudo reboot'


COMMANDS = {'sudo', 'echo', 'ulimit', 'ros2', 'docker', 'podman', 'kubectl', 'colcon', 'choom',
            'fastdds', 'newgrp', 'if', 'MAKEFLAGS=-j5', 'du', 'pid=$(docker'}


def assert_scripted(remedy):
    """Fail unless each line is a remark or one whole command, and the shell can read them all."""
    done = subprocess.run(['bash', '-n', '-c', remedy], capture_output=True, text=True)
    assert done.returncode == 0 and remedy, done.stderr
    for line in remedy.splitlines():
        assert line.startswith('# ') or line.split(' ')[0] in COMMANDS, line
        assert line.startswith('# ') or '...' not in line, line


@pytest.mark.parametrize('checkup', [case[2] for case in CASES],
                         ids=[f'{case[0]}-{i}' for i, case in enumerate(CASES)])
def test_no_remedy_takes_a_limit_away_or_touches_the_users_groups_in_a_container(checkup):
    """A limit is raised, never removed; a container has no users to change."""
    for finding in doctor.examine(checkup):
        commands = [t for t in finding.remedy.splitlines() if not t.startswith('#')]
        assert not any(word in text for text in commands
                       for word in ('infinity', 'echo max', 'echo -1', 'unlimited'))
        if checkup.surroundings.container is not None:
            assert 'usermod' not in finding.remedy


def test_ros_in_docker_on_a_laptop_with_wsl2_that_lost_its_bringup():
    """The kill, the limit and both places are named, with remedies for Windows and the host."""
    found = {f.id: f for f in doctor.examine(replace(
        group(path='/', limit_bytes=GIB, usage_bytes=GIB // 2, oom_kill=1),
        own_cgroup='/robot.service', meminfo=replace(SOUND.meminfo, swap_total_bytes=0),
        kernel_log=KernelLog(None, 'denied', 'adm'), floor=0,
        host=replace(SOUND.host, kernel_release='5.15.167.4-microsoft-standard-WSL2'),
        surroundings=Surroundings(container=CONTAINER, wsl=2)))}
    assert 'once' in found['container_kills'].evidence
    assert 'WSL' in found['container_kills'].remedy
    assert '1024 MiB' in found['cgroup_limit'].evidence
    assert 'docker update --memory=1536m' in found['cgroup_limit'].remedy
    assert '.wslconfig' in found['wsl2'].remedy and '.wslconfig' in found['no_swap'].remedy
    assert '--oom-score-adj=-500' in found['no_floor'].remedy
    for finding in found.values():
        for line in finding.remedy.splitlines():
            assert 'usermod' not in line and 'sysctl' not in line, finding


@pytest.mark.parametrize('limit_bytes, cause', [
    (GIB, 'at its memory limit or because the machine was short'),
    (None, 'because the machine, or a group around it, was short: it has no limit of its own')])
def test_a_kill_in_a_container_is_put_down_to_a_limit_only_where_there_is_one(limit_bytes, cause):
    """As below Docker Desktop, where the virtual machine is what is too small."""
    found = {f.id: f for f in doctor.examine(replace(
        group(path='/', limit_bytes=limit_bytes, oom_kill=2), own_cgroup='/robot.service',
        surroundings=Surroundings(container=CONTAINER, wsl=2)))}
    assert found['container_kills'].evidence.startswith('the kernel killed 2 times in this')
    assert cause in found['container_kills'].evidence
    assert '.wslconfig' in found['wsl2'].remedy


def written_files(checkup):
    """Return which file each finding of a host writes anew, with the finding's name."""
    for finding in doctor.examine(checkup):
        for path in re.findall(r"\| sudo tee (/\S+|'[^']+')", finding.remedy):
            yield path, finding.remedy[:finding.remedy.index(path)].rsplit('printf', 1)[-1]


def test_no_remedy_overwrites_what_another_wrote():
    """A host with everything wrong at once: each file is written by one finding, or alike."""
    everything = replace(
        SOUND, policy=VmPolicy(2, 1, 2, 0, 50, 0, 512, 0, 1, (), True, 20, True, 60000), floor=0,
        meminfo=replace(SOUND.meminfo, swap_total_bytes=GIB),
        chains=(CgroupChain('/robot.service', (MemoryCgroup(
            '/robot.service', 2, limit_bytes=GIB, oom_group=True),)),),
        surroundings=Surroundings(user_session_adj=100, units=(
            Unit('robot.service', 'stop', None, False, 3),)))
    found = {}
    for path, content in written_files(everything):
        assert found.setdefault(path, content) == content, path
    assert len(found) >= 7


def test_one_command_is_printed_as_it_is_and_several_are_numbered():
    """Remarks have no number."""
    assert numbered('sudo a') == ['sudo a']
    assert numbered('# first\nsudo a\n# then\nsudo b') == [
        '# first', '1. sudo a', '# then', '2. sudo b']


def node(executable, package=None):
    """Return a ROS process of a package."""
    return Process(7, 1, 1, 1000, Program(executable, executable=executable, package=package,
                                          ros=True), oom_score_adj=0)


def test_nodes_without_a_group_are_listed_the_most_critical_first():
    """With the command to paste, which keeps what the group has already."""
    running = (process('oom_sentinel_node'), process('aggregator_node'), node('talker'),
               node('acme_lidar_node', 'acme_lidar'), node('amcl'),
               node('motor_node', 'acme_motor_control'))
    found, = doctor.examine(replace(SOUND, processes=running, groups=GROUPS))
    assert found.id == 'unmatched_nodes'
    assert found.evidence.endswith('first: motor_node, acme_lidar_node, talker')
    words = [shlex.split(line) for line in found.remedy.splitlines()[1:]]
    assert all(w[:4] == ['ros2', 'param', 'set', '/oom_sentinel'] for w in words)
    values = {w[4]: json.loads(w[5]) for w in words}
    assert values['group.extra.match'] == ['exe:motor_node', 'exe:acme_lidar_node']
    matched = settings.build({name: tuple(v) if isinstance(v, list) else v
                              for name, v in values.items()}).protection_groups
    assert [g.name for g in matched] == [*(g.name for g in GROUPS), 'extra']
    again = doctor.examine(replace(SOUND, processes=running, groups=matched))
    assert again[0].evidence.endswith('first: talker')


HOSTILE = "a'; touch x; $(id) .service"


@pytest.mark.parametrize('checkup', [
    group(path=f'/{HOSTILE}', limit_bytes=GIB), group(path=f'/{HOSTILE}', high_bytes=1),
    group(path=f'/{HOSTILE}', oom_group=True), group(path=f'/{HOSTILE}/x', limit_bytes=GIB),
    around(units=(Unit(HOSTILE, 'stop'),)),
    replace(SOUND, user=HOSTILE, kernel_log=KernelLog(None, 'x', 'adm'))])
def test_a_name_from_outside_is_within_one_word_of_the_command(checkup):
    """Whoever copies a cure must not run what a control group or a unit is called."""
    finding, = doctor.examine(checkup)
    assert any(HOSTILE in word for word in shlex.split(finding.remedy))


BOARDS = {
    'raspberry_pi4': {'psi_off', 'memory_controller_off'}, 'wsl2': {'wsl2', 'psi_off'},
    'turtlebot4': {'no_swap', 'oom_policy_stop'}, 'jetson': {'zram', 'psi_off'},
    'docker_v1': {'container', 'cgroup_limit'}, 'docker_v2': {'container', 'cgroup_limit'},
    'kubernetes': {'container', 'cgroup_limit'}, 'kubernetes_v1': {'container', 'cgroup_limit'},
    'podman': {'container', 'cgroup_limit'}, 'hybrid': {'cgroup_limit', 'oom_policy_stop'},
    'no_psi': {'psi_off'}, 'overcommit_2': {'overcommit_never'}, 'zram_swap': {'zram'}}


@pytest.mark.parametrize('board', BOARDS)
def test_each_board_has_its_own_findings(board, tmp_path, capsys):
    """From a tree of that board, with the exit code that the severity asks for."""
    tree = trees.make(tmp_path / 'tree', board)
    code = main(['doctor', '--json', '--root', str(tree)])
    found = json.loads(capsys.readouterr().out)['findings']
    assert all(list(f) == ['id', 'severity', 'evidence', 'remedy'] for f in found)
    assert BOARDS[board] <= {f['id'] for f in found}
    assert code == int({f['severity'] for f in found} > {'info'} or any(
        f['severity'] != 'info' for f in found))
    assert not {'no_floor', 'kernel_log_unreadable', 'open_files'} & {f['id'] for f in found}


def test_the_text_names_severity_finding_and_remedy(capsys, tmp_path):
    """Color only when asked for."""
    tree = trees.make(tmp_path / 'tree', 'overcommit_2')
    assert main(['doctor', '--root', str(tree)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith('ERROR    overcommit_never: vm.overcommit_memory is 2')
    assert lines[1].startswith('         echo')
    main(['doctor', '--root', str(tree), '--color', 'always'])
    assert '\x1b[31mERROR' in capsys.readouterr().out


def test_a_hostile_name_cannot_disturb_the_terminal(capsys):
    """A node may call itself anything."""
    show(Printer('never'), (Finding('x', Severity.INFO, 'a\x1b[2J\nb\u202e', 'c\r'),))
    text = capsys.readouterr().out
    assert not {'\x1b', '\r', '\u202e'} & set(text) and len(text.splitlines()) == 2
    show(Printer('never'), ())
    assert 'No finding' in capsys.readouterr().out


def test_the_floor_found_here_is_the_floor_the_kernel_has():
    """A write to a child of ours is permitted at the floor and denied below it."""
    floor = lowest(kernel.Root('/'))
    assert isinstance(floor, int) and -999 <= floor <= 1000
    child = subprocess.Popen(['sleep', '30'])
    try:
        path = f'/proc/{child.pid}/oom_score_adj'
        with open(path, 'wb', buffering=0) as stream:
            stream.write(b'%d' % floor)
            if floor > -999:
                with pytest.raises(PermissionError):
                    stream.write(b'%d' % (floor - 1))
    finally:
        child.kill()
        child.wait()


def test_the_live_doctor_changes_nothing(capsys):
    """Neither our own value nor the administrator's choices."""
    root = kernel.Root('/')
    before = kernel.policy(root), root.read('/proc/self/oom_score_adj')
    main(['doctor', '--json'])
    assert json.loads(capsys.readouterr().out)['findings'] is not None
    assert (kernel.policy(root), root.read('/proc/self/oom_score_adj')) == before


def test_what_this_user_may_read_is_told():
    """Root reads /dev/kmsg; the limits are those of this process."""
    log = kernel_log(kernel.Root('/'))
    assert (log.readable is None) == bool(log.why_not)
    if os.access('/dev/kmsg', os.R_OK) and os.geteuid() == 0:
        assert log.readable == '/dev/kmsg'
    assert limits(kernel.Root('/')).open_files > 0
