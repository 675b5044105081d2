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

"""The sentinel of a run of storms, its user, and the trouble that it gets meanwhile."""

import contextlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

from bench import programs
from bench.storm import play
from bench.storm import scenes
from bench.storm.ground import Cgroup
from bench.storm.ground import KernelLog
from bench.storm.ground import put
from bench.storm.ground import Spawner
from bench.storm.ground import until

# Users of this run's own: a sentinel touches only its user's processes, and a second one of the
# same user only watches.
UID = 61000 + 3 * (os.getpid() % 1000)
TROUBLES = ('kill', 'stop', 'set')
SETTER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'setter.py')
CAPABLE = ('--inh-caps=+sys_resource', '--ambient-caps=+sys_resource')
STOPPED_S = 3.0
START_S = 30.0
# A node of a launch with respawn, which lives for one to four seconds.
RESPAWN = 'while :; do sleep $((1 + $$ % 4)); done'
# As large as a compiler, and as quick to grow.
COMPILE = ('while :; do /usr/bin/python3 -c "x = bytearray(120 << 20); print(sum(x[::4096]))"; '
           'gcc -O2 -x c -c -o /dev/null - < {source}; done')


def as_user(uid, *command):
    """Return a command that runs this one as another user."""
    return ['setpriv', f'--reuid={uid}', f'--regid={uid}', '--clear-groups', *command]


class Stage:
    """The folder, the users and the sentinel of a run of storms."""

    def __init__(self, parameters=None, *, inside=False, trouble=None, crowd=0, descriptors=None,
                 compiler=False, lowering=False):
        """
        Start the sentinel as a user of its own and wait until it watches.

        :param inside: it lives in each scene's control group, so it is started for each.
        :param trouble: what happens to it when a leak begins, one of TROUBLES.
        :param crowd: so many programs of its user end and start again all the time.
        :param descriptors: the most that it may have open.
        :param compiler: another user compiles in a control group of its own.
        :param lowering: the sentinel has CAP_SYS_RESOURCE, so nothing is denied to it.
        """
        self.folder = tempfile.mkdtemp(prefix='oom_sentinel_storm_')
        for name in ('', '/run', '/log', '/home'):
            os.makedirs(self.folder + name, exist_ok=True)
            os.chown(self.folder + name, UID, UID)
            os.chmod(self.folder + name, 0o700 if name == '/run' else 0o777)
        self.log = KernelLog()
        self.beside, self.ours = Spawner(UID + 1), Spawner(UID)
        self.deaths = 0  # of the sentinel, not asked for
        self.values = {}  # oom_score_adj by PID before the last leak
        self._inside, self._trouble, self._descriptors = inside, trouble, descriptors
        self._capabilities = CAPABLE if lowering else ()
        self._output = open(f'{self.folder}/sentinel.log', 'wb')  # noqa: SIM115 - until close
        self._env = {**os.environ, 'HOME': f'{self.folder}/home',
                     'ROS_LOG_DIR': f'{self.folder}/log', 'XDG_RUNTIME_DIR': f'{self.folder}/run'}
        self._env.pop('ROS_HOME', None)
        self._parameters = f'{self.folder}/parameters.yaml'
        with open(self._parameters, 'w', encoding='utf-8') as stream:
            json.dump({'/**': {'ros__parameters': {**scenes.PARAMETERS, **(parameters or {})}}},
                      stream)
        self._around = [self._run(UID, 'sh', '-c', RESPAWN) for _ in range(crowd)]
        self._compiles = self._compile() if compiler else None
        self.sentinel = self._troubled = None
        if not inside:
            self._start()

    def _run(self, uid, *command, **more):
        return subprocess.Popen(as_user(uid, *command), env=self._env, start_new_session=True,
                                stderr=self._output, stdout=subprocess.DEVNULL, **more)

    def _compile(self):
        """Start a user's compiler loop in a control group of its own, and return the group."""
        group = Cgroup(f'oom_sentinel_storm_compiler_{os.getpid()}', UID + 2)
        source = f'{self.folder}/compiled.c'
        with open(source, 'w', encoding='ascii') as stream:
            stream.writelines(f'int f{n}(int a) {{ return a * {n} + (a >> {n % 31}); }}\n'
                              for n in range(20000))
        os.chmod(source, 0o644)
        self._around.append(self._run(
            UID + 2, 'sh', '-c', f'echo $$ > {group.path}/cgroup.procs; '
            + COMPILE.format(source=source)))
        return group

    def _start(self, group=None):
        """Start the sentinel, in this control group where one is given; wait until it watches."""
        program = programs.program()

        def first():
            if group is not None:
                put(f'{group.path}/cgroup.procs', 0)
            if self._descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors,) * 2)
        before = self.said().count(b'watching')
        self.sentinel = subprocess.Popen(
            as_user(UID, *self._capabilities, program, '--ros-args', '--params-file',
                    self._parameters),
            env=self._env, stdout=self._output, stderr=self._output, preexec_fn=first)
        if not until(lambda: self.said().count(b'watching') > before, START_S):
            said = self.said().decode()
            self.close()
            raise SystemExit(f'the sentinel does not start: {said}')

    def said(self):
        """Return the sentinel's log."""
        with open(f'{self.folder}/sentinel.log', 'rb') as stream:
            return stream.read()

    def pair(self, scene):
        """
        Play a scene without and with the sentinel; return the deaths of both.

        The second one's values settle, in a control group of its own, while the first is played.
        """
        guarded = play.Play(scene, self.folder, self.ours, self.log, UID, watched=True)
        guarded.begins, guarded.ends = self._make_trouble, self._after_storm
        try:
            if not self._inside:
                guarded.start()
            without, limit_mib = play.Play(scene, self.folder, self.beside, self.log, UID + 1,
                                           watched=False).run()
            if self._inside:
                self._start(guarded.cgroup)
        except BaseException:
            guarded.close()
            raise
        deaths, _ = guarded.run(None if self._inside else limit_mib)
        self.values = guarded.values
        return without, deaths

    def _after_storm(self):
        """Wait for the end of the trouble, see whether the sentinel lives, end it if inside."""
        if self._troubled is not None:
            self._troubled.join()
        self.deaths += self.sentinel.poll() is not None
        if self._inside:
            self._end_sentinel()
        elif self.sentinel.poll() is not None:
            self._start()

    # Trouble

    def _make_trouble(self):
        """Do to the sentinel what was asked for, beside the storm; it is over within seconds."""
        if self._trouble is not None:
            self._troubled = threading.Thread(target={
                'kill': self._kill, 'stop': self._stop, 'set': self._set}[self._trouble])
            self._troubled.start()

    def _kill(self):
        """Kill it as nothing can catch, and start it again as a launch does."""
        self.sentinel.kill()
        self.sentinel.wait()
        self._start()

    def _stop(self):
        """Stop it for a while."""
        self.sentinel.send_signal(signal.SIGSTOP)
        time.sleep(STOPPED_S)
        self.sentinel.send_signal(signal.SIGCONT)

    def _set(self):
        """Set parameters all the time for a few seconds."""
        self._run(UID, sys.executable, SETTER).wait()

    # The end

    def _end_sentinel(self):
        if self.sentinel is None:
            return
        if self.sentinel.poll() is None:
            self.sentinel.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.sentinel.wait(15)
        self.sentinel.kill()
        self.sentinel.wait()

    def close(self):
        """End all and remove the folder."""
        self._end_sentinel()
        for child in self._around:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        if self._compiles is not None:
            self._compiles.remove()
        self._output.close()
        self.beside.close()
        self.ours.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)
