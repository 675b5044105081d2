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
"""What is delegated to the sentinel, and what moving a process writes, in made-up trees."""

import os

from oom_sentinel import kernel
from oom_sentinel.facts.status import Unavailable
from oom_sentinel.kernel.cgroups import MemoryCgroups
from oom_sentinel.kernel.delegation import Delegation
import pytest
from tree_files import host
from tree_files import meminfo
from tree_files import v1
from tree_files import V1_MOUNT
from tree_files import v2
from tree_files import V2_MOUNT
from tree_files import v2_root

UNIT = '/system.slice/robot.service'
OTHERS = f'{UNIT}/oom_sentinel-others'
MIB = 1 << 20


def robot(own=UNIT, controllers='cpu memory pids'):
    """Return a machine with a unit robot.service, in which the sentinel runs."""
    made = host('6.1.0', meminfo(4000, 3000), mounts=V2_MOUNT.format(root='/'),
                own=f'0::{own}\n').add(v2_root()).add(v2('/system.slice', usage=900))
    for path in {UNIT, own} - {'/'}:
        made.add(v2(path, usage=100, pids=(400, 500), controllers=controllers))
        made.add({f'/sys/fs/cgroup{path}/cgroup.subtree_control': '\n'})
    return made


def opened(made, folder, uid=None):
    """Return the delegation of a tree, for the user who wrote it unless given."""
    root = kernel.Root(str(made.write(folder)))
    return Delegation(MemoryCgroups(root), os.geteuid() if uid is None else uid)


def marked(folder, path=UNIT, value=b'1'):
    """Mark a control group as systemd marks what it delegates."""
    try:
        os.setxattr(f'{folder}/sys/fs/cgroup{path}', 'user.delegate', value)
    except OSError as error:
        pytest.skip(f'extended attributes: {error.strerror}')


@pytest.mark.parametrize('own', [UNIT, OTHERS])
def test_a_unit_that_systemd_marks_as_delegated_is_found(tmp_path, own):
    """Also from the group in which an earlier sentinel of ours has put us."""
    delegation = opened(robot(own), tmp_path)
    marked(tmp_path)
    assert delegation.find() == UNIT


@pytest.mark.parametrize('uid, above, found', [
    (1000, 0, True), (1000, 1000, False), (0, 0, False), (0, 1000, False)])
def test_a_unit_that_belongs_to_its_user_is_delegated(tmp_path, monkeypatch, uid, above, found):
    """As User= and Delegate= leave it; below a slice of the same user it is the user manager's."""
    delegation = opened(robot(), tmp_path, uid)
    place = str(tmp_path / 'sys/fs/cgroup')
    real = os.stat

    def stat(path, **more):
        owner = {place + UNIT: uid, f'{place}/system.slice': above}.get(str(path))
        values = list(real(path, **more))
        return real(path, **more) if owner is None else os.stat_result(
            [*values[:4], owner, *values[5:]])
    monkeypatch.setattr(os, 'stat', stat)
    assert (delegation.find() == UNIT) == found


@pytest.mark.parametrize('made, why', [
    (robot(), 'is not delegated'), (robot('/'), 'root control group'),
    (robot(controllers='cpu pids'), 'no memory controller'),
    (host('5.4.0', meminfo(4000, 3000), mounts=V1_MOUNT.format(root='/'),
          own='4:memory:/robot\n').add(v1('/')).add(v1('/robot')), 'cgroup v1'),
    (host('5.4.0', meminfo(4000, 3000), mounts='', own='0::/\n'), 'no memory controller')])
def test_elsewhere_it_says_why_not(tmp_path, made, why):
    """With the cure, where a line in the unit is one."""
    delegation = opened(made, tmp_path, 0)
    if why == 'no memory controller' and (tmp_path / f'sys/fs/cgroup{UNIT}').exists():
        marked(tmp_path)
    found = delegation.find()
    assert isinstance(found, Unavailable) and why in found.why


def test_a_mark_of_no_delegation_counts_as_none(tmp_path):
    """Newer systemd writes 0."""
    delegation = opened(robot(), tmp_path, 0)
    marked(tmp_path, value=b'0')
    assert isinstance(delegation.find(), Unavailable)


def test_a_read_only_unit_is_none(tmp_path, monkeypatch):
    """A container mounts its control groups so."""
    delegation = opened(robot(), tmp_path)
    marked(tmp_path)
    monkeypatch.setattr(os, 'access', lambda path, mode: not path.endswith('subtree_control'))
    found = delegation.find()
    assert isinstance(found, Unavailable) and found.why.endswith(
        'cgroup.subtree_control cannot be written')


def test_a_process_is_moved_only_from_where_it_is(tmp_path):
    """And only when it is the one that is meant."""
    delegation = opened(robot().add(v2(OTHERS, usage=0)), tmp_path)
    procs = tmp_path / f'sys/fs/cgroup{OTHERS}/cgroup.procs'
    started = int((tmp_path / 'proc/400/stat').read_text().rpartition(')')[2].split()[19])
    assert not delegation.move(400, '/elsewhere', OTHERS)
    assert not delegation.move(400, UNIT, OTHERS, started + 1)
    assert not delegation.move(4000, UNIT, OTHERS)
    assert procs.read_text() == '\n'
    assert delegation.move(400, UNIT, OTHERS, started)
    assert procs.read_text().strip() == '400'


def test_limits_are_read_and_written(tmp_path):
    """memory.low and memory.max of the group, the smallest above it."""
    made = robot().add(v2(OTHERS, usage=7)).add({
        f'/sys/fs/cgroup{OTHERS}/memory.low': '0\n',
        f'/sys/fs/cgroup{UNIT}/memory.low': f'{5 * MIB}\n',
        '/sys/fs/cgroup/system.slice/memory.low': f'{3 * MIB}\n',
        '/sys/fs/cgroup/system.slice/memory.max': f'{900 * MIB}\n'})
    delegation = opened(made, tmp_path)
    delegation.set_limits(OTHERS, 2 * MIB, None)
    place = tmp_path / f'sys/fs/cgroup{OTHERS}'
    assert (place / 'memory.low').read_text().startswith(str(2 * MIB))
    assert (place / 'memory.max').read_text().startswith('max')
    assert delegation.used_bytes(OTHERS) == 7 * MIB
    assert delegation.least_low_above(UNIT) == 3 * MIB
    assert delegation.smallest_limit(UNIT) == 900 * MIB
    assert delegation.mem_total_bytes() == 4000 * MIB
    assert delegation.made(UNIT) == (OTHERS,)


@pytest.mark.parametrize('text, full', [
    ('some avg10=9.00 avg60=0.00 avg300=0.00 total=1\n'
     'full avg10=31.50 avg60=0.00 avg300=0.00 total=1\n', 31.5), ('nonsense\n', None),
    ('', None), (None, None)])
def test_a_limited_group_has_its_own_pressure(tmp_path, text, full):
    """What is malformed or missing is unknown, and no 0."""
    made = robot().add(v2(UNIT, limit=300, usage=100)).add(
        {f'/sys/fs/cgroup{UNIT}/memory.pressure': text})
    cgroups = MemoryCgroups(kernel.Root(str(made.write(tmp_path))))
    assert cgroups.group(UNIT).full_avg10 == full
