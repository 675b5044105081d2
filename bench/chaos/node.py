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

"""The node under chaos: an unprivileged user, 1024 descriptors, files that fail."""

import os
import shutil
import signal
import subprocess
import sys

NOBODY = '65534'
DESCRIPTORS = 1024
# What the node reads -> what it finds there: garbage, nothing, EIO (memory at address 0).
FAILING = {'/proc/pressure/memory': '{0}/garbage', '/proc/swaps': '{0}/empty',
           '/proc/vmstat': '/proc/self/mem', '/proc/sys/vm/overcommit_memory': '{0}/garbage'}
PARAMETERS = ['-p', 'scan_period:=1.0', '-p', 'hold_s:=0.0']


def can_change_user():
    """Return whether another user can run this interpreter, and we can become one."""
    if os.geteuid() != 0 or shutil.which('setpriv') is None:
        return False
    # setpriv itself may still run what the other user may not: a shell in between may not.
    return subprocess.run(
        ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', 'sh', '-c',
         'exec "$@"', 'sh', sys.executable, '-c', ''], capture_output=True).returncode == 0


def command(program, folder):
    """Return the command that runs the node, and what of the plan is not possible here."""
    left_out = []
    words = ['sh', '-c', f'ulimit -n {DESCRIPTORS}; exec "$@"', 'sh', program, '--ros-args',
             *PARAMETERS]
    if can_change_user():
        words = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', *words]
    else:
        left_out.append('another user cannot run this interpreter: the node runs as '
                        f'uid {os.geteuid()}')
    mounts = ' && '.join(f'mount --bind {source.format(folder)} {target}'
                         for target, source in FAILING.items())
    if os.geteuid() == 0 and subprocess.run(
            ['unshare', '-m', 'sh', '-c', mounts], capture_output=True).returncode == 0:
        full = f'mount -t tmpfs -o size=64k,mode=1777 full {folder}/full && ' \
               f'head -c 64k /dev/zero > {folder}/full/filler; true'
        words = ['unshare', '-m', 'sh', '-c', f'{mounts} && {{ {full}; }} && exec "$@"', 'sh',
                 *words]
    else:
        left_out.append('files cannot be mounted over here: none of them fails')
    return words, left_out


class Node:
    """The running node and its figures."""

    def __init__(self, program, folder, log):
        """Start it; what it says goes to the log."""
        os.chmod(folder, 0o777)
        for name, content in (('garbage', b'\xff\x00some avg10=nan\n' * 99), ('empty', b'')):
            with open(f'{folder}/{name}', 'wb') as stream:
                stream.write(content)
        os.makedirs(f'{folder}/full', exist_ok=True)
        words, self.left_out = command(program, folder)
        env = {**os.environ, 'HOME': folder, 'ROS_LOG_DIR': f'{folder}/ros_log',
               'OOM_SENTINEL_STATE': f'{folder}/full/state'}
        self.process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=env)

    @property
    def pid(self):
        """Return the node's PID: every program before it was replaced by exec."""
        return self.process.pid

    def rss_kib(self):
        """Return its resident memory."""
        with open(f'/proc/{self.pid}/status') as stream:
            return next(int(line.split()[1]) for line in stream if line.startswith('VmRSS'))

    def descriptors(self):
        """Return how many it has open."""
        return len(os.listdir(f'/proc/{self.pid}/fd'))

    def cpu_s(self):
        """Return the processor time it has used."""
        with open(f'/proc/{self.pid}/stat') as stream:
            fields = stream.read().rpartition(')')[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def stop_for(self, seconds, wait):
        """Stop it (SIGSTOP), and continue it after so many seconds."""
        self.process.send_signal(signal.SIGSTOP)
        wait(seconds)
        self.process.send_signal(signal.SIGCONT)

    def end(self):
        """End it as ctrl-c does and return its exit code."""
        self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()
