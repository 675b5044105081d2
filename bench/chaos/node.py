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

"""The node under chaos: an unprivileged user, 1024 descriptors, files that fail, odd clocks."""

import os
import shutil
import signal
import subprocess
import sys

NOBODY = '65534'
DESCRIPTORS = 1024
# What the node reads -> what it finds there: garbage, nothing, EIO (memory at address 0), and no
# file at all.  Nobody may open {0}/denied, so that the log file below /var/log is followed.
FAILING = {'/proc/swaps': '{0}/empty', '/proc/vmstat': '/proc/self/mem',
           '/proc/sys/vm/overcommit_memory': '{0}/garbage', '/dev/kmsg': '{0}/denied',
           '/proc/pressure': '{0}/vanished', '/var/log': '{0}/log'}
PARAMETERS = ['-p', 'scan_period:=1.0', '-p', 'hold_s:=0.0', '-p', 'protection.raise:=ros']
CLOCK_AHEAD_S = 86400  # of the steady clocks in a time namespace
# All that Python reads of the wall clock.  libfaketime would step it for the C++ libraries too,
# but delays the waits of their threads by seconds.
STEPPING = """
import sys, time
true_time = time.time
def stepped():
    with open('{0}/clock') as stream:
        return true_time() + int(stream.read() or 0)
time.time = stepped
from oom_sentinel.node import main
sys.exit(main())
"""


def can_change_user():
    """Return whether another user can run this interpreter, and we can become one."""
    if os.geteuid() != 0 or shutil.which('setpriv') is None:
        return False
    # setpriv itself may still run what the other user may not: a shell in between may not.
    return subprocess.run(
        ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', 'sh', '-c',
         'exec "$@"', 'sh', sys.executable, '-c', ''], capture_output=True).returncode == 0


def works(words):
    """Return whether a command can be run here."""
    return os.geteuid() == 0 and subprocess.run(words, capture_output=True).returncode == 0


class Node:
    """The running node and its figures."""

    def __init__(self, folder, log):
        """Start it; what it says goes to the log."""
        self.left_out = []
        self._folder = folder
        self.follows_log = False
        self._prepare()
        env = {**os.environ, 'HOME': folder, 'ROS_LOG_DIR': f'{folder}/ros_log',
               'OOM_SENTINEL_STATE': f'{folder}/full/state'}
        words = self._in_namespaces(self._as_nobody([self._program(), '--ros-args', *PARAMETERS]))
        self.process = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=env)

    def _prepare(self):
        """Make what is mounted over the files."""
        folder = self._folder
        os.chmod(folder, 0o777)
        for name, content, mode in (('garbage', b'\xff\x00some avg10=nan\n' * 99, 0o644),
                                    ('empty', b'', 0o644), ('denied', b'', 0),
                                    ('clock', b'+0', 0o644)):
            with open(f'{folder}/{name}', 'wb') as stream:
                stream.write(content)
            os.chmod(f'{folder}/{name}', mode)
        for name in ('full', 'vanished', 'log'):
            os.makedirs(f'{folder}/{name}')
        with open(f'{folder}/log/kern.log', 'wb'):
            pass

    def _program(self):
        """Write the program of the node, which steps the wall clock as a file says."""
        path = f'{self._folder}/oom_sentinel_node'
        with open(path, 'w') as stream:
            stream.write(f'#!{sys.executable}\n{STEPPING.format(self._folder)}')
        os.chmod(path, 0o755)
        return path

    def _as_nobody(self, words):
        """Return the command as another user with few descriptors, where that is possible."""
        words = ['sh', '-c', f'ulimit -n {DESCRIPTORS}; exec "$@"', 'sh', *words]
        if can_change_user():
            self.follows_log = True
            return ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', *words]
        self.left_out.append('another user cannot run this interpreter: the node runs as '
                             f'uid {os.geteuid()}')
        return words

    def _in_namespaces(self, words):
        """Return the command in a mount and a time namespace of its own, where it is possible."""
        folder = self._folder
        mounts = ' && '.join(f'mount --bind {source.format(folder)} {target}'
                             for target, source in FAILING.items() if os.path.exists(target))
        if works(['unshare', '-m', 'sh', '-c', mounts]):
            full = f'mount -t tmpfs -o size=64k,mode=1777 full {folder}/full && ' \
                   f'head -c 64k /dev/zero > {folder}/full/filler; true'
            words = ['unshare', '-m', 'sh', '-c', f'{mounts} && {{ {full}; }} && exec "$@"', 'sh',
                     *words]
        else:
            self.follows_log = False
            self.left_out.append('files cannot be mounted over here: none of them fails')
        ahead = ['unshare', '--time', '--monotonic', str(CLOCK_AHEAD_S), '--boottime',
                 str(CLOCK_AHEAD_S)]
        if works([*ahead, 'true']):
            return [*ahead, *words]
        self.left_out.append('no time namespace here: the steady clock is that of the machine')
        return words

    def step_clock(self, seconds):
        """Step the node's wall clock to so many seconds beside the true one."""
        with open(f'{self._folder}/clock', 'w') as stream:
            stream.write(f'{seconds:+d}')

    @property
    def log_file(self):
        """Return the kernel log that the node follows, None when it follows none of ours."""
        return f'{self._folder}/log/kern.log' if self.follows_log else None

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
