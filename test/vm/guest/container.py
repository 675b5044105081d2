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

"""Containers of the guest: crun, or podman, on the guest's own root disk; as Docker has them."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess

from conftest import wait_for

RUN = pathlib.Path('/run/containers')
V1 = pathlib.Path('/sys/fs/cgroup/memory')
GROUPS = V1 if V1.exists() else V1.parent
# What Docker leaves to root in a container; CAP_SYS_RESOURCE is not among it.
CAPABILITIES = ['CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_FSETID', 'CAP_KILL',
                'CAP_MKNOD', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SYS_CHROOT']
MOUNTS = [
    {'destination': '/proc', 'type': 'proc', 'source': 'proc'},
    {'destination': '/sys', 'type': 'sysfs', 'source': 'sysfs', 'options': ['ro']},
    {'destination': '/sys/fs/cgroup', 'type': 'cgroup', 'source': 'cgroup', 'options': ['ro']},
    {'destination': '/dev', 'type': 'tmpfs', 'source': 'tmpfs', 'options': ['mode=755']},
    {'destination': '/dev/shm', 'type': 'tmpfs', 'source': 'shm', 'options': ['mode=1777']},
]


class Container:
    """One container; its PID 1 is a shell that runs what `start` is given."""

    def __init__(self, name, cgroup, *, limit=None, swap=None, unified=None, adj=0,
                 namespaces=('pid', 'mount', 'ipc', 'uts', 'cgroup'), env=None, uid=0,
                 as_user=(), manager='cgroupfs', extra=None):
        """
        Write its bundle.

        :param cgroup: the path of its control group below the mount.
        :param limit: memory.max in bytes; `swap` counts memory and swap, as Docker does.
        :param as_user: the words before crun, for one without root.
        """
        self.name, self.cgroup, self.as_user, self.uid = name, cgroup, as_user, uid
        self.folder = RUN / name
        self.root = self.folder / 'rootfs'
        for part in ('rootfs', 'upper', 'work'):
            (self.folder / part).mkdir(parents=True)
        self.crun = [*as_user, 'crun', f'--cgroup-manager={manager}',
                     f'--root={self.folder}/state']
        memory = {key: value for key, value in (('limit', limit), ('swap', swap))
                  if value is not None}
        self.config = {
            'ociVersion': '1.0.2', 'hostname': 'a1b2c3d4e5f6',
            'root': {'path': str(self.root)},
            'mounts': list(MOUNTS),
            'process': {'user': {'uid': uid, 'gid': uid}, 'cwd': os.getcwd(), 'args': [],
                        'env': [f'{key}={value}' for key, value in (env or os.environ).items()],
                        'oomScoreAdj': adj,
                        'capabilities': {kind: CAPABILITIES if uid == 0 else [] for kind in (
                            'bounding', 'effective', 'permitted')}},
            'linux': {'cgroupsPath': cgroup,
                      'namespaces': [{'type': kind} for kind in namespaces],
                      'resources': {'memory': memory, 'unified': unified or {}},
                      **(extra or {})}}

    def __enter__(self):
        """Put an overlay over the root disk, as Docker has one, with its mark."""
        subprocess.run(['mount', '-t', 'overlay', 'overlay', '-o',
                        f'lowerdir=/,upperdir={self.folder}/upper,workdir={self.folder}/work',
                        str(self.root)], check=True)
        (self.root / '.dockerenv').touch()
        return self

    def __exit__(self, *_):
        """Kill all in it and take it away."""
        subprocess.run([*self.crun, 'delete', '--force', self.name], check=True)
        subprocess.run(['umount', str(self.root)], check=True)
        shutil.rmtree(self.folder)

    def start(self, script):
        """Run a shell script as its process 1 and wait until it runs."""
        self.config['process']['args'] = ['/bin/sh', '-c', script]
        (self.folder / 'config.json').write_text(json.dumps(self.config), encoding='utf-8')
        said = self.folder / 'said'
        with open(said, 'wb') as output:
            subprocess.run([*self.crun, 'run', '--detach', f'--bundle={self.folder}', self.name],
                           stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False)
        wait_for(lambda: self.state() == 'running', f'the container runs: {said.read_text()}', 60)

    def state(self):
        """Return what crun calls its state, '' for one that it does not know."""
        done = subprocess.run([*self.crun, 'state', self.name], capture_output=True, text=True)
        return json.loads(done.stdout)['status'] if done.returncode == 0 else ''

    def run(self, *command):
        """Run a command inside and return it, completed."""
        return subprocess.run([*self.crun, 'exec', f'--user={self.uid}:{self.uid}', self.name,
                               *command], text=True, stdin=subprocess.DEVNULL,
                              capture_output=True)

    def pids(self):
        """Return the PIDs of its processes, as the host counts them."""
        path = pathlib.Path(f'{GROUPS}{self.cgroup}/cgroup.procs')
        with contextlib.suppress(OSError):
            return [int(line) for line in path.read_text().split()]
        return []


class Podman:
    """One container of podman, without a network, of root."""

    WORDS = ('podman', '--cgroup-manager=cgroupfs', '--events-backend=none', '--runtime=crun')

    def __init__(self, name, *options):
        """Keep its name and the options of `podman run`."""
        self.name, self.options = name, options
        self.cgroup = None

    def __enter__(self):
        """Let no container run yet."""
        return self

    def __exit__(self, *_):
        """Kill all in it and take it away."""
        self.podman('rm', '--force', '--time=0', self.name)

    def podman(self, *words):
        """Run podman and return what it prints."""
        done = subprocess.run([*self.WORDS, *words], text=True, stdin=subprocess.DEVNULL,
                              capture_output=True)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()

    def start(self, script):
        """Run a shell script as its process 1, below an overlay over the root disk."""
        self.podman('run', '--detach', f'--name={self.name}', '--network=none', '--env-host',
                    f'--workdir={os.getcwd()}', *self.options, '--rootfs', '/:O',
                    '/bin/sh', '-c', script)
        pid = self.podman('inspect', '--format={{.State.Pid}}', self.name)
        self.cgroup = pathlib.Path(f'/proc/{pid}/cgroup').read_text().strip().partition('::')[2]

    def run(self, *command):
        """Run a command inside and return it, completed."""
        return subprocess.run([*self.WORDS, 'exec', self.name, *command], text=True,
                              stdin=subprocess.DEVNULL, capture_output=True)

    pids = Container.pids
