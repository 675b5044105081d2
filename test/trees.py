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
Small synthetic /proc and /sys trees of boards and containers, for `--root` and the readers.

Every tree is made up, in the file formats of that board and kernel, and says so in the note of
its capture.json.  `make(folder, 'raspberry_pi4')` writes one, `BOARDS` names them all; change
one with `BOARDS[name]().add({path: text}).write(folder)`.  The parts are in tree_files.py.
"""

from tree_files import host
from tree_files import meminfo
from tree_files import UNIFIED
from tree_files import v1
from tree_files import V1_MOUNT
from tree_files import v2
from tree_files import V2_MOUNT
from tree_files import v2_root
from tree_files import zram


def raspberry_pi4():
    """Return Raspberry Pi OS as shipped: memory controller and PSI are off."""
    return host('6.6.51+rpt-rpi-v8', meminfo(3792, 3000, 200, 200, CmaTotal=524288,
                                             CmaFree=481200),
                mounts=V2_MOUNT.format(root='/'), own='0::/user.slice/session-1.scope\n',
                pressure=None).add(v2_root('cpuset cpu io pids'))


def raspberry_pi5():
    """Return a Raspberry Pi 5: pages of 16 KiB, memory controller on, zram swap."""
    made = host('6.12.25+rpt-rpi-2712', meminfo(8062, 6000, 2048, 2048, CmaTotal=65536,
                                                CmaFree=60000),
                mounts=V2_MOUNT.format(root='/'), own='0::/system.slice/robot.service\n',
                page_size=16384)
    made.add(v2_root()).add(v2('/system.slice', usage=900)).add(
        v2('/system.slice/robot.service', usage=500, pids=(400, 500)))
    return zram(made)


def turtlebot4():
    """Return Ubuntu 22.04 on a Raspberry Pi 4: systemd service, cgroup v2, no swap."""
    made = host('5.15.0-1061-raspi', meminfo(3792, 2200), mounts=V2_MOUNT.format(root='/'),
                own='0::/system.slice/turtlebot4.service\n')
    return made.add(v2_root()).add(v2('/system.slice', usage=1200)).add(
        v2('/system.slice/turtlebot4.service', usage=800, pids=(400, 500)))


def jetson():
    """Return a Jetson with JetPack 5: cgroup v1, GPU memory through nvmap, two zram disks."""
    made = host('5.10.120-tegra', meminfo(7764, 3000, 3880, 3880, AnonPages=3400000,
                                          NvMapMemFree=9000, NvMapMemUsed=900000,
                                          CmaTotal=262144, CmaFree=200000),
                mounts=V1_MOUNT.format(root='/') + UNIFIED, own='4:memory:/user.slice\n0::/\n',
                pressure=None)
    made.add(v1('/', usage=4000)).add(v1('/user.slice', usage=3000, pids=(400, 500)))
    return zram(zram(made, disk=1940), disk=1940, device='zram1')


def wsl2():
    """Return WSL2: a Microsoft kernel, half of the host's memory, a quarter of that as swap."""
    made = host('5.15.167.4-microsoft-standard-WSL2', meminfo(7900, 6000, 2048, 2048),
                mounts=V2_MOUNT.format(root='/'), own='0::/\n', pressure=None)
    made.add({'/proc/swaps': made.files['/proc/swaps']
              + '/dev/sdb\t\t\t\tpartition\t2097152\t\t0\t\t-2\n'})
    return made.add(v2_root()).add({'/proc/sys/fs/binfmt_misc/WSLInterop': 'enabled\n'})


def docker_v2():
    """Return a container of Docker on cgroup v2 with a cgroup namespace of its own, 512 MiB."""
    made = host('6.8.0-45-generic', meminfo(15900, 9000), mounts=V2_MOUNT.format(root='/'),
                own='0::/\n')
    return made.add({'/.dockerenv': ''}).add(v2(
        '/', limit=512, usage=300, swap_max=0, file=40, pids=(1, 400, 500)))


def docker_v1():
    """Return a container of Docker on cgroup v1, where the path shown is the host's."""
    own = '/docker/0123456789abcdef'
    made = host('5.4.0-190-generic', meminfo(15900, 9000), mounts=V1_MOUNT.format(root=own),
                own=f'4:memory:{own}\n')
    return made.add({'/.dockerenv': ''}).add(v1(
        '/', limit=512, usage=300, memsw=512, file=40, pids=(1, 400, 500)))


def kubernetes():
    """Return a pod's container on cgroup v2: its own limit is seen, the pod's is above."""
    made = host('6.1.0-26-cloud-amd64', meminfo(31900, 20000), mounts=V2_MOUNT.format(
        root='/../../kubepods-burstable-pod1.slice/cri-containerd-2.scope'), own='0::/\n')
    return made.add({'/var/run/secrets/kubernetes.io/serviceaccount/namespace': 'robots'}).add(
        v2('/', limit=1024, usage=900, swap_max=0, file=100, pids=(1, 400, 500)))


def kubernetes_v1():
    """Return a pod's container on cgroup v1: the path shown is the host's."""
    own = '/kubepods/burstable/pod12345678-1234/0123456789abcdef'
    made = host('5.10.0-32-cloud-amd64', meminfo(31900, 20000), mounts=V1_MOUNT.format(root=own),
                own=f'11:memory:{own}\n')
    return made.add(v1('/', limit=1024, usage=900, file=100, pids=(1, 400, 500)))


def podman():
    """Return a rootless container of Podman."""
    made = host('6.8.0-45-generic', meminfo(15900, 9000), mounts=V2_MOUNT.format(root='/'),
                own='0::/\n')
    return made.add({'/run/.containerenv': 'engine="podman-4.9.3"\nrootless=1\n'}).add(v2(
        '/', limit=256, usage=100, swap_max=256, pids=(1, 400, 500)))


def hybrid():
    """Return systemd's hybrid layout: memory in v1, processes also in an empty v2."""
    made = host('5.4.0-190-generic', meminfo(7900, 4000),
                mounts=V1_MOUNT.format(root='/') + UNIFIED,
                own='4:memory:/system.slice/robot.service\n0::/system.slice/robot.service\n')
    made.add(v1('/', usage=3000)).add(v1('/system.slice', usage=2000))
    return made.add(v1('/system.slice/robot.service', limit=1024, usage=600, file=100,
                       pids=(400, 500), swap_accounting=False)).add(
        {'/sys/fs/cgroup/unified/cgroup.controllers': '\n'})


def no_psi():
    """Return a kernel without pressure stall information."""
    return host('4.19.0-27-amd64', meminfo(7900, 4000), mounts=V1_MOUNT.format(root='/'),
                own='4:memory:/\n', pressure=None).add(v1('/', usage=3000))


def overcommit_2():
    """Return vm.overcommit_memory=2: malloc fails at CommitLimit, nobody is killed."""
    return host('6.1.0-26-amd64', meminfo(7900, 4000, Committed_AS=3900000,
                                          CommitLimit=4044800),
                mounts=V2_MOUNT.format(root='/'), own='0::/\n', overcommit=2).add(v2_root())


def zram_swap():
    """Return a machine whose only swap is zram, half full and compressed to 0.4."""
    made = host('6.6.30-desktop', meminfo(3900, 1200, 2048, 1024),
                mounts=V2_MOUNT.format(root='/'), own='0::/\n').add(v2_root())
    return zram(made, stored=1024)


BOARDS = {made.__name__: made for made in (
    raspberry_pi4, raspberry_pi5, turtlebot4, jetson, wsl2, docker_v2, docker_v1, kubernetes,
    kubernetes_v1, podman, hybrid, no_psi, overcommit_2, zram_swap)}


def make(folder, board):
    """Write the tree of a board (a name of BOARDS) into a folder and return it as a Path."""
    return BOARDS[board]().write(folder)
